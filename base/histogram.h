/* histogram.h: how long things took, counted by powers of two of a microsecond. One thread or many add, any reads; nobody waits. */
#ifndef TALLY_BASE_HISTOGRAM_H
#define TALLY_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 24

/* buckets[i] counts what took less than 2^i us and at least half of that; the last: or more. Zeroed it is empty and ready. */
struct histogram {
	_Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
	_Atomic uint64_t sum_ns;
};

/* A picture of one: each figure is right, though a moment may lie between two of them. */
struct histogram_figures {
	uint64_t buckets[HISTOGRAM_BUCKETS];
	uint64_t sum_ns;
};

static inline void histogram_add(struct histogram *h, int64_t ns)
{
	uint64_t took = ns > 0 ? (uint64_t)ns : 0, us = took / 1000;
	unsigned bucket = us ? 64u - (unsigned)__builtin_clzll(us) : 0;

	if (bucket >= HISTOGRAM_BUCKETS)
		bucket = HISTOGRAM_BUCKETS - 1;
	atomic_fetch_add_explicit(&h->buckets[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_ns, took, memory_order_relaxed);
}

static inline void histogram_read(struct histogram *h, struct histogram_figures *out)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		out->buckets[i] = atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
	out->sum_ns = atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
}

#endif
