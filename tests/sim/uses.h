/* uses.h: what else is done with a store, besides reading and writing files: transactions, leases, compaction, old revisions, watching. */
#ifndef TALLY_SIM_USES_H
#define TALLY_SIM_USES_H

#include "tests/sim/machine.h"

void uses_begin(void);
/* Within the machine: one of them. */
void uses_act(struct machine *m);
/* Within the machine: watches all keys, until it is to stop. */
void *uses_watch(void *machine);

#endif
