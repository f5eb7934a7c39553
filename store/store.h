/* store.h: the replicated store, as the file system and the client endpoint use it.
 *
 * Two rules make both kinds of reading out of one: reads (store_get and its kin) are answered at once from this node's applied state;
 * a linearizable reader first passes a store_barrier, after which they include every write that had completed anywhere before it began.
 * A write is a command that is proposed (store_submit) and done once this node has applied it, so it includes one's own.
 *
 * Operations are asynchronous: nothing here waits for the cluster. Threads of the store call op->done exactly once; it must not wait
 * for anything, but may read. Errors are negative errnos. */
#ifndef TALLY_STORE_STORE_H
#define TALLY_STORE_STORE_H

#include "base/secret.h"
#include "store/command.h"
#include "store/mvcc/mvcc.h"

#define STORE_MEMBERS_MAX 16
#define STORE_NAME_MAX 64
#define STORE_HEALTH_BYTES 320

struct store_member {
	char name[STORE_NAME_MAX];
	char address[128]; /* HOST:PORT; empty in a cluster of one without a network */
};

struct store_config {
	const char *data; /* DATA; strings are borrowed for the call */
	const char *name; /* this node */
	/* From cluster=; count 0: this node alone. Used when DATA is new, else what DATA says holds. */
	struct store_member members[STORE_MEMBERS_MAX];
	uint32_t members_count;
	const char *listen; /* NULL: this node's address among the members */
	int64_t timeout_ns; /* of every operation */
	uint32_t heartbeat_ms;
	uint32_t election_ms;
	uint64_t max_file;
	uint64_t quota;
	int64_t retain_ns;           /* history is kept for so long; 0: as retain_revisions says */
	uint64_t retain_revisions;   /* so many revisions are kept; 0: as retain_ns says, or for ever */
	const struct secret *secret; /* NULL: nothing is sealed, and only loopback is used. Borrowed until store_close */
};

struct store;
struct leases;
struct watch_hub;

/* Locks DATA, opens the log and the store, recovers, starts the threads. Does not wait for a leader. On failure a negative errno and one line
 * in `why`: what is wrong, where, what to do. Call after the process's last fork. */
int store_open(const struct store_config *config, struct store **out, char *why, size_t why_size);
/* A cluster of one: waits, at most timeout=, until it has applied all of its log, so that after a crash the first read, a serial one too, finds what was
 * there before. With others it returns at once: what they have done meanwhile nobody can wait for. Not on a thread of the store. */
void store_settle(struct store *s);
/* Hands leadership over, fails what is pending with -ESHUTDOWN, ends the threads: done is called for nothing any more. What was read and not ended yet
 * (record_done) may still be. No op may be submitted any more. */
void store_stop(struct store *s);
/* store_stop, if it was not called; then syncs and closes. Nothing that was read may be left. */
void store_close(struct store *s);

/* An operation on its way: memory of the caller's, kept until done is called. */
struct store_op {
	void (*done)(struct store_op *op); /* set by the caller */
	struct command_result
		result;    /* its reply is done's to free. result.error: 0, -ETIMEDOUT, -EINTR, -EIO, -ESHUTDOWN, or what apply said */
	uint64_t sequence; /* of a command that is done: its id.sequence; 0 if it was never proposed */
	/* private to the store */
	struct store_op *next;
	struct store_op *prev;
	int64_t deadline_ns;
	int64_t resend_ns;
	uint64_t ticket;
	uint32_t reserve; /* sequences for its parts */
	void *staging;
	uint8_t kind;
	uint8_t state;
	bool interrupted;
	struct writer bytes;
};

/* done(op) once reads here include all that had completed in the cluster when this was called. -ETIMEDOUT without a quorum. Any thread. */
void store_barrier(struct store *s, struct store_op *op);
/* Proposes a command; done(op) once it is applied here. Everything is copied. The store stamps id and time_ns. A WRITE or PUT whose
 * content is too large for one entry is staged by the store itself. It is applied at most once, however often leaders change. -ETIMEDOUT: it may
 * still take effect. Any thread. */
void store_submit(struct store *s, const struct command *c, struct store_op *op);
/* The caller was interrupted: done(op) comes soon, with -EINTR unless it was too late. `op` must not be done yet: the caller's lock sees
 * to that. Any thread. */
void store_cancel(struct store *s, struct store_op *op);
/* The same as soon as it is at_ns (clock_mono_ns), if the operation is not done by then. */
void store_interrupt(struct store *s, struct store_op *op, int64_t at_ns);

/* The reads of mvcc.h on this node's store: mvcc_get(store_mvcc(s), ...). */
struct mvcc *store_mvcc(struct store *s);
/* Pictures of it for clients. */
struct dumps *store_dumps(struct store *s);
/* The leases as this node has applied them (lease.h): to look at. */
struct leases *store_leases(struct store *s);
/* The locks as this node has applied them (lock.h): to look at. */
struct locks *store_locks(struct store *s);
/* What changes on this node's store, as it is applied (watch.h). */
struct watch_hub *store_watch(struct store *s);
const struct store_config *store_settings(const struct store *s); /* as in force; strings owned by the store */
/* -ENOSPC if this node's live data would pass quota= with `bytes` more; or with a value of this size under the key, in place of what is there. */
int store_admit(struct store *s, uint64_t bytes);
int store_admit_value(struct store *s, struct span key, uint64_t size);
/* May a read be answered from this node's state without asking the others? -EIO once it is known to have diverged from theirs. */
int store_readable(struct store *s);

/* A client's request over TCP was refused for its seal, or dropped because it was seen before: @status tells how many. Any thread. */
void store_count_refused(struct store *s, bool replayed);

/* What users ask about members (member_request.h). done(op) once it is carried out, or refused: result.reply is one line then. The encoded request is
 * the store's. Any thread. */
struct member_request;
void store_member_request(struct store *s, const struct member_request *q, struct store_op *op);
/* The text of @members: a line a member. Any thread. */
void store_members_text(struct store *s, struct writer *out);

struct store_status {
	char name[STORE_NAME_MAX];
	uint64_t id;
	char role[16];
	char leader[STORE_NAME_MAX]; /* "none" when unknown */
	uint64_t term;
	uint64_t revision;
	uint64_t compact_revision;
	uint64_t raft_index; /* last entry of the log */
	uint64_t commit_index;
	uint64_t applied_index;
	uint64_t keys;
	uint64_t db_bytes;
	uint64_t used_bytes;       /* of it: the rest is free pages, which will be used again */
	uint64_t deleted_revision; /* what was below this one has been deleted: compact_revision, or on its way there */
	uint64_t wal_bytes;
	uint64_t cluster_id;
	char health[STORE_HEALTH_BYTES]; /* "ok", or why not */
	uint64_t frames_foreign;
	uint64_t frames_malformed;
	uint64_t frames_unsealed;
	uint64_t frames_forged;
	uint64_t frames_replayed;
	uint64_t requests_refused;
	uint64_t requests_replayed;
};
/* A recent picture, got without waiting for the cluster or the disk. Any thread. */
void store_status(struct store *s, struct store_status *out);
/* The text of @status: lines "key: value", in the order of the interface. `consistency` is the caller's. */
void store_status_text(struct store *s, const char *consistency, struct writer *out);

#define TALLYFS_VERSION "0.1.0"

#endif
