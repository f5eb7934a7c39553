/* arena.h: memory that is handed out in pieces and given back all at once.
 * A piece never moves. One thread at a time; memory that runs out ends the process. */
#ifndef TALLY_STORE_MVCC_ARENA_H
#define TALLY_STORE_MVCC_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* A zeroed arena is empty and ready. */
struct arena {
	struct arena_chunk *chunks; /* newest first */
	size_t left;                /* free at the end of the newest */
	size_t bytes;               /* of all chunks */
};

/* `size` bytes, aligned for any integer, not zeroed. */
void *arena_alloc(struct arena *a, size_t size);
void arena_free(struct arena *a);

#endif
