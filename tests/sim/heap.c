/* A heap is a stretch of address space, given out from its start; what is freed goes to a list of its size class. There are four classes to each
 * power of two. */
#include "tests/sim/heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BASE ((uintptr_t)0x200000000000)
#define HEAP_SPAN ((size_t)1 << 32)
#define KEEP_BYTES ((size_t)24 << 20) /* an emptied heap gives the rest back to the system */
#define CLASSES 128u
#define RUBBISH 0xdd
#define HEAD_BYTES 16u

struct head {
	uint32_t class;
	uint32_t pad;
	void *next; /* while it is free */
};
_Static_assert(sizeof(struct head) == HEAD_BYTES, "blocks stay aligned");

struct heap {
	size_t used;
	size_t highest;
	struct head *free[CLASSES];
};

static uint8_t *base;
static bool spoils;
static struct heap heaps[HEAP_COUNT];

void heaps_setup(void)
{
	/* The same addresses in every process, should anything follow from them. */
	base = mmap((void *)BASE, HEAP_SPAN * HEAP_COUNT, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (base != (void *)BASE)
		abort();
}

/* The smallest class that holds `size`, and what it holds. */
static uint32_t class_of(size_t size, size_t *room)
{
	if (size <= 64) {
		uint32_t small = (uint32_t)(size + 15) / 16;
		small = small ? small : 1;
		*room = small * 16u;
		return small - 1;
	}
	uint32_t top = 63u - (uint32_t)__builtin_clzll(size - 1); /* 2^top < size <= 2^(top + 1) */
	size_t step = (size_t)1 << (top - 2);
	size_t quarter = (size - ((size_t)1 << top) + step - 1) / step; /* 1 to 4 */
	*room = ((size_t)1 << top) + quarter * step;
	return 4 + (top - 6) * 4 + (uint32_t)quarter - 1;
}

static size_t room_of(uint32_t class)
{
	if (class < 4)
		return (class + 1) * 16u;
	uint32_t top = 6 + (class - 4) / 4;
	return ((size_t)1 << top) + ((class - 4) % 4 + 1) * ((size_t)1 << (top - 2));
}

void heaps_spoil(bool spoil)
{
	spoils = spoil;
}

static void *give(struct head *b, size_t size)
{
	if (spoils)
		memset(b + 1, RUBBISH, size);
	return b + 1;
}

void *heap_alloc(uint32_t number, size_t size)
{
	struct heap *h = &heaps[number];
	size_t room;
	uint32_t class = class_of(size, &room);
	struct head *b = h->free[class];
	if (b) {
		h->free[class] = b->next;
		return give(b, size);
	}
	room = (room + 15) & ~(size_t)15;
	if (h->used + HEAD_BYTES + room > HEAP_SPAN)
		abort();
	b = (struct head *)(base + number * HEAP_SPAN + h->used);
	b->class = class;
	h->used += HEAD_BYTES + room;
	if (h->used > h->highest)
		h->highest = h->used;
	return give(b, size);
}

bool heap_owns(const void *p)
{
	return (const uint8_t *)p >= base && (const uint8_t *)p < base + HEAP_SPAN * HEAP_COUNT;
}

void heap_free(void *p)
{
	if (!p)
		return;
	struct heap *h = &heaps[(size_t)((uint8_t *)p - base) / HEAP_SPAN];
	struct head *b = (struct head *)p - 1;
	if (spoils)
		memset(p, RUBBISH, room_of(b->class));
	b->next = h->free[b->class];
	h->free[b->class] = b;
}

void *heap_resize(uint32_t number, void *p, size_t size)
{
	if (!p)
		return heap_alloc(number, size);
	size_t room = room_of(((struct head *)p - 1)->class);
	if (size <= room)
		return p;
	void *moved = memcpy(heap_alloc(number, size), p, room);
	heap_free(p);
	return moved;
}

void heap_empty(uint32_t number)
{
	struct heap *h = &heaps[number];
	if (h->highest > KEEP_BYTES)
		madvise(base + number * HEAP_SPAN + KEEP_BYTES, h->highest - KEEP_BYTES, MADV_DONTNEED);
	*h = (struct heap){.highest = h->highest < KEEP_BYTES ? h->highest : KEEP_BYTES};
}

size_t heap_used(uint32_t number)
{
	return heaps[number].used;
}

void *world_alloc(size_t size)
{
	return heap_alloc(HEAP_WORLD, size);
}

void *world_zalloc(size_t size)
{
	return memset(world_alloc(size), 0, size);
}
