/* faults.h: what can befall a cluster of hosts (netns.h), done for real and healed again. Main thread only. */
#ifndef TALLY_TESTS_LIB_FAULTS_H
#define TALLY_TESTS_LIB_FAULTS_H

#include "tests/lib/cluster.h"

enum fault_kind {
	FAULT_CUT_FOLLOWER, /* nothing goes to it or comes from it */
	FAULT_CUT_LEADER,
	FAULT_LEADER_DEAF,   /* it sends, and nothing reaches it */
	FAULT_LEADER_MUTE,   /* it hears, and nothing that it sends arrives */
	FAULT_LINK_DOWN,     /* the cable of one node is pulled */
	FAULT_LOSS,          /* every fifth packet to each node is lost */
	FAULT_DISORDER,      /* packets are late, doubled and out of order (netem) */
	FAULT_STOP_FOLLOWER, /* SIGSTOP */
	FAULT_STOP_LEADER,
	FAULT_KILL_FOLLOWER, /* SIGKILL, started again when healed */
	FAULT_KILL_LEADER,
	FAULT_KILL_ALL,
	FAULT_TWO_LOST,  /* of five: a follower is cut off and the leader killed */
	FAULT_DISK_LOST, /* a follower is killed and comes back with nothing */
	FAULT_DISK_FULL, /* of one node: it says so, takes no part, and is started again when there is space */
	FAULT_KINDS
};

const char *fault_name(enum fault_kind kind);

/* A disk of `megabytes` for each node's DATA, ext4 on a loop device, before the nodes are started. NULL, or why there can be none. */
const char *faults_disks(struct cluster *c, int megabytes);
/* NULL, or why this one cannot be done here. After netns_up and faults_disks. */
const char *fault_missing(const struct cluster *c, enum fault_kind kind);

struct mixed_load;
struct fault {
	enum fault_kind kind;
	int victim;    /* -1: all */
	char what[96]; /* in words */
};

/* Lets it happen; `random` chooses the victim where there is a choice. The cluster must be well. FAULT_DISK_FULL returns once the node has said so. */
struct fault fault_begin(struct cluster *c, enum fault_kind kind, uint32_t random);
/* Undoes it: returns at once when links are well, and when nodes that were killed are mounted again. `load` is told of boots; it may be NULL. */
void fault_heal(struct cluster *c, const struct fault *f, struct mixed_load *load);

#endif
