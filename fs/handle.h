/* handle.h: open files.
 *
 * A handle reads one revision: the record that it pinned, or a later one that begins with all of that (extend.h). One that may write lays over that what it wrote itself, and publishes all of it as one
 * command when it is closed or synced (publish.h). Two layers of unpublished changes: `frozen` is on its way through the cluster and does not
 * change meanwhile; `dirty` is what was written since. */
#ifndef TALLY_FS_HANDLE_H
#define TALLY_FS_HANDLE_H

#include "fs/dirty.h"
#include "fs/holders.h"
#include "fs/request.h"

/* A record that several readers share. */
struct pin {
	atomic_uint refs;
	struct record record;
};

/* Takes over the record. One reference, the caller's. */
struct pin *pin_new(struct record *record);
/* NULL is fine for these two. */
struct pin *pin_hold(struct pin *p);
void pin_put(struct pin *p);

/* Attributes set on a file by a process that has not published it yet: they go along. */
struct handle_attr {
	uint32_t mask; /* enum command_set */
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	int64_t atime_ns;
	int64_t mtime_ns;
};

struct handle {
	struct fs *fs;
	struct node *node;   /* held */
	struct handle *next; /* in the node's list, under fs->handles_lock */
	struct handle **at;
	atomic_uint refs;
	bool writable;
	bool counted; /* by cache_open... */
	bool cached;
	bool changes; /* ... or by cache_open_writer */
	atomic_bool read;
	bool creates;                 /* made with its file, which may not be published yet */
	bool runs;                    /* opened by execve(2), open for as long as the program runs */
	pid_t opener;                 /* the thread */
	_Atomic uint64_t reservation; /* made with O_EXCL, and not published yet: holds its name; else 0 */
	uint32_t create_mode;
	uint32_t create_uid;
	uint32_t create_gid;
	struct writer text;    /* of a control file */
	struct stream *stream; /* of @watch; else NULL */

	pthread_mutex_t lock; /* over what follows */
	struct pin *pin;      /* NULL: nothing below */
	struct pin *mapped;   /* mapped.h: what its mappings are of; NULL: it has none */
	uint64_t base_size;   /* of the file below the layers */
	bool answered;        /* a read at offset 0 */
	bool cut;             /* its opener was shown by stat(2) that the file is shorter than what is pinned */
	bool ended;           /* a read at or past the end: its reader knows where that is, and asks for more (extend.h) */
	bool failed;          /* the last publication, and that was reported */
	int lost;             /* an append of unknown outcome was dropped, for this error: reported by every close and fsync from then on */
	bool publishing;
	bool put_off;       /* a close returned without a publication, since others have the file open: it must not be lost */
	int64_t touched_ns; /* the last unpublished change */
	uint32_t writer;    /* a user other than root who changed the content since the last publication; else 0 */
	uint32_t frozen_writer;
	struct dirty frozen;
	struct dirty dirty;
	struct handle_attr frozen_attr;
	struct handle_attr attr;
	uint64_t lock_number;    /* what it is called among this mount's locks; 0: it never asked for one */
	uint64_t lock_session;   /* under which it holds locks, or may; what it writes lands while that lasts. 0: none */
	uint64_t frozen_session; /* of what is on its way */
	uint32_t lock_asks;      /* requests for locks under way */
	struct request *waiting; /* for the publication under way */
};

/* Takes over `record` (NULL: there is none yet). One reference, the kernel's. */
struct handle *handle_new(struct request *rq, struct node *n, struct record *record, int flags);
/* Lists it with its node; from here on other threads may meet it. */
void handle_list(struct handle *h);
void handle_hold(struct handle *h);
void handle_put(struct handle *h);
/* Out of the node's list, and the kernel's reference given back; and its reservation, if no file came of it. */
void handle_close(struct handle *h);

/* The end of the file system: those whose RELEASE the kernel did not send any more. No other thread is left. */
void handles_drop(struct fs *fs);

static inline struct handle *handle_of(const struct fuse_file_info *file)
{
	return (struct handle *)(uintptr_t)file->fh;
}

/* A handle on the node that may write and was opened by the calling process, held; or NULL. */
struct handle *handle_of_caller(struct fs *fs, struct node *n, pid_t thread);
/* Any handle that made the node's file, held; or NULL. */
struct handle *handle_of_creator(struct fs *fs, struct node *n);
/* Of what is open on the node, one that has something to publish, else any, held; or NULL. */
struct handle *handle_with_changes(struct fs *fs, struct node *n);
/* Has anybody the node open? */
bool handle_any(struct fs *fs, struct node *n);
/* Does the caller have this node open, by itself or inherited? It looks into /proc if it must. */
bool handle_caller_holds(struct fs *fs, struct node *n, pid_t thread);
/* Is it a program that runs? */
bool handle_runs(struct fs *fs, const struct node *n);
/* The node's file as /proc shows it. */
struct holders_file handle_file(struct fs *fs, const struct node *n);

/* h->lock is held for these. */
bool handle_pending(const struct handle *h);
uint64_t handle_size(const struct handle *h);
void handle_pin(struct handle *h, struct record *record);
/* Changes `st`, that of the published file or zeroed with an inode number, to what the writer sees. */
void handle_stat(const struct handle *h, struct stat *st);
void handle_set_attr(struct handle *h, const struct stat *attr, int to_set);
/* The content was changed by this user. Anybody but root takes set-user-ID and set-group-ID from the file. */
void handle_written_by(struct handle *h, uint32_t uid);
/* Changes since the last publication began, out of the way of its own. */
int handle_write(struct handle *h, const void *data, size_t size, off_t offset, bool append);
int handle_truncate(struct handle *h, uint64_t size);
/* Did a process ask for this READ, by read(2)? The kernel names no owner of those that fill the pages of a mapping: they are no look at the file, and move nothing. */
bool handle_asked(const struct request *rq);
/* No lock: up to `size` bytes at `offset` as the handle sees them, into a reply. */
void handle_read(struct handle *h, struct request *rq, size_t size, off_t offset);

/* The pending attributes of `attr` over those of `st`. */
void handle_attr_stat(const struct handle_attr *attr, struct stat *st);
/* What a SETATTR asks for, as a command has it (all but the size). */
struct handle_attr handle_attr_from(const struct stat *attr, int to_set);
void handle_attr_merge(struct handle_attr *into, const struct handle_attr *later);

#endif
