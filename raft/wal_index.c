#include "raft/wal_index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 256

static void resize(struct wal_index *x, size_t capacity)
{
	x->places = reallocarray(x->places, capacity, sizeof(*x->places));
	if (!x->places)
		abort();
	x->capacity = capacity;
}

void wal_index_free(struct wal_index *x)
{
	free(x->places);
	*x = (struct wal_index){0};
}

void wal_index_reset(struct wal_index *x, uint64_t first)
{
	x->first = first;
	x->count = 0;
}

void wal_index_put(struct wal_index *x, uint64_t index, struct wal_place place)
{
	assert(index >= x->first && index - x->first <= x->count);
	x->count = index - x->first;
	if (x->count == x->capacity)
		resize(x, x->capacity ? x->capacity * 2 : CAPACITY_MIN);
	x->places[x->count++] = place;
}

void wal_index_trim(struct wal_index *x, uint64_t first)
{
	assert(first >= x->first && first - x->first <= x->count);
	size_t gone = first - x->first;
	if (gone == 0)
		return;
	memmove(x->places, x->places + gone, (x->count - gone) * sizeof(*x->places));
	x->first = first;
	x->count -= gone;
	if (x->capacity > CAPACITY_MIN && x->count < x->capacity / 4)
		resize(x, x->capacity / 2);
}

const struct wal_place *wal_index_find(const struct wal_index *x, uint64_t index)
{
	return index >= x->first && index - x->first < x->count ? &x->places[index - x->first] : NULL;
}
