/* sink.h: the side of a transfer that lacks the snapshot, as a state machine without thread and clock. Private to store/.
 *
 * One snapshot at a time is taken into DATA/store.new. Chunks are pulled SINK_AHEAD at most ahead of what has been stored, so the disk here sets the
 * pace; what does not come is asked for again. A source that does not answer any more is given up, and what was taken is kept: the same snapshot,
 * offered again, goes on from there, after a crash too. Another one that is offered meanwhile has to wait.
 *
 * When it is whole and verified it is opened, all of it, and handed over through ports.ready; then the sink waits for sink_settled. */
#ifndef TALLY_STORE_SINK_H
#define TALLY_STORE_SINK_H

#include "store/transfer.h"

#define SINK_AHEAD 4u
#define SINK_AGAIN_NS INT64_C(1000000000) /* asked again when nothing came for so long */
#define SINK_ATTEMPTS 15u                 /* then the source is given up */
#define SINK_DOUBT 3u                     /* or now, if another one has something to offer */

struct sink_config {
	const char *data; /* DATA; borrowed for the sink's life */
	uint64_t cluster_id;
	uint64_t map_bytes; /* as for mvcc_open */
	bool no_sync;       /* tests only */
};

struct sink_ports {
	void *ctx;
	/* Best effort. */
	void (*send)(void *ctx, uint64_t to, struct span payload);
	/* The log entry that this node has applied: what is not beyond it is not needed. */
	uint64_t (*applied)(void *ctx);
	/* The store as of (index, term), open, in DATA/store.new: the receiver's from here on. Answered by sink_settled. */
	void (*ready)(void *ctx, struct mvcc *store, uint64_t index, uint64_t term);
	/* A line for the log. */
	void (*say)(void *ctx, const char *line);
};

struct sink_stats {
	uint64_t id; /* of the snapshot that is being taken; 0: none */
	uint64_t bytes;
	uint64_t resumed_bytes; /* of those, from before this run */
	uint64_t total_bytes;   /* about */
};

struct sink;

struct sink *sink_new(const struct sink_config *config, const struct sink_ports *ports);
/* Keeps what was taken. NULL is fine. */
void sink_free(struct sink *k);

/* Inputs; then sink_run. */
void sink_frame(struct sink *k, uint64_t from, const struct transfer_frame *f, int64_t now_ns);
/* The store that was handed over is in place; or it was not needed (it is closed by now), and its folder goes. */
void sink_settled(struct sink *k, bool taken);
void sink_run(struct sink *k, int64_t now_ns);
int64_t sink_deadline_ns(const struct sink *k);
void sink_stats(const struct sink *k, struct sink_stats *out);

#endif
