/* pending.h: the operations that callers of this node wait for. Private to store/.
 *
 * One table under one mutex, shared by three kinds of thread: callers add and cancel, the replica loop sends, confirms and expires,
 * apply completes. Whoever takes an operation out of the table owns it and calls op->done, outside the mutex.
 *
 * Writes get their sequence here. At most COMMAND_WINDOW sequences are open at a time (the sessions of the state machine remember that
 * many); more writes wait in order. Reads are a queue: tickets, read indices and deadlines all rise along it. */
#ifndef TALLY_STORE_PENDING_H
#define TALLY_STORE_PENDING_H

#include "store/store.h"

struct pending;

/* Sequences of (origin, epoch) start from 1. `admitted`: see pending_add_held; called without the mutex. */
struct pending *pending_new(uint64_t origin, uint64_t epoch, int64_t timeout_ns, void (*admitted)(void *staging, uint64_t sequence));
/* Made with origin 0, before the node had its identity: until now writes have waited without one. */
void pending_adopt(struct pending *p, uint64_t origin, uint64_t epoch);
void pending_free(struct pending *p); /* must be empty */

/* A read barrier, not yet asked for. */
void pending_add_read(struct pending *p, struct store_op *op, int64_t now_ns);
/* A write; op->bytes holds the encoded command, which gets its identity once the window has room for it. */
void pending_add_write(struct pending *p, struct store_op *op, int64_t now_ns);
/* A write that comes in parts. It takes a sequence s as soon as the window has room for it and `parts` more, which its parts then have to
 * themselves: were they to wait for room like others, they could wait for the very write that waits for them. It has no bytes yet, and is
 * not sent before pending_release. When it has its place, or is overdue before that, p's `admitted` is called with `staging` and s, or 0. */
void pending_add_held(struct pending *p, struct store_op *op, uint32_t parts, void *staging, int64_t now_ns);
/* Part number `part` (from 0) of held write `sequence`, with its bytes. Its deadline is its own. */
void pending_add_part(struct pending *p, struct store_op *op, uint64_t sequence, uint32_t part, int64_t now_ns);
/* Gives it its bytes, which become the table's, and a fresh deadline, and lets it be sent. If it is gone by now the bytes are freed. */
void pending_release(struct pending *p, uint64_t sequence, struct writer *bytes, int64_t now_ns);
/* Its deadline is counted afresh from now; false if it is gone. */
bool pending_extend(struct pending *p, uint64_t sequence, int64_t now_ns);
/* Refused before it could begin: returned by pending_take_overdue with this error. */
void pending_add_failed(struct pending *p, struct store_op *op, int error);
/* Marks the operation to be returned by pending_take_overdue with -EINTR. */
void pending_cancel(struct pending *p, struct store_op *op);
/* The same from at_ns on, unless its own deadline comes first. */
void pending_interrupt(struct pending *p, struct store_op *op, int64_t at_ns);

/* Offers the writes not yet sent, in order, until `send` returns false. What it took counts as sent. */
void pending_send(struct pending *p, int64_t now_ns, bool (*send)(void *ctx, struct span command), void *ctx);
/* What was sent may be lost: all of it (another leader), or what was sent before `before_ns`. */
void pending_resend(struct pending *p, int64_t before_ns);

bool pending_has_new_reads(struct pending *p);
void pending_ticket_reads(struct pending *p, uint64_t ticket);
/* Reads up to `ticket` may be served at `index`. True if there was one. */
bool pending_confirm_reads(struct pending *p, uint64_t ticket, uint64_t index);

/* Each returns a list linked by op->next, with result.error set; NULL when there is none. */
struct store_op *pending_take_reads(struct pending *p, uint64_t applied);
struct store_op *pending_take_write(struct pending *p, uint64_t sequence);
/* Writes that a snapshot says were applied, if applied(ctx, sequence): what came of them is not known, so they end with -ETIMEDOUT; but parts of a write
 * in stages, which can only have been stored, with 0. */
struct store_op *pending_take_passed(struct pending *p, bool (*applied)(void *ctx, uint64_t sequence), void *ctx);
struct store_op *pending_take_overdue(struct pending *p, int64_t now_ns); /* past their deadline (-ETIMEDOUT) or cancelled (-EINTR) */
struct store_op *pending_take_all(struct pending *p, int error);
/* Was one cancelled that pending_take_overdue has not returned yet? */
bool pending_overdue(struct pending *p);
bool pending_empty(struct pending *p);
/* How many wait now. Any thread. */
void pending_counts(struct pending *p, size_t *reads, size_t *writes);
/* Every read still waiting has a ticket above this one (raft need not retry for others); 0 when that is not known. */
uint64_t pending_oldest_ticket(struct pending *p);

/* Calls done for each of a taken list. */
void pending_finish(struct store_op *list);

#endif
