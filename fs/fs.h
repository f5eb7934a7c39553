/* fs.h: the file system: shows a store at a mount point.
 *
 * The order of use: block SIGTERM, SIGINT and SIGHUP (so that the store's threads inherit that), store_open, fs_mount, fs_serve,
 * fs_unmount, store_stop, fs_free, store_close. One file system a process (libfuse's log has no owner). Errors are negative errnos. */
#ifndef TALLY_FS_FS_H
#define TALLY_FS_FS_H

#include "store/store.h"

#include <limits.h>

struct fs_config {
	const char *mountpoint;    /* absolute, from mountpoint_check; strings are borrowed until fs_free */
	const char *fsname;        /* what df and mount show as the device */
	const char *mount_options; /* more words for mount(8), separated by commas; may be empty */
	bool linearizable;
	bool read_only;
	bool allow_other;
	bool default_permissions; /* the kernel checks permissions, even for root */
	bool inotify;             /* changes made elsewhere raise events here */
	char rev_mark;            /* begins revision and control paths (path_mark_valid) */
	bool debug;               /* libfuse prints each request */
	uint32_t max_threads;
	uint32_t lock_ttl_s;      /* how long locks outlive this mount if it dies */
	uint32_t max_read;        /* bytes of one read; 0: not limited */
	void (*ready)(void *ctx); /* called once, when the mount can be used, on a thread of the file system or the store; must not wait */
	void *ready_ctx;
};

struct fs;

/* Mounts. Requests wait until fs_serve. On failure nothing stays mounted, and `why` says in one line what is wrong. */
int fs_mount(struct store *s, const struct fs_config *config, struct fs **out, char *why, size_t why_size);
/* Before fs_serve: @metrics shows what clients asked of this endpoint, which outlives fs_unmount. */
struct endpoint;
void fs_show_clients(struct fs *fs, const struct endpoint *clients);
/* Serves until the file system is unmounted or SIGTERM, SIGINT or SIGHUP comes. The caller's thread must have them blocked. */
int fs_serve(struct fs *fs);
/* Waits, at most the store's timeout= and a second, until what was under way is answered and what was closed is published; then unmounts. What was
 * written to files that are still open, and never closed, is not published: it may be half of what was to be written. */
void fs_unmount(struct fs *fs);
/* After store_stop, which ends what was still under way, and before store_close. */
void fs_free(struct fs *fs);

/* Is this a directory that can be mounted on? Clears a dead FUSE mount there first. Its absolute path goes into `real` (PATH_MAX bytes).
 * -ENOENT, -ENOTDIR, -EBUSY (a mount point already), ... and one line in `why`. Call before fs_mount, and before a fork that changes the
 * working directory. */
int mountpoint_check(const char *path, char *real, char *why, size_t why_size);
/* mount -o remount: makes the tallyfs that is mounted there read-only or writable, and sets the flags that mount(8) has words for; the daemon behind it
 * is not asked. `words` are separated by commas; those that are no flags are passed over. */
int mountpoint_remount(const char *path, bool read_only, const char *words, char *why, size_t why_size);

#endif
