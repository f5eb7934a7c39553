#include "tests/sim/simulation.h"
#include "tests/sim/admin.h"
#include "tests/sim/checks.h"
#include "tests/sim/clients.h"
#include "tests/sim/disk.h"
#include "tests/sim/faults.h"
#include "tests/sim/heap.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"
#include "tests/sim/uses.h"

#define HEAL_AT (44 * SECOND)
#define FINISH_AT (50 * SECOND)
#define AUDIT_AT (59 * SECOND)
#define END_AT (60 * SECOND)

void simulation_setup(void)
{
	heaps_setup();
}

static enum admin_mode admin_mode_now;

static void begin_cluster(void)
{
	static const uint32_t sizes[] = {3, 3, 3, 3, 5, 5, 2, 1, 4};
	uint32_t election_ms = (uint32_t)draw_between(300, 1000);
	machine_settings = (struct machine_settings){
		.election_ms = election_ms,
		.heartbeat_ms = election_ms / 10,
		.timeout_ns = draw_between(1000, 6000) * MS,
		.segment_bytes = (uint32_t)(16u << draw_below(4)) << 10,
		.cache_bytes = 1u << draw_between(8, 18),
		.keep_entries = one_in(3) ? 10000 : (uint64_t)draw_between(10, 200),
	};
	machine_settings.first_members = sizes[draw_below(sizeof(sizes) / sizeof(sizes[0]))];
	machine_settings.retain_revisions = one_in(2) ? (uint64_t)draw_between(1, 60) : 0;
	admin_mode_now = (enum admin_mode)draw_below(3);
	uint32_t spares = admin_mode_now == ADMIN_CHANGES ? 1 + (uint32_t)draw_below(2) : 0;
	machines_begin(machine_settings.first_members + spares);
	for (uint32_t i = machine_settings.first_members; i < machines_count; i++)
		machines[i].idle = true;
}

static void begin_clients(void)
{
	struct client_habits habits = {
		.per_machine = machines_count > 3 ? 2 : 3,
		.keys = (uint32_t)draw_between(2, 8),
		.pause_ns_max = draw_between(100, 800) * MS,
		.read_percent = (uint32_t)draw_between(0, 40),
		.uses_more = one_in(2),
		.large_permille = one_in(20) ? 20 : 0,
	};
	clients_begin(&habits);
	uses_begin();
}

static bool run(void)
{
	faults_begin(HEAL_AT - SECOND);
	admin_begin(admin_mode_now, HEAL_AT - SECOND);
	for (uint32_t i = 0; i < machine_settings.first_members; i++)
		machine_start(&machines[i]);
	if (!world_run(HEAL_AT))
		return false;
	faults_heal();
	if (!world_run(FINISH_AT))
		return false;
	clients_finish();
	if (!world_run(AUDIT_AT))
		return false;
	checks_audit();
	if (!world_run(END_AT))
		return false;
	clients_check_finished();
	checks_converged();
	clients_check_history();
	return !world_is_violated();
}

bool simulation_run(uint64_t seed, bool print)
{
	heap_empty(HEAP_WORLD);
	world_begin(seed, print);
	heaps_spoil(one_in(4));
	fibers_reset();
	threads_reset();
	network_begin();
	disks_begin();
	checks_begin();
	begin_cluster();
	begin_clients();
	return run();
}
