/* Three nodes and nobody fails: what one mount writes the others read, races have one winner, and nothing is torn or lost. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES 3

/* One thread for each node, all doing the same work at once. */
struct racer {
	struct cluster *c;
	int node;
	int rounds;
	pthread_barrier_t *gate;
	int *results; /* one for each round */
	int error;    /* the first unexpected one */
};

static void race(struct cluster *c, int count, void *(*work)(void *), struct racer *racers)
{
	pthread_t threads[NODES];
	pthread_barrier_t gate;
	pthread_barrier_init(&gate, NULL, NODES);
	for (int i = 0; i < NODES; i++) {
		racers[i] = (struct racer){.c = c, .node = i, .rounds = count, .gate = &gate};
		racers[i].results = calloc((size_t)count, sizeof(int));
		assert_non_null(racers[i].results);
		assert_int_equal(pthread_create(&threads[i], NULL, work, &racers[i]), 0);
	}
	for (int i = 0; i < NODES; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&gate);
}

static void race_done(struct racer *racers)
{
	for (int i = 0; i < NODES; i++)
		free(racers[i].results);
}

/* In each round exactly one got 0, and all others got `lost`. */
static void expect_one_winner(struct racer *racers, int count, int lost)
{
	for (int round = 0; round < count; round++) {
		int winners = 0;
		for (int i = 0; i < NODES; i++) {
			winners += racers[i].results[round] == 0;
			if (racers[i].results[round] != 0)
				assert_int_equal(racers[i].results[round], lost);
		}
		if (winners != 1)
			cluster_fail("round %d: %d winners", round, winners);
	}
}

static void what_one_mount_writes_the_others_read(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	for (int i = 0; i < NODES; i++) {
		assert_int_equal(mkdir(path("%s/d%d", c->nodes[i].mount, i), 0755), 0);
		assert_int_equal(file_write(path("%s/d%d/f", c->nodes[i].mount, i), path("from %d", i)), 0);
		assert_int_equal(symlink("f", path("%s/d%d/l", c->nodes[i].mount, i)), 0);
		for (int j = 0; j < NODES; j++)
			assert_true(file_is(path("%s/d%d/l", c->nodes[j].mount, i), path("from %d", i)));
	}
	assert_int_equal(rename(path("%s/d0", c->nodes[1].mount), path("%s/e0", c->nodes[1].mount)), 0);
	assert_int_equal(unlink(path("%s/d1/f", c->nodes[2].mount)), 0);
	assert_true(file_is(path("%s/e0/f", c->nodes[2].mount), "from 0"));
	assert_int_equal(try_open(path("%s/d0/f", c->nodes[0].mount), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(path("%s/d1/f", c->nodes[0].mount), O_RDONLY), -ENOENT);
	cluster_agree(c);
}

static void *create_exclusively(void *arg)
{
	struct racer *r = arg;
	for (int round = 0; round < r->rounds; round++) {
		pthread_barrier_wait(r->gate);
		r->results[round] = try_open(path("%s/lock%d", r->c->nodes[r->node].mount, round), O_WRONLY | O_CREAT | O_EXCL);
	}
	return NULL;
}

static void of_nodes_that_race_on_o_excl_exactly_one_wins(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	struct racer racers[NODES];
	int count = rounds(1000);
	double begin = now_seconds();
	race(c, count, create_exclusively, racers);
	expect_one_winner(racers, count, -EEXIST);
	race_done(racers);
	note("O_EXCL: %d rounds of three nodes in %.1f s, one winner each", count, now_seconds() - begin);
}

static void *make_directories(void *arg)
{
	struct racer *r = arg;
	for (int round = 0; round < r->rounds; round++) {
		pthread_barrier_wait(r->gate);
		r->results[round] = mkdir(path("%s/dir%d", r->c->nodes[r->node].mount, round), 0755) < 0 ? -errno : 0;
	}
	return NULL;
}

static void *remove_directories(void *arg)
{
	struct racer *r = arg;
	for (int round = 0; round < r->rounds; round++) {
		pthread_barrier_wait(r->gate);
		r->results[round] = rmdir(path("%s/dir%d", r->c->nodes[r->node].mount, round)) < 0 ? -errno : 0;
	}
	return NULL;
}

static void of_nodes_that_race_on_mkdir_and_on_rmdir_exactly_one_wins(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	struct racer racers[NODES];
	int count = rounds(200);
	race(c, count, make_directories, racers);
	expect_one_winner(racers, count, -EEXIST);
	race_done(racers);
	race(c, count, remove_directories, racers);
	expect_one_winner(racers, count, -ENOENT);
	race_done(racers);
}

static void *append_lines(void *arg)
{
	struct racer *r = arg;
	for (int round = 0; round < r->rounds && r->error == 0; round++)
		r->error = file_append(path("%s/log", r->c->nodes[r->node].mount), path("node %d line %d\n", r->node, round));
	return NULL;
}

static void no_line_that_three_nodes_append_is_lost_or_torn(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	struct racer racers[NODES];
	int count = rounds(1000);
	int next[NODES] = {0};
	int lines = 0;
	double begin = now_seconds();
	race(c, count, append_lines, racers);
	for (int i = 0; i < NODES; i++)
		assert_int_equal(racers[i].error, 0);
	race_done(racers);
	size_t size;
	char *text = file_load(path("%s/log", c->nodes[1].mount), &size);
	assert_non_null(text);
	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
		int node = -1;
		int number = -1;
		*end = '\0';
		if (sscanf(line, "node %d line %d", &node, &number) != 2 || node < 0 || node >= NODES || number != next[node]++)
			cluster_fail("line %d is: %s", lines, line);
	}
	free(text);
	assert_int_equal(lines, NODES * count);
	note("append: %d lines of three nodes in %.1f s", lines, now_seconds() - begin);
}

static void a_read_anywhere_right_after_a_close_elsewhere_sees_the_value(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	int count = rounds(10000);
	double begin = now_seconds();
	for (int round = 0; round < count; round++) {
		int writer = round % NODES;
		int reader = (round + 1 + (round / NODES) % 2) % NODES;
		char want[32];
		char got[64] = "";
		snprintf(want, sizeof(want), "%d", round);
		int error = file_write(path("%s/f", c->nodes[writer].mount), want);
		if (error < 0)
			cluster_fail("round %d: the write said %s", round, strerror(-error));
		ssize_t size = file_read(path("%s/f", c->nodes[reader].mount), got, sizeof(got));
		if (size < 0 || strcmp(got, want) != 0)
			cluster_fail("round %d: n%d wrote it, n%d read %s (%zd)", round, writer + 1, reader + 1, got, size);
	}
	note("close then read elsewhere: %d rounds in %.1f s, none stale", count, now_seconds() - begin);
}

static void a_directory_that_was_replaced_elsewhere_is_not_taken_for_the_new_one(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	assert_int_equal(mkdir(path("%s/d", c->nodes[0].mount), 0755), 0);
	int dir = open(path("%s/d", c->nodes[1].mount), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	assert_int_equal(rmdir(path("%s/d", c->nodes[0].mount)), 0);
	assert_int_equal(mkdir(path("%s/d", c->nodes[0].mount), 0755), 0);
	assert_int_equal(file_write(path("%s/d/f", c->nodes[0].mount), "new"), 0);
	assert_int_equal(openat(dir, "f", O_RDONLY | O_CLOEXEC), -1);
	assert_int_equal(unlinkat(dir, "f", 0), -1);
	assert_true(file_is(path("%s/d/f", c->nodes[1].mount), "new"));
	assert_int_equal(access(path("%s/d/f", c->nodes[1].mount), F_OK), 0);
	assert_int_equal(unlink(path("%s/d/f", c->nodes[0].mount)), 0);
	assert_int_equal(access(path("%s/d/f", c->nodes[1].mount), F_OK), -1);
	close(dir);
}

static void stat_readdir_and_getxattr_see_it_too(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	char names[64];
	int count = rounds(300);
	for (int round = 0; round < count; round++) {
		const char *there = c->nodes[round % NODES].mount;
		const char *here = c->nodes[(round + 1) % NODES].mount;
		struct stat st;
		assert_int_equal(file_put(path("%s/f", there), O_TRUNC, "xxxxxxxxxx", (size_t)(round % 10)), 0);
		assert_int_equal(stat(path("%s/f", here), &st), 0);
		assert_int_equal(st.st_size, round % 10);
		assert_true(xattr_number(path("%s/f", here), "user.tallyfs.version") > 0);
		assert_int_equal(rename(path("%s/f", there), path("%s/g%d", there, round)), 0);
		assert_int_equal(stat(path("%s/f", here), &st) < 0 ? errno : 0, ENOENT);
		dir_names(here, names, sizeof(names));
		assert_string_equal(names, path("g%d ", round));
		assert_int_equal(unlink(path("%s/g%d", here, round)), 0);
		assert_int_equal(stat(path("%s/g%d", there, round), &st) < 0 ? errno : 0, ENOENT);
	}
}

static void writers_of_different_ranges_on_different_nodes_merge(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	int count = rounds(100);
	for (int round = 0; round < count; round++) {
		int fds[NODES];
		char want[NODES * 4 + 1];
		assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "............"), 0);
		for (int i = 0; i < NODES; i++) {
			fds[i] = open(path("%s/f", c->nodes[i].mount), O_WRONLY | O_CLOEXEC);
			assert_true(fds[i] >= 0);
		}
		for (int i = 0; i < NODES; i++) {
			snprintf(want + i * 4, 5, "%c%03u", (char)('a' + i), (unsigned)round % 1000u);
			assert_int_equal(pwrite(fds[i], want + i * 4, 4, i * 4), 4);
		}
		for (int i = 0; i < NODES; i++)
			assert_int_equal(close(fds[i]), 0);
		for (int i = 0; i < NODES; i++)
			assert_true(file_is(path("%s/f", c->nodes[i].mount), want));
	}
}

struct watcher {
	const char *name;
	atomic_bool *over;
	int reads;
	char bad[64];
};

/* Every read must find one letter throughout, and never nothing. */
static void *watch_for_torn_content(void *arg)
{
	struct watcher *w = arg;
	char *buffer = malloc(70000);
	if (!buffer)
		abort();
	while (!atomic_load(w->over) && !w->bad[0]) {
		ssize_t got = file_read(w->name, buffer, 70000);
		if (got <= 0)
			snprintf(w->bad, sizeof(w->bad), "read gave %zd", got);
		for (ssize_t i = 1; i < got && !w->bad[0]; i++)
			if (buffer[i] != buffer[0])
				snprintf(w->bad, sizeof(w->bad), "%zd bytes; torn at %zd", got, i);
		if (got > 0 && got != (buffer[0] == 'a' ? 5000 : 60000) && !w->bad[0])
			snprintf(w->bad, sizeof(w->bad), "%c has %zd bytes", buffer[0], got);
		w->reads++;
	}
	free(buffer);
	return NULL;
}

static void readers_never_see_torn_or_empty_content(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	static char a[5000];
	static char b[60000];
	atomic_bool over = false;
	pthread_t threads[NODES];
	struct watcher watchers[NODES];
	char names[NODES][160];
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	assert_int_equal(file_put(path("%s/f", c->nodes[0].mount), O_TRUNC, a, sizeof(a)), 0);
	for (int i = 0; i < NODES; i++) {
		snprintf(names[i], sizeof(names[i]), "%s/f", c->nodes[i].mount);
		watchers[i] = (struct watcher){.name = names[i], .over = &over};
		assert_int_equal(pthread_create(&threads[i], NULL, watch_for_torn_content, &watchers[i]), 0);
	}
	int error = 0;
	for (int round = rounds(1000); round > 0 && error == 0; round--)
		error = round % 2 ? file_put(names[0], O_TRUNC, a, sizeof(a)) : file_put(names[1], O_TRUNC, b, sizeof(b));
	atomic_store(&over, true);
	for (int i = 0; i < NODES; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(error, 0);
	for (int i = 0; i < NODES; i++)
		if (watchers[i].bad[0] || watchers[i].reads == 0)
			cluster_fail("reader on n%d: %s after %d reads", i + 1, watchers[i].bad, watchers[i].reads);
	note("torn reads: none in %d", watchers[0].reads + watchers[1].reads + watchers[2].reads);
}

#define NEW_BYTES 3000

struct expecter {
	const char *mount;
	atomic_int *round; /* -1: over */
	int seen;
	char bad[64];
};

/* Each new file is read as long as it is the newest: it is not there, or it is whole. */
static void *expect_whole_or_absent(void *arg)
{
	struct expecter *e = arg;
	char buffer[NEW_BYTES + 10];
	int last = -1;
	for (int round; (round = atomic_load(e->round)) >= 0 && !e->bad[0];) {
		ssize_t got = file_read(path("%s/new%d", e->mount, round), buffer, sizeof(buffer));
		if (got != -ENOENT && got != NEW_BYTES)
			snprintf(e->bad, sizeof(e->bad), "new%d: read gave %zd", round, got);
		e->seen += got == NEW_BYTES && round != last;
		last = got == NEW_BYTES ? round : last;
	}
	return NULL;
}

static int create_whole(const char *name, const void *data)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	int error = write(fd, data, NEW_BYTES) == NEW_BYTES ? 0 : -EIO;
	return close(fd) < 0 ? -errno : error;
}

static void a_reader_elsewhere_never_sees_a_new_file_empty(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	static char data[NEW_BYTES];
	atomic_int newest = 0;
	pthread_t threads[2];
	struct expecter expecters[2];
	int count = rounds(200);
	int error = 0;
	memset(data, 'n', sizeof(data));
	assert_int_equal(file_put(path("%s/source", c->dir), O_TRUNC, data, sizeof(data)), 0);
	for (int i = 0; i < 2; i++) {
		expecters[i] = (struct expecter){.mount = c->nodes[i + 1].mount, .round = &newest};
		assert_int_equal(pthread_create(&threads[i], NULL, expect_whole_or_absent, &expecters[i]), 0);
	}
	for (int round = 0; round < count && error == 0; round++) {
		const char *name = path("%s/new%d", c->nodes[0].mount, round);
		uint64_t before = node_number(c, 0, "revision");
		atomic_store(&newest, round);
		if (round % 2) {
			struct run_result r;
			run_shell(&r, "cp %s/source %s", c->dir, name);
			error = r.status;
			run_done(&r);
		} else {
			error = create_whole(name, data);
		}
		if (error == 0 && node_number(c, 0, "revision") != before + 1)
			error = 1000;
	}
	atomic_store(&newest, -1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(error, 0);
	for (int i = 0; i < 2; i++)
		if (expecters[i].bad[0])
			cluster_fail("reader on n%d: %s", i + 2, expecters[i].bad);
	note("new files: %d rounds, seen whole %d times and never empty", count, expecters[0].seen + expecters[1].seen);
	assert_true(expecters[0].seen + expecters[1].seen > 0);
}

static void a_name_reserved_on_one_node_is_refused_on_the_others(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	char here[160];
	char there[160];
	struct stat st;
	snprintf(here, sizeof(here), "%s/lock", c->nodes[0].mount);
	snprintf(there, sizeof(there), "%s/lock", c->nodes[1].mount);
	int fd = open(here, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(stat(there, &st) < 0 ? errno : 0, ENOENT);
	assert_int_equal(try_open(there, O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(mkdir(there, 0755) < 0 ? errno : 0, EEXIST);
	assert_int_equal(unlink(here), 0);
	assert_int_equal(try_open(there, O_WRONLY | O_CREAT | O_EXCL), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(here), 0);
	/* Whoever does not insist may write, and the one who reserved it writes into that. */
	fd = open(here, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "HERE", 4), 4);
	assert_int_equal(file_write(there, "from there"), 0);
	assert_int_equal(close(fd), 0);
	assert_true(file_is(there, "HERE there"));
	assert_int_equal(unlink(there), 0);
	/* The boot of a node that dies ends what it had reserved, as soon as it is back. */
	fd = open(here, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	node_kill(c, 0);
	close(fd);
	cluster_leader(c);
	assert_int_equal(try_open(there, O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
	node_start(c, 0);
	assert_int_equal(file_write(path("%s/alive", c->nodes[0].mount), "x"), 0);
	assert_int_equal(try_open(there, O_WRONLY | O_CREAT | O_EXCL), 0);
	cluster_agree(c);
}

static void a_serial_mount_includes_its_own_writes_and_never_goes_back(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(NODES, NULL);
	snprintf(c->nodes[2].options, sizeof(c->nodes[2].options), "consistency=serial");
	cluster_start(c);
	char consistency[32];
	assert_true(node_field(c, 2, "consistency", consistency, sizeof(consistency)));
	assert_string_equal(consistency, "serial");
	int last = -1;
	for (int round = 0; round < rounds(500); round++) {
		char text[32];
		int writer = round % NODES;
		assert_int_equal(file_write(path("%s/f", c->nodes[writer].mount), path("%d", round)), 0);
		ssize_t got = file_read(path("%s/f", c->nodes[2].mount), text, sizeof(text));
		if (got == -ENOENT && last < 0)
			continue;
		assert_true(got > 0);
		int value = (int)strtoull(text, NULL, 10);
		if (value < last || (writer == 2 && value != round))
			cluster_fail("round %d: read %d after %d", round, value, last);
		last = value;
	}
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(what_one_mount_writes_the_others_read),
		STORY(of_nodes_that_race_on_o_excl_exactly_one_wins),
		STORY(of_nodes_that_race_on_mkdir_and_on_rmdir_exactly_one_wins),
		STORY(no_line_that_three_nodes_append_is_lost_or_torn),
		STORY(a_read_anywhere_right_after_a_close_elsewhere_sees_the_value),
		STORY(a_directory_that_was_replaced_elsewhere_is_not_taken_for_the_new_one),
		STORY(stat_readdir_and_getxattr_see_it_too),
		STORY(writers_of_different_ranges_on_different_nodes_merge),
		STORY(readers_never_see_torn_or_empty_content),
		STORY(a_reader_elsewhere_never_sees_a_new_file_empty),
		STORY(a_name_reserved_on_one_node_is_refused_on_the_others),
		STORY(a_serial_mount_includes_its_own_writes_and_never_goes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
