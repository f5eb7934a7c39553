/* mvcc.h: every key at every retained revision, on this node.
 *
 * Three parts, as in etcd: the tree index (an in-memory B-tree: key -> the revisions that touched it), the buffer (what has been applied
 * but not yet committed to disk; reads look there first), and LMDB (revision -> record). A backend thread commits the buffer to LMDB
 * every MVCC_COMMIT_MS or MVCC_COMMIT_COMMANDS, with the applied index in the same transaction, so apply never waits for the disk.
 *
 * A key is a path without a leading slash; "" is the root directory, which exists from revision 1. Paths have no NUL and no empty, "."
 * or ".." segment (callers see to that). Files of at most MVCC_INLINE_MAX bytes live in their record; longer ones in blocks of
 * MVCC_BLOCK_BYTES keyed by (ino, block, revision): a new version stores only the blocks that it changed, and a rename none.
 *
 * Threads: one writer (apply) between mvcc_begin and mvcc_end; any number of readers at any time. Readers see whole commands only.
 * Errors are negative errnos: -ENOENT no such key then, or a revision still to come; -ENODATA the revision was compacted;
 * -EIO the disk failed or the data is corrupt. Outputs are untouched on failure.
 *
 * Compaction: a command raises the floor, the oldest revision that can be read (the same on every node, at that command). What no revision from
 * there on shows is deleted later, in small steps, by the backend thread of each node for itself. A record that was read keeps the blocks of
 * its content until record_done, whatever happens meanwhile. */
#ifndef TALLY_STORE_MVCC_H
#define TALLY_STORE_MVCC_H

#include "base/codec.h"
#include "base/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MVCC_INLINE_MAX 4096u
/* Eight LMDB pages less their header: a block fills its overflow pages exactly. */
#define MVCC_BLOCK_BYTES (8u * 4096u - 16u)
#define MVCC_COMMIT_MS 100
#define MVCC_COMMIT_COMMANDS 10000
#define MVCC_COMMIT_BYTES (16u << 20)
#define MVCC_KEY_MAX 4095u
#define MVCC_XATTRS_MAX 65536u
#define MVCC_ROOT_INO 1u
#define MVCC_FORMAT 2u /* of the LMDB file; another one is refused */
/* Hashes of entries with these numbers are remembered for longer. */
#define MVCC_HASH_STEP 256u
#define MVCC_HASH_STRIDE 16384u

/* Revisions of one command share `main`; `sub` counts its changes. */
struct rev {
	uint64_t main;
	uint32_t sub;
};

enum record_flag {
	RECORD_TOMBSTONE = 1, /* the key was deleted at this revision */
	RECORD_TOUCH = 2,     /* only a directory's times or link count, because a child came or went: not a version of its own */
	RECORD_ATTRIBUTES = 4 /* its content and its name are those of the version before */
};

/* A key as one revision left it. */
struct record {
	struct rev modified; /* the revision of the key's last own change; a touch keeps it */
	struct rev created;  /* the revision that created the key */
	uint32_t version;    /* changes since creation, the creation being 1; a touch does not count */
	uint8_t flags;
	uint64_t ino;  /* the same on all nodes, never reused, kept by a rename */
	uint32_t mode; /* with S_IFMT */
	uint32_t uid;
	uint32_t gid;
	uint32_t nlink;
	uint64_t rdev;
	uint64_t size;
	int64_t atime_ns;
	int64_t mtime_ns;
	int64_t ctime_ns;
	struct span key;
	struct span xattrs; /* opaque here; encoded by command.h */
	struct span data;   /* a file's content if size <= MVCC_INLINE_MAX, a link's target; else empty */
	struct rev stored;  /* where this record itself is stored: its own revision, a touch included */
	void *memory;       /* owns the spans; ended by record_done */
	struct hold *hold;  /* keeps its blocks; ended by record_done */
};

/* Ends a record got from a call here. A zeroed record is fine. */
void record_done(struct record *r);

struct mvcc;

struct mvcc_config {
	const char *dir;     /* made if missing; borrowed for the call */
	uint64_t cluster_id; /* a store of another cluster is refused; 0: not known yet (mvcc_adopt) */
	uint64_t map_bytes;  /* LMDB's map: the most that the store can ever hold; 0: 1 TiB. Address space, not memory */
	bool no_sync;        /* tests only */
};

/* Opens or creates, rebuilds the tree index by one scan, starts the backend thread. On failure a negative errno (-EBADMSG: another
 * format, another cluster, or damage) and one line in `why`. */
int mvcc_open(const struct mvcc_config *config, struct mvcc **out, char *why, size_t why_size);
/* A store that was opened before its cluster was known, and has applied nothing, belongs to this one. */
void mvcc_adopt(struct mvcc *m, uint64_t cluster_id);
/* Commits what is buffered and closes. */
void mvcc_close(struct mvcc *m);
/* Commits now and waits until it is durable. */
int mvcc_flush(struct mvcc *m);

/* --- the writer's side: the apply thread alone --- */

/* Begins the command of log entry (index, term). Readers are held off until mvcc_end, so be quick. Changes will have revision
 * mvcc_revision() + 1. Between the two calls the reads below may be used on the writer's thread, and see its changes.
 * Waits (bounded by the disk) when the buffer is full. */
void mvcc_begin(struct mvcc *m, uint64_t index, uint64_t term);
/* The main revision that changes of this command get. */
uint64_t mvcc_next_revision(const struct mvcc *m);
/* A fresh inode number, the next in order. */
uint64_t mvcc_next_ino(struct mvcc *m);
/* Stores a record under its key at the next sub-revision, which is written to r->stored; copies everything. The caller fills modified,
 * created, version and all the rest; where their main is this command's, their sub is filled in. A key is put at most once a command. */
void mvcc_put(struct mvcc *m, struct record *r);
/* Deletes the key (a tombstone). */
void mvcc_tombstone(struct mvcc *m, struct span key);
/* Stores a block of a file as of this command. size 0: a hole. */
void mvcc_put_block(struct mvcc *m, uint64_t ino, uint32_t block, struct span data);
/* A small named value, committed together with the applied index: sessions and the like. An empty value deletes it. */
void mvcc_put_meta(struct mvcc *m, struct span name, struct span value);
/* Raises the floor to `revision`, which is above it and not above mvcc_revision. */
void mvcc_compact(struct mvcc *m, uint64_t revision);
/* Chunks of a large write on their way (command.h): kept until dropped. */
struct stage_id {
	uint64_t origin;
	uint64_t epoch;
	uint64_t number;
};
void mvcc_stage_put(struct mvcc *m, const struct stage_id *id, uint32_t chunk, struct span data);
/* Calls fn(ctx, data) for the chunks in order; -ENOENT if there is none, or at the first one that is missing. Between the two calls or outside
 * them, on the writer's thread: stages are its own. */
int mvcc_stage_read(struct mvcc *m, const struct stage_id *id, int (*fn)(void *ctx, struct span data), void *ctx);
/* Drops every stage of `origin` with an epoch below, or of this epoch with a number below. Cheap when there is none. */
void mvcc_stage_drop(struct mvcc *m, const struct stage_id *below);
/* Ends the command. time_ns is when it happened, for revisions made (times never run backwards: see mvcc_last_time). Returns the store's
 * revision: one more than before if anything was put or deleted. */
uint64_t mvcc_end(struct mvcc *m, int64_t time_ns);

/* The store becomes `with` (of the same cluster, further on, opened, and used by nobody), which is used up; its folder has its place by now. Readers
 * see the one or the other, and revisions jump. On the writer's thread, outside of a command. */
void mvcc_replace(struct mvcc *m, struct mvcc *with);

/* --- reads: any thread --- */

uint64_t mvcc_revision(const struct mvcc *m);         /* of the last command that changed anything */
uint64_t mvcc_compact_revision(const struct mvcc *m); /* oldest revision that can be read; 0: all of them */
uint64_t mvcc_applied(const struct mvcc *m);          /* log index of the last mvcc_end */
uint64_t mvcc_durable(const struct mvcc *m);          /* applied index that would survive a power cut now */
int64_t mvcc_last_time(const struct mvcc *m);         /* time of the last revision; the next must be later */
/* A revision made at `time_ns` or before, the newest such one or a little older; 0 if none is known. */
uint64_t mvcc_revision_by(struct mvcc *m, int64_t time_ns);

/* The newest revision that was made at `time_ns` or before: exactly, by a few looks into LMDB. -ENODATA: it was compacted; -ENOENT: there is none
 * (revision 1, the empty tree, has no time). If that is the newest of all, later ones may yet get a time that is not later than `time_ns`. */
int mvcc_revision_at(struct mvcc *m, int64_t time_ns, uint64_t *out);

/* One number for all that was ever put (hash.h): the same on nodes that applied the same entries. */
struct mvcc_hash {
	uint64_t index; /* as of this log entry */
	uint64_t revision;
	uint64_t hash;
};
void mvcc_hash_now(struct mvcc *m, struct mvcc_hash *out);
/* As of a recent log entry; -ENOENT if it is not remembered. */
int mvcc_hash_at(struct mvcc *m, uint64_t index, uint64_t *out);

/* rev_main 0 is the present. */
int mvcc_get(struct mvcc *m, struct span key, uint64_t rev_main, struct record *out);
/* The bytes of that version of a file, wherever they are stored; returns how many (0 at the end). -ESTALE: mvcc_replace has put a store in place
 * in which that version was compacted away. */
ssize_t mvcc_read(struct mvcc *m, const struct record *r, uint64_t offset, void *buffer, size_t size);
/* Is `newer` the same file with nothing done to it since `older` but additions at its end (attributes and names aside)? 1: yes; 0: no, or not seen to be:
 * who writes a large file anew is not asked whether with the same bytes. Or an error, as of mvcc_read. */
int mvcc_extends(struct mvcc *m, const struct record *older, const struct record *newer);
/* The live key that has this inode number now, into `key` (MVCC_KEY_MAX bytes); returns its length. */
int mvcc_key_of(struct mvcc *m, uint64_t ino, char *key);
/* A small named value from mvcc_put_meta, malloc'ed into *out (size in *size). */
int mvcc_get_meta(struct mvcc *m, struct span name, void **out, size_t *size);
/* All of them, in no order. */
int mvcc_each_meta(struct mvcc *m, int (*fn)(void *ctx, struct span name, struct span value), void *ctx);

/* A name in a directory. */
struct mvcc_name {
	uint64_t ino;
	uint32_t mode;    /* S_IFMT bits at least */
	const char *name; /* NUL-terminated, in the list's memory */
};
struct mvcc_list {
	struct mvcc_name *names;
	size_t count;
	void *memory;
};
/* The children of a directory at a revision, in byte order; costs their number, not that of their descendants.
 * -ENOTDIR if it is something else. */
int mvcc_list(struct mvcc *m, struct span dir, uint64_t rev_main, struct mvcc_list *out);
void mvcc_list_done(struct mvcc_list *l);

/* Live keys k with start <= k, and k < end unless end is empty, at a revision, in byte order, at most `limit` (0: no limit). The root
 * is not among them. fn returns nonzero to stop; the record lives for the call. No lock is held during fn. Returns 0 or an error. */
int mvcc_range(struct mvcc *m, struct span start, struct span end, uint64_t rev_main, uint64_t limit,
	       int (*fn)(void *ctx, const struct record *r), void *ctx);
/* How many there are, without reading them. */
int mvcc_count(struct mvcc *m, struct span start, struct span end, uint64_t rev_main, uint64_t *out);

/* The retained revisions of a key, oldest first, touches left out, tombstones flagged: those from the floor on, and before them what stood
 * there then, as of the floor; so each can be read at the revision given. malloc'ed; -ENOENT if there is none. */
struct mvcc_version {
	struct rev rev;
	bool tombstone;
};
int mvcc_history(struct mvcc *m, struct span key, struct mvcc_version **out, size_t *count);
/* What a revision did to a key. */
enum mvcc_event_type {
	MVCC_EVENT_PUT = 1, /* made or changed, in any way; an exchange is two of them */
	MVCC_EVENT_DELETE = 2,
	MVCC_EVENT_RENAME = 3 /* from key to `to`; of a directory: each key below it, too */
};
struct mvcc_event {
	uint8_t type;    /* enum mvcc_event_type */
	bool created;    /* of a put: there was no such key before */
	bool attributes; /* of a put: neither content nor name changed */
	uint32_t mode;   /* of a put or a rename, with S_IFMT; 0 of a delete */
	uint64_t ino;    /* of what was put, deleted or renamed */
	struct rev rev;
	struct span key;
	struct span to;
};
/* The changes from *from on, in order, touches and the root left out: calls fn for each, its spans alive for the call, without a lock. *from is then where to
 * go on. A batch is the changes of whole revisions, of at most `records_max` records; only a revision with more than that comes in several, and from->sub
 * is not 0 in between. *from as it was: there is nothing yet. -ENODATA: compaction has removed what comes at *from (whenever from->main is not above the
 * compact revision), and no batch was begun. Cheap for what is still in the buffer; else one scan of LMDB. */
int mvcc_events(struct mvcc *m, struct rev *from, uint32_t records_max, void (*fn)(void *ctx, const struct mvcc_event *e), void *ctx);

/* Does any key live below this directory? */
bool mvcc_has_children(struct mvcc *m, struct span dir);

#define MVCC_KEY_COST 256u
struct mvcc_stats {
	uint64_t keys;       /* live, the root not counted */
	uint64_t db_bytes;   /* of the LMDB file */
	uint64_t used_bytes; /* of it, without the pages that were freed and will be used again; as of the last commit */
	uint64_t live_bytes; /* sizes of live files, and MVCC_KEY_COST for each key */
	uint64_t commits;    /* LMDB commits so far */
	uint64_t compacted;  /* the floor up to which all is deleted that can be */
	int error;           /* 0, or why the store stopped (-EIO, -ENOSPC) */
};
void mvcc_stats(struct mvcc *m, struct mvcc_stats *out);
/* How long the commits to LMDB took. */
void mvcc_commit_durations(struct mvcc *m, struct histogram_figures *out);

#endif
