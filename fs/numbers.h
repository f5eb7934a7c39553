/* numbers.h: inode numbers for files that are made here. A file has its number from open(2) on, though the cluster hears of it only when it is published:
 * programs compare what fstat(2) said at first with what stat(2) says later. The cluster gives a mount some hundred at a time; whoever finds none left
 * asks for more. */
#ifndef TALLY_FS_NUMBERS_H
#define TALLY_FS_NUMBERS_H

#include "fs/request.h"

/* On to `next` with a number in rq->number, which nobody else gets. */
void numbers_take(struct request *rq, request_step *next);

#endif
