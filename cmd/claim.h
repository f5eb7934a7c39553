/* claim.h: a place in a queue for a name: a key below it that lives as long as this process's lease. Whoever has the key with the lowest create revision owns the
 * name; each of the others watches the key just before its own, so that one that goes wakes one and not all. */
#ifndef TALLY_CMD_CLAIM_H
#define TALLY_CMD_CLAIM_H

#include "cmd/keeper.h"

struct claim {
	struct keeper *keeper;
	char key[PROTOCOL_KEY_MAX + 32];
	uint64_t revision; /* that made the key */
};

/* Takes a place, with this value, and waits until it is the first one. CTL_DONE: the name is owned, as long as the keeper is not lost. Else the reason is said (or a
 * signal came), and there is nothing to give back. */
int claim_begin(struct ctl *ctl, const char *name, const char *value, uint64_t ttl_s, struct claim *out);
/* Gives the place back. */
void claim_end(struct claim *c);

#endif
