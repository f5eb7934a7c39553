/* A client against endpoints that answer, stall, or die as told. */
#include "base/clock.h"
#include "store/client/address.h"
#include "store/client/client.h"
#include "store/client/listener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVERS 3u
#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define HELD_MAX 64

/* A request that a slow server holds back. */
struct held {
	struct listener_route route;
	uint8_t type;
	int64_t due_ns;
};

struct server {
	char dir[128];
	struct listener listener;
	pthread_t thread;
	bool running;
	int64_t delay_ns;       /* of each answer */
	bool dies_of_a_request; /* closes without an answer */
	int error;              /* what it answers */
	atomic_bool stop;
	atomic_uint gets;
	atomic_uint puts;
	struct held held[HELD_MAX];
	unsigned held_count;
};

static char base_dir[64];
static struct server servers[SERVERS];

static void server_answer(struct server *s, const struct held *h)
{
	struct writer w = {0};

	response_encode_head(&w, &(struct response){.type = h->type, .error = s->error, .revision = 7});
	listener_reply(&s->listener, &h->route, (struct span){w.data, w.size}, (struct span){NULL, 0});
	writer_free(&w);
}

static void server_answer_due(struct server *s, int64_t now)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->held_count; i++) {
		if (s->held[i].due_ns <= now)
			server_answer(s, &s->held[i]);
		else
			s->held[kept++] = s->held[i];
	}
	s->held_count = kept;
}

static bool server_take(struct server *s, int64_t now)
{
	struct held *h = &s->held[s->held_count];
	struct request r;
	void *body;
	size_t size;

	if (s->held_count == HELD_MAX || listener_receive(&s->listener, &h->route, &body, &size) != 1)
		return false;
	assert_int_equal(request_decode((struct span){body, size}, &r), 0);
	h->type = r.type;
	h->due_ns = now + s->delay_ns;
	atomic_fetch_add(request_writes(r.type) ? &s->puts : &s->gets, 1);
	listener_message_free(body);
	s->held_count++;
	return true;
}

static void *server_run(void *ctx)
{
	struct server *s = ctx;

	while (!atomic_load(&s->stop)) {
		struct pollfd fd = {.fd = s->listener.receive_fd, .events = POLLIN};
		poll(&fd, 1, 1);
		int64_t now = clock_mono_ns();
		while (server_take(s, now)) {
			if (s->dies_of_a_request)
				goto out;
		}
		server_answer_due(s, now);
	}
out:
	listener_close(&s->listener);
	return NULL;
}

static void server_start(unsigned i)
{
	struct server *s = &servers[i];
	char url[ADDRESS_URL_MAX];
	int dir_fd;

	atomic_store(&s->stop, false);
	s->held_count = 0;
	assert_int_equal(address_ipc_url(s->dir, url, &dir_fd), 0);
	assert_int_equal(dir_fd, -1);
	assert_int_equal(listener_open(url, &s->listener), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
	s->running = true;
}

static void server_kill(unsigned i)
{
	if (!servers[i].running)
		return;
	atomic_store(&servers[i].stop, true);
	pthread_join(servers[i].thread, NULL);
	servers[i].running = false;
}

static int setup(void **state)
{
	(void)state;
	const char *tmp = getenv("TMPDIR");

	snprintf(base_dir, sizeof(base_dir), "%.40s/client-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(base_dir))
		return -1;
	for (unsigned i = 0; i < SERVERS; i++) {
		memset(&servers[i], 0, sizeof(servers[i]));
		servers[i].listener.socket = -1;
		snprintf(servers[i].dir, sizeof(servers[i].dir), "%s/n%u", base_dir, i);
		if (mkdir(servers[i].dir, 0700) < 0)
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char path[160];

	for (unsigned i = 0; i < SERVERS; i++) {
		server_kill(i);
		snprintf(path, sizeof(path), "%.100s/ctl", servers[i].dir);
		unlink(path);
		rmdir(servers[i].dir);
	}
	return rmdir(base_dir);
}

static void start_all(void)
{
	for (unsigned i = 0; i < SERVERS; i++)
		server_start(i);
}

/* A client of the first `count` servers; weights 3, 2, 1 if weighted. */
static struct client *open_client(unsigned count, enum balance_policy policy, int64_t timeout_ns)
{
	char endpoints[512] = "";
	char why[256];
	struct client *c = NULL;

	for (unsigned i = 0; i < count; i++) {
		size_t at = strlen(endpoints);
		snprintf(endpoints + at, sizeof(endpoints) - at, "%s%.100s*%u", i ? "," : "", servers[i].dir, 3 - i);
	}
	assert_int_equal(client_open(&(struct client_config){.endpoints = endpoints, .policy = policy, .timeout_ns = timeout_ns}, &c, why,
				     sizeof(why)),
			 0);
	return c;
}

static const struct request a_get = {.type = REQUEST_GET, .key = {"k", 1}};
static const struct request a_put = {.type = REQUEST_PUT, .key = {"k", 1}, .value = {"v", 1}};

static struct client_call any_call(void)
{
	return (struct client_call){.endpoint = CLIENT_ANY};
}

/* Reads, `at_once` of them out at a time. */
struct load {
	struct client *client;
	unsigned left;
	unsigned failed;
};
static struct load load;

static void load_next(struct client_call *call)
{
	if (call->error || call->response.error)
		load.failed++;
	client_call_done(call);
	if (load.left == 0)
		return;
	load.left--;
	*call = any_call();
	call->done = load_next;
	assert_int_equal(client_submit(load.client, call, &a_get), 0);
}

static unsigned run_load(struct client *c, unsigned count, unsigned at_once)
{
	static struct client_call calls[32];
	unsigned done = 0;

	load = (struct load){.client = c, .left = count - at_once};
	for (unsigned i = 0; i < at_once; i++) {
		calls[i] = any_call();
		calls[i].done = load_next;
		assert_int_equal(client_submit(c, &calls[i], &a_get), 0);
	}
	while (done < count)
		done += client_run(c, 10 * SECOND);
	return load.failed;
}

static uint64_t answered(struct client *c, unsigned i)
{
	struct client_stats stats;

	client_stats(c, i, &stats);
	assert_int_equal(stats.outstanding, 0);
	return stats.answered;
}

static void reads_fall_as_each_policy_says(void **state)
{
	(void)state;
	start_all();
	struct client *c = open_client(3, BALANCE_ROUND_ROBIN, 5 * SECOND);
	assert_int_equal(run_load(c, 3000, 16), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(answered(c, i), 950, 1050);
	client_close(c);

	c = open_client(3, BALANCE_WEIGHTED, 5 * SECOND);
	assert_int_equal(run_load(c, 600, 8), 0);
	assert_in_range(answered(c, 0), 285, 315);
	assert_in_range(answered(c, 1), 190, 210);
	assert_in_range(answered(c, 2), 95, 105);
	client_close(c);
}

static void a_slowed_endpoint_gets_fewer_under_least_connections(void **state)
{
	(void)state;
	/* So slow that on a busy machine, too, the others are much faster. */
	servers[1].delay_ns = 300 * MS;
	start_all();
	struct client *c = open_client(3, BALANCE_LEAST_CONNECTIONS, 5 * SECOND);
	assert_int_equal(run_load(c, 3000, 9), 0);
	assert_true(answered(c, 1) * 3 < answered(c, 0));
	assert_true(answered(c, 1) * 3 < answered(c, 2));
	client_close(c);
}

static void no_read_fails_when_an_endpoint_is_killed(void **state)
{
	(void)state;
	/* Slow enough to have requests in hand when it dies. */
	servers[0].delay_ns = 2 * MS;
	servers[2].delay_ns = 2 * MS;
	/* This one has not answered yet, however late it is killed. */
	servers[1].delay_ns = 60 * SECOND;
	start_all();
	struct client *c = open_client(3, BALANCE_ROUND_ROBIN, 30 * SECOND);
	static struct client_call calls[12];
	unsigned done = 0;
	int64_t begin = clock_mono_ns();

	for (unsigned i = 0; i < 12; i++) {
		calls[i] = any_call();
		assert_int_equal(client_submit(c, &calls[i], &a_get), 0);
	}
	while (atomic_load(&servers[1].gets) == 0)
		done += client_run(c, 5 * MS);
	server_kill(1);
	while (done < 12)
		done += client_run(c, SECOND);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(calls[i].error, 0);
		assert_int_not_equal(calls[i].endpoint, 1);
		client_call_done(&calls[i]);
	}
	assert_int_equal(run_load(c, 300, 8), 0);
	/* Seen at once, not waited for. */
	assert_true(clock_mono_ns() - begin < 8 * SECOND);
	assert_int_equal(answered(c, 1), 0);
	client_close(c);
}

static void an_endpoint_that_was_never_there_costs_a_read_nothing(void **state)
{
	(void)state;
	server_start(2);
	struct client *c = open_client(3, BALANCE_ROUND_ROBIN, 30 * SECOND);
	struct client_call call = any_call();
	int64_t begin = clock_mono_ns();

	assert_int_equal(client_call(c, &call, &a_get), 0);
	assert_int_equal(call.endpoint, 2);
	assert_true(clock_mono_ns() - begin < 8 * SECOND);
	client_call_done(&call);
	client_close(c);
}

static void an_endpoint_that_came_back_is_used_again(void **state)
{
	(void)state;
	server_start(0);
	struct client *c = open_client(2, BALANCE_ROUND_ROBIN, 5 * SECOND);
	assert_int_equal(run_load(c, 20, 4), 0);
	assert_int_equal(answered(c, 1), 0);
	server_start(1);
	int64_t begin = clock_mono_ns();
	while (answered(c, 1) == 0) {
		assert_true(clock_mono_ns() - begin < 20 * SECOND);
		assert_int_equal(run_load(c, 1, 1), 0);
	}
	client_close(c);
}

static void a_read_goes_on_from_an_endpoint_that_stalls(void **state)
{
	(void)state;
	servers[0].delay_ns = 60 * SECOND;
	server_start(0);
	server_start(1);
	/* Each endpoint has half of that, connecting included. */
	struct client *c = open_client(2, BALANCE_ROUND_ROBIN, 4 * SECOND);
	struct client_call call = any_call();

	assert_int_equal(client_call(c, &call, &a_get), 0);
	assert_int_equal(call.endpoint, 1);
	assert_int_equal(atomic_load(&servers[0].gets), 1);
	client_call_done(&call);
	client_close(c);
}

static void a_write_that_was_sent_is_never_sent_again(void **state)
{
	(void)state;
	servers[0].dies_of_a_request = true;
	start_all();
	struct client *c = open_client(3, BALANCE_ROUND_ROBIN, 30 * SECOND);
	struct client_call call = any_call();
	int64_t begin = clock_mono_ns();

	assert_int_equal(client_call(c, &call, &a_put), -ETIMEDOUT);
	assert_true(call.may_have_applied);
	assert_non_null(strstr(call.why, servers[0].dir));
	assert_int_equal(atomic_load(&servers[0].puts), 1);
	assert_int_equal(atomic_load(&servers[1].puts) + atomic_load(&servers[2].puts), 0);
	assert_true(clock_mono_ns() - begin < 8 * SECOND);
	client_call_done(&call);
	/* Other requests, of this client too, do not make it come up again. */
	assert_int_equal(run_load(c, 30, 4), 0);
	assert_int_equal(atomic_load(&servers[1].puts) + atomic_load(&servers[2].puts), 0);
	client_close(c);
}

static void a_write_without_an_answer_ends_in_time(void **state)
{
	(void)state;
	servers[0].delay_ns = 60 * SECOND;
	server_start(0);
	server_start(1);
	struct client *c = open_client(2, BALANCE_ROUND_ROBIN, 200 * MS);
	struct client_call call = any_call();
	int64_t begin = clock_mono_ns();

	assert_int_equal(client_call(c, &call, &a_put), -ETIMEDOUT);
	assert_true(call.may_have_applied);
	assert_in_range(clock_mono_ns() - begin, 200 * MS, 2 * SECOND);
	assert_int_equal(atomic_load(&servers[1].puts), 0);
	client_call_done(&call);
	client_close(c);
}

static void a_write_that_never_left_goes_elsewhere(void **state)
{
	(void)state;
	server_start(1);
	struct client *c = open_client(2, BALANCE_ROUND_ROBIN, 5 * SECOND);
	struct client_call call = any_call();

	assert_int_equal(client_call(c, &call, &a_put), 0);
	assert_int_equal(call.endpoint, 1);
	assert_int_equal(call.response.revision, 7);
	assert_int_equal(atomic_load(&servers[1].puts), 1);
	client_call_done(&call);
	client_close(c);
}

static void a_busy_endpoint_is_left_for_another_by_writes_too(void **state)
{
	(void)state;
	servers[0].error = -EBUSY;
	server_start(0);
	server_start(1);
	struct client *c = open_client(2, BALANCE_ROUND_ROBIN, 5 * SECOND);
	struct client_call call = any_call();

	assert_int_equal(client_call(c, &call, &a_put), 0);
	assert_int_equal(call.endpoint, 1);
	assert_int_equal(atomic_load(&servers[0].puts), 1);
	client_call_done(&call);
	client_close(c);
}

static void a_write_that_timed_out_in_the_cluster_is_not_tried_elsewhere(void **state)
{
	(void)state;
	servers[0].error = -ETIMEDOUT;
	server_start(0);
	server_start(1);
	struct client *c = open_client(2, BALANCE_ROUND_ROBIN, 5 * SECOND);
	struct client_call call = any_call();

	assert_int_equal(client_call(c, &call, &a_put), 0);
	assert_int_equal(call.response.error, -ETIMEDOUT);
	assert_int_equal(atomic_load(&servers[1].puts), 0);
	client_call_done(&call);
	/* A read is. */
	call = (struct client_call){.endpoint = 0};
	assert_int_equal(client_call(c, &call, &a_get), 0);
	assert_int_equal(call.response.error, 0);
	assert_int_equal(call.endpoint, 1);
	client_call_done(&call);
	client_close(c);
}

static void with_nobody_there_a_call_ends_in_time_and_says_why(void **state)
{
	(void)state;
	struct client *c = open_client(2, BALANCE_ROUND_ROBIN, 150 * MS);
	struct client_call call = any_call();
	int64_t begin = clock_mono_ns();

	assert_int_equal(client_call(c, &call, &a_put), -ETIMEDOUT);
	assert_false(call.may_have_applied);
	assert_non_null(strstr(call.why, "connection refused"));
	assert_in_range(clock_mono_ns() - begin, 150 * MS, 2 * SECOND);
	client_call_done(&call);
	client_close(c);
}

static void one_call_too_many_is_refused(void **state)
{
	(void)state;
	static struct client_call calls[CLIENT_CALLS_MAX + 1];
	struct client *c = open_client(1, BALANCE_ROUND_ROBIN, 50 * MS);
	unsigned done = 0;

	for (unsigned i = 0; i < CLIENT_CALLS_MAX; i++) {
		calls[i] = any_call();
		assert_int_equal(client_submit(c, &calls[i], &a_get), 0);
	}
	calls[CLIENT_CALLS_MAX] = any_call();
	assert_int_equal(client_submit(c, &calls[CLIENT_CALLS_MAX], &a_get), -EBUSY);
	while (done < CLIENT_CALLS_MAX)
		done += client_run(c, SECOND);
	for (unsigned i = 0; i < CLIENT_CALLS_MAX; i++)
		client_call_done(&calls[i]);
	client_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_fall_as_each_policy_says, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slowed_endpoint_gets_fewer_under_least_connections, setup, teardown),
		cmocka_unit_test_setup_teardown(no_read_fails_when_an_endpoint_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(an_endpoint_that_was_never_there_costs_a_read_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(an_endpoint_that_came_back_is_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_read_goes_on_from_an_endpoint_that_stalls, setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_that_was_sent_is_never_sent_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_without_an_answer_ends_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_that_never_left_goes_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(a_busy_endpoint_is_left_for_another_by_writes_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_that_timed_out_in_the_cluster_is_not_tried_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(with_nobody_there_a_call_ends_in_time_and_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(one_call_too_many_is_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
