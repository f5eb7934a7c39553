/* simulation.h: one run of the simulator: a cluster, a minute, a seed. */
#ifndef TALLY_SIM_SIMULATION_H
#define TALLY_SIM_SIMULATION_H

#include <stdbool.h>
#include <stdint.h>

/* Once a process. */
void simulation_setup(void);
/* False if something was violated, which has been printed then. What happened is in world.h until the next run. */
bool simulation_run(uint64_t seed, bool print);

#endif
