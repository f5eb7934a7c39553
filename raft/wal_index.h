/* wal_index.h: where each entry of the log lies: 12 bytes an entry. Private to raft/wal*.c. */
#ifndef TALLY_RAFT_WAL_INDEX_H
#define TALLY_RAFT_WAL_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct wal_place {
	uint32_t segment; /* number */
	uint32_t block;   /* of the frame: its offset / WAL_BLOCK_BYTES */
	uint32_t record;  /* offset in the frame's payload */
};

struct wal_index {
	struct wal_place *places; /* of entries first .. first + count - 1 */
	uint64_t first;
	size_t count;
	size_t capacity;
};

void wal_index_free(struct wal_index *x);
/* Forgets all; the next entry put is `first`. */
void wal_index_reset(struct wal_index *x, uint64_t first);
/* `index` is in [first, first + count]; entries behind it are forgotten. */
void wal_index_put(struct wal_index *x, uint64_t index, struct wal_place place);
/* Forgets entries below `first`. */
void wal_index_trim(struct wal_index *x, uint64_t first);
/* NULL when it is not held. */
const struct wal_place *wal_index_find(const struct wal_index *x, uint64_t index);

#endif
