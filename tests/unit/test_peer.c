/* Frames between members over real sockets on loopback. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "raft/peer.h"
#include "raft/peer_frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLUSTER 0xabcu
#define WAIT_MS 10000
#define STEP_MS 20

/* A listening socket on a port that was free; port 0 lets the kernel choose. */
static int plain_listener(uint16_t *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &size), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

static void free_address(char address[64])
{
	uint16_t port;
	close(plain_listener(&port));
	snprintf(address, 64, "127.0.0.1:%u", port);
}

/* Two members that know each other, 1 and 2. */
struct pair {
	char address[2][64];
	struct peer_member members[2];
	struct secret *secret; /* NULL: none */
	struct peer_net *net[2];
};

static int open_net(struct pair *p, int which, uint64_t cluster, uint64_t epoch, struct peer_net **out, char why[256])
{
	struct peer_config config = {
		.cluster_id = cluster,
		.self = (uint64_t)which + 1,
		.epoch = epoch,
		.listen = p->address[which],
		.members = p->members,
		.members_count = 2,
		.secret = p->secret,
	};
	return peer_net_open(&config, out, why, 256);
}

static void must_open(struct pair *p, int which, uint64_t cluster, uint64_t epoch)
{
	char why[256];
	int rc = open_net(p, which, cluster, epoch, &p->net[which], why);
	if (rc != 0)
		fail_msg("peer_net_open: %d %s", rc, why);
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	for (int i = 0; i < 2; i++) {
		free_address(p->address[i]);
		p->members[i] = (struct peer_member){(uint64_t)i + 1, p->address[i]};
	}
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;
	peer_net_close(p->net[0]);
	peer_net_close(p->net[1]);
	secret_free(p->secret);
	free(p);
	return 0;
}

static struct peer_stats stats(const struct peer_net *n)
{
	struct peer_stats s;
	peer_net_stats(n, &s);
	return s;
}

/* Waits, with a bound, for a frame at `n`. */
static bool receive(struct peer_net *n, struct peer_frame *f, int wait_ms)
{
	int64_t until = clock_mono_ns() + wait_ms * INT64_C(1000000);
	do {
		struct pollfd pfd = {.fd = peer_net_fd(n), .events = POLLIN};
		if (peer_net_receive(n, f) == 1)
			return true;
		poll(&pfd, 1, STEP_MS);
	} while (clock_mono_ns() < until);
	return false;
}

/* Sends until the connection stands and it goes through; the frame is `text`. */
static void send_text(struct peer_net *n, uint64_t to, const char *text)
{
	int64_t until = clock_mono_ns() + WAIT_MS * INT64_C(1000000);
	int rc;
	while ((rc = peer_net_send(n, to, PEER_RAFT, (struct span){text, strlen(text)})) == -EAGAIN && clock_mono_ns() < until)
		poll(NULL, 0, 1);
	assert_int_equal(rc, 0);
}

static void a_frame_reaches_the_member_it_is_for(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	must_open(p, 0, CLUSTER, 7);
	must_open(p, 1, CLUSTER, 8);
	send_text(p->net[0], 2, "hello");
	assert_true(receive(p->net[1], &f, WAIT_MS));
	assert_int_equal(f.from, 1);
	assert_int_equal(f.epoch, 7);
	assert_int_equal(f.kind, PEER_RAFT);
	assert_int_equal(f.payload.size, 5);
	assert_memory_equal(f.payload.data, "hello", 5);
	peer_frame_done(&f);
	send_text(p->net[1], 1, "");
	assert_true(receive(p->net[0], &f, WAIT_MS));
	assert_int_equal(f.from, 2);
	assert_int_equal(f.payload.size, 0);
	peer_frame_done(&f);
	assert_int_equal(stats(p->net[0]).sent, 1);
	assert_int_equal(stats(p->net[1]).received, 1);
	assert_int_equal(peer_net_receive(p->net[0], &f), 0);
}

static void a_burst_over_a_busy_connection_arrives_whole_and_in_order(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	enum { COUNT = 8 };
	uint8_t *big = malloc(PEER_PAYLOAD_MAX);
	must_open(p, 0, CLUSTER, 1);
	must_open(p, 1, CLUSTER, 1);
	send_text(p->net[0], 2, "first");
	assert_true(receive(p->net[1], &f, WAIT_MS));
	peer_frame_done(&f);
	uint64_t dropped_connecting = stats(p->net[0]).dropped;
	for (int i = 0; i < COUNT; i++) {
		memset(big, i, PEER_PAYLOAD_MAX);
		int rc = peer_net_send(p->net[0], 2, PEER_PROPOSE, (struct span){big, PEER_PAYLOAD_MAX});
		assert_int_equal(rc, 0);
	}
	int64_t until = clock_mono_ns() + WAIT_MS * INT64_C(1000000);
	for (int i = 0; i < COUNT && clock_mono_ns() < until;) {
		struct peer_frame none;
		assert_int_equal(peer_net_receive(p->net[0], &none), 0);
		if (!receive(p->net[1], &f, STEP_MS))
			continue;
		assert_int_equal(f.payload.size, PEER_PAYLOAD_MAX);
		memset(big, i, PEER_PAYLOAD_MAX);
		assert_memory_equal(f.payload.data, big, PEER_PAYLOAD_MAX);
		peer_frame_done(&f);
		i++;
	}
	assert_int_equal(stats(p->net[1]).received, COUNT + 1);
	assert_int_equal(stats(p->net[0]).dropped, dropped_connecting);
	free(big);
}

static void the_fd_is_readable_when_a_busy_connection_takes_more(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	uint8_t *big = calloc(1, PEER_PAYLOAD_MAX);
	must_open(p, 0, CLUSTER, 1);
	must_open(p, 1, CLUSTER, 1);
	send_text(p->net[0], 2, "first");
	assert_true(receive(p->net[1], &f, WAIT_MS));
	peer_frame_done(&f);
	uint64_t dropped_connecting = stats(p->net[0]).dropped;
	int sent = 0;
	while (sent < 1000 && peer_net_send(p->net[0], 2, PEER_RAFT, (struct span){big, PEER_PAYLOAD_MAX}) == 0)
		sent++;
	assert_in_range(sent, 7, 999);
	assert_int_equal(stats(p->net[0]).dropped, dropped_connecting + 1);
	for (int i = 0; i < sent; i++) {
		/* The sender moves only when its fd says so. */
		struct pollfd pfd = {.fd = peer_net_fd(p->net[0]), .events = POLLIN};
		while (poll(&pfd, 1, 0) == 1 && stats(p->net[0]).sent < (uint64_t)sent + 1)
			assert_int_equal(peer_net_receive(p->net[0], &(struct peer_frame){0}), 0);
		if (!receive(p->net[1], &f, STEP_MS)) {
			i--;
			continue;
		}
		peer_frame_done(&f);
	}
	assert_int_equal(stats(p->net[1]).received, (uint64_t)sent + 1);
	free(big);
}

static void a_member_that_is_away_costs_nothing_and_gets_nothing_stale(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	must_open(p, 0, CLUSTER, 1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(peer_net_send(p->net[0], 2, PEER_RAFT, (struct span){"x", 1}), -EAGAIN);
	assert_int_equal(stats(p->net[0]).dropped, 10);
	must_open(p, 1, CLUSTER, 1);
	send_text(p->net[0], 2, "now");
	assert_true(receive(p->net[1], &f, WAIT_MS));
	assert_memory_equal(f.payload.data, "now", 3);
	peer_frame_done(&f);
}

static void what_cannot_be_sent_is_refused(void **state)
{
	struct pair *p = *state;
	uint8_t *big = calloc(1, PEER_PAYLOAD_MAX + 1);
	must_open(p, 0, CLUSTER, 1);
	assert_int_equal(peer_net_send(p->net[0], 2, PEER_RAFT, (struct span){big, PEER_PAYLOAD_MAX + 1}), -EMSGSIZE);
	assert_int_equal(peer_net_send(p->net[0], 3, PEER_RAFT, (struct span){big, 1}), -ENOENT);
	assert_int_equal(peer_net_send(p->net[0], 1, PEER_RAFT, (struct span){big, 1}), -ENOENT);
	free(big);
}

static void wait_counted(struct peer_net *n, size_t field, uint64_t value)
{
	int64_t until = clock_mono_ns() + WAIT_MS * INT64_C(1000000);
	struct peer_frame f;
	struct peer_stats s;
	do {
		if (receive(n, &f, 1))
			fail_msg("a frame was accepted");
		s = stats(n);
	} while (*(uint64_t *)((char *)&s + field) < value && clock_mono_ns() < until);
	assert_int_equal(*(uint64_t *)((char *)&s + field), value);
	assert_int_equal(s.foreign + s.malformed + s.stale, value);
}

static void a_frame_of_another_cluster_is_counted_and_dropped(void **state)
{
	struct pair *p = *state;
	must_open(p, 0, CLUSTER, 1);
	must_open(p, 1, CLUSTER + 1, 1);
	send_text(p->net[1], 1, "intruder");
	wait_counted(p->net[0], offsetof(struct peer_stats, foreign), 1);
	assert_int_equal(stats(p->net[0]).received, 0);
}

/* A sender with no manners. */
static int raw_push(const char *address)
{
	char url[80];
	int timeout_ms = WAIT_MS;
	int s = nn_socket(AF_SP, NN_PUSH);
	snprintf(url, sizeof(url), "tcp://%s", address);
	assert_true(s >= 0);
	assert_true(nn_connect(s, url) >= 0);
	assert_int_equal(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &timeout_ms, sizeof(timeout_ms)), 0);
	return s;
}

static void push(int socket, const void *bytes, size_t size)
{
	assert_int_equal(nn_send(socket, bytes, size, 0), size);
}

struct small_frame {
	uint8_t bytes[PEER_FRAME_HEAD_BYTES + 4];
};

static struct small_frame frame_of(uint64_t from, uint64_t to, uint64_t epoch)
{
	struct small_frame f = {{0}};
	struct peer_frame_head h = {.kind = PEER_RAFT, .size = 4, .cluster_id = CLUSTER, .from = from, .to = to, .epoch = epoch, .seq = 1};
	memcpy(f.bytes + PEER_FRAME_HEAD_BYTES, "data", 4);
	peer_frame_encode(&h, NULL, f.bytes);
	return f;
}

static void malformed_bytes_are_counted_and_dropped(void **state)
{
	struct pair *p = *state;
	struct small_frame good = frame_of(2, 1, 1);
	struct peer_frame f;
	must_open(p, 0, CLUSTER, 1);
	int s = raw_push(p->address[0]);
	uint64_t bad = 0;
	/* Any flipped bit, in the header or the payload. */
	for (size_t i = 0; i < sizeof(good.bytes); i++) {
		struct small_frame broken = good;
		broken.bytes[i] ^= (uint8_t)(1u << i % 8);
		push(s, broken.bytes, sizeof(broken.bytes));
		bad++;
	}
	/* Any length but the right one. */
	for (size_t size = 0; size < sizeof(good.bytes); size += 5) {
		push(s, good.bytes, size);
		bad++;
	}
	uint8_t longer[sizeof(good.bytes) + 1] = {0};
	memcpy(longer, good.bytes, sizeof(good.bytes));
	push(s, longer, sizeof(longer));
	bad++;
	wait_counted(p->net[0], offsetof(struct peer_stats, malformed), bad);
	push(s, good.bytes, sizeof(good.bytes));
	assert_true(receive(p->net[0], &f, WAIT_MS));
	assert_memory_equal(f.payload.data, "data", 4);
	peer_frame_done(&f);
	nn_close(s);
}

static void a_frame_for_another_node_or_from_no_member_is_foreign(void **state)
{
	struct pair *p = *state;
	must_open(p, 0, CLUSTER, 1);
	int s = raw_push(p->address[0]);
	struct small_frame f = frame_of(2, 9, 1);
	push(s, f.bytes, sizeof(f.bytes));
	f = frame_of(9, 1, 1);
	push(s, f.bytes, sizeof(f.bytes));
	f = frame_of(1, 1, 1);
	push(s, f.bytes, sizeof(f.bytes));
	wait_counted(p->net[0], offsetof(struct peer_stats, foreign), 3);
	nn_close(s);
}

static void a_frame_of_an_older_boot_is_stale(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	must_open(p, 0, CLUSTER, 1);
	int s = raw_push(p->address[0]);
	for (uint64_t epoch = 4; epoch <= 5; epoch++) {
		struct small_frame raw = frame_of(2, 1, epoch);
		push(s, raw.bytes, sizeof(raw.bytes));
		assert_true(receive(p->net[0], &f, WAIT_MS));
		assert_int_equal(f.epoch, epoch);
		peer_frame_done(&f);
	}
	struct small_frame raw = frame_of(2, 1, 4);
	push(s, raw.bytes, sizeof(raw.bytes));
	wait_counted(p->net[0], offsetof(struct peer_stats, stale), 1);
	nn_close(s);
}

static void a_message_too_large_for_the_transport_does_no_harm(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	uint8_t *huge = calloc(1, 2 << 20);
	must_open(p, 0, CLUSTER, 1);
	int s = raw_push(p->address[0]);
	push(s, huge, 700 << 10);
	wait_counted(p->net[0], offsetof(struct peer_stats, malformed), 1);
	push(s, huge, 2 << 20);
	must_open(p, 1, CLUSTER, 1);
	send_text(p->net[1], 1, "alive");
	assert_true(receive(p->net[0], &f, WAIT_MS));
	assert_memory_equal(f.payload.data, "alive", 5);
	peer_frame_done(&f);
	nn_close(s);
	free(huge);
}

/* The other end of a PUSH socket, by hand: it takes the connection and what is said, and never answers. -1: none came in time. */
static int take_connection(int listener, int wait_ms)
{
	static const uint8_t hello[8] = {0, 'S', 'P', 0, 0, 0x51, 0, 0};
	struct pollfd pfd = {.fd = listener, .events = POLLIN};
	if (poll(&pfd, 1, wait_ms) != 1)
		return -1;
	int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, hello, sizeof(hello)), sizeof(hello));
	return fd;
}

/* Sends for so long; true if a second connection came meanwhile. */
static bool connects_anew(struct pair *p, int listener, int during_ms, int answers)
{
	const struct small_frame good = frame_of(2, 1, 1);
	struct peer_frame f;
	int64_t until = clock_mono_ns() + during_ms * INT64_C(1000000);
	while (clock_mono_ns() < until) {
		peer_net_send(p->net[0], 2, PEER_RAFT, (struct span){"x", 1});
		if (answers >= 0) {
			push(answers, good.bytes, sizeof(good.bytes));
			if (receive(p->net[0], &f, WAIT_MS))
				peer_frame_done(&f);
		}
		int fd = take_connection(listener, 50);
		if (fd < 0)
			continue;
		close(fd);
		return true;
	}
	return false;
}

static void a_link_that_brings_no_answer_is_connected_anew(void **state)
{
	struct pair *p = *state;
	uint16_t port;
	int listener = plain_listener(&port);
	snprintf(p->address[1], sizeof(p->address[1]), "127.0.0.1:%u", port);
	must_open(p, 0, CLUSTER, 1);
	int first = take_connection(listener, WAIT_MS);
	assert_true(first >= 0);
	/* Not while the member answers, though over its own connection. */
	int answers = raw_push(p->address[0]);
	assert_false(connects_anew(p, listener, 3000, answers));
	nn_close(answers);
	assert_true(connects_anew(p, listener, WAIT_MS, -1));
	close(first);
	close(listener);
}

static void a_port_that_another_node_has_is_refused_in_one_line(void **state)
{
	struct pair *p = *state;
	struct peer_net *other = NULL;
	char why[256] = "", expected[320];
	must_open(p, 0, CLUSTER, 1);
	assert_int_equal(open_net(p, 0, CLUSTER, 1, &other, why), -EADDRINUSE);
	assert_null(other);
	snprintf(expected, sizeof(expected), "listen=%s: the port is in use by another program; stop it or choose another port",
		 p->address[0]);
	assert_string_equal(why, expected);
}

static void a_port_that_another_program_has_is_refused(void **state)
{
	struct pair *p = *state;
	char why[256] = "";
	uint16_t port;
	int fd = plain_listener(&port);
	snprintf(p->address[0], sizeof(p->address[0]), "127.0.0.1:%u", port);
	assert_int_equal(open_net(p, 0, CLUSTER, 1, &p->net[0], why), -EADDRINUSE);
	assert_non_null(strstr(why, "in use"));
	close(fd);
	must_open(p, 0, CLUSTER, 1);
}

static void a_port_is_free_again_at_once_after_a_close(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	must_open(p, 0, CLUSTER, 1);
	must_open(p, 1, CLUSTER, 1);
	for (uint64_t epoch = 2; epoch < 5; epoch++) {
		/* What went into the connection that ended is lost: say it until it is heard. */
		int64_t until = clock_mono_ns() + WAIT_MS * INT64_C(1000000);
		bool heard = false;
		while (!heard && clock_mono_ns() < until) {
			send_text(p->net[1], 1, "again");
			heard = receive(p->net[0], &f, STEP_MS);
		}
		assert_true(heard);
		peer_frame_done(&f);
		peer_net_close(p->net[0]);
		p->net[0] = NULL;
		must_open(p, 0, CLUSTER, epoch);
	}
}

static void an_address_that_is_none_is_refused_by_name(void **state)
{
	static const char *const bad[] = {
		"",      "127.0.0.1", ":7701", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:77x", "127.0.0.1:-1",
		"a b:1", "::1:7701"};
	struct pair *p = *state;
	char why[256], listen[64];
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(listen, sizeof(listen), "%s", p->address[0]);
		snprintf(p->address[0], sizeof(p->address[0]), "%s", bad[i]);
		assert_int_equal(open_net(p, 0, CLUSTER, 1, &p->net[0], why), -EINVAL);
		assert_non_null(strstr(why, "listen="));
		assert_non_null(strstr(why, bad[i]));
		snprintf(p->address[0], sizeof(p->address[0]), "%s", listen);
		p->members[1].address = bad[i];
		assert_int_equal(open_net(p, 0, CLUSTER, 1, &p->net[0], why), -EINVAL);
		assert_non_null(strstr(why, "member address"));
		p->members[1].address = p->address[1];
	}
}

static void an_address_of_another_machine_cannot_be_listened_on(void **state)
{
	struct pair *p = *state;
	char why[256];
	snprintf(p->address[0], sizeof(p->address[0]), "192.0.2.1:7701");
	assert_int_equal(secret_new((struct span){"sixteen bytes it", 16}, &p->secret), 0);
	assert_int_equal(open_net(p, 0, CLUSTER, 1, &p->net[0], why), -EADDRNOTAVAIL);
	assert_string_equal(why, "listen=192.0.2.1:7701: this machine does not have that address");
}

static void a_host_may_be_a_name(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	char port[16];
	snprintf(port, sizeof(port), "%s", strchr(p->address[0], ':'));
	snprintf(p->address[0], sizeof(p->address[0]), "localhost%s", port);
	must_open(p, 0, CLUSTER, 1);
#ifdef __SANITIZE_THREAD__
	/* The C library looks names up in a thread that this sanitizer does not know of, and crashes in: connect by number here. */
	snprintf(p->address[0], sizeof(p->address[0]), "127.0.0.1%s", port);
#endif
	must_open(p, 1, CLUSTER, 1);
	send_text(p->net[1], 1, "named");
	assert_true(receive(p->net[0], &f, WAIT_MS));
	peer_frame_done(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* --- links that change --- */

static void a_member_that_is_added_is_reached_and_one_that_is_left_out_is_not(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	must_open(p, 0, CLUSTER, 1);
	must_open(p, 1, CLUSTER, 1);
	assert_int_equal(peer_net_set_members(p->net[0], &p->members[0], 1), 0); /* only itself */
	assert_int_equal(peer_net_send(p->net[0], 2, PEER_RAFT, (struct span){"x", 1}), -ENOENT);
	uint64_t foreign = stats(p->net[0]).foreign;
	send_text(p->net[1], 1, "x");
	assert_false(receive(p->net[0], &f, 100));
	assert_true(stats(p->net[0]).foreign > foreign);
	assert_int_equal(peer_net_set_members(p->net[0], p->members, 2), 0);
	send_text(p->net[1], 1, "y");
	assert_true(receive(p->net[0], &f, WAIT_MS));
	assert_true(f.known);
	peer_frame_done(&f);
	send_text(p->net[0], 2, "z");
	assert_true(receive(p->net[1], &f, WAIT_MS));
	peer_frame_done(&f);
}

static void a_changed_address_is_connected_to_anew(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	char old[64];
	must_open(p, 0, CLUSTER, 1);
	memcpy(old, p->address[1], sizeof(old));
	free_address(p->address[1]);
	must_open(p, 1, CLUSTER, 1); /* where nobody expects it */
	assert_int_equal(peer_net_send(p->net[0], 2, PEER_RAFT, (struct span){"x", 1}), -EAGAIN);
	assert_int_equal(peer_net_set_members(p->net[0], p->members, 2), 0);
	send_text(p->net[0], 2, "y");
	assert_true(receive(p->net[1], &f, WAIT_MS));
	assert_memory_equal(f.payload.data, "y", 1);
	peer_frame_done(&f);
}

static void an_address_that_cannot_be_used_does_not_keep_the_others_out(void **state)
{
	struct pair *p = *state;
	struct peer_member members[3] = {{3, "nonsense"}, p->members[0], p->members[1]};
	must_open(p, 0, CLUSTER, 1);
	assert_int_equal(peer_net_set_members(p->net[0], members, 3), -EINVAL);
	assert_int_equal(peer_net_send(p->net[0], 3, PEER_RAFT, (struct span){"x", 1}), -ENOENT);
	must_open(p, 1, CLUSTER, 1);
	send_text(p->net[0], 2, "y");
}

static void whoever_joins_is_heard_though_it_is_no_member_and_nothing_else_of_it_is(void **state)
{
	struct pair *p = *state;
	struct peer_frame f;
	char why[256], address[64];
	free_address(address);
	must_open(p, 0, CLUSTER, 1);
	struct peer_config config = {.cluster_id = 0, .self = 99, .listen = address, .secret = p->secret};
	assert_int_equal(peer_net_open(&config, &p->net[1], why, sizeof(why)), 0);
	int64_t until = clock_mono_ns() + WAIT_MS * INT64_C(1000000);
	bool heard = false;
	while (!heard && clock_mono_ns() < until) {
		peer_net_send_to(p->net[1], p->address[0], 5, PEER_RAFT, (struct span){"r", 1});
		peer_net_send_to(p->net[1], p->address[0], 5, PEER_MEMBERS, (struct span){"m", 1});
		peer_net_send_to(p->net[1], p->address[0], 5, PEER_JOIN, (struct span){"j", 1});
		heard = receive(p->net[0], &f, 50);
	}
	assert_true(heard);
	assert_int_equal(f.kind, PEER_JOIN);
	assert_int_equal(f.from, 99);
	assert_false(f.known);
	peer_frame_done(&f);
	/* The connection may have come between two sends, so that the first to arrive was who joins. */
	while (stats(p->net[0]).foreign == 0 && clock_mono_ns() < until) {
		peer_net_send_to(p->net[1], p->address[0], 5, PEER_RAFT, (struct span){"r", 1});
		if (receive(p->net[0], &f, STEP_MS)) {
			assert_int_equal(f.kind, PEER_JOIN);
			peer_frame_done(&f);
		}
	}
	assert_true(stats(p->net[0]).foreign >= 1);
	/* A stranger of the cluster itself may tell who its members are. */
	peer_net_become(p->net[1], CLUSTER, 99, 1);
	heard = false;
	while (!heard && clock_mono_ns() < until) {
		peer_net_send_to(p->net[1], p->address[0], 1, PEER_MEMBERS, (struct span){"m", 1});
		while (!heard && receive(p->net[0], &f, 50)) {
			heard = f.kind == PEER_MEMBERS;
			peer_frame_done(&f);
		}
	}
	assert_true(heard);
	assert_false(f.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_reaches_the_member_it_is_for),
		TEST(a_burst_over_a_busy_connection_arrives_whole_and_in_order),
		TEST(the_fd_is_readable_when_a_busy_connection_takes_more),
		TEST(a_member_that_is_away_costs_nothing_and_gets_nothing_stale),
		TEST(what_cannot_be_sent_is_refused),
		TEST(a_frame_of_another_cluster_is_counted_and_dropped),
		TEST(malformed_bytes_are_counted_and_dropped),
		TEST(a_frame_for_another_node_or_from_no_member_is_foreign),
		TEST(a_frame_of_an_older_boot_is_stale),
		TEST(a_message_too_large_for_the_transport_does_no_harm),
		TEST(a_link_that_brings_no_answer_is_connected_anew),
		TEST(a_port_that_another_node_has_is_refused_in_one_line),
		TEST(a_port_that_another_program_has_is_refused),
		TEST(a_port_is_free_again_at_once_after_a_close),
		TEST(an_address_that_is_none_is_refused_by_name),
		TEST(an_address_of_another_machine_cannot_be_listened_on),
		TEST(a_host_may_be_a_name),
		TEST(a_member_that_is_added_is_reached_and_one_that_is_left_out_is_not),
		TEST(a_changed_address_is_connected_to_anew),
		TEST(an_address_that_cannot_be_used_does_not_keep_the_others_out),
		TEST(whoever_joins_is_heard_though_it_is_no_member_and_nothing_else_of_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
