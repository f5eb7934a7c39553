/* Reads over three endpoints fall as the policy says, and none fails when an endpoint does. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"
#include "store/client/client.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES 3
#define READS 3000
#define OUTSTANDING 12
#define TIMEOUT_NS INT64_C(10000000000)

static struct cluster *serving_cluster(void)
{
	cluster_require();
	struct cluster *c = cluster_new(NODES, NULL);
	for (int i = 0; i < NODES; i++)
		c->nodes[i].client_port = free_port();
	cluster_start(c);
	assert_int_equal(file_write(path("%s/k", c->nodes[0].mount), "value"), 0);
	cluster_agree(c);
	return c;
}

/* `weights` may be NULL. */
static struct client *client_of(const struct cluster *c, enum balance_policy policy, const char *const *weights)
{
	char endpoints[256] = "";
	char why[256] = "";
	struct client *client = NULL;
	size_t at = 0;
	for (int i = 0; i < NODES; i++)
		at += (size_t)snprintf(endpoints + at, sizeof(endpoints) - at, "%s127.0.0.1:%d%s", i ? "," : "", c->nodes[i].client_port,
				       weights ? weights[i] : "");
	struct client_config config = {.endpoints = endpoints, .policy = policy, .timeout_ns = TIMEOUT_NS, .seed = 7};
	if (client_open(&config, &client, why, sizeof(why)) < 0)
		cluster_fail("client_open: %s", why);
	return client;
}

/* What the calls of one test share: each that ends makes room for the next. */
static struct {
	struct client *client;
	struct request request;
	int to_submit;
	int ended;
	int failed;
	char why[CLIENT_WHY_MAX + 64];
} reads;

static void read_done(struct client_call *call);

static void submit_next(struct client_call *call)
{
	memset(call, 0, sizeof(*call));
	call->endpoint = CLIENT_ANY;
	call->done = read_done;
	reads.to_submit--;
	if (client_submit(reads.client, call, &reads.request) < 0)
		abort();
}

static void read_done(struct client_call *call)
{
	const struct response *r = &call->response;
	reads.ended++;
	if (call->error != 0 || r->error != 0 || r->kvs_count != 1 || r->kvs[0].value.size != 5 ||
	    memcmp(r->kvs[0].value.data, "value", 5) != 0) {
		reads.failed++;
		snprintf(reads.why, sizeof(reads.why), "error %d, response %d: %s", call->error, call->error ? 0 : r->error, call->why);
	}
	client_call_done(call);
	if (reads.to_submit > 0)
		submit_next(call);
}

/* READS reads with `outstanding` at a time; calls at_third(ctx) after a third of them. */
static void read_all(struct client *client, int flags, int outstanding, void (*at_third)(void *ctx), void *ctx)
{
	static struct client_call calls[OUTSTANDING];
	memset(&reads, 0, sizeof(reads));
	reads.client = client;
	reads.request = (struct request){.type = REQUEST_GET, .flags = (uint8_t)flags, .key = {"k", 1}};
	reads.to_submit = READS;
	for (int i = 0; i < outstanding; i++)
		submit_next(&calls[i]);
	while (reads.ended < READS) {
		if (at_third && reads.ended >= READS / 3) {
			at_third(ctx);
			at_third = NULL;
		}
		if (client_run(client, 2 * TIMEOUT_NS) == 0)
			cluster_fail("no read ended in time: %d of %d", reads.ended, READS);
	}
	if (reads.failed)
		cluster_fail("%d reads failed; the last: %s", reads.failed, reads.why);
}

static int answered(const struct client *client, int endpoint)
{
	struct client_stats s;
	client_stats(client, (unsigned)endpoint, &s);
	return (int)s.answered;
}

static void expect_share(const struct client *client, const int *want, int tolerance)
{
	for (int i = 0; i < NODES; i++)
		if (abs(answered(client, i) - want[i]) > tolerance)
			cluster_fail("shares %d %d %d, wanted %d %d %d", answered(client, 0), answered(client, 1), answered(client, 2),
				     want[0], want[1], want[2]);
}

static void round_robin_gives_each_endpoint_a_third(void **state)
{
	(void)state;
	struct cluster *c = serving_cluster();
	static const int want[NODES] = {READS / 3, READS / 3, READS / 3};
	for (int flags = 0; flags <= REQUEST_SERIAL; flags += REQUEST_SERIAL) {
		struct client *client = client_of(c, BALANCE_ROUND_ROBIN, NULL);
		double begin = now_seconds();
		read_all(client, flags, OUTSTANDING, NULL, NULL);
		expect_share(client, want, READS / 3 / 20);
		note("round robin, %s: %d %d %d in %.2f s", flags ? "serial" : "linearizable", answered(client, 0), answered(client, 1),
		     answered(client, 2), now_seconds() - begin);
		client_close(client);
	}
}

static void random_gives_each_endpoint_about_a_third(void **state)
{
	(void)state;
	struct cluster *c = serving_cluster();
	static const int want[NODES] = {READS / 3, READS / 3, READS / 3};
	struct client *client = client_of(c, BALANCE_RANDOM, NULL);
	read_all(client, REQUEST_SERIAL, OUTSTANDING, NULL, NULL);
	expect_share(client, want, 150); /* six standard deviations */
	client_close(client);
}

static void weighted_gives_each_endpoint_its_weight(void **state)
{
	(void)state;
	struct cluster *c = serving_cluster();
	static const char *const weights[NODES] = {"*3", "*2", ""};
	static const int want[NODES] = {READS / 2, READS / 3, READS / 6};
	struct client *client = client_of(c, BALANCE_WEIGHTED, weights);
	read_all(client, REQUEST_SERIAL, OUTSTANDING, NULL, NULL);
	expect_share(client, want, READS / 6 / 20);
	client_close(client);
}

struct slowing {
	int pid;
	atomic_bool over;
};

/* Lets the process work for a few milliseconds out of fifty. */
static void *slow_down(void *arg)
{
	struct slowing *s = arg;
	const struct timespec stopped = {.tv_nsec = 45000000};
	const struct timespec working = {.tv_nsec = 5000000};
	while (!atomic_load(&s->over)) {
		kill(s->pid, SIGSTOP);
		nanosleep(&stopped, NULL);
		kill(s->pid, SIGCONT);
		nanosleep(&working, NULL);
	}
	return NULL;
}

static void least_connections_goes_away_from_a_slow_endpoint(void **state)
{
	(void)state;
	struct cluster *c = serving_cluster();
	int slow = (cluster_leader(c) + 1) % NODES;
	struct slowing s = {.pid = c->nodes[slow].pid};
	pthread_t thread;
	struct client *client = client_of(c, BALANCE_LEAST_CONNECTIONS, NULL);
	assert_int_equal(pthread_create(&thread, NULL, slow_down, &s), 0);
	read_all(client, REQUEST_SERIAL, OUTSTANDING, NULL, NULL);
	atomic_store(&s.over, true);
	pthread_join(thread, NULL);
	note("least connections: %d %d %d, n%d was slow", answered(client, 0), answered(client, 1), answered(client, 2), slow + 1);
	assert_true(answered(client, slow) < READS / 6);
	client_close(client);
}

struct killing {
	struct cluster *c;
	int node;
};

static void kill_it(void *ctx)
{
	struct killing *k = ctx;
	node_kill(k->c, k->node);
}

static void no_read_fails_when_an_endpoint_is_killed(void **state)
{
	(void)state;
	struct cluster *c = serving_cluster();
	for (int policy = BALANCE_ROUND_ROBIN; policy <= BALANCE_WEIGHTED; policy++) {
		/* The leader too: then the others must elect before a linearizable read can be answered. */
		struct killing k = {c, policy == BALANCE_ROUND_ROBIN ? cluster_leader(c) : (cluster_leader(c) + 1) % NODES};
		struct client *client = client_of(c, (enum balance_policy)policy, NULL);
		read_all(client, 0, OUTSTANDING, kill_it, &k);
		client_close(client);
		node_start(c, k.node);
		cluster_leader(c);
	}
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(round_robin_gives_each_endpoint_a_third),  STORY(random_gives_each_endpoint_about_a_third),
		STORY(weighted_gives_each_endpoint_its_weight),  STORY(least_connections_goes_away_from_a_slow_endpoint),
		STORY(no_read_fails_when_an_endpoint_is_killed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
