#include "store/mvcc/pool.h"

#include <assert.h>

struct pool_piece {
	struct pool_piece *next;
};

static size_t eights(size_t size)
{
	assert(size > 0 && size <= POOL_PIECE_MAX);
	return (size + 7) / 8;
}

void *pool_alloc(struct pool *p, size_t size)
{
	struct pool_piece **list = &p->returned[eights(size)];
	struct pool_piece *piece = *list;
	if (!piece)
		return arena_alloc(&p->arena, size);
	*list = piece->next;
	return piece;
}

void pool_return(struct pool *p, void *piece, size_t size)
{
	struct pool_piece **list = &p->returned[eights(size)];
	struct pool_piece *returned = piece;
	returned->next = *list;
	*list = returned;
}

void pool_free(struct pool *p)
{
	arena_free(&p->arena);
	*p = (struct pool){0};
}
