/* follow.h: a thread that follows what changes in the store, behind the requests and in nobody's way.
 *
 * It is handed each event, in order, once all who asked for the change on this mount have been told by the store that it is made (store_op's done was
 * called). Nothing waits for it: it may wait in the kernel for locks that requests hold. Whoever falls behind compaction is told so and goes on from now. */
#ifndef TALLY_FS_FOLLOW_H
#define TALLY_FS_FOLLOW_H

#include "store/watch.h"

struct follow;

struct follow_events {
	void *ctx;
	/* NULL; on the thread, before anything else. */
	void (*begun)(void *ctx);
	/* On the thread, for each change of any key; its spans live for the call. e->rev.main is the revision. */
	void (*event)(void *ctx, const struct mvcc_event *e);
	/* Nothing more is there for now: what was put off is to be done. Returns in how many milliseconds it wants to be called again, though nothing may happen;
	 * -1: not for that. NULL is fine. */
	int (*idle)(void *ctx);
	/* Events were lost: anything may have changed up to this revision. */
	void (*lost)(void *ctx, uint64_t revision);
};

/* Follows what comes after now; *out is set before the thread begins. Or a negative errno, and *out is NULL. `name` is the thread's, of at most 15 characters. */
int follow_start(struct watch_hub *hub, const char *name, const struct follow_events *events, struct follow **out);
/* Has `idle` called soon, though nothing may have changed. From an event's function, too. NULL is fine. */
void follow_stir(struct follow *f);
/* Asks it to end: no event is handed over that was not yet. Does not wait. NULL is fine. */
void follow_stop(struct follow *f);
/* Waits for its end, and so for the event in hand; frees it. NULL is fine. Before the store is closed. */
void follow_end(struct follow *f);
/* Is it to end? For events that take long. */
bool follow_stopping(const struct follow *f);

#endif
