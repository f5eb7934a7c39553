/* balance.h: which endpoint gets the next request. Pure: time is a value, randomness a seed.
 *
 * An endpoint that failed is passed over for a back-off (BALANCE_BACKOFF_NS, doubling to BALANCE_BACKOFF_MAX_NS), then tried again
 * with one request at a time until one succeeds. If all are failed, the one whose back-off ends first is picked all the same. */
#ifndef TALLY_STORE_CLIENT_BALANCE_H
#define TALLY_STORE_CLIENT_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#define BALANCE_ENDPOINTS_MAX 64
#define BALANCE_BACKOFF_NS INT64_C(500000000)
#define BALANCE_BACKOFF_MAX_NS INT64_C(10000000000)

enum balance_policy {
	BALANCE_ROUND_ROBIN,
	BALANCE_RANDOM,
	BALANCE_LEAST_CONNECTIONS, /* fewest outstanding requests; among equals, in turn */
	BALANCE_WEIGHTED           /* in turn by weight, evenly spread */
};

/* round_robin, random, least_connections or weighted; else -EINVAL. */
int balance_policy_parse(const char *text, enum balance_policy *out);

struct balance_endpoint {
	uint32_t weight;
	uint32_t outstanding;
	int64_t credit;    /* weighted: grows by weight at each pick, and pays the total when picked */
	uint32_t failures; /* in a row */
	int64_t until_ns;  /* passed over until then, if failures > 0 */
	bool trial;        /* a request is out to see whether it is well again */
};

struct balance {
	enum balance_policy policy;
	unsigned count;
	unsigned cursor; /* whose turn it is */
	uint64_t random;
	struct balance_endpoint endpoints[BALANCE_ENDPOINTS_MAX];
};

/* 1 <= count <= BALANCE_ENDPOINTS_MAX, weights > 0. The seed says where the first turn begins, and what is random. */
void balance_init(struct balance *b, enum balance_policy policy, const uint32_t *weights, unsigned count, uint64_t seed);
/* The endpoint for the next request. Those in `avoid` (bit i: endpoint i) only if no other is left. */
unsigned balance_pick(struct balance *b, uint64_t avoid, int64_t now_ns);
/* A request was given to endpoint i, and: it ended, one way or the other. */
void balance_started(struct balance *b, unsigned i, int64_t now_ns);
void balance_finished(struct balance *b, unsigned i);
/* The endpoint did not do its work (not: refused a request for a reason), or: it did. */
void balance_failed(struct balance *b, unsigned i, int64_t now_ns);
void balance_ok(struct balance *b, unsigned i);

#endif
