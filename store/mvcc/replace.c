/* A snapshot takes the place of a running store: what `struct mvcc` points to is exchanged, the struct and its lock stay. */
#include "store/mvcc/inside.h"

#include <assert.h>
#include <stdlib.h>

#define EXCHANGE(a, b)                                                                                                                     \
	do {                                                                                                                               \
		__typeof__(a) exchanged_ = (a);                                                                                            \
		(a) = (b);                                                                                                                 \
		(b) = exchanged_;                                                                                                          \
	} while (0)

struct judging {
	const struct mvcc *m;
	MDB_txn *txn; /* NULL: nothing can be looked up */
};

/* One command may have put several files: the revision alone does not say which. */
static bool is_of(const struct judging *j, struct rev rev, uint64_t ino)
{
	struct span bytes;
	struct record_outline r;
	return j->txn && !backend_find_record(j->m->backend, j->txn, rev, &bytes) && !record_peek(bytes, &r) && r.ino == ino;
}

/* From the floor on the new store has all that the old one had. Of what is older it has only what stood at the floor. */
static bool version_is_gone(void *ctx, uint64_t ino, uint64_t main)
{
	const struct judging *j = ctx;
	struct index_view view;
	uint64_t floor = j->m->state.compact_revision;
	if (main >= floor)
		return false;
	const struct index_node *n = inodes_find(&j->m->index.inodes, ino);
	return !n || !index_view_at(n, floor, &view) || view.mark.main != main || !is_of(j, mark_rev(view.mark), ino);
}

static void judge_holds(struct mvcc *m)
{
	struct judging j = {.m = m};
	if (backend_begin(m->backend, &j.txn))
		j.txn = NULL;
	holds_judge(&m->holds, version_is_gone, &j);
	if (j.txn)
		backend_end(m->backend, j.txn);
}

static void exchange(struct mvcc *m, struct mvcc *with)
{
	EXCHANGE(m->backend, with->backend);
	EXCHANGE(m->index, with->index);
	EXCHANGE(m->generations[0], with->generations[0]);
	EXCHANGE(m->generations[1], with->generations[1]);
	m->active = &m->generations[0];
	m->committing = NULL;
	EXCHANGE(m->state, with->state);
	EXCHANGE(m->origin_index, with->origin_index);
	EXCHANGE(m->origin_term, with->origin_term);
	EXCHANGE(m->times, with->times);
	EXCHANGE(m->hashes, with->hashes);
	EXCHANGE(m->stages, with->stages);
	EXCHANGE(m->stages_count, with->stages_count);
	EXCHANGE(m->stages_capacity, with->stages_capacity);
	EXCHANGE(m->committer.compaction, with->committer.compaction);
}

/* What is left of the old store. Readers at work keep its backend until they end. */
static void discard(struct mvcc *old)
{
	backend_retire(old->backend);
	index_free(&old->index);
	buffer_free(&old->generations[0]);
	buffer_free(&old->generations[1]);
	compaction_free(&old->committer.compaction);
	holds_done(&old->holds);
	free(old->stages);
	pthread_rwlock_destroy(&old->lock);
	free(old);
}

void mvcc_replace(struct mvcc *m, struct mvcc *with)
{
	assert(!mvcc_is_writer(m) && !buffer_has_changes(with->active) && with->state.revision >= m->state.revision);
	committer_stop(with);
	committer_pause(m);
	pthread_rwlock_wrlock(&m->lock);
	exchange(m, with);
	/* First the floor, then the holds: whoever takes one in this moment finds the floor raised (get.c). */
	mvcc_publish(m);
	atomic_store(&m->durable, m->state.applied);
	atomic_store(&m->compacted, atomic_load(&with->compacted));
	judge_holds(m);
	pthread_rwlock_unlock(&m->lock);
	committer_resume(m);
	discard(with);
}
