/* A write that is on its way when its leader dies is carried out once, and nobody hears of it: no error, nothing lost, nothing twice. */
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

#define WRITERS 6
#define LINE_BYTES 16

/* Appends lines through a mount, or puts keys with tallyctl, each with its number. */
struct writer {
	const struct cluster *cluster;
	int node;
	int id;
	bool by_mount;
	atomic_bool *stop;
	atomic_int done; /* acknowledged: 0 to done - 1 */
	char error[300];
};

static void append_line(struct writer *w)
{
	char line[LINE_BYTES + 1];
	snprintf(line, sizeof(line), "w%02d-%011d\n", w->id, w->done);
	int rc = file_append(path("%s/shared.log", w->cluster->nodes[w->node].mount), line);
	if (rc < 0)
		snprintf(w->error, sizeof(w->error), "append %d of writer %d: %s", w->done, w->id, strerror(-rc));
}

static void put_key(struct writer *w)
{
	struct run_result r;
	tallyctl(w->cluster, w->node, &r, "put", path("keys/w%d-%d", w->id, w->done), path("%d", w->done), NULL);
	if (r.status != 0)
		snprintf(w->error, sizeof(w->error), "put %d of writer %d: status %d: %s", w->done, w->id, r.status, r.err);
	run_done(&r);
}

static void *write_on(void *arg)
{
	struct writer *w = arg;
	while (!atomic_load(w->stop) && !w->error[0]) {
		if (w->by_mount)
			append_line(w);
		else
			put_key(w);
		w->done += !w->error[0];
	}
	return NULL;
}

static int occurrences(const char *text, const char *of)
{
	int count = 0;
	for (const char *at = strstr(text, of); at; at = strstr(at + 1, of))
		count++;
	return count;
}

static void check_lines(const struct cluster *c, int node, const struct writer *writers)
{
	size_t size = 0;
	char *log = file_load(path("%s/shared.log", c->nodes[node].mount), &size);
	assert_non_null(log);
	size_t lines = 0;
	for (int i = 0; i < WRITERS; i++) {
		lines += writers[i].by_mount ? (size_t)writers[i].done : 0;
		for (int n = 0; writers[i].by_mount && n < writers[i].done; n++) {
			int times = occurrences(log, path("w%02d-%011d\n", i, n));
			if (times != 1)
				cluster_fail("line %d of writer %d is there %d times", n, i, times);
		}
	}
	assert_int_equal(size, lines * LINE_BYTES);
	free(log);
}

static void check_keys(const struct cluster *c, int node, const struct writer *writers)
{
	struct run_result r;
	tallyctl(c, node, &r, "get", "keys/", "--prefix", "--keys-only", "--output", "json", NULL);
	assert_int_equal(r.status, 0);
	int keys = 0;
	for (int i = 0; i < WRITERS; i++) {
		keys += writers[i].by_mount ? 0 : writers[i].done;
		for (int n = 0; !writers[i].by_mount && n < writers[i].done; n++)
			if (occurrences(r.out, path("\"keys/w%d-%d\"", i, n)) != 1)
				cluster_fail("put %d of writer %d is lost", n, i);
	}
	/* One version each: nothing was applied twice. */
	assert_int_equal(occurrences(r.out, "\"version\":1,"), keys);
	assert_int_equal(occurrences(r.out, "\"version\":"), keys);
	run_done(&r);
}

static bool have_all_begun(void *ctx)
{
	const struct writer *writers = ctx;
	for (int i = 0; i < WRITERS; i++)
		if (writers[i].done < 5 && !writers[i].error[0])
			return false;
	return true;
}

static void writes_outlive_their_leader_once_and_without_an_error(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=20s");
	atomic_bool stop = false;
	pthread_t threads[WRITERS];
	struct writer writers[WRITERS] = {{0}};
	int leader = cluster_leader(c);
	assert_int_equal(file_write(path("%s/shared.log", c->nodes[leader].mount), ""), 0);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.cluster = c, .node = (leader + 1 + i % 2) % 3, .id = i, .by_mount = i < 4, .stop = &stop};
		assert_int_equal(pthread_create(&threads[i], NULL, write_on, &writers[i]), 0);
	}
	bool begun = wait_until(have_all_begun, writers, CLUSTER_WAIT_MS);
	int before = writers[0].done;
	node_kill(c, leader);
	cluster_leader(c);
	node_start(c, leader);
	atomic_store(&stop, true);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(begun);
	assert_true(writers[0].done > before);
	for (int i = 0; i < WRITERS; i++)
		if (writers[i].error[0])
			cluster_fail("%s", writers[i].error);
	for (int node = 0; node < 3; node++) {
		check_lines(c, node, writers);
		check_keys(c, node, writers);
	}
	note("%d appends and %d puts of one of each writer, a dead leader in between", writers[0].done, writers[5].done);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(writes_outlive_their_leader_once_and_without_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
