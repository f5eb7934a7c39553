#include "raft/core/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool configuration_decode(const struct raft_entry *e, struct raft_members *out)
{
	return raft_members_decode((struct span){e->data, e->size}, out) == 0 && out->voters_count > 0;
}

const struct raft_members *raft_members_now(const struct raft *r)
{
	return &r->configurations[r->configurations_count - 1].members;
}

static uint64_t index_now(const struct raft *r)
{
	return r->configurations[r->configurations_count - 1].index;
}

/* --- the progress of each member, derived --- */

static uint64_t *new_ring(const struct raft *r)
{
	uint64_t *ring = calloc(r->inflight_max, sizeof(*ring));
	if (!ring)
		abort();
	return ring;
}

/* What was known of this member is kept; its old place gives up the ring. */
static struct progress take_progress(struct raft *r, uint64_t id)
{
	struct progress *old = core_member(r, id);
	if (!old) {
		struct progress fresh = {.id = id, .inflight = new_ring(r), .heard_ms = r->now_ms};
		core_probe(&fresh, r->log.last + 1);
		r->everywhere = 0;
		return fresh;
	}
	struct progress kept = *old;
	old->inflight = NULL;
	return kept;
}

/* Behind the `count` places of members a leader keeps one for each that is leaving; returns how many there are then. */
static uint32_t keep_departing(struct raft *r, struct progress *next, uint32_t count)
{
	for (uint32_t i = 0; i < r->members_count && count < PLACES_MAX; i++) {
		struct progress *p = &r->members[i];
		if (!p->inflight || r->role != RAFT_LEADER)
			continue;
		next[count] = *p;
		next[count].voter = next[count].outgoing = false;
		next[count].departed_ms = p->departing ? p->departed_ms : r->now_ms;
		next[count++].departing = true;
		p->inflight = NULL;
	}
	return count;
}

/* One progress for each member, and one for this member though it may be none. */
static void derive_progress(struct raft *r)
{
	const struct raft_members *m = raft_members_now(r);
	struct progress next[PLACES_MAX];
	uint64_t ids[3 * RAFT_MEMBERS_MAX + 1];
	uint32_t count = members_ids(m, ids);
	if (!raft_members_has(m, r->id))
		ids[count++] = r->id;
	for (uint32_t i = 0; i < count; i++) {
		next[i] = take_progress(r, ids[i]);
		next[i].voter = next[i].outgoing = next[i].departing = false;
		if (ids[i] == r->id)
			r->self = i;
	}
	count = keep_departing(r, next, count);
	for (uint32_t i = 0; i < r->members_count; i++)
		free(r->members[i].inflight);
	memcpy(r->members, next, count * sizeof(*next));
	r->members_count = count;
	for (uint32_t i = 0; i < m->voters_count; i++)
		core_member(r, m->voters[i])->voter = true;
	for (uint32_t i = 0; i < m->outgoing_count; i++)
		core_member(r, m->outgoing[i])->outgoing = true;
	r->members_changed = true;
}

void configuration_dismiss(struct raft *r)
{
	const uint64_t known_by_ms = (uint64_t)DEPARTURE_ELECTIONS_MAX * r->election_ms, index = index_now(r);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < r->members_count; i++) {
		const struct progress *p = &r->members[i];
		bool knows = index <= r->commit && p->commit_sent >= index;
		if (p->departing && (knows || r->now_ms - p->departed_ms >= known_by_ms)) {
			free(p->inflight);
			continue;
		}
		if (i == r->self)
			r->self = kept;
		r->members[kept++] = *p;
	}
	r->members_count = kept;
}

/* --- the stack --- */

static void push(struct raft *r, uint64_t index, const struct raft_members *members)
{
	const struct raft_members m = *members; /* it may be one of those that move */
	if (r->configurations_count == r->configurations_capacity) {
		r->configurations_capacity = r->configurations_capacity ? 2 * r->configurations_capacity : 4;
		r->configurations = realloc(r->configurations, r->configurations_capacity * sizeof(*r->configurations));
		if (!r->configurations)
			abort();
	}
	struct configuration *c = &r->configurations[r->configurations_count++];
	*c = (struct configuration){.index = index, .members = m};
	writer_raw(&c->context, m.context, m.context_size);
	c->members.context = c->context.data;
}

static void drop_oldest(struct raft *r)
{
	writer_free(&r->configurations[0].context);
	r->configurations_count--;
	memmove(r->configurations, r->configurations + 1, r->configurations_count * sizeof(*r->configurations));
}

void configuration_begin(struct raft *r, uint64_t index, const struct raft_members *m)
{
	push(r, index, m);
	while (r->configurations_count > 1)
		drop_oldest(r);
	derive_progress(r);
}

void configuration_push(struct raft *r, uint64_t index, const struct raft_members *m)
{
	push(r, index, m);
	derive_progress(r);
}

void configuration_truncate(struct raft *r, uint64_t from)
{
	if (index_now(r) < from)
		return;
	while (index_now(r) >= from)
		writer_free(&r->configurations[--r->configurations_count].context);
	derive_progress(r);
}

void configuration_settle(struct raft *r)
{
	while (r->configurations_count > 1 && r->configurations[1].index <= r->commit)
		drop_oldest(r);
}

void configuration_free(struct raft *r)
{
	for (size_t i = 0; i < r->configurations_count; i++)
		writer_free(&r->configurations[i].context);
	free(r->configurations);
	for (uint32_t i = 0; i < r->members_count; i++)
		free(r->members[i].inflight);
}

/* --- majorities --- */

static uint64_t reached_by(const struct raft *r, const uint64_t *values, bool outgoing)
{
	uint64_t of[RAFT_MEMBERS_MAX];
	uint32_t count = 0;
	for (uint32_t i = 0; i < r->members_count; i++)
		if (outgoing ? r->members[i].outgoing : r->members[i].voter)
			of[count++] = values[i];
	return count > 0 ? quorum_reached(of, count) : 0;
}

uint64_t configuration_reached(const struct raft *r, const uint64_t *values)
{
	uint64_t reached = reached_by(r, values, false);
	if (!members_joint(raft_members_now(r)))
		return reached;
	uint64_t outgoing = reached_by(r, values, true);
	return outgoing < reached ? outgoing : reached;
}

static enum quorum_outcome outcome_of(const struct raft *r, bool outgoing)
{
	enum quorum_vote of[RAFT_MEMBERS_MAX];
	uint32_t count = 0;
	for (uint32_t i = 0; i < r->members_count; i++)
		if (outgoing ? r->members[i].outgoing : r->members[i].voter)
			of[count++] = r->members[i].vote;
	return quorum_count_votes(of, count);
}

enum quorum_outcome configuration_outcome(const struct raft *r)
{
	enum quorum_outcome outcome = outcome_of(r, false);
	if (!members_joint(raft_members_now(r)) || outcome == QUORUM_LOST)
		return outcome;
	enum quorum_outcome outgoing = outcome_of(r, true);
	return outgoing == QUORUM_WON ? outcome : outgoing;
}

bool configuration_eligible(const struct raft *r)
{
	for (size_t i = 0; i < r->configurations_count; i++)
		if (members_votes(&r->configurations[i].members, r->id))
			return true;
	return false;
}

/* --- changes --- */

void configuration_append(struct raft *r, const struct raft_members *m)
{
	struct writer w = {0};
	raft_members_encode(&w, m);
	log_view_append(&r->log, r->term, RAFT_ENTRY_CONFIG, w.data, (uint32_t)w.size);
	r->uncommitted_bytes += w.size;
	writer_free(&w);
	configuration_push(r, r->log.last, m);
	r->flush = true;
}

static bool own_term_committed(const struct raft *r)
{
	return log_view_term(&r->log, r->commit) == r->term;
}

void configuration_leave_joint(struct raft *r)
{
	const struct raft_members *now = raft_members_now(r);
	if (!members_joint(now) || index_now(r) > r->commit)
		return;
	struct raft_members next = *now;
	next.outgoing_count = 0;
	configuration_append(r, &next);
}

bool configuration_left_out(const struct raft *r)
{
	return !core_votes(r) && index_now(r) <= r->commit;
}

static bool caught_up(const struct raft *r, const struct progress *p)
{
	return p->state == PROGRESS_REPLICATE && core_recent(r, p) && p->match + RAFT_CAUGHT_UP_ENTRIES >= r->log.last;
}

/* Learners that become voters. */
static bool promotes_a_laggard(struct raft *r, const struct raft_members *next)
{
	const struct raft_members *now = raft_members_now(r);
	for (uint32_t i = 0; i < next->voters_count; i++)
		if (members_learns(now, next->voters[i]) && !caught_up(r, core_member(r, next->voters[i])))
			return true;
	return false;
}

int raft_change(struct raft *r, const struct raft_members *next)
{
	const struct raft_members *now = raft_members_now(r);
	if (r->role != RAFT_LEADER || r->transfer_to || !own_term_committed(r))
		return -EAGAIN;
	if (members_joint(now) || index_now(r) > r->commit)
		return -EBUSY;
	if (members_joint(next) || !members_valid(next) || next->voters_count == 0 || members_same(now, next))
		return -EINVAL;
	struct raft_members joined = *next;
	if (members_voters_changed(now, next) > 1) {
		memcpy(joined.outgoing, now->voters, sizeof(joined.outgoing));
		joined.outgoing_count = now->voters_count;
	}
	if (!members_valid(&joined))
		return -EINVAL;
	if (promotes_a_laggard(r, next))
		return -ESTALE;
	if (core_log_full(r, RAFT_CONTEXT_BYTES_MAX))
		return -ENOBUFS;
	configuration_append(r, &joined);
	return 0;
}
