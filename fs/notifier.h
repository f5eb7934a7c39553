/* notifier.h: tells the kernel of a serial mount what it is to forget (cache.h), on a thread of its own, which nobody waits for.
 *
 * It may wait itself: for pages that are being read, and, where a name is to be forgotten, for a caller who makes something in that directory. */
#ifndef TALLY_FS_NOTIFIER_H
#define TALLY_FS_NOTIFIER_H

#include "fs/mount.h"

struct notifier;

/* fs->notifier is set before it begins, and stays NULL if it cannot, which is logged: then nothing is cached. */
void notifier_start(struct fs *fs);
/* Tells the kernel nothing more. Does not wait. NULL is fine. */
void notifier_stop(struct notifier *t);
/* Waits for the thread; then nobody may call anything here. After the session was destroyed. NULL is fine. */
void notifier_end(struct notifier *t);

/* The kernel is to forget the node's image, soon. No lock of the node table may be held. */
void notifier_queue(struct notifier *t, struct node *n);
/* The kernel is to forget that name, soon. */
void notifier_queue_name(struct notifier *t, struct node *parent, const char *name);

#endif
