/* admin.h: who belongs to the cluster changes while it runs: machines lose their disks and come back, are added and removed; leadership is moved. */
#ifndef TALLY_SIM_ADMIN_H
#define TALLY_SIM_ADMIN_H

#include "tests/sim/machine.h"

enum admin_mode {
	ADMIN_NOTHING,
	ADMIN_WIPES,  /* disks are lost, one at a time */
	ADMIN_CHANGES /* members come and go */
};

void admin_begin(enum admin_mode mode, int64_t until_ns);
/* May this machine lose its data now? Never so many that a majority would be lost. */
bool admin_may_lose(const struct machine *m);
/* The machine's data is lost: it starts on a new disk, and asks for a place. Outside all threads. */
void admin_replace(struct machine *m);
/* Looks which machines have got their place again. */
void admin_look(void);
/* Is it, as far as the leader knows, a member with the identity that it has now? */
bool admin_is_member(const struct machine *m);

#endif
