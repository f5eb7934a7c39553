/* Questions of nodes that look for an identity or a leader, and the answers to them. */
#include "store/membership_inside.h"

#include <stdlib.h>
#include <string.h>

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

void membership_ask_all(struct membership *m)
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
	membership_set_links(m);
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

void membership_tick_fresh(struct membership *m)
{
	if (join_look(&m->join, waited(m)) == JOIN_FIRST) {
		become_first(m);
		return;
	}
	if (m->now_ns < m->ask_ns)
		return;
	membership_ask_all(m);
	m->ask_ns = m->now_ns + (m->now_ns - m->lively_ns < YOUNG_NS ? ASK_YOUNG_NS : ASK_NS);
}

void membership_take_answer(struct membership *m, const struct join_answer *a)
{
	struct members t = {0};
	bool tells = a->members.size > 0 && membership_read(a->members, &t) && t.count > 0;
	if (a->asked != m->identity->incarnation)
		return;
	if (m->identity->id != 0) {
		/* Who knows a later configuration, without this node, says that it was removed. */
		if (tells && a->cluster_id == m->identity->cluster_id && a->verdict == JOIN_STRANGER && t.version >= m->now.version &&
		    !members_find(&t, m->identity->id))
			m->removed = true;
		if (tells && a->cluster_id == m->identity->cluster_id)
			membership_learn(m, &t);
		return;
	}
	if (tells)
		membership_learn(m, &t);
	enum join_outcome outcome = join_take(&m->join, a, waited(m));
	if (outcome == JOIN_FIRST)
		become_first(m);
	else if (outcome == JOIN_PLACE && m->book.count > 0)
		become_member(m, a);
}

/* --- answering --- */

/* A place that was given makes another configuration, so whoever lost its data again cannot be put out by what it asked in an earlier life. */
uint64_t membership_challenge(const struct membership *m, uint64_t who)
{
	uint64_t z = (m->salt ^ who ^ m->now.version * 0xd6e8feb86659fd93u) + 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return z ? z : 1;
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
	*challenge = membership_challenge(m, a->incarnation);
	const struct raft_progress *p = progress_of(&status, old->id);
	/* A member that was only just added is given time to be heard from, but nothing was. */
	bool alive = p && p->recent && (p->match > 0 || p->voter);
	if (old->id == m->identity->id || alive)
		return JOIN_ALIVE;
	if (a->challenge == *challenge && members_replace(&m->now, old->id, a->incarnation, a->who.address, &next) == 0)
		membership_propose(m, &next);
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

static enum join_verdict judge_fresh(struct membership *m, const struct join_ask *a, uint64_t *challenge)
{
	const struct member *one = members_named(&m->now, a->who.name);
	if (!one) {
		m->ports.foreign(m->ports.ctx);
		return JOIN_STRANGER;
	}
	if (one->id == a->incarnation)
		return membership_is_committed(m) ? JOIN_GRANTED : JOIN_WAIT;
	bool notes = identity_is_first(m->identity) && a->origin == m->identity->origin && one->id == members_first_id(a->who.name);
	if (!a->wants_place)
		return notes ? take_note(m, a) : JOIN_RUNS;
	membership_note_wiped(m, a->who.name);
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

void membership_take_ask(struct membership *m, const struct join_ask *a)
{
	struct join_answer out = {0};
	if (a->incarnation == m->identity->incarnation)
		return;
	if (a->id != 0) {
		/* One that hears no leader: does it still belong? */
		if (a->cluster_id != m->identity->cluster_id || m->now.count == 0)
			return;
		out.verdict = members_find(&m->now, a->id) || !membership_is_committed(m) ? JOIN_WAIT : JOIN_STRANGER;
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
