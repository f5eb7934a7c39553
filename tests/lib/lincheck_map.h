/* lincheck_map.h: a hash map from two integers to one, for the checker. */
#ifndef TALLY_TESTS_LIB_LINCHECK_MAP_H
#define TALLY_TESTS_LIB_LINCHECK_MAP_H

#include <stddef.h>
#include <stdint.h>

struct lin_map_item {
	uint64_t a;
	uint64_t b;
	uint64_t value;
	uint32_t used;
};

/* Zeros are an empty map. */
struct lin_map {
	struct lin_map_item *items;
	size_t capacity;
	size_t count;
};

/* NULL if it is not there. Lives until the next lin_map_put. */
uint64_t *lin_map_get(const struct lin_map *m, uint64_t a, uint64_t b);
/* The value, made as `fresh` if it was not there. */
uint64_t *lin_map_put(struct lin_map *m, uint64_t a, uint64_t b, uint64_t fresh);
void lin_map_free(struct lin_map *m);
uint64_t lin_mix(uint64_t x);

#endif
