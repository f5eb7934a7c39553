/* revision.h: names that lead into the past: NAME@120, NAME@-2, NAME@ and what is below them. */
#ifndef TALLY_FS_REVISION_H
#define TALLY_FS_REVISION_H

#include "fs/path.h"
#include "fs/request.h"

/* Each looks up rq->name in rq->node in this node's store, replies and ends the request. rq->node is live in the first. */
void revision_lookup(struct request *rq, int error);
void revision_lookup_below(struct request *rq);
void revision_lookup_version(struct request *rq);
/* Is what a name leads to certain on this node, so that no barrier is needed? A number or a time that its store has reached: what stands there is complete. */
bool revision_reached(struct fs *fs, const struct path_name *p);
/* The retained versions of the key that a NAME@ directory lists, oldest first, without deletions; malloc'ed. */
int revision_list(struct fs *fs, struct node *n, struct mvcc_version **out, size_t *count);

#endif
