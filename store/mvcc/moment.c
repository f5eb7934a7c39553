/* Which revision stood at a time. Each record carries the time of its command, and times rise with revisions: a binary search, which the table of
 * times begins and LMDB ends. From the floor on every revision has its first record: what compaction deletes is of before. */
#include "store/mvcc/inside.h"

#include <errno.h>

/* The time of a revision, from its first record. -ENODATA: it was compacted meanwhile. */
static int revision_time(struct mvcc *m, uint64_t revision, int64_t *time_ns)
{
	const struct rev first = {revision, 0};
	struct record_outline r;
	struct span found;
	MDB_txn *txn = NULL;
	int error = 0;
	mvcc_lock_shared(m);
	struct backend *b = m->backend;
	if (buffer_find_record(m->active, first, &found) || (m->committing && buffer_find_record(m->committing, first, &found)))
		error = record_peek(found, &r);
	else
		error = backend_begin(b, &txn);
	mvcc_unlock_shared(m);
	if (txn) {
		error = backend_find_record(b, txn, first, &found);
		if (!error)
			error = record_peek(found, &r);
		backend_end(b, txn);
	}
	if (error == -ENOENT)
		return revision < mvcc_compact_revision(m) ? -ENODATA : -EIO;
	if (!error)
		*time_ns = r.time_ns;
	return error;
}

/* What is known without looking: the answer is one of low .. high, and that of low is not later than the time asked for. */
struct between {
	uint64_t low; /* 0: nothing is known to be that old */
	uint64_t high;
	uint64_t floor;
};

/* Revision 1, the empty tree, has no time. */
static struct between begin_search(struct mvcc *m, int64_t time_ns)
{
	mvcc_lock_shared(m);
	struct between b = {.high = m->state.revision, .floor = m->state.compact_revision};
	if (time_ns >= m->state.last_time_ns)
		b.low = m->state.revision;
	else
		times_bracket(&m->times, time_ns, &b.low, &b.high);
	mvcc_unlock_shared(m);
	if (b.low < b.floor)
		b.low = 0;
	return b;
}

static int search(struct mvcc *m, int64_t time_ns, uint64_t *out)
{
	struct between b = begin_search(m, time_ns);
	uint64_t low = b.low, oldest = b.floor > 2 ? b.floor : 2;
	int64_t at_ns;
	const int before = b.floor > 1 ? -ENODATA : -ENOENT;
	if (b.high < oldest)
		return before;
	if (low < oldest) {
		int error = revision_time(m, oldest, &at_ns);
		if (error)
			return error;
		if (at_ns > time_ns)
			return before;
		low = oldest;
	}
	for (uint64_t high = b.high; low < high;) {
		uint64_t middle = low + (high - low + 1) / 2;
		int error = revision_time(m, middle, &at_ns);
		if (error)
			return error;
		if (at_ns <= time_ns)
			low = middle;
		else
			high = middle - 1;
	}
	*out = low;
	return 0;
}

int mvcc_revision_at(struct mvcc *m, int64_t time_ns, uint64_t *out)
{
	int error;
	uint64_t floor;
	/* A floor that rose above what was being looked at: there is another oldest revision now. */
	do {
		floor = mvcc_compact_revision(m);
		error = search(m, time_ns, out);
	} while (error == -ENODATA && floor != mvcc_compact_revision(m));
	return error;
}
