/* entry.h: replies that give the kernel a node: they count as a lookup of it. */
#ifndef TALLY_FS_ENTRY_H
#define TALLY_FS_ENTRY_H

#include "fs/handle.h"
#include "fs/path.h"

/* What a name in a directory of the live tree means on this mount. */
struct path_name entry_parse(const struct fs *fs, const struct node *parent, const char *name);
/* May a name be made here? -EROFS below a revision path, -EINVAL for the shape of a revision or control path, -ENAMETOOLONG. */
int entry_admissible(struct fs *fs, struct node *parent, const char *name);
/* Enters what was found under rq->name in rq->node at a revision (0: live), replies, ends the request. */
void entry_reply_record(struct request *rq, const struct record *r, uint64_t rev, size_t segment_len, double name_seconds);
/* The same for what a LOOKUP found in the live tree; if ESTALE was answered before, the kernel does not keep the name (rewalk.h). */
void entry_reply_found(struct request *rq, const struct record *r);
/* The same for a node that has no record, or a prepared one: `n` was entered already. */
void entry_reply(struct request *rq, struct node *n, const struct stat *st, double name_seconds, double attr_seconds);
struct fuse_entry_param entry_param(struct fs *fs, struct node *n, const struct stat *st, double name_seconds, double attr_seconds);
/* What the creator of a file that is not published yet sees; false if it was published or closed meanwhile. */
bool entry_stat_provisional(struct fs *fs, struct node *n, struct stat *st);

#endif
