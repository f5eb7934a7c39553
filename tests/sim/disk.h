/* disk.h: a machine's disk: the files of its log (raft/wal_segment.h) and its store (store/mvcc/backend.h), each as the daemon sees it and as a power
 * cut would leave it. */
#ifndef TALLY_SIM_DISK_H
#define TALLY_SIM_DISK_H

#include "tests/sim/machine.h"

struct disk_mood {
	int64_t sync_ns_max; /* an ordinary sync takes up to this */
	bool full;           /* writes that need room fail */
	bool fails;          /* the next sync fails */
	int64_t stalled_until_ns;
};

void disks_begin(void);
struct disk_mood *disk_mood(struct machine *m);
/* Of what was not synced only a part survives. */
void disk_power_cut(struct machine *m);
/* The daemon that used it is gone: nothing is open any more. */
void disk_closed(struct machine *m);
/* Flips a bit of what is stored. */
void disk_flip_bit(struct machine *m);
/* A new, empty disk. */
void disk_replace(struct machine *m);

/* For the two halves: waits as long as a sync takes; the error of the sync. */
int disk_sync_takes(struct machine *m);

/* log_disk.c */
void log_disk_power_cut(struct machine *m);
void log_disk_closed(struct machine *m);
bool log_disk_flip_bit(struct machine *m);
void log_disk_clear(struct machine *m);
void log_disks_begin(void);
bool log_disk_exists(const struct machine *m);
/* lmdb.c */
void store_disk_power_cut(struct machine *m);
void store_disk_closed(struct machine *m);
bool store_disk_flip_bit(struct machine *m);
void store_disk_clear(struct machine *m);
void store_disks_begin(void);
/* Folders by path, each of a store. A change of names survives a power cut once it is synced; the last ones go first. */
bool store_disk_has(const struct machine *m, const char *path);
/* Is LMDB's file in it? */
bool store_disk_is_begun(const struct machine *m, const char *path);
void store_disk_empty(struct machine *m, const char *path);
/* To "": it is removed. */
void store_disk_rename(struct machine *m, const char *from, const char *to);
uint32_t store_disk_name_changes(const struct machine *m);
void store_disk_names_synced(struct machine *m, uint32_t changes);

/* node_file.c */
void node_files_begin(void);
bool node_file_exists(const struct machine *m);
/* What was written to node.new is on the disk; the error of the sync. */
int node_file_sync(struct machine *m);
/* node.new has become node. */
void node_file_renamed(struct machine *m);
void node_file_removed(struct machine *m);
void node_file_names_synced(struct machine *m);
void node_file_power_cut(struct machine *m);

#endif
