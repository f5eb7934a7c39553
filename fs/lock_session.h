/* lock_session.h: the session under which this mount holds locks: a lease in the cluster, kept alive while there is need.
 *
 * It is granted for the first lock, renewed every third of its time, and given back once no handle has locks any more, and at the end. Its time is counted
 * from before its last answered renewal was sent, so it is over here before it is anywhere else. Then, or when the cluster says that it has ended, it is
 * lost: whoever had locks under it has none, and the next lock begins another one. Clocks are not trusted all the same: what is written under a
 * session that has ended is refused by the cluster (WRITE_FENCED). */
#ifndef TALLY_FS_LOCK_SESSION_H
#define TALLY_FS_LOCK_SESSION_H

#include "fs/request.h"

#include <time.h>

struct lock_session;

struct lock_session *lock_session_new(struct fs *fs);
/* After store_stop. */
void lock_session_free(struct lock_session *s);

/* Goes on with `next` once there is a session, which is then rq->ask->lock.session, or with an error. */
void lock_session_join(struct request *rq, request_step *next);
/* Is this one alive? */
bool lock_session_is(struct lock_session *s, uint64_t id);
/* The one that is alive, or 0. */
uint64_t lock_session_now(struct lock_session *s);
/* How many handles need it. */
void lock_session_use(struct lock_session *s, int change);
/* The cluster said that it has ended. */
void lock_session_lost(struct lock_session *s, uint64_t id);
/* Nobody joins any more; the session is given back, if the cluster answers until then and before it has run out. */
void lock_session_end(struct lock_session *s, const struct timespec *until);

#endif
