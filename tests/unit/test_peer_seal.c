/* Sealed frames between members: who takes what, and the window against repetitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "raft/peer.h"
#include "raft/peer_frame.h"
#include "raft/peer_window.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLUSTER 0xabcu
#define WAIT_MS 10000
#define PAYLOAD "vote for me"

static struct secret *made(const char *content)
{
	struct secret *s = NULL;
	assert_int_equal(secret_new((struct span){content, strlen(content)}, &s), 0);
	return s;
}

/* Two secrets, a listening member 1 whose only peer is 2, and a bare socket to it. */
struct scene {
	struct secret *ours;
	struct secret *theirs;
	char address[64];
	struct peer_net *net;
	int socket;
};

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

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	s->ours = made("this is our secret");
	s->theirs = made("this is their secret");
	s->socket = -1;
	free_address(s->address);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	if (s->socket >= 0)
		nn_close(s->socket);
	peer_net_close(s->net);
	secret_free(s->ours);
	secret_free(s->theirs);
	free(s);
	return 0;
}

static void listen_with(struct scene *s, const struct secret *secret)
{
	char why[256], url[80], peer[64];
	int timeout_ms = WAIT_MS;
	free_address(peer);
	const struct peer_member members[2] = {{1, s->address}, {2, peer}};
	struct peer_config config = {
		.cluster_id = CLUSTER,
		.self = 1,
		.epoch = 1,
		.listen = s->address,
		.members = members,
		.members_count = 2,
		.secret = secret,
	};
	if (peer_net_open(&config, &s->net, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	s->socket = nn_socket(AF_SP, NN_PUSH);
	snprintf(url, sizeof(url), "tcp://%s", s->address);
	assert_true(nn_connect(s->socket, url) >= 0);
	assert_int_equal(nn_setsockopt(s->socket, NN_SOL_SOCKET, NN_SNDTIMEO, &timeout_ms, sizeof(timeout_ms)), 0);
}

struct frame {
	uint8_t bytes[256];
	size_t size;
};

static struct frame frame_of(const struct secret *secret, uint64_t epoch, uint64_t seq)
{
	struct peer_frame_head h = {
		.kind = PEER_RAFT, .size = sizeof(PAYLOAD), .cluster_id = CLUSTER, .from = 2, .to = 1, .epoch = epoch, .seq = seq};
	struct frame f = {.size = peer_frame_bytes(secret, sizeof(PAYLOAD))};
	memcpy(f.bytes + peer_frame_payload(secret), PAYLOAD, sizeof(PAYLOAD));
	peer_frame_encode(&h, secret, f.bytes);
	return f;
}

static enum peer_frame_verdict verdict(struct frame f, const struct secret *secret)
{
	struct peer_frame_head h;
	return peer_frame_decode(f.bytes, f.size, secret, &h);
}

static void push(struct scene *s, const struct frame *f)
{
	assert_int_equal(nn_send(s->socket, f->bytes, f->size, 0), f->size);
}

static bool receive(struct scene *s, struct peer_frame *f, int wait_ms)
{
	int64_t until = clock_mono_ns() + wait_ms * INT64_C(1000000);
	do {
		struct pollfd pfd = {.fd = peer_net_fd(s->net), .events = POLLIN};
		if (peer_net_receive(s->net, f) == 1)
			return true;
		poll(&pfd, 1, 20);
	} while (clock_mono_ns() < until);
	return false;
}

static void expect_taken(struct scene *s)
{
	struct peer_frame f;
	assert_true(receive(s, &f, WAIT_MS));
	assert_int_equal(f.payload.size, sizeof(PAYLOAD));
	assert_memory_equal(f.payload.data, PAYLOAD, sizeof(PAYLOAD));
	peer_frame_done(&f);
}

/* Behind the frames that were not taken comes one that is: the order is kept, so all have been looked at. */
static struct peer_stats stats_after(struct scene *s, const struct frame *good)
{
	struct peer_stats stats;
	push(s, good);
	expect_taken(s);
	peer_net_stats(s->net, &stats);
	return stats;
}

static void a_sealed_frame_hides_its_payload_and_opens_for_the_same_secret(void **state)
{
	struct scene *s = *state;
	struct frame f = frame_of(s->ours, 1, 1);
	struct peer_frame_head h;
	assert_null(memmem(f.bytes, f.size, PAYLOAD, 6));
	assert_int_equal(peer_frame_decode(f.bytes, f.size, s->ours, &h), PEER_FRAME_GOOD);
	assert_int_equal(h.seq, 1);
	assert_memory_equal(f.bytes + peer_frame_payload(s->ours), PAYLOAD, sizeof(PAYLOAD));
}

static void every_bit_of_a_sealed_frame_is_covered(void **state)
{
	struct scene *s = *state;
	const struct frame good = frame_of(s->ours, 1, 1);
	for (size_t bit = 0; bit < good.size * 8; bit++) {
		struct frame bad = good;
		bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(verdict(bad, s->ours), PEER_FRAME_GOOD);
	}
	for (size_t size = 0; size < good.size; size++) {
		struct frame bad = good;
		bad.size = size;
		assert_int_not_equal(verdict(bad, s->ours), PEER_FRAME_GOOD);
	}
}

/* Field by field, and what each is counted as: a header that was touched is a forgery, not a frame of another cluster or boot. */
static void a_touched_header_field_is_a_forgery(void **state)
{
	struct scene *s = *state;
	static const struct {
		size_t offset;
		enum peer_frame_verdict verdict;
	} fields[] = {
		{0, PEER_FRAME_MALFORMED}, {4, PEER_FRAME_MALFORMED}, {5, PEER_FRAME_UNSEALED}, {6, PEER_FRAME_FORGED},
		{7, PEER_FRAME_FORGED},    {8, PEER_FRAME_MALFORMED}, {12, PEER_FRAME_FORGED},  {16, PEER_FRAME_FORGED},
		{24, PEER_FRAME_FORGED},   {32, PEER_FRAME_FORGED},   {40, PEER_FRAME_FORGED},  {48, PEER_FRAME_FORGED},
		{56, PEER_FRAME_FORGED},   {60, PEER_FRAME_FORGED},   {64, PEER_FRAME_FORGED},  {88, PEER_FRAME_FORGED},
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct frame bad = frame_of(s->ours, 1, 1);
		bad.bytes[fields[i].offset] ^= 1;
		assert_int_equal(verdict(bad, s->ours), fields[i].verdict);
	}
}

static void another_secret_or_none_does_not_open_it(void **state)
{
	struct scene *s = *state;
	assert_int_equal(verdict(frame_of(s->theirs, 1, 1), s->ours), PEER_FRAME_FORGED);
	assert_int_equal(verdict(frame_of(NULL, 1, 1), s->ours), PEER_FRAME_UNSEALED);
	assert_int_equal(verdict(frame_of(s->ours, 1, 1), NULL), PEER_FRAME_UNSEALED);
	assert_int_equal(verdict(frame_of(NULL, 1, 1), NULL), PEER_FRAME_GOOD);
}

static void a_member_with_a_secret_takes_only_what_is_sealed_with_it(void **state)
{
	struct scene *s = *state;
	struct frame bare = frame_of(NULL, 9, 1), wrong = frame_of(s->theirs, 9, 2), good = frame_of(s->ours, 1, 1);
	struct frame touched = frame_of(s->ours, 1, 2);
	touched.bytes[40] ^= 0x80; /* its epoch: if it were believed, all later frames would be of an older boot */
	listen_with(s, s->ours);
	push(s, &bare);
	push(s, &wrong);
	push(s, &touched);
	struct peer_stats stats = stats_after(s, &good);
	assert_int_equal(stats.unsealed, 1);
	assert_int_equal(stats.forged, 2);
	assert_int_equal(stats.foreign + stats.malformed + stats.stale + stats.replayed, 0);
	assert_int_equal(stats.received, 1);
}

static void a_member_without_a_secret_takes_nothing_sealed(void **state)
{
	struct scene *s = *state;
	struct frame sealed = frame_of(s->ours, 1, 1), bare = frame_of(NULL, 1, 1);
	listen_with(s, NULL);
	push(s, &sealed);
	struct peer_stats stats = stats_after(s, &bare);
	assert_int_equal(stats.unsealed, 1);
	assert_int_equal(stats.received, 1);
}

static void a_sealed_frame_is_taken_once(void **state)
{
	struct scene *s = *state;
	struct frame first = frame_of(s->ours, 5, 1), second = frame_of(s->ours, 5, 2), third = frame_of(s->ours, 5, 3);
	listen_with(s, s->ours);
	push(s, &second);
	expect_taken(s);
	/* Late, as after a connection that was made anew, but not seen: taken. */
	push(s, &first);
	expect_taken(s);
	push(s, &first);
	push(s, &second);
	struct peer_stats stats = stats_after(s, &third);
	assert_int_equal(stats.replayed, 2);
	/* A new boot counts from 1 again, and nothing of the old one is taken any more. */
	struct frame reborn = frame_of(s->ours, 6, 1), old = frame_of(s->ours, 5, 4), next = frame_of(s->ours, 6, 2);
	push(s, &reborn);
	expect_taken(s);
	push(s, &old);
	stats = stats_after(s, &next);
	assert_int_equal(stats.stale, 1);
	assert_int_equal(stats.replayed, 2);
	assert_int_equal(stats.received, 5);
}

static void without_a_secret_only_loopback_is_used(void **state)
{
	struct scene *s = *state;
	char why[256];
	const struct peer_member members[2] = {{1, s->address}, {2, "10.1.2.3:7701"}};
	struct peer_config config = {
		.cluster_id = CLUSTER, .self = 1, .epoch = 1, .listen = s->address, .members = members, .members_count = 2};
	assert_int_equal(peer_net_open(&config, &s->net, why, sizeof(why)), -EACCES);
	assert_string_equal(why, "member address 10.1.2.3:7701: not a loopback address, so it needs secret=");
	config.members_count = 1;
	config.listen = "0.0.0.0:7701";
	assert_int_equal(peer_net_open(&config, &s->net, why, sizeof(why)), -EACCES);
	assert_non_null(strstr(why, "listen=0.0.0.0:7701"));
	config.listen = s->address;
	config.members_count = 2;
	config.secret = s->ours;
	assert_int_equal(peer_net_open(&config, &s->net, why, sizeof(why)), 0);
}

/* Two members that know each other. */
static struct peer_net *open_member(const struct peer_member members[2], uint64_t self, const struct secret *secret)
{
	char why[256];
	struct peer_net *n = NULL;
	struct peer_config config = {.cluster_id = CLUSTER,
				     .self = self,
				     .epoch = 1,
				     .listen = members[self - 1].address,
				     .members = members,
				     .members_count = 2,
				     .secret = secret};
	if (peer_net_open(&config, &n, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	return n;
}

static void say(struct peer_net *n, uint64_t to)
{
	int64_t until = clock_mono_ns() + WAIT_MS * INT64_C(1000000);
	while (peer_net_send(n, to, PEER_RAFT, (struct span){PAYLOAD, sizeof(PAYLOAD)}) == -EAGAIN && clock_mono_ns() < until)
		poll(NULL, 0, 1);
}

static void a_link_made_anew_is_not_taken_for_a_repetition(void **state)
{
	struct scene *s = *state;
	char second[64];
	struct peer_stats stats;
	free_address(second);
	const struct peer_member members[2] = {{1, s->address}, {2, second}};
	s->net = open_member(members, 1, s->ours);
	struct peer_net *other = open_member(members, 2, s->ours);
	for (int i = 0; i < 10; i++) {
		say(other, 1);
		expect_taken(s);
	}
	/* The other one forgets us, and knows us again, in one boot. */
	assert_int_equal(peer_net_set_members(other, &members[1], 1), 0);
	assert_int_equal(peer_net_set_members(other, members, 2), 0);
	for (int i = 0; i < 3; i++) {
		say(other, 1);
		expect_taken(s);
	}
	peer_net_stats(s->net, &stats);
	assert_int_equal(stats.replayed, 0);
	peer_net_close(other);
}

/* --- the window, against a plain memory of all numbers --- */

static void a_window_takes_each_number_once_and_none_that_left_it(void **state)
{
	struct peer_window w = {0};
	enum { NUMBERS = 80000 };
	static bool taken[NUMBERS];
	uint64_t top = 0;
	(void)state;
	srandom(7);
	for (int i = 0; i < 200000; i++) {
		/* Mostly near the top, now and then a leap. */
		uint64_t behind = PEER_WINDOW_FRAMES * 3 / 2;
		uint64_t near = top + 8 > behind ? top + 8 - (uint64_t)random() % behind : (uint64_t)random() % (top + 8) + 1;
		uint64_t seq = random() % 5000 == 0 ? top + (uint64_t)random() % behind : near;
		if (seq >= NUMBERS)
			break;
		bool left = seq + PEER_WINDOW_FRAMES <= top;
		enum peer_window_verdict expected = left || taken[seq] ? PEER_WINDOW_SEEN : PEER_WINDOW_NEW;
		assert_int_equal(peer_window_take(&w, 3, seq), expected);
		taken[seq] = true;
		top = seq > top ? seq : top;
	}
	assert_in_range(top, NUMBERS / 2, NUMBERS);
	assert_int_equal(peer_window_take(&w, 2, top + 1), PEER_WINDOW_OLD_EPOCH);
	assert_int_equal(peer_window_take(&w, 4, 1), PEER_WINDOW_NEW);
	assert_int_equal(peer_window_take(&w, 4, 1), PEER_WINDOW_SEEN);
	assert_int_equal(peer_window_take(&w, 4, UINT64_MAX), PEER_WINDOW_NEW);
	assert_int_equal(peer_window_take(&w, 4, UINT64_MAX), PEER_WINDOW_SEEN);
	assert_int_equal(peer_window_take(&w, 4, 2), PEER_WINDOW_SEEN);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_sealed_frame_hides_its_payload_and_opens_for_the_same_secret),
		STORY(every_bit_of_a_sealed_frame_is_covered),
		STORY(a_touched_header_field_is_a_forgery),
		STORY(another_secret_or_none_does_not_open_it),
		STORY(a_member_with_a_secret_takes_only_what_is_sealed_with_it),
		STORY(a_member_without_a_secret_takes_nothing_sealed),
		STORY(a_sealed_frame_is_taken_once),
		STORY(without_a_secret_only_loopback_is_used),
		STORY(a_link_made_anew_is_not_taken_for_a_repetition),
		STORY(a_window_takes_each_number_once_and_none_that_left_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
