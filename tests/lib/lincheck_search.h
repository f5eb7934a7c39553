/* lincheck_search.h: the search through one component of a history. Private to lincheck. */
#ifndef TALLY_TESTS_LIB_LINCHECK_SEARCH_H
#define TALLY_TESTS_LIB_LINCHECK_SEARCH_H

#include "tests/lib/lincheck.h"
#include "tests/lib/lincheck_map.h"

#include <stdbool.h>

/* A file's content as the search knows it: nodes of a tree of the sequences that were seen, and of what they begin with. Whatever nobody ever
 * saw is one content: LIN_NODE_OTHER. */
#define LIN_NODE_ABSENT 0u
#define LIN_NODE_OTHER 1u
#define LIN_NODE_EMPTY 2u
#define LIN_NODE_FIRST 3u

struct lin_contents {
	struct lin_map children; /* (node, id) to node */
	uint32_t count;
};

/* What follows `node` when `id` is added. */
uint32_t lin_contents_next(const struct lin_contents *c, uint32_t node, uint64_t id);

/* An operation as the search takes it. */
struct lin_step {
	enum lin_kind kind;
	bool refused;
	bool open;       /* of unknown outcome: it has no return, and need not happen */
	uint32_t key;    /* among the component's */
	uint32_t other;  /* LIN_RENAME */
	uint32_t seen;   /* node */
	uint64_t value;  /* LIN_APPEND */
	uint32_t node;   /* what a write, create or swap makes */
	uint32_t number; /* in the history */
	uint64_t effect; /* a hash: steps of equal effect are interchangeable, but for their returns */
	uint32_t before; /* open: the one of the same effect that was called last before it; UINT32_MAX: none */
	uint32_t slot;   /* its bit while it is under way */
	int64_t called;
	int64_t returned;
};

struct lin_component {
	const struct lin_contents *contents;
	struct lin_step *steps;
	uint32_t steps_count;
	uint32_t keys_count;
};

struct lin_found {
	enum lin_verdict verdict;
	uint64_t steps;
	uint32_t culprit; /* among the steps */
};

/* Orders the steps by their calls. */
void lin_search(struct lin_component *c, uint64_t steps_max, size_t bytes_max, struct lin_found *out);

#endif
