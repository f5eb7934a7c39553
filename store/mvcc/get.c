#include "store/mvcc/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int mvcc_bound(const struct mvcc *m, uint64_t rev_main, uint64_t *out)
{
	uint64_t newest = m->state.revision + (mvcc_is_writer(m) ? 1 : 0);
	if (rev_main == 0)
		rev_main = newest;
	if (rev_main > newest)
		return -ENOENT;
	if (rev_main < m->state.compact_revision)
		return -ENODATA;
	*out = rev_main;
	return 0;
}

static bool find_buffered(const struct mvcc *m, struct rev rev, struct span *out)
{
	return buffer_find_record(m->active, rev, out) || (m->committing && buffer_find_record(m->committing, rev, out));
}

static void *copy_of(struct span bytes)
{
	void *copy = malloc(bytes.size);
	if (!copy)
		abort();
	return memcpy(copy, bytes.data, bytes.size);
}

/* From here on compaction leaves the blocks of `r` alone. It looks at holds only after it has raised the floor: whoever still finds the floor at
 * or below what it reads, after it took its hold, was in time. */
static int hold_blocks(struct mvcc *m, struct record *r, uint64_t bound)
{
	if (!S_ISREG(r->mode) || record_inline(r))
		return 0;
	r->hold = holds_take(&m->holds, r->ino, r->stored.main);
	return bound < mvcc_compact_revision(m) ? -ENODATA : 0;
}

static int no_record(struct mvcc *m, uint64_t bound, int error)
{
	return error != -ENOENT ? error : bound < mvcc_compact_revision(m) ? -ENODATA : -EIO;
}

/* With the lock, which it gives up. */
static int load_and_unlock(struct mvcc *m, struct rev rev, uint64_t bound, struct record *out)
{
	struct span found;
	void *copy = NULL;
	MDB_txn *txn = NULL;
	struct backend *b = m->backend;
	int error = 0;
	if (find_buffered(m, rev, &found))
		copy = copy_of(found);
	else
		error = backend_begin(b, &txn);
	mvcc_unlock_shared(m);
	if (txn) {
		error = backend_find_record(b, txn, rev, &found);
		if (!error)
			copy = copy_of(found);
		backend_end(b, txn);
	}
	struct record r = {0};
	if (!error)
		error = record_decode((struct span){copy, found.size}, &r);
	r.stored = rev;
	r.memory = copy;
	if (!error)
		error = hold_blocks(m, &r, bound);
	if (error) {
		record_done(&r);
		return no_record(m, bound, error);
	}
	*out = r;
	return 0;
}

int mvcc_load(struct mvcc *m, struct rev rev, uint64_t bound, struct record *out)
{
	mvcc_lock_shared(m);
	return load_and_unlock(m, rev, bound, out);
}

static int get_at(struct mvcc *m, struct span key, uint64_t rev_main, struct record *out)
{
	uint64_t bound;
	struct index_view view;
	mvcc_lock_shared(m);
	int error = mvcc_bound(m, rev_main, &bound);
	if (!error) {
		const struct index_node *n = index_find(&m->index, key);
		if (!n || !index_view_at(n, bound, &view))
			error = -ENOENT;
	}
	if (!error)
		return load_and_unlock(m, mark_rev(view.mark), bound, out);
	mvcc_unlock_shared(m);
	return error;
}

int mvcc_get(struct mvcc *m, struct span key, uint64_t rev_main, struct record *out)
{
	int error;
	/* What was the present may have been compacted before its record was held; then there is a newer present. */
	do {
		error = get_at(m, key, rev_main, out);
	} while (error == -ENODATA && rev_main == 0);
	return error;
}

int mvcc_key_of(struct mvcc *m, uint64_t ino, char *key)
{
	int size = -ENOENT;
	mvcc_lock_shared(m);
	const struct index_node *n = inodes_find(&m->index.inodes, ino);
	if (n) {
		memcpy(key, n->key, n->key_size);
		size = n->key_size;
	}
	mvcc_unlock_shared(m);
	return size;
}
