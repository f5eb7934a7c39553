/* lock_inside.h: the table of locks, as lock.c, lock_rules.c and lock_keep.c share it. Private to them.
 *
 * All orders in it follow from what is kept: files by number, locks of a file by slot, waiters by order, and a new entry takes the lowest free slot. So a
 * table that was loaded goes on exactly like one that was not. */
#ifndef TALLY_STORE_LOCK_INSIDE_H
#define TALLY_STORE_LOCK_INSIDE_H

#include "store/lock.h"

#include <pthread.h>

/* A lock that is held, or a waiter. */
struct entry {
	struct lock lock;
	uint64_t request; /* 0: held */
	uint64_t order;   /* of a waiter: in its file, from 1 */
	uint32_t slot;
};

struct list {
	struct entry **items;
	uint32_t count;
	uint32_t capacity;
};

struct locked_file {
	uint64_t ino;
	struct list held;    /* by slot */
	struct list waiting; /* by order */
};

struct session_count {
	uint64_t session;
	uint32_t count;
};

struct table {
	struct locked_file **files; /* by number; each has entries */
	uint32_t files_count;
	uint32_t files_capacity;
	struct entry **slots;
	uint32_t slots_count; /* the last one is taken */
	uint32_t slots_capacity;
	uint32_t free_from; /* no slot below it is free */
	uint32_t held_count;
	uint32_t waiting_count;
	struct session_count *sessions;
	uint32_t sessions_count;
	uint32_t sessions_capacity;
};

struct locks {
	pthread_mutex_t lock; /* taken by apply to change anything, by others to look */
	struct table has;
	uint32_t *changed; /* slots that the store does not know yet */
	uint32_t changed_count;
	uint32_t changed_capacity;
	bool turned; /* waiters were granted or dropped since locks_applied */
	pthread_mutex_t listener_lock;
	void (*wake)(void *ctx);
	void *wake_ctx;
};

/* --- lock_keep.c: the table itself, and what the store keeps of it --- */

struct locked_file *table_file(const struct table *t, uint64_t ino);
uint32_t table_count_of(const struct table *t, uint64_t session);
/* l->lock is held for these, which note what has changed. */
struct entry *table_add(struct locks *l, const struct lock *lock, uint64_t request, uint64_t order);
void table_drop(struct locks *l, struct entry *e);
void table_clear(struct table *t);
/* Without l->lock: tells the store. */
void table_keep(struct locks *l, struct mvcc *m);

/* --- lock_rules.c: pure --- */

bool lock_same_owner(const struct lock *a, const struct lock *b);
bool lock_overlaps(const struct lock *a, const struct lock *b);
/* Both cannot be had at the same time. */
bool lock_conflicts(const struct lock *a, const struct lock *b);
/* What stands in the way of `want`, the waiters before `upto` included; NULL: nothing. From `*at` on, which is then behind it; start with 0. */
const struct entry *rules_blocker(const struct locked_file *f, const struct lock *want, uint32_t upto, uint32_t *at);
bool rules_deadlock(const struct table *t, const struct lock *want);
bool rules_covered(const struct locked_file *f, const struct lock *want);

#endif
