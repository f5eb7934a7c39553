/* lock.h: who holds which file, or a part of one, in the whole cluster: what flock(2) and fcntl(2) ask for.
 *
 * A lock belongs to an owner of a session. A session is a lease (lease.h) of a mount: when it ends, by whatever command, so do its locks and its
 * waiters, and those behind them get their turn, in that same command. Which locks there are, and who waits for them, is replicated state: commands
 * alone change it, and what a command makes of it depends on it alone.
 *
 * Waiters of a file stand in the order in which they came. None is granted while an earlier one waits for something that conflicts with it, unless its
 * owner holds a lock there already: the earlier one may be waiting for exactly that. Locks of flock(2) and of fcntl(2) do not see each other.
 *
 * Apply checks, then changes the table, between mvcc_begin and mvcc_end. Everybody may look at it. */
#ifndef TALLY_STORE_LOCK_H
#define TALLY_STORE_LOCK_H

#include "store/mvcc/mvcc.h"

/* Locks and waiters together: in all, and of one session. */
#define LOCKS_MAX 65536u
#define LOCKS_PER_SESSION_MAX 8192u
/* How many owners are followed in search of a deadlock; one that is larger is not found. */
#define LOCKS_DEADLOCK_OWNERS_MAX 256u

enum lock_kind {
	LOCK_KIND_FLOCK = 1, /* of an open file: the owner is its handle, and the range is all of it */
	LOCK_KIND_POSIX = 2  /* of a process, and a range: its locks are split, joined and replaced as fcntl(2) has it */
};

struct lock {
	uint64_t session; /* not 0 */
	uint64_t ino;     /* not 0. Any number: nothing here asks whether there is such a file */
	uint64_t owner;   /* within the session */
	uint64_t handle;  /* of the session, through which it was set */
	uint64_t start;   /* the range, both ends in it */
	uint64_t end;
	uint32_t pid; /* for F_GETLK */
	uint8_t kind; /* enum lock_kind */
	bool exclusive;
};

struct locks;

struct locks *locks_new(void);
void locks_free(struct locks *l);
/* Forgets what it holds and reads what the store keeps. -EBADMSG malformed, or an error of mvcc.h. */
int locks_load(struct locks *l, struct mvcc *m);

/* --- the thread of apply: looking --- */

/* 0: it can be had at once; 1: it has to wait; -EAGAIN: it would have to, and does not want to; -ENOLCK: there are too many; -EDEADLK: of fcntl, and it
 * would wait for its own owner. */
int locks_check(struct locks *l, const struct lock *want, bool waits);
/* -ENOLCK: a lock would be split in two, and there are too many. */
int locks_check_release(struct locks *l, const struct lock *what);

/* --- the thread of apply: changing, after the check --- */

void locks_take(struct locks *l, struct mvcc *m, const struct lock *want);
/* `request` (not 0) names the waiter within its session. An flock that waits gives up what its owner held, as flock(2) does. */
void locks_wait(struct locks *l, struct mvcc *m, const struct lock *want, uint64_t request);
/* What the owner holds in the range goes; with `by_handle` all that was set through the handle, of both kinds. Returns how many are left of that handle. */
uint64_t locks_release(struct locks *l, struct mvcc *m, const struct lock *what, bool by_handle);
/* The waiter goes, if it still waits. Does the owner hold what it asked for? */
bool locks_cancel(struct locks *l, struct mvcc *m, const struct lock *want, uint64_t request);
void locks_end_session(struct locks *l, struct mvcc *m, uint64_t session);

/* --- anybody --- */

/* The lock with the lowest start of those that stand in the way; false: none. */
bool locks_conflict(struct locks *l, const struct lock *want, struct lock *out);
bool locks_waits(struct locks *l, uint64_t ino, uint64_t session, uint64_t request);
/* Does its owner hold all of the range, as exclusive as that? */
bool locks_holds(struct locks *l, const struct lock *want);
/* Does the owner hold anything on the file? */
bool locks_owner_has(struct locks *l, const struct lock *of);
/* How many locks there are of a session's handle on the file. */
uint64_t locks_of_handle(struct locks *l, const struct lock *of);
/* How many locks and waiters there are. */
void locks_counts(struct locks *l, uint32_t *held, uint32_t *waiting);

/* `wake` is called on the thread of apply when waiters may have been granted or dropped; it must not wait for anything. NULL: no more, and it is not under
 * way any more once this returns. One at a time. */
void locks_listen(struct locks *l, void (*wake)(void *ctx), void *ctx);
/* The thread of apply: after a batch. */
void locks_applied(struct locks *l);

#endif
