#include "tests/sim/checks.h"
#include "raft/wal_log.h"
#include "store/mvcc/inside.h"
#include "store/trim.h"
#include "tests/sim/admin.h"
#include "tests/sim/heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SLOTS_MIN 4096u
#define VIEWS_MAX 256u
#define VOTES_MAX 64u

/* An entry of any log, known by index and term. */
struct known {
	uint64_t index;
	uint64_t term;
	uint64_t hash;
	uint64_t term_before; /* of the entry before it; UINT64_MAX: not known */
};

struct committed {
	uint64_t term;
	uint64_t hash;
	uint64_t seen_in_term; /* at least the term in which it was committed */
	uint64_t applied_hash; /* of what it put; 0: nobody has applied it yet */
};

/* A vote that was granted, or asked for on one's own behalf; a promise once the save before it is durable. */
struct vote {
	uint64_t save;
	uint64_t term;
	uint64_t candidate;
};

/* What the log of a member was told to be durable, and what its raft said last. A machine that lost its data is another member afterwards. */
struct view {
	uint64_t id;
	uint64_t *terms; /* of durable entries, by index */
	size_t terms_capacity;
	uint64_t base;
	uint64_t last;
	struct raft_hard_state hard;
	struct vote promised;
	struct vote votes[VOTES_MAX]; /* not promised yet */
	uint32_t votes_count;
	uint64_t saved; /* the last save that raft asked for, and the last that is durable */
	uint64_t stored;
	uint64_t listed; /* the last entry that was listed as committed */
	uint64_t commit;
	uint64_t first;
	uint64_t term;
	enum raft_role role;
	uint64_t put_hash;          /* of the command that is being applied */
	struct raft_members before; /* in force when raft was last asked what there is to do */
	uint64_t audited;           /* the hash of all that its store holds; 0: not looked at */
	uint64_t ticket_base;       /* of the last boot */
};

static struct {
	struct known *known;
	size_t known_count;
	size_t known_slots;
	struct committed *committed; /* by index */
	size_t committed_capacity;
	uint64_t committed_last;
	uint64_t *leaders; /* by term */
	size_t leaders_capacity;
	struct view *views[VIEWS_MAX];
	uint32_t views_count;
	struct view *of_machine[MACHINES_MAX];
	struct view nobody; /* of a machine that is no member yet */
} checks;

int __real_wal_open(const struct wal_config *config, struct wal **out, char *why, size_t why_size);
int __real_wal_append(struct wal *w, uint8_t *records, size_t size);
int __real_wal_reset(struct wal *w, uint64_t index, uint64_t term);
int __real_raft_new(const struct raft_config *config, struct raft **out);
int __real_raft_restore(struct raft *r, const struct raft_entry *entry);
const struct raft_ready *__real_raft_ready(struct raft *r);
void __real_raft_stored(struct raft *r, uint64_t save);
void __wrap_raft_stored(struct raft *r, uint64_t save);
void __real_raft_status(const struct raft *r, struct raft_status *out);
uint64_t __real_mvcc_end(struct mvcc *m, int64_t time_ns);
void __real_mvcc_begin(struct mvcc *m, uint64_t index, uint64_t term);
void __real_mvcc_put_meta(struct mvcc *m, struct span name, struct span value);
void __real_mvcc_put_block(struct mvcc *m, uint64_t ino, uint32_t block, struct span data);
void __real_mvcc_stage_put(struct mvcc *m, const struct stage_id *id, uint32_t chunk, struct span data);

uint64_t __real_trim_point(const struct trim_facts *facts);
uint64_t __wrap_trim_point(const struct trim_facts *facts);
int __wrap_wal_open(const struct wal_config *config, struct wal **out, char *why, size_t why_size);
int __wrap_wal_append(struct wal *w, uint8_t *records, size_t size);
int __wrap_wal_reset(struct wal *w, uint64_t index, uint64_t term);
int __wrap_raft_new(const struct raft_config *config, struct raft **out);
int __wrap_raft_restore(struct raft *r, const struct raft_entry *entry);
const struct raft_ready *__wrap_raft_ready(struct raft *r);
void __wrap_raft_status(const struct raft *r, struct raft_status *out);
uint64_t __wrap_mvcc_end(struct mvcc *m, int64_t time_ns);
void __wrap_mvcc_begin(struct mvcc *m, uint64_t index, uint64_t term);
void __wrap_mvcc_put_meta(struct mvcc *m, struct span name, struct span value);
void __wrap_mvcc_put_block(struct mvcc *m, uint64_t ino, uint32_t block, struct span data);
void __wrap_mvcc_stage_put(struct mvcc *m, const struct stage_id *id, uint32_t chunk, struct span data);

void checks_begin(void)
{
	memset(&checks, 0, sizeof(checks));
}

uint64_t checks_committed(void)
{
	return checks.committed_last;
}

static struct view *view_of(const struct machine *m)
{
	struct view *v = checks.of_machine[m->number - 1];
	return v ? v : &checks.nobody;
}

static struct view *view_of_id(uint64_t id)
{
	for (uint32_t i = 0; i < checks.views_count; i++)
		if (checks.views[i]->id == id)
			return checks.views[i];
	return NULL;
}

static void become(const struct machine *m, uint64_t id)
{
	struct view *v = view_of_id(id);
	if (!v) {
		if (checks.views_count == VIEWS_MAX)
			abort();
		v = checks.views[checks.views_count++] = world_zalloc(sizeof(*v));
		v->id = id;
	}
	checks.of_machine[m->number - 1] = v;
}

static struct view *view_now(void)
{
	return view_of(machine_now());
}

static uint64_t hash_more(uint64_t h, const void *data, size_t size)
{
	const uint8_t *p = data;
	uint64_t word;
	for (; size >= 8; p += 8, size -= 8) {
		memcpy(&word, p, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	for (; size > 0; p++, size--)
		h = (h ^ *p) * 0x100000001b3u;
	return h ^ (h >> 29);
}

static uint64_t hash_number(uint64_t h, uint64_t number)
{
	return hash_more(h, &number, sizeof(number));
}

/* Memory for places 0 to `place` of an array, zeroed. */
static void *reach(void *array, size_t *capacity, size_t place, size_t size)
{
	if (place < *capacity)
		return array;
	size_t wanted = place < 512 ? 1024 : 2 * place;
	array = heap_resize(HEAP_WORLD, array, wanted * size);
	memset((uint8_t *)array + *capacity * size, 0, (wanted - *capacity) * size);
	*capacity = wanted;
	return array;
}

/* --- log matching --- */

static struct known *slot_of(struct known *table, size_t slots, uint64_t index, uint64_t term)
{
	size_t i = (size_t)hash_number(index, term) & (slots - 1);
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
	return hash_more(hash_number(e->index, e->term) ^ e->type, e->data, e->size);
}

/* Same index and term: same entry, and the same one before it. By induction all before it. */
static void note_entry(const struct machine *m, const struct raft_entry *e, uint64_t term_before)
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
		note_entry(m, e, before == 0 && e->index > 1 ? UINT64_MAX : before);
		if (e->type == RAFT_ENTRY_CONFIG)
			happened(HAPPENED_config, m->number, e->index, 0);
	}
}

/* --- committed <= durable on a quorum; the same everywhere --- */

static bool holds_durably(uint64_t member, uint64_t index, uint64_t term)
{
	const struct view *v = view_of_id(member);
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

/* Who hears of it first may be behind on the configuration; and what was committed may be listed after the configuration has changed again. */
static bool any_quorum_holds(uint64_t index, uint64_t term)
{
	for (uint32_t i = 0; i < machines_count; i++)
		if (checks_leads(&machines[i]) && machines[i].store && machines[i].store->raft &&
		    quorum_holds(raft_members_now(machines[i].store->raft), index, term))
			return true;
	return false;
}

static void note_committed(const struct machine *m, const struct raft *r, const struct raft_entry *e)
{
	struct view *v = view_of(m);
	if (v->listed != 0 && e->index != v->listed + 1)
		violated("machine %u lists entry %llu as committed after %llu", m->number, (unsigned long long)e->index,
			 (unsigned long long)v->listed);
	v->listed = e->index;
	checks.committed = reach(checks.committed, &checks.committed_capacity, e->index, sizeof(*checks.committed));
	struct committed *c = &checks.committed[e->index];
	uint64_t hash = entry_hash(e);
	if (c->term == 0) {
		*c = (struct committed){.term = e->term, .hash = hash, .seen_in_term = v->term};
		if (e->index > checks.committed_last)
			checks.committed_last = e->index;
		if (!quorum_holds(raft_members_now(r), e->index, e->term) && !quorum_holds(&v->before, e->index, e->term) &&
		    !any_quorum_holds(e->index, e->term))
			violated("machine %u takes entry %llu of term %llu for committed, which no majority has durable", m->number,
				 (unsigned long long)e->index, (unsigned long long)e->term);
	} else if (c->term != e->term || c->hash != hash) {
		violated("state machine safety: entry %llu is of term %llu on machine %u, and of term %llu elsewhere",
			 (unsigned long long)e->index, (unsigned long long)e->term, m->number, (unsigned long long)c->term);
	}
}

static void note_votes(const struct machine *m, const struct raft_ready *ready);

const struct raft_ready *__wrap_raft_ready(struct raft *r)
{
	const struct raft_ready *ready = __real_raft_ready(r);
	struct machine *m = machine_now();
	note_votes(m, ready);
	note_saved(m, r, ready);
	if (ready->install) {
		view_of(m)->listed = ready->install_index;
		happened(HAPPENED_installed, m->number, ready->install_index, ready->install_term);
	}
	for (uint32_t i = 0; i < ready->committed_count; i++)
		note_committed(m, r, &ready->committed[i]);
	for (uint32_t i = 0; i < ready->snapshot_count; i++)
		happened(HAPPENED_snapshot, m->number, ready->snapshot[i], 0);
	for (uint32_t i = 0; i < ready->fetch_count; i++)
		happened(HAPPENED_fetch, m->number, ready->fetch[i].lo, 0);
	view_of(m)->before = *raft_members_now(r);
	return ready;
}

/* --- votes --- */

static void promise(const struct machine *m, struct view *v, const struct vote *vote)
{
	if (vote->term == v->promised.term && vote->candidate != v->promised.candidate)
		violated("machine %u votes in term %llu for %016llx and for %016llx", m->number, (unsigned long long)vote->term,
			 (unsigned long long)v->promised.candidate, (unsigned long long)vote->candidate);
	if (vote->term >= v->promised.term)
		v->promised = *vote;
}

static void settle_votes(const struct machine *m, struct view *v)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < v->votes_count; i++) {
		if (v->votes[i].save <= v->stored)
			promise(m, v, &v->votes[i]);
		else
			v->votes[kept++] = v->votes[i];
	}
	v->votes_count = kept;
}

static void note_votes(const struct machine *m, const struct raft_ready *ready)
{
	struct view *v = view_of(m);
	if (ready->save != 0)
		v->saved = ready->save;
	for (uint32_t i = 0; i < ready->send_stored_count && v->votes_count < VOTES_MAX; i++) {
		const struct raft_message *sent = &ready->send_stored[i];
		if (sent->type == RAFT_VOTE)
			v->votes[v->votes_count++] = (struct vote){v->saved, sent->term, sent->from};
		else if (sent->type == RAFT_VOTE_REPLY && !sent->reject)
			v->votes[v->votes_count++] = (struct vote){v->saved, sent->term, sent->to};
	}
	settle_votes(m, v);
}

void __wrap_raft_stored(struct raft *r, uint64_t save)
{
	struct view *v = view_now();
	v->stored = save;
	settle_votes(machine_now(), v);
	__real_raft_stored(r, save);
}

/* --- election safety, leader completeness --- */

static void note_leader(const struct machine *m, const struct raft *r, const struct raft_status *s)
{
	happened(HAPPENED_leader, m->number, s->term, s->log_last);
	checks.leaders = reach(checks.leaders, &checks.leaders_capacity, s->term, sizeof(*checks.leaders));
	uint64_t *leader = &checks.leaders[s->term];
	if (*leader != 0 && *leader != s->id)
		violated("election safety: %016llx and %016llx (machine %u) both lead term %llu", (unsigned long long)*leader,
			 (unsigned long long)s->id, m->number, (unsigned long long)s->term);
	*leader = s->id;
	for (uint32_t i = 0; i < machines_count; i++)
		if (&machines[i] != m && checks_leads(&machines[i]))
			happened(HAPPENED_rival, m->number, i + 1, 0);
	for (uint64_t i = s->log_first; i <= checks.committed_last; i++) {
		const struct committed *c = &checks.committed[i];
		if (c->term != 0 && c->seen_in_term < s->term && raft_term_at(r, i) != c->term)
			violated("leader completeness: machine %u leads term %llu without entry %llu of term %llu, which was committed",
				 m->number, (unsigned long long)s->term, (unsigned long long)i, (unsigned long long)c->term);
	}
}

void __wrap_raft_status(const struct raft *r, struct raft_status *out)
{
	__real_raft_status(r, out);
	struct machine *m = machine_now();
	if (!m)
		return;
	struct view *v = view_of(m);
	bool leads = out->role == RAFT_LEADER && (v->role != RAFT_LEADER || v->term != out->term);
	if (out->commit < v->commit)
		violated("machine %u's commit went back from %llu to %llu", m->number, (unsigned long long)v->commit,
			 (unsigned long long)out->commit);
	if (out->term < v->term)
		violated("machine %u's term went back from %llu to %llu", m->number, (unsigned long long)v->term,
			 (unsigned long long)out->term);
	if (out->role != v->role || out->term != v->term)
		happened(HAPPENED_role, m->number, out->role, out->term);
	if (out->log_first > v->first)
		happened(HAPPENED_trim, m->number, out->log_first, 0);
	v->first = out->log_first;
	v->commit = out->commit;
	v->role = out->role;
	v->term = out->term;
	if (leads)
		note_leader(m, r, out);
}

bool checks_leads(const struct machine *m)
{
	return m->running && view_of(m)->role == RAFT_LEADER;
}

/* --- the state machine --- */

void __wrap_mvcc_begin(struct mvcc *m, uint64_t index, uint64_t term)
{
	__real_mvcc_begin(m, index, term);
	view_now()->put_hash = hash_number(index, term);
}

void __wrap_mvcc_put_meta(struct mvcc *m, struct span name, struct span value)
{
	struct view *v = view_now();
	v->put_hash = hash_more(hash_more(v->put_hash, name.data, name.size), value.data, value.size);
	__real_mvcc_put_meta(m, name, value);
}

void __wrap_mvcc_put_block(struct mvcc *m, uint64_t ino, uint32_t block, struct span data)
{
	struct view *v = view_now();
	v->put_hash = hash_more(hash_number(hash_number(v->put_hash, ino), block), data.data, data.size);
	__real_mvcc_put_block(m, ino, block, data);
}

void __wrap_mvcc_stage_put(struct mvcc *m, const struct stage_id *id, uint32_t chunk, struct span data)
{
	struct view *v = view_now();
	v->put_hash = hash_more(hash_number(hash_number(v->put_hash, id->number), chunk), data.data, data.size);
	__real_mvcc_stage_put(m, id, chunk, data);
}

static void note_applied(const struct machine *m, uint64_t index, uint64_t term, uint64_t hash)
{
	if (index > checks.committed_last || index >= checks.committed_capacity || checks.committed[index].term != term) {
		violated("machine %u applies entry %llu of term %llu, which is not committed", m->number, (unsigned long long)index,
			 (unsigned long long)term);
		return;
	}
	struct committed *c = &checks.committed[index];
	if (c->applied_hash == 0)
		c->applied_hash = hash;
	else if (c->applied_hash != hash)
		violated("state machine safety: entry %llu puts something else on machine %u than elsewhere", (unsigned long long)index,
			 m->number);
	happened(HAPPENED_apply, m->number, index, hash);
}

uint64_t __wrap_mvcc_end(struct mvcc *m, int64_t time_ns)
{
	struct machine *machine = machine_now();
	uint64_t hash = view_of(machine)->put_hash;
	if (m->writing.index != m->state.applied + 1)
		violated("machine %u applies entry %llu after %llu", machine->number, (unsigned long long)m->writing.index,
			 (unsigned long long)m->state.applied);
	for (size_t i = m->writing.records_first; i < m->active->records_count; i++)
		hash = hash_more(hash, m->active->records[i].bytes.data, m->active->records[i].bytes.size);
	hash = hash_number(hash_number(hash, m->state.revision), (uint64_t)time_ns);
	note_applied(machine, m->writing.index, m->writing.term, hash | 1);
	return __real_mvcc_end(m, time_ns);
}

/* --- what was made durable stays so --- */

int __wrap_wal_append(struct wal *w, uint8_t *records, size_t size)
{
	int error = __real_wal_append(w, records, size);
	struct view *v = view_now();
	struct reader r = reader_over(records, size);
	struct wal_record record;
	if (error)
		return error;
	while (wal_record_next(&r, &record)) {
		if (record.kind == WAL_RECORD_HARD)
			v->hard = record.hard;
		if (record.kind != WAL_RECORD_ENTRY)
			continue;
		v->terms = reach(v->terms, &v->terms_capacity, record.entry.index, sizeof(*v->terms));
		v->terms[record.entry.index] = record.entry.term;
		v->last = record.entry.index;
	}
	happened(HAPPENED_wal_sync, machine_now()->number, v->last, v->hard.term);
	return 0;
}

int __wrap_wal_reset(struct wal *w, uint64_t index, uint64_t term)
{
	int error = __real_wal_reset(w, index, term);
	struct view *v = view_now();
	if (error == 0)
		v->base = v->last = index;
	return error;
}

int __wrap_wal_open(const struct wal_config *config, struct wal **out, char *why, size_t why_size)
{
	struct machine *m = machine_now();
	become(m, config->node_id);
	struct view *v = view_of(m);
	struct wal_config small = *config;
	small.segment_bytes = machine_settings.segment_bytes;
	int error = __real_wal_open(&small, out, why, why_size);
	if (error || m->damaged)
		return error;
	struct raft_hard_state hard = wal_hard_state(*out);
	/* A save that was under way may have replaced the tail by a shorter one. */
	uint64_t last = wal_last(*out);
	bool replaced = last > v->base && last < v->last && wal_last_term(*out) > v->terms[last];
	if (last < v->last && !replaced)
		violated("machine %u had entries up to %llu durable, and has them up to %llu now", m->number, (unsigned long long)v->last,
			 (unsigned long long)last);
	if (replaced)
		v->last = last;
	if (hard.term < v->hard.term)
		violated("machine %u was in term %llu, and has forgotten it", m->number, (unsigned long long)v->hard.term);
	if (hard.term < v->promised.term || (hard.term == v->promised.term && hard.vote != v->promised.candidate))
		violated("machine %u voted for %016llx in term %llu, and has forgotten it", m->number,
			 (unsigned long long)v->promised.candidate, (unsigned long long)v->promised.term);
	return 0;
}

/* What was being written when the machine died may be there, or not. */
int __wrap_raft_restore(struct raft *r, const struct raft_entry *e)
{
	struct machine *m = machine_now();
	struct view *v = view_of(m);
	if (!m->damaged && e->index > v->base && e->index <= v->last && v->terms[e->index] != e->term) {
		if (e->term < v->terms[e->index])
			violated("machine %u had entry %llu of term %llu durable, and has it of term %llu now", m->number,
				 (unsigned long long)e->index, (unsigned long long)v->terms[e->index], (unsigned long long)e->term);
		v->last = e->index - 1;
	}
	if (e->index > v->last) {
		v->terms = reach(v->terms, &v->terms_capacity, e->index, sizeof(*v->terms));
		v->terms[e->index] = e->term;
		v->last = e->index;
	}
	note_entry(m, e, UINT64_MAX);
	return __real_raft_restore(r, e);
}

/* Little of the log is kept, so that members that were away have to be given snapshots. */
uint64_t __wrap_trim_point(const struct trim_facts *facts)
{
	struct trim_facts f = *facts;
	uint64_t keep = machine_settings.keep_entries;
	if (f.last > keep && f.recent < f.last - keep)
		f.recent = f.last - keep;
	return __real_trim_point(&f);
}

/* Little memory for entries, so that followers that lag have to be served from the log on disk. */
int __wrap_raft_new(const struct raft_config *config, struct raft **out)
{
	struct raft_config c = *config;
	struct view *v = view_now();
	c.cache_bytes_max = machine_settings.cache_bytes;
	/* A late answer to a read of an earlier boot must not fit one of this boot. */
	if (c.ticket_base <= v->ticket_base)
		violated("read tickets from %llu on, which an earlier boot has given out", (unsigned long long)c.ticket_base);
	v->ticket_base = c.ticket_base;
	v->listed = c.applied;
	v->votes_count = 0;
	v->saved = v->stored = 0;
	v->commit = 0;
	v->term = 0;
	v->role = RAFT_FOLLOWER;
	return __real_raft_new(&c, out);
}

/* --- convergence --- */

struct audit {
	struct mvcc *mvcc;
	uint64_t hash;
};

static int audit_record(void *ctx, const struct record *r)
{
	struct audit *a = ctx;
	uint8_t bytes[4096];
	ssize_t got = S_ISREG(r->mode) ? 1 : 0;
	a->hash = hash_more(a->hash, r->key.data, r->key.size);
	a->hash = hash_number(hash_number(hash_number(a->hash, r->modified.main), r->ino), r->size);
	a->hash = hash_number(hash_number(a->hash, (uint64_t)r->mtime_ns), r->version);
	for (uint64_t at_byte = 0; got > 0; at_byte += (uint64_t)got) {
		got = mvcc_read(a->mvcc, r, at_byte, bytes, sizeof(bytes));
		if (got < 0)
			return (int)got;
		a->hash = hash_more(a->hash, bytes, (size_t)got);
	}
	return 0;
}

static int audit_meta(void *ctx, struct span name, struct span value)
{
	struct audit *a = ctx;
	a->hash += hash_more(hash_more(1, name.data, name.size), value.data, value.size); /* they come in no order */
	return 0;
}

static void *audit_main(void *arg)
{
	struct machine *m = arg;
	struct audit a = {store_mvcc(m->store), 1};
	int error = mvcc_range(a.mvcc, (struct span){NULL, 0}, (struct span){NULL, 0}, 0, 0, audit_record, &a);
	if (error == 0)
		error = mvcc_each_meta(a.mvcc, audit_meta, &a);
	if (error && !m->damaged)
		violated("machine %u cannot read its store: error %d", m->number, error);
	view_of(m)->audited = a.hash | 1;
	return NULL;
}

void checks_audit(void)
{
	for (uint32_t i = 0; i < machines_count; i++)
		if (machines[i].store)
			fiber_start(&machines[i], audit_main, &machines[i]);
}

void checks_converged(void)
{
	const struct machine *first = NULL;
	for (uint32_t i = 0; i < machines_count; i++) {
		struct machine *m = &machines[i];
		if (m->damaged || m->idle)
			continue;
		if (m->rejoins)
			violated("machine %u did not get a place again after it had lost its data", m->number);
		if (m->store && !admin_is_member(m))
			continue;
		if (!m->store) {
			violated("machine %u is not up, although all has been healed", m->number);
			continue;
		}
		uint64_t applied = mvcc_applied(m->store->mvcc);
		if (applied != checks.committed_last)
			violated("machine %u has applied %llu of %llu entries, long after all has been healed", m->number,
				 (unsigned long long)applied, (unsigned long long)checks.committed_last);
		if (!first)
			first = m;
		else if (view_of(m)->audited != view_of(first)->audited)
			violated("machines %u and %u have applied the same entries and hold different data", first->number, m->number);
	}
}

void checks_machine_died(struct machine *m)
{
	struct view *v = view_of(m);
	v->role = RAFT_FOLLOWER;
	v->audited = 0;
}

void checks_forget(struct machine *m)
{
	checks.of_machine[m->number - 1] = NULL;
}
