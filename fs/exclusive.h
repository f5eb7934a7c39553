/* exclusive.h: open(2) with O_CREAT|O_EXCL: the cluster reserves the name at open, and the file is made when it is closed. */
#ifndef TALLY_FS_EXCLUSIVE_H
#define TALLY_FS_EXCLUSIVE_H

#include "fs/handle.h"

/* Reserves rq->name in rq->node, then `reserved`: with 0, and the reservation in rq->op.sequence, or with -EEXIST or another error. */
void exclusive_reserve(struct request *rq, request_step *reserved);
/* Gives back the reservation that rq->op.sequence was to become, if the outcome of exclusive_reserve is not known. */
void exclusive_failed(struct request *rq, int error);
/* Gives back what the handle still has reserved. Nobody waits for it. */
void exclusive_give_back(struct handle *h);
/* A handle on the node that has its name reserved, held; or NULL. */
struct handle *exclusive_holder(struct fs *fs, struct node *n);
/* The same for rq->handle, then `done`: -ENOENT if it had ended before, and the name may be taken. */
void exclusive_cancel(struct request *rq, request_step *done);

#endif
