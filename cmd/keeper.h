/* keeper.h: a lease of this process, kept alive in the background until it is given back. */
#ifndef TALLY_CMD_KEEPER_H
#define TALLY_CMD_KEEPER_H

#include "cmd/ctl.h"

struct keeper;

/* Grants a lease of that time and begins to renew it. CTL_DONE, or the reason is said. */
int keeper_start(struct ctl *ctl, uint64_t ttl_s, struct keeper **out);
uint64_t keeper_lease(const struct keeper *k);
/* Did it end, or may it have ended because no renewal was answered in time? Then nothing is held any more. */
bool keeper_lost(struct keeper *k);
/* Ends the renewing, and the lease with all its keys, as far as somebody answers in time. */
void keeper_stop(struct keeper *k);

#endif
