/* watch.h: what changes in the store, as it happens, for any number of watchers.
 *
 * A watcher is a position (the next revision that it wants) and a filter. It pulls: nothing is queued for it, so a slow one costs nothing and delays nobody.
 * Whoever waits is told by a listener that the store has moved, once for each batch that apply took. Recent events are kept in one ring in memory that
 * all watchers share; older ones come from the store itself, down to what compaction has removed: then a watcher is told that it fell behind.
 *
 * A watcher sees the events of its filter in the order of revisions, each once, and can go on from its position at any time and on any node. */
#ifndef TALLY_STORE_WATCH_H
#define TALLY_STORE_WATCH_H

#include "store/mvcc/mvcc.h"

#define WATCH_RING_EVENTS 16384u
#define WATCH_RING_BYTES (4u << 20)

struct watch_hub;

/* Nothing may listen any more when it is freed. NULL is fine. */
struct watch_hub *watch_hub_new(struct mvcc *m);
void watch_hub_free(struct watch_hub *h);
/* Something was applied. One thread, that of apply: calls the listeners if the revision moved. */
void watch_hub_applied(struct watch_hub *h);

/* Calls the listeners though the revision did not move: whether the store can be read has changed. Any thread. */
void watch_hub_stir(struct watch_hub *h);

/* Memory of the caller's. `wake` is called from the thread of apply, or that of watch_hub_stir: it must not wait, nor call anything here. */
struct watch_listener {
	void (*wake)(struct watch_listener *l);
	struct watch_listener *next;
};
void watch_listen(struct watch_hub *h, struct watch_listener *l);
/* `wake` is not called any more once this returns. */
void watch_unlisten(struct watch_hub *h, struct watch_listener *l);

struct watch {
	struct rev next; /* sub is not 0 within a revision that was too large for one batch */
	bool prefix;     /* keys that begin with `key`; else that key alone. Of a rename, the old or the new key */
	char *key;       /* owned */
	size_t key_size;
	struct watch_hub *hub; /* which counts it */
};

/* From revision `rev` on; 0: what comes after now. The key is copied. */
void watch_begin(struct watch_hub *h, struct watch *w, struct span key, bool prefix, uint64_t rev);
/* A zeroed one is fine. */
void watch_end(struct watch *w);
/* How many there are. Any thread. */
uint64_t watch_count(const struct watch_hub *h);
/* May watch_read find something? */
bool watch_ready(const struct watch_hub *h, const struct watch *w);

/* The revision that listeners were told of last: those who submitted the commands up to it have their answers. */
uint64_t watch_told(const struct watch_hub *h);

/* The oldest revision whose changes are still to be had. */
uint64_t watch_oldest(const struct watch_hub *h);

/* Where events go. */
struct watch_batch {
	void (*format)(struct writer *out, const struct mvcc_event *e);
	struct writer out; /* the caller's to clear and free */
	uint32_t events;   /* in `out` */
	/* Whole revisions are added as long as `out` stays within bytes_soft; one that is larger comes alone. Only one that passes bytes_hard is cut. */
	size_t bytes_soft;
	size_t bytes_hard;
};
/* The watcher's next events. Bounded work: none may have been found and the watcher be ready still. -ENODATA: it fell behind, compaction has removed what
 * it wants next (and the ring has it no more). Any thread, but one at a time for a watcher. */
int watch_read(struct watch_hub *h, struct watch *w, struct watch_batch *b);

/* A line: REV put KEY, REV delete KEY, REV rename OLD NEW, with tabs between and names escaped as in ls -b. */
void watch_format_line(struct writer *out, const struct mvcc_event *e);
/* A name escaped as in ls -b: what is not printable, backslashes and blanks. */
void watch_escape(struct writer *out, struct span name);

#endif
