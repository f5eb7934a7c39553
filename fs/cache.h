/* cache.h: what the kernel may remember of a file, on a serial mount: attributes and pages, for as long as nobody says otherwise.
 *
 * A node has at most one *image*: the version of its file that the kernel's attributes and pages stem from. As long as there is one, the node shows it, and
 * nothing newer, to everybody: attributes, opens, reads. The notifier (notifier.h) takes it away when the file has changed, after it made the kernel forget
 * it; what this mount changes itself takes it away at once, since the kernel forgets by itself what goes through it. So the kernel's attributes are never
 * older or newer than what an open reads.
 *
 * A handle is *cached* if it reads through the kernel's pages. While there are such handles the image stays what it is, for they read one version: a
 * node whose file changes meanwhile is *frozen*: its name leads to another node from then on, and it dies with its handles. There is no cached handle beside any
 * other one, nor before the pages that others may have left behind are dropped (the node is unclean): so all pages are of the image.
 *
 * On a linearizable mount no node has an image, and these functions say so. Any thread. Everything here is under the lock of the node table, a leaf. */
#ifndef TALLY_FS_CACHE_H
#define TALLY_FS_CACHE_H

#include "fs/handle.h"

#define CACHE_SECONDS 86400.0

/* The record that the node shows now: as view_record, or, while the kernel has an older version, that one. */
int cache_record(struct fs *fs, struct node *n, struct record *out);
/* Over the attributes `st` of the node's newest record: those that it shows. */
void cache_show(struct fs *fs, struct node *n, struct stat *st);
/* With the table's lock held: the record is the image. */
void cache_set_image(struct node_cache *c, const struct record *r);
bool cache_has_image(struct fs *fs, struct node *n);
/* The node's attributes and for how long the kernel may keep them; as view_record. */
int cache_stat(struct fs *fs, struct node *n, struct stat *st, double *seconds);
/* The kernel is about to be told these attributes, to keep. */
void cache_tells(struct fs *fs, struct node *n, const struct stat *st);

/* --- opens; each that succeeded is ended by cache_close --- */

/* For reading, of what cache_record gives into *out. -ESTALE: cached handles read another version. */
int cache_open(struct fs *fs, struct node *n, struct record *out, bool *cached);
/* For reading `r`, which the node does not show any more. -ESTALE: it has cached handles on another version. */
int cache_open_past(struct fs *fs, struct node *n, const struct record *r);
/* For changing, through a handle or without one, what is `newest` (NULL: not published yet). -ESTALE: it was shown otherwise, or has cached handles, and
 * its name leads nowhere now: it is to be looked up again. */
int cache_open_writer(struct fs *fs, struct node *n, const struct record *newest);
/* Who is about to change what a name leads to is sent to look it up again. The kernel does that once and then gives up, so nothing is to be in the way then. */
void cache_await(struct fs *fs, struct node *n);
/* `read`: the handle may have left pages of what it read. */
void cache_close(struct fs *fs, struct node *n, bool cached, bool writer, bool read);

/* --- what this mount changed, before it is answered --- */

/* The content, by who has a cache_open_writer; or the attributes, to `st`, which is changed to what the node shows. */
void cache_changed(struct fs *fs, struct node *n, const struct record *now);
void cache_attributes_changed(struct fs *fs, struct node *n, const struct record *now, bool renamed, struct stat *st);

/* --- for the notifier --- */

/* Nodes that the kernel may remember something of with this inode number (0: with any), held; malloc'ed, and their number. */
struct node **cache_nodes(struct fs *fs, uint64_t ino, size_t *count);
/* The kernel is to forget the node's image; false: there is nothing to forget, or the handles on it keep it. Then cache_forgotten. */
bool cache_forget(struct fs *fs, struct node *n, uint64_t *generation);
void cache_forgotten(struct fs *fs, struct node *n, uint64_t generation);
/* Is the node's newest record the image? */
bool cache_shows(struct fs *fs, struct node *n, const struct record *newest);
/* Before the kernel is told to forget attributes of a node with cached handles, it must have taken the image's size, or be sure not to need it: a thread that was
 * just answered, but has not gone on, would not believe the answer any more, and read the image's pages with the size that there was before. False: not yet. */
bool cache_settled(struct fs *fs, struct node *n);
/* Was it told any? */
bool cache_told(struct fs *fs, struct node *n);
/* A change of nothing but attributes has made the node's newest record. If the one before it is the image, that one is from now on, and the kernel is to forget the
 * attributes. */
bool cache_take_attributes(struct fs *fs, struct node *n, const struct record *newest);
/* Has it cached handles? Then it is frozen now, and the kernel is to forget the name (malloc'ed) in *parent (held); NULL: it leads elsewhere already.
 * *gone: the file is; still true afterwards if the kernel is to forget the attributes as well, with the last link. */
bool cache_freeze(struct fs *fs, struct node *n, bool *gone, struct node **parent, char **name);

#endif
