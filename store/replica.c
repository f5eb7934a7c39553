#include "store/replica.h"

#include <errno.h>
#include <stdlib.h>

#define RESEND_NS 500000000 /* a forwarded write not applied by then may be lost */
#define TICK_NS 50000000    /* deadlines of operations are looked at this often while there are any */
#define HELD_MAX 4096       /* while a disk hangs, candidates ask for votes again and again */
#define FORWARD_BYTES_MAX (448u << 10)

struct held {
	struct held *next;
	uint64_t save;
	uint64_t to;
	struct writer bytes;
};

struct replica {
	struct raft *raft;
	struct pending *pending;
	struct replica_ports ports;
	struct writer message;      /* scratch */
	struct writer forward;      /* commands for the leader: u32 length, bytes, ... */
	struct raft_entry *entries; /* scratch for decoding */
	struct held *held;          /* messages that promise what is not durable yet, by rising save */
	struct held *held_last;
	uint32_t held_count;
	uint64_t saved;      /* the last save asked for */
	uint64_t stored;     /* the last save known to be durable */
	uint64_t installing; /* the save that begins with a snapshot; UINT64_MAX: it was not asked for yet; 0: none */
	uint64_t ticket;     /* the last one given to reads */
	uint64_t leader;
	uint64_t term;
	int64_t overdue_ns; /* when deadlines were last looked at */
	int64_t now_ns;
	bool failed;
	bool quiet;
};

struct replica *replica_new(struct raft *raft, struct pending *pending, const struct replica_ports *ports)
{
	struct replica *r = calloc(1, sizeof(*r));
	if (!r || !(r->entries = calloc(RAFT_APPEND_ENTRIES_MAX, sizeof(*r->entries))))
		abort();
	r->raft = raft;
	r->pending = pending;
	r->ports = *ports;
	return r;
}

/* Commands that another node took from its clients. What raft refuses is dropped: the sender sends it again. */
static void take_forwarded(struct replica *r, struct span payload)
{
	struct reader in = reader_over(payload.data, payload.size);
	while (reader_left(&in) > 0) {
		struct span command = reader_bytes(&in, RAFT_ENTRY_BYTES_MAX);
		if (command.size == 0 || raft_propose(r->raft, command.data, (uint32_t)command.size) < 0)
			return;
	}
}

void replica_frame(struct replica *r, uint64_t from, uint8_t kind, struct span payload)
{
	struct raft_message m;

	if (r->failed)
		return;
	if (kind == PEER_PROPOSE) {
		if (!r->ports.apply_is_full(r->ports.ctx))
			take_forwarded(r, payload);
		return;
	}
	if (kind != PEER_RAFT || raft_message_decode(payload, r->entries, &m) < 0 || m.from != from)
		return;
	if (m.type == RAFT_APPEND && m.entries_count > 0 && r->ports.apply_is_full(r->ports.ctx))
		return;
	raft_step(r->raft, &m);
}

static bool is_unwanted(const struct replica *r, const struct raft_message *m)
{
	return r->quiet && (m->type == RAFT_PREVOTE || m->type == RAFT_VOTE);
}

/* A promise of durability waits for the save that it is about; saves become durable in order. What is too many is lost, as in the network. */
static void hold_messages(struct replica *r, uint64_t save, const struct raft_message *messages, uint32_t count)
{
	for (uint32_t i = 0; i < count && r->held_count < HELD_MAX; i++) {
		if (is_unwanted(r, &messages[i]))
			continue;
		struct held *h = calloc(1, sizeof(*h));
		if (!h)
			abort();
		h->save = save;
		h->to = messages[i].to;
		raft_message_encode(&h->bytes, &messages[i]);
		if (r->held_last)
			r->held_last->next = h;
		else
			r->held = h;
		r->held_last = h;
		r->held_count++;
	}
}

static void send_held(struct replica *r)
{
	while (r->held && r->held->save <= r->stored) {
		struct held *h = r->held;
		if (!r->failed)
			r->ports.send(r->ports.ctx, h->to, PEER_RAFT, (struct span){h->bytes.data, h->bytes.size});
		r->held = h->next;
		if (!r->held)
			r->held_last = NULL;
		r->held_count--;
		writer_free(&h->bytes);
		free(h);
	}
}

void replica_stored(struct replica *r, uint64_t save)
{
	raft_stored(r->raft, save);
	r->stored = save;
	if (r->installing != 0 && r->installing <= save) {
		r->installing = 0;
		r->ports.installed(r->ports.ctx);
	}
	send_held(r);
}

void replica_fetched(struct replica *r, uint64_t to, const struct raft_entry *entries, uint32_t count)
{
	raft_fetched(r->raft, to, entries, count);
}

void replica_snapshot_over(struct replica *r, uint64_t to)
{
	raft_snapshot_over(r->raft, to);
}

int replica_install(struct replica *r, uint64_t index, uint64_t term, const struct raft_members *members)
{
	if (r->failed || r->installing != 0)
		return -EBUSY;
	int rc = raft_install(r->raft, index, term, members);
	if (rc == 0) {
		r->installing = UINT64_MAX;
		r->ports.members_committed(r->ports.ctx, members);
	}
	return rc;
}

void replica_trimmed(struct replica *r, uint64_t first)
{
	raft_trimmed(r->raft, first);
}

void replica_keep_quiet(struct replica *r, bool quiet)
{
	r->quiet = quiet;
}

void replica_fail(struct replica *r)
{
	raft_step_down(r->raft);
	r->failed = true;
}

static bool propose_here(void *ctx, struct span command)
{
	struct replica *r = ctx;
	return raft_propose(r->raft, command.data, (uint32_t)command.size) == 0;
}

static void forward_now(struct replica *r)
{
	if (r->forward.size > 0)
		r->ports.send(r->ports.ctx, r->leader, PEER_PROPOSE, (struct span){r->forward.data, r->forward.size});
	writer_clear(&r->forward);
}

static bool forward_command(void *ctx, struct span command)
{
	struct replica *r = ctx;
	if (r->forward.size + command.size > FORWARD_BYTES_MAX)
		forward_now(r);
	writer_bytes(&r->forward, command.data, command.size);
	return true;
}

/* Sends what is pending to the leader, here or elsewhere. With a new leader, or the same one in a new term, everything that is still pending
 * goes again: it may have been lost with the old one. */
static void send_writes(struct replica *r, const struct raft_status *status)
{
	if (status->leader != r->leader || status->term != r->term)
		pending_resend(r->pending, INT64_MAX);
	else if (status->role != RAFT_LEADER)
		pending_resend(r->pending, r->now_ns - RESEND_NS);
	r->leader = status->leader;
	r->term = status->term;
	if (r->leader == 0 || r->ports.apply_is_full(r->ports.ctx))
		return;
	if (status->role == RAFT_LEADER) {
		pending_send(r->pending, r->now_ns, propose_here, r);
	} else {
		pending_send(r->pending, r->now_ns, forward_command, r);
		forward_now(r);
	}
}

static void take_pending(struct replica *r)
{
	struct raft_status status;
	if (pending_has_new_reads(r->pending)) {
		r->ticket = raft_read(r->raft);
		pending_ticket_reads(r->pending, r->ticket);
	}
	raft_status(r->raft, &status);
	send_writes(r, &status);
}

static void send_messages(struct replica *r, const struct raft_message *messages, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (is_unwanted(r, &messages[i]))
			continue;
		writer_clear(&r->message);
		raft_message_encode(&r->message, &messages[i]);
		r->ports.send(r->ports.ctx, messages[i].to, PEER_RAFT, (struct span){r->message.data, r->message.size});
	}
}

void replica_free(struct replica *r)
{
	if (!r)
		return;
	r->stored = UINT64_MAX;
	r->failed = true;
	send_held(r);
	writer_free(&r->message);
	writer_free(&r->forward);
	free(r->entries);
	free(r);
}

static void tell_members(struct replica *r, const struct raft_ready *ready)
{
	struct raft_members members;
	if (ready->members)
		r->ports.members(r->ports.ctx, ready->members);
	for (uint32_t i = 0; i < ready->committed_count; i++) {
		const struct raft_entry *e = &ready->committed[i];
		if (e->type == RAFT_ENTRY_CONFIG && raft_members_decode((struct span){e->data, e->size}, &members) == 0)
			r->ports.members_committed(r->ports.ctx, &members);
	}
}

static void carry_out(struct replica *r, const struct raft_ready *ready)
{
	if (ready->save > 0) {
		r->saved = ready->save;
		if (ready->install) {
			r->installing = ready->save;
			r->ports.reset(r->ports.ctx, ready->install_index, ready->install_term);
		}
		r->ports.save(r->ports.ctx, ready->save, ready->hard_changed ? &ready->hard : NULL, ready->entries, ready->entries_count);
	}
	/* What is committed stays so, whatever is sent: callers wait for it, so it goes first. */
	if (ready->committed_count > 0)
		r->ports.apply(r->ports.ctx, ready->committed, ready->committed_count);
	if (ready->read_ready && pending_confirm_reads(r->pending, ready->read_ticket, ready->read_index))
		r->ports.reads_confirmed(r->ports.ctx);
	tell_members(r, ready);
	send_messages(r, ready->send, ready->send_count);
	hold_messages(r, r->saved, ready->send_stored, ready->send_stored_count);
	send_held(r);
	for (uint32_t i = 0; i < ready->fetch_count; i++)
		r->ports.fetch(r->ports.ctx, ready->fetch[i].to, ready->fetch[i].lo, ready->fetch[i].hi);
	for (uint32_t i = 0; i < ready->snapshot_count; i++)
		r->ports.snapshot(r->ports.ctx, ready->snapshot[i]);
}

static void end_overdue(struct replica *r)
{
	struct store_op *overdue = pending_take_overdue(r->pending, r->now_ns);
	r->overdue_ns = r->now_ns;
	if (!overdue)
		return;
	uint64_t oldest = pending_oldest_ticket(r->pending);
	raft_read_forget(r->raft, oldest ? oldest - 1 : r->ticket);
	pending_finish(overdue);
}

void replica_tick(struct replica *r, int64_t now_ns)
{
	r->now_ns = now_ns;
	if (!r->failed)
		raft_tick(r->raft, (uint64_t)(now_ns / 1000000));
}

void replica_run(struct replica *r)
{
	if (r->failed) {
		pending_finish(pending_take_all(r->pending, -EIO));
		return;
	}
	take_pending(r);
	while (raft_has_ready(r->raft))
		carry_out(r, raft_ready(r->raft));
	if (pending_overdue(r->pending) || r->now_ns - r->overdue_ns >= TICK_NS)
		end_overdue(r);
}

int64_t replica_deadline_ns(const struct replica *r)
{
	int64_t raft_ns = (int64_t)raft_deadline_ms(r->raft) * 1000000;
	if (r->failed)
		return r->now_ns + TICK_NS;
	if (raft_ns > r->now_ns + TICK_NS && !pending_empty(r->pending))
		return r->now_ns + TICK_NS;
	return raft_ns;
}
