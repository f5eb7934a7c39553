/* watch_file.h: DIR/@watch and NAME@watch: what their names lead to. What is read from them: stream.h. */
#ifndef TALLY_FS_WATCH_FILE_H
#define TALLY_FS_WATCH_FILE_H

#include "fs/handle.h"

/* Is this node, a NODE_CONTROL, such a file? */
bool watch_file_is(const struct fs *fs, const struct node *n);
/* Each replies and ends the request. */
void watch_file_lookup(struct request *rq, int error);
void watch_file_getattr(struct request *rq);
/* What has been done before this is called is not told, and all after it is; below @120/, all after revision 120. */
void watch_file_open(struct request *rq);

#endif
