/* apply_plan.h: what one command is going to change. Private to store/apply*.c.
 *
 * A command is applied in two steps. First it is checked against the store, and its effects are gathered here: nothing is put, readers
 * are not held off, and an error simply drops the plan. Then plan_commit puts everything, which cannot fail. Each key is put once: the
 * changes of one directory by several of its children fold together.
 *
 * Functions that look into the store return 0 or a negative errno. -EIO from the store itself sets p->broken: the disk failed, and the
 * command must be applied on no account, as other nodes do not fail with it. */
#ifndef TALLY_STORE_APPLY_PLAN_H
#define TALLY_STORE_APPLY_PLAN_H

#include "store/lease.h"
#include "store/reservation.h"

#include <stdbool.h>
#include <sys/stat.h>

#define CHANGES_PER_CHUNK 16u

enum change_action {
	CHANGE_NONE,
	CHANGE_TOUCH, /* a directory, because of a child */
	CHANGE_PUT,
	CHANGE_DELETE
};

/* A block of a file's new content; data NULL: as it was. */
struct block {
	const uint8_t *data; /* borrowed from the command, or `owned` */
	uint8_t *owned;
};

/* The new content of a regular file. Inline content is record.data itself. */
struct content {
	bool changed;
	struct block *blocks; /* block first + i */
	uint64_t first;
	uint64_t count;
	uint64_t dead_from; /* stored blocks from this one on are dropped unless they are among `blocks` */
	void *memory;       /* of inline content */
};

struct change {
	struct span key;
	uint8_t action;         /* enum change_action */
	bool live;              /* as the plan leaves it */
	bool created;           /* by this command, which starts its version at 1 */
	bool attributes;        /* nothing else of it changes */
	bool replaced;          /* its content is: it leaves the lease that it was attached to, unless `lease` is that one */
	int32_t links;          /* what record.nlink changes by */
	uint64_t stored_blocks; /* of the file as the store has it; 0 if inline */
	struct record record;   /* as the store has it, then as it is to be put */
	struct content content;
	uint64_t lease;          /* to be attached to this one; 0: none */
	struct span whole;       /* its new content, if all of it is put at once; borrowed from the command */
	struct change *next_put; /* in the order in which they are put: what is made after what it is in */
};

struct plan {
	struct mvcc *m;
	struct reservations *reservations; /* as before the command */
	struct sessions *sessions;
	struct leases *leases;
	struct locks *locks;
	int64_t time_ns;
	bool broken;
	struct change **chunks; /* of CHANGES_PER_CHUNK each, kept from command to command */
	size_t chunks_count;
	size_t count;
	uint32_t *slots; /* change number + 1, by hash of the key; only used once there are many */
	size_t slots_count;
	struct change *first_put;
	struct change *last_put;
	struct writer doomed;          /* keys to be deleted, each as bytes */
	struct writer prefixes;        /* those whose keys are in `doomed`, likewise */
	struct writer moves;           /* pairs (from, to) of keys, likewise: what lies below a renamed directory */
	bool swap;                     /* the moves go both ways: what is at `to` moves to `from` */
	uint64_t floor;                /* the store's history below it goes; 0: stays */
	const struct command *lease;   /* which is to be granted, renewed or revoked; or NULL */
	const struct command *lock;    /* which changes the table of locks; or NULL */
	const struct command *reserve; /* whose key is to be reserved; or NULL */
	struct writer unreserved;      /* slots of reservations that end, each a u32 */
	struct writer reserved_moves;  /* slots of reservations that go on under another key: u32, bytes */
	struct writer xattrs;
	char ino_key[MVCC_KEY_MAX]; /* of a command that names its target by number */
	struct writer staged;
	struct command_range *ranges; /* decoded from `staged` */
	struct change *target;        /* whose record becomes the result's */
	uint64_t done;                /* the result's count */
	uint64_t number;              /* the inode number that the origin was given, and uses now; or 0 */
	struct writer reply;          /* becomes the result's */
};

void plan_reset(struct plan *p);
void plan_free(struct plan *p);

/* The change of a key, made from what the store has if it is new to the plan. Lives until plan_reset; borrows `key`. */
int plan_at(struct plan *p, struct span key, struct change **out);
/* The live target of a command that names it by ino or key: -ESTALE, -ENOENT, -ENOTDIR. */
int plan_target(struct plan *p, const struct command *c, struct change **out);
/* Why a key is not there: -ENOENT, or -ENOTDIR if something on its path is no directory. */
int plan_absent(struct plan *p, struct span key);
/* The directory that a key is in; -ENOENT or -ENOTDIR. */
int plan_parent(struct plan *p, struct span key, struct change **out);
/* The same, made with those above it if missing (mode 0755, owner of the command). -EINVAL: one of them is deleted by the same command. */
int plan_make_parent(struct plan *p, const struct command *c, struct span key, struct change **out);

/* A child of `dir` came or went, with `links` subdirectories. */
void plan_touch(struct change *dir, int32_t links);
/* The key is made, owned by who asks or as a setgid directory says. `mode` with S_IFMT. */
void plan_create(struct plan *p, const struct command *c, struct change *parent, struct change *at, uint32_t mode);
void plan_delete(struct change *parent, struct change *at);
/* The key is to be put as its record stands at the end. Once or more. */
void plan_put(struct plan *p, struct change *at);
/* An existing key gets a new version. */
void plan_update(struct plan *p, struct change *at);

/* Is a key that is not there reserved by anybody else? */
bool plan_reserved(struct plan *p, const struct command *c, struct span key);
/* All reservations of a key end, as it is made. */
void plan_unreserve(struct plan *p, struct span key);
/* The reservation that the command names ends; false if there is none. */
bool plan_unreserve_own(struct plan *p, const struct command *c);
/* What is reserved below a directory moves with it. */
void plan_move_reserved(struct plan *p, struct span from, struct span to);
/* Part of plan_commit. */
void plan_commit_reserved(struct plan *p);

/* -ENOENT if there is no such lease; 0 is fine. */
int plan_check_lease(struct plan *p, uint64_t id);
/* Parts of plan_commit: what a change does to the leases that its key has and gets; and the rest, at the very end. */
void plan_commit_lease(struct plan *p, const struct change *at);
void plan_commit_leases(struct plan *p);
/* -EIO if the session that the change is made under is over. */
int plan_check_fence(struct plan *p, const struct command *c);
/* Part of plan_commit: after the leases. */
void plan_commit_locks(struct plan *p);

/* Every key that begins with `prefix` is to be deleted; how many there are is added to *count. `prefix` is borrowed. */
int plan_delete_prefix(struct plan *p, struct span prefix, uint64_t *count);
/* Is the key among those? */
bool plan_is_doomed(const struct plan *p, struct span key);

/* No revision comes of it. */
bool plan_is_empty(const struct plan *p);
/* Between mvcc_begin and mvcc_end. */
void plan_commit(struct plan *p);

/* Errors of the store that the rules of apply do not expect. Returns `err`, which is negative or not. */
int plan_checked(struct plan *p, int err);

static inline bool change_is_dir(const struct change *at)
{
	return S_ISDIR(at->record.mode);
}

/* The part of a key before its last slash; empty for a child of the root. */
struct span key_parent(struct span key);
bool key_is_below(struct span key, struct span dir);

#endif
