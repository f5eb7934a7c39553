/* retention.h: how much history the store keeps by itself: what retain= says, and less of it near quota=, the oldest first.
 *
 * Pure logic: the leader's housekeeping asks it ten times a second, and proposes what it says. Private to store/. */
#ifndef TALLY_STORE_RETENTION_H
#define TALLY_STORE_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

struct retention_rules {
	int64_t retain_ns;         /* keep what is younger; 0: not by age */
	uint64_t retain_revisions; /* keep so many; 0: not by number */
	uint64_t quota;            /* bytes; 0: none */
};

/* Where the store stands. */
struct retention_view {
	int64_t now_ns;      /* monotonic */
	uint64_t revision;   /* the newest */
	uint64_t floor;      /* the oldest that can be read */
	uint64_t compacted;  /* the floor up to which history has been deleted */
	uint64_t by_age;     /* the newest revision that retain_ns lets go of up to; 0: none */
	uint64_t used_bytes; /* live data and history, on this node's disk */
};

struct retention {
	int64_t last_ns; /* when it last asked for a compaction; 0: never */
};

/* The revision to compact up to now; 0: let it be. */
uint64_t retention_due(struct retention *r, const struct retention_rules *rules, const struct retention_view *view);
/* Is history to yield because the store is near its quota? */
bool retention_is_tight(const struct retention_rules *rules, const struct retention_view *view);

#endif
