/* holds.h: which versions of large files somebody is reading, so that compaction leaves their blocks alone. Any thread.
 *
 * A version is (ino, main): the file as of that revision. A record that was read holds its version until record_done. */
#ifndef TALLY_STORE_MVCC_HOLDS_H
#define TALLY_STORE_MVCC_HOLDS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HOLDS_BUCKETS 1024u

struct hold;

struct holds {
	pthread_mutex_t lock;
	struct hold *buckets[HOLDS_BUCKETS]; /* by ino */
	void (*released)(void *ctx);
	void *ctx;
};

/* `released` is called, with no lock held, when a hold has gone that holds_await was told to tell of. */
void holds_init(struct holds *t, void (*released)(void *ctx), void *ctx);
/* None may be left. */
void holds_done(struct holds *t);

/* Another store has taken the place of this one: `gone` says which versions it has not, and must not use the table. */
void holds_judge(struct holds *t, bool (*gone)(void *ctx, uint64_t ino, uint64_t main), void *ctx);
bool hold_is_gone(const struct hold *h);

/* Counts: each is to be released. */
struct hold *holds_take(struct holds *t, uint64_t ino, uint64_t main);
void hold_release(struct hold *h);

/* Is a version held with from <= main < end? */
bool holds_between(struct holds *t, uint64_t ino, uint64_t from, uint64_t end);
/* Tell when a version of this file is released. False: none is held any more. */
bool holds_await(struct holds *t, uint64_t ino);

#endif
