/* mapped.h: mappings (mmap, a program that runs) of handles that bypass the kernel's pages: all linearizable mounts have, and the uncached ones of serial mounts.
 *
 * The kernel fills pages for them all the same, and all mappings of a node share them. So what fills them is, for each handle, the revision that it read when it was first mapped, whatever it has moved on to since; and who opens the file with
 * other content while it is mapped gets another node for it, and with that other pages. Three cases are left: a handle that was open already when another one was mapped; one that is opened while this mount has the file open for writing, as it
 * must be on the node of who writes; and one that comes by a descriptor (/proc/self/fd), which leads to no other node. There the pages are of who was first. Any thread. */
#ifndef TALLY_FS_MAPPED_H
#define TALLY_FS_MAPPED_H

#include "fs/handle.h"

/* Is a READ that no process asked for (handle_asked) for a mapping of this handle? */
bool mapped_is(const struct handle *h);
/* What it is answered from, held (pin_put); NULL: nothing below. h->lock is held. */
struct pin *mapped_content(struct handle *h);
/* The handle is closed. */
void mapped_close(struct handle *h);
/* Is the node mapped with other content than that of `r`, which is to be opened? Then its name leads nowhere now: it is to be looked up again. */
bool mapped_part(struct fs *fs, struct node *n, const struct record *r);

#endif
