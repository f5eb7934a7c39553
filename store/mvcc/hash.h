/* hash.h: one number for all that was ever put: chained over each record, block, small value, stage and floor, in order. Nodes that applied the
 * same entries have the same one, whatever each has compacted; nodes that have not, differ from then on (with a chance of 2^-32 that a
 * difference is missed: the bytes go in by their CRC32C, which the backend needs anyway). */
#ifndef TALLY_STORE_MVCC_HASH_H
#define TALLY_STORE_MVCC_HASH_H

#include "store/mvcc/buffer.h"

struct hash_point {
	uint64_t index;
	uint64_t hash;
};

/* The hash as of recent log entries: all of the last HASH_RECENT, and thinner ones from further back. Zeroed: none. */
#define HASH_RECENT 1024u
#define HASH_COARSE 64u
struct hash_points {
	struct hash_point recent[HASH_RECENT];
	struct hash_point coarse[HASH_COARSE];  /* multiples of MVCC_HASH_STEP */
	struct hash_point coarser[HASH_COARSE]; /* multiples of MVCC_HASH_STRIDE */
};

void hash_points_add(struct hash_points *p, struct hash_point point);
/* -ENOENT if it is not known. */
int hash_points_find(const struct hash_points *p, uint64_t index, uint64_t *out);

uint64_t hash_record(uint64_t hash, const struct buffer_record *r);
uint64_t hash_block(uint64_t hash, const struct block_id *id, uint32_t crc);
uint64_t hash_meta(uint64_t hash, struct span name, struct span value);
uint64_t hash_stage(uint64_t hash, const struct stage_id *id, uint32_t chunk, struct span data);
uint64_t hash_stage_drop(uint64_t hash, const struct stage_id *id);
uint64_t hash_floor(uint64_t hash, uint64_t floor);

#endif
