/* extend.h: open files that grow.
 *
 * A handle reads one revision. If all that has happened to the file since is that bytes were added at its end, a newer revision has the same bytes where
 * the older one has any, and a reader of the older one may go on in it: what it has read is the start of the newer one. So tail -f works, and nothing
 * is torn. A file that was cut or written over in place is no such: its handles stay where they are.
 *
 * Handles that read the store move on by themselves: one that has said that it is at its end, and is asked again, looks whether there is more (before it
 * was asked again there may have been, and it says nothing of it: one open reads one revision). Those that read through the kernel's pages move on
 * together, with the image of their node, when the notifier hears of the change. Any thread. */
#ifndef TALLY_FS_EXTEND_H
#define TALLY_FS_EXTEND_H

#include "fs/handle.h"

/* Should a read at `offset` look for more first? */
bool extend_wanted(struct handle *h, off_t offset);
/* The handle reads this record from now on, if that extends what it reads. Takes it over. */
void extend_handle(struct handle *h, struct record *newest);

/* The caller is shown this size of the node: if what its process reads of it is longer, reading from offset 0 starts afresh. So tail(1) goes on with a file that
 * was cut, which it never read from the start. */
void extend_show_size(struct fs *fs, struct node *n, pid_t thread, uint64_t size);

/* --- cached handles (cache.h) --- */

/* What a READ of the handle is answered from, held (pin_put); NULL: nothing below. `reads`: here is one. h->lock is held. */
struct pin *extend_content(struct handle *h, bool reads);
/* With the table's lock held: what READs were answered from is over, as the last cached handle is gone. To be put without the lock; or NULL. */
struct pin *extend_over(struct node *n);

/* A step of the notifier's. */
struct extension {
	uint64_t from; /* where the content is new: all pages from there on are to be dropped by the kernel between the two calls */
	uint64_t generation;
};
/* Does the newest record extend the image of a node with cached handles? Then READs are answered from it, while the image is still shown. */
bool extend_begin(struct fs *fs, struct node *n, struct extension *x);
/* It is the image. */
void extend_end(struct fs *fs, struct node *n, const struct extension *x);

#endif
