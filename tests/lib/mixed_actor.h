/* mixed_actor.h: what a thread of the mixed load does and remembers. Private to tests/lib/mixed_*.c. */
#ifndef TALLY_TESTS_LIB_MIXED_ACTOR_H
#define TALLY_TESTS_LIB_MIXED_ACTOR_H

#include "store/client/client.h"
#include "tests/lib/lincheck.h"
#include "tests/lib/mixed_load.h"

#include <pthread.h>
#include <stdatomic.h>

#define MIXED_SHARED 4 /* files of each kind that several threads use */
#define MIXED_ACTORS_MAX 64
#define MIXED_NAME_MAX 32
#define MIXED_IDS_MAX 16384 /* in one file */

/* A key of the checker: kind, then number, then generation. */
#define MIXED_KEY(kind, number, generation) ((uint64_t)(kind) << 48 | (uint64_t)(number) << 32 | (uint64_t)(generation))

/* The counter that an actor writes now, for those who read it: (generation << 32 | value) of the last acknowledged write; 0: none of this generation. */
struct mixed_counter {
	_Atomic uint64_t acked;
};

struct mixed_unique {
	uint64_t id;
	bool acked;
};

struct actor {
	struct mixed_load *load;
	int number;
	int node;
	bool exclusive; /* uses x and y: one thread of each node, as the maker's process sees an unpublished file before others do */
	pthread_t thread;
	int dir_fd; /* of the round's folder on the node's mount: unlike a path it never leads below a dead mount */
	uint32_t random;
	uint64_t last_id;

	struct lin_op *ops;
	uint32_t ops_count, ops_capacity;
	struct mixed_unique *uniques;
	uint32_t uniques_count, uniques_capacity;
	uint32_t generation; /* of its counter */
	uint64_t counted;    /* id last acknowledged in it; 0: none */

	struct client *client; /* of the node's local endpoint */
	unsigned boot;
	uint64_t serial_revision;

	_Atomic uint64_t writes;
	uint64_t reads, serial_reads, unknown, failed, stale, serial_broken;
	_Atomic int64_t acknowledged_ns; /* the last one */
	int64_t longest_gap_ns;
	char first[512];
};

struct mixed_load {
	struct cluster *cluster;
	struct mixed_config config;
	int round;
	int count;
	struct actor *actors;
	struct mixed_counter counters[MIXED_ACTORS_MAX];
	atomic_uint boots[CLUSTER_NODES_MAX];
	atomic_bool stop;
	_Atomic int64_t acknowledged_ns; /* the last one of all */
	_Atomic int64_t longest_gap_ns;
	int64_t begin_ns;
};

void *actor_run(void *ctx);
/* Remembers the first thing that is wrong. */
void actor_complains(struct actor *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The ids that a file holds, a line each, into ids[MIXED_IDS_MAX]. The count; -EBADMSG if it is anything else; -EFBIG; or what open or read said. */
int mixed_read(int dir_fd, const char *name, uint64_t *ids);

#endif
