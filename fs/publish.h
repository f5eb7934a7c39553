/* publish.h: makes what a handle wrote a revision: one command, one revision, whatever was written. */
#ifndef TALLY_FS_PUBLISH_H
#define TALLY_FS_PUBLISH_H

#include "fs/handle.h"

/* Publishes what rq->handle has pending and goes on with `after`: with 0 if that is done, there was nothing to publish, or the file was unlinked
 * meanwhile. While one publication of a handle is under way the next waits behind it, without a thread. What failed to be published stays with the
 * handle, so that fsync can be tried again; but not an append whose outcome is unknown, which might land twice. The request must hold the handle. */
void publish_start(struct request *rq, request_step *after);

/* The end of the file system: publishes what was closed, and put off because others still have the file open; gives back the names that were reserved
 * for what will never be published. Requests of its own; nothing else is
 * under way, and no request comes in any more. */
void publish_closed(struct fs *fs);

#endif
