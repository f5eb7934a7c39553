/* WATCH through a client and an endpoint: requests that wait for what comes. */
#include "store/client/client.h"
#include "store/client/endpoint.h"
#include "store/node.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define WATCHES 100

static char data[64];
static struct store *store;
static struct endpoint *endpoint;
static struct client *client;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	char why[256] = "";
	const char *tmp = getenv("TMPDIR");
	snprintf(data, sizeof(data), "%.40s/watch-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(data))
		return -1;
	const struct store_config config = {.data = data,
					    .name = "n1",
					    .timeout_ns = 5 * SECOND,
					    .heartbeat_ms = 20,
					    .election_ms = 100,
					    .max_file = 64u << 20,
					    .quota = 1u << 30};
	const struct client_config client_config = {.endpoints = data, .timeout_ns = 10 * SECOND};
	if (store_open(&config, &store, why, sizeof(why)) || endpoint_start(store, data, NULL, &endpoint, why, sizeof(why)) ||
	    client_open(&client_config, &client, why, sizeof(why)))
		fail_msg("%s", why);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	client_close(client);
	endpoint_stop(endpoint);
	store_close(store);
	return nftw(data, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct span text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static uint64_t put(const char *key)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	assert_int_equal(client_call(client, &call, &(struct request){.type = REQUEST_PUT, .key = text(key), .value = text("v")}), 0);
	assert_int_equal(call.response.error, 0);
	uint64_t revision = call.response.revision;
	client_call_done(&call);
	return revision;
}

static void ask(struct client_call *call, const char *key, uint8_t flags, uint64_t rev, uint64_t wait_ms)
{
	*call = (struct client_call){.endpoint = CLIENT_ANY};
	const struct request r = {.type = REQUEST_WATCH, .flags = flags, .rev = rev, .limit = wait_ms, .key = text(key)};
	assert_int_equal(client_submit(client, call, &r), 0);
}

static void wait_for(struct client_call *call)
{
	while (!call->finished)
		client_run(client, SECOND);
	assert_int_equal(call->error, 0);
}

static void what_has_happened_is_answered_at_once(void **state)
{
	(void)state;
	struct client_call call;
	uint64_t first = put("d/a");
	put("d/b");
	put("x");
	ask(&call, "d/", REQUEST_PREFIX, first, 60000);
	wait_for(&call);
	assert_int_equal(call.response.error, 0);
	assert_int_equal(call.response.kvs_count, 2);
	assert_int_equal(call.response.kvs[0].mod_revision, first);
	assert_memory_equal(call.response.kvs[0].key.data, "d/a", 3);
	assert_int_equal(call.response.kvs[1].mod_revision, first + 1);
	assert_int_equal(call.response.revision, first + 3);
	assert_int_equal(call.response.count, 0);
	client_call_done(&call);
}

static void what_is_still_to_come_is_waited_for(void **state)
{
	(void)state;
	struct client_call call;
	put("k");
	ask(&call, "k", 0, 0, 60000);
	assert_int_equal(client_run(client, SECOND / 20), 0);
	put("other");
	assert_false(call.finished);
	uint64_t revision = put("k");
	wait_for(&call);
	assert_int_equal(call.response.kvs_count, 1);
	assert_int_equal(call.response.kvs[0].mod_revision, revision);
	assert_int_equal(call.response.revision, revision + 1);
	client_call_done(&call);
}

static void a_wait_that_is_over_tells_where_to_go_on(void **state)
{
	(void)state;
	struct client_call call;
	uint64_t revision = put("k");
	ask(&call, "k", 0, 0, 0);
	wait_for(&call);
	assert_int_equal(call.response.kvs_count, 0);
	assert_int_equal(call.response.revision, revision + 1);
	client_call_done(&call);
	ask(&call, "k", 0, 0, 30);
	wait_for(&call);
	assert_int_equal(call.response.kvs_count, 0);
	client_call_done(&call);
	ask(&call, "a//b", 0, 0, 30);
	wait_for(&call);
	assert_int_equal(call.response.error, -EINVAL);
	client_call_done(&call);
}

static void what_was_compacted_is_refused_to_who_begins_though_it_is_remembered(void **state)
{
	(void)state;
	struct client_call call;
	uint64_t first = put("k");
	/* Read once, so that the node remembers it apart from the store. */
	ask(&call, "k", 0, first, 0);
	wait_for(&call);
	assert_int_equal(call.response.kvs_count, 1);
	client_call_done(&call);
	/* The store was empty at revision 1: to begin there is to begin with the first change. */
	ask(&call, "k", 0, 1, 0);
	wait_for(&call);
	assert_int_equal(call.response.error, 0);
	client_call_done(&call);
	uint64_t last = put("k");
	call = (struct client_call){.endpoint = CLIENT_ANY};
	assert_int_equal(client_call(client, &call, &(struct request){.type = REQUEST_COMPACT, .rev = last}), 0);
	assert_int_equal(call.response.error, 0);
	client_call_done(&call);
	ask(&call, "k", 0, first, 0);
	wait_for(&call);
	assert_int_equal(call.response.error, -ENODATA);
	assert_int_equal(call.response.revision, last + 1);
	client_call_done(&call);
	ask(&call, "k", 0, last + 1, 0);
	wait_for(&call);
	assert_int_equal(call.response.error, 0);
	client_call_done(&call);
	ask(&call, "k", 0, 1, 0);
	wait_for(&call);
	assert_int_equal(call.response.error, -ENODATA);
	client_call_done(&call);
}

static void many_wait_for_one_key_and_all_are_told(void **state)
{
	(void)state;
	static struct client_call calls[WATCHES];
	uint64_t first = put("k");
	for (int i = 0; i < WATCHES; i++)
		ask(&calls[i], i % 2 ? "k" : "never", 0, first + 1, i % 2 ? 60000 : 300);
	client_run(client, SECOND / 20);
	uint64_t revision = put("k");
	for (int i = 0; i < WATCHES; i++) {
		wait_for(&calls[i]);
		assert_int_equal(calls[i].response.kvs_count, i % 2);
		assert_int_equal(calls[i].response.revision, revision + 1);
		client_call_done(&calls[i]);
	}
	assert_int_equal(endpoint_counters(endpoint)->types[REQUEST_WATCH].requests, WATCHES);
}

static void an_endpoint_that_stops_ends_who_watches(void **state)
{
	(void)state;
	struct client_call call;
	ask(&call, "k", 0, 0, 60000);
	assert_int_equal(client_run(client, SECOND / 20), 0);
	endpoint_stop(endpoint);
	endpoint = NULL;
	while (!call.finished)
		client_run(client, SECOND);
	/* Told so; or, if the connection went faster than the answer, nobody answers any more. */
	assert_true(call.error == -ETIMEDOUT || call.response.error == -ESHUTDOWN);
	client_call_done(&call);
}

static void who_waits_when_the_node_is_found_to_have_diverged_is_told(void **state)
{
	(void)state;
	struct client_call call;
	ask(&call, "k", 0, 0, 60000);
	assert_int_equal(client_run(client, SECOND / 20), 0);
	atomic_store(&store->diverged, 7);
	/* There is no other endpoint to ask, so this is its answer. */
	wait_for(&call);
	assert_int_equal(call.response.error, -EIO);
	client_call_done(&call);
}

static void a_call_that_is_given_up_leaves_the_others_alone(void **state)
{
	(void)state;
	struct client_call given_up, kept;
	ask(&given_up, "k", 0, 0, 60000);
	ask(&kept, "k", 0, 0, 60000);
	assert_int_equal(client_run(client, SECOND / 20), 0);
	client_cancel(client, &given_up);
	client_call_done(&given_up);
	uint64_t revision = put("k");
	wait_for(&kept);
	assert_int_equal(kept.response.kvs[0].mod_revision, revision);
	client_call_done(&kept);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(what_has_happened_is_answered_at_once),
		STORY(what_is_still_to_come_is_waited_for),
		STORY(a_wait_that_is_over_tells_where_to_go_on),
		STORY(what_was_compacted_is_refused_to_who_begins_though_it_is_remembered),
		STORY(many_wait_for_one_key_and_all_are_told),
		STORY(an_endpoint_that_stops_ends_who_watches),
		STORY(who_waits_when_the_node_is_found_to_have_diverged_is_told),
		STORY(a_call_that_is_given_up_leaves_the_others_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
