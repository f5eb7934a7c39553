/* What the kernel caches, under fire: three mounts write and read the same files, and no reader sees a mix, a wrong size, or something older than it may.
 *
 * Version v of a file is the line with v, as often as makes a length that no version near it has. Each file has one writer at a time, so versions
 * rise. Each actor is a process, for a process sees what it has not published yet. What completed before a read began is its floor: on a linearizable mount what completed anywhere, on a serial one what this mount has
 * shown or written itself. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NODES 3
#define FILES 3
#define READERS 2 /* on each mount */
#define LINE 16
#define LINES_MAX 1500
#define BYTES_MAX ((size_t)LINE * (LINES_MAX + 1))

struct hunt {
	struct cluster *c;
	bool linearizable;
	double until;
	_Atomic long begun[FILES];
	_Atomic long done[FILES];
	_Atomic long shown[NODES][FILES];
	atomic_uint reads;
	atomic_uint mapped;
	atomic_uint again;
	atomic_flag told;
	atomic_bool failed;
	char why[512];
};

struct actor {
	struct hunt *h;
	int node;
	int file;
	unsigned seed;
	char name[192];
	char text[BYTES_MAX + LINE];
};

static size_t length_of(long version)
{
	return (size_t)LINE * (1 + (size_t)(version * 601) % LINES_MAX);
}

static void blame(struct actor *a, const char *what, long value, long other)
{
	if (!atomic_flag_test_and_set(&a->h->told))
		snprintf(a->h->why, sizeof(a->h->why), "n%d, %s: %s: %ld, %ld", a->node + 1, a->name, what, value, other);
	a->h->failed = true;
}

static bool goes_on(const struct hunt *h)
{
	return !h->failed && now_seconds() < h->until;
}

/* --- writers --- */

static size_t compose(char *text, long version)
{
	size_t size = length_of(version);
	for (size_t at = 0; at < size; at += LINE)
		snprintf(text + at, LINE + 1, "%015ld\n", version);
	return size;
}

static void raise_to(_Atomic long *at, long value)
{
	long now = *at;
	while (now < value && !atomic_compare_exchange_weak(at, &now, value))
		;
}

static int put_in_place(const char *name, int flags, const char *text, size_t size)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return -errno;
	int error = 0;
	if (!(flags & O_TRUNC) && ftruncate(fd, (off_t)size) != 0)
		error = -errno;
	for (size_t at = 0; at < size && !error; at += 5000) {
		size_t part = size - at < 5000 ? size - at : 5000;
		if (pwrite(fd, text + at, part, (off_t)at) != (ssize_t)part)
			error = -EIO;
	}
	if (close(fd) != 0 && !error)
		error = -errno;
	return error;
}

static int put(struct actor *a, const char *name, long version)
{
	char temporary[224];
	size_t size = compose(a->text, version);
	/* Who has a file open that is replaced keeps the old one; the first is never replaced. */
	switch (rand_r(&a->seed) % (a->file ? 3 : 2)) {
	case 0:
		return put_in_place(name, O_TRUNC, a->text, size);
	case 1:
		return put_in_place(name, 0, a->text, size);
	default:
		snprintf(temporary, sizeof(temporary), "%s.new", name);
		int error = file_put(temporary, O_TRUNC, a->text, size);
		return error ? error : rename(temporary, name) == 0 ? 0 : -errno;
	}
}

static void write_on(struct actor *a)
{
	struct hunt *h = a->h;
	while (goes_on(h)) {
		/* Whose turn it is: the same file is written on every mount by and by. */
		int node = rand_r(&a->seed) % NODES;
		long version = ++h->begun[a->file];
		const struct timespec pause = {.tv_nsec = rand_r(&a->seed) % 8000000};
		snprintf(a->name, sizeof(a->name), "%s/f%d", h->c->nodes[node].mount, a->file);
		int error = put(a, a->name, version);
		if (error) {
			blame(a, "cannot be written", version, error);
			break;
		}
		raise_to(&h->done[a->file], version);
		raise_to(&h->shown[node][a->file], version);
		if (version % 2 == 0 && chmod(a->name, version % 4 ? 0600 : 0644) != 0)
			blame(a, "cannot be changed", version, -errno);
		nanosleep(&pause, NULL);
	}
}

/* --- readers --- */

static long floor_of(const struct actor *a)
{
	return a->h->linearizable ? a->h->done[a->file] : a->h->shown[a->node][a->file];
}

/* The version that a whole text is of; -1, and a failure, if it is none. */
static long version_of(struct actor *a, const char *text, size_t size, const char *how)
{
	char line[LINE + 1];
	char *end;
	memcpy(line, text, LINE);
	line[LINE] = '\0';
	long version = size >= LINE ? strtol(line, &end, 10) : 0;
	if (version < 1 || size != length_of(version)) {
		blame(a, how, version, (long)size);
		return -1;
	}
	for (size_t at = LINE; at < size; at += LINE) {
		if (memcmp(text + at, line, LINE) != 0) {
			blame(a, "a mix", version, (long)at);
			return -1;
		}
	}
	return version;
}

static void accept(struct actor *a, long version, long floor, const char *how)
{
	if (version < 0)
		return;
	if (version < floor)
		blame(a, how, version, floor);
	else if (version > a->h->begun[a->file])
		blame(a, "from the future", version, a->h->begun[a->file]);
	raise_to(&a->h->shown[a->node][a->file], version);
	a->h->reads++;
}

static ssize_t read_all(int fd, char *text, size_t part)
{
	size_t size = 0;
	while (size < BYTES_MAX) {
		ssize_t got = read(fd, text + size, part < BYTES_MAX - size ? part : BYTES_MAX - size);
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		size += (size_t)got;
	}
	return (ssize_t)size;
}

/* On a serial mount the kernel gives up with ESTALE if a file is replaced twice meanwhile. */
static void refused(struct actor *a, const char *how)
{
	if (errno == ESTALE && !a->h->linearizable)
		a->h->again++;
	else
		blame(a, how, errno, 0);
}

static int open_it(struct actor *a)
{
	int fd = open(a->name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		refused(a, "cannot be opened");
	return fd;
}

/* The first version from this one on that has the size; 0: none. */
static long version_of_size(const struct actor *a, off_t size, long version)
{
	long last = a->h->begun[a->file];
	while (version <= last && (off_t)length_of(version) != size)
		version++;
	return version <= last ? version : 0;
}

/* What it has read is not newer than its attributes. */
static void stat_handle(struct actor *a, int fd, long version)
{
	struct stat st;
	if (fstat(fd, &st) != 0) {
		/* Replaced on another node, and its name was not looked up again yet. */
		if (errno != ESTALE)
			blame(a, "has no attributes, by handle", errno, version);
	} else if (!version_of_size(a, st.st_size, version)) {
		blame(a, "a size of no version from the one on that was read", (long)st.st_size, version);
	}
}

static void read_by_path(struct actor *a)
{
	long floor = floor_of(a);
	int fd = open_it(a);
	if (fd < 0)
		return;
	ssize_t size = read_all(fd, a->text, rand_r(&a->seed) % 2 ? BYTES_MAX : 1000);
	if (size < 0) {
		blame(a, "cannot be read", (long)size, 0);
	} else {
		long version = version_of(a, a->text, (size_t)size, "read by path");
		accept(a, version, floor, "old, by path");
		if (version > 0)
			stat_handle(a, fd, version);
	}
	close(fd);
}

/* The version that has this size: near enough to the floor there is one. */
static void stat_by_path(struct actor *a)
{
	struct stat st;
	long floor = floor_of(a);
	if (stat(a->name, &st) != 0) {
		refused(a, "has no attributes");
		return;
	}
	long version = version_of_size(a, st.st_size, floor > 1 ? floor : 1);
	if (!version)
		blame(a, "a size of no version from the floor on", (long)st.st_size, floor);
	else
		accept(a, version, floor, "old, by size");
}

/* Two reads of the start, one after the other, of one handle. */
static void read_afresh(struct actor *a)
{
	const struct timespec pause = {.tv_nsec = rand_r(&a->seed) % 4000000};
	/* What it was opened on it reads first. On a serial mount it may stay there. */
	long floor = floor_of(a);
	int fd = open_it(a);
	if (fd < 0)
		return;
	for (int i = 0; i < 4; i++) {
		floor = i > 0 && a->h->linearizable && a->file == 0 ? floor_of(a) : floor;
		ssize_t size = pread(fd, a->text, BYTES_MAX, 0);
		if (size < 0) {
			blame(a, "cannot be read again", errno, i);
			break;
		}
		long version = version_of(a, a->text, (size_t)size, "read again");
		if (version >= 0 && version < floor)
			blame(a, "old, read again", version, floor);
		nanosleep(&pause, NULL);
	}
	close(fd);
}

/* A mapping's bytes, without a signal where there are none. */
static bool copy_mapped(const char *from, size_t size, char *to)
{
	int pipes[2];
	if (pipe2(pipes, O_CLOEXEC) != 0)
		return false;
	bool whole = true;
	for (size_t at = 0; at < size && whole; at += 4096) {
		size_t part = size - at < 4096 ? size - at : 4096;
		whole = write(pipes[1], from + at, part) == (ssize_t)part && read(pipes[0], to + at, part) == (ssize_t)part;
	}
	close(pipes[0]);
	close(pipes[1]);
	return whole;
}

/* What a handle reads, a mapping of that, and the attributes before and after. With a writer on the same mount these are those of the file as it is now,
 * whatever the handle reads, and pages beyond its end are lost: then there is nothing to compare. */
static void map_it(struct actor *a)
{
	struct stat st, after;
	long floor = floor_of(a);
	int fd = open_it(a);
	if (fd < 0)
		return;
	ssize_t size = read_all(fd, a->text, BYTES_MAX);
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size == size) {
		char *map = mmap(NULL, (size_t)st.st_size, PROT_READ, rand_r(&a->seed) % 2 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED && errno != ENODEV)
			blame(a, "cannot be mapped", errno, 0);
		if (map != MAP_FAILED) {
			bool whole = copy_mapped(map, (size_t)st.st_size, a->text);
			if (fstat(fd, &after) == 0 && after.st_size == st.st_size && whole) {
				accept(a, version_of(a, a->text, (size_t)st.st_size, "mapped"), floor, "old, mapped");
				a->h->mapped++;
			}
			munmap(map, (size_t)st.st_size);
		}
	}
	close(fd);
}

static void read_on(struct actor *a)
{
	while (goes_on(a->h)) {
		const struct timespec pause = {.tv_nsec = rand_r(&a->seed) % 1000000};
		a->file = rand_r(&a->seed) % FILES;
		snprintf(a->name, sizeof(a->name), "%s/f%d", a->h->c->nodes[a->node].mount, a->file);
		switch (rand_r(&a->seed) % 6) {
		case 0:
			read_afresh(a);
			break;
		case 1:
			map_it(a);
			break;
		case 2:
			stat_by_path(a);
			break;
		default:
			read_by_path(a);
		}
		nanosleep(&pause, NULL);
	}
}

/* --- the hunt --- */

static void make_files(struct hunt *h)
{
	static char text[BYTES_MAX + LINE];
	for (int f = 0; f < FILES; f++) {
		size_t size = compose(text, 1);
		assert_int_equal(file_put(path("%s/f%d", h->c->nodes[0].mount, f), 0, text, size), 0);
		h->begun[f] = h->done[f] = 1;
	}
	cluster_agree(h->c);
}

/* A process of its own. */
static pid_t start(struct hunt *h, int i, unsigned seed, void (*work)(struct actor *a))
{
	static struct actor actor;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	actor = (struct actor){.h = h, .seed = seed + (unsigned)i, .file = i % FILES, .node = i % NODES};
	work(&actor);
	_exit(0);
}

static void hunt(const char *options, bool linearizable)
{
	pid_t actors[FILES + NODES * READERS];
	unsigned seed = (unsigned)time(NULL);
	struct hunt *h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0, failed = 0;

	assert_ptr_not_equal(h, MAP_FAILED);
	h->c = cluster_up(NODES, options);
	h->linearizable = linearizable;
	make_files(h);
	note("%s: seed %u", options, seed);
	h->until = now_seconds() + rounds(4);
	for (int i = 0; i < FILES + NODES * READERS; i++)
		actors[i] = start(h, i, seed, i < FILES ? write_on : read_on);
	for (int i = 0; i < FILES + NODES * READERS; i++)
		failed += actors[i] < 0 || waitpid(actors[i], &status, 0) != actors[i] || status != 0;
	note("%ld, %ld and %ld versions, %u reads, %u of mappings, %u calls given up", h->done[0], h->done[1], h->done[2], h->reads,
	     h->mapped, h->again);
	if (h->failed || failed)
		cluster_fail("%s (%d of them failed)", h->why, failed);
	assert_true(h->reads > 100);
	assert_true(linearizable || h->mapped > 0);
	munmap(h, sizeof(*h));
}

static void linearizable_mounts_show_nothing_torn_and_nothing_old(void **state)
{
	(void)state;
	hunt("timeout=30s", true);
}

static void serial_mounts_show_nothing_torn_and_never_go_back(void **state)
{
	(void)state;
	hunt("timeout=30s,consistency=serial", false);
}

#define TEST(body) cmocka_unit_test_teardown(body, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(linearizable_mounts_show_nothing_torn_and_nothing_old),
		TEST(serial_mounts_show_nothing_torn_and_never_go_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
