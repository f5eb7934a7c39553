#include "raft/core/core.h"

#include <assert.h>
#include <stdlib.h>

static void queue_push(struct message_queue *q, const struct raft_message *m)
{
	if (q->count == q->capacity) {
		q->capacity = q->capacity ? 2 * q->capacity : 32;
		q->items = realloc(q->items, q->capacity * sizeof(*q->items));
		if (!q->items)
			abort();
	}
	q->items[q->count++] = *m;
}

/* What must not be said before it is durable. A request for votes is among it: it says that this member is in a new term, voted for
 * itself, and has the log that it names; if a crash took any of that back, a late answer could still elect it. */
static bool is_promise(const struct raft_message *m)
{
	switch (m->type) {
	case RAFT_VOTE:
		return true;
	case RAFT_PREVOTE_REPLY:
	case RAFT_VOTE_REPLY:
	case RAFT_APPEND_REPLY:
		return !m->reject;
	default:
		return false;
	}
}

/* Acknowledgements of one drain are one: the highest says all. */
static bool merge_reply(struct message_queue *q, const struct raft_message *m)
{
	struct raft_message *last = q->count > 0 ? &q->items[q->count - 1] : NULL;
	if (!last || m->type != RAFT_APPEND_REPLY || last->type != m->type || last->to != m->to || last->term != m->term)
		return false;
	if (m->log_index > last->log_index)
		last->log_index = m->log_index;
	return true;
}

void core_send(struct raft *r, struct raft_message m)
{
	m.from = r->id;
	if (m.term == 0)
		m.term = r->term;
	if (!is_promise(&m))
		queue_push(&r->send, &m);
	else if (!merge_reply(&r->send_stored, &m))
		queue_push(&r->send_stored, &m);
}

void core_truncate(struct raft *r, uint64_t from)
{
	assert(from > r->commit);
	log_view_truncate(&r->log, from);
	if (r->listed >= from)
		r->listed = from - 1;
	if (r->stored >= from)
		r->stored = from - 1;
	for (size_t i = 0; i < r->saves_count; i++)
		if (r->saves[i].last >= from)
			r->saves[i].last = from - 1;
	configuration_truncate(r, from);
}

void core_forget_saved(struct raft *r)
{
	uint32_t kept = 0;
	for (size_t i = 0; i < r->saves_count; i++)
		r->saves[i].last = 0;
	for (uint32_t i = 0; i < r->send_stored.count; i++)
		if (r->send_stored.items[i].type != RAFT_APPEND_REPLY)
			r->send_stored.items[kept++] = r->send_stored.items[i];
	r->send_stored.count = kept;
}

void core_keep_fetched(struct raft *r, void *memory)
{
	r->fetched = realloc(r->fetched, (r->fetched_count + 1) * sizeof(*r->fetched));
	if (!r->fetched)
		abort();
	r->fetched[r->fetched_count++] = memory;
}

static void free_fetched(void **fetched, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(fetched[i]);
	free(fetched);
}

void core_queues_free(struct raft *r)
{
	free(r->send.items);
	free(r->send_stored.items);
	free(r->listed_send.items);
	free(r->listed_send_stored.items);
	free_fetched(r->fetched, r->fetched_count);
	free_fetched(r->listed_fetched, r->listed_fetched_count);
}

void raft_stored(struct raft *r, uint64_t save)
{
	assert(save <= r->save_number);
	size_t done = 0;
	for (; done < r->saves_count && r->saves[done].number <= save; done++) {
		const struct save *s = &r->saves[done];
		if (s->last > r->stored)
			r->stored = s->last;
		r->durable_term = s->term;
		r->durable_vote = s->vote;
	}
	if (done == 0)
		return;
	r->saves_count -= done;
	for (size_t i = 0; i < r->saves_count; i++)
		r->saves[i] = r->saves[i + done];
	core_vote_stored(r);
	if (r->role == RAFT_LEADER && core_advance_commit(r))
		r->flush = true;
}

static void list_save(struct raft *r, struct raft_ready *out)
{
	out->hard = (struct raft_hard_state){.term = r->term, .vote = r->vote, .commit = r->commit};
	out->hard_changed = r->hard_changed;
	out->entries_count = (uint32_t)(r->log.last - r->listed);
	if (out->entries_count > 0)
		out->entries = log_view_at(&r->log, r->listed + 1);
	out->install = r->install;
	out->install_index = r->install ? r->install_index : 0;
	out->install_term = r->install ? r->install_term : 0;
	if (!out->hard_changed && out->entries_count == 0 && !out->install)
		return;
	if (r->saves_count == r->saves_capacity) {
		r->saves_capacity = r->saves_capacity ? 2 * r->saves_capacity : 16;
		r->saves = realloc(r->saves, r->saves_capacity * sizeof(*r->saves));
		if (!r->saves)
			abort();
	}
	out->save = ++r->save_number;
	r->saves[r->saves_count++] = (struct save){.number = out->save,
						   .last = out->entries_count > 0 ? r->log.last : 0,
						   .term = r->term,
						   .vote = r->vote,
						   .listed_ms = r->now_ms};
	r->listed = r->log.last;
	r->hard_changed = r->install = false;
}

static uint64_t applicable(const struct raft *r)
{
	return r->commit < r->stored ? r->commit : r->stored;
}

static void list_committed(struct raft *r, struct raft_ready *out)
{
	uint64_t to = applicable(r);
	if (to <= r->applied)
		return;
	out->committed = log_view_at(&r->log, r->applied + 1);
	out->committed_count = (uint32_t)(to - r->applied);
	r->applied = to;
}

static void queue_list(struct message_queue *q, struct message_queue *listed)
{
	struct message_queue spent = *listed;
	*listed = *q;
	spent.count = 0;
	*q = spent;
}

/* The messages and fetches gathered so far change places with those that the last call returned, which are spent now. */
static void list_messages(struct raft *r, struct raft_ready *out)
{
	free_fetched(r->listed_fetched, r->listed_fetched_count);
	r->listed_fetched = r->fetched;
	r->listed_fetched_count = r->fetched_count;
	r->fetched = NULL;
	r->fetched_count = 0;
	queue_list(&r->send, &r->listed_send);
	queue_list(&r->send_stored, &r->listed_send_stored);
	out->send = r->listed_send.items;
	out->send_count = r->listed_send.count;
	out->send_stored = r->listed_send_stored.items;
	out->send_stored_count = r->listed_send_stored.count;
	for (uint32_t i = 0; i < r->fetch_count; i++)
		r->listed_fetch[i] = r->fetch[i];
	out->fetch = r->listed_fetch;
	out->fetch_count = r->fetch_count;
	r->fetch_count = 0;
}

static void list_members(struct raft *r, struct raft_ready *out)
{
	for (uint32_t i = 0; i < r->snapshot_count; i++)
		r->listed_snapshot[i] = r->snapshot[i];
	out->snapshot = r->listed_snapshot;
	out->snapshot_count = r->snapshot_count;
	r->snapshot_count = 0;
	out->members = r->members_changed ? raft_members_now(r) : NULL;
	r->members_changed = false;
}

const struct raft_ready *raft_ready(struct raft *r)
{
	/* Entries listed by the last call are no longer looked at, so now they may leave the window. */
	log_view_evict(&r->log, r->applied < r->stored ? r->applied : r->stored, r->cache_bytes_max);
	if (r->flush) {
		r->flush = false;
		if (r->role == RAFT_LEADER)
			core_leader_flush(r);
		else
			core_read_ask(r);
	}
	r->ready = (struct raft_ready){0};
	list_save(r, &r->ready);
	list_messages(r, &r->ready);
	list_committed(r, &r->ready);
	list_members(r, &r->ready);
	r->ready.read_ready = r->read_ready;
	r->ready.read_ticket = r->ready_ticket;
	r->ready.read_index = r->ready_index;
	r->read_ready = false;
	r->ready_ticket = r->ready_index = 0;
	return &r->ready;
}

bool raft_has_ready(const struct raft *r)
{
	return r->flush || r->hard_changed || r->install || r->members_changed || r->log.last > r->listed || applicable(r) > r->applied ||
	       r->send.count > 0 || r->send_stored.count > 0 || r->read_ready;
}
