#include "store/mvcc/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mvcc_put_meta(struct mvcc *m, struct span name, struct span value)
{
	assert(mvcc_is_writer(m) && name.size <= BACKEND_META_NAME_MAX);
	buffer_put_meta(m->active, name, value);
	m->state.hash = hash_meta(m->state.hash, name, value);
}

static int copy_out(struct span value, void **out, size_t *size)
{
	if (value.size == 0)
		return -ENOENT;
	void *copy = malloc(value.size);
	if (!copy)
		abort();
	*out = memcpy(copy, value.data, value.size);
	*size = value.size;
	return 0;
}

int mvcc_get_meta(struct mvcc *m, struct span name, void **out, size_t *size)
{
	struct span value;
	MDB_txn *txn = NULL;
	int error;
	mvcc_lock_shared(m);
	struct backend *b = m->backend;
	if (buffer_find_meta(m->active, name, &value) || (m->committing && buffer_find_meta(m->committing, name, &value)))
		error = copy_out(value, out, size);
	else
		error = backend_begin(b, &txn);
	mvcc_unlock_shared(m);
	if (txn) {
		error = backend_find_meta(b, txn, name, &value);
		if (!error)
			error = copy_out(value, out, size);
		backend_end(b, txn);
	}
	return error;
}

/* Adds what a newer source has not already said. */
static int add_older(void *ctx, struct span name, struct span value)
{
	struct buffer *all = ctx;
	struct span newer;
	if (!buffer_find_meta(all, name, &newer))
		buffer_put_meta(all, name, value);
	return 0;
}

static void add_buffered(struct buffer *all, const struct buffer *b)
{
	for (size_t i = 0; b && i < b->metas_count; i++)
		add_older(all, b->metas[i].name, b->metas[i].value);
}

int mvcc_each_meta(struct mvcc *m, int (*fn)(void *ctx, struct span name, struct span value), void *ctx)
{
	struct buffer all = {0};
	MDB_txn *txn = NULL;
	mvcc_lock_shared(m);
	struct backend *b = m->backend;
	int error = backend_begin(b, &txn);
	add_buffered(&all, m->active);
	add_buffered(&all, m->committing);
	mvcc_unlock_shared(m);
	if (!error) {
		error = backend_each_meta(b, txn, add_older, &all);
		backend_end(b, txn);
	}
	for (size_t i = 0; i < all.metas_count && !error; i++)
		if (all.metas[i].value.size > 0)
			error = fn(ctx, all.metas[i].name, all.metas[i].value);
	buffer_free(&all);
	return error;
}
