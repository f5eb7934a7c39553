/* machine.h: one machine: its clock, its power, the daemon's store that runs on it. Disks and the network are next door. */
#ifndef TALLY_SIM_MACHINE_H
#define TALLY_SIM_MACHINE_H

#include "store/node.h"
#include "tests/sim/fiber.h"

#define MACHINES_MAX 8u
#define MACHINE_FDS 16u

enum death { DEATH_NONE, DEATH_KILL, DEATH_POWER };

struct machine_fd {
	bool used;
	bool is_network;
	uint64_t count; /* of an eventfd */
};

struct machine {
	uint32_t number;   /* from 1; its heap, too, and the id of its node */
	bool running;      /* a daemon runs, or starts */
	bool stopping;     /* ... and is to end in good order */
	bool lost;         /* its disk was damaged: it does not come back with that */
	bool rejoins;      /* it has a new disk, and is no voter again yet */
	bool idle;         /* it belongs to no cluster now */
	bool damaged;      /* a bit flipped on its disk */
	bool disk_faulty;  /* since it started a sync failed, or the disk was full */
	uint32_t joins_by; /* a bit for each machine that its cluster= names, when it comes to a cluster that runs; 0: the first members */
	struct store *store; /* once open */
	uint64_t boots;
	struct wait_list stop_wanted;

	/* its clock: node time is mono_base + (world time - since_ns) * rate / 1000 */
	int64_t since_ns;
	int64_t mono_base_ns;
	int64_t wall_ahead_ns;
	int64_t rate_permille;

	int64_t paused_until_ns;
	enum death dying;        /* when the thread that runs now gives way */
	uint64_t effects;        /* crossed in this boot */
	uint64_t dies_at_effect; /* 0: at none */
	enum death dies_by;      /* DEATH_NONE: it only stands still for a while */
	bool dies_in_sync;       /* while several sectors of its log are on their way */

	struct machine_fd fds[MACHINE_FDS];
	struct wait_list polls;
};

extern struct machine machines[MACHINES_MAX];
extern uint32_t machines_count;

/* How the daemons of this run are configured. */
struct machine_settings {
	uint32_t first_members; /* machines 1 to this one begin the cluster */
	uint32_t heartbeat_ms;
	uint32_t election_ms;
	int64_t timeout_ns;
	uint32_t segment_bytes;
	uint64_t cache_bytes;
	uint64_t keep_entries;     /* of the log, for members that are away */
	uint64_t retain_revisions; /* 0: all */
};
extern struct machine_settings machine_settings;

void machines_begin(uint32_t count);
void machine_start(struct machine *m);
/* In a while, unless it has been started by then. */
void machine_start_later(struct machine *m);
/* In good order: hands over, syncs, closes. */
void machine_stop(struct machine *m);
/* Outside all threads, or within the machine's own: then at the thread's next step. */
void machine_die(struct machine *m, enum death how);
/* An effect is about to be carried out: the machine may die before it. */
void machine_effect(struct machine *m);
/* So many sectors of its log are about to be synced. */
void machine_log_sync(struct machine *m, size_t sectors);
/* The thread that ran has given way. */
void machine_after_step(struct machine *m);
bool machine_is_paused(const struct machine *m);
void machine_pause(struct machine *m, int64_t ns);

int64_t machine_mono_ns(const struct machine *m);
/* The world's time when the machine's clock will say so. */
int64_t machine_when(const struct machine *m, int64_t mono_ns);
void machine_set_rate(struct machine *m, int64_t permille);
void machine_jump(struct machine *m, int64_t ns);

#endif
