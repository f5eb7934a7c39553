/* Log matching; and what is committed is durable on a quorum, and the same everywhere. */
#include "tests/sim/checks_view.h"
#include "tests/sim/heap.h"

#define SLOTS_MIN 4096u

const struct raft_ready *__real_raft_ready(struct raft *r);
void __real_raft_status(const struct raft *r, struct raft_status *out);
const struct raft_ready *__wrap_raft_ready(struct raft *r);

static struct known *slot_of(struct known *table, size_t slots, uint64_t index, uint64_t term)
{
	size_t i = (size_t)checks_hash_number(index, term) & (slots - 1);
	while (table[i].index != 0 && (table[i].index != index || table[i].term != term))
		i = (i + 1) & (slots - 1);
	return &table[i];
}

static void grow_known(void)
{
	size_t slots = checks.known_slots ? checks.known_slots * 2 : SLOTS_MIN;
	struct known *table = world_zalloc(slots * sizeof(*table));
	for (size_t i = 0; i < checks.known_slots; i++)
		if (checks.known[i].index != 0)
			*slot_of(table, slots, checks.known[i].index, checks.known[i].term) = checks.known[i];
	heap_free(checks.known);
	checks.known = table;
	checks.known_slots = slots;
}

static uint64_t entry_hash(const struct raft_entry *e)
{
	return checks_hash(checks_hash_number(e->index, e->term) ^ e->type, e->data, e->size);
}

/* Same index and term: same entry, and the same one before it. By induction all before it. */
void checks_note_entry(const struct machine *m, const struct raft_entry *e, uint64_t term_before)
{
	if (2 * checks.known_count >= checks.known_slots)
		grow_known();
	struct known *k = slot_of(checks.known, checks.known_slots, e->index, e->term);
	uint64_t hash = entry_hash(e);
	if (k->index == 0) {
		*k = (struct known){e->index, e->term, hash, term_before};
		checks.known_count++;
		return;
	}
	if (k->hash != hash)
		violated("log matching: machine %u has another entry %llu of term %llu than one before", m->number,
			 (unsigned long long)e->index, (unsigned long long)e->term);
	if (k->term_before != UINT64_MAX && term_before != UINT64_MAX && k->term_before != term_before)
		violated("log matching: entry %llu of term %llu follows term %llu on machine %u and %llu elsewhere",
			 (unsigned long long)e->index, (unsigned long long)e->term, (unsigned long long)term_before, m->number,
			 (unsigned long long)k->term_before);
	if (k->term_before == UINT64_MAX)
		k->term_before = term_before;
}

static void note_saved(const struct machine *m, const struct raft *r, const struct raft_ready *ready)
{
	for (uint32_t i = 0; i < ready->entries_count; i++) {
		const struct raft_entry *e = &ready->entries[i];
		uint64_t before = e->index == 1 ? 0 : i > 0 ? ready->entries[i - 1].term : raft_term_at(r, e->index - 1);
		checks_note_entry(m, e, before == 0 && e->index > 1 ? UINT64_MAX : before);
		if (e->type == RAFT_ENTRY_CONFIG)
			happened(HAPPENED_config, m->number, e->index, 0);
	}
}

/* --- committed <= durable on a quorum; the same everywhere --- */

static bool holds_durably(uint64_t member, uint64_t index, uint64_t term)
{
	const struct view *v = checks_view_of_id(member);
	return v && (index <= v->base || (index <= v->last && index < v->terms_capacity && v->terms[index] == term));
}

static bool majority_holds(const uint64_t *members, uint32_t count, uint64_t index, uint64_t term)
{
	uint32_t hold = 0;
	for (uint32_t i = 0; i < count; i++)
		hold += holds_durably(members[i], index, term);
	return count == 0 || 2 * hold > count;
}

static bool quorum_holds(const struct raft_members *in_force, uint64_t index, uint64_t term)
{
	return in_force->voters_count > 0 && majority_holds(in_force->voters, in_force->voters_count, index, term) &&
	       majority_holds(in_force->outgoing, in_force->outgoing_count, index, term);
}

/* Who hears of it first may be behind on the configuration that its leader counted in; what was committed may be listed after that has changed again;
 * and the leader may have died once it had said so. */
static bool leaders_quorum_holds(uint64_t leader_term, uint64_t index, uint64_t term)
{
	for (uint32_t i = 0; i < checks.views_count; i++)
		if (checks.views[i]->led_term == leader_term && quorum_holds(&checks.views[i]->led, index, term))
			return true;
	return false;
}

static void note_committed(const struct machine *m, const struct raft *r, uint64_t leader_term, const struct raft_entry *e)
{
	struct view *v = checks_view(m);
	if (v->listed != 0 && e->index != v->listed + 1)
		violated("machine %u lists entry %llu as committed after %llu", m->number, (unsigned long long)e->index,
			 (unsigned long long)v->listed);
	v->listed = e->index;
	checks.committed = checks_reach(checks.committed, &checks.committed_capacity, e->index, sizeof(*checks.committed));
	struct committed *c = &checks.committed[e->index];
	uint64_t hash = entry_hash(e);
	if (c->term == 0) {
		*c = (struct committed){.term = e->term, .hash = hash, .seen_in_term = v->term};
		if (e->index > checks.committed_last)
			checks.committed_last = e->index;
		if (!quorum_holds(raft_members_now(r), e->index, e->term) && !quorum_holds(&v->before, e->index, e->term) &&
		    !leaders_quorum_holds(leader_term, e->index, e->term))
			violated("machine %u takes entry %llu of term %llu for committed, which no majority has durable", m->number,
				 (unsigned long long)e->index, (unsigned long long)e->term);
	} else if (c->term != e->term || c->hash != hash) {
		violated("state machine safety: entry %llu is of term %llu on machine %u, and of term %llu elsewhere",
			 (unsigned long long)e->index, (unsigned long long)e->term, m->number, (unsigned long long)c->term);
	}
}

const struct raft_ready *__wrap_raft_ready(struct raft *r)
{
	const struct raft_ready *ready = __real_raft_ready(r);
	struct machine *m = machine_now();
	struct raft_status now;
	checks_note_votes(m, ready);
	note_saved(m, r, ready);
	if (ready->install) {
		checks_view(m)->listed = ready->install_index;
		happened(HAPPENED_installed, m->number, ready->install_index, ready->install_term);
	}
	__real_raft_status(r, &now);
	if (now.role == RAFT_LEADER) {
		checks_view(m)->led = *raft_members_now(r);
		checks_view(m)->led_term = now.term;
	}
	for (uint32_t i = 0; i < ready->committed_count; i++)
		note_committed(m, r, now.term, &ready->committed[i]);
	for (uint32_t i = 0; i < ready->snapshot_count; i++)
		happened(HAPPENED_snapshot, m->number, ready->snapshot[i], 0);
	for (uint32_t i = 0; i < ready->fetch_count; i++)
		happened(HAPPENED_fetch, m->number, ready->fetch[i].lo, 0);
	checks_view(m)->before = *raft_members_now(r);
	return ready;
}
