/* Real faults: hosts in network namespaces, a load through their mounts, and a history that is checked after each fault. `make faults` does more of the same. */
#include "tests/lib/fault_run.h"
#include "tests/lib/run.h"

#include <inttypes.h>
#include <stdio.h>

static struct fault_run run;

static void up(int nodes)
{
	run = (struct fault_run){
		.load = {.threads_per_node = 3, .writes_per_second = 400, .seed = 1}, .before_ms = 300, .during_ms = 1500, .after_ms = 500};
	fault_run_up(&run, nodes);
}

static void suffer(enum fault_kind kind, uint32_t random)
{
	const char *why = fault_missing(run.cluster, kind);
	if (why)
		note("%s: left out: %s", fault_name(kind), why);
	else
		fault_run_round(&run, kind, random);
}

static void report(void)
{
	note("%d faults: %" PRIu64 " writes acknowledged, lost %" PRIu64 ", stale %" PRIu64 ", duplicated %" PRIu64
	     "; equal after %.1f s at most",
	     run.rounds, run.writes, run.lost, run.stale, run.duplicated, run.longest_convergence);
}

static void three_hosts_survive_broken_networks(void **state)
{
	(void)state;
	static const enum fault_kind kinds[] = {FAULT_CUT_FOLLOWER, FAULT_CUT_LEADER, FAULT_LEADER_DEAF, FAULT_LEADER_MUTE,
						FAULT_LINK_DOWN,    FAULT_LOSS,       FAULT_DISORDER};
	up(3);
	for (size_t i = 0; i < (size_t)rounds(sizeof(kinds) / sizeof(kinds[0])); i++)
		suffer(kinds[i], (uint32_t)i);
	report();
}

static void three_hosts_survive_stopped_and_killed_nodes_and_disks_that_are_full_or_lost(void **state)
{
	(void)state;
	static const enum fault_kind kinds[] = {FAULT_STOP_LEADER, FAULT_KILL_LEADER, FAULT_KILL_ALL, FAULT_DISK_FULL, FAULT_DISK_LOST};
	up(3);
	for (size_t i = 0; i < (size_t)rounds(sizeof(kinds) / sizeof(kinds[0])); i++)
		suffer(kinds[i], (uint32_t)i);
	report();
}

static void five_hosts_survive_the_loss_of_two(void **state)
{
	(void)state;
	up(5);
	suffer(FAULT_TWO_LOST, 0);
	report();
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(three_hosts_survive_broken_networks),
		STORY(three_hosts_survive_stopped_and_killed_nodes_and_disks_that_are_full_or_lost),
		STORY(five_hosts_survive_the_loss_of_two),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
