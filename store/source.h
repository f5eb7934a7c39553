/* source.h: the side of a transfer that has the snapshot, as a state machine without thread and clock. Private to store/.
 *
 * For each member that needs a snapshot: a picture of the last commit is taken when it is its turn, offered, and sent chunk by chunk as the member
 * pulls. At most SOURCE_AT_ONCE are under way; all chunks together keep to SOURCE_BYTES_PER_S, one at a time, so that what else goes to and
 * from the disk and the network has its place. The log behind a snapshot is held back for its member until a while after it took it (source_floor).
 *
 * A transfer that was begun goes on when leadership moves: what it gives stays true, whoever leads. A new picture is taken by who leads. */
#ifndef TALLY_STORE_SOURCE_H
#define TALLY_STORE_SOURCE_H

#include "store/transfer.h"

#define SOURCE_AT_ONCE 2
#define SOURCE_BYTES_PER_S (32u << 20)
#define SOURCE_OFFER_NS INT64_C(1000000000)  /* offered again when nothing was pulled for so long */
#define SOURCE_IDLE_NS INT64_C(60000000000)  /* then it is given up; also how long the log is held back afterwards */
#define SOURCE_FAILED_NS INT64_C(5000000000) /* offered anew, after it was damaged or a disk was full */
#define SOURCE_RETRY_NS INT64_C(2000000000)  /* ... after the member was busy with another one */

struct source_ports {
	void *ctx;
	/* Best effort. */
	void (*send)(void *ctx, uint64_t to, struct span payload);
	/* The attempt is over (raft_snapshot_over). */
	void (*over)(void *ctx, uint64_t to);
	/* What is to be sent is damaged here: another member has to lead, and send it. Each time that it is met. */
	void (*damaged)(void *ctx);
};

struct source;

/* `seed` differs from boot to boot, so that no id means a snapshot of an earlier one. */
struct source *source_new(struct mvcc *m, uint64_t seed, const struct source_ports *ports);
/* NULL is fine. */
void source_free(struct source *s);

/* Inputs; then source_run. */
void source_want(struct source *s, uint64_t to);
/* This member leads, or does not any more: then what nobody has pulled yet is dropped. */
void source_lead(struct source *s, bool leads);
void source_frame(struct source *s, uint64_t from, const struct transfer_frame *f, int64_t now_ns);
/* A member that took one has what the log would be trimmed to without it: nothing is held back for it any more. */
void source_caught_up(struct source *s, uint64_t to);
/* Does what is due: at most one chunk is read from the disk and sent. */
void source_run(struct source *s, int64_t now_ns);
/* When source_run has something to do; INT64_MAX: nothing. */
int64_t source_deadline_ns(const struct source *s);
/* The log must keep the entries behind this one; UINT64_MAX: nothing is held back. */
uint64_t source_floor(const struct source *s);

#endif
