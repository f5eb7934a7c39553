/* Clients over TCP when the cluster has a secret: what a seal covers, who is let in, and that nothing is carried out twice. */
#include "store/client/client.h"
#include "store/client/endpoint.h"
#include "store/client/gate.h"
#include "store/client/listener.h"
#include "store/client/channel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define WAIT_MS 10000
#define BODY "put k v"

static const struct span none;
static const struct span body = {BODY, sizeof(BODY)};

static struct secret *made(const char *content)
{
	struct secret *s = NULL;
	assert_int_equal(secret_new((struct span){content, strlen(content)}, &s), 0);
	return s;
}

/* --- the gate by itself --- */

struct scene {
	struct secret *ours;
	struct secret *theirs;
	struct gate *gate;
	struct writer message; /* of the client */
	struct writer reply;
	struct sealed_head sent;
	struct sealed_head asked;
	struct span passed;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	s->ours = made("this is our secret");
	s->theirs = made("this is their secret");
	s->gate = gate_new(s->ours);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	gate_free(s->gate);
	secret_free(s->ours);
	secret_free(s->theirs);
	writer_free(&s->message);
	writer_free(&s->reply);
	free(s);
	return 0;
}

/* The gate opens a message where it lies, so it gets a copy. */
static enum gate_verdict pass(struct scene *s, const void *bytes, size_t size)
{
	static uint8_t copy[4096];
	memcpy(copy, bytes, size);
	return gate_pass(s->gate, copy, size, &s->asked, &s->passed, &s->reply);
}

static enum gate_verdict pass_message(struct scene *s)
{
	return pass(s, s->message.data, s->message.size);
}

/* A session that was asked for and got. */
static void greet(struct scene *s, uint8_t session[SEALED_SESSION_BYTES])
{
	struct sealed_head got;
	struct span text;
	s->sent = (struct sealed_head){.kind = SEALED_HELLO};
	sealed_encode(s->ours, &s->sent, NULL, none, none, &s->message);
	assert_int_equal(pass_message(s), GATE_REPLY);
	assert_int_equal(sealed_decode(s->ours, s->reply.data, s->reply.size, s->sent.nonce, &got, &text), 0);
	assert_int_equal(got.kind, SEALED_SESSION);
	assert_int_equal(text.size, 0);
	memcpy(session, got.session, SEALED_SESSION_BYTES);
}

static void make_request(struct scene *s, const struct secret *secret, const uint8_t session[SEALED_SESSION_BYTES], uint64_t seq)
{
	s->sent = (struct sealed_head){.kind = SEALED_REQUEST, .seq = seq};
	memcpy(s->sent.session, session, SEALED_SESSION_BYTES);
	sealed_encode(secret, &s->sent, NULL, body, none, &s->message);
}

static void a_request_passes_in_its_session_and_its_answer_opens(void **state)
{
	struct scene *s = *state;
	uint8_t session[SEALED_SESSION_BYTES];
	struct sealed_head got;
	struct span text;
	greet(s, session);
	make_request(s, s->ours, session, 1);
	assert_null(memmem(s->message.data, s->message.size, BODY, 5));
	assert_int_equal(pass_message(s), GATE_PASS);
	assert_int_equal(s->passed.size, sizeof(BODY));
	assert_memory_equal(s->passed.data, BODY, sizeof(BODY));
	assert_true(gate_seal(s->gate, &s->asked, (struct span){"do", 2}, (struct span){"ne", 2}, &s->reply));
	assert_int_equal(sealed_decode(s->ours, s->reply.data, s->reply.size, s->sent.nonce, &got, &text), 0);
	assert_int_equal(got.kind, SEALED_ANSWER);
	assert_int_equal(text.size, 4);
	assert_memory_equal(text.data, "done", 4);
}

static void an_answer_opens_for_its_own_request_alone(void **state)
{
	struct scene *s = *state;
	uint8_t session[SEALED_SESSION_BYTES];
	struct sealed_head got;
	struct span text;
	struct writer copy = {0};
	greet(s, session);
	make_request(s, s->ours, session, 1);
	assert_int_equal(pass_message(s), GATE_PASS);
	gate_seal(s->gate, &s->asked, body, none, &s->reply);
	/* Recorded, and given as the answer to the next request, or as a request. */
	make_request(s, s->ours, session, 2);
	writer_raw(&copy, s->reply.data, s->reply.size);
	assert_int_equal(sealed_decode(s->ours, copy.data, copy.size, s->sent.nonce, &got, &text), -EACCES);
	writer_clear(&copy);
	writer_raw(&copy, s->reply.data, s->reply.size);
	assert_int_equal(pass(s, copy.data, copy.size), GATE_REFUSED);
	/* A request is no answer either. */
	assert_int_equal(sealed_decode(s->ours, s->message.data, s->message.size, s->sent.nonce, &got, &text), -EBADMSG);
	writer_free(&copy);
}

static void every_bit_of_a_request_is_covered(void **state)
{
	struct scene *s = *state;
	uint8_t session[SEALED_SESSION_BYTES], bad[256];
	greet(s, session);
	make_request(s, s->ours, session, 1);
	assert_true(s->message.size <= sizeof(bad));
	for (size_t bit = 0; bit < s->message.size * 8; bit++) {
		memcpy(bad, s->message.data, s->message.size);
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(pass(s, bad, s->message.size), GATE_REFUSED);
	}
	for (size_t size = 0; size < s->message.size; size++)
		assert_int_equal(pass(s, s->message.data, size), GATE_REFUSED);
	assert_int_equal(pass_message(s), GATE_PASS);
}

static void another_secret_or_none_is_refused_in_the_open(void **state)
{
	struct scene *s = *state;
	uint8_t session[SEALED_SESSION_BYTES];
	struct response r;
	greet(s, session);
	make_request(s, s->theirs, session, 1);
	assert_int_equal(pass_message(s), GATE_REFUSED);
	assert_int_equal(pass(s, BODY, sizeof(BODY)), GATE_REFUSED);
	assert_int_equal(response_decode((struct span){s->reply.data, s->reply.size}, &r), 0);
	assert_int_equal(r.error, -EACCES);
	assert_non_null(memmem(r.text.data, r.text.size, "--secret", 8));
}

static void a_request_passes_once(void **state)
{
	struct scene *s = *state;
	uint8_t session[SEALED_SESSION_BYTES], old[256];
	greet(s, session);
	make_request(s, s->ours, session, 1);
	size_t old_size = s->message.size;
	memcpy(old, s->message.data, old_size);
	assert_int_equal(pass(s, old, old_size), GATE_PASS);
	assert_int_equal(pass(s, old, old_size), GATE_REPLAYED);
	make_request(s, s->ours, session, 5);
	assert_int_equal(pass_message(s), GATE_PASS);
	assert_int_equal(pass(s, old, old_size), GATE_REPLAYED);
	make_request(s, s->ours, session, 4);
	assert_int_equal(pass_message(s), GATE_REPLAYED);
	make_request(s, s->ours, session, 6);
	assert_int_equal(pass_message(s), GATE_PASS);
}

/* Whatever the gate forgets, it does not take again: a name that it no longer knows gets a new session and nothing else. */
static void a_request_of_a_forgotten_session_or_an_earlier_boot_never_passes(void **state)
{
	struct scene *s = *state;
	uint8_t session[SEALED_SESSION_BYTES], other[SEALED_SESSION_BYTES], old[256];
	greet(s, session);
	make_request(s, s->ours, session, 1);
	size_t old_size = s->message.size;
	memcpy(old, s->message.data, old_size);
	assert_int_equal(pass(s, old, old_size), GATE_PASS);
	for (unsigned i = 0; i < GATE_SESSIONS - 1; i++)
		greet(s, other);
	assert_int_equal(pass(s, old, old_size), GATE_REPLAYED);
	greet(s, other);
	assert_int_equal(pass(s, old, old_size), GATE_REPLY);
	gate_free(s->gate);
	s->gate = gate_new(s->ours);
	assert_int_equal(pass(s, old, old_size), GATE_REPLY);
	make_request(s, s->ours, other, 1);
	assert_int_equal(pass_message(s), GATE_REPLY);
}

static void a_session_in_use_outlives_those_that_are_not(void **state)
{
	struct scene *s = *state;
	uint8_t session[SEALED_SESSION_BYTES], other[SEALED_SESSION_BYTES];
	greet(s, session);
	for (unsigned i = 0; i < 2 * GATE_SESSIONS; i++) {
		greet(s, other);
		if (i % 1000 == 0) {
			make_request(s, s->ours, session, i + 1);
			assert_int_equal(pass_message(s), GATE_PASS);
		}
	}
}

static void a_gate_without_a_secret_lets_plain_requests_pass_and_no_sealed_ones(void **state)
{
	struct scene *s = *state;
	uint8_t session[SEALED_SESSION_BYTES] = {0};
	gate_free(s->gate);
	s->gate = gate_new(NULL);
	assert_int_equal(pass(s, BODY, sizeof(BODY)), GATE_PASS);
	assert_int_equal(s->passed.size, sizeof(BODY));
	assert_false(gate_seal(s->gate, &s->asked, body, none, &s->reply));
	make_request(s, s->ours, session, 1);
	assert_int_equal(pass_message(s), GATE_REFUSED);
}

/* --- the whole path: client, endpoint and store of one node --- */

struct node {
	char dir[64];
	char tcp[64];
	struct secret *ours;
	struct secret *theirs;
	struct store *store;
	struct endpoint *endpoint;
	struct client *client;
	char why[256];
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void free_address(char address[64])
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
	snprintf(address, 64, "127.0.0.1:%u", ntohs(in.sin_port));
	close(fd);
}

static void node_open(struct node *n, const struct secret *secret)
{
	const struct store_config config = {.data = n->dir,
					    .name = "n1",
					    .timeout_ns = 5 * SECOND,
					    .heartbeat_ms = 20,
					    .election_ms = 100,
					    .max_file = 64u << 20,
					    .quota = 1u << 30,
					    .secret = secret};
	if (store_open(&config, &n->store, n->why, sizeof(n->why)) ||
	    endpoint_start(n->store, n->dir, n->tcp, &n->endpoint, n->why, sizeof(n->why)))
		fail_msg("%s", n->why);
}

static int node_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct node *n = calloc(1, sizeof(*n));
	snprintf(n->dir, sizeof(n->dir), "%.40s/seal-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(n->dir))
		return -1;
	n->ours = made("this is our secret");
	n->theirs = made("this is their secret");
	free_address(n->tcp);
	*state = n;
	return 0;
}

static int node_teardown(void **state)
{
	struct node *n = *state;
	char dir[64];
	client_close(n->client);
	endpoint_stop(n->endpoint);
	if (n->store)
		store_close(n->store);
	secret_free(n->ours);
	secret_free(n->theirs);
	memcpy(dir, n->dir, sizeof(dir));
	free(n);
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Asks over these endpoints with this secret; returns the call's error, or that of the response. */
static int ask(struct node *n, const char *endpoints, const struct secret *secret, const struct request *r, struct client_call *call)
{
	const struct client_config config = {.endpoints = endpoints, .timeout_ns = 10 * SECOND, .secret = secret};
	client_close(n->client);
	assert_int_equal(client_open(&config, &n->client, n->why, sizeof(n->why)), 0);
	*call = (struct client_call){.endpoint = CLIENT_ANY};
	int rc = client_call(n->client, call, r);
	return rc ? rc : call->response.error;
}

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static uint64_t refused(const struct node *n)
{
	struct store_status status;
	store_status(n->store, &status);
	return status.requests_refused;
}

static void a_client_with_the_secret_reads_and_writes(void **state)
{
	struct node *n = *state;
	struct client_call call;
	node_open(n, n->ours);
	size_t size = 5u << 20;
	char *big = malloc(size);
	memset(big, 'b', size);
	assert_int_equal(ask(n, n->tcp, n->ours, &(struct request){.type = REQUEST_PUT, .key = span_of("k"), .value = {big, size}}, &call),
			 0);
	client_call_done(&call);
	/* Over and over in one session, with answers large and small. */
	for (int i = 0; i < 20; i++) {
		const struct request r = {.type = REQUEST_GET, .key = span_of(i % 2 ? "k" : "none")};
		assert_int_equal(client_call(n->client, &call, &r), 0);
		assert_int_equal(call.response.kvs_count, i % 2);
		if (i % 2) {
			assert_int_equal(call.response.kvs[0].value.size, size);
			assert_memory_equal(call.response.kvs[0].value.data, big, size);
		}
		client_call_done(&call);
	}
	assert_int_equal(refused(n), 0);
	free(big);
}

static void a_client_without_it_or_with_another_is_refused_and_counted(void **state)
{
	struct node *n = *state;
	struct client_call call;
	const struct request r = {.type = REQUEST_PUT, .key = span_of("k"), .value = span_of("v")};
	node_open(n, n->ours);
	assert_int_equal(ask(n, n->tcp, NULL, &r, &call), -EACCES);
	assert_non_null(memmem(call.response.text.data, call.response.text.size, "--secret", 8));
	client_call_done(&call);
	assert_int_equal(refused(n), 1);
	assert_int_equal(ask(n, n->tcp, n->theirs, &r, &call), -EACCES);
	assert_false(call.may_have_applied);
	assert_non_null(strstr(call.why, "did not accept the secret"));
	client_call_done(&call);
	assert_int_equal(refused(n), 2);
	/* The local endpoint is guarded by the mode of its socket. */
	assert_int_equal(ask(n, n->dir, NULL, &r, &call), 0);
	client_call_done(&call);
	assert_int_equal(ask(n, n->dir, n->theirs, &r, &call), 0);
	client_call_done(&call);
	assert_int_equal(refused(n), 2);
}

static void a_secret_is_refused_where_there_is_none(void **state)
{
	struct node *n = *state;
	struct client_call call;
	const struct request r = {.type = REQUEST_GET, .key = span_of("k")};
	node_open(n, NULL);
	assert_int_equal(ask(n, n->tcp, n->ours, &r, &call), -EACCES);
	client_call_done(&call);
	assert_int_equal(refused(n), 1);
	assert_int_equal(ask(n, n->tcp, NULL, &r, &call), -ENOENT);
	client_call_done(&call);
}

/* A recorded request, sent again by somebody without the secret, over the same connection and over another. */
static void a_replayed_write_is_not_applied_again(void **state)
{
	struct node *n = *state;
	char url[80];
	int error = 0;
	struct writer request = {0};
	struct store_status status;
	node_open(n, n->ours);
	snprintf(url, sizeof(url), "tcp://%s", n->tcp);
	struct channel *c = channel_open(url, n->ours, &error), *attacker = channel_open(url, NULL, &error);
	assert_true(c && attacker);
	request_encode(&request, &(struct request){.type = REQUEST_PUT, .key = span_of("k"), .value = span_of("v")});
	const struct span bytes = {request.data, request.size};
	void *message = NULL;
	struct span got;
	for (int i = 0; i < WAIT_MS && channel_send(c, bytes) != 0; i++)
		poll(NULL, 0, 1);
	struct writer recorded = {0};
	writer_raw(&recorded, c->sealed.data, c->sealed.size);
	for (int i = 0; i < WAIT_MS && channel_receive(c, &message, &got) != 1; i++)
		poll(NULL, 0, 1);
	assert_non_null(message);
	channel_message_free(message);
	store_status(n->store, &status);
	uint64_t revision = status.revision;
	const struct span again = {recorded.data, recorded.size};
	for (int i = 0; i < WAIT_MS && channel_send(attacker, again) != 0; i++)
		poll(NULL, 0, 1);
	for (int i = 0; i < WAIT_MS && status.requests_replayed == 0; i++) {
		poll(NULL, 0, 1);
		store_status(n->store, &status);
	}
	assert_int_equal(status.requests_replayed, 1);
	assert_int_equal(status.revision, revision);
	channel_close(c);
	channel_close(attacker);
	/* Nor by the next boot of the node. */
	endpoint_stop(n->endpoint);
	n->endpoint = NULL;
	store_close(n->store);
	node_open(n, n->ours);
	store_status(n->store, &status);
	attacker = channel_open(url, NULL, &error);
	assert_non_null(attacker);
	for (int i = 0; i < WAIT_MS && channel_send(attacker, again) != 0; i++)
		poll(NULL, 0, 1);
	for (int i = 0; i < WAIT_MS && channel_receive(attacker, &message, &got) != 1; i++)
		poll(NULL, 0, 1);
	assert_true(sealed_is(got));
	channel_message_free(message);
	channel_close(attacker);
	struct client_call call;
	assert_int_equal(ask(n, n->tcp, n->ours, &(struct request){.type = REQUEST_GET, .key = span_of("k")}, &call), 0);
	assert_int_equal(call.response.kvs[0].version, 1);
	client_call_done(&call);
	writer_free(&request);
	writer_free(&recorded);
}

static void an_endpoint_beyond_this_machine_needs_a_secret(void **state)
{
	struct node *n = *state;
	node_open(n, NULL);
	endpoint_stop(n->endpoint);
	n->endpoint = NULL;
	assert_int_equal(endpoint_start(n->store, n->dir, "0.0.0.0:7999", &n->endpoint, n->why, sizeof(n->why)), -EACCES);
	assert_string_equal(n->why, "client=0.0.0.0:7999: not a loopback address, so it needs secret=");
}

int main(void)
{
#define GATE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NODE(f) cmocka_unit_test_setup_teardown(f, node_setup, node_teardown)
	const struct CMUnitTest tests[] = {
		GATE(a_request_passes_in_its_session_and_its_answer_opens),
		GATE(an_answer_opens_for_its_own_request_alone),
		GATE(every_bit_of_a_request_is_covered),
		GATE(another_secret_or_none_is_refused_in_the_open),
		GATE(a_request_passes_once),
		GATE(a_request_of_a_forgotten_session_or_an_earlier_boot_never_passes),
		GATE(a_session_in_use_outlives_those_that_are_not),
		GATE(a_gate_without_a_secret_lets_plain_requests_pass_and_no_sealed_ones),
		NODE(a_client_with_the_secret_reads_and_writes),
		NODE(a_client_without_it_or_with_another_is_refused_and_counted),
		NODE(a_secret_is_refused_where_there_is_none),
		NODE(a_replayed_write_is_not_applied_again),
		NODE(an_endpoint_beyond_this_machine_needs_a_secret),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
