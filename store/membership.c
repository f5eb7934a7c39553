/* The payloads of PEER_MEMBERS; integers are little-endian, bytes: a u32 length, then so many.
 *
 *   gossip    u8 1, u8 committed (0 or 1), bytes an encoded struct raft_members
 *   request   u8 2, u64 number, u8 begun (0 or 1), a request (member_request.c)
 *   result    u8 3, u64 number, u32 error (an errno as two's complement of its negative), bytes why
 *
 * Gossip may come from a stranger, for a member that was away does not know who was added meanwhile: it says only where members are to be found,
 * and an older one than is known changes nothing. Requests and results are taken from members alone. */
#include "store/membership.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define ASK_YOUNG_NS (25 * MS) /* while connections come up */
#define ASK_NS (200 * MS)
#define YOUNG_NS (2000 * MS)
#define GOSSIP_NS (1000 * MS)
#define RESEND_NS (100 * MS)
#define DEPARTED_NS (10000 * MS)
#define DEPARTED_MAX 8u
#define WIPED_NS (2000 * MS)

enum { GOSSIP = 1, REQUEST = 2, RESULT = 3 };
enum { STATE_NEW, STATE_BEGUN, STATE_CANCELLED };

/* A member that left, still told so for a while. */
struct departed {
	struct member who;
	int64_t until_ns;
};

/* Who asked for a place of a member that lost its data, lately. */
struct wiped {
	char name[STORE_NAME_MAX];
	int64_t at_ns;
};

struct membership {
	struct identity *identity;
	struct membership_ports ports;
	int64_t election_ns;
	uint64_t salt;
	int64_t now_ns;
	int64_t began_ns;
	int64_t ask_ns;    /* when to ask next */
	int64_t lively_ns; /* when another new node was last heard of for the first time in a while, or this one began */
	int64_t gossip_ns; /* when to tell next */
	int64_t leader_ns; /* when a leader was last known */
	struct join join;
	struct raft *raft; /* NULL: no part taken yet */
	struct members now;
	struct members committed;
	struct members book; /* gossip that is ahead of `now` */
	struct departed departed[DEPARTED_MAX];
	struct wiped wiped[STORE_MEMBERS_MAX];
	bool removed;
	struct member_judge judge;
	struct store_op *ops;
	uint64_t number;
	int keep_error;
	struct writer payload;
	struct writer context;
};

struct membership *membership_new(struct identity *identity, uint32_t election_ms, uint64_t salt, const struct membership_ports *ports)
{
	struct membership *m = calloc(1, sizeof(*m));
	if (!m)
		abort();
	m->identity = identity;
	m->ports = *ports;
	m->election_ns = election_ms * MS;
	m->salt = salt;
	m->number = salt;
	m->judge.again_ns = 2 * m->election_ns;
	join_begin(&m->join, identity->first, identity->first_count, identity->name, identity->incarnation, identity->origin);
	return m;
}

static void finish(struct membership *m, struct store_op *op, int error, const char *why)
{
	struct store_op **at = &m->ops;
	while (*at && *at != op)
		at = &(*at)->next;
	if (*at)
		*at = op->next;
	writer_free(&op->bytes);
	op->result = (struct command_result){.error = error};
	writer_raw(&op->result.reply, why, strlen(why));
	op->done(op);
}

void membership_drop(struct membership *m)
{
	while (m->ops)
		finish(m, m->ops, -EINTR, "interrupted; the change may still take effect");
}

void membership_free(struct membership *m)
{
	if (!m)
		return;
	while (m->ops)
		finish(m, m->ops, -ESHUTDOWN, "the node is stopping");
	writer_free(&m->payload);
	writer_free(&m->context);
	free(m);
}

void membership_first(const struct identity *identity, struct members *out)
{
	if (identity->id == members_first_id(identity->name) && identity->peers_count == 0)
		members_first(identity->first, identity->first_count, out);
	else
		*out = (struct members){0};
}

/* --- who is to be found where --- */

struct links {
	struct peer_member of[PEER_MEMBERS_MAX];
	uint32_t count;
};

static void link_add(struct links *l, uint64_t id, const char *address)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (l->of[i].id == id)
			return;
	if (l->count < PEER_MEMBERS_MAX && address[0])
		l->of[l->count++] = (struct peer_member){id, address};
}

static void links_of(const struct members *t, struct links *l)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (members_find(t, t->table[i].id))
			link_add(l, t->table[i].id, t->table[i].who.address);
}

static void set_links(struct membership *m)
{
	struct links l = {.count = 0};
	const struct identity *me = m->identity;
	links_of(&m->now, &l);
	if (m->book.version > m->now.version)
		links_of(&m->book, &l);
	for (uint32_t i = 0; i < DEPARTED_MAX; i++)
		if (m->departed[i].until_ns > m->now_ns)
			link_add(&l, m->departed[i].who.id, m->departed[i].who.who.address);
	for (uint32_t i = 0; m->now.count == 0 && i < me->peers_count; i++)
		link_add(&l, me->peers[i].id, me->peers[i].who.address);
	for (uint32_t i = 0; me->id == 0 && i < me->first_count; i++)
		link_add(&l, members_first_id(me->first[i].name), me->first[i].address);
	m->ports.links(m->ports.ctx, l.of, l.count);
}

/* --- asking --- */

static void ask_at(struct membership *m, const char *address, uint64_t id)
{
	if (address[0] && strcmp(address, m->identity->address) != 0)
		m->ports.send_to(m->ports.ctx, address, id, (struct span){m->payload.data, m->payload.size});
}

static void ask_table(struct membership *m, const struct members *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		ask_at(m, t->table[i].who.address, t->table[i].id);
}

static void ask_all(struct membership *m)
{
	const struct identity *me = m->identity;
	const struct members *known = m->book.version > m->now.version ? &m->book : &m->now;
	struct join_ask a;
	join_question(&m->join, &a);
	a.cluster_id = me->cluster_id;
	a.id = me->id;
	writer_clear(&m->payload);
	join_ask_encode(&a, &m->payload);
	ask_table(m, known);
	for (uint32_t i = 0; i < me->first_count; i++)
		if (!members_named(known, me->first[i].name))
			ask_at(m, me->first[i].address, members_first_id(me->first[i].name));
	for (uint32_t i = 0; known->count == 0 && i < me->peers_count; i++)
		ask_at(m, me->peers[i].who.address, me->peers[i].id);
}

static bool waited(const struct membership *m)
{
	return m->now_ns - m->began_ns >= m->election_ns / 2;
}

/* Durable before it is believed: on failure everything is as before, and it is tried again with the next answer. */
static void become(struct membership *m, const struct identity *wanted)
{
	m->keep_error = m->ports.keep(m->ports.ctx, wanted);
	if (m->keep_error < 0)
		return;
	*m->identity = *wanted;
	set_links(m);
}

static void become_first(struct membership *m)
{
	struct identity wanted = *m->identity;
	wanted.cluster_id = wanted.origin;
	wanted.id = members_first_id(wanted.name);
	join_found(&m->join, &wanted.notes);
	become(m, &wanted);
}

static void become_member(struct membership *m, const struct join_answer *a)
{
	struct identity wanted = *m->identity;
	wanted.cluster_id = a->cluster_id;
	wanted.id = wanted.incarnation;
	wanted.peers_count = 0;
	for (uint32_t i = 0; i < m->book.count; i++) {
		const struct member *one = &m->book.table[i];
		if (one->who.address[0] && one->id != wanted.id)
			wanted.peers[wanted.peers_count++] = (struct identity_peer){one->id, one->who};
	}
	become(m, &wanted);
}

static bool read_members(struct span bytes, struct members *out)
{
	struct raft_members raft;
	return raft_members_decode(bytes, &raft) == 0 && members_decode(&raft, out) == 0;
}

/* Where to find members, from those who know more. */
static void learn(struct membership *m, const struct members *t)
{
	if (t->count == 0 || (m->book.count > 0 && t->version < m->book.version))
		return;
	m->book = *t;
	set_links(m);
}

static void take_answer(struct membership *m, const struct join_answer *a)
{
	struct members t = {0};
	bool tells = a->members.size > 0 && read_members(a->members, &t) && t.count > 0;
	if (a->asked != m->identity->incarnation)
		return;
	if (m->identity->id != 0) {
		/* Who knows a later configuration, without this node, says that it was removed. */
		if (tells && a->cluster_id == m->identity->cluster_id && a->verdict == JOIN_STRANGER && t.version >= m->now.version &&
		    !members_find(&t, m->identity->id))
			m->removed = true;
		if (tells && a->cluster_id == m->identity->cluster_id)
			learn(m, &t);
		return;
	}
	if (tells)
		learn(m, &t);
	enum join_outcome outcome = join_take(&m->join, a, waited(m));
	if (outcome == JOIN_FIRST)
		become_first(m);
	else if (outcome == JOIN_PLACE && m->book.count > 0)
		become_member(m, a);
}

/* --- answering --- */

static uint64_t challenge_for(const struct membership *m, uint64_t incarnation)
{
	uint64_t z = (m->salt ^ incarnation) + 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return z ? z : 1;
}

static bool is_committed(const struct membership *m)
{
	return m->now.raft.outgoing_count == 0 && m->committed.raft.outgoing_count == 0 && m->committed.version == m->now.version;
}

static int propose(struct membership *m, const struct members *next)
{
	struct raft_members raft = members_raft(next, &m->context);
	return raft_change(m->raft, &raft);
}

static const struct raft_progress *progress_of(const struct raft_status *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->members_count; i++)
		if (s->members[i].id == id)
			return &s->members[i];
	return NULL;
}

/* The leader: a node without data asks for the place of `old`, which it cannot be any more. Whoever still answers under that id keeps it. */
static enum join_verdict give_place(struct membership *m, const struct join_ask *a, const struct member *old, uint64_t *challenge)
{
	struct raft_status status;
	struct members next;
	raft_status(m->raft, &status);
	if (status.role != RAFT_LEADER)
		return JOIN_WAIT;
	*challenge = challenge_for(m, a->incarnation);
	const struct raft_progress *p = progress_of(&status, old->id);
	/* A member that was only just added is given time to be heard from, but nothing was. */
	bool alive = p && p->recent && (p->match > 0 || p->voter);
	if (old->id == m->identity->id || alive)
		return JOIN_ALIVE;
	if (a->challenge == *challenge && members_replace(&m->now, old->id, a->incarnation, a->who.address, &next) == 0)
		propose(m, &next);
	return JOIN_WAIT;
}

static bool is_first_member(const struct identity *me, const char *name)
{
	for (uint32_t i = 0; i < me->first_count; i++)
		if (strcmp(me->first[i].name, name) == 0)
			return true;
	return false;
}

static enum join_verdict take_note(struct membership *m, const struct join_ask *a)
{
	struct identity wanted = *m->identity;
	bool added;
	if (!is_first_member(m->identity, a->who.name))
		return JOIN_DIFFERS;
	enum join_verdict verdict = join_notes_take(&wanted.notes, a->who.name, a->incarnation, &added);
	if (!added)
		return verdict;
	m->keep_error = m->ports.keep(m->ports.ctx, &wanted);
	if (m->keep_error < 0)
		return JOIN_WAIT;
	m->identity->notes = wanted.notes;
	return verdict;
}

static void note_wiped(struct membership *m, const char *name)
{
	struct wiped *w = &m->wiped[0];
	for (uint32_t i = 0; i < STORE_MEMBERS_MAX; i++) {
		if (strcmp(m->wiped[i].name, name) == 0) {
			w = &m->wiped[i];
			break;
		}
		if (m->wiped[i].at_ns < w->at_ns)
			w = &m->wiped[i];
	}
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->at_ns = m->now_ns;
}

static enum join_verdict judge_fresh(struct membership *m, const struct join_ask *a, uint64_t *challenge)
{
	const struct member *one = members_named(&m->now, a->who.name);
	if (!one) {
		m->ports.foreign(m->ports.ctx);
		return JOIN_STRANGER;
	}
	if (one->id == a->incarnation)
		return is_committed(m) ? JOIN_GRANTED : JOIN_WAIT;
	bool notes = identity_is_first(m->identity) && a->origin == m->identity->origin && one->id == members_first_id(a->who.name);
	if (!a->wants_place)
		return notes ? take_note(m, a) : JOIN_RUNS;
	note_wiped(m, a->who.name);
	return give_place(m, a, one, challenge);
}

static void answer(struct membership *m, const struct join_ask *asked, struct join_answer *a)
{
	struct writer raft_bytes = {0};
	a->asked = asked->incarnation;
	a->incarnation = m->identity->incarnation;
	a->cluster_id = m->identity->cluster_id;
	memcpy(a->name, m->identity->name, sizeof(a->name));
	if (m->now.count > 0) {
		struct raft_members raft = members_raft(&m->now, &m->context);
		raft_members_encode(&raft_bytes, &raft);
	}
	a->members = (struct span){raft_bytes.data, raft_bytes.size};
	writer_clear(&m->payload);
	join_answer_encode(a, &m->payload);
	writer_free(&raft_bytes);
	m->ports.send_to(m->ports.ctx, asked->who.address, asked->id ? asked->id : asked->incarnation,
			 (struct span){m->payload.data, m->payload.size});
}

/* Another new node is there: this one's own questions may have waited for it. */
static void hurry(struct membership *m)
{
	if (m->ask_ns <= m->now_ns + ASK_YOUNG_NS)
		return;
	m->lively_ns = m->ask_ns = m->now_ns;
}

static void take_ask(struct membership *m, const struct join_ask *a)
{
	struct join_answer out = {0};
	if (a->incarnation == m->identity->incarnation)
		return;
	if (a->id != 0) {
		/* One that hears no leader: does it still belong? */
		if (a->cluster_id != m->identity->cluster_id || m->now.count == 0)
			return;
		out.verdict = members_find(&m->now, a->id) || !is_committed(m) ? JOIN_WAIT : JOIN_STRANGER;
	} else if (m->identity->id == 0) {
		out.verdict = (uint8_t)(a->origin == m->identity->origin ? take_note(m, a) : JOIN_DIFFERS);
		hurry(m);
	} else if (m->now.count > 0) {
		out.verdict = (uint8_t)judge_fresh(m, a, &out.challenge);
	} else {
		return;
	}
	answer(m, a, &out);
}

/* --- telling --- */

static void tell(struct membership *m, uint64_t to)
{
	if (to != m->identity->id)
		m->ports.send(m->ports.ctx, to, PEER_MEMBERS, (struct span){m->payload.data, m->payload.size});
}

static void gossip(struct membership *m)
{
	struct writer bytes = {0};
	struct raft_members raft = members_raft(&m->now, &m->context);
	raft_members_encode(&bytes, &raft);
	writer_clear(&m->payload);
	writer_u8(&m->payload, GOSSIP);
	writer_u8(&m->payload, is_committed(m));
	writer_bytes(&m->payload, bytes.data, bytes.size);
	writer_free(&bytes);
	for (uint32_t i = 0; i < m->now.count; i++)
		if (members_find(&m->now, m->now.table[i].id))
			tell(m, m->now.table[i].id);
	for (uint32_t i = 0; i < DEPARTED_MAX; i++)
		if (m->departed[i].until_ns > m->now_ns)
			tell(m, m->departed[i].who.id);
	m->gossip_ns = m->now_ns + GOSSIP_NS;
}

static void take_gossip(struct membership *m, bool committed, struct span bytes)
{
	struct members t;
	if (!read_members(bytes, &t))
		return;
	learn(m, &t);
	if (committed && m->raft && t.version > m->now.version && m->now.count > 0 && !members_find(&t, m->identity->id))
		m->removed = true;
}

/* --- requests --- */

static void send_result(struct membership *m, uint64_t to, uint64_t number, int error, const char *why)
{
	writer_clear(&m->payload);
	writer_u8(&m->payload, RESULT);
	writer_u64(&m->payload, number);
	writer_u32(&m->payload, (uint32_t)error);
	writer_string(&m->payload, why);
	m->ports.send(m->ports.ctx, to, PEER_MEMBERS, (struct span){m->payload.data, m->payload.size});
}

static int judge(struct membership *m, const struct raft_status *status, uint64_t from, uint64_t number, bool begun,
		 const struct member_request *q, char *why)
{
	struct member_judge *j = &m->judge;
	j->raft = m->raft;
	j->status = status;
	j->now = &m->now;
	j->committed = is_committed(m);
	j->now_ns = m->now_ns;
	return member_request_judge(j, from, number, begun, q, why);
}

static void take_request(struct membership *m, uint64_t from, struct reader *r)
{
	struct member_request q;
	struct raft_status status;
	char why[MEMBER_WHY_BYTES];
	uint64_t number = reader_u64(r);
	uint8_t begun = reader_u8(r);
	if (!m->raft || member_request_decode(r, &q) < 0 || !reader_done(r) || begun > 1)
		return;
	raft_status(m->raft, &status);
	if (status.role == RAFT_LEADER)
		send_result(m, from, number, judge(m, &status, from, number, begun == 1, &q, why), why);
}

static void take_result(struct membership *m, struct reader *r)
{
	char why[MEMBER_WHY_BYTES];
	uint64_t number = reader_u64(r);
	int error = (int32_t)reader_u32(r);
	struct span text = reader_bytes(r, sizeof(why) - 1);
	if (!reader_done(r) || error > 0)
		return;
	snprintf(why, sizeof(why), "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
	for (struct store_op *op = m->ops; op; op = op->next) {
		if (op->ticket != number)
			continue;
		if (error == -EINPROGRESS)
			op->state = STATE_BEGUN;
		else
			finish(m, op, error, why);
		return;
	}
}

void membership_submit(struct membership *m, struct store_op *op)
{
	op->ticket = ++m->number;
	op->state = STATE_NEW;
	op->resend_ns = 0;
	op->next = m->ops;
	m->ops = op;
}

/* What this node can see for itself. */
static bool is_done(const struct membership *m, const struct member_request *q, const struct raft_status *status)
{
	const struct member *who = q->type == MEMBER_ADD ? NULL : members_called(&m->now, q->target);
	if (q->type == MEMBER_MOVE_LEADER)
		return who && status->leader == who->id;
	return q->type == MEMBER_REMOVE && who && who->id == m->identity->id && m->removed;
}

static void send_request(struct membership *m, struct store_op *op, uint64_t leader)
{
	writer_clear(&m->payload);
	writer_u8(&m->payload, REQUEST);
	writer_u64(&m->payload, op->ticket);
	writer_u8(&m->payload, op->state == STATE_BEGUN);
	writer_raw(&m->payload, op->bytes.data, op->bytes.size);
	m->ports.send(m->ports.ctx, leader, PEER_MEMBERS, (struct span){m->payload.data, m->payload.size});
	op->resend_ns = m->now_ns + RESEND_NS;
}

static void carry_on(struct membership *m, struct store_op *op, const struct raft_status *status)
{
	char why[MEMBER_WHY_BYTES] = "";
	struct member_request q;
	struct reader r = reader_over(op->bytes.data, op->bytes.size);
	int rc = -EINPROGRESS;
	if (member_request_decode(&r, &q) < 0 || !reader_done(&r)) {
		finish(m, op, -EINVAL, "not a request");
		return;
	}
	if (is_done(m, &q, status))
		rc = 0;
	else if (status->role == RAFT_LEADER)
		rc = judge(m, status, m->identity->id, op->ticket, op->state == STATE_BEGUN, &q, why);
	else if (status->leader != 0 && m->now_ns >= op->resend_ns)
		send_request(m, op, status->leader);
	if (rc == -EINPROGRESS && status->role == RAFT_LEADER)
		op->state = STATE_BEGUN;
	if (rc != -EINPROGRESS)
		finish(m, op, rc, why);
}

static void run_requests(struct membership *m, const struct raft_status *status)
{
	struct store_op *next;
	for (struct store_op *op = m->ops; op; op = next) {
		next = op->next;
		if (m->now_ns >= op->deadline_ns)
			finish(m, op, -ETIMEDOUT, "the cluster did not answer in time; the change may still take effect");
		else if (m->raft)
			carry_on(m, op, status);
	}
}

/* --- inputs --- */

void membership_start(struct membership *m, struct raft *raft, const struct raft_members *committed)
{
	struct members t;
	m->raft = raft;
	m->leader_ns = m->now_ns;
	if (members_decode(committed, &t) == 0)
		m->committed = t;
	membership_changed(m, raft_members_now(raft));
}

static void note_departed(struct membership *m, const struct member *who)
{
	struct departed *oldest = &m->departed[0];
	for (uint32_t i = 1; i < DEPARTED_MAX; i++)
		if (m->departed[i].until_ns < oldest->until_ns)
			oldest = &m->departed[i];
	*oldest = (struct departed){*who, m->now_ns + DEPARTED_NS};
}

void membership_changed(struct membership *m, const struct raft_members *in_force)
{
	struct members t;
	if (members_decode(in_force, &t) < 0)
		t = (struct members){.raft = *in_force};
	for (uint32_t i = 0; i < m->now.count; i++)
		if (members_find(&m->now, m->now.table[i].id) && !members_find(&t, m->now.table[i].id))
			note_departed(m, &m->now.table[i]);
	m->now = t;
	m->gossip_ns = m->now_ns;
	set_links(m);
}

void membership_committed(struct membership *m, const struct raft_members *committed)
{
	struct members t;
	if (members_decode(committed, &t) == 0)
		m->committed = t;
}

void membership_frame(struct membership *m, const struct peer_frame *f)
{
	struct reader r = reader_over(f->payload.data, f->payload.size);
	struct join_ask asked;
	struct join_answer answered;
	if (f->kind == PEER_JOIN) {
		if (join_ask_decode(f->payload, &asked) == 0)
			take_ask(m, &asked);
		else if (join_answer_decode(f->payload, &answered) == 0)
			take_answer(m, &answered);
		return;
	}
	uint8_t what = reader_u8(&r);
	if (what == GOSSIP) {
		uint8_t committed = reader_u8(&r);
		struct span bytes = reader_bytes(&r, RAFT_ENTRY_BYTES_MAX);
		if (reader_done(&r) && committed <= 1)
			take_gossip(m, committed == 1, bytes);
	} else if (what == REQUEST && f->known) {
		take_request(m, f->from, &r);
	} else if (what == RESULT && f->known) {
		take_result(m, &r);
	}
}

static void tick_fresh(struct membership *m)
{
	if (join_look(&m->join, waited(m)) == JOIN_FIRST) {
		become_first(m);
		return;
	}
	if (m->now_ns < m->ask_ns)
		return;
	ask_all(m);
	m->ask_ns = m->now_ns + (m->now_ns - m->lively_ns < YOUNG_NS ? ASK_YOUNG_NS : ASK_NS);
}

static void lead(struct membership *m, const struct raft_status *status)
{
	const struct member *self = members_find(&m->now, m->identity->id);
	struct members next;
	bool due = is_committed(m) && members_due(&m->now, status, &next);
	if (!due && is_committed(m) && self && !self->who.address[0] && m->identity->address[0])
		due = members_locate(&m->now, self->id, m->identity->address, &next) == 0;
	if (due)
		propose(m, &next);
	if (m->now_ns >= m->gossip_ns)
		gossip(m);
}

/* No leader for long: is this node still a member, and do the others know all those that it needs votes of? */
static void look_around(struct membership *m)
{
	if (m->now_ns >= m->ask_ns) {
		ask_all(m);
		m->ask_ns = m->now_ns + ASK_NS;
	}
	if (m->now_ns >= m->gossip_ns && m->now.count > 0 && !m->removed)
		gossip(m);
}

static void tick_member(struct membership *m)
{
	struct raft_status status;
	raft_status(m->raft, &status);
	if (status.leader != 0) {
		m->leader_ns = m->now_ns;
		/* Whoever leads holds this node for a member, or did so a moment ago. */
		m->removed &= !members_find(&m->now, m->identity->id) || m->book.version > m->now.version;
	}
	if (status.role == RAFT_LEADER)
		lead(m, &status);
	else if (m->now_ns - m->leader_ns >= 2 * m->election_ns)
		look_around(m);
	run_requests(m, &status);
}

void membership_tick(struct membership *m, int64_t now_ns)
{
	if (m->began_ns == 0)
		m->began_ns = m->leader_ns = m->lively_ns = now_ns;
	m->now_ns = now_ns;
	if (m->identity->id == 0) {
		tick_fresh(m);
		run_requests(m, NULL);
	} else if (m->raft) {
		tick_member(m);
	}
}

int64_t membership_deadline_ns(const struct membership *m)
{
	if (m->ops)
		return m->now_ns + RESEND_NS / 4;
	if (m->identity->id == 0)
		return m->ask_ns;
	return m->now_ns + ASK_NS;
}

const struct members *membership_now(const struct membership *m)
{
	return &m->now;
}

bool membership_is_removed(const struct membership *m)
{
	return m->removed;
}

/* How many voters came back without their data and wait for a place. */
static uint32_t count_wiped(const struct membership *m, char *names, size_t size)
{
	uint32_t count = 0;
	size_t at = 0;
	names[0] = '\0';
	for (uint32_t i = 0; i < STORE_MEMBERS_MAX; i++) {
		const struct wiped *w = &m->wiped[i];
		const struct member *one = w->name[0] ? members_named(&m->now, w->name) : NULL;
		if (!one || !members_is_voter(&m->now, one->id) || m->now_ns - w->at_ns > WIPED_NS)
			continue;
		count++;
		if (at < size)
			at += (size_t)snprintf(names + at, size - at, "%s%s", at > 0 ? ", " : "", w->name);
	}
	return count;
}

static void member_health(const struct membership *m, char *out, size_t size)
{
	struct raft_status status;
	char names[100];
	raft_status(m->raft, &status);
	uint32_t voters = m->now.raft.voters_count;
	uint32_t wiped = count_wiped(m, names, sizeof(names));
	if (m->removed)
		snprintf(out, size,
			 "removed from the cluster (as of its configuration %" PRIu64
			 "); serial reads are answered, nothing else; to join anew it needs new DATA",
			 m->book.version > m->now.version ? m->book.version : m->now.version);
	else if (m->now.count == 0 && status.leader == 0)
		snprintf(out, size, "let in, and waits for the leader to send what it lacks");
	else if (status.leader == 0 && wiped > 0 && voters - wiped < voters / 2 + 1)
		snprintf(out, size,
			 "no leader: a majority of the %u voters is needed, but %s lost %s data: bring such data back, or restore a "
			 "snapshot",
			 voters, names, wiped > 1 ? "their" : "its");
	else if (status.leader == 0 && wiped > 0)
		snprintf(out, size, "no leader: a majority of the %u voters does not answer; %s lost %s data and cannot count", voters,
			 names, wiped > 1 ? "their" : "its");
	else if (status.leader == 0)
		snprintf(out, size, "no leader: a majority of the %u members does not answer", voters);
}

void membership_health(const struct membership *m, char *out, size_t size)
{
	out[0] = '\0';
	if (m->keep_error < 0)
		snprintf(out, size, "DATA/node cannot be written: %s", strerror(-m->keep_error));
	else if (m->identity->id == 0)
		join_waits_for(&m->join, out, size);
	else if (m->raft)
		member_health(m, out, size);
}
