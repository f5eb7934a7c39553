/* Files that are replaced by rename, over and over, on this mount and on another: whoever opens, stats or follows such a name gets what it led to during
 * that call, whole, and never ESTALE: the kernel walks a path again after that, but once only.
 *
 * Version v of a file is its number and filling up to a length that says v, too; a link's target is the number. Each name has one writer, so versions
 * rise. Each actor is a process. What was in place before a call began, by whatever node, is its floor. */
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
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define NODES 3
#define NAMES 3 /* the last one is a link; name i is written on node i, but the last, which is written on node 0 */
#define LINK (NAMES - 1)
#define READERS 3 /* on each of the first two nodes */
#define ACTORS (NAMES + 2 * READERS)
#define DIGITS 15
#define LENGTHS 2000

struct shared {
	struct cluster *c;
	double until;
	_Atomic long begun[NAMES];
	_Atomic long done[NAMES];
	atomic_uint calls;
	atomic_flag told;
	atomic_bool failed;
	char why[512];
};

struct actor {
	struct shared *s;
	int node;
	int what;
	unsigned seed;
	char name[192];
	char text[DIGITS + LENGTHS + 2];
};

static void blame(struct actor *a, const char *what, long value, long other)
{
	if (!atomic_flag_test_and_set(&a->s->told))
		snprintf(a->s->why, sizeof(a->s->why), "n%d, %s: %s: %ld, %ld", a->node + 1, a->name, what, value, other);
	a->s->failed = true;
}

static bool goes_on(const struct shared *s)
{
	return !s->failed && now_seconds() < s->until;
}

/* --- writers --- */

static size_t length_of(long version)
{
	return DIGITS + 1 + (size_t)(version % LENGTHS);
}

static int put_file(struct actor *a, const char *name, long version)
{
	size_t size = length_of(version);
	snprintf(a->text, sizeof(a->text), "%0*ld\n", DIGITS, version);
	memset(a->text + DIGITS + 1, 'a' + (int)(version % 26), size - DIGITS - 1);
	return file_put(name, O_TRUNC, a->text, size);
}

static int put_link(struct actor *a, const char *name, long version)
{
	snprintf(a->text, sizeof(a->text), "%0*ld", DIGITS, version);
	return symlink(a->text, name) == 0 ? 0 : -errno;
}

static void replace(struct actor *a)
{
	struct shared *s = a->s;
	char fresh[224];
	long version = ++s->begun[a->what];
	snprintf(fresh, sizeof(fresh), "%s.new", a->name);
	int error = a->what == LINK ? put_link(a, fresh, version) : put_file(a, fresh, version);
	if (!error && rename(fresh, a->name) != 0)
		error = -errno;
	if (error)
		blame(a, "cannot be replaced", version, error);
	s->done[a->what] = version;
}

static void name_it(struct actor *a)
{
	snprintf(a->name, sizeof(a->name), "%s/r%d", a->s->c->nodes[a->node].mount, a->what);
}

static void replace_on(struct actor *a)
{
	name_it(a);
	while (goes_on(a->s))
		replace(a);
}

/* --- readers --- */

static long floor_of(const struct actor *a)
{
	return a->s->done[a->what];
}

static void accept(struct actor *a, long version, long floor, const char *how)
{
	if (version < floor)
		blame(a, how, version, floor);
	else if (version > a->s->begun[a->what])
		blame(a, "from the future", version, a->s->begun[a->what]);
}

static void read_it(struct actor *a, int flags)
{
	char *end;
	long floor = floor_of(a);
	int fd = open(a->name, flags | O_CLOEXEC);
	if (fd < 0) {
		blame(a, "cannot be opened", errno, 0);
		return;
	}
	ssize_t size = read(fd, a->text, sizeof(a->text));
	close(fd);
	long version = size > DIGITS ? strtol(a->text, &end, 10) : -1;
	if (version < 1 || (size_t)size != length_of(version) || *end != '\n') {
		blame(a, "torn", version, (long)size);
		return;
	}
	for (char *at = end + 1; at < a->text + size; at++)
		if (*at != 'a' + (int)(version % 26))
			blame(a, "a mix", version, at - a->text);
	accept(a, version, floor, "old, by open");
}

/* Of the versions with this size, the one next to the floor. */
static void stat_it(struct actor *a)
{
	struct stat st;
	long floor = floor_of(a);
	if (stat(a->name, &st) != 0) {
		blame(a, "cannot be asked for attributes", errno, 0);
		return;
	}
	long ahead = (st.st_size - (off_t)length_of(floor) + LENGTHS) % LENGTHS;
	if (ahead < LENGTHS / 2)
		accept(a, floor + ahead, floor, "old, by stat");
	else
		blame(a, "old, by stat", (long)st.st_size, floor);
}

static void follow_it(struct actor *a)
{
	long floor = floor_of(a);
	ssize_t size = readlink(a->name, a->text, sizeof(a->text) - 1);
	if (size < 0) {
		blame(a, "cannot be followed", errno, 0);
		return;
	}
	a->text[size] = '\0';
	accept(a, strtol(a->text, NULL, 10), floor, "old, by readlink");
}

static void ask_of_it(struct actor *a)
{
	char value[32];
	const char *what;
	bool well = true;
	switch (rand_r(&a->seed) % 3) {
	case 0:
		what = "cannot be asked for its version";
		well = getxattr(a->name, "user.tallyfs.version", value, sizeof(value)) > 0;
		break;
	case 1:
		what = "cannot be asked for access";
		well = access(a->name, R_OK) == 0;
		break;
	default:
		what = "cannot be changed";
		well = chmod(a->name, 0644) == 0;
	}
	if (!well)
		blame(a, what, errno, 0);
}

static void read_on(struct actor *a)
{
	while (goes_on(a->s)) {
		a->what = (int)(rand_r(&a->seed) % NAMES);
		name_it(a);
		unsigned how = rand_r(&a->seed) % 8;
		if (a->what == LINK)
			follow_it(a);
		else if (how == 0)
			ask_of_it(a);
		else if (how < 3)
			stat_it(a);
		else
			read_it(a, how == 3 ? O_RDWR : O_RDONLY);
		a->s->calls++;
	}
}

/* --- the whole --- */

static pid_t start(struct shared *s, int i, unsigned seed)
{
	static struct actor actor;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	bool writes = i < NAMES;
	actor = (struct actor){.s = s, .seed = seed + (unsigned)i, .what = i, .node = i % 2};
	writes ? replace_on(&actor) : read_on(&actor);
	_exit(0);
}

static void make_all(struct shared *s)
{
	static struct actor actor;
	for (int i = 0; i < NAMES; i++) {
		actor = (struct actor){.s = s, .what = i};
		name_it(&actor);
		replace(&actor);
	}
	cluster_agree(s->c);
}

static void hammer(const char *options)
{
	pid_t actors[ACTORS];
	unsigned seed = (unsigned)time(NULL);
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0, failed = 0;

	assert_ptr_not_equal(s, MAP_FAILED);
	s->c = cluster_up(NODES, options);
	make_all(s);
	note("%s: seed %u", options, seed);
	s->until = now_seconds() + rounds(3);
	for (int i = 0; i < ACTORS; i++)
		actors[i] = start(s, i, seed);
	for (int i = 0; i < ACTORS; i++)
		failed += actors[i] < 0 || waitpid(actors[i], &status, 0) != actors[i] || status != 0;
	note("%ld, %ld and %ld versions, %u calls", s->done[0], s->done[1], s->done[2], s->calls);
	if (s->failed || failed)
		cluster_fail("%s (%d of them failed)", s->why, failed);
	assert_true(s->calls > 100);
	munmap(s, sizeof(*s));
}

static void on_a_linearizable_mount_a_replaced_file_is_always_there(void **state)
{
	(void)state;
	hammer("timeout=30s");
}

static void with_permissions_checked_by_the_kernel_too(void **state)
{
	(void)state;
	hammer("timeout=30s,allow_other");
}

#define TEST(body) cmocka_unit_test_teardown(body, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(on_a_linearizable_mount_a_replaced_file_is_always_there),
		TEST(with_permissions_checked_by_the_kernel_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
