#include "raft/core/core.h"

#include <errno.h>

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(struct raft *r)
{
	uint64_t z = r->random += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void core_reset_election(struct raft *r)
{
	r->timeout_ms = r->election_ms + next_random(r) % r->election_ms;
	r->election_due_ms = r->now_ms + r->timeout_ms;
}

static void enter_role(struct raft *r, enum raft_role role, uint64_t leader)
{
	r->role = role;
	r->leader = leader;
	core_note_leader(r);
	r->transfer_to = 0;
	r->heartbeat_wanted = false;
	for (uint32_t i = 0; i < r->members_count; i++)
		r->members[i].vote = VOTE_NONE;
	core_reset_election(r);
	core_read_reset(r);
}

void core_become_follower(struct raft *r, uint64_t term, uint64_t leader)
{
	if (term > r->term) {
		r->term = term;
		r->vote = 0;
		r->hard_changed = true;
	}
	r->transfer_campaign = false;
	enter_role(r, RAFT_FOLLOWER, leader);
}

bool core_in_lease(const struct raft *r)
{
	return r->role == RAFT_LEADER || (r->leader != 0 && r->now_ms - r->heard_ms < r->election_ms);
}

static bool own_vote_stored(const struct raft *r)
{
	return r->durable_term == r->term && r->durable_vote == r->id;
}

/* Asks everybody who has not answered. */
static void ask_votes(struct raft *r)
{
	bool pre = r->role == RAFT_PRECANDIDATE;
	struct raft_message m = {
		.type = pre ? RAFT_PREVOTE : RAFT_VOTE,
		.transfer = r->transfer_campaign,
		.term = pre ? r->term + 1 : r->term,
		.log_index = r->log.last,
		.log_term = log_view_last_term(&r->log),
	};
	for (uint32_t i = 0; i < r->members_count; i++) {
		const struct progress *p = &r->members[i];
		if (i == r->self || !(p->voter || p->outgoing) || p->vote != VOTE_NONE)
			continue;
		m.to = p->id;
		core_send(r, m);
	}
	r->resend_due_ms = r->now_ms + r->heartbeat_ms;
}

static void become_candidate(struct raft *r, bool transfer)
{
	enter_role(r, RAFT_CANDIDATE, 0);
	r->transfer_campaign = transfer;
	r->counters.elections++;
	r->term++;
	r->vote = r->id;
	r->hard_changed = true;
	ask_votes(r);
}

static void become_precandidate(struct raft *r)
{
	enter_role(r, RAFT_PRECANDIDATE, 0);
	r->transfer_campaign = false;
	r->members[r->self].vote = VOTE_GRANTED;
	ask_votes(r);
}

static void become_leader(struct raft *r)
{
	enter_role(r, RAFT_LEADER, r->id);
	r->transfer_campaign = false;
	core_lead(r);
}

static void count_votes(struct raft *r)
{
	enum quorum_outcome outcome = configuration_outcome(r);
	if (outcome == QUORUM_LOST)
		core_become_follower(r, r->term, 0);
	else if (outcome == QUORUM_WON && r->role == RAFT_PRECANDIDATE)
		become_candidate(r, false);
	else if (outcome == QUORUM_WON)
		become_leader(r);
}

void core_vote_stored(struct raft *r)
{
	if (r->role != RAFT_CANDIDATE || !own_vote_stored(r) || r->members[r->self].vote == VOTE_GRANTED)
		return;
	r->members[r->self].vote = VOTE_GRANTED;
	count_votes(r);
}

static void campaign(struct raft *r)
{
	if (core_only_voter(r))
		become_candidate(r, false);
	else
		become_precandidate(r);
}

void core_election_tick(struct raft *r)
{
	bool at_once = core_only_voter(r) && r->role == RAFT_FOLLOWER;
	if (!configuration_eligible(r)) {
		/* It waits for a leader, and no longer believes in the last one. */
		if (r->now_ms >= r->election_due_ms)
			core_become_follower(r, r->term, 0);
		return;
	}
	if (r->now_ms >= r->election_due_ms || at_once) {
		/* A candidate whose disk has not yet taken its last vote has no use for another term. */
		if (r->role == RAFT_CANDIDATE && !own_vote_stored(r))
			core_reset_election(r);
		else
			campaign(r);
	} else if (r->role != RAFT_FOLLOWER && r->now_ms >= r->resend_due_ms) {
		if (r->role == RAFT_PRECANDIDATE || own_vote_stored(r))
			ask_votes(r);
		else
			r->resend_due_ms = r->now_ms + r->heartbeat_ms;
	}
}

static bool may_vote(const struct raft *r, const struct raft_message *m)
{
	if (m->type == RAFT_PREVOTE && m->term > r->term)
		return true;
	return r->vote == m->from || (r->vote == 0 && r->leader == 0);
}

/* 3.6.1: the log with the later last term is more up to date; with equal terms, the longer one. */
static bool up_to_date(const struct raft *r, const struct raft_message *m)
{
	uint64_t last_term = log_view_last_term(&r->log);
	return m->log_term > last_term || (m->log_term == last_term && m->log_index >= r->log.last);
}

/* Whoever asks may be a stranger, and this member a learner or none: either may be behind on the configuration, and the candidate counts
 * only those of its own (4.1; etcd-io/raft has learners vote for the same reason). */
void core_handle_vote(struct raft *r, const struct raft_message *m)
{
	bool informed = raft_members_now(r)->voters_count > 0;
	bool granted = informed && may_vote(r, m) && up_to_date(r, m);
	struct raft_message reply = {
		.type = m->type == RAFT_PREVOTE ? RAFT_PREVOTE_REPLY : RAFT_VOTE_REPLY,
		.to = m->from,
		.reject = !granted,
		.term = granted ? m->term : r->term,
	};
	if (granted && m->type == RAFT_VOTE) {
		r->election_due_ms = r->now_ms + r->timeout_ms;
		r->hard_changed |= r->vote != m->from;
		r->vote = m->from;
	}
	core_send(r, reply);
}

void core_handle_vote_reply(struct raft *r, struct progress *p, const struct raft_message *m)
{
	bool pre = m->type == RAFT_PREVOTE_REPLY;
	if (r->role != (pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE))
		return;
	/* A granted pre-vote is for the term that was asked about; everything else speaks of the present one. */
	if (m->term != (pre && !m->reject ? r->term + 1 : r->term) || p->vote != VOTE_NONE)
		return;
	p->vote = m->reject ? VOTE_REJECTED : VOTE_GRANTED;
	count_votes(r);
}

void core_handle_timeout_now(struct raft *r)
{
	if ((r->role == RAFT_FOLLOWER || r->role == RAFT_PRECANDIDATE) && configuration_eligible(r))
		become_candidate(r, true);
}

void core_transfer_go(struct raft *r, const struct progress *p)
{
	if (r->transfer_to == p->id && p->match == r->log.last)
		core_send(r, (struct raft_message){.type = RAFT_TIMEOUT_NOW, .to = p->id});
}

/* The voter that is the least behind, of those heard from within the last election timeout. */
static struct progress *heir(struct raft *r)
{
	struct progress *best = NULL;
	for (uint32_t i = 0; i < r->members_count; i++) {
		struct progress *p = &r->members[i];
		if (i == r->self || !p->voter || !core_recent(r, p))
			continue;
		if (!best || p->match > best->match)
			best = p;
	}
	return best;
}

int raft_transfer(struct raft *r, uint64_t to)
{
	if (r->role != RAFT_LEADER)
		return -EAGAIN;
	struct progress *p = to ? core_member(r, to) : heir(r);
	if (!p || !p->voter || p->id == r->id)
		return -ENOENT;
	r->transfer_to = p->id;
	r->transfer_due_ms = r->now_ms + r->election_ms;
	r->heartbeat_wanted = r->flush = true; /* its answer shows what it lacks */
	core_transfer_go(r, p);
	return 0;
}

/* Nobody waits for an election timeout, because the heir campaigns at once (4.2.2). */
void core_retire(struct raft *r)
{
	const struct progress *p = heir(r);
	if (p)
		core_send(r, (struct raft_message){.type = RAFT_TIMEOUT_NOW, .to = p->id});
	core_become_follower(r, r->term, 0);
}

void raft_step_down(struct raft *r)
{
	if (r->role == RAFT_LEADER)
		core_become_follower(r, r->term, 0);
}
