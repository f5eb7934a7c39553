#include "raft/core/core.h"

/* The sender leads this term: follow it. False if that makes no sense (two leaders in one term). */
static bool follow(struct raft *r, uint64_t leader)
{
	if (r->role == RAFT_LEADER || (r->leader != 0 && r->leader != leader))
		return false;
	if (r->role != RAFT_FOLLOWER) {
		core_become_follower(r, r->term, leader);
	} else if (r->leader == 0) {
		r->leader = leader;
		core_note_leader(r);
		core_read_reset(r);
	}
	r->heard_ms = r->now_ms;
	r->election_due_ms = r->now_ms + r->timeout_ms;
	return true;
}

void core_commit_to(struct raft *r, uint64_t commit)
{
	if (commit > r->log.last)
		commit = r->log.last;
	if (commit <= r->commit)
		return;
	if (r->role == RAFT_LEADER)
		for (uint64_t i = r->commit + 1; i <= commit; i++)
			r->uncommitted_bytes -= log_view_at(&r->log, i)->size;
	r->commit = commit;
	configuration_settle(r);
}

/* Entries follow each other from log_index on, in terms that never fall nor pass the sender's. */
static bool entries_sound(const struct raft_message *m)
{
	struct raft_members members;
	uint64_t term = m->log_term;
	if (m->log_index > UINT64_MAX - RAFT_APPEND_ENTRIES_MAX - 1 || m->entries_count > RAFT_APPEND_ENTRIES_MAX || term > m->term)
		return false;
	for (uint32_t i = 0; i < m->entries_count; i++) {
		const struct raft_entry *e = &m->entries[i];
		if (e->index != m->log_index + 1 + i || e->term < term || e->term == 0 || e->term > m->term)
			return false;
		if (e->size > RAFT_ENTRY_BYTES_MAX || e->type > RAFT_ENTRY_CONFIG)
			return false;
		if (e->type == RAFT_ENTRY_CONFIG && !configuration_decode(e, &members))
			return false;
		term = e->term;
	}
	return true;
}

static void refuse(struct raft *r, const struct raft_message *m)
{
	uint64_t hint = log_view_at_most(&r->log, m->log_index, m->log_term);
	core_send(r, (struct raft_message){.type = RAFT_APPEND_REPLY,
					   .to = m->from,
					   .reject = true,
					   .log_index = m->log_index,
					   .hint_index = hint,
					   .hint_term = log_view_term(&r->log, hint)});
}

/* Adds the entries that the log lacks. Only from the first that differs is the tail replaced: a delayed append must not cut off what a later
 * one brought. */
static void add_entries(struct raft *r, const struct raft_entry *entries, uint32_t count)
{
	uint32_t i = 0;
	while (i < count && entries[i].index <= r->log.last && log_view_term(&r->log, entries[i].index) == entries[i].term)
		i++;
	if (i < count && entries[i].index <= r->log.last)
		core_truncate(r, entries[i].index);
	for (; i < count; i++) {
		struct raft_members members;
		log_view_append(&r->log, entries[i].term, entries[i].type, entries[i].data, entries[i].size);
		if (entries[i].type == RAFT_ENTRY_CONFIG && configuration_decode(&entries[i], &members))
			configuration_push(r, entries[i].index, &members);
	}
}

/* What is committed here cannot differ from a leader's log, so only what lies behind it is compared. */
void core_handle_append(struct raft *r, const struct raft_message *m)
{
	if (!entries_sound(m) || !follow(r, m->from))
		return;
	uint64_t end = m->log_index + m->entries_count;
	uint32_t skip = 0;
	if (end <= r->commit) {
		core_send(r, (struct raft_message){.type = RAFT_APPEND_REPLY, .to = m->from, .log_index = r->commit});
		return;
	}
	if (m->log_index < r->commit) {
		skip = (uint32_t)(r->commit - m->log_index);
	} else if (m->log_index > r->log.last || log_view_term(&r->log, m->log_index) != m->log_term) {
		refuse(r, m);
		return;
	}
	if (m->entries_count > skip)
		add_entries(r, m->entries + skip, m->entries_count - skip);
	core_commit_to(r, m->commit < end ? m->commit : end);
	core_send(r, (struct raft_message){.type = RAFT_APPEND_REPLY, .to = m->from, .log_index = end});
}

void core_handle_heartbeat(struct raft *r, const struct raft_message *m)
{
	if (!follow(r, m->from))
		return;
	core_commit_to(r, m->commit);
	uint64_t everywhere = m->hint_index < r->commit ? m->hint_index : r->commit;
	if (everywhere > r->everywhere)
		r->everywhere = everywhere;
	if (m->round != 0)
		core_send(r,
			  (struct raft_message){.type = RAFT_HEARTBEAT_REPLY, .to = m->from, .round = m->round, .log_index = r->log.last});
}
