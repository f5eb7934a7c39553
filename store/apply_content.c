#include "store/apply_content.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t blocks_for(uint64_t size)
{
	return (size + MVCC_BLOCK_BYTES - 1) / MVCC_BLOCK_BYTES;
}

uint64_t content_blocks(const struct record *r)
{
	return S_ISREG(r->mode) && r->size > MVCC_INLINE_MAX ? blocks_for(r->size) : 0;
}

static uint8_t *zeroed(size_t size)
{
	uint8_t *memory = calloc(1, size ? size : 1);
	if (!memory)
		abort();
	return memory;
}

/* An edit as it comes out: the old bytes up to `cut`, the ranges, zeros in between and up to `size`. */
struct result {
	struct plan *p;
	struct change *at;
	const struct edit *edit;
	uint64_t cut;
	uint64_t size;
};

static uint64_t offset_of(const struct result *r, uint32_t range)
{
	return r->edit->append ? r->cut : r->edit->ranges[range].offset;
}

static uint64_t end_of(const struct result *r, uint32_t range)
{
	return offset_of(r, range) + r->edit->ranges[range].data.size;
}

/* Reads old bytes [offset, offset + size) that lie below the old size. */
static int read_old(const struct result *r, uint64_t offset, uint8_t *to, size_t size)
{
	while (size > 0) {
		ssize_t got = mvcc_read(r->p->m, &r->at->record, offset, to, size);
		if (got <= 0) {
			r->p->broken = true;
			return -EIO;
		}
		offset += (uint64_t)got;
		to += got;
		size -= (size_t)got;
	}
	return 0;
}

/* Lays the part of a range that falls into [start, start + size) over `to`. */
static void overlay(const struct result *r, uint32_t range, uint64_t start, uint8_t *to, size_t size)
{
	uint64_t from = offset_of(r, range);
	uint64_t end = min_u64(end_of(r, range), start + size);
	uint64_t begin = from > start ? from : start;
	if (begin < end)
		memcpy(to + (begin - start), (const uint8_t *)r->edit->ranges[range].data.data + (begin - from), end - begin);
}

static int build_inline(const struct result *r)
{
	struct content *content = &r->at->content;
	const struct edit *e = r->edit;
	size_t size = (size_t)r->size;
	if (e->count == 1 && offset_of(r, 0) == 0 && e->ranges[0].data.size == size) {
		r->at->record.data = e->ranges[0].data;
		return 0;
	}
	uint8_t *bytes = zeroed(size);
	int err = read_old(r, 0, bytes, (size_t)min_u64(r->cut, size));
	if (err < 0) {
		free(bytes);
		return err;
	}
	for (uint32_t i = 0; i < e->count; i++)
		overlay(r, i, 0, bytes, size);
	content->memory = bytes;
	r->at->record.data = (struct span){bytes, size};
	return 0;
}

static struct block *block_at(const struct result *r, uint64_t number)
{
	return &r->at->content.blocks[number - r->at->content.first];
}

static size_t block_size(const struct result *r, uint64_t number)
{
	return (size_t)min_u64(MVCC_BLOCK_BYTES, r->size - number * MVCC_BLOCK_BYTES);
}

/* Makes a block writable memory of ours, holding what it is so far. */
static int block_own(const struct result *r, uint64_t number)
{
	struct block *b = block_at(r, number);
	uint64_t start = number * MVCC_BLOCK_BYTES;
	if (b->owned)
		return 0;
	uint8_t *memory = zeroed(MVCC_BLOCK_BYTES);
	int err = 0;
	if (b->data)
		memcpy(memory, b->data, block_size(r, number));
	else if (start < r->cut)
		err = read_old(r, start, memory, (size_t)min_u64(MVCC_BLOCK_BYTES, r->cut - start));
	b->owned = memory;
	b->data = memory;
	return err;
}

static int lay_range(const struct result *r, uint32_t range)
{
	uint64_t from = offset_of(r, range);
	uint64_t end = end_of(r, range);
	if (from == end)
		return 0;
	for (uint64_t number = from / MVCC_BLOCK_BYTES; number <= (end - 1) / MVCC_BLOCK_BYTES; number++) {
		uint64_t start = number * MVCC_BLOCK_BYTES;
		size_t size = block_size(r, number);
		struct block *b = block_at(r, number);
		if (from <= start && end >= start + size && !b->owned) {
			b->data = (const uint8_t *)r->edit->ranges[range].data.data + (start - from);
			continue;
		}
		int err = block_own(r, number);
		if (err < 0)
			return err;
		overlay(r, range, start, b->owned, size);
	}
	return 0;
}

/* The blocks that the edit touches: those of the ranges, the one that is cut inside, and the first of an inline file that grows out. */
static void blocks_span(const struct result *r, bool old_block, uint64_t old_number)
{
	struct content *content = &r->at->content;
	uint64_t first = old_block ? old_number : UINT64_MAX;
	uint64_t last = old_block ? old_number : 0;
	for (uint32_t i = 0; i < r->edit->count; i++) {
		if (r->edit->ranges[i].data.size == 0)
			continue;
		uint64_t low = offset_of(r, i) / MVCC_BLOCK_BYTES;
		uint64_t high = (end_of(r, i) - 1) / MVCC_BLOCK_BYTES;
		first = low < first ? low : first;
		last = high > last ? high : last;
	}
	if (first == UINT64_MAX)
		return;
	content->first = first;
	content->count = last - first + 1;
	content->blocks = calloc(content->count, sizeof(*content->blocks));
	if (!content->blocks)
		abort();
}

static int build_blocks(const struct result *r)
{
	const struct record *old = &r->at->record;
	bool grows_out = r->at->stored_blocks == 0 && r->cut > 0;
	bool cut_inside = r->at->stored_blocks > 0 && r->cut < old->size && r->cut % MVCC_BLOCK_BYTES != 0;
	uint64_t old_number = cut_inside ? r->cut / MVCC_BLOCK_BYTES : 0;

	r->at->content.dead_from = blocks_for(r->cut);
	blocks_span(r, grows_out || cut_inside, old_number);
	for (uint32_t i = 0; i < r->edit->count; i++) {
		int err = lay_range(r, i);
		if (err < 0)
			return err;
	}
	if ((grows_out || cut_inside) && !block_at(r, old_number)->data)
		return block_own(r, old_number);
	return 0;
}

static int build(const struct result *r)
{
	struct record *record = &r->at->record;
	int err;
	r->at->content.changed = true;
	if (r->size <= MVCC_INLINE_MAX) {
		err = build_inline(r);
	} else {
		err = build_blocks(r);
		record->data = (struct span){NULL, 0};
	}
	record->size = r->size;
	return err;
}

int content_edit(struct plan *p, struct change *at, const struct edit *e, bool *changed)
{
	struct result r = {.p = p, .at = at, .edit = e};
	bool wrote = false;
	uint64_t old_size = at->record.size;

	r.cut = min_u64(old_size, e->truncate_to);
	r.size = r.cut > e->extend_to ? r.cut : e->extend_to;
	for (uint32_t i = 0; i < e->count; i++) {
		if (e->ranges[i].data.size == 0)
			continue;
		wrote = true;
		if (offset_of(&r, i) > CONTENT_BYTES_MAX || e->ranges[i].data.size > CONTENT_BYTES_MAX)
			return -EFBIG;
		if (end_of(&r, i) > r.size)
			r.size = end_of(&r, i);
	}
	if (r.size > CONTENT_BYTES_MAX)
		return -EFBIG;
	*changed = wrote || r.cut != old_size || r.size != old_size;
	if (!*changed)
		return 0;
	content_done(&at->content);
	return build(&r);
}

static bool is_pending(const struct content *c, uint64_t number)
{
	return number >= c->first && number - c->first < c->count && c->blocks[number - c->first].data;
}

void content_commit(struct plan *p, struct change *at)
{
	const struct content *c = &at->content;
	uint64_t ino = at->record.ino;
	if (!c->changed)
		return;
	for (uint64_t number = c->dead_from; number < at->stored_blocks; number++)
		if (!is_pending(c, number))
			mvcc_put_block(p->m, ino, (uint32_t)number, (struct span){NULL, 0});
	for (uint64_t i = 0; i < c->count; i++) {
		uint64_t start = (c->first + i) * MVCC_BLOCK_BYTES;
		struct span data = {c->blocks[i].data, (size_t)min_u64(MVCC_BLOCK_BYTES, at->record.size - start)};
		if (data.data)
			mvcc_put_block(p->m, ino, (uint32_t)(c->first + i), data);
	}
}

void content_done(struct content *c)
{
	for (uint64_t i = 0; i < c->count; i++)
		free(c->blocks[i].owned);
	free(c->blocks);
	free(c->memory);
	*c = (struct content){0};
}
