/* stale.h: what the kernel knows of names that another node has changed.
 *
 * A name that was looked up once is not looked up again before it is used: a request about what it led to is refused with ESTALE if that has changed, and
 * the kernel asks once more. But there are requests that it does not make, as what it knows tells it enough: of a directory that there was it makes no
 * unlink(2), and below a file that there was nothing can be. So a thread has it look up again each name that leads to something else by now, and where it
 * checks permissions each that has another owner, group or mode. Nobody waits for that. */
#ifndef TALLY_FS_STALE_H
#define TALLY_FS_STALE_H

#include "fs/mount.h"

struct stale;

/* *out is NULL if it cannot, which is logged. */
void stale_start(struct fs *fs, struct stale **out);
/* The kernel is told nothing more. Does not wait. NULL is fine. */
void stale_stop(struct stale *s);
/* Waits for the thread. Once the connection is cut, before the session goes. NULL is fine. */
void stale_end(struct stale *s);

#endif
