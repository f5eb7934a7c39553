/* bench_cases.h: operations on three nodes beside the same operations on the empty file system, with 1, 8 and 64 clients. */
#ifndef TALLY_TESTS_BENCH_CASES_H
#define TALLY_TESTS_BENCH_CASES_H

#include "tests/lib/bench_limits.h"

/* What the cases are measured with. */
struct bench_machine {
	const char *root; /* a directory on the disk that the nodes use */
	double seconds;   /* of each case */
	struct bench_empty empty;
	struct bench_echo echo;
};

/* Starts three nodes that read with this consistency ("serial" or "linearizable"), measures, prints, notes the floors, ends them.
 * Returns how many cases could not be measured. */
unsigned bench_cases_run(struct bench_machine *m, const char *consistency);

#endif
