/* heap.h: memory by machine. What a machine's threads allocate comes from its own heap, which a crash empties at a stroke, as the death of a
 * process does. Heap 0 is the world's: disks, frames and histories, which outlive crashes. */
#ifndef TALLY_SIM_HEAP_H
#define TALLY_SIM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_COUNT 18u
#define HEAP_WORLD 0u

/* Reserves the address space; once a process. */
void heaps_setup(void);
void *heap_alloc(uint32_t heap, size_t size);
/* Of any heap. */
void heap_free(void *p);
void *heap_resize(uint32_t heap, void *p, size_t size);
/* Does it come from one of the heaps? */
bool heap_owns(const void *p);
/* What is freed, and what is given out, holds rubbish from now on, should anybody look at it. */
void heaps_spoil(bool spoil);
/* All that it gave is gone. */
void heap_empty(uint32_t heap);
size_t heap_used(uint32_t heap);

/* Of the world's heap; world_zalloc's is zeroed. */
void *world_alloc(size_t size);
void *world_zalloc(size_t size);

#endif
