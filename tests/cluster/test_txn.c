/* tallyctl txn, as a script uses it, and what it is for: several nodes that change the same keys and lose nothing. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void run_txn(const struct cluster *c, int node, const char *output, const char *text, struct run_result *r)
{
	const char *const argv[] = {tallyctl_binary(), "--endpoints", c->nodes[node].data, "--output", output, "txn", NULL};
	run_command(r, argv, text, strlen(text), CLUSTER_WAIT_MS);
}

/* On success nothing is on stderr; else one line, which begins so. */
static void expect(const struct cluster *c, int line, const char *text, int status, const char *out, const char *err)
{
	struct run_result r;
	run_txn(c, 0, "text", text, &r);
	const char *end = strchr(r.err, '\n');
	bool said = status == 0 ? r.err_size == 0 : end && end[1] == '\0' && strncmp(r.err, err, strlen(err)) == 0;
	if (r.status != status || strcmp(r.out, out) != 0 || !said)
		cluster_fail("line %d: status %d, said: %s, and on stderr: %s", line, r.status, r.out, r.err);
	run_done(&r);
}

static void a_transaction_speaks_as_etcdctl_does(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *create = "create(\"cfg/lock\") = \"0\"\n\n"
			     "put cfg/lock \"mine, with blanks\"\nput cfg/other 'x'\n\n"
			     "get cfg/lock\n";
	expect(c, __LINE__, create, 0, "SUCCESS\n\nOK\n\nOK\n", "");
	expect(c, __LINE__, create, 0, "FAILURE\n\ncfg/lock\nmine, with blanks\n", "");
	assert_true(file_is(path("%s/cfg/lock", c->nodes[0].mount), "mine, with blanks"));
	expect(c, __LINE__, "value(cfg/other) = x\n\nget nosuch\ndel cfg/ --prefix\nget cfg/other\ndel nosuch\n", 0,
	       "SUCCESS\n\n\n2\n\n\n0\n", "");
	expect(c, __LINE__, "", 0, "SUCCESS\n", "");
	expect(c, __LINE__, "mod(k) > 0\nput k v\n", 2, "", "tallyctl: line 2: ");
	expect(c, __LINE__, "\nput k v\nput k w\n", 1, "", "tallyctl: txn: a key is not valid, or written twice");
	expect(c, __LINE__, "\nput k@12 v\n", 1, "", "tallyctl: k@12: a name reserved");
	expect(c, __LINE__, "\nput k v\nput k/below v\n", 1, "", "tallyctl: txn: a part of its path is a file");
	struct run_result r;
	run_txn(c, 0, "json", "\nput k v\nget k\ndel nosuch\nget nosuch\n", &r);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "\"succeeded\":true,\"responses\":[\n{\"put\":{}},\n{\"get\":{\"kvs\":[{\"key\":\"k\","));
	assert_non_null(
		strstr(r.out, "\"value\":\"v\"}],\"count\":1}},\n{\"delete\":{\"deleted\":0}},\n{\"get\":{\"kvs\":[],\"count\":0}}]}\n"));
	run_done(&r);
}

static void what_is_too_large_is_refused(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	size_t size = 500000;
	char *text = malloc(size + 16);
	assert_non_null(text);
	memset(text, 'v', size + 15);
	memcpy(text, "\nput k ", 7);
	text[size] = '\0';
	expect(c, __LINE__, text, 1, "", "tallyctl: txn: 500");
	size_t at = 1;
	for (int i = 0; i < 1100; i++)
		at += (size_t)snprintf(text + at, size - at, "put many/%d %d\n", i, i);
	struct run_result r;
	run_txn(c, 0, "text", text, &r);
	assert_int_equal(r.status, 0);
	run_done(&r);
	tallyctl(c, 0, &r, "get", "many/", "--prefix", "--count-only", NULL);
	assert_string_equal(r.out, "1100\n");
	run_done(&r);
	free(text);
}

#define COUNTERS 3

struct counting {
	const struct cluster *cluster;
	int node;
	int rounds;
	bool failed;
	char why[300];
};

/* Adds one to a counter by comparing and swapping until it succeeds. */
static bool count_once(struct counting *g)
{
	char text[256];
	for (int tries = 0; tries < 1000; tries++) {
		struct run_result r;
		tallyctl(g->cluster, g->node, &r, "get", "counter", NULL);
		int was = (int)strtol(r.out, NULL, 10);
		run_done(&r);
		snprintf(text, sizeof(text), "value(counter) = %d\n\nput counter %d\n", was, was + 1);
		run_txn(g->cluster, g->node, "text", text, &r);
		bool won = r.status == 0 && strncmp(r.out, "SUCCESS", 7) == 0;
		bool lost = r.status == 0 && strncmp(r.out, "FAILURE", 7) == 0;
		if (!won && !lost)
			snprintf(g->why, sizeof(g->why), "status %d: %s", r.status, r.err);
		run_done(&r);
		if (won || !lost)
			return won;
	}
	return false;
}

static void *counter_run(void *arg)
{
	struct counting *g = arg;
	for (int i = 0; i < g->rounds && !g->failed; i++)
		g->failed = !count_once(g);
	return NULL;
}

static void counters_on_three_nodes_lose_no_update(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	pthread_t threads[COUNTERS];
	struct counting all[COUNTERS];
	struct run_result r;
	tallyctl(c, 0, &r, "put", "counter", "0", NULL);
	run_done(&r);
	int each = rounds(20);
	for (int i = 0; i < COUNTERS; i++) {
		all[i] = (struct counting){.cluster = c, .node = i, .rounds = each};
		assert_int_equal(pthread_create(&threads[i], NULL, counter_run, &all[i]), 0);
	}
	for (int i = 0; i < COUNTERS; i++) {
		pthread_join(threads[i], NULL);
		if (all[i].failed)
			cluster_fail("a counter: %s", all[i].why);
	}
	assert_true(file_is(path("%s/counter", c->nodes[2].mount), path("%d", COUNTERS * each)));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_transaction_speaks_as_etcdctl_does),
		STORY(what_is_too_large_is_refused),
		STORY(counters_on_three_nodes_lose_no_update),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
