/* Has a file only grown since a version of it? Its blocks tell, without being read: each is as of the last revision that changed it. */
#include "store/mvcc/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Blocks that are looked up under one lock and in one snapshot. */
#define BATCH_BLOCKS 64u

/* Is one of the blocks at `blocks` newer than `older`? Those that are in the buffer are dealt with; the others are kept, and counted. */
static bool changed_buffered(const struct mvcc *m, const struct record *older, struct block_id *blocks, size_t *count)
{
	size_t left = 0;
	for (size_t i = 0; i < *count; i++) {
		uint64_t main = 0;
		if (!buffer_find_block_main(m->active, &blocks[i], &main) &&
		    !(m->committing && buffer_find_block_main(m->committing, &blocks[i], &main)))
			blocks[left++] = blocks[i];
		else if (main > older->stored.main)
			return true;
	}
	*count = left;
	return false;
}

/* 1: yes. A block that is not there never was: a hole. */
static int changed_stored(struct backend *b, MDB_txn *txn, const struct record *older, const struct block_id *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t main = 0;
		int error = backend_find_block_main(b, txn, &blocks[i], &main);
		if (error && error != -ENOENT)
			return error;
		if (main > older->stored.main)
			return 1;
	}
	return 0;
}

/* Was one of up to BATCH_BLOCKS blocks changed from `older` to `newer`? */
static int changed(struct mvcc *m, const struct record *older, const struct record *newer, uint32_t first, size_t count)
{
	struct block_id blocks[BATCH_BLOCKS];
	for (size_t i = 0; i < count; i++)
		blocks[i] = (struct block_id){.ino = newer->ino, .block = first + (uint32_t)i, .main = newer->stored.main};

	MDB_txn *txn = NULL;
	int error = 0;
	mvcc_lock_shared(m);
	struct backend *b = m->backend;
	bool found = changed_buffered(m, older, blocks, &count);
	if (!found && count > 0)
		error = backend_begin(b, &txn);
	mvcc_unlock_shared(m);
	if (txn) {
		error = changed_stored(b, txn, older, blocks, count);
		backend_end(b, txn);
	}
	return found ? 1 : error;
}

/* Are the bytes the same from `offset` to the end of `older`, which is in the same block? */
static int same_bytes(struct mvcc *m, const struct record *older, const struct record *newer, uint64_t offset)
{
	size_t size = (size_t)(older->size - offset);
	char *bytes = malloc(2 * size + 1);
	if (!bytes)
		abort();
	ssize_t got = mvcc_read(m, older, offset, bytes, size);
	if (got >= 0)
		got = mvcc_read(m, newer, offset, bytes + size, size);
	int same = got < 0 ? (int)got : memcmp(bytes, bytes + size, size) == 0;
	free(bytes);
	return same;
}

int mvcc_extends(struct mvcc *m, const struct record *older, const struct record *newer)
{
	if (newer->ino != older->ino || newer->size < older->size || newer->stored.main < older->stored.main)
		return 0;
	/* What lies in its record has no blocks, and may have had other ones before. */
	uint32_t whole = record_inline(older) ? 0 : (uint32_t)(older->size / MVCC_BLOCK_BYTES);
	for (uint32_t first = 0; first < whole; first += BATCH_BLOCKS) {
		int result = changed(m, older, newer, first, whole - first < BATCH_BLOCKS ? whole - first : BATCH_BLOCKS);
		if (result)
			return result < 0 ? result : 0;
	}
	return same_bytes(m, older, newer, (uint64_t)whole * MVCC_BLOCK_BYTES);
}
