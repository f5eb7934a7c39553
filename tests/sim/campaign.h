/* campaign.h: many runs, in a process for each processor, and the sum of what they exercised. */
#ifndef TALLY_SIM_CAMPAIGN_H
#define TALLY_SIM_CAMPAIGN_H

#include "tests/sim/world.h"

#include <stdio.h>

struct campaign {
	uint64_t runs; /* ended, well or not */
	uint64_t failed;
	uint64_t first_failed; /* a seed */
	double seconds;
	uint32_t jobs;
	uint64_t counts[HAPPENINGS_COUNT];
};

/* The seeds from `from` on. jobs 0: a process for each processor. Stops a process at its first failure. */
void campaign_run(struct campaign *c, uint64_t from, uint64_t runs, uint32_t jobs);
void campaign_print(const struct campaign *c, FILE *out);

#endif
