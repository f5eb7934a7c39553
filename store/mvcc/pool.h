/* pool.h: memory for many small pieces of few sizes, which come and go: an arena whose pieces can be given back, each to be handed out again
 * for the same size. A piece never moves; what is given back goes back to the system only with the whole pool. One thread at a time. */
#ifndef TALLY_STORE_MVCC_POOL_H
#define TALLY_STORE_MVCC_POOL_H

#include "store/mvcc/arena.h"

/* The largest piece. */
#define POOL_PIECE_MAX 4224u

struct pool_piece;

/* A zeroed pool is empty and ready. */
struct pool {
	struct arena arena;
	struct pool_piece *returned[POOL_PIECE_MAX / 8 + 1]; /* by size in eights */
};

/* `size` bytes, aligned for any integer, not zeroed. Memory that runs out ends the process. */
void *pool_alloc(struct pool *p, size_t size);
/* Gives back a piece that was got with the same size. */
void pool_return(struct pool *p, void *piece, size_t size);
void pool_free(struct pool *p);

#endif
