#include "raft/core/core.h"

#include <string.h>

/* The leader's own reads that no round serves yet. */
static bool own_waiting(const struct raft *r)
{
	return r->read_last > r->read_asked && r->read_last > r->read_done;
}

static bool outstanding(const struct raft *r)
{
	return r->read_last > r->read_done;
}

void core_read_reset(struct raft *r)
{
	r->rounds_count = 0;
	r->asks_count = 0;
	r->read_asked = r->read_done;
	for (uint32_t i = 0; i < r->members_count; i++)
		r->members[i].read_waiting = 0;
	if (outstanding(r))
		r->flush = true;
}

uint64_t raft_read(struct raft *r)
{
	r->flush = true;
	return ++r->read_last;
}

void raft_read_forget(struct raft *r, uint64_t ticket)
{
	if (ticket > r->read_last)
		ticket = r->read_last;
	if (ticket > r->read_done)
		r->read_done = ticket;
	if (!outstanding(r))
		r->asks_count = 0;
}

/* Answers all of this member's reads up to `ticket`. The index is that of the newest round, which is right for older reads too. */
static void answer(struct raft *r, uint64_t ticket, uint64_t index)
{
	if (ticket <= r->read_done || ticket > r->read_last)
		return;
	r->read_done = ticket;
	r->read_ready = true;
	r->ready_ticket = ticket;
	if (index > r->ready_index)
		r->ready_index = index;
}

/* --- the leader --- */

void core_handle_read_index(struct raft *r, struct progress *p, const struct raft_message *m)
{
	if (m->round > p->read_waiting)
		p->read_waiting = m->round;
	r->flush = true;
}

static bool anyone_waiting(const struct raft *r)
{
	for (uint32_t i = 0; i < r->members_count; i++)
		if (r->members[i].read_waiting)
			return true;
	return own_waiting(r);
}

static void add_asker(struct read_round *round, uint64_t id, uint64_t ticket)
{
	round->askers[round->askers_count].id = id;
	round->askers[round->askers_count++].ticket = ticket;
}

bool core_read_begin_round(struct raft *r)
{
	/* Before it has committed in its own term a leader's commit index may be behind what was committed (6.4, step 1). */
	bool committed = log_view_term(&r->log, r->commit) == r->term;
	if (!committed || r->rounds_count == READ_ROUNDS_MAX || !anyone_waiting(r))
		return false;
	struct read_round *round = &r->rounds[r->rounds_count++];
	r->counters.read_rounds++;
	round->round = ++r->round;
	round->index = r->commit;
	round->askers_count = 0;
	if (own_waiting(r))
		add_asker(round, r->id, r->read_last);
	for (uint32_t i = 0; i < r->members_count; i++) {
		if (r->members[i].read_waiting)
			add_asker(round, r->members[i].id, r->members[i].read_waiting);
		r->members[i].read_waiting = 0;
	}
	r->read_asked = r->read_last;
	if (core_only_voter(r))
		core_read_confirm(r);
	return true;
}

static void end_round(struct raft *r, const struct read_round *round)
{
	for (uint32_t i = 0; i < round->askers_count; i++) {
		uint64_t id = round->askers[i].id, ticket = round->askers[i].ticket;
		if (id == r->id)
			answer(r, ticket, round->index);
		else
			core_send(r, (struct raft_message){
					     .type = RAFT_READ_INDEX_REPLY, .to = id, .round = ticket, .log_index = round->index});
	}
}

void core_read_confirm(struct raft *r)
{
	uint64_t acked[PLACES_MAX];
	for (uint32_t i = 0; i < r->members_count; i++)
		acked[i] = i == r->self ? r->round : r->members[i].round_acked;
	uint64_t confirmed = configuration_reached(r, acked);
	uint32_t ended = 0;
	while (ended < r->rounds_count && r->rounds[ended].round <= confirmed)
		end_round(r, &r->rounds[ended++]);
	if (ended == 0)
		return;
	r->rounds_count -= ended;
	memmove(r->rounds, r->rounds + ended, r->rounds_count * sizeof(*r->rounds));
	if (anyone_waiting(r))
		r->flush = true;
}

/* --- a follower --- */

void core_read_ask(struct raft *r)
{
	if (!outstanding(r) || r->leader == 0 || r->leader == r->id || !own_waiting(r) || r->asks_count == READ_ROUNDS_MAX)
		return;
	if (r->asks_count == 0)
		r->ask_due_ms = r->now_ms + r->heartbeat_ms;
	r->asks[r->asks_count++] = r->read_last;
	r->counters.read_questions++;
	r->read_asked = r->read_last;
	core_send(r, (struct raft_message){.type = RAFT_READ_INDEX, .to = r->leader, .round = r->read_last});
}

void core_read_tick(struct raft *r)
{
	if (r->asks_count == 0 || r->now_ms < r->ask_due_ms)
		return;
	/* The question or its answer is lost: one new question for all that wait. */
	r->asks_count = 0;
	r->read_asked = r->read_done;
	r->flush = true;
}

void core_handle_read_index_reply(struct raft *r, const struct raft_message *m)
{
	if (r->role != RAFT_FOLLOWER || m->round > r->read_last)
		return;
	answer(r, m->round, m->log_index);
	uint32_t answered = 0;
	while (answered < r->asks_count && r->asks[answered] <= m->round)
		answered++;
	r->asks_count -= answered;
	memmove(r->asks, r->asks + answered, r->asks_count * sizeof(*r->asks));
	if (answered > 0)
		r->ask_due_ms = r->now_ms + r->heartbeat_ms;
	if (own_waiting(r))
		r->flush = true;
}
