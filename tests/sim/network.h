/* network.h: what lies between the machines: it loses, repeats, reorders and delays, is cut one way or both, and keeps old frames to replay them.
 * network.c implements raft/peer.h on it. */
#ifndef TALLY_SIM_NETWORK_H
#define TALLY_SIM_NETWORK_H

#include "tests/sim/machine.h"

struct network_weather {
	uint32_t loss_percent;
	uint32_t repeat_percent;
	uint32_t replay_permille;
	int64_t delay_ns_max;
};

/* system.c: the descriptor that becomes readable when there are frames. */
int system_network_fd(struct machine *m);

void network_begin(void);
void network_set_weather(const struct network_weather *w);
/* Frames from one to the other no longer arrive. */
void network_cut(uint32_t from, uint32_t to, bool cut);
void network_mend(void);
bool network_is_cut(uint32_t from, uint32_t to);
bool network_has_frames(const struct machine *m);
/* What waits for it is gone with it. */
void network_machine_died(struct machine *m);

#endif
