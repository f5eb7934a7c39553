/* checks.h: what must always hold, looked at wherever the production code passes by (the linker sends its calls through __wrap_... here):
 * election safety, log matching, leader completeness, state-machine safety (equal hashes of what each entry put), applied <= committed <= durable on a
 * quorum, and that what was made durable is found again. */
#ifndef TALLY_SIM_CHECKS_H
#define TALLY_SIM_CHECKS_H

#include "tests/sim/machine.h"

void checks_begin(void);
void checks_machine_died(struct machine *m);
/* Its disk is new. */
void checks_forget(struct machine *m);
/* Every machine that runs begins to look through all of its store ... */
void checks_audit(void);
/* ... and some time after: all have applied all, and hold the same. */
void checks_converged(void);
/* Does it believe that it leads? */
bool checks_leads(const struct machine *m);
/* The highest entry that any machine knew to be committed. */
uint64_t checks_committed(void);

#endif
