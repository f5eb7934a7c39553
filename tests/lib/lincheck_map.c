#include "tests/lib/lincheck_map.h"

#include <stdlib.h>

uint64_t lin_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static struct lin_map_item *slot(const struct lin_map *m, uint64_t a, uint64_t b)
{
	size_t i = lin_mix(lin_mix(a) + b) & (m->capacity - 1);
	while (m->items[i].used && (m->items[i].a != a || m->items[i].b != b))
		i = (i + 1) & (m->capacity - 1);
	return &m->items[i];
}

uint64_t *lin_map_get(const struct lin_map *m, uint64_t a, uint64_t b)
{
	struct lin_map_item *item = m->capacity ? slot(m, a, b) : NULL;
	return item && item->used ? &item->value : NULL;
}

static void grow(struct lin_map *m)
{
	struct lin_map bigger = {.capacity = m->capacity ? m->capacity * 2 : 64, .count = m->count};
	bigger.items = calloc(bigger.capacity, sizeof(*bigger.items));
	if (!bigger.items)
		abort();
	for (size_t i = 0; i < m->capacity; i++)
		if (m->items[i].used)
			*slot(&bigger, m->items[i].a, m->items[i].b) = m->items[i];
	free(m->items);
	*m = bigger;
}

uint64_t *lin_map_put(struct lin_map *m, uint64_t a, uint64_t b, uint64_t fresh)
{
	if (2 * (m->count + 1) > m->capacity)
		grow(m);
	struct lin_map_item *item = slot(m, a, b);
	if (!item->used) {
		*item = (struct lin_map_item){a, b, fresh, 1};
		m->count++;
	}
	return &item->value;
}

void lin_map_free(struct lin_map *m)
{
	free(m->items);
	*m = (struct lin_map){0};
}
