#include "tests/sim/faults.h"
#include "tests/sim/admin.h"
#include "tests/sim/checks.h"
#include "tests/sim/disk.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"

#include <string.h>

enum fault_kind {
	FAULT_KILL,
	FAULT_POWER_CUT,
	FAULT_POWER_CUT_ALL,
	FAULT_CRASH_POINT,
	FAULT_TORN_SYNC,
	FAULT_STOP,
	FAULT_PARTITION,
	FAULT_ISOLATION,
	FAULT_OLD_LEADER,
	FAULT_NETWORK,
	FAULT_SLOW_DISK,
	FAULT_STALL,
	FAULT_SYNC_FAILS,
	FAULT_DISK_FULL,
	FAULT_BIT_FLIP,
	FAULT_PAUSE,
	FAULT_CLOCK_JUMP,
	FAULT_CLOCK_RATE,
	FAULTS_COUNT
};

static int64_t faults_until_ns;
static int64_t faults_apart_ns;
static uint32_t enabled[FAULTS_COUNT];
static uint32_t enabled_count;
static bool healed;

/* The one that leads, as often as not. */
static struct machine *any_machine(void)
{
	struct machine *m = &machines[draw_below(machines_count)];
	for (uint32_t i = 0; i < machines_count && one_in(2); i++)
		if (checks_leads(&machines[i]))
			m = &machines[i];
	return m;
}

/* --- their ends --- */

static void end_cut(void *arg, uint64_t tag)
{
	(void)arg, (void)tag;
	network_mend();
}

static void end_weather(void *arg, uint64_t tag)
{
	(void)arg, (void)tag;
	network_set_weather(&(struct network_weather){.delay_ns_max = MS});
	happened(HAPPENED_network_healed, 0, 0, 0);
}

static void end_slow(void *arg, uint64_t tag)
{
	(void)tag;
	disk_mood(arg)->sync_ns_max = 2 * MS;
}

static void end_full(void *arg, uint64_t tag)
{
	struct machine *m = arg;
	(void)tag;
	if (!disk_mood(m)->full)
		return;
	disk_mood(m)->full = false;
	happened(HAPPENED_disk_freed, m->number, 0, 0);
}

/* Who looks after the machines starts a daemon anew when it says that it takes no more part. */
static void look_after(void *arg, uint64_t tag)
{
	(void)arg, (void)tag;
	admin_look();
	for (uint32_t i = 0; i < machines_count; i++) {
		struct machine *m = &machines[i];
		if (m->lost) {
			admin_replace(m);
			machine_start_later(m);
		}
		if (!m->running || !m->store || atomic_load(&m->store->disk_error) == 0 || m->stopping)
			continue;
		int error = atomic_load(&m->store->disk_error);
		happened(HAPPENED_disk_failed, m->number, (uint64_t)(int64_t)error, 0);
		m->lost |= m->damaged;
		if (!m->disk_faulty && !m->damaged)
			violated("machine %u takes no more part, with error %d, although its disk works", m->number, error);
		if (one_in(2))
			machine_stop(m);
		else
			machine_die(m, DEATH_KILL);
		machine_start_later(m);
	}
	at(world_now() + 500 * MS, look_after, NULL, 0);
}

/* --- their beginnings --- */

static void down(struct machine *m, enum death how)
{
	if (!m->running)
		return;
	happened(how == DEATH_KILL ? HAPPENED_kill : HAPPENED_power_cut, m->number, 0, 0);
	machine_die(m, how);
	machine_start_later(m);
}

static void cut_power_of_all(struct machine *m)
{
	(void)m;
	for (uint32_t i = 0; i < machines_count; i++)
		down(&machines[i], DEATH_POWER);
}

static void crash_point(struct machine *m)
{
	m->dies_by = one_in(2) ? DEATH_KILL : DEATH_POWER;
	m->dies_at_effect = m->effects + 1 + draw_below(one_in(2) ? 30 : 500);
}

static void pause_machine(struct machine *m)
{
	if (one_in(2)) {
		machine_pause(m, draw_between(10, 4000) * MS);
		return;
	}
	m->dies_by = DEATH_NONE;
	m->dies_at_effect = m->effects + 1 + draw_below(100);
}

static void stop(struct machine *m)
{
	if (!m->running || m->stopping)
		return;
	machine_stop(m);
	machine_start_later(m);
}

static void partition(struct machine *m)
{
	(void)m;
	uint64_t side = 1 + draw_below((1u << machines_count) - 2);
	bool one_way = one_in(3);
	happened(HAPPENED_partition, 0, side, one_way);
	for (uint32_t a = 1; a <= machines_count; a++)
		for (uint32_t b = 1; b <= machines_count; b++) {
			bool from = side >> (a - 1) & 1, to = side >> (b - 1) & 1;
			if (from != to && (from || !one_way))
				network_cut(a, b, true);
		}
	at(world_now() + draw_between(100, 8000) * MS, end_cut, NULL, 0);
}

static void isolate(struct machine *m)
{
	uint64_t way = draw_below(3); /* 0: both, 1: it hears nobody, 2: nobody hears it */
	happened(HAPPENED_isolated, m->number, way, 0);
	for (uint32_t other = 1; other <= machines_count; other++) {
		if (other == m->number)
			continue;
		if (way != 1)
			network_cut(m->number, other, true);
		if (way != 2)
			network_cut(other, m->number, true);
	}
	at(world_now() + draw_between(100, 8000) * MS, end_cut, NULL, 0);
}

static void end_slow_clock(void *arg, uint64_t tag)
{
	(void)tag;
	machine_set_rate(arg, 1000);
}

static void keep_company(uint32_t a, uint32_t b)
{
	network_cut(a, b, false);
	network_cut(b, a, false);
}

/* The leader is cut off with a clock so slow that others elect another one long before it notices. */
static void keep_old_leader(struct machine *m)
{
	(void)m;
	for (uint32_t i = 0; i < machines_count; i++) {
		if (!checks_leads(&machines[i]))
			continue;
		machine_set_rate(&machines[i], draw_between(150, 500));
		isolate(&machines[i]);
		if (machines_count > 3 && one_in(2))
			keep_company(i + 1, (i + 1) % machines_count + 1);
		at(world_now() + draw_between(2000, 8000) * MS, end_slow_clock, &machines[i], 0);
		return;
	}
}

static void bad_weather(struct machine *m)
{
	(void)m;
	struct network_weather w = {.loss_percent = (uint32_t)draw_below(30),
				    .repeat_percent = (uint32_t)draw_below(20),
				    .replay_permille = (uint32_t)draw_below(100),
				    .delay_ns_max = draw_between(1, one_in(3) ? 400 : 40) * MS};
	network_set_weather(&w);
	happened(HAPPENED_bad_network, 0, w.loss_percent, (uint64_t)(w.delay_ns_max / MS));
	at(world_now() + draw_between(500, 10000) * MS, end_weather, NULL, 0);
}

static void slow_disk(struct machine *m)
{
	disk_mood(m)->sync_ns_max = draw_between(5, 300) * MS;
	happened(HAPPENED_slow_disk, m->number, (uint64_t)(disk_mood(m)->sync_ns_max / MS), 0);
	at(world_now() + draw_between(500, 8000) * MS, end_slow, m, 0);
}

static void stall(struct machine *m)
{
	int64_t ns = draw_between(200, 6000) * MS;
	disk_mood(m)->stalled_until_ns = world_now() + ns;
	happened(HAPPENED_stall, m->number, (uint64_t)(ns / MS), 0);
}

static void fill_disk(struct machine *m)
{
	disk_mood(m)->full = true;
	m->disk_faulty = true;
	happened(HAPPENED_disk_full, m->number, 0, 0);
	at(world_now() + draw_between(500, 6000) * MS, end_full, m, 0);
}

static void flip_bit(struct machine *m)
{
	if (!admin_may_lose(m))
		return;
	disk_flip_bit(m);
	if (m->damaged && one_in(2))
		down(m, DEATH_KILL);
}

static void kill_machine(struct machine *m)
{
	down(m, DEATH_KILL);
}

static void cut_power(struct machine *m)
{
	down(m, DEATH_POWER);
}

static void tear_sync(struct machine *m)
{
	m->dies_in_sync = true;
}

static void fail_sync(struct machine *m)
{
	disk_mood(m)->fails = true;
}

static void jump_clock(struct machine *m)
{
	machine_jump(m, draw_between(50, 5000) * MS);
}

static void change_rate(struct machine *m)
{
	machine_set_rate(m, one_in(2) ? draw_between(800, 1250) : draw_between(300, 3000));
}

static void (*const strikes[FAULTS_COUNT])(struct machine *m) = {
	[FAULT_KILL] = kill_machine,       [FAULT_POWER_CUT] = cut_power,   [FAULT_POWER_CUT_ALL] = cut_power_of_all,
	[FAULT_CRASH_POINT] = crash_point, [FAULT_TORN_SYNC] = tear_sync,   [FAULT_STOP] = stop,
	[FAULT_PARTITION] = partition,     [FAULT_ISOLATION] = isolate,     [FAULT_OLD_LEADER] = keep_old_leader,
	[FAULT_NETWORK] = bad_weather,     [FAULT_SLOW_DISK] = slow_disk,   [FAULT_STALL] = stall,
	[FAULT_SYNC_FAILS] = fail_sync,    [FAULT_DISK_FULL] = fill_disk,   [FAULT_BIT_FLIP] = flip_bit,
	[FAULT_PAUSE] = pause_machine,     [FAULT_CLOCK_JUMP] = jump_clock, [FAULT_CLOCK_RATE] = change_rate,
};

static void next(void *arg, uint64_t tag)
{
	(void)arg, (void)tag;
	if (healed || world_now() > faults_until_ns)
		return;
	strikes[enabled[draw_below(enabled_count)]](any_machine());
	at(world_now() + 1 + (int64_t)draw_below((uint64_t)faults_apart_ns * 2), next, NULL, 0);
}

void faults_begin(int64_t until_ns)
{
	faults_until_ns = until_ns;
	faults_apart_ns = draw_between(300, 4000) * MS;
	healed = false;
	enabled_count = 0;
	uint64_t keep = draw_between(1, 3);
	for (uint32_t kind = 0; kind < FAULTS_COUNT; kind++)
		if (draw_below(4) < keep && (kind != FAULT_BIT_FLIP || one_in(4)))
			enabled[enabled_count++] = kind;
	if (enabled_count == 0)
		enabled[enabled_count++] = FAULT_CRASH_POINT;
	at(world_now() + 500 * MS, look_after, NULL, 0);
	at(world_now() + draw_between(1000, 3000) * MS, next, NULL, 0);
}

void faults_heal(void)
{
	healed = true;
	network_mend();
	end_weather(NULL, 0);
	for (uint32_t i = 0; i < machines_count; i++) {
		struct machine *m = &machines[i];
		struct disk_mood *mood = disk_mood(m);
		end_full(m, 0);
		*mood = (struct disk_mood){.sync_ns_max = 2 * MS};
		m->paused_until_ns = 0;
		m->dies_at_effect = 0;
		m->dies_in_sync = false;
		machine_set_rate(m, 1000);
		if (!m->running && !m->lost && !m->idle)
			machine_start(m);
	}
	happened(HAPPENED_healed, 0, 0, 0);
}
