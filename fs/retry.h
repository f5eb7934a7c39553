/* retry.h: calls that were sent to look their name up again.
 *
 * What leads elsewhere by the time of an OPEN, a GETATTR or a READLINK is answered with ESTALE, and Linux walks the path again, with a LOOKUP of each name and
 * the same request behind them; but once only. A file that somebody replaces all the time is replaced between those two as well, and then the caller would be
 * given the ESTALE. So what the LOOKUP found is kept for the thread that asked, and its second request gets that version: it is as new as one round within the
 * same call can tell.
 *
 * A thread makes one call at a time, so there is a place for each, shared with few others; who loses it gets the ESTALE. Linearizable mounts only: on a serial
 * one the two are not a round apart. Any thread. */
#ifndef TALLY_FS_RETRY_H
#define TALLY_FS_RETRY_H

#include "fs/request.h"

#include <stdint.h>

#define RETRIES 256u

struct retries {
	pthread_mutex_t lock;
	struct retry places[RETRIES];
};

struct retries *retries_new(void);
void retries_free(struct retries *t);

/* A request of this kind begins. If it is the second one of its call, rq->retry is what was found for it. Whatever else was kept for the thread is not any more. */
void retry_begin(struct request *rq, enum retry_call call);
/* A LOOKUP of the caller's found this. */
void retry_found(struct request *rq, struct span key, const struct record *r);
/* After an -ESTALE: what was found for it, into *out. Or -ESTALE, to be answered with retry_send. */
int retry_record(struct request *rq, struct record *out);
/* request_error; after an -ESTALE the call is expected to come again. */
void retry_send(struct request *rq, enum retry_call call, int error);

#endif
