/* chunk.h: the entries of a chunk, for the files of this folder. The tables stand in chunk.c. */
#ifndef TALLY_STORE_MVCC_CHUNK_H
#define TALLY_STORE_MVCC_CHUNK_H

#include "store/mvcc/dump.h"
#include "store/mvcc/state.h"

#define CHUNK_ENTRY_HEAD 7u
#define CHUNK_VALUE_MAX (DUMP_CHUNK_BYTES_MAX - CHUNK_ENTRY_HEAD - DUMP_KEY_MAX)

void chunk_add(struct writer *w, uint8_t database, struct span key, struct span value);
/* Calls fn for each entry until it returns nonzero, which is given back; -EBADMSG if the chunk is malformed. */
int chunk_each(struct span chunk, int (*fn)(void *ctx, uint8_t database, struct span key, struct span value), void *ctx);

/* Is the entry behind that position? */
bool chunk_entry_follows(const struct dump_position *at, uint8_t database, struct span key);
/* Is the entry what a store of this state may hold, whole and unharmed? */
bool chunk_entry_is_valid(const struct state *s, uint8_t database, struct span key, struct span value);

void manifest_encode(const struct dump_manifest *m, struct writer *w);

#endif
