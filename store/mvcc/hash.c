#include "store/mvcc/hash.h"

#include "base/crc32c.h"

#include <errno.h>

/* What goes in, so that one kind is never taken for another. */
enum hash_kind { HASH_RECORD = 1, HASH_BLOCK, HASH_META, HASH_STAGE, HASH_STAGE_DROP, HASH_FLOOR };

/* For a given hash each value gives another result, and the other way round. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

static uint64_t mix_head(uint64_t hash, enum hash_kind kind, uint32_t crc)
{
	return mix(hash, (uint64_t)kind << 32 | crc);
}

uint64_t hash_record(uint64_t hash, const struct buffer_record *r)
{
	hash = mix_head(hash, HASH_RECORD, r->crc);
	return mix(mix(hash, r->rev.main), (uint64_t)r->rev.sub << 32 | (uint32_t)r->bytes.size);
}

uint64_t hash_block(uint64_t hash, const struct block_id *id, uint32_t crc)
{
	hash = mix_head(hash, HASH_BLOCK, crc);
	return mix(mix(mix(hash, id->ino), id->main), id->block);
}

uint64_t hash_meta(uint64_t hash, struct span name, struct span value)
{
	hash = mix_head(hash, HASH_META, crc32c(crc32c(0, name.data, name.size), value.data, value.size));
	return mix(hash, (uint64_t)name.size << 32 | (uint32_t)value.size);
}

static uint64_t mix_stage(uint64_t hash, const struct stage_id *id)
{
	return mix(mix(mix(hash, id->origin), id->epoch), id->number);
}

uint64_t hash_stage(uint64_t hash, const struct stage_id *id, uint32_t chunk, struct span data)
{
	hash = mix_head(hash, HASH_STAGE, crc32c(0, data.data, data.size));
	return mix(mix_stage(hash, id), chunk);
}

uint64_t hash_stage_drop(uint64_t hash, const struct stage_id *id)
{
	return mix_stage(mix_head(hash, HASH_STAGE_DROP, 0), id);
}

uint64_t hash_floor(uint64_t hash, uint64_t floor)
{
	return mix(mix_head(hash, HASH_FLOOR, 0), floor);
}

void hash_points_add(struct hash_points *p, struct hash_point point)
{
	p->recent[point.index % HASH_RECENT] = point;
	if (point.index % MVCC_HASH_STEP == 0)
		p->coarse[point.index / MVCC_HASH_STEP % HASH_COARSE] = point;
	if (point.index % MVCC_HASH_STRIDE == 0)
		p->coarser[point.index / MVCC_HASH_STRIDE % HASH_COARSE] = point;
}

/* The place of index 0 may be one that was never filled: there is no such entry. */
static bool is_at(const struct hash_point *point, uint64_t index, uint64_t *out)
{
	if (point->index != index)
		return false;
	*out = point->hash;
	return true;
}

int hash_points_find(const struct hash_points *p, uint64_t index, uint64_t *out)
{
	if (index == 0)
		return -ENOENT;
	if (is_at(&p->recent[index % HASH_RECENT], index, out))
		return 0;
	if (index % MVCC_HASH_STEP == 0 && is_at(&p->coarse[index / MVCC_HASH_STEP % HASH_COARSE], index, out))
		return 0;
	if (index % MVCC_HASH_STRIDE == 0 && is_at(&p->coarser[index / MVCC_HASH_STRIDE % HASH_COARSE], index, out))
		return 0;
	return -ENOENT;
}
