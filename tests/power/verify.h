/* verify.h: starts a node on an image, in this process, and looks for what must be there. */
#ifndef TALLY_TESTS_POWER_VERIFY_H
#define TALLY_TESTS_POWER_VERIFY_H

#include "tests/power/disk.h"
#include "tests/power/load.h"

/* How far each worker has come at a moment of the journal. */
struct progress {
	const struct load *load;
	uint32_t begun[LOAD_WORKERS_MAX];
	uint32_t done[LOAD_WORKERS_MAX];
	struct load_state states[LOAD_WORKERS_MAX]; /* after `done` */
};

void progress_feed(struct progress *p, const struct event *e);

/* False with one line in `why` if the node does not start on `data`, lost what was done, or shows what never was. */
bool verify_image(const struct progress *p, const char *data, char *why, size_t why_size);

#endif
