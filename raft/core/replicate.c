#include "raft/core/core.h"

#define DISK_ELECTIONS_MAX 4 /* a save may take this many election timeouts */

#include <stdlib.h>
#include <string.h>

/* What an entry adds to an append besides its data (message.c). */
#define ENTRY_HEADER_BYTES 13

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void core_probe(struct progress *p, uint64_t next)
{
	p->state = PROGRESS_PROBE;
	p->next = next;
	p->sent = next - 1;
	p->paused = p->nudge = p->fetching = false;
	p->inflight_head = p->inflight_count = 0;
	p->sample_round = 0;
}

void core_lead(struct raft *r)
{
	for (uint32_t i = 0; i < r->members_count; i++) {
		struct progress *p = &r->members[i];
		core_probe(p, r->log.last + 1);
		p->snapshot_asked = false;
		p->match = p->commit_sent = p->round_acked = 0;
		p->heard_ms = r->now_ms;
	}
	r->round = 0;
	r->heartbeat_due_ms = r->now_ms + r->heartbeat_ms;
	r->grace_ms = r->now_ms;
	r->uncommitted_bytes = 0;
	for (uint64_t i = r->commit + 1; i <= r->log.last; i++)
		r->uncommitted_bytes += log_view_at(&r->log, i)->size;
	/* Entries of earlier terms are committed through one of this term (3.6.2), and reads wait for it (6.4). */
	if (r->log.last == 0)
		configuration_append(r, raft_members_now(r));
	else
		log_view_append(&r->log, r->term, RAFT_ENTRY_NOOP, NULL, 0);
	r->flush = true;
}

uint64_t core_everywhere(const struct raft *r)
{
	uint64_t index = least(r->stored, r->commit);
	for (uint32_t i = 0; i < r->members_count; i++)
		if (i != r->self && !r->members[i].departing)
			index = least(index, r->members[i].match);
	return index > r->everywhere ? index : r->everywhere;
}

/* Whether a majority was last in touch, this member included if it votes, so long ago that it may have elected another (check-quorum, 6.2). */
static bool quorum_silent(const struct raft *r)
{
	uint64_t heard[PLACES_MAX];
	for (uint32_t i = 0; i < r->members_count; i++)
		heard[i] = i == r->self ? r->now_ms : r->members[i].heard_ms;
	return r->now_ms - configuration_reached(r, heard) >= r->election_ms;
}

/* The others may be a majority without this member, and go on committing while its disk hangs: but then it applies nothing, answers nobody,
 * and its log grows in memory. */
static bool disk_hangs(const struct raft *r)
{
	return !core_only_voter(r) && r->saves_count > 0 &&
	       r->now_ms - r->saves[0].listed_ms > (uint64_t)DISK_ELECTIONS_MAX * r->election_ms;
}

void core_leader_tick(struct raft *r, uint64_t slept_ms)
{
	/* After a sleep replies may wait unread: they are given a heartbeat's time before silence is concluded. */
	if (slept_ms > r->election_ms / 2)
		r->grace_ms = r->now_ms + r->heartbeat_ms;
	if ((quorum_silent(r) || disk_hangs(r)) && r->now_ms >= r->grace_ms) {
		core_become_follower(r, r->term, 0);
		return;
	}
	if (r->transfer_to && r->now_ms >= r->transfer_due_ms)
		r->transfer_to = 0;
	if (r->now_ms < r->heartbeat_due_ms)
		return;
	r->heartbeat_due_ms = r->now_ms + r->heartbeat_ms;
	r->heartbeat_wanted = r->flush = true;
	if (r->transfer_to)
		core_transfer_go(r, core_member(r, r->transfer_to));
}

bool core_advance_commit(struct raft *r)
{
	uint64_t stored[PLACES_MAX];
	for (uint32_t i = 0; i < r->members_count; i++)
		stored[i] = i == r->self ? r->stored : r->members[i].match;
	uint64_t index = configuration_reached(r, stored);
	if (index <= r->commit || log_view_term(&r->log, index) != r->term)
		return false;
	core_commit_to(r, index);
	return true;
}

static void send_append(struct raft *r, struct progress *p, const struct raft_entry *entries, uint32_t count)
{
	uint64_t end = p->next - 1 + count;
	core_send(r, (struct raft_message){.type = RAFT_APPEND,
					   .to = p->id,
					   .log_index = p->next - 1,
					   .log_term = log_view_term(&r->log, p->next - 1),
					   .commit = r->commit,
					   .entries = count > 0 ? entries : NULL,
					   .entries_count = count});
	p->sent_ms = r->now_ms;
	if (end > p->sent)
		p->sent = end;
	if (least(r->commit, end) > p->commit_sent)
		p->commit_sent = least(r->commit, end);
}

/* Sends and goes on without waiting for the answer. */
static void send_ahead(struct raft *r, struct progress *p, const struct raft_entry *entries, uint32_t count)
{
	send_append(r, p, entries, count);
	p->next += count;
	p->inflight[(p->inflight_head + p->inflight_count++) % r->inflight_max] = p->next - 1;
}

/* How many entries from `next` on fit one append; all are in the window. */
static uint32_t batch_count(const struct raft *r, uint64_t next)
{
	uint64_t left = r->log.last + 1 - next;
	uint32_t count_max = (uint32_t)least(left, RAFT_APPEND_ENTRIES_MAX), count = 0;
	size_t bytes = 0;
	for (; count < count_max; count++) {
		bytes += log_view_at(&r->log, next + count)->size + ENTRY_HEADER_BYTES;
		if (count > 0 && bytes > RAFT_ENTRY_BYTES_MAX)
			break;
	}
	return count;
}

static void send_probe(struct raft *r, struct progress *p)
{
	/* Entries that would have to be fetched first wait until it is known that they are wanted. */
	bool at_hand = p->next <= r->log.last && p->next >= log_view_window_first(&r->log);
	uint32_t count = at_hand ? batch_count(r, p->next) : 0;
	send_append(r, p, count > 0 ? log_view_at(&r->log, p->next) : NULL, count);
	p->paused = true;
}

static void ask_fetch(struct raft *r, struct progress *p)
{
	uint64_t hi = least(log_view_window_first(&r->log), p->next + RAFT_APPEND_ENTRIES_MAX);
	r->fetch[r->fetch_count++] = (struct raft_fetch){.to = p->id, .lo = p->next, .hi = hi};
	p->fetching = true;
	p->fetch_due_ms = r->now_ms + r->election_ms;
}

static void send_pipelined(struct raft *r, struct progress *p)
{
	if (p->fetching && r->now_ms < p->fetch_due_ms)
		return;
	p->fetching = false;
	while (p->inflight_count < r->inflight_max && p->next <= r->log.last) {
		if (p->next < log_view_window_first(&r->log)) {
			ask_fetch(r, p);
			return;
		}
		send_ahead(r, p, log_view_at(&r->log, p->next), batch_count(r, p->next));
	}
}

static void replicate_to(struct raft *r, struct progress *p)
{
	if (p->state == PROGRESS_SNAPSHOT || (p->departing && p->next < log_view_window_first(&r->log)))
		return; /* nobody goes to the disk for one that leaves */
	if (p->next < r->log.first) {
		core_need_snapshot(r, p);
		return;
	}
	if (p->state == PROGRESS_REPLICATE)
		send_pipelined(r, p);
	else if (!p->paused)
		send_probe(r, p);
	if (p->nudge)
		send_append(r, p, NULL, 0);
	p->nudge = false;
}

static void send_heartbeat(struct raft *r, struct progress *p, uint64_t round, uint64_t everywhere)
{
	uint64_t commit = least(r->commit, p->match);
	core_send(r,
		  (struct raft_message){.type = RAFT_HEARTBEAT, .to = p->id, .round = round, .commit = commit, .hint_index = everywhere});
	if (commit > p->commit_sent)
		p->commit_sent = commit;
	if (round != 0 && p->sample_round == 0) {
		p->sample_round = round;
		p->sample_sent = p->sent;
	}
}

void core_leader_flush(struct raft *r)
{
	configuration_leave_joint(r);
	bool beat = core_read_begin_round(r);
	if (r->heartbeat_wanted && !beat) {
		r->round++;
		beat = true;
	}
	r->heartbeat_wanted = false;
	r->everywhere = core_everywhere(r);
	r->fetch_count = 0;
	for (uint32_t i = 0; i < r->members_count; i++) {
		struct progress *p = &r->members[i];
		if (i == r->self)
			continue;
		replicate_to(r, p);
		if (beat)
			send_heartbeat(r, p, r->round, r->everywhere);
		else if (least(r->commit, p->match) > p->commit_sent)
			send_heartbeat(r, p, 0, r->everywhere);
	}
	configuration_dismiss(r);
	if (configuration_left_out(r))
		core_retire(r);
}

/* The follower refused an append: back off by whole terms to where the logs may agree. */
static void back_off(struct raft *r, struct progress *p, const struct raft_message *m)
{
	if (p->state == PROGRESS_REPLICATE ? m->log_index <= p->match : m->log_index != p->next - 1)
		return; /* the answer to something older */
	if (m->hint_index < p->match)
		return; /* it has forgotten what it stored: asking at once again would only be refused at once */
	uint64_t next = least(m->log_index, log_view_at_most(&r->log, m->hint_index, m->hint_term) + 1);
	core_probe(p, next > p->match ? next : p->match + 1);
	r->flush = true;
}

void core_handle_append_reply(struct raft *r, struct progress *p, const struct raft_message *m)
{
	if (m->log_index > r->log.last || (m->reject && m->log_index == 0))
		return;
	if (m->reject) {
		back_off(r, p, m);
		return;
	}
	if (m->log_index < p->match)
		return;
	p->match = m->log_index;
	if (p->state != PROGRESS_REPLICATE) {
		core_probe(p, p->match + 1);
		p->state = PROGRESS_REPLICATE;
	} else if (p->next <= p->match) {
		p->next = p->match + 1;
	}
	while (p->inflight_count > 0 && p->inflight[p->inflight_head] <= p->match) {
		p->inflight_head = (p->inflight_head + 1) % r->inflight_max;
		p->inflight_count--;
	}
	core_advance_commit(r);
	core_transfer_go(r, p);
	r->flush = true;
}

/* Frames may be lost without notice. This reply left behind all appends that were sent before the sampled heartbeat, so if the follower's
 * log does not reach that far they are gone; if it does but no acknowledgement has come for long, that may be gone (or wait for a disk). */
static void find_losses(struct raft *r, struct progress *p, uint64_t follower_last)
{
	bool outstanding = p->match < p->sample_sent || (p->state == PROGRESS_PROBE && p->paused);
	if (outstanding && follower_last < p->sample_sent)
		core_probe(p, p->state == PROGRESS_PROBE ? p->next : p->match + 1);
	else if (outstanding && r->now_ms - p->sent_ms >= r->heartbeat_ms)
		p->nudge = true;
	p->sample_round = 0;
	r->flush |= outstanding;
}

void core_handle_heartbeat_reply(struct raft *r, struct progress *p, const struct raft_message *m)
{
	if (m->round > r->round)
		return;
	if (p->sample_round != 0 && m->round >= p->sample_round)
		find_losses(r, p, m->log_index);
	if (m->round > p->round_acked) {
		p->round_acked = m->round;
		core_read_confirm(r);
	}
}

static bool still_fits(const struct raft *r, const struct progress *p, const struct raft_entry *entries, uint32_t count)
{
	if (!p->fetching || count == 0 || p->state != PROGRESS_REPLICATE || entries[0].index != p->next ||
	    p->inflight_count == r->inflight_max)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (entries[i].index != p->next + i || log_view_term(&r->log, entries[i].index) != entries[i].term)
			return false;
	return true;
}

/* One block: the entries, then their data. */
static struct raft_entry *copy_entries(const struct raft_entry *entries, uint32_t count)
{
	size_t bytes = count * sizeof(*entries);
	for (uint32_t i = 0; i < count; i++)
		bytes += entries[i].size;
	struct raft_entry *copy = malloc(bytes);
	if (!copy)
		abort();
	char *data = (char *)(copy + count);
	for (uint32_t i = 0; i < count; i++) {
		copy[i] = entries[i];
		copy[i].data = data;
		if (entries[i].size > 0)
			memcpy(data, entries[i].data, entries[i].size);
		data += entries[i].size;
	}
	return copy;
}

void raft_fetched(struct raft *r, uint64_t to, const struct raft_entry *entries, uint32_t count)
{
	struct progress *p = core_member(r, to);
	if (r->role != RAFT_LEADER || !p)
		return;
	if (still_fits(r, p, entries, count)) {
		size_t bytes = 0;
		uint32_t fit = 0;
		for (; fit < count && fit < RAFT_APPEND_ENTRIES_MAX; fit++) {
			bytes += entries[fit].size + ENTRY_HEADER_BYTES;
			if (fit > 0 && bytes > RAFT_ENTRY_BYTES_MAX)
				break;
		}
		struct raft_entry *copy = copy_entries(entries, fit);
		core_keep_fetched(r, copy);
		send_ahead(r, p, copy, fit);
	}
	/* Asked again at once if the answer did not fit, after a pause if nothing could be read. */
	p->fetching = p->fetching && count == 0;
	p->fetch_due_ms = r->now_ms + r->heartbeat_ms;
	r->flush = true;
}
