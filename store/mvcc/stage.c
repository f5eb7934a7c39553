/* Chunks of large writes on their way. Which stages there are is known in memory, so that dropping costs nothing when there is none. */
#include "store/mvcc/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static struct stage *find_stage(const struct mvcc *m, const struct stage_id *id)
{
	for (size_t i = 0; i < m->stages_count; i++)
		if (stage_id_equal(&m->stages[i].id, id))
			return &m->stages[i];
	return NULL;
}

void stage_note(struct mvcc *m, const struct stage_id *id, uint32_t chunk)
{
	struct stage *s = find_stage(m, id);
	if (!s) {
		if (m->stages_count == m->stages_capacity) {
			m->stages_capacity = m->stages_capacity ? m->stages_capacity * 2 : 8;
			m->stages = realloc(m->stages, m->stages_capacity * sizeof *m->stages);
			if (!m->stages)
				abort();
		}
		s = &m->stages[m->stages_count++];
		*s = (struct stage){.id = *id};
	}
	if (chunk >= s->chunks)
		s->chunks = chunk + 1;
}

void mvcc_stage_put(struct mvcc *m, const struct stage_id *id, uint32_t chunk, struct span data)
{
	assert(mvcc_is_writer(m) && chunk < UINT32_MAX);
	stage_note(m, id, chunk);
	buffer_put_stage(m->active, id, chunk, data);
	m->state.hash = hash_stage(m->state.hash, id, chunk, data);
}

static int read_chunk(struct mvcc *m, MDB_txn *txn, const struct stage_id *id, uint32_t chunk, struct span *out)
{
	if (buffer_find_stage(m->active, id, chunk, out) || (m->committing && buffer_find_stage(m->committing, id, chunk, out)))
		return 0;
	return backend_find_stage(m->backend, txn, id, chunk, out);
}

/* Under the lock, so that neither generation goes while fn looks at a chunk. */
int mvcc_stage_read(struct mvcc *m, const struct stage_id *id, int (*fn)(void *ctx, struct span data), void *ctx)
{
	const struct stage *s = find_stage(m, id);
	MDB_txn *txn = NULL;
	if (!s)
		return -ENOENT;
	mvcc_lock_shared(m);
	int error = backend_begin(m->backend, &txn);
	for (uint32_t chunk = 0; chunk < s->chunks && !error; chunk++) {
		struct span data;
		error = read_chunk(m, txn, id, chunk, &data);
		if (!error)
			error = fn(ctx, data);
	}
	if (txn)
		backend_end(m->backend, txn);
	mvcc_unlock_shared(m);
	return error;
}

static bool is_below(const struct stage_id *id, const struct stage_id *below)
{
	return id->origin == below->origin && (id->epoch < below->epoch || (id->epoch == below->epoch && id->number < below->number));
}

void mvcc_stage_drop(struct mvcc *m, const struct stage_id *below)
{
	assert(mvcc_is_writer(m));
	size_t kept = 0;
	for (size_t i = 0; i < m->stages_count; i++) {
		struct stage s = m->stages[i];
		if (is_below(&s.id, below))
			buffer_drop_stage(m->active, &s.id, s.chunks);
		else
			m->stages[kept++] = s;
	}
	/* Which stages there were to drop is told by what is in the hash already. */
	if (kept < m->stages_count)
		m->state.hash = hash_stage_drop(m->state.hash, below);
	m->stages_count = kept;
}
