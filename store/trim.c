#include "store/trim.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t greatest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t trim_point(const struct trim_facts *f)
{
	uint64_t kept = f->last > TRIM_KEEP_ENTRIES ? f->last - TRIM_KEEP_ENTRIES : 0;
	uint64_t point = greatest(f->everywhere, greatest(kept, f->recent));
	if (f->bytes <= TRIM_HELD_BYTES_MAX)
		point = least(point, f->held);
	return least(point, f->durable);
}
