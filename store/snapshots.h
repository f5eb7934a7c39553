/* snapshots.h: the thread that gives and takes snapshots: its disk reads and writes hold up neither the replica loop nor apply. Private to store/.
 *
 * It runs a source and a sink (source.h, sink.h). Frames come from the loop and go back to it, through two short queues that drop what is too much, as
 * the network does. */
#ifndef TALLY_STORE_SNAPSHOTS_H
#define TALLY_STORE_SNAPSHOTS_H

#include "store/sink.h"
#include "store/source.h"

struct snapshots;

struct snapshots_config {
	struct mvcc *mvcc;
	const char *data; /* DATA; borrowed while it runs */
	uint64_t cluster_id;
	uint64_t epoch;
	void *ctx;
	void (*wake)(void *ctx); /* there is something for snapshots_deliver. Any thread */
};

/* Ends the process if it cannot start a thread. */
struct snapshots *snapshots_start(const struct snapshots_config *config);
/* Ends the thread. NULL is fine for both. */
void snapshots_stop(struct snapshots *t);
void snapshots_free(struct snapshots *t);

/* --- from the loop; none waits --- */

void snapshots_frame(struct snapshots *t, uint64_t from, struct span payload);
void snapshots_want(struct snapshots *t, uint64_t to);
void snapshots_lead(struct snapshots *t, bool leads);
void snapshots_caught_up(struct snapshots *t, uint64_t member);
/* source_floor, as of late. */
uint64_t snapshots_floor(const struct snapshots *t);

/* What the thread has for the loop. */
struct snapshots_events {
	void *ctx;
	void (*send)(void *ctx, uint64_t to, struct span payload);
	void (*over)(void *ctx, uint64_t to);
	/* This node's store is damaged; see source.h. */
	void (*damaged)(void *ctx);
	/* A store as of (index, term): see sink.h. Answered by snapshots_settled. */
	void (*ready)(void *ctx, struct mvcc *store, uint64_t index, uint64_t term);
};
void snapshots_deliver(struct snapshots *t, const struct snapshots_events *events);

/* The store that was ready is in place (NULL), or was not wanted: it is closed and removed. Any thread. */
void snapshots_settled(struct snapshots *t, struct mvcc *unwanted);

#endif
