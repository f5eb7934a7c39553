/* command.h: what the cluster agrees on. A command is one atomic change of the store: one log entry, at most one revision.
 *
 * Everything that could differ between nodes is stamped into the command before it is proposed: who asks, the time, the identity. The wire
 * format stands as a table in command.c. */
#ifndef TALLY_STORE_COMMAND_H
#define TALLY_STORE_COMMAND_H

#include "store/lock.h"
#include "store/mvcc/mvcc.h"

enum command_type {
	COMMAND_WRITE = 1,        /* a handle's changes to a file, which it may create: see the fields below */
	COMMAND_MKDIR = 2,        /* key, mode */
	COMMAND_RMDIR = 3,        /* key */
	COMMAND_UNLINK = 4,       /* key */
	COMMAND_RENAME = 5,       /* key -> key2, rename_flags */
	COMMAND_SYMLINK = 6,      /* key, target in key2 */
	COMMAND_MKNOD = 7,        /* key, mode (fifo, socket, device, empty regular file), rdev; exclusive */
	COMMAND_SETATTR = 8,      /* set_mask and its fields; size too */
	COMMAND_SETXATTR = 9,     /* key2: name; value; xattr_flags */
	COMMAND_REMOVEXATTR = 10, /* key2: name */
	COMMAND_STAGE = 11,       /* value: the next chunk of a write too large for one entry; stage, stage_chunk */
	COMMAND_PUT = 12,         /* key, value: the whole file; makes missing parents */
	COMMAND_DELETE = 13,      /* key: a file, link or empty directory; or, with prefix, every key that begins with it */
	COMMAND_LOAD = 14,        /* value: pairs of (key, value), each a length-prefixed string: many puts in one revision */
	COMMAND_RESERVE =
		15, /* key: it is absent, and the issuer alone may make it exclusively; or, with reservation, gives that one back */
	COMMAND_COMPACT = 16,     /* revision: history below it goes; -ENODATA if that is so already, -ENOENT if it is still to come */
	COMMAND_TXN = 17,         /* value: a transaction, txn.h */
	COMMAND_LEASE_GRANT = 18, /* lease, ttl_s; -EEXIST, -ENOSPC: there are LEASES_MAX */
	COMMAND_LEASE_REVOKE =
		19, /* lease: it ends, and all keys attached to it are deleted. renewals: -ESTALE if it has another number; 0: whatever */
	COMMAND_LEASE_KEEPALIVE = 20, /* lease: its time begins anew */
	/* Of locks (lock.h): lock, lock_flags, lock_request; -EIO if there is no such session. */
	COMMAND_LOCK = 21,   /* count: 1 if it is granted, 0 if it waits as lock_request; -EAGAIN without LOCK_WAITS; -EDEADLK, -ENOLCK */
	COMMAND_UNLOCK = 22, /* count: how many locks of that handle are left; -ENOLCK */
	COMMAND_LOCK_CANCEL = 23, /* what waits as lock_request does so no longer; count: 1 if the lock is held, 0 if not */
	COMMAND_NUMBERS = 30,     /* numbers: so many inode numbers for the issuer to use; count tells the first */
};

enum command_set {
	SET_MODE = 1,
	SET_UID = 2,
	SET_GID = 4,
	SET_SIZE = 8,
	SET_ATIME = 16,
	SET_MTIME = 32,
	SET_ATIME_NOW = 64, /* the command's own time */
	SET_MTIME_NOW = 128
};

enum command_write_flag {
	WRITE_CREATE = 1,  /* make the file if it is not there */
	WRITE_EXCL = 2,    /* ... and fail with -EEXIST if it is */
	WRITE_APPEND = 4,  /* the (single) range lands at the end as it is at commit; its offset is ignored */
	WRITE_LEASED = 16, /* PUT: the key is attached to the lease; without it, it is detached from the one it has */
	WRITE_NUMBERED =
		32, /* with WRITE_CREATE: the target is found by key; if it is made, it gets the number `ino`, if the issuer was given it (NUMBERS) in
				the same boot and has not used it yet, else a fresh one */
	WRITE_FENCED = 64, /* WRITE: -EIO if there is no such lease: what it held locked may be another's by now */
	WRITE_STAGED = 8   /* the ranges are in the stage, encoded as below, cut into chunks; of a PUT: the value is */
};

enum command_lock_flag {
	LOCK_WAITS = 1,    /* LOCK: until it is granted */
	LOCK_BY_HANDLE = 2 /* UNLOCK: whatever was set on the file through the handle, by any owner, of either kind */
};

/* Identifies an operation for exactly-once application (dissertation, 6.3): applied the first time it is met, skipped after that. */
struct command_id {
	uint64_t origin;   /* the node that took the operation from a client */
	uint64_t epoch;    /* that node's boot */
	uint64_t sequence; /* counts its operations from 1 */
	uint64_t floor;    /* the origin waits for no operation below this one any more */
};
/* sequence - floor stays below this (the origin holds back), so a session's memory is bounded. */
#define COMMAND_WINDOW 4096u

/* Inode numbers that are given out at a time. */
#define COMMAND_NUMBERS_COUNT 256u

struct command_range {
	uint64_t offset;
	struct span data;
};

#define COMMAND_RANGES_MAX 65536u
#define COMMAND_NO_TRUNCATE UINT64_MAX

struct command {
	uint8_t type; /* enum command_type */
	struct command_id id;
	int64_t time_ns; /* the proposer's clock */
	uint32_t uid;    /* who asks: the owner of what it makes */
	uint32_t gid;
	struct span key;
	struct span key2;
	struct span value;
	/* If not 0, the target is the file with this number wherever it is now (it may have been renamed since); -ESTALE if it is gone.
	 * If 0, the target is found by key. */
	uint64_t ino;
	uint32_t mode;
	uint64_t rdev;
	uint32_t
		set_mask; /* enum command_set; WRITE applies it too, except SET_SIZE, after the content (attributes set on a file not yet published) */
	uint32_t set_uid;
	uint32_t set_gid;
	uint64_t size;
	int64_t atime_ns;
	int64_t mtime_ns;
	uint32_t rename_flags; /* RENAME_NOREPLACE, RENAME_EXCHANGE of renameat2(2) */
	uint32_t xattr_flags;  /* XATTR_CREATE, XATTR_REPLACE of setxattr(2) */
	bool prefix;
	/* WRITE: the file is first cut to truncate_to (unless COMMAND_NO_TRUNCATE, or it is shorter already), then the ranges are laid over it in
	 * order, then it grows with zeros to extend_to if it is shorter. */
	uint32_t write_flags;
	uint64_t truncate_to;
	uint64_t extend_to;
	const struct command_range *ranges;
	uint32_t ranges_count;
	/* The stage's number, which is the sequence of the operation that it belongs to; origin and epoch as in id. A stage is dropped once its
	 * origin's floor has passed that number, or a newer epoch has come. */
	uint64_t stage;
	/* STAGE: which chunk this is, from 0. With WRITE_STAGED: how many chunks there must be (-EIO if there are not); 0: not checked. */
	uint32_t stage_chunk;
	/* The sequence of a RESERVE of the same origin and epoch. WRITE: makes the key that was reserved, which ends the reservation; if it is
	 * gone, or the key has been made by somebody else meanwhile, this is a WRITE like any other. RESERVE: that reservation ends; key is
	 * empty; -ENOENT if there is none. 0: none. While a reservation lasts (60 s, and no longer than its origin's boot), another RESERVE, a
	 * WRITE with WRITE_EXCL, MKDIR, SYMLINK, MKNOD and RENAME with RENAME_NOREPLACE fail on its key with -EEXIST, and a directory cannot
	 * come there (-ENOTDIR); whatever else makes the key succeeds, and ends it. A RESERVE fails with -EBUSY when there are 4096. */
	uint64_t reservation;
	uint64_t revision; /* COMPACT: not 0 */
	uint64_t lease;    /* LEASE_*; PUT with WRITE_LEASED: -ENOENT if there is none; WRITE with WRITE_FENCED */
	uint32_t ttl_s;
	uint64_t renewals;
	uint32_t numbers; /* NUMBERS: COMMAND_NUMBERS_COUNT */
	struct lock lock;
	uint8_t lock_flags; /* enum command_lock_flag */
	uint64_t lock_request;
};

struct command_result {
	int error;         /* 0 or a negative errno */
	bool changed;      /* it made `revision` */
	uint64_t revision; /* the store's revision after the command */
	uint64_t
		count; /* DELETE: keys deleted; LOAD: keys put; TXN: 1 if all comparisons held; LEASE_REVOKE: keys deleted; NUMBERS: the first; else of a lease: its time, in seconds; of locks, as said there */
	struct record attr;  /* the target as the command left it; spans empty, memory NULL, ino 0 when there is none */
	uint64_t lease;      /* LEASE_*: its id */
	struct writer reply; /* TXN: its results, txn.h. Owned: whoever ends the result frees it */
};

void command_encode(struct writer *w, const struct command *c);
/* Allocates out->ranges, which command_done frees; everything else is borrowed from `bytes`. -EBADMSG if malformed. */
int command_decode(struct span bytes, struct command *out);
void command_done(struct command *c);
/* Only the identity, for those who route commands without reading them. */
int command_peek_id(struct span bytes, struct command_id *out);
/* The type; 0 if malformed. */
uint8_t command_peek_type(struct span bytes);
/* Stamps an encoded command's identity in place. */
void command_stamp_id(void *bytes, const struct command_id *id);
/* Stamps an encoded command's time in place. */
void command_stamp_time(void *bytes, int64_t time_ns);

/* Is this the key of something below the root? A relative path with no empty, "." or ".." segment and no NUL, segments of at most 255 bytes,
 * 1 to MVCC_KEY_MAX bytes in all. */
bool command_key_valid(struct span key);

/* The ranges of a WRITE as they are staged: the encoding is the one that command_encode uses for them. */
void command_ranges_encode(struct writer *w, const struct command_range *ranges, uint32_t count);
/* Its reverse: ranges malloc'ed into *out, their data borrowed from the reader's bytes. -EBADMSG if malformed. */
int command_ranges_decode(struct reader *r, struct command_range **out, uint32_t *count);

/* User attributes of a record: pairs (name, value) in order of name, each a length-prefixed string. */
/* -ENODATA if there is no such name. The value is borrowed from `xattrs`. */
int xattrs_find(struct span xattrs, struct span name, struct span *value);
/* Calls fn for each, until it returns nonzero, which is returned then. -EBADMSG if malformed. */
int xattrs_each(struct span xattrs, int (*fn)(void *ctx, struct span name, struct span value), void *ctx);
/* Writes to `out` (empty before) what `xattrs` becomes when `name` is set. flags: XATTR_CREATE (-EEXIST if it is there), XATTR_REPLACE
 * (-ENODATA if it is not). -ENOSPC over MVCC_XATTRS_MAX, -EBADMSG if malformed. */
int xattrs_set(struct span xattrs, struct span name, struct span value, uint32_t flags, struct writer *out);
/* Writes to `out` (empty before) what `xattrs` becomes without `name`; -ENODATA if it is not there. */
int xattrs_remove(struct span xattrs, struct span name, struct writer *out);

#endif
