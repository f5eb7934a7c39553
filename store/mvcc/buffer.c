#include "store/mvcc/buffer.h"

#include "base/crc32c.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What an entry costs besides its bytes, roughly, so that many small ones count too. */
#define ENTRY_COST 64u

void buffer_free(struct buffer *b)
{
	for (size_t i = 0; i < b->metas_count; i++)
		free((void *)b->metas[i].value.data);
	free(b->records);
	free(b->blocks);
	free(b->heads);
	free(b->metas);
	free(b->meta_heads);
	free(b->stages);
	arena_free(&b->memory);
	*b = (struct buffer){0};
}

bool buffer_has_changes(const struct buffer *b)
{
	return b->records_count + b->blocks_count + b->metas_count + b->stages_count > 0;
}

static void *grown(void *items, size_t *capacity, size_t item_size)
{
	*capacity = *capacity ? *capacity * 2 : 64;
	void *p = realloc(items, *capacity * item_size);
	if (!p)
		abort();
	return p;
}

static struct span copy_in(struct buffer *b, struct span s)
{
	b->bytes += s.size + ENTRY_COST;
	if (s.size == 0)
		return (struct span){NULL, 0};
	return (struct span){memcpy(arena_alloc(&b->memory, s.size), s.data, s.size), s.size};
}

void *buffer_add_record(struct buffer *b, struct rev rev, size_t size)
{
	if (b->records_count == b->records_capacity)
		b->records = grown(b->records, &b->records_capacity, sizeof *b->records);
	void *bytes = arena_alloc(&b->memory, size);
	b->records[b->records_count++] = (struct buffer_record){.rev = rev, .bytes = {bytes, size}};
	b->bytes += size + ENTRY_COST;
	return bytes;
}

static bool rev_less(struct rev a, struct rev b)
{
	return a.main < b.main || (a.main == b.main && a.sub < b.sub);
}

bool buffer_find_record(const struct buffer *b, struct rev rev, struct span *out)
{
	size_t low = 0, high = b->records_count;
	if (high == 0 || rev_less(rev, b->records[0].rev))
		return false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (rev_less(b->records[middle].rev, rev))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == b->records_count || rev_less(rev, b->records[low].rev))
		return false;
	*out = b->records[low].bytes;
	return true;
}

static uint32_t *head_of(const struct buffer *b, const struct block_id *id)
{
	uint64_t hash = (id->ino * 0x9e3779b97f4a7c15u + id->block) * 0xff51afd7ed558ccdu;
	return &b->heads[(hash >> 32) & (b->heads_count - 1)];
}

static void chain(struct buffer *b, uint32_t i)
{
	uint32_t *head = head_of(b, &b->blocks[i].id);
	b->blocks[i].next = *head;
	*head = i + 1;
}

static void grow_blocks(struct buffer *b)
{
	size_t capacity = b->blocks_capacity;
	b->blocks = grown(b->blocks, &capacity, sizeof *b->blocks);
	assert(capacity < UINT32_MAX / 2);
	b->blocks_capacity = (uint32_t)capacity;
	free(b->heads);
	b->heads_count = b->blocks_capacity;
	b->heads = calloc(b->heads_count, sizeof *b->heads);
	if (!b->heads)
		abort();
	for (uint32_t i = 0; i < b->blocks_count; i++)
		chain(b, i);
}

static struct buffer_block *find_block(const struct buffer *b, const struct block_id *id)
{
	if (b->blocks_count == 0)
		return NULL;
	for (uint32_t i = *head_of(b, id); i != 0; i = b->blocks[i - 1].next) {
		struct buffer_block *at = &b->blocks[i - 1];
		if (at->id.ino == id->ino && at->id.block == id->block && at->id.main <= id->main)
			return at;
	}
	return NULL;
}

uint32_t buffer_put_block(struct buffer *b, const struct block_id *id, struct span data)
{
	struct buffer_block *same = find_block(b, id);
	uint32_t crc = crc32c(0, data.data, data.size);
	if (same && same->id.main == id->main) {
		same->data = copy_in(b, data);
		same->crc = crc;
		return crc;
	}
	if (b->blocks_count == b->blocks_capacity)
		grow_blocks(b);
	b->blocks[b->blocks_count] = (struct buffer_block){.id = *id, .crc = crc, .data = copy_in(b, data)};
	chain(b, b->blocks_count++);
	return crc;
}

bool buffer_find_block(const struct buffer *b, const struct block_id *id, struct span *out)
{
	const struct buffer_block *found = find_block(b, id);
	if (found)
		*out = found->data;
	return found != NULL;
}

bool buffer_find_block_main(const struct buffer *b, const struct block_id *id, uint64_t *out)
{
	const struct buffer_block *found = find_block(b, id);
	if (found)
		*out = found->id.main;
	return found != NULL;
}

static uint32_t *meta_head_of(const struct buffer *b, struct span name)
{
	return &b->meta_heads[crc32c(0, name.data, name.size) & (b->meta_heads_count - 1)];
}

static struct buffer_meta *find_meta(const struct buffer *b, struct span name)
{
	if (b->metas_count == 0)
		return NULL;
	for (uint32_t i = *meta_head_of(b, name); i != 0; i = b->metas[i - 1].next)
		if (b->metas[i - 1].name.size == name.size && memcmp(b->metas[i - 1].name.data, name.data, name.size) == 0)
			return &b->metas[i - 1];
	return NULL;
}

static void chain_meta(struct buffer *b, uint32_t i)
{
	uint32_t *head = meta_head_of(b, b->metas[i].name);
	b->metas[i].next = *head;
	*head = i + 1;
}

static void grow_metas(struct buffer *b)
{
	b->metas = grown(b->metas, &b->metas_capacity, sizeof *b->metas);
	assert(b->metas_capacity < UINT32_MAX / 2);
	free(b->meta_heads);
	b->meta_heads_count = (uint32_t)b->metas_capacity;
	b->meta_heads = calloc(b->meta_heads_count, sizeof *b->meta_heads);
	if (!b->meta_heads)
		abort();
	for (uint32_t i = 0; i < b->metas_count; i++)
		chain_meta(b, i);
}

/* A value is often put with every command, so the newest takes the place of the last. */
void buffer_put_meta(struct buffer *b, struct span name, struct span value)
{
	struct buffer_meta *m = find_meta(b, name);
	if (!m) {
		if (b->metas_count == b->metas_capacity)
			grow_metas(b);
		m = &b->metas[b->metas_count];
		*m = (struct buffer_meta){.name = copy_in(b, name)};
		chain_meta(b, (uint32_t)b->metas_count++);
	}
	if (value.size > m->capacity) {
		m->value.data = realloc((void *)m->value.data, value.size);
		if (!m->value.data)
			abort();
		b->bytes += value.size - m->capacity;
		m->capacity = value.size;
	}
	if (value.size > 0)
		memcpy((void *)m->value.data, value.data, value.size);
	m->value.size = value.size;
}

bool buffer_find_meta(const struct buffer *b, struct span name, struct span *out)
{
	const struct buffer_meta *m = find_meta(b, name);
	if (m)
		*out = m->value;
	return m != NULL;
}

bool stage_id_equal(const struct stage_id *a, const struct stage_id *b)
{
	return a->origin == b->origin && a->epoch == b->epoch && a->number == b->number;
}

static void add_stage(struct buffer *b, const struct buffer_stage *entry)
{
	if (b->stages_count == b->stages_capacity)
		b->stages = grown(b->stages, &b->stages_capacity, sizeof *b->stages);
	b->stages[b->stages_count++] = *entry;
}

void buffer_put_stage(struct buffer *b, const struct stage_id *id, uint32_t chunk, struct span data)
{
	add_stage(b, &(struct buffer_stage){.id = *id, .chunk = chunk, .data = copy_in(b, data)});
}

void buffer_drop_stage(struct buffer *b, const struct stage_id *id, uint32_t chunks)
{
	for (size_t i = 0; i < b->stages_count; i++)
		if (stage_id_equal(&b->stages[i].id, id) && !b->stages[i].drop)
			b->stages[i].dead = true;
	add_stage(b, &(struct buffer_stage){.id = *id, .chunk = chunks, .drop = true});
}

bool buffer_find_stage(const struct buffer *b, const struct stage_id *id, uint32_t chunk, struct span *out)
{
	for (size_t i = b->stages_count; i-- > 0;) {
		const struct buffer_stage *s = &b->stages[i];
		if (s->drop || s->dead || s->chunk != chunk || !stage_id_equal(&s->id, id))
			continue;
		*out = s->data;
		return true;
	}
	return false;
}
