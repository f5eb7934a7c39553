/* locks.h: what flock(2) and fcntl(2) ask this mount for, on its way through the cluster.
 *
 * A lock is decided by a command. Who has to wait is parked: no thread is held, and no time is set, until apply says on this node that the waiter was
 * granted, or the caller is interrupted, or the session is lost. An interrupt is a command too, so whether it or the grant came first is decided once for all.
 * What was written under a lock is published before the lock is given back, and a handle that gets one reads the file as it is then. */
#ifndef TALLY_FS_LOCKS_H
#define TALLY_FS_LOCKS_H

#include "fs/handle.h"

#include "store/lock.h"

/* What a request asks for. */
struct lock_ask {
	struct lock lock;
	uint64_t request; /* names it while it waits */
	bool waits;
	bool by_handle;     /* of an unlock: all of the handle */
	bool had;           /* the handle had locks before */
	bool closes;        /* of an unlock: by close(2) */
	bool parked;        /* under the lock of lock_waits, as what follows */
	bool interrupted;   /* before it could be parked */
	int error;          /* of the publication before */
	struct request *rq; /* of a cancel: who was interrupted; NULL: nobody waits for the outcome */
	struct request *next;
	struct request *prev;
};

struct lock_waits;
/* Makes fs->lock_waits. From here on the store wakes waiters, from a thread of its own: the rest of the fs is there already. */
void lock_waits_begin(struct fs *fs);
void lock_waits_free(struct fs *fs);
/* The end of the file system: whoever waits for a lock is let go with -EIO. */
void lock_waits_end(struct fs *fs);
/* The session was lost: so are its waiters. */
void lock_waits_lost(struct fs *fs);

/* Each of them replies and ends the request, whose rq->handle the kernel holds open. rq->ask says what: made by locks_ask_new. */
struct lock_ask *locks_ask_new(struct request *rq, enum lock_kind kind, uint64_t owner);
void locks_get(struct request *rq);
void locks_give_back(struct request *rq);

/* close(2) by this owner: has it fcntl locks on the file, by whichever handle? They go with any close. */
bool locks_go_with_close(struct handle *h, uint64_t owner);
/* The last close: what was set through the handle goes, and nobody waits for it. */
void locks_drop_handle(struct handle *h);

/* h->lock is held: had it locks, under a session that is lost? Then nothing that it writes may land. */
bool locks_lost(const struct handle *h);

#endif
