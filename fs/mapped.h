/* mapped.h: mappings (mmap, a program that runs) of handles that bypass the kernel's pages: all linearizable mounts have, and the uncached ones of serial mounts.
 *
 * The kernel fills pages for them all the same, and all mappings of a node share them. So what fills them is, for each handle, the revision that it read when it was first mapped, or a later one that begins with all of that; and who opens the
 * file with other content while it is mapped is sent back (ESTALE), to look the name up again: that leads to another node for the file then, and so to other pages. Some cases are left, in which two revisions may get into the same pages: a handle
 * that was open already when another one was mapped, or has grown since; one that is opened while this mount has the file open for writing, as it must be on the node of who writes; and one that comes by a descriptor (/proc/self/fd), which leads to no other node:
 * who is sent back and comes again is let through. Any thread. */
#ifndef TALLY_FS_MAPPED_H
#define TALLY_FS_MAPPED_H

#include "fs/handle.h"

/* Is a READ that no process asked for (handle_asked) for a mapping of this handle? */
bool mapped_is(const struct handle *h);
/* What it is answered from, held (pin_put); NULL: nothing below. h->lock is held. */
struct pin *mapped_content(struct handle *h);
/* The handle is closed. */
void mapped_close(struct handle *h);
/* Was the caller sent back when it last opened this file, or answered ESTALE otherwise and nothing else since? The kernel walks once more, so the next one would be the
 * program's. Asked once by each open for reading, which ends that. */
bool mapped_sent_back(struct request *rq);
/* Is the caller, who was not, and opens the request's node to read `r`, to be sent back? */
bool mapped_part(struct request *rq, const struct record *r);
/* The handle goes on in what begins with all that `from` had; h->lock is held. To be put without it; or NULL. */
struct pin *mapped_extend(struct handle *h, const struct pin *from);

#endif
