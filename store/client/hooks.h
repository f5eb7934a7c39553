/* hooks.h: what happens around every request, before and after its handler, in one chain.
 *
 * before() of each hook in order: one that refuses ends it there, and the request is answered with its error. after() of those whose
 * before() let the request pass, in reverse order, once it is answered. One thread runs a chain; counters may be read by any. */
#ifndef TALLY_STORE_CLIENT_HOOKS_H
#define TALLY_STORE_CLIENT_HOOKS_H

#include "store/client/protocol.h"

#include <stdatomic.h>
#include <stdint.h>

/* A request on its way through the chain. */
struct hook_call {
	uint8_t type; /* enum request_type; 0: malformed */
	size_t request_bytes;
	size_t response_bytes; /* known in after() */
	int64_t began_ns;      /* clock_mono_ns */
	int64_t ended_ns;      /* known in after() */
	int error;             /* what it is answered with; known in after() */
	unsigned passed;       /* hooks that let it pass */
};

struct hook {
	int (*before)(void *ctx, struct hook_call *call); /* 0 or a negative errno; NULL: passes */
	void (*after)(void *ctx, const struct hook_call *call);
	void *ctx;
};

#define HOOKS_MAX 8
struct hooks {
	struct hook chain[HOOKS_MAX];
	unsigned count;
};

void hooks_add(struct hooks *h, struct hook hook);
int hooks_before(const struct hooks *h, struct hook_call *call);
/* Fill in error, ended_ns and response_bytes first. */
void hooks_after(const struct hooks *h, struct hook_call *call);

/* limit: at most so many requests, and so many of their bytes, on their way at once: -EBUSY, surely not applied. */
struct hook_limit {
	unsigned in_flight_max;
	size_t bytes_max;
	unsigned watches_max; /* WATCH, which only waits, is not counted among the others */
	unsigned watches;
	unsigned in_flight;
	size_t bytes;
};
struct hook hook_limit(struct hook_limit *l);

/* trace: a line of the debug log for each request. */
struct hook hook_trace(void);

/* count: per type of request. latency[i]: took less than 2^i microseconds (and at least half of it); the last one: or more. */
#define HOOK_LATENCIES 24
struct hook_counter {
	_Atomic uint64_t requests;
	_Atomic uint64_t errors;
	_Atomic uint64_t request_bytes;
	_Atomic uint64_t response_bytes;
	_Atomic uint64_t latency_us_sum;
	_Atomic uint64_t latency[HOOK_LATENCIES];
};
struct hook_counters {
	struct hook_counter types[REQUEST_TYPES];
};
struct hook hook_count(struct hook_counters *counters);

#endif
