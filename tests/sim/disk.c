#include "tests/sim/disk.h"

#include <errno.h>
#include <string.h>

static struct disk_mood moods[MACHINES_MAX];

void disks_begin(void)
{
	for (uint32_t i = 0; i < MACHINES_MAX; i++)
		moods[i] = (struct disk_mood){.sync_ns_max = 2 * MS};
	log_disks_begin();
	store_disks_begin();
	node_files_begin();
}

struct disk_mood *disk_mood(struct machine *m)
{
	return &moods[m->number - 1];
}

int disk_sync_takes(struct machine *m)
{
	struct disk_mood *mood = disk_mood(m);
	machine_effect(m);
	fiber_sleep(1 + (int64_t)draw_below((uint64_t)mood->sync_ns_max));
	while (mood->stalled_until_ns > world_now())
		fiber_sleep(mood->stalled_until_ns - world_now());
	if (!mood->fails)
		return 0;
	mood->fails = false;
	m->disk_faulty = true;
	happened(HAPPENED_sync_failed, m->number, 0, 0);
	return -EIO;
}

void disk_power_cut(struct machine *m)
{
	log_disk_power_cut(m);
	store_disk_power_cut(m);
	node_file_power_cut(m);
}

void disk_closed(struct machine *m)
{
	log_disk_closed(m);
	store_disk_closed(m);
}

void disk_flip_bit(struct machine *m)
{
	bool log_first = one_in(2);
	bool done = log_first ? log_disk_flip_bit(m) || store_disk_flip_bit(m) : store_disk_flip_bit(m) || log_disk_flip_bit(m);
	m->damaged |= done;
}

void disk_replace(struct machine *m)
{
	log_disk_clear(m);
	store_disk_clear(m);
	node_file_removed(m);
	m->damaged = false;
	m->lost = false;
}
