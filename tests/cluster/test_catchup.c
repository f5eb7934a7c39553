/* A node that was away for so long that the log does not reach back to it: it gets a snapshot while the others go on, whatever dies meanwhile. */
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

#define LARGE_BYTES (4u << 20)
#define LARGE_FILES 30 /* 120 MiB: the log keeps 64 */
#define WAIT_MS 60000

/* Content that differs from file to file and from place to place. */
static char *large_content(unsigned number)
{
	uint32_t *content = malloc(LARGE_BYTES);
	uint32_t x = number * 2654435761u + 1;
	for (size_t i = 0; i < LARGE_BYTES / sizeof(*content); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		content[i] = x;
	}
	return (char *)content;
}

static void write_large(const struct cluster *c, int node, unsigned from, unsigned count)
{
	for (unsigned n = from; n < from + count; n++) {
		char *content = large_content(n);
		int rc = file_put(path("%s/large%u", c->nodes[node].mount, n), O_TRUNC, content, LARGE_BYTES);
		if (rc < 0)
			cluster_fail("large%u: %s", n, strerror(-rc));
		free(content);
	}
}

static void must_hold_large(const struct cluster *c, int node, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		size_t size;
		char *wanted = large_content(n);
		char *got = file_load(path("%s/large%u", c->nodes[node].mount, n), &size);
		if (!got || size != LARGE_BYTES || memcmp(got, wanted, size) != 0)
			cluster_fail("large%u differs on n%d", n, node + 1);
		free(got);
		free(wanted);
	}
}

static bool log_says(const struct cluster *c, int node, const char *what)
{
	size_t size;
	char *log = file_load(c->nodes[node].log, &size);
	bool found = log && strstr(log, what);
	free(log);
	return found;
}

struct asked {
	const struct cluster *c;
	int node;
	const char *what;
};

static bool says(void *ctx)
{
	const struct asked *a = ctx;
	return log_says(a->c, a->node, a->what);
}

static void wait_for_log(struct cluster *c, int node, const char *what)
{
	struct asked a = {c, node, what};
	if (!wait_until(says, &a, WAIT_MS))
		cluster_fail("n%d did not say \"%s\"", node + 1, what);
}

static bool log_is_short(void *ctx)
{
	const struct asked *a = ctx;
	return node_number(a->c, a->node, "wal_bytes") <= 112u << 20;
}

/* Stops node `away` with kill -9, and has the others write so much that the log does not reach back to it. */
static void leave_behind(struct cluster *c, int away, int writer)
{
	cluster_agree(c);
	node_kill(c, away);
	write_large(c, writer, 0, LARGE_FILES);
	struct asked a = {c, writer, NULL};
	if (!wait_until(log_is_short, &a, WAIT_MS))
		cluster_fail("the log was not trimmed");
}

static bool has_part(void *ctx)
{
	const struct asked *a = ctx;
	struct stat st;
	return stat(path("%s/store.new/data.mdb", a->c->nodes[a->node].data), &st) == 0 && st.st_size > 24 << 20;
}

/* Waits until a fifth or so of the snapshot is there. */
static void wait_for_part(struct cluster *c, int node)
{
	struct asked a = {c, node, NULL};
	if (!wait_until(has_part, &a, WAIT_MS))
		cluster_fail("no snapshot came to n%d", node + 1);
	assert_false(log_says(c, node, "a snapshot is in place"));
}

/* What the log says last about where a snapshot goes on. */
static unsigned long long resumed_from(const struct cluster *c, int node)
{
	size_t size;
	unsigned long long from = 0;
	char *log = file_load(c->nodes[node].log, &size);
	for (char *at = log; at && (at = strstr(at, "taking a snapshot")); at++)
		sscanf(at, "taking a snapshot as of entry %*u, about %*u bytes, from %llu", &from);
	free(log);
	return from;
}

struct writing {
	const char *mount;
	atomic_bool over;
	atomic_int done;
	double worst;
};

static void *keep_writing(void *arg)
{
	struct writing *w = arg;
	for (int n = 0; !atomic_load(&w->over); n++) {
		double began = now_seconds();
		if (file_write(path("%s/small%d", w->mount, n % 100), path("%d", n)) < 0)
			break;
		double took = now_seconds() - began;
		w->worst = took > w->worst ? took : w->worst;
		atomic_fetch_add(&w->done, 1);
	}
	return NULL;
}

static void a_node_away_for_long_gets_a_snapshot_while_writing_goes_on(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int leader = cluster_leader(c), away = (leader + 1) % 3;
	pthread_t thread;
	assert_int_equal(file_write(path("%s/old", c->nodes[leader].mount), "old"), 0);
	leave_behind(c, away, leader);
	struct writing w = {.mount = c->nodes[leader].mount};
	assert_int_equal(pthread_create(&thread, NULL, keep_writing, &w), 0);
	double began = now_seconds();
	node_start(c, away);
	wait_for_log(c, away, "a snapshot is in place");
	double took = now_seconds() - began;
	int done = atomic_load(&w.done);
	atomic_store(&w.over, true);
	pthread_join(thread, NULL);
	if (done < 10)
		cluster_fail("only %d small files were written meanwhile", done);
	cluster_agree(c);
	must_hold_large(c, away, LARGE_FILES);
	assert_true(file_is(path("%s/old", c->nodes[away].mount), "old"));
	assert_int_equal(file_write(path("%s/new", c->nodes[away].mount), "new"), 0);
	assert_int_equal(node_end(c, away), 0);
	node_start(c, away);
	cluster_agree(c);
	assert_true(file_is(path("%s/new", c->nodes[away].mount), "new"));
	assert_int_equal(access(path("%s/store.old", c->nodes[away].data), F_OK), -1);
	assert_int_equal(access(path("%s/store.new", c->nodes[away].data), F_OK), -1);
	note("%u MiB behind: in place after %.1f s; %d small files were written meanwhile, the slowest in %.0f ms", LARGE_FILES * 4, took,
	     done, w.worst * 1000);
}

static void a_receiver_killed_in_the_middle_goes_on_from_there(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int leader = cluster_leader(c), away = (leader + 1) % 3;
	leave_behind(c, away, leader);
	node_start(c, away);
	wait_for_part(c, away);
	node_kill(c, away);
	node_start(c, away);
	wait_for_log(c, away, "a snapshot is in place");
	unsigned long long from = resumed_from(c, away);
	if (from == 0)
		cluster_fail("it began anew");
	note("goes on from byte %llu", from);
	cluster_agree(c);
	must_hold_large(c, away, LARGE_FILES);
}

static void the_leader_killed_in_the_middle_is_no_more_than_a_delay(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int leader = cluster_leader(c), away = (leader + 1) % 3;
	leave_behind(c, away, leader);
	node_start(c, away);
	wait_for_part(c, away);
	node_kill(c, leader);
	node_start(c, leader);
	wait_for_log(c, away, "a snapshot is in place");
	cluster_agree(c);
	must_hold_large(c, away, LARGE_FILES);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_node_away_for_long_gets_a_snapshot_while_writing_goes_on),
		STORY(a_receiver_killed_in_the_middle_goes_on_from_there),
		STORY(the_leader_killed_in_the_middle_is_no_more_than_a_delay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
