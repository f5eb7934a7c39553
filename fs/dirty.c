#include "fs/dirty.h"

#include "store/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RANGE_CAPACITY_MIN 256u

void dirty_init(struct dirty *d)
{
	*d = (struct dirty){.truncate_to = COMMAND_NO_TRUNCATE};
}

void dirty_done(struct dirty *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		free(d->ranges[i].data);
	free(d->ranges);
	free(d->tail.data);
	dirty_init(d);
}

static uint64_t range_end(const struct dirty_range *r)
{
	return r->offset + r->size;
}

static void range_reserve(struct dirty_range *r, size_t size)
{
	if (size <= r->capacity)
		return;
	size_t capacity = r->capacity ? r->capacity : RANGE_CAPACITY_MIN;
	while (capacity < size)
		capacity *= 2;
	r->data = realloc(r->data, capacity);
	if (!r->data)
		abort();
	r->capacity = capacity;
}

/* The first range that ends at or after `offset`. */
static uint32_t range_find(const struct dirty *d, uint64_t offset)
{
	uint32_t low = 0, high = d->count;

	/* Most writes continue the last range. */
	if (high && range_end(&d->ranges[high - 1]) <= offset)
		return range_end(&d->ranges[high - 1]) == offset ? high - 1 : high;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (range_end(&d->ranges[middle]) < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int range_insert(struct dirty *d, uint32_t at, uint64_t offset)
{
	if (d->count == COMMAND_RANGES_MAX)
		return -EFBIG;
	if (d->count == d->capacity) {
		d->capacity = d->capacity ? d->capacity * 2 : 4;
		d->ranges = realloc(d->ranges, d->capacity * sizeof(*d->ranges));
		if (!d->ranges)
			abort();
	}
	memmove(&d->ranges[at + 1], &d->ranges[at], (d->count - at) * sizeof(*d->ranges));
	d->ranges[at] = (struct dirty_range){.offset = offset};
	d->count++;
	return 0;
}

static void ranges_remove(struct dirty *d, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		free(d->ranges[i].data);
	memmove(&d->ranges[from], &d->ranges[to], (d->count - to) * sizeof(*d->ranges));
	d->count -= to - from;
}

/* Makes range `at` cover up to `end`, taking in the ranges after it that it meets. */
static void range_grow(struct dirty *d, uint32_t at, uint64_t end)
{
	struct dirty_range *r = &d->ranges[at];
	uint32_t next = at + 1;

	for (; next < d->count && d->ranges[next].offset <= end; next++) {
		struct dirty_range *other = &d->ranges[next];
		if (range_end(other) <= end) {
			d->bytes -= other->size;
			continue;
		}
		/* It reaches past the end of the write: keep what lies beyond, and that closes the gap. */
		size_t kept = (size_t)(range_end(other) - end);
		range_reserve(r, (size_t)(range_end(other) - r->offset));
		memcpy(r->data + (end - r->offset), other->data + (other->size - kept), kept);
		d->bytes -= other->size;
		end = range_end(other);
	}
	ranges_remove(d, at + 1, next);
	r = &d->ranges[at];
	if (range_end(r) < end) {
		range_reserve(r, (size_t)(end - r->offset));
		d->bytes += end - range_end(r);
		r->size = (size_t)(end - r->offset);
	}
}

static int write_range(struct dirty *d, uint64_t offset, const void *data, size_t size)
{
	if (size == 0)
		return 0;
	uint32_t at = range_find(d, offset);
	if (at == d->count || d->ranges[at].offset > offset) {
		int error = range_insert(d, at, offset);
		if (error)
			return error;
	}
	range_grow(d, at, offset + size);
	struct dirty_range *r = &d->ranges[at];
	memcpy(r->data + (offset - r->offset), data, size);
	return 0;
}

/* The end of the file without the tail. */
static uint64_t end_before_tail(const struct dirty *d, uint64_t base_size)
{
	uint64_t end = base_size < d->truncate_to ? base_size : d->truncate_to;

	if (d->count && range_end(&d->ranges[d->count - 1]) > end)
		end = range_end(&d->ranges[d->count - 1]);
	return d->extend_to > end ? d->extend_to : end;
}

/* From here on the tail stands where it stands now. */
static int fix_tail(struct dirty *d, uint64_t base_size)
{
	if (!d->tail.size)
		return 0;
	struct dirty_range tail = d->tail;
	uint64_t offset = end_before_tail(d, base_size);

	d->tail = (struct dirty_range){0};
	d->bytes -= tail.size;
	int error = write_range(d, offset, tail.data, tail.size);
	free(tail.data);
	return error;
}

int dirty_write(struct dirty *d, uint64_t base_size, uint64_t offset, const void *data, size_t size)
{
	int error = fix_tail(d, base_size);
	return error ? error : write_range(d, offset, data, size);
}

int dirty_append(struct dirty *d, uint64_t base_size, const void *data, size_t size)
{
	if (size == 0)
		return 0;
	if (d->count || d->extend_to)
		return write_range(d, end_before_tail(d, base_size), data, size);
	range_reserve(&d->tail, d->tail.size + size);
	memcpy(d->tail.data + d->tail.size, data, size);
	d->tail.size += size;
	d->bytes += size;
	return 0;
}

static void cut(struct dirty *d, uint64_t size)
{
	if (size < d->truncate_to)
		d->truncate_to = size;
	if (size < d->extend_to)
		d->extend_to = size;
	while (d->count && d->ranges[d->count - 1].offset >= size) {
		d->bytes -= d->ranges[d->count - 1].size;
		ranges_remove(d, d->count - 1, d->count);
	}
	if (d->count && range_end(&d->ranges[d->count - 1]) > size) {
		struct dirty_range *r = &d->ranges[d->count - 1];
		d->bytes -= range_end(r) - size;
		r->size = (size_t)(size - r->offset);
	}
}

int dirty_truncate(struct dirty *d, uint64_t base_size, uint64_t size)
{
	int error = fix_tail(d, base_size);
	if (error)
		return error;
	cut(d, size);
	d->extend_to = size;
	return 0;
}

uint64_t dirty_size(const struct dirty *d, uint64_t base_size)
{
	return end_before_tail(d, base_size) + d->tail.size;
}

bool dirty_empty(const struct dirty *d)
{
	return !d->count && !d->tail.size && !d->extend_to && d->truncate_to == COMMAND_NO_TRUNCATE;
}

bool dirty_pending(const struct dirty *d, uint64_t base_size)
{
	return d->count || d->tail.size || d->truncate_to < base_size || d->extend_to > base_size;
}

/* Copies the part of [offset, offset + size) that `r` covers. */
static void overlay_range(const struct dirty_range *r, uint64_t at, uint64_t offset, uint8_t *buffer, size_t size)
{
	uint64_t from = at > offset ? at : offset;
	uint64_t to = at + r->size < offset + size ? at + r->size : offset + size;

	if (from < to)
		memcpy(buffer + (from - offset), r->data + (from - at), (size_t)(to - from));
}

void dirty_overlay(const struct dirty *d, uint64_t base_size, uint64_t offset, void *buffer, size_t size)
{
	uint64_t kept = base_size < d->truncate_to ? base_size : d->truncate_to;
	size_t below = kept <= offset ? 0 : (kept - offset < size ? (size_t)(kept - offset) : size);

	memset((uint8_t *)buffer + below, 0, size - below);
	for (uint32_t i = range_find(d, offset); i < d->count && d->ranges[i].offset < offset + size; i++)
		overlay_range(&d->ranges[i], d->ranges[i].offset, offset, buffer, size);
	if (d->tail.size)
		overlay_range(&d->tail, end_before_tail(d, base_size), offset, buffer, size);
}

int dirty_merge(struct dirty *d, uint64_t base_size, struct dirty *later)
{
	int error = 0;

	if (later->truncate_to != COMMAND_NO_TRUNCATE) {
		error = fix_tail(d, base_size);
		cut(d, later->truncate_to);
	}
	for (uint32_t i = 0; i < later->count && !error; i++)
		error = dirty_write(d, base_size, later->ranges[i].offset, later->ranges[i].data, later->ranges[i].size);
	if (later->extend_to > d->extend_to && !error) {
		error = fix_tail(d, base_size);
		d->extend_to = later->extend_to;
	}
	if (later->tail.size && !error)
		error = dirty_append(d, base_size, later->tail.data, later->tail.size);
	dirty_done(later);
	return error;
}
