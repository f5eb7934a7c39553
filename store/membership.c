/* The payloads of PEER_MEMBERS; integers are little-endian, bytes: a u32 length, then so many.
 *
 *   gossip    u8 1, u8 committed (0 or 1), bytes an encoded struct raft_members
 *   request   u8 2, u64 number, u8 begun (0 or 1), u64 challenge, a request (member_request.c)
 *   result    u8 3, u64 number, u32 error (an errno as two's complement of its negative), bytes why
 *   challenge u8 4, u64 number, u64 challenge
 *
 * A request moves nothing unless it has the leader's challenge, which belongs to the leader's boot, to who asks, to the number and to the configuration
 * in force: what was recorded on the wire cannot be carried out a second time.
 *
 * Gossip may come from a stranger, for a member that was away does not know who was added meanwhile: it says only where members are to be found,
 * and an older one than is known changes nothing. The others are taken from members alone. */
#include "store/membership_inside.h"

#include <errno.h>
#include <stdlib.h>

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

void membership_free(struct membership *m)
{
	if (!m)
		return;
	membership_end_requests(m, -ESHUTDOWN, "the node is stopping");
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

bool membership_is_committed(const struct membership *m)
{
	return m->now.raft.outgoing_count == 0 && m->committed.raft.outgoing_count == 0 && m->committed.version == m->now.version;
}

int membership_propose(struct membership *m, const struct members *next)
{
	struct raft_members raft = members_raft(next, &m->context);
	return raft_change(m->raft, &raft);
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

void membership_changed(struct membership *m, const struct raft_members *in_force)
{
	struct members t;
	if (members_decode(in_force, &t) < 0)
		t = (struct members){.raft = *in_force};
	for (uint32_t i = 0; i < m->now.count; i++)
		if (members_find(&m->now, m->now.table[i].id) && !members_find(&t, m->now.table[i].id))
			membership_note_departed(m, &m->now.table[i]);
	m->now = t;
	m->gossip_ns = m->now_ns;
	membership_set_links(m);
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
			membership_take_ask(m, &asked);
		else if (join_answer_decode(f->payload, &answered) == 0)
			membership_take_answer(m, &answered);
		return;
	}
	uint8_t what = reader_u8(&r);
	if (what == GOSSIP) {
		uint8_t committed = reader_u8(&r);
		struct span bytes = reader_bytes(&r, RAFT_ENTRY_BYTES_MAX);
		if (reader_done(&r) && committed <= 1)
			membership_take_gossip(m, committed == 1, bytes);
	} else if (what == REQUEST && f->known) {
		membership_take_request(m, f->from, &r);
	} else if (what == RESULT && f->known) {
		membership_take_result(m, &r);
	} else if (what == CHALLENGE && f->known) {
		membership_take_challenge(m, &r);
	}
}

static void lead(struct membership *m, const struct raft_status *status)
{
	const struct member *self = members_find(&m->now, m->identity->id);
	struct members next;
	bool due = membership_is_committed(m) && members_due(&m->now, status, &next);
	if (!due && membership_is_committed(m) && self && !self->who.address[0] && m->identity->address[0])
		due = members_locate(&m->now, self->id, m->identity->address, &next) == 0;
	if (due)
		membership_propose(m, &next);
	if (m->now_ns >= m->gossip_ns)
		membership_gossip(m);
}

/* No leader for long: is this node still a member, and do the others know all those that it needs votes of? */
static void look_around(struct membership *m)
{
	if (m->now_ns >= m->ask_ns) {
		membership_ask_all(m);
		m->ask_ns = m->now_ns + ASK_NS;
	}
	if (m->now_ns >= m->gossip_ns && m->now.count > 0 && !m->removed)
		membership_gossip(m);
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
	membership_run_requests(m, &status);
}

void membership_tick(struct membership *m, int64_t now_ns)
{
	if (m->began_ns == 0)
		m->began_ns = m->leader_ns = m->lively_ns = now_ns;
	m->now_ns = now_ns;
	if (m->identity->id == 0) {
		membership_tick_fresh(m);
		membership_run_requests(m, NULL);
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
