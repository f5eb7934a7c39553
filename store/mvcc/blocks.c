/* The content of files: in their record if they are small, else in blocks, each as of the last revision that changed it. */
#include "store/mvcc/inside.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

/* Blocks that are read under one lock and from one snapshot. */
#define BATCH_BLOCKS 32u

void mvcc_put_block(struct mvcc *m, uint64_t ino, uint32_t block, struct span data)
{
	assert(mvcc_is_writer(m) && data.size <= MVCC_BLOCK_BYTES);
	const struct block_id id = {.ino = ino, .block = block, .main = mvcc_next_revision(m)};
	m->state.hash = hash_block(m->state.hash, &id, buffer_put_block(m->active, &id, data));
}

/* A part of the range that lies in one block. */
struct piece {
	uint32_t block;
	size_t from; /* in the block */
	size_t size;
	uint8_t *to;
};

static struct piece piece_at(uint64_t offset, uint8_t *to, size_t size)
{
	struct piece p = {.block = (uint32_t)(offset / MVCC_BLOCK_BYTES), .from = offset % MVCC_BLOCK_BYTES, .to = to};
	p.size = MVCC_BLOCK_BYTES - p.from < size ? MVCC_BLOCK_BYTES - p.from : size;
	return p;
}

/* What a block does not have is zeros. */
static void piece_fill(const struct piece *p, struct span content)
{
	size_t there = content.size > p->from ? content.size - p->from : 0;
	if (there > p->size)
		there = p->size;
	if (there > 0)
		memcpy(p->to, (const uint8_t *)content.data + p->from, there);
	memset(p->to + there, 0, p->size - there);
}

/* Fills from the buffer what is there, and keeps the rest. Returns how many are left. */
static size_t fill_buffered(const struct mvcc *m, const struct record *r, struct piece *pieces, size_t count)
{
	size_t left = 0;
	for (size_t i = 0; i < count; i++) {
		struct block_id id = {.ino = r->ino, .block = pieces[i].block, .main = r->stored.main};
		struct span content;
		if (buffer_find_block(m->active, &id, &content) || (m->committing && buffer_find_block(m->committing, &id, &content)))
			piece_fill(&pieces[i], content);
		else
			pieces[left++] = pieces[i];
	}
	return left;
}

static int fill_stored(struct backend *b, MDB_txn *txn, const struct record *r, const struct piece *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct block_id id = {.ino = r->ino, .block = pieces[i].block, .main = r->stored.main};
		struct span content = {0};
		int error = backend_find_block(b, txn, &id, &content);
		if (error && error != -ENOENT)
			return error;
		piece_fill(&pieces[i], content);
	}
	return 0;
}

/* Reads up to BATCH_BLOCKS blocks; returns the bytes read. */
static ssize_t read_batch(struct mvcc *m, const struct record *r, uint64_t offset, uint8_t *to, size_t size)
{
	struct piece pieces[BATCH_BLOCKS];
	size_t count = 0, done = 0;
	for (; count < BATCH_BLOCKS && done < size; done += pieces[count++].size)
		pieces[count] = piece_at(offset + done, to + done, size - done);

	MDB_txn *txn = NULL;
	mvcc_lock_shared(m);
	if (r->hold && hold_is_gone(r->hold)) {
		mvcc_unlock_shared(m);
		return -ESTALE;
	}
	struct backend *b = m->backend;
	count = fill_buffered(m, r, pieces, count);
	int error = count > 0 ? backend_begin(b, &txn) : 0;
	mvcc_unlock_shared(m);
	if (txn) {
		error = fill_stored(b, txn, r, pieces, count);
		backend_end(b, txn);
	}
	return error ? error : (ssize_t)done;
}

ssize_t mvcc_read(struct mvcc *m, const struct record *r, uint64_t offset, void *buffer, size_t size)
{
	if (offset >= r->size)
		return 0;
	if (size > r->size - offset)
		size = r->size - offset;
	if (size > SSIZE_MAX)
		size = SSIZE_MAX;
	if (record_inline(r)) {
		if (r->data.size < r->size)
			return -EIO;
		memcpy(buffer, (const uint8_t *)r->data.data + offset, size);
		return (ssize_t)size;
	}
	for (size_t done = 0; done < size;) {
		ssize_t n = read_batch(m, r, offset + done, (uint8_t *)buffer + done, size - done);
		if (n < 0)
			return n;
		done += (size_t)n;
	}
	return (ssize_t)size;
}
