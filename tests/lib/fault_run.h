/* fault_run.h: a cluster on hosts of its own, a mixed load, and one fault after another; after each everything is checked. Used by test_faults and by `make faults`. */
#ifndef TALLY_TESTS_LIB_FAULT_RUN_H
#define TALLY_TESTS_LIB_FAULT_RUN_H

#include "tests/lib/faults.h"
#include "tests/lib/mixed_load.h"

#define CONVERGE_MS 10000

struct fault_run {
	struct cluster *cluster;
	struct mixed_config load;
	int before_ms; /* load before the fault, under it, and after it was healed */
	int during_ms;
	int after_ms;
	int rounds; /* so far */
	/* of all rounds together */
	uint64_t writes, reads, serial_reads, unknown, lost, stale, duplicated;
	double load_seconds;
	double longest_convergence; /* seconds */
};

/* Hosts, disks and daemons, with a secret. Skips the test, saying why, if this machine cannot. */
void fault_run_up(struct fault_run *r, int nodes);
/* One fault under load. Fails the test if anything acknowledged was lost, a read was stale, a line was doubled, the history is not linearizable, or the
 * nodes are not equal within CONVERGE_MS after the healing. */
void fault_run_round(struct fault_run *r, enum fault_kind kind, uint32_t random);

#endif
