/* wal.h: the write-ahead log: raft entries and hard state, durable before anything is promised on their strength.
 *
 * A folder of segments of one size, zero-filled before use (so that a sync need not move metadata), each named for its
 * first index. One save is one frame: one write, one fdatasync, one CRC32C over everything in it, chained to the frame before. The format
 * stands as a table in wal.c.
 *
 * What damage means: the last frame of the last segment may be torn by a crash, because nothing had been promised on its strength; it is
 * cut off. A segment of the wrong size, a missing one, a frame that fails its check although a later one is whole, or whose sectors were
 * all written: that is damage to what was promised. It is said in one line, with the file and the offset, and the log does not open.
 *
 * struct wal is synchronous and belongs to one thread at a time. struct wal_writer is the thread around it. */
#ifndef TALLY_RAFT_WAL_H
#define TALLY_RAFT_WAL_H

#include "base/histogram.h"
#include "raft/raft.h"

#include <stddef.h>
#include <stdint.h>

#define WAL_SEGMENT_BYTES (16u << 20)

struct wal;

struct wal_config {
	const char *dir;     /* made if missing; borrowed for the call */
	uint64_t cluster_id; /* a log of another cluster or node is refused */
	uint64_t node_id;
	uint32_t segment_bytes; /* 0: WAL_SEGMENT_BYTES. A frame may be larger: it then gets a segment of its own size */
};

/* Opens or creates the log, checks all of it, cuts a torn tail. On failure: a negative errno (-EBADMSG for damage) and one line in
 * `why` that says what, where and what to do. */
int wal_open(const struct wal_config *config, struct wal **out, char *why, size_t why_size);
/* Closes without a sync: what was not saved is not promised. NULL is fine. */
void wal_close(struct wal *w);

struct raft_hard_state wal_hard_state(const struct wal *w);
/* The boot count: 1 on the first open, one more on each later one; durable before wal_open returns. */
uint64_t wal_epoch(const struct wal *w);
uint64_t wal_first(const struct wal *w);     /* first entry held; wal_last + 1 when it holds none */
uint64_t wal_last(const struct wal *w);      /* 0 when it never had one */
uint64_t wal_base_term(const struct wal *w); /* term of entry wal_first - 1 */
uint64_t wal_last_term(const struct wal *w);
uint64_t wal_bytes(const struct wal *w); /* on disk */
/* The first entry of the newest segments that take up at most `bytes` together (of the last one, if that is larger). */
uint64_t wal_within(const struct wal *w, uint64_t bytes);

/* Saves a hard state (or NULL) and entries; durable when it returns 0. An entry at or below wal_last replaces the tail from there.
 * On an error (-EIO, -ENOSPC, ...) nothing more may be saved: the caller must stop promising. */
int wal_save(struct wal *w, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count);

typedef int wal_entry_fn(void *ctx, const struct raft_entry *entry);
/* Calls `fn` for entries lo..hi-1 in order, up to about bytes_max of data but at least one; each lives for its call. Stops at the first
 * nonzero return and gives it back. -ERANGE if lo is not held. Checks each frame it reads again. */
int wal_read(struct wal *w, uint64_t lo, uint64_t hi, size_t bytes_max, wal_entry_fn *fn, void *ctx);
/* Drops whole segments that hold only entries below `index`. */
int wal_trim(struct wal *w, uint64_t index);
/* The log begins anew: it holds nothing, its next entry is index + 1, the term of `index` is `term`. The epoch stays, and so does the hard state, unless
 * its term is lower. Crash-safe: afterwards either the old log opens or the new one. Like wal_save when it fails. */
int wal_reset(struct wal *w, uint64_t index, uint64_t term);
/* Prepares the next segment ahead of need, a slice of 256 KiB at a time: 1 while there is more to do, 0 when it is ready. The writer
 * thread calls it when it is idle. An error means only that the segment will be made when it is needed. */
int wal_prepare(struct wal *w);

/* The thread. Saves are made durable in the order of their submission, as many at a time as are waiting. */
struct wal_writer;

struct wal_writer_events {
	void *ctx;
	/* Called on the writer thread. Everything submitted up to `ticket` is durable. */
	void (*stored)(void *ctx, uint64_t ticket);
	/* The answer to wal_writer_fetch; entries live for the call. count 0: not held, or not readable. */
	void (*fetched)(void *ctx, uint64_t to, const struct raft_entry *entries, uint32_t count);
	/* The disk failed; nothing later will be stored. Called once. */
	void (*failed)(void *ctx, int error);
	/* A reset comes up: make durable what replaces the log through `index`. An error counts as one of the disk. */
	int (*resetting)(void *ctx, uint64_t index, uint64_t term);
};

/* Takes over `w` until wal_writer_stop. */
int wal_writer_start(struct wal *w, const struct wal_writer_events *events, struct wal_writer **out);
/* Queues a save; copies what it needs; never waits for the disk. Any one thread. `ticket` rises by the caller's count.
 * The queue is bounded by the caller: raft's uncommitted and inflight limits hold on it. */
void wal_writer_save(struct wal_writer *t, uint64_t ticket, const struct raft_hard_state *hard, const struct raft_entry *entries,
		     uint32_t count);
/* Before the save that is queued next, the log begins anew (wal_reset), after events.resetting. At most one at a time: the save that follows it
 * has been reported as stored before there is another. */
void wal_writer_reset(struct wal_writer *t, uint64_t index, uint64_t term);
/* Reads entries lo..hi-1, as many as fit, after all that was queued before. A member has one question open: a newer one replaces it. One for more
 * than RAFT_MEMBERS_MAX members at once is dropped. Saves go first. */
void wal_writer_fetch(struct wal_writer *t, uint64_t to, uint64_t lo, uint64_t hi, size_t bytes_max);
void wal_writer_trim(struct wal_writer *t, uint64_t index);
/* Figures for @status and @metrics, read without waiting: bytes on disk, saves and syncs done so far, first index held, wal_within(WAL_KEEP_BYTES), and how
 * long writing and syncing took, for each batch of saves. Any thread. */
struct wal_writer_stats {
	uint64_t bytes;
	uint64_t saves;
	uint64_t syncs;
	uint64_t first;
	uint64_t recent;
	struct histogram_figures durations;
};
#define WAL_KEEP_BYTES (64u << 20)
void wal_writer_stats(struct wal_writer *t, struct wal_writer_stats *out);
/* Stores what is queued, ends the thread; the wal is the caller's again. */
void wal_writer_stop(struct wal_writer *t);

#endif
