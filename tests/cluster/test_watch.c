/* tallyctl watch: every change once and in order, whatever happens to the node that told it. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct lines {
	const char *log;
	const char *expected;
};

static bool are_there(void *ctx)
{
	struct lines *l = ctx;
	return file_is(l->log, l->expected);
}

static void wait_for_lines(const char *log, const char *expected)
{
	struct lines l = {log, expected};
	if (wait_until(are_there, &l, CLUSTER_WAIT_MS))
		return;
	char *got = file_load(log, &(size_t){0});
	cluster_fail("the watcher said:\n%s\nand not:\n%s", got ? got : "nothing", expected);
}

static int start_watch(const struct cluster *c, const char *endpoints, const char *log, const char *key, const char *rev)
{
	(void)c;
	const char *const argv[] = {tallyctl_binary(), "--endpoints", endpoints, "watch", key, "--prefix", "--rev", rev, NULL};
	int pid = run_spawn(argv, log);
	assert_true(pid > 0);
	return pid;
}

static void end_watch(int pid)
{
	int status;
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_true(run_wait(pid, CLUSTER_WAIT_MS, &status));
	assert_int_equal(status, 0);
}

static unsigned long put(const struct cluster *c, int node, const char *key, const char *value)
{
	struct run_result r;
	tallyctl(c, node, &r, "put", key, value, NULL);
	if (r.status != 0)
		cluster_fail("put: %s", r.err);
	unsigned long revision = strtoul(r.out + strlen("revision "), NULL, 10);
	run_done(&r);
	return revision;
}

static void what_happens_below_a_directory_is_told_line_by_line(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	const char *log = path("%s/watched", c->dir);
	int rev = (int)node_number(c, 0, "revision");
	int pid = start_watch(c, c->nodes[0].data, log, "d/", path("%d", rev + 1));
	assert_int_equal(mkdir(path("%s/d", m), 0755), 0);
	assert_int_equal(file_write(path("%s/d/a b", m), "x"), 0);
	assert_int_equal(file_append(path("%s/d/a b", m), "y"), 0);
	assert_int_equal(file_write(path("%s/elsewhere", m), "x"), 0);
	assert_int_equal(rename(path("%s/d/a b", m), path("%s/d/c", m)), 0);
	assert_int_equal(unlink(path("%s/d/c", m)), 0);
	wait_for_lines(log, path("%d\tput\td/a\\ b\n%d\tput\td/a\\ b\n%d\trename\td/a\\ b\td/c\n%d\tdelete\td/c\n", rev + 2, rev + 3,
				 rev + 5, rev + 6));
	end_watch(pid);
}

static void a_watcher_outlives_every_endpoint_in_turn(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=10s");
	const char *log = path("%s/watched", c->dir);
	const char *endpoints = path("%s,%s,%s", c->nodes[0].data, c->nodes[1].data, c->nodes[2].data);
	char expected[16384];
	size_t size = 0;
	unsigned long first = put(c, 0, "k", "first");
	int pid = start_watch(c, endpoints, log, "k", path("%lu", first));
	size += (size_t)snprintf(expected, sizeof(expected), "%lu\tput\tk\n", first);
	for (int i = 0; i < 9; i++) {
		int victim = i % 3;
		for (int n = 0; n < 10; n++) {
			if (n == 3)
				node_kill(c, victim);
			size += (size_t)snprintf(expected + size, sizeof(expected) - size, "%lu\tput\tk\n",
						 put(c, (victim + 1) % 3, "k", "v"));
			put(c, (victim + 2) % 3, "other", "v");
		}
		node_start(c, victim);
		wait_for_lines(log, expected);
	}
	end_watch(pid);
}

static void who_fell_behind_compaction_is_told(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct run_result r;
	unsigned long first = put(c, 0, "k", "1");
	for (int i = 0; i < 3; i++)
		put(c, 0, "k", "2");
	tallyctl(c, 0, &r, "compact", path("%lu", first + 2), NULL);
	assert_int_equal(r.status, 0);
	run_done(&r);
	tallyctl(c, 0, &r, "watch", "k", "--rev", path("%lu", first + 1), NULL);
	assert_int_equal(r.status, 1);
	assert_string_equal(r.out, "");
	assert_string_equal(r.err, path("tallyctl: the changes of revision %lu have been compacted: the oldest are those of %lu\n",
					first + 1, first + 3));
	run_done(&r);
	/* What is left is told, and what a watcher has seen before it is compacted is no loss. */
	const char *log = path("%s/watched", c->dir);
	int pid = start_watch(c, c->nodes[0].data, log, "k", path("%lu", first + 3));
	wait_for_lines(log, path("%lu\tput\tk\n", first + 3));
	put(c, 0, "k", "3");
	tallyctl(c, 0, &r, "compact", path("%lu", first + 4), NULL);
	assert_int_equal(r.status, 0);
	run_done(&r);
	put(c, 0, "k", "4");
	wait_for_lines(log, path("%lu\tput\tk\n%lu\tput\tk\n%lu\tput\tk\n", first + 3, first + 4, first + 5));
	end_watch(pid);
}

static void forty_watchers_of_one_node_are_all_told(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	int pids[40];
	int count = rounds(40);
	int rev = (int)node_number(c, 0, "revision");
	for (int i = 0; i < count; i++)
		pids[i] = start_watch(c, c->nodes[0].data, path("%s/watched%d", c->dir, i), "k", path("%d", rev + 1));
	unsigned long one = put(c, 0, "k", "1");
	unsigned long two = put(c, 0, "k", "2");
	for (int i = 0; i < count; i++) {
		wait_for_lines(path("%s/watched%d", c->dir, i), path("%lu\tput\tk\n%lu\tput\tk\n", one, two));
		end_watch(pids[i]);
	}
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(what_happens_below_a_directory_is_told_line_by_line),
		STORY(a_watcher_outlives_every_endpoint_in_turn),
		STORY(who_fell_behind_compaction_is_told),
		STORY(forty_watchers_of_one_node_are_all_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
