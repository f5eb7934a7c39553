/* State machine safety: what each entry puts is the same on all machines, and nothing is applied that is not committed. */
#include "store/mvcc/inside.h"
#include "tests/sim/checks_view.h"

uint64_t __real_mvcc_end(struct mvcc *m, int64_t time_ns);
void __real_mvcc_begin(struct mvcc *m, uint64_t index, uint64_t term);
void __real_mvcc_put_meta(struct mvcc *m, struct span name, struct span value);
void __real_mvcc_put_block(struct mvcc *m, uint64_t ino, uint32_t block, struct span data);
void __real_mvcc_stage_put(struct mvcc *m, const struct stage_id *id, uint32_t chunk, struct span data);
uint64_t __wrap_mvcc_end(struct mvcc *m, int64_t time_ns);
void __wrap_mvcc_begin(struct mvcc *m, uint64_t index, uint64_t term);
void __wrap_mvcc_put_meta(struct mvcc *m, struct span name, struct span value);
void __wrap_mvcc_put_block(struct mvcc *m, uint64_t ino, uint32_t block, struct span data);
void __wrap_mvcc_stage_put(struct mvcc *m, const struct stage_id *id, uint32_t chunk, struct span data);

void __wrap_mvcc_begin(struct mvcc *m, uint64_t index, uint64_t term)
{
	__real_mvcc_begin(m, index, term);
	checks_view_now()->put_hash = checks_hash_number(index, term);
}

void __wrap_mvcc_put_meta(struct mvcc *m, struct span name, struct span value)
{
	struct view *v = checks_view_now();
	v->put_hash = checks_hash(checks_hash(v->put_hash, name.data, name.size), value.data, value.size);
	__real_mvcc_put_meta(m, name, value);
}

void __wrap_mvcc_put_block(struct mvcc *m, uint64_t ino, uint32_t block, struct span data)
{
	struct view *v = checks_view_now();
	v->put_hash = checks_hash(checks_hash_number(checks_hash_number(v->put_hash, ino), block), data.data, data.size);
	__real_mvcc_put_block(m, ino, block, data);
}

void __wrap_mvcc_stage_put(struct mvcc *m, const struct stage_id *id, uint32_t chunk, struct span data)
{
	struct view *v = checks_view_now();
	v->put_hash = checks_hash(checks_hash_number(checks_hash_number(v->put_hash, id->number), chunk), data.data, data.size);
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
	uint64_t hash = checks_view(machine)->put_hash;
	if (m->writing.index != m->state.applied + 1)
		violated("machine %u applies entry %llu after %llu", machine->number, (unsigned long long)m->writing.index,
			 (unsigned long long)m->state.applied);
	for (size_t i = m->writing.records_first; i < m->active->records_count; i++)
		hash = checks_hash(hash, m->active->records[i].bytes.data, m->active->records[i].bytes.size);
	hash = checks_hash_number(checks_hash_number(hash, m->state.revision), (uint64_t)time_ns);
	note_applied(machine, m->writing.index, m->writing.term, hash | 1);
	return __real_mvcc_end(m, time_ns);
}
