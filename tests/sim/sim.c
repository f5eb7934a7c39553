/* sim: runs the simulator.
 *
 *	SEED=n [TRACE=1]     that run, twice: both must be the same; TRACE=1 prints all that happens
 *	RUNS=n [FROM=s]      n runs with the seeds from s (1) on, on all processors
 *
 * Exit status 0: nothing was violated. */
#include "tests/sim/campaign.h"
#include "tests/sim/simulation.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static int replay(uint64_t seed, bool trace)
{
	bool good = simulation_run(seed, trace);
	uint64_t hash = world_hash();
	if (good)
		good = simulation_run(seed, false);
	else if (trace)
		return 1;
	else
		simulation_run(seed, false);
	printf("seed %llu: %s, hash %016llx and again %016llx\n", (unsigned long long)seed, good ? "nothing violated" : "VIOLATION",
	       (unsigned long long)hash, (unsigned long long)world_hash());
	if (hash != world_hash())
		printf("the two runs differ: the simulator is not deterministic\n");
	return good && hash == world_hash() ? 0 : 1;
}

int main(void)
{
	struct campaign c;
	uint64_t seed = number("SEED", 0);
	simulation_setup();
	if (seed != 0)
		return replay(seed, number("TRACE", 0) != 0);
	campaign_run(&c, number("FROM", 1), number("RUNS", 200), (uint32_t)number("JOBS", 0));
	campaign_print(&c, stdout);
	return c.failed == 0 ? 0 : 1;
}
