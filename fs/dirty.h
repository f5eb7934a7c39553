/* dirty.h: what one open file has written and not yet published: the content part of a COMMAND_WRITE.
 *
 * Applied to a file it means, in this order: cut to truncate_to, lay the ranges over it, grow with zeros to extend_to, append the tail.
 * Any sequence of writes and truncations reduces to that. The size of the file below (`base_size`) matters only where an append and a
 * write by offset meet in one handle. Pure; the caller locks. Memory that runs out ends the process. */
#ifndef TALLY_FS_DIRTY_H
#define TALLY_FS_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dirty_range {
	uint64_t offset;
	size_t size;
	size_t capacity;
	uint8_t *data;
};

struct dirty {
	uint64_t truncate_to; /* COMMAND_NO_TRUNCATE: no cut */
	uint64_t extend_to;
	struct dirty_range *ranges; /* by offset; they neither overlap nor touch */
	uint32_t count;
	uint32_t capacity;
	struct dirty_range tail; /* appended wherever the end is at commit; never together with ranges or extend_to */
	uint64_t bytes;          /* held in ranges and tail */
};

void dirty_init(struct dirty *d);
void dirty_done(struct dirty *d);
/* -EFBIG when the ranges are too many for one command; nothing is written then. */
int dirty_write(struct dirty *d, uint64_t base_size, uint64_t offset, const void *data, size_t size);
int dirty_append(struct dirty *d, uint64_t base_size, const void *data, size_t size);
int dirty_truncate(struct dirty *d, uint64_t base_size, uint64_t size);
/* Nothing was written or cut. */
bool dirty_empty(const struct dirty *d);
/* The size that a file of base_size has after this. */
uint64_t dirty_size(const struct dirty *d, uint64_t base_size);
/* Would it change a file of base_size? */
bool dirty_pending(const struct dirty *d, uint64_t base_size);
/* `buffer` holds bytes [offset, offset + size) of the file below as far as that goes; they become those of the result, of which all
 * must lie below dirty_size. */
void dirty_overlay(const struct dirty *d, uint64_t base_size, uint64_t offset, void *buffer, size_t size);
/* Adds what a later one holds, which is emptied. */
int dirty_merge(struct dirty *d, uint64_t base_size, struct dirty *later);

#endif
