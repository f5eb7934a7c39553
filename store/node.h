/* node.h: a running node: what its threads share. Private to store/.
 *
 *	callers --pending--> loop (replica, raft, peers) --saves--> log writer --stored--> loop
 *	                     loop --committed entries--> applier (apply, mvcc) --done--> callers */
#ifndef TALLY_STORE_NODE_H
#define TALLY_STORE_NODE_H

#include "raft/wal.h"
#include "store/apply.h"
#include "store/divergence.h"
#include "store/dumps.h"
#include "store/identity.h"
#include "store/membership.h"
#include "store/replica.h"
#include "store/retention.h"
#include "store/snapshots.h"
#include "store/watch.h"

#include <pthread.h>
#include <stdatomic.h>

/* --- applier.c: the thread that applies --- */

struct applier;

struct applier_events {
	void *ctx;
	/* On the apply thread: another store is in place (applier_replace). */
	void (*replaced)(void *ctx);
	/* On the apply thread, once: this node's disk failed, nothing is applied any more. */
	void (*stopped)(void *ctx, int error);
	/* On the apply thread, after a batch. */
	void (*applied)(void *ctx);
	struct histogram *durations; /* of each entry, but for what those who waited for it do */
};

/* `self` and `epoch` tell which commands are this node's own. Nothing here owns what it is given. */
struct applier *applier_start(struct mvcc *m, struct apply *a, struct pending *p, uint64_t self, uint64_t epoch,
			      const struct applier_events *events);
/* Queues committed entries; copies them. One thread. */
void applier_add(struct applier *a, const struct raft_entry *entries, uint32_t count);
/* After what is queued, `with` becomes the store (mvcc_replace). */
void applier_replace(struct applier *a, struct mvcc *with);
/* Some reads were confirmed. */
void applier_wake(struct applier *a);
/* More than APPLIER_BYTES_MAX wait. Any thread. */
bool applier_is_full(struct applier *a);
/* Applies what is queued, ends the thread. */
void applier_stop(struct applier *a);

#define APPLIER_BYTES_MAX (64u << 20)

/* --- loop.c: the thread that owns raft and the network --- */

struct fetched {
	struct fetched *next;
	uint64_t to;
	uint32_t count;
	struct raft_entry *entries; /* data in the same allocation */
};

/* This node's standing, as other threads see it. */
struct standing {
	uint64_t id; /* its incarnation while it has none */
	uint64_t cluster_id;
	char name[STORE_NAME_MAX];
	struct members members;
	char health[STORE_HEALTH_BYTES]; /* empty: nothing to say */
};

/* store_op.kind besides those of pending.c */
#define OP_MEMBERS 3

/* As long as nobody else leads it may be the only whole copy. */
#define STORE_DAMAGED_ADVICE                                                                                                               \
	"something in it fails its checks; keep DATA until another member leads, then stop this node, remove its DATA and start it"

struct store {
	struct store_config config; /* its strings are in `strings` */
	char *strings[3];
	struct identity identity;
	uint64_t epoch;
	struct wal *wal;
	struct wal_writer *writer;
	struct mvcc *mvcc;
	struct watch_hub *watch;
	struct apply *apply;
	struct dumps *dumps;
	struct leases *leases; /* changed by apply */
	struct locks *locks;   /* likewise */
	int64_t expiry_ns;     /* when leases are to be looked at again; the loop's */
	atomic_uint endings;   /* of leases, on their way */
	struct pending *pending;
	struct raft *raft;
	struct peer_net *net;    /* NULL in a cluster of one */
	struct replica *replica; /* NULL until the node has its identity, like log, writer, raft and applier */
	struct applier *applier;
	struct membership *membership;
	struct snapshots *snapshots;
	struct mvcc *incoming; /* a snapshot that raft has taken, and that is being made the store */

	pthread_t loop;
	bool loop_runs;
	int wake_fd; /* eventfd */
	atomic_bool woken;
	atomic_bool closing;  /* hand leadership over */
	atomic_bool stopping; /* end the loop */
	bool ended;           /* the threads are gone */

	/* housekeeping.c; the loop's own, but for the atomics */
	struct store_op compact_op;
	atomic_bool compacting; /* it is on its way */
	struct retention retention;
	struct divergence divergence;
	atomic_uint_fast64_t diverged;      /* the entry at which that was found; 0: it was not */
	atomic_uint_fast64_t refused_bytes; /* by which a write was over the quota last time */

	/* from the endpoint */
	atomic_uint_fast64_t requests_refused;
	atomic_uint_fast64_t requests_replayed;

	/* from the log writer */
	atomic_uint_fast64_t stored;
	atomic_int disk_error;

	/* from the snapshots */
	atomic_bool damaged;
	int64_t gave_way_ns; /* the last time; the loop's alone */
	pthread_mutex_t fetched_mutex;
	struct fetched *fetched;

	/* for store_figures */
	struct {
		atomic_uint_fast64_t barriers;
		atomic_uint_fast64_t commands;
		atomic_uint_fast64_t read_rounds;
		atomic_uint_fast64_t read_questions;
		struct histogram applies;
	} counts;

	/* for store_status */
	pthread_mutex_t status_mutex;
	pthread_cond_t status_changed;
	struct raft_status status;
	struct standing shown;
	bool alone;             /* it was its only voter when it was opened */
	atomic_bool takes_part; /* the log is open, and so is all that needs it */

	/* for the membership */
	pthread_mutex_t requests_mutex;
	struct store_op *requests;
	atomic_bool requests_dropped;
};

/* Opens the log, raft and the threads that need an identity; on the loop, or before it runs. */
int store_take_part(struct store *s, char *why, size_t why_size);

int loop_start(struct store *s);
void loop_stop(struct store *s);
/* What the log writer answered after that. Once the writer has stopped. */
void loop_drop_fetched(struct store *s);
/* Something waits for the loop. Any thread. */
void loop_wake(struct store *s);
/* The callbacks for the log writer and the applier. */
struct wal_writer_events loop_wal_events(struct store *s);
struct applier_events loop_applier_events(struct store *s);

/* The replica and its ports. */
void loop_make_replica(struct store *s);

/* --- standing.c: the loop's side of membership.c --- */

void standing_open(struct store *s);
/* The configuration to open raft with; `bytes` is what it borrows from. */
int standing_members(struct store *s, struct writer *bytes, struct raft_members *out);
/* On the loop, after the inputs of the turn: whatever is due. */
void standing_tick(struct store *s, int64_t now_ns);
void standing_close(struct store *s);

/* --- housekeeping.c: what the loop looks after now and then --- */

/* On the leader: proposes a compaction if history is older than it need be, or too large. */
void housekeeping_history(struct store *s);
/* Tells the others this node's hashes, and compares what they told. */
void housekeeping_hashes(struct store *s);
/* A PEER_HASH frame. */
void housekeeping_heard(struct store *s, uint64_t from, struct span payload);
/* Would a write as large as the last that was refused be refused now? Any thread. */
bool housekeeping_quota_reached(struct store *s, const struct mvcc_stats *stats);

/* --- loop_snapshots.c --- */

void loop_take_snapshots(struct store *s);
void loop_trim_log(struct store *s, const struct raft_status *status, uint64_t *trimmed);
/* Ports of the replica. */
void loop_reset_log(void *ctx, uint64_t index, uint64_t term);
void loop_installed(void *ctx);
void loop_want_snapshot(void *ctx, uint64_t to);
/* The log writer's thread calls it. */
int loop_switch_stores(void *ctx, uint64_t index, uint64_t term);

/* --- expiry.c: leases that run out --- */

/* To be called by the loop, as often as it likes. */
void expiry_run(struct store *s, const struct raft_status *status, int64_t now_ns);
int64_t expiry_deadline_ns(struct store *s);

/* --- stage.c: writes too large for one entry --- */

/* True if the command needs a stage, and the write is under way; false if it fits into one entry. */
bool stage_submit(struct store *s, const struct command *c, struct store_op *op);
/* For pending_new. */
void stage_admitted(void *staging, uint64_t sequence);

#endif
