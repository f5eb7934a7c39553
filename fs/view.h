/* view.h: what a node shows: its key, its record in this node's store, its attributes. Reads only; nothing here waits for the cluster. */
#ifndef TALLY_FS_VIEW_H
#define TALLY_FS_VIEW_H

#include "fs/mount.h"

#include <sys/stat.h>

#define VIEW_KEY_SIZE (MVCC_KEY_MAX + 1)

/* How long the kernel may believe: a name of the live tree (checked at each open and stat, so a wrong one does no harm), and all of a past revision. */
#define VIEW_NAME_SECONDS 86400.0
#define VIEW_FOREVER_SECONDS 1.0e9

/* The key of `name` in the node (NULL: of the node itself), NUL-terminated; returns its length. -ENAMETOOLONG; -ESTALE if the file or directory
 * that it is below is gone. */
int view_key(struct fs *fs, struct node *n, const char *name, char key[VIEW_KEY_SIZE]);
/* The same for a name in a directory of the live tree; -ESTALE also if another directory stands in its place now. */
int view_child_key(struct fs *fs, struct node *dir, const char *name, char key[VIEW_KEY_SIZE]);
/* The record that the node stands for. -ESTALE: the name now leads to something else or nothing, so the kernel should walk the path again.
 * Ended by record_done. */
int view_record(struct fs *fs, struct node *n, struct record *out);
/* 0 if it still stands for it, else the error. */
int view_stands(struct fs *fs, struct node *n);
/* The file's record wherever it is now: by name if that still leads to it, else by its inode number. -ESTALE if it is gone. */
int view_record_by_ino(struct fs *fs, struct node *n, struct record *out);
/* The inode number to show for a key with this number as seen at a revision (0: live). Versions of one file are different files to cp and diff. */
uint64_t view_ino(uint64_t ino, uint64_t rev);
/* A time as records have it, in nanoseconds since 1970, and back: the years from 1678 to 2262, and what is beyond becomes the first or the last moment. */
struct timespec view_time(int64_t ns);
int64_t view_time_ns(struct timespec t);
void view_stat(const struct record *r, uint64_t rev, struct stat *st);
/* Of a node that has no record: NAME@, a control file, a file not published yet. */
void view_stat_bare(const struct node *n, mode_t mode, struct stat *st);
/* What nodes_enter needs for a record at a revision (0: live). */
struct node_target view_target(const struct record *r, uint64_t rev, size_t segment_len);

#endif
