/* mixed_load.h: threads that use a cluster through its mounts as many programs would, remember what they were told, and hold it against what is there.
 *
 * Four kinds of files, each under a folder of its own for each round:
 *   c  counters: each is written by one thread, in turn, and read by all        (stale: a read below what was acknowledged before it began)
 *   u  exclusive creations with a name of their own                             (lost: acknowledged and not there)
 *   a  logs to which all append lines                                           (lost, or there twice)
 *   w  files that all overwrite, and x  files that all create exclusively, rename to y and delete   (the checker of histories)
 * Everything but u goes through lincheck.h besides. Counters are read serially too, over each node's local endpoint: such a read must not go
 * back on one boot of a node, nor behind what was acknowledged through that node's mount. */
#ifndef TALLY_TESTS_LIB_MIXED_LOAD_H
#define TALLY_TESTS_LIB_MIXED_LOAD_H

#include "tests/lib/cluster.h"

struct mixed_load;

struct mixed_config {
	int threads_per_node;
	int writes_per_second; /* of all threads together, as far as the cluster can; 0: as fast as it goes */
	uint32_t seed;
};

struct mixed_result {
	uint64_t writes; /* acknowledged */
	uint64_t reads;  /* linearizable, answered */
	uint64_t serial_reads;
	uint64_t unknown; /* writes that may have taken effect or not */
	uint64_t failed;  /* operations that surely had no effect */
	uint64_t lost;
	uint64_t stale;
	uint64_t duplicated;
	uint64_t serial_broken;  /* serial reads that went back, or behind their own writes */
	uint64_t longest_gap_ms; /* the longest time in which nothing was acknowledged anywhere */
	bool linearizable;       /* what the checker said; if false `report` tells, also if it gave up */
	char report[4096];
	char first[512]; /* the first of lost, stale, duplicated or serial_broken, in words; empty: none */
};

/* Makes the round's folders (the cluster must be well) and starts the threads. */
struct mixed_load *mixed_begin(struct cluster *c, const struct mixed_config *config, int round);
/* A boot of this node has ended or begun: its serial reads may go back once. Any thread. */
void mixed_node_restarted(struct mixed_load *l, int node);
/* Acknowledged writes so far. */
uint64_t mixed_acknowledged(const struct mixed_load *l);
/* Ends the threads, once their operations are done. The cluster need not be well. */
void mixed_stop(struct mixed_load *l);
/* Reads everything back through every mount that runs (the cluster must be well), checks, and frees. */
void mixed_check(struct mixed_load *l, struct mixed_result *out);

#endif
