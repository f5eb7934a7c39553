#include "store/mvcc/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	uint8_t bytes[];
};

#define ARENA_CHUNK_BYTES ((1u << 20) - sizeof(struct arena_chunk))

/* Mapped rather than malloc'ed, so that what is freed goes back to the system at once, and what was never filled costs nothing. */
static struct arena_chunk *chunk_new(struct arena *a, size_t size)
{
	struct arena_chunk *c = mmap(NULL, sizeof *c + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c == MAP_FAILED)
		abort();
	c->size = size;
	a->bytes += sizeof *c + size;
	return c;
}

/* A piece too large to share a chunk gets its own, kept behind the newest so that the newest goes on being filled. */
static void *alloc_alone(struct arena *a, size_t size)
{
	struct arena_chunk *c = chunk_new(a, size);
	if (a->chunks) {
		c->next = a->chunks->next;
		a->chunks->next = c;
	} else {
		c->next = NULL;
		a->chunks = c;
		a->left = 0;
	}
	return c->bytes;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size = (size + 7) & ~(size_t)7;
	if (size > ARENA_CHUNK_BYTES / 4)
		return alloc_alone(a, size);
	if (size > a->left) {
		struct arena_chunk *c = chunk_new(a, ARENA_CHUNK_BYTES);
		c->next = a->chunks;
		a->chunks = c;
		a->left = ARENA_CHUNK_BYTES;
	}
	void *p = a->chunks->bytes + (a->chunks->size - a->left);
	a->left -= size;
	return p;
}

void arena_free(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;
		a->chunks = c->next;
		munmap(c, sizeof *c + c->size);
	}
	*a = (struct arena){0};
}
