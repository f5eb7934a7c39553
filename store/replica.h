/* replica.h: this node's part in the cluster, as one state machine: raft, and the way of operations to and from it. Private to store/.
 *
 * It has no thread, no clock and no disk: inputs are calls with the time as a value, outputs go through struct replica_ports, which has
 * two implementations (the daemon's threads in store.c, and a simulated world). One thread owns it (the replica loop).
 *
 * The way of a write: pending -> (the leader's raft, or a PEER_PROPOSE frame to the leader) -> committed entries -> ports.apply. Frames
 * get lost and leaders die: what is pending is sent again to whoever leads, under the same identity, and applied once. */
#ifndef TALLY_STORE_REPLICA_H
#define TALLY_STORE_REPLICA_H

#include "raft/peer.h"
#include "raft/raft.h"
#include "store/pending.h"

struct replica;

struct replica_ports {
	void *ctx;
	/* Best effort. */
	void (*send)(void *ctx, uint64_t to, enum peer_kind kind, struct span payload);
	/* Make durable, in order; answered by replica_stored(save). Copies what it needs. */
	void (*save)(void *ctx, uint64_t save, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count);
	/* The save that comes next begins with a snapshot, the one that replica_install was given: as part of it, that takes the store's place durably, and
	 * the log begins anew behind (index, term). */
	void (*reset)(void *ctx, uint64_t index, uint64_t term);
	/* ... and now it has: to be put into use after what was given to apply before, and before what comes next. */
	void (*installed)(void *ctx);
	/* A member needs a snapshot; answered by replica_snapshot_over. */
	void (*snapshot)(void *ctx, uint64_t to);
	/* Read from the log; answered by replica_fetched. */
	void (*fetch)(void *ctx, uint64_t to, uint64_t lo, uint64_t hi);
	/* Apply in order. Copies what it needs. */
	void (*apply)(void *ctx, const struct raft_entry *entries, uint32_t count);
	/* Reads were confirmed: apply may complete some. */
	void (*reads_confirmed)(void *ctx);
	/* The configuration in force is another one: frames go to its members, and come from them. It may yet be taken back. */
	void (*members)(void *ctx, const struct raft_members *in_force);
	/* This one is committed. */
	void (*members_committed)(void *ctx, const struct raft_members *committed);
	/* Apply has as much to do as it may queue: accept no more work now. */
	bool (*apply_is_full)(void *ctx);
};

/* `raft` and `pending` become the replica's to use; the caller frees both after the replica. */
struct replica *replica_new(struct raft *raft, struct pending *pending, const struct replica_ports *ports);
void replica_free(struct replica *r);

/* The time now; before the inputs that it dates. */
void replica_tick(struct replica *r, int64_t now_ns);
/* Inputs. After any number of them: replica_run. */
void replica_frame(struct replica *r, uint64_t from, uint8_t kind, struct span payload);
void replica_stored(struct replica *r, uint64_t save);
void replica_fetched(struct replica *r, uint64_t to, const struct raft_entry *entries, uint32_t count);
void replica_trimmed(struct replica *r, uint64_t first);
void replica_snapshot_over(struct replica *r, uint64_t to);
/* A snapshot is at hand, whole: 0 if it is taken (then ports.reset and ports.installed follow), else as raft_install; -EBUSY: another one is on its way. */
int replica_install(struct replica *r, uint64_t index, uint64_t term, const struct raft_members *members);
/* This node was removed from its cluster, or is not any more held to be: it asks for no votes meanwhile. */
void replica_keep_quiet(struct replica *r, bool quiet);
/* This node's disk failed: it gives up leadership and takes no more part. */
void replica_fail(struct replica *r);

/* Takes up what is pending, carries out what raft asks for, ends what is overdue. */
void replica_run(struct replica *r);
/* When replica_tick and replica_run should be called again if nothing else happens. */
int64_t replica_deadline_ns(const struct replica *r);

#endif
