/* trial.h: the power is cut again and again: after every event of a journal, or a sample of them, images of the disk are made and a node is
 * started on each. */
#ifndef TALLY_TESTS_POWER_TRIAL_H
#define TALLY_TESTS_POWER_TRIAL_H

#include "tests/power/verify.h"

struct trial {
	const struct journal *journal;
	struct disk *base;            /* the directory that was recorded, as it was before; NULL: it was empty */
	const char *data;             /* DATA, relative to it */
	const struct progress *start; /* what was done before the journal */
	uint32_t cuts_max;            /* moments; those next to changes of names, and the first ones, come first */
	uint32_t images;              /* of each moment, besides the two with none and all of what is uncertain */
	uint64_t seed;
};

struct trial_result {
	uint32_t cuts;
	uint32_t images;
	uint32_t partial; /* of them, with a part of what was uncertain */
	uint32_t failures;
	char first[1024]; /* the first failure: which cut, which image, what was wrong */
};

/* Runs in child processes, on all processors. */
void trial_run(const struct trial *t, struct trial_result *out);

/* Writes one image into the empty directory `dir`: a cut at about `percent` of the journal with torn writes under way. Gives the progress at that
 * moment. For a trial without a base. */
void trial_image(const struct trial *t, uint32_t percent, const char *dir, struct progress *out);

#endif
