/* restore.h: a data directory made from a snapshot file. */
#ifndef TALLY_STORE_RESTORE_H
#define TALLY_STORE_RESTORE_H

#include "store/store.h"

struct restored {
	uint64_t cluster_id; /* a new one */
	uint64_t revision;
	uint64_t keys;
};

/* Makes DATA, which must not exist: a cluster of one with a number of its own, which has every key and all history of the snapshot, and takes its
 * name when it is first started. Sessions, reservations and members of the old cluster stay behind. DATA appears whole and durable, or not at
 * all. On failure a negative errno and one line in `why`. */
int store_restore(const char *file, const char *data, struct restored *out, char *why, size_t why_size);

#endif
