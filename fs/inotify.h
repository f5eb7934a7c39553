/* inotify.h: real inotify events for what other nodes change (-o inotify).
 *
 * The kernel raises events only for what goes through it. So a thread of its own repeats each change that was not made by this mount on this mount: it
 * opens, makes, removes, renames, by system calls; and the operations recognise it by its thread id and change nothing, but answer so that the
 * kernel's names come to stand as the store has them. One repetition is a scene: what the names in it were before it, at that revision, whatever the
 * store says by now. Names answered wrongly do no harm, as OPEN and GETATTR check what a name leads to.
 *
 * Only what the kernel may have a watch on is repeated: what lies in a directory that it knows. Whatever the mount made itself is left out. */
#ifndef TALLY_FS_INOTIFY_H
#define TALLY_FS_INOTIFY_H

#include "fs/mount.h"

/* Begins; the repetitions begin once the mount answers. NULL if there can be none, which is logged. */
struct inotify *inotify_start(struct fs *fs);
/* No further scene. Does not wait: one may be on, and ends at the latest when the mount goes. NULL is fine. */
void inotify_stop(struct inotify *i);
/* Waits for the end of the thread. After the session was destroyed: then nothing holds it in the kernel. NULL is fine. */
void inotify_end(struct inotify *i);

/* A command of this mount made this revision. In order, before the store tells its listeners. NULL is fine. */
void inotify_made_here(struct inotify *i, uint64_t revision);
/* Is it the thread that repeats? It is never to wait for the cluster. NULL is fine. */
bool inotify_acts(const struct inotify *i, pid_t thread);
/* The operations of `fs` with the thread recognised in them. */
const struct fuse_lowlevel_ops *inotify_operations(struct inotify *i);

#endif
