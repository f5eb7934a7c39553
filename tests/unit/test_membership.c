/* How nodes come to an identity, in a network that loses, repeats and reorders, with nodes that crash at any moment and disks that are lost. */
#include "store/membership.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define NODES_MAX 6
#define FRAMES_MAX 512
#define ELECTION_MS 500

struct frame {
	int to;
	uint8_t kind;
	uint64_t from;
	size_t size;
	uint8_t data[4096];
};

struct node {
	struct world *world;
	int number;
	bool up;
	bool doomed; /* it crashes before anything more comes of it */
	struct identity disk;
	struct identity memory;
	struct membership *membership;
	struct raft *raft;
	struct writer said; /* the last that was sent to a member */
	uint64_t links[PEER_MEMBERS_MAX];
	uint32_t links_count;
};

struct world {
	uint64_t random;
	int64_t now_ns;
	int count;
	bool cut[NODES_MAX][NODES_MAX];
	int loss_percent;
	int crash_percent; /* of what is made durable */
	int keeps;
	int crash_at; /* the keep at which a node crashes; -1: none */
	bool crash_before;
	struct node nodes[NODES_MAX];
	struct frame *frames;
	int frames_count;
};

static uint64_t draw(struct world *w)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static bool percent(struct world *w, int p)
{
	return (int)(draw(w) % 100) < p;
}

/* --- ports --- */

static void port_send_to(void *ctx, const char *address, uint64_t to, struct span payload)
{
	struct node *n = ctx;
	struct world *w = n->world;
	(void)to;
	int target = (int)strtol(strchr(address, ':') + 1, NULL, 10) - 7000;
	if (n->doomed || target >= w->count || w->cut[n->number][target] || payload.size > sizeof(w->frames[0].data))
		return;
	for (int copies = percent(w, w->loss_percent) ? 0 : percent(w, 10) ? 2 : 1; copies > 0 && w->frames_count < FRAMES_MAX; copies--) {
		struct frame *f = &w->frames[w->frames_count++];
		*f = (struct frame){.to = target, .kind = PEER_JOIN, .from = n->memory.incarnation, .size = payload.size};
		memcpy(f->data, payload.data, payload.size);
	}
}

static void port_send(void *ctx, uint64_t to, enum peer_kind kind, struct span payload)
{
	struct node *n = ctx;
	(void)to, (void)kind;
	writer_clear(&n->said);
	writer_raw(&n->said, payload.data, payload.size);
}

static void port_links(void *ctx, const struct peer_member *members, uint32_t count)
{
	struct node *n = ctx;
	n->links_count = count;
	for (uint32_t i = 0; i < count; i++) {
		assert_true(members[i].id != 0 && members[i].address[0]);
		n->links[i] = members[i].id;
	}
}

static int port_keep(void *ctx, const struct identity *identity)
{
	struct node *n = ctx;
	struct world *w = n->world;
	bool crash = w->keeps++ == w->crash_at || percent(w, w->crash_percent);
	bool before = crash && (w->crash_at >= 0 ? w->crash_before : percent(w, 50));
	n->doomed |= crash;
	if (!before)
		n->disk = *identity;
	return before ? -EIO : 0;
}

static void port_foreign(void *ctx)
{
	(void)ctx;
}

/* --- nodes --- */

static void set_new_disk(struct world *w, int i, int name, int first_count)
{
	struct identity *d = &w->nodes[i].disk;
	*d = (struct identity){.incarnation = draw(w) | 1, .origin = 0xabc, .first_count = (uint32_t)first_count};
	snprintf(d->name, sizeof(d->name), "n%d", name);
	snprintf(d->address, sizeof(d->address), "h:%d", 7000 + i);
	for (int m = 0; m < first_count; m++) {
		snprintf(d->first[m].name, sizeof(d->first[m].name), "n%d", m + 1);
		snprintf(d->first[m].address, sizeof(d->first[m].address), "h:%d", 7000 + m);
	}
}

static struct raft *new_raft(const struct world *w, const struct identity *me, const struct raft_members *members)
{
	struct raft *r;
	struct raft_config config = {.id = me->id,
				     .members = members,
				     .election_ms = ELECTION_MS,
				     .heartbeat_ms = 50,
				     .seed = me->id,
				     .now_ms = (uint64_t)(w->now_ns / MS),
				     .hard = {.term = 1},
				     .log_first = 1,
				     .cache_bytes_max = 1 << 20,
				     .inflight_max = 8,
				     .uncommitted_bytes_max = 1 << 20};
	assert_int_equal(raft_new(&config, &r), 0);
	return r;
}

/* It has its identity: raft is there from then on, though nobody ever leads in these stories unless they say so. */
static void take_part(struct node *n)
{
	struct writer context = {0};
	struct members first;
	membership_first(&n->memory, &first);
	struct raft_members raft = first.count > 0 ? members_raft(&first, &context) : (struct raft_members){0};
	n->raft = new_raft(n->world, &n->memory, &raft);
	membership_start(n->membership, n->raft, &raft);
	writer_free(&context);
}

static void start(struct world *w, int i)
{
	struct node *n = &w->nodes[i];
	const struct membership_ports ports = {n, port_send, port_send_to, port_links, port_keep, port_foreign};
	n->world = w;
	n->number = i;
	n->memory = n->disk;
	n->doomed = false;
	n->up = true;
	n->membership = membership_new(&n->memory, ELECTION_MS, draw(w), &ports);
}

static void stop(struct world *w, int i)
{
	struct node *n = &w->nodes[i];
	if (!n->up)
		return;
	membership_free(n->membership);
	raft_free(n->raft);
	writer_free(&n->said);
	n->membership = NULL;
	n->raft = NULL;
	n->up = false;
}

static void look_after(struct world *w, int i)
{
	struct node *n = &w->nodes[i];
	if (n->doomed) {
		stop(w, i);
		start(w, i);
	} else if (n->memory.id != 0 && !n->raft) {
		take_part(n);
	}
}

static void deliver(struct world *w)
{
	int pick = (int)(draw(w) % (uint64_t)w->frames_count);
	struct frame f = w->frames[pick];
	w->frames[pick] = w->frames[--w->frames_count];
	struct node *n = &w->nodes[f.to];
	if (!n->up)
		return;
	struct peer_frame frame = {.from = f.from, .kind = f.kind, .payload = {f.data, f.size}};
	membership_frame(n->membership, &frame);
	look_after(w, f.to);
}

static void step(struct world *w)
{
	w->now_ns += MS;
	for (int i = 0; i < w->count; i++) {
		if (!w->nodes[i].up)
			continue;
		membership_tick(w->nodes[i].membership, w->now_ns);
		look_after(w, i);
	}
	for (int k = 0; k < 4 && w->frames_count > 0; k++)
		deliver(w);
}

static void run_ms(struct world *w, int ms)
{
	for (int i = 0; i < ms; i++)
		step(w);
}

static struct world *new_world(uint64_t seed, int count)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->frames = calloc(FRAMES_MAX, sizeof(*w->frames));
	assert_non_null(w->frames);
	w->random = seed;
	w->now_ns = 1000 * MS;
	w->count = count;
	w->crash_at = -1;
	for (int i = 0; i < count; i++)
		set_new_disk(w, i, i + 1, count);
	return w;
}

static void free_world(struct world *w)
{
	for (int i = 0; i < w->count; i++)
		stop(w, i);
	free(w->frames);
	free(w);
}

static bool is_first(const struct world *w, int i)
{
	return w->nodes[i].disk.id != 0 && w->nodes[i].disk.id == members_first_id(w->nodes[i].disk.name);
}

static int count_first(const struct world *w)
{
	int n = 0;
	for (int i = 0; i < w->count; i++)
		n += is_first(w, i);
	return n;
}

/* --- stories --- */

static void new_nodes_that_all_answer_begin_at_once(void **state)
{
	(void)state;
	struct world *w = new_world(1, 3);
	for (int i = 0; i < 3; i++)
		start(w, i);
	run_ms(w, 60);
	assert_int_equal(count_first(w), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(w->nodes[i].disk.cluster_id, 0xabc);
	free_world(w);
}

static void a_majority_of_new_nodes_begins_once_the_others_had_time_to_answer(void **state)
{
	(void)state;
	struct world *w = new_world(2, 3);
	start(w, 0);
	run_ms(w, 2000);
	assert_int_equal(count_first(w), 0);
	start(w, 1);
	run_ms(w, 40);
	assert_int_equal(count_first(w), 2); /* the first one had waited long enough */
	start(w, 2);
	run_ms(w, 60);
	assert_int_equal(count_first(w), 3);
	free_world(w);
}

static void the_last_of_the_first_members_needs_all_that_could_have_known_it(void **state)
{
	(void)state;
	struct world *w = new_world(3, 3);
	start(w, 0);
	start(w, 1);
	run_ms(w, 600);
	assert_int_equal(count_first(w), 2);
	stop(w, 1);
	start(w, 2);
	run_ms(w, 3000);
	assert_false(is_first(w, 2)); /* n2 could have begun with an n3 that has lost its data since */
	start(w, 1);
	run_ms(w, 300);
	assert_true(is_first(w, 2));
	free_world(w);
}

/* Were n1 and n3 to lose their data, nobody else would know that there was an n3. */
static void a_founder_that_only_one_other_knows_of_does_not_act_in_a_cluster_of_five(void **state)
{
	(void)state;
	struct world *w = new_world(4, 5);
	w->cut[1][2] = w->cut[2][1] = true;
	for (int i = 0; i < 3; i++)
		start(w, i);
	run_ms(w, 2000);
	assert_true(is_first(w, 0));
	assert_false(is_first(w, 1) || is_first(w, 2));
	w->cut[1][2] = w->cut[2][1] = false;
	run_ms(w, 500);
	assert_true(is_first(w, 1) && is_first(w, 2));
	free_world(w);
}

static void every_crash_while_a_cluster_begins_is_survived(void **state)
{
	(void)state;
	for (int count = 2; count <= 5; count++) {
		for (int at = 0; at < 3 * count * count; at++) {
			for (int before = 0; before < 2; before++) {
				struct world *w = new_world((uint64_t)at + 7, count);
				w->crash_at = at;
				w->crash_before = before;
				for (int i = 0; i < count; i++)
					start(w, i);
				run_ms(w, 4000);
				if (count_first(w) != count)
					fail_msg("%d nodes, crash at %d: %d have begun", count, at, count_first(w));
				free_world(w);
			}
		}
	}
}

static void a_cluster_begins_whatever_is_lost_and_whoever_crashes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 150; seed++) {
		int count = 2 + (int)(seed % 4);
		struct world *w = new_world(seed, count);
		w->loss_percent = 30;
		w->crash_percent = 10;
		for (int i = 0; i < count; i++)
			start(w, i);
		for (int round = 0; round < 300 && count_first(w) < count; round++) {
			int i = (int)(draw(w) % (uint64_t)count);
			run_ms(w, 20);
			if (percent(w, 10) && w->nodes[i].up)
				stop(w, i);
			else if (!w->nodes[i].up)
				start(w, i);
		}
		w->loss_percent = w->crash_percent = 0;
		for (int i = 0; i < count; i++)
			if (!w->nodes[i].up)
				start(w, i);
		run_ms(w, 2000);
		if (count_first(w) != count)
			fail_msg("seed %d: %d of %d have begun", (int)seed, count_first(w), count);
		free_world(w);
	}
}

/* The promise behind all of it: who took part under the first id of a name and lost its data never gets that id again, as long as a majority of the
 * first members kept theirs, whoever of them is away. */
static void a_minority_that_lost_its_data_never_gets_its_first_ids_again(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 150; seed++) {
		int count = 3 + (int)(seed % 3);
		struct world *w = new_world(seed, count);
		int may_lose = count - (count / 2 + 1);
		bool lost[NODES_MAX] = {false};
		for (int i = 0; i < count; i++)
			start(w, i);
		run_ms(w, 2000);
		assert_int_equal(count_first(w), count);
		w->loss_percent = 20;
		w->crash_percent = 10;
		for (int round = 0; round < 200; round++) {
			int i = (int)(draw(w) % (uint64_t)count);
			stop(w, i);
			if (percent(w, 30) && (lost[i] || may_lose-- > 0)) {
				lost[i] = true;
				set_new_disk(w, i, i + 1, count);
			}
			run_ms(w, (int)(draw(w) % 60));
			for (int k = 0; k < count; k++)
				if (!w->nodes[k].up && percent(w, 50))
					start(w, k);
			for (int k = 0; k < count; k++)
				if (lost[k] && is_first(w, k))
					fail_msg("seed %d: n%d acts again under the id that it had", (int)seed, k + 1);
		}
		free_world(w);
	}
}

static void of_two_nodes_of_one_name_at_most_one_begins(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct world *w = new_world(seed, 3);
		w->count = 4;
		set_new_disk(w, 3, 3, 3); /* at another address */
		w->loss_percent = 20;
		for (int i = 3; i >= 0; i--)
			start(w, i);
		run_ms(w, 1500);
		assert_true(is_first(w, 0) && is_first(w, 1));
		assert_false(is_first(w, 2) && is_first(w, 3));
		free_world(w);
	}
}

/* --- with a leader: n1, the only voter --- */

static void carry_out(struct node *n)
{
	raft_tick(n->raft, (uint64_t)(n->world->now_ns / MS));
	while (raft_has_ready(n->raft)) {
		const struct raft_ready *r = raft_ready(n->raft);
		uint64_t save = r->save;
		struct raft_members m;
		if (r->members)
			membership_changed(n->membership, r->members);
		for (uint32_t i = 0; i < r->committed_count; i++)
			if (r->committed[i].type == RAFT_ENTRY_CONFIG &&
			    raft_members_decode((struct span){r->committed[i].data, r->committed[i].size}, &m) == 0)
				membership_committed(n->membership, &m);
		if (save)
			raft_stored(n->raft, save);
	}
}

static struct world *new_leader(void)
{
	struct world *w = new_world(11, 1);
	w->nodes[0].disk.id = members_first_id("n1");
	w->nodes[0].disk.cluster_id = 0x123;
	start(w, 0);
	look_after(w, 0);
	carry_out(&w->nodes[0]);
	carry_out(&w->nodes[0]);
	w->count = 2; /* what goes to the second address is kept */
	return w;
}

struct asked {
	struct store_op op;
	bool over;
	int error;
	char why[MEMBER_WHY_BYTES];
};

static void note_done(struct store_op *op)
{
	struct asked *a = (struct asked *)op;
	a->over = true;
	a->error = op->result.error;
	snprintf(a->why, sizeof(a->why), "%.*s", (int)op->result.reply.size, op->result.reply.size ? (char *)op->result.reply.data : "");
	writer_free(&op->result.reply);
}

static void ask(struct world *w, struct asked *a, const struct member_request *q)
{
	*a = (struct asked){.op.done = note_done, .op.deadline_ns = w->now_ns + 1000 * MS};
	member_request_encode(q, &a->op.bytes);
	membership_submit(w->nodes[0].membership, &a->op);
	for (int i = 0; i < 2000 && !a->over; i++) {
		w->now_ns += MS;
		membership_tick(w->nodes[0].membership, w->now_ns);
		carry_out(&w->nodes[0]);
	}
	assert_true(a->over);
}

static const struct member *named(struct world *w, const char *name)
{
	return members_named(membership_now(w->nodes[0].membership), name);
}

/* What n1 answers to a question. */
static struct join_answer question(struct world *w, uint64_t incarnation, uint64_t challenge, bool wants_place)
{
	struct join_ask a = {.incarnation = incarnation, .origin = 5, .challenge = challenge, .wants_place = wants_place};
	struct writer bytes = {0};
	struct join_answer answer = {0};
	snprintf(a.who.name, sizeof(a.who.name), "n2");
	snprintf(a.who.address, sizeof(a.who.address), "h:7001");
	join_ask_encode(&a, &bytes);
	struct peer_frame f = {.from = incarnation, .kind = PEER_JOIN, .payload = {bytes.data, bytes.size}};
	w->frames_count = 0;
	membership_frame(w->nodes[0].membership, &f);
	writer_free(&bytes);
	w->now_ns += MS;
	membership_tick(w->nodes[0].membership, w->now_ns);
	carry_out(&w->nodes[0]);
	for (int i = 0; i < w->frames_count; i++)
		if (join_answer_decode((struct span){w->frames[i].data, w->frames[i].size}, &answer) == 0)
			return answer;
	fail_msg("no answer");
	return answer;
}

static struct member_request add_n2(void)
{
	struct member_request q = {.type = MEMBER_ADD, .votes = true, .id = 77};
	snprintf(q.who.name, sizeof(q.who.name), "n2");
	snprintf(q.who.address, sizeof(q.who.address), "h:7001");
	return q;
}

static void a_place_is_given_to_who_answers_the_challenge_and_each_life_gets_its_own(void **state)
{
	(void)state;
	struct world *w = new_leader();
	struct asked a;
	struct member_request q = add_n2();
	assert_int_equal(question(w, 1001, 0, false).verdict, JOIN_STRANGER);
	ask(w, &a, &q);
	assert_int_equal(a.error, 0);
	assert_int_equal(named(w, "n2")->id, 77);
	assert_int_equal(question(w, 1001, 0, false).verdict, JOIN_RUNS);
	struct join_answer answer = question(w, 1001, 0, true);
	assert_int_equal(answer.verdict, JOIN_WAIT);
	assert_int_not_equal(answer.challenge, 0);
	assert_int_equal(named(w, "n2")->id, 77); /* nothing moved */
	uint64_t first = answer.challenge;
	question(w, 1001, first, true);
	assert_int_equal(named(w, "n2")->id, 1001);
	assert_false(members_is_voter(membership_now(w->nodes[0].membership), 1001));
	answer = question(w, 1001, first, true);
	assert_int_equal(answer.verdict, JOIN_GRANTED);
	assert_int_equal(answer.cluster_id, 0x123);
	/* Its data is lost before it ever said a word. */
	uint64_t challenge = question(w, 1002, 0, true).challenge;
	question(w, 1002, challenge, true);
	assert_int_equal(named(w, "n2")->id, 1002);
	/* The first life's questions, played again, move nothing: a challenge is of one life, and of the configuration that it was given in. */
	question(w, 1001, challenge, true);
	question(w, 1001, first, true);
	assert_int_equal(named(w, "n2")->id, 1002);
	free_world(w);
}

static void a_member_that_answers_keeps_its_place(void **state)
{
	(void)state;
	struct world *w = new_leader();
	struct asked a;
	struct member_request q = add_n2();
	q.votes = false; /* or it would be promoted, and n1 would wait for it */
	ask(w, &a, &q);
	struct raft_status status;
	raft_status(w->nodes[0].raft, &status);
	struct raft_message stored = {
		.type = RAFT_APPEND_REPLY, .from = 77, .to = status.id, .term = status.term, .log_index = status.log_last};
	raft_step(w->nodes[0].raft, &stored);
	uint64_t challenge = question(w, 1001, 0, true).challenge;
	assert_int_equal(question(w, 1001, challenge, true).verdict, JOIN_ALIVE);
	assert_int_equal(named(w, "n2")->id, 77);
	/* It falls silent. */
	w->now_ns += 2 * ELECTION_MS * MS;
	carry_out(&w->nodes[0]);
	question(w, 1001, challenge, true);
	assert_int_equal(named(w, "n2")->id, 1001);
	free_world(w);
}

/* Member 77 asks n1, the leader, for the removal of n3. Gives the challenge, if that is the answer. */
static uint64_t ask_removal(struct world *w, uint64_t number, uint64_t challenge)
{
	struct member_request q = {.type = MEMBER_REMOVE, .target = "n3"};
	struct node *n = &w->nodes[0];
	struct writer bytes = {0};
	writer_u8(&bytes, 2);
	writer_u64(&bytes, number);
	writer_u8(&bytes, 0);
	writer_u64(&bytes, challenge);
	member_request_encode(&q, &bytes);
	struct peer_frame f = {.from = 77, .known = true, .kind = PEER_MEMBERS, .payload = {bytes.data, bytes.size}};
	writer_clear(&n->said);
	membership_frame(n->membership, &f);
	writer_free(&bytes);
	struct reader said = reader_over(n->said.data, n->said.size);
	bool challenged = reader_u8(&said) == 4 && reader_u64(&said) == number;
	uint64_t given = challenged ? reader_u64(&said) : 0;
	carry_out(n);
	return given;
}

static void a_change_that_was_asked_for_is_not_carried_out_again_when_the_request_is_repeated(void **state)
{
	(void)state;
	struct world *w = new_leader();
	struct asked a;
	struct member_request n3 = add_n2();
	n3.votes = false;
	snprintf(n3.who.name, sizeof(n3.who.name), "n3");
	ask(w, &a, &n3);
	assert_int_equal(a.error, 0);
	uint64_t challenge = ask_removal(w, 5, 0);
	assert_int_not_equal(challenge, 0);
	assert_non_null(named(w, "n3")); /* nothing moved */
	assert_int_equal(ask_removal(w, 5, challenge), 0);
	assert_null(named(w, "n3"));
	/* It is added again, and somebody who recorded the removal plays it again. */
	n3.id = 78;
	ask(w, &a, &n3);
	assert_int_equal(a.error, 0);
	assert_int_not_equal(ask_removal(w, 5, challenge), challenge);
	assert_non_null(named(w, "n3"));
	free_world(w);
}

static bool is_linked(const struct node *n, uint64_t id)
{
	for (uint32_t i = 0; i < n->links_count; i++)
		if (n->links[i] == id)
			return true;
	return false;
}

/* It led, and its log ends with the removal of n3, which nobody else has. n3 may lead by now, and must be heard: only it can take that back. */
static void a_member_is_linked_until_its_removal_is_committed(void **state)
{
	(void)state;
	struct world *w = new_world(12, 3);
	struct node *n = &w->nodes[0];
	n->disk.id = members_first_id("n1");
	n->disk.cluster_id = 0x123;
	start(w, 0);
	struct members first, without;
	struct writer context = {0}, next_context = {0}, bytes = {0};
	membership_first(&n->memory, &first);
	assert_int_equal(members_remove(&first, members_first_id("n3"), &without), 0);
	struct raft_members committed = members_raft(&first, &context);
	struct raft_members next = members_raft(&without, &next_context);
	raft_members_encode(&bytes, &next);
	struct raft_entry removal = {.term = 1, .index = 1, .type = RAFT_ENTRY_CONFIG, .size = (uint32_t)bytes.size, .data = bytes.data};
	n->raft = new_raft(w, &n->memory, &committed);
	assert_int_equal(raft_restore(n->raft, &removal), 0);
	membership_start(n->membership, n->raft, &committed);
	assert_null(members_named(membership_now(n->membership), "n3"));
	assert_true(is_linked(n, members_first_id("n2")));
	assert_true(is_linked(n, members_first_id("n3")));
	writer_free(&context);
	writer_free(&next_context);
	writer_free(&bytes);
	free_world(w);
}

static void a_request_that_is_repeated_is_done_once(void **state)
{
	(void)state;
	struct world *w = new_leader();
	struct asked a;
	struct member_request q = add_n2();
	ask(w, &a, &q);
	uint64_t version = membership_now(w->nodes[0].membership)->version;
	ask(w, &a, &q); /* the same fresh id: a repetition */
	assert_int_equal(a.error, 0);
	assert_int_equal(membership_now(w->nodes[0].membership)->version, version);
	q.id = 78; /* another one */
	ask(w, &a, &q);
	assert_int_equal(a.error, -EEXIST);
	assert_non_null(strstr(a.why, "n2 is a member already"));
	struct member_request gone = {.type = MEMBER_REMOVE, .target = "n2"};
	ask(w, &a, &gone);
	assert_int_equal(a.error, 0);
	ask(w, &a, &gone);
	assert_int_equal(a.error, -ENOENT);
	struct member_request last = {.type = MEMBER_REMOVE, .target = "n1"};
	ask(w, &a, &last);
	assert_int_equal(a.error, -EINVAL);
	free_world(w);
}

static void nodes_with_different_lists_do_not_begin_together(void **state)
{
	(void)state;
	struct world *w = new_world(9, 3);
	char text[200];
	w->nodes[1].disk.origin = w->nodes[2].disk.origin = 0xdef;
	start(w, 0);
	start(w, 1);
	run_ms(w, 2000);
	assert_int_equal(count_first(w), 0);
	membership_health(w->nodes[0].membership, text, sizeof(text));
	assert_non_null(strstr(text, "n2 was started with another cluster="));
	free_world(w);
}

static void data_of_the_first_format_keeps_its_id_and_vouches_for_nobody(void **state)
{
	(void)state;
	struct world *w = new_world(10, 3);
	for (int i = 0; i < 2; i++) {
		struct identity *d = &w->nodes[i].disk;
		d->id = d->incarnation = members_first_id(d->name);
		d->cluster_id = d->origin;
		d->notes.lost = true;
		start(w, i);
		look_after(w, i);
	}
	start(w, 2);
	run_ms(w, 3000);
	assert_false(is_first(w, 2));
	free_world(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_nodes_that_all_answer_begin_at_once),
		cmocka_unit_test(a_majority_of_new_nodes_begins_once_the_others_had_time_to_answer),
		cmocka_unit_test(the_last_of_the_first_members_needs_all_that_could_have_known_it),
		cmocka_unit_test(a_founder_that_only_one_other_knows_of_does_not_act_in_a_cluster_of_five),
		cmocka_unit_test(every_crash_while_a_cluster_begins_is_survived),
		cmocka_unit_test(a_cluster_begins_whatever_is_lost_and_whoever_crashes),
		cmocka_unit_test(a_minority_that_lost_its_data_never_gets_its_first_ids_again),
		cmocka_unit_test(of_two_nodes_of_one_name_at_most_one_begins),
		cmocka_unit_test(nodes_with_different_lists_do_not_begin_together),
		cmocka_unit_test(a_place_is_given_to_who_answers_the_challenge_and_each_life_gets_its_own),
		cmocka_unit_test(a_member_that_answers_keeps_its_place),
		cmocka_unit_test(a_change_that_was_asked_for_is_not_carried_out_again_when_the_request_is_repeated),
		cmocka_unit_test(a_member_is_linked_until_its_removal_is_committed),
		cmocka_unit_test(a_request_that_is_repeated_is_done_once),
		cmocka_unit_test(data_of_the_first_format_keeps_its_id_and_vouches_for_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
