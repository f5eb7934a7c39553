#include "raft/core/core.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static bool config_valid(const struct raft_config *c)
{
	if (c->id == 0 || !c->members || !members_valid(c->members))
		return false;
	if (c->heartbeat_ms == 0 || c->heartbeat_ms >= c->election_ms || c->inflight_max == 0)
		return false;
	if (c->log_first == 0 || (c->log_first == 1 && c->log_base_term != 0) || c->log_base_term > c->hard.term)
		return false;
	return c->applied >= c->log_first - 1;
}

int raft_new(const struct raft_config *config, struct raft **out)
{
	if (!config_valid(config))
		return -EINVAL;
	struct raft *r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->id = config->id;
	r->election_ms = config->election_ms;
	r->heartbeat_ms = config->heartbeat_ms;
	r->inflight_max = config->inflight_max;
	r->cache_bytes_max = config->cache_bytes_max;
	r->uncommitted_bytes_max = config->uncommitted_bytes_max;
	r->random = config->seed;
	r->now_ms = config->now_ms;
	r->term = r->durable_term = config->hard.term;
	r->vote = r->durable_vote = config->hard.vote;
	r->commit_hint = config->hard.commit > config->applied ? config->hard.commit : config->applied;
	r->applied = config->applied;
	r->read_last = r->read_done = r->read_asked = config->ticket_base;
	log_view_init(&r->log, config->log_first, config->log_base_term);
	r->commit = r->listed = r->stored = r->log.last;
	configuration_begin(r, config->applied, config->members);
	r->members_changed = false;
	core_reset_election(r);
	*out = r;
	return 0;
}

void raft_free(struct raft *r)
{
	if (!r)
		return;
	configuration_free(r);
	log_view_free(&r->log);
	core_queues_free(r);
	free(r->saves);
	free(r);
}

int raft_restore(struct raft *r, const struct raft_entry *entry)
{
	struct raft_members members;
	bool config = entry->type == RAFT_ENTRY_CONFIG;
	if (entry->index != r->log.last + 1 || entry->term < log_view_last_term(&r->log) || entry->term == 0 || entry->term > r->term)
		return -EINVAL;
	if (config && !configuration_decode(entry, &members))
		return -EINVAL;
	log_view_append(&r->log, entry->term, entry->type, entry->data, entry->size);
	r->listed = r->stored = r->log.last;
	if (r->commit_hint >= r->log.last)
		r->commit = r->log.last;
	if (config && entry->index > r->applied)
		configuration_push(r, entry->index, &members);
	configuration_settle(r);
	log_view_evict(&r->log, r->applied, r->cache_bytes_max);
	return 0;
}

void raft_tick(struct raft *r, uint64_t now_ms)
{
	uint64_t slept_ms = now_ms > r->now_ms ? now_ms - r->now_ms : 0;
	r->now_ms += slept_ms;
	if (r->role == RAFT_LEADER)
		core_leader_tick(r, slept_ms);
	else
		core_election_tick(r);
	core_read_tick(r);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t raft_deadline_ms(const struct raft *r)
{
	const uint64_t hour_ms = 3600u * 1000;
	uint64_t due = r->now_ms + hour_ms;
	if (r->role == RAFT_LEADER) {
		if (r->members_count > 1)
			due = r->heartbeat_due_ms;
		return r->transfer_to ? earlier(due, r->transfer_due_ms) : due;
	}
	if (core_only_voter(r) && r->role == RAFT_FOLLOWER)
		return r->now_ms;
	due = r->election_due_ms;
	if (r->role != RAFT_FOLLOWER)
		due = earlier(due, r->resend_due_ms);
	return r->asks_count > 0 ? earlier(due, r->ask_due_ms) : due;
}

struct progress *core_member(struct raft *r, uint64_t id)
{
	for (uint32_t i = 0; i < r->members_count; i++)
		if (r->members[i].id == id)
			return &r->members[i];
	return NULL;
}

bool core_votes(const struct raft *r)
{
	return r->members[r->self].voter || r->members[r->self].outgoing;
}

bool core_only_voter(const struct raft *r)
{
	for (uint32_t i = 0; i < r->members_count; i++)
		if (i != r->self && (r->members[i].voter || r->members[i].outgoing))
			return false;
	return core_votes(r);
}

bool core_recent(const struct raft *r, const struct progress *p)
{
	return r->now_ms - p->heard_ms < r->election_ms;
}

/* An old term's question is answered with the new term, so that whoever asked catches up and a deposed leader steps down; an old term's
 * answer means nothing. */
static void answer_stale(struct raft *r, const struct raft_message *m)
{
	if (m->type == RAFT_PREVOTE)
		core_send(r, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .to = m->from, .reject = true});
	else if (m->type == RAFT_VOTE)
		core_send(r, (struct raft_message){.type = RAFT_VOTE_REPLY, .to = m->from, .reject = true});
	else if (m->type == RAFT_APPEND || m->type == RAFT_HEARTBEAT)
		core_send(r, (struct raft_message){.type = RAFT_HEARTBEAT_REPLY, .to = m->from, .log_index = r->log.last});
}

/* Brings this member to the message's term; false if the message ends here. */
static bool meet_term(struct raft *r, const struct raft_message *m)
{
	if (m->term < r->term) {
		answer_stale(r, m);
		return false;
	}
	if (m->term == r->term)
		return true;
	bool asks_vote = m->type == RAFT_PREVOTE || m->type == RAFT_VOTE;
	if (asks_vote && !m->transfer && core_in_lease(r))
		return false;
	/* A pre-vote asks about a term that nobody is in yet. */
	if (m->type == RAFT_PREVOTE || (m->type == RAFT_PREVOTE_REPLY && !m->reject))
		return true;
	core_become_follower(r, m->term, 0);
	return true;
}

static void step_leader(struct raft *r, struct progress *p, const struct raft_message *m)
{
	p->heard_ms = r->now_ms;
	if (m->type == RAFT_APPEND_REPLY)
		core_handle_append_reply(r, p, m);
	else if (m->type == RAFT_HEARTBEAT_REPLY)
		core_handle_heartbeat_reply(r, p, m);
	else
		core_handle_read_index(r, p, m);
}

/* A member may be behind on the configuration, so these are heard whoever sends them: they prove themselves by their term and log (4.1). */
static bool heard_from_strangers(const struct raft *r, const struct raft_message *m)
{
	switch (m->type) {
	case RAFT_PREVOTE:
	case RAFT_VOTE:
	case RAFT_APPEND:
	case RAFT_HEARTBEAT:
		return true;
	case RAFT_READ_INDEX_REPLY:
	case RAFT_TIMEOUT_NOW:
		return m->from == r->leader;
	default:
		return false;
	}
}

/* A member that leaves is one only to the leader that sees it off, and cannot make that step down. */
static struct progress *sender(struct raft *r, const struct raft_message *m)
{
	struct progress *p = core_member(r, m->from);
	return p && p->departing && (r->role != RAFT_LEADER || m->term > r->term) ? NULL : p;
}

void raft_step(struct raft *r, const struct raft_message *m)
{
	struct progress *p = sender(r, m);
	if (m->from == 0 || m->from == r->id || m->to != r->id || m->term == 0 || (!p && !heard_from_strangers(r, m)) || !meet_term(r, m))
		return;
	switch ((enum raft_message_type)m->type) {
	case RAFT_PREVOTE:
	case RAFT_VOTE:
		core_handle_vote(r, m);
		break;
	case RAFT_PREVOTE_REPLY:
	case RAFT_VOTE_REPLY:
		core_handle_vote_reply(r, p, m);
		break;
	case RAFT_APPEND:
		core_handle_append(r, m);
		break;
	case RAFT_HEARTBEAT:
		core_handle_heartbeat(r, m);
		break;
	case RAFT_APPEND_REPLY:
	case RAFT_HEARTBEAT_REPLY:
	case RAFT_READ_INDEX:
		if (r->role == RAFT_LEADER)
			step_leader(r, p, m);
		break;
	case RAFT_READ_INDEX_REPLY:
		core_handle_read_index_reply(r, m);
		break;
	case RAFT_TIMEOUT_NOW:
		core_handle_timeout_now(r);
		break;
	}
}

bool core_log_full(const struct raft *r, uint32_t size)
{
	if (r->uncommitted_bytes > 0 && r->uncommitted_bytes + size > r->uncommitted_bytes_max)
		return true;
	return r->log.bytes > r->cache_bytes_max + r->uncommitted_bytes_max; /* committed by the others, but not stored here */
}

int raft_propose(struct raft *r, const void *data, uint32_t size)
{
	if (r->role != RAFT_LEADER || r->transfer_to)
		return -EAGAIN;
	if (size > RAFT_ENTRY_BYTES_MAX)
		return -EMSGSIZE;
	if (core_log_full(r, size))
		return -ENOBUFS;
	log_view_append(&r->log, r->term, RAFT_ENTRY_COMMAND, data, size);
	r->uncommitted_bytes += size;
	r->flush = true;
	return 0;
}

void raft_trimmed(struct raft *r, uint64_t first)
{
	assert(first <= r->applied + 1);
	log_view_trim(&r->log, first);
}

void core_note_leader(struct raft *r)
{
	if (r->leader == 0 || (r->leader == r->known_leader && r->term == r->known_term))
		return;
	r->known_leader = r->leader;
	r->known_term = r->term;
	r->counters.leader_changes++;
}

struct raft_counters raft_counters(const struct raft *r)
{
	return r->counters;
}

void raft_status(const struct raft *r, struct raft_status *out)
{
	*out = (struct raft_status){
		.id = r->id,
		.leader = r->leader,
		.term = r->term,
		.role = r->role,
		.commit = r->commit,
		.log_first = r->log.first,
		.log_last = r->log.last,
		.stored = r->stored,
		.everywhere = r->role == RAFT_LEADER ? core_everywhere(r) : r->everywhere,
		.learner = !core_votes(r),
		.joint = members_joint(raft_members_now(r)),
		.counters = r->counters,
	};
	bool leads = r->role == RAFT_LEADER;
	for (uint32_t i = 0; i < r->members_count; i++) {
		const struct progress *p = &r->members[i];
		if (!raft_members_has(raft_members_now(r), p->id))
			continue;
		out->members[out->members_count++] = (struct raft_progress){
			.id = p->id,
			.match = i == r->self ? r->stored
				 : leads      ? p->match
					      : 0,
			.recent = leads && (i == r->self || core_recent(r, p)),
			.voter = p->voter || p->outgoing,
			.snapshot = leads && (p->state == PROGRESS_SNAPSHOT || p->snapshot_asked),
		};
	}
}

uint64_t raft_term_at(const struct raft *r, uint64_t index)
{
	return log_view_term(&r->log, index);
}

const char *raft_role_name(enum raft_role role)
{
	switch (role) {
	case RAFT_FOLLOWER:
		return "follower";
	case RAFT_PRECANDIDATE:
	case RAFT_CANDIDATE:
		return "candidate";
	case RAFT_LEADER:
		return "leader";
	}
	return "unknown";
}
