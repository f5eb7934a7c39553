/* How many keys live in a stream, without making a store of it. */
#include "store/mvcc/chunk.h"
#include "store/mvcc/backend.h"
#include "store/mvcc/index.h"

#include <stdlib.h>

struct dump_count {
	struct index index;
};

struct dump_count *dump_count_new(void)
{
	struct dump_count *c = calloc(1, sizeof *c);
	if (!c)
		abort();
	return c;
}

static int count_entry(void *ctx, uint8_t database, struct span key, struct span value)
{
	struct dump_count *c = ctx;
	struct record_outline r;
	if (database != BACKEND_RECORDS || record_peek(value, &r))
		return 0;
	struct mark mark = {backend_key_u64(key.data), backend_key_u32((const uint8_t *)key.data + 8) & MARK_SUB};
	if (r.flags & RECORD_TOMBSTONE)
		mark.sub |= MARK_TOMBSTONE;
	if (r.flags & RECORD_TOUCH)
		mark.sub |= MARK_TOUCH;
	index_put(&c->index, r.key, mark, &(struct index_put){r.ino, r.size, r.mode});
	return 0;
}

void dump_count_add(struct dump_count *c, struct span chunk)
{
	chunk_each(chunk, count_entry, c);
}

uint64_t dump_count_keys(const struct dump_count *c)
{
	return c->index.live > 0 ? c->index.live - 1 : 0;
}

void dump_count_free(struct dump_count *c)
{
	if (!c)
		return;
	index_free(&c->index);
	free(c);
}
