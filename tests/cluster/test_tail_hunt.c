/* Files that grow, under fire: handles that are held and asked for more again and again, while others append and write the whole file anew.
 *
 * Generation g of a file is lines that say g and count up from 0; it grows by appends, and the next one takes its place, written in place or renamed over it.
 * Whatever a handle reads, by read, by pread or by a mapping, is of one generation, without a gap and of whole lines; at the end it has all of it, if it is of
 * the last one. On a linearizable mount a reader that was at its end sees what was added before it asked again. */
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
#define READERS 2 /* on each mount */
#define LINE 16
#define PART 6000 /* lines at a time, at most */
#define LAST_MS 10000

struct hunt {
	struct cluster *c;
	bool linearizable;
	double until;
	_Atomic long done;  /* generation and lines, as published */
	_Atomic long begun; /* the newest generation, which may not be */
	atomic_bool over;
	atomic_uint grown;
	atomic_uint mapped;
	atomic_uint replaced;
	atomic_uint ends; /* that were read to */
	atomic_flag told;
	atomic_bool failed;
	char why[512];
};

struct actor {
	struct hunt *h;
	int node;
	bool maps; /* one on each mount: mappings of handles that were open before share their pages */
	unsigned seed;
	char name[192];
	char text[(size_t)LINE * PART + LINE];
};

/* A handle that is held. */
struct held {
	int fd;
	long generation; /* -1: not known yet */
	long lines;      /* read so far, one after the other */
	bool ended;
};

static const long lines_per_generation = 10000000;

static void blame(struct actor *a, const char *what, long value, long other)
{
	if (!atomic_flag_test_and_set(&a->h->told))
		snprintf(a->h->why, sizeof(a->h->why), "n%d: %s: %ld, %ld", a->node + 1, what, value, other);
	a->h->failed = true;
}

static void pause_up_to(struct actor *a, long ns)
{
	const struct timespec pause = {.tv_nsec = rand_r(&a->seed) % ns};
	nanosleep(&pause, NULL);
}

static void name_on(struct actor *a, int node)
{
	snprintf(a->name, sizeof(a->name), "%s/f", a->h->c->nodes[node].mount);
}

/* --- the writer --- */

static void line_of(char line[LINE + 1], long generation, long number)
{
	char text[48];
	snprintf(text, sizeof(text), "%06ld %08ld\n", generation, number);
	memcpy(line, text, LINE + 1);
}

static size_t compose(char *text, long generation, long from, long count)
{
	for (long i = 0; i < count; i++)
		line_of(text + i * LINE, generation, from + i);
	return (size_t)count * LINE;
}

static int begin_generation(struct actor *a, long generation, long count)
{
	char temporary[224];
	size_t size = compose(a->text, generation, 0, count);
	if (rand_r(&a->seed) % 2)
		return file_put(a->name, O_TRUNC, a->text, size);
	snprintf(temporary, sizeof(temporary), "%s.new", a->name);
	int error = file_put(temporary, O_TRUNC, a->text, size);
	return error ? error : rename(temporary, a->name) == 0 ? 0 : -errno;
}

static void write_on(struct actor *a)
{
	struct hunt *h = a->h;
	long generation = h->done / lines_per_generation, lines = h->done % lines_per_generation;
	for (int writes = 0; !h->failed && now_seconds() < h->until; writes++) {
		int error;
		long count = rand_r(&a->seed) % 16 ? 1 + rand_r(&a->seed) % 30 : 1 + rand_r(&a->seed) % PART;
		name_on(a, rand_r(&a->seed) % NODES);
		if (writes % 15 == 5) {
			lines = 0;
			h->begun = ++generation;
			error = begin_generation(a, generation, count);
			h->replaced++;
		} else {
			error = file_put(a->name, O_APPEND, a->text, compose(a->text, generation, lines, count));
		}
		if (error)
			blame(a, "cannot be written", error, generation);
		lines += count;
		h->done = generation * lines_per_generation + lines;
		pause_up_to(a, 10000000);
	}
	h->over = true;
}

/* --- readers --- */

/* Is the text of the held handle's generation, from this line on? */
static bool fits(struct actor *a, struct held *d, const char *text, size_t size, long line, const char *how)
{
	char expected[LINE + 1];
	if (size % LINE != 0)
		blame(a, how, (long)size, line);
	for (size_t at = 0; at + LINE <= size; at += LINE, line++) {
		if (d->generation < 0)
			d->generation = strtol(text, NULL, 10);
		line_of(expected, d->generation, line);
		if (memcmp(text + at, expected, LINE) != 0) {
			blame(a, how, d->generation, line);
			return false;
		}
	}
	return size % LINE == 0;
}

/* Reads on, to what is the end now. */
static void read_on(struct actor *a, struct held *d)
{
	struct hunt *h = a->h;
	for (;;) {
		long floor = h->done, before = d->lines;
		size_t room = rand_r(&a->seed) % 2 ? (size_t)LINE * PART : 1024;
		ssize_t got = pread(d->fd, a->text, room, d->lines * LINE);
		if (got < 0)
			blame(a, "cannot be read", errno, d->lines);
		if (got < 0 || !fits(a, d, a->text, (size_t)got, d->lines, "read on"))
			return;
		d->lines += got / LINE;
		/* What has been written over since is not added to any more. */
		bool grows = floor / lines_per_generation == d->generation && h->begun == d->generation;
		if (h->linearizable && d->ended && got == 0 && grows && floor % lines_per_generation > d->lines)
			blame(a, "does not see what was added", d->lines, floor % lines_per_generation);
		if (got > 0 && d->ended && before > 0)
			h->grown++;
		if (got == 0) {
			h->ends++;
			d->ended = true;
			return;
		}
	}
}

/* What was read before is still there. */
static void read_back(struct actor *a, struct held *d)
{
	if (!d->lines)
		return;
	/* Not from the start, which would be a look at the file as it is. */
	long line = 1 + rand_r(&a->seed) % d->lines, count = d->lines - line < PART ? d->lines - line : PART;
	ssize_t got = pread(d->fd, a->text, (size_t)count * LINE, line * LINE);
	if (got != count * LINE)
		blame(a, "what was read is there no more", got, count * LINE);
	else
		fits(a, d, a->text, (size_t)got, line, "read back");
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

/* A mapping of what was read, if that is all that there is. With a writer on the same mount the attributes are those of the file as it is now, whatever the
 * handle reads, and pages beyond its end are lost: then there is nothing to compare. */
static void map_it(struct actor *a, struct held *d)
{
	struct stat before, after;
	size_t size = (size_t)d->lines * LINE;
	if (size == 0 || size > sizeof(a->text) || fstat(d->fd, &before) != 0 || before.st_size != (off_t)size)
		return;
	char *map = mmap(NULL, size, PROT_READ, rand_r(&a->seed) % 2 ? MAP_SHARED : MAP_PRIVATE, d->fd, 0);
	if (map == MAP_FAILED) {
		/* Not shared where a writer is about. */
		if (errno != ENODEV)
			blame(a, "cannot be mapped", errno, 0);
		return;
	}
	if (copy_mapped(map, size, a->text) && fstat(d->fd, &after) == 0 && after.st_size == before.st_size) {
		fits(a, d, a->text, size, 0, "mapped");
		a->h->mapped++;
	}
	munmap(map, size);
}

static void look_again(struct actor *a, struct held *d)
{
	switch (rand_r(&a->seed) % 4) {
	case 0:
		read_back(a, d);
		break;
	case 1:
		if (a->maps)
			map_it(a, d);
		break;
	default:
		read_on(a, d);
	}
}

static struct held hold(struct actor *a)
{
	struct held d = {.fd = open(a->name, O_RDONLY | O_CLOEXEC), .generation = -1};
	if (d.fd < 0 && errno != ESTALE)
		blame(a, "cannot be opened", errno, 0);
	return d;
}

/* Nothing is written any more: what is held comes to the end. */
static void read_to_the_last(struct actor *a, struct held *d)
{
	long done = a->h->done;
	double until = now_seconds() + LAST_MS / 1e3;
	while (!a->h->failed && d->generation == done / lines_per_generation && d->lines < done % lines_per_generation) {
		if (now_seconds() > until)
			blame(a, "never sees the last of it", d->lines, done % lines_per_generation);
		read_on(a, d);
		pause_up_to(a, 5000000);
	}
}

static void follow_on(struct actor *a)
{
	struct hunt *h = a->h;
	name_on(a, a->node);
	while (!h->failed && !h->over) {
		struct held d = hold(a);
		if (d.fd < 0)
			continue;
		for (int i = rand_r(&a->seed) % 40; i >= 0 && !h->failed && !h->over; i--) {
			look_again(a, &d);
			pause_up_to(a, 20000000);
		}
		if (h->over && !h->failed)
			read_to_the_last(a, &d);
		close(d.fd);
	}
}

/* --- the hunt --- */

/* A process of its own: one sees what it has not published yet. */
static pid_t start(struct hunt *h, int i, unsigned seed, void (*work)(struct actor *a))
{
	static struct actor actor;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	actor = (struct actor){.h = h, .seed = seed + (unsigned)i, .node = i % NODES, .maps = i > NODES};
	work(&actor);
	_exit(0);
}

static void hunt(const char *options, bool linearizable)
{
	pid_t actors[1 + NODES * READERS];
	const int count = sizeof(actors) / sizeof(actors[0]);
	unsigned seed = (unsigned)time(NULL);
	struct hunt *h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0, failed = 0;

	assert_ptr_not_equal(h, MAP_FAILED);
	h->c = cluster_up(NODES, options);
	h->linearizable = linearizable;
	h->begun = 1;
	h->done = lines_per_generation + 1;
	assert_int_equal(file_write(path("%s/f", h->c->nodes[0].mount), "000001 00000000\n"), 0);
	cluster_agree(h->c);
	note("%s: seed %u", options, seed);
	h->until = now_seconds() + rounds(2);
	for (int i = 0; i < count; i++)
		actors[i] = start(h, i, seed, i == 0 ? write_on : follow_on);
	for (int i = 0; i < count; i++)
		failed += actors[i] < 0 || waitpid(actors[i], &status, 0) != actors[i] || status != 0;
	note("%u generations, %u ends, %u reads of what was added, %u mappings", h->replaced, h->ends, h->grown, h->mapped);
	if (h->failed || failed)
		cluster_fail("%s (%d of them failed)", h->why, failed);
	assert_true(h->grown > 0);
	assert_true(h->replaced > 0);
	munmap(h, sizeof(*h));
}

static void linearizable_mounts_mix_nothing_and_miss_nothing(void **state)
{
	(void)state;
	hunt("timeout=30s", true);
}

static void serial_mounts_mix_nothing(void **state)
{
	(void)state;
	hunt("timeout=30s,consistency=serial", false);
}

#define TEST(body) cmocka_unit_test_teardown(body, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(linearizable_mounts_mix_nothing_and_miss_nothing),
		TEST(serial_mounts_mix_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
