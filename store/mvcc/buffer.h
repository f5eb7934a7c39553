/* buffer.h: what has been applied and is not in LMDB yet: one generation of it.
 *
 * The writer fills one generation while the backend thread commits the one before, which does not change any more. Entries never move.
 * Memory that runs out ends the process. */
#ifndef TALLY_STORE_MVCC_BUFFER_H
#define TALLY_STORE_MVCC_BUFFER_H

#include "store/mvcc/arena.h"
#include "store/mvcc/mvcc.h"

struct buffer_record {
	struct rev rev;
	uint32_t crc;      /* CRC32C of the bytes, once the command has ended */
	struct span bytes; /* encoded */
};

/* Block `block` of file `ino` as of revision `main`. */
struct block_id {
	uint64_t ino;
	uint64_t main;
	uint32_t block;
};

struct buffer_block {
	struct block_id id;
	uint32_t next; /* in its chain, plus 1 */
	uint32_t crc;
	struct span data;
};

struct buffer_meta {
	struct span name;
	struct span value; /* empty: deleted */
	size_t capacity;   /* of the value's memory */
	uint32_t next;     /* in its chain, plus 1 */
};

/* A chunk that was staged; or, with `drop`, that all chunks below `chunk` were dropped. */
struct buffer_stage {
	struct stage_id id;
	uint32_t chunk;
	bool drop;
	bool dead; /* put and dropped in this generation: never written */
	struct span data;
};

/* A zeroed buffer is empty and ready. */
struct buffer {
	struct arena memory;
	size_t bytes;
	uint64_t commands;
	struct buffer_record *records; /* in order of revision */
	size_t records_count;
	size_t records_capacity;
	struct buffer_block *blocks; /* in order of revision */
	uint32_t blocks_count;
	uint32_t blocks_capacity;
	uint32_t *heads; /* of the chains by hash of (ino, block): the newest, plus 1 */
	uint32_t heads_count;
	struct buffer_meta *metas;
	size_t metas_count;
	size_t metas_capacity;
	uint32_t *meta_heads; /* of the chains by hash of the name: the newest, plus 1 */
	uint32_t meta_heads_count;
	struct buffer_stage *stages; /* in the order they happened */
	size_t stages_count;
	size_t stages_capacity;
};

void buffer_free(struct buffer *b);
/* Does it hold anything but the news that commands were applied? */
bool buffer_has_changes(const struct buffer *b);

/* Room for an encoded record at a revision later than all before. */
void *buffer_add_record(struct buffer *b, struct rev rev, size_t size);
/* False if it is not here. */
bool buffer_find_record(const struct buffer *b, struct rev rev, struct span *out);

/* Blocks of one (ino, block) come in order of their revision. Returns the CRC32C of the data. */
uint32_t buffer_put_block(struct buffer *b, const struct block_id *id, struct span data);
/* The newest with a revision of at most id->main. */
bool buffer_find_block(const struct buffer *b, const struct block_id *id, struct span *out);
/* The revision of that. */
bool buffer_find_block_main(const struct buffer *b, const struct block_id *id, uint64_t *out);

void buffer_put_meta(struct buffer *b, struct span name, struct span value);
/* An empty value says that it was deleted. */
bool buffer_find_meta(const struct buffer *b, struct span name, struct span *out);

void buffer_put_stage(struct buffer *b, const struct stage_id *id, uint32_t chunk, struct span data);
void buffer_drop_stage(struct buffer *b, const struct stage_id *id, uint32_t chunks);
bool buffer_find_stage(const struct buffer *b, const struct stage_id *id, uint32_t chunk, struct span *out);

bool stage_id_equal(const struct stage_id *a, const struct stage_id *b);

#endif
