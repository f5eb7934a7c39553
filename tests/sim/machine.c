#include "tests/sim/machine.h"
#include "tests/sim/checks.h"
#include "tests/sim/clients.h"
#include "tests/sim/disk.h"
#include "tests/sim/heap.h"
#include "tests/sim/network.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WALL_BASE_NS (1700000000ll * SECOND)
#define RETRY_NS (300 * MS)

struct machine machines[MACHINES_MAX];
uint32_t machines_count;
struct machine_settings machine_settings;

void machines_begin(uint32_t count)
{
	memset(machines, 0, sizeof(machines));
	machines_count = count;
	for (uint32_t i = 0; i < MACHINES_MAX; i++) {
		struct machine *m = &machines[i];
		m->number = i + 1;
		m->rate_permille = 1000;
		m->mono_base_ns = draw_between(10, 100000) * SECOND;
		m->wall_ahead_ns = WALL_BASE_NS - m->mono_base_ns + draw_between(-2, 2) * SECOND;
		heap_empty(m->number);
	}
}

/* --- clock --- */

int64_t machine_mono_ns(const struct machine *m)
{
	return m->mono_base_ns + (world_now() - m->since_ns) * m->rate_permille / 1000;
}

int64_t machine_when(const struct machine *m, int64_t mono_ns)
{
	int64_t left = mono_ns - machine_mono_ns(m);
	return world_now() + (left <= 0 ? 0 : left * 1000 / m->rate_permille + 1);
}

static void rebase(struct machine *m)
{
	m->mono_base_ns = machine_mono_ns(m);
	m->since_ns = world_now();
}

void machine_set_rate(struct machine *m, int64_t permille)
{
	rebase(m);
	m->rate_permille = permille;
	happened(HAPPENED_clock_rate, m->number, (uint64_t)permille, 0);
	fibers_wake_timed(m);
}

void machine_jump(struct machine *m, int64_t ns)
{
	happened(HAPPENED_clock_jump, m->number, (uint64_t)(ns / MS), 0);
	rebase(m);
	m->mono_base_ns += ns;
	fibers_wake_timed(m);
}

/* --- life --- */

static void start_again(void *arg, uint64_t boots)
{
	struct machine *m = arg;
	if (!m->running && m->boots == boots && !m->lost && !m->idle)
		machine_start(m);
}

void machine_start_later(struct machine *m)
{
	at(world_now() + draw_between(10, 5000) * MS, start_again, m, m->boots);
}

static void ended(struct machine *m)
{
	network_machine_died(m);
	disk_closed(m);
	memset(m->fds, 0, sizeof(m->fds));
	m->polls = m->stop_wanted = (struct wait_list){NULL, NULL};
	m->running = m->stopping = false;
	m->store = NULL;
	m->dies_at_effect = 0;
	m->dies_in_sync = false;
	m->dying = DEATH_NONE;
	heap_empty(m->number);
}

static void describe(const struct machine *m, struct store_config *c)
{
	static char names[MACHINES_MAX][8], data[MACHINES_MAX][8];
	snprintf(names[m->number - 1], sizeof(names[0]), "n%u", m->number);
	snprintf(data[m->number - 1], sizeof(data[0]), "m%u", m->number);
	*c = (struct store_config){
		.data = data[m->number - 1],
		.name = names[m->number - 1],
		.timeout_ns = machine_settings.timeout_ns,
		.heartbeat_ms = machine_settings.heartbeat_ms,
		.election_ms = machine_settings.election_ms,
		.max_file = 64u << 20,
		.retain_revisions = machine_settings.retain_revisions,
	};
	/* cluster=: those that were there at the beginning, or when the machine was added, and itself. */
	uint32_t named = m->joins_by ? m->joins_by : (1u << machine_settings.first_members) - 1;
	for (uint32_t i = 1; i <= MACHINES_MAX; i++) {
		if (!(named >> (i - 1) & 1) && i != m->number)
			continue;
		struct store_member *one = &c->members[c->members_count++];
		snprintf(one->name, sizeof(one->name), "n%u", i);
		snprintf(one->address, sizeof(one->address), "m%u:7701", i);
	}
}

/* A daemon may refuse to start because its disk fails now, or was damaged; for no other reason. */
static void refused(struct machine *m, int error, const char *why)
{
	happened(HAPPENED_refused, m->number, (uint64_t)(int64_t)error, 0);
	if (m->damaged && (error == -EBADMSG || error == -EIO))
		m->lost = true;
	else if (!m->disk_faulty)
		violated("machine %u does not start: error %d: %s", m->number, error, why);
}

static void *daemon_main(void *arg)
{
	struct machine *m = arg;
	struct store_config config;
	struct store *s;
	char why[512] = "";

	describe(m, &config);
	int error = store_open(&config, &s, why, sizeof(why));
	if (error) {
		refused(m, error, why);
		machine_die(m, DEATH_KILL);
		fiber_abandon();
	}
	m->store = s;
	happened(HAPPENED_up, m->number, s->epoch, 0);
	clients_start(m);
	while (!m->stopping)
		fiber_wait(&m->stop_wanted, NEVER);
	clients_await_end(m);
	m->store = NULL;
	store_close(s);
	machine_die(m, DEATH_KILL);
	fiber_abandon();
}

void machine_start(struct machine *m)
{
	m->running = true;
	m->stopping = false;
	m->effects = 0;
	m->disk_faulty = disk_mood(m)->full;
	m->boots++;
	happened(HAPPENED_boot, m->number, m->boots, 0);
	fiber_start(m, daemon_main, m);
}

void machine_stop(struct machine *m)
{
	if (!m->running || m->stopping)
		return;
	happened(HAPPENED_stop, m->number, 0, 0);
	m->stopping = true;
	wake_all(&m->stop_wanted);
}

static void bury(struct machine *m)
{
	enum death how = m->dying;
	clients_machine_died(m);
	checks_machine_died(m);
	fibers_end(m);
	ended(m);
	if (how == DEATH_POWER)
		disk_power_cut(m);
}

void machine_die(struct machine *m, enum death how)
{
	if (!m->running)
		return;
	m->dying = how;
	if (machine_now() != m)
		bury(m);
}

static void die_here(struct machine *m, enum death how)
{
	happened(HAPPENED_crash_point, m->number, m->effects, 0);
	m->dying = how;
	fiber_abandon();
}

void machine_effect(struct machine *m)
{
	if (!m || machine_now() != m || ++m->effects != m->dies_at_effect)
		return;
	if (m->dies_by != DEATH_NONE)
		die_here(m, m->dies_by);
	machine_pause(m, draw_between(100, 4000) * MS);
	fiber_yield();
}

void machine_log_sync(struct machine *m, size_t sectors)
{
	if (m->dies_in_sync && sectors > 1)
		die_here(m, DEATH_POWER);
}

void machine_after_step(struct machine *m)
{
	if (m->dying == DEATH_NONE)
		return;
	bury(m);
	if (!m->lost)
		at(world_now() + draw_between(RETRY_NS, 8 * RETRY_NS), start_again, m, m->boots);
}

bool machine_is_paused(const struct machine *m)
{
	return m->paused_until_ns > world_now();
}

static void resume(void *arg, uint64_t tag)
{
	(void)arg, (void)tag; /* the world looks for threads that can run after each event */
}

void machine_pause(struct machine *m, int64_t ns)
{
	happened(HAPPENED_paused, m->number, (uint64_t)(ns / MS), 0);
	m->paused_until_ns = world_now() + ns;
	at(m->paused_until_ns, resume, m, 0);
}
