/* What users ask of the leader (member_request.h), on its way there and back. */
#include "store/membership_inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { STATE_NEW, STATE_BEGUN };

static void finish(struct membership *m, struct store_op *op, int error, const char *why)
{
	struct store_op **at = &m->ops;
	while (*at && *at != op)
		at = &(*at)->next;
	if (*at)
		*at = op->next;
	writer_free(&op->bytes);
	op->sequence = 0;
	op->result = (struct command_result){.error = error};
	writer_raw(&op->result.reply, why, strlen(why));
	op->done(op);
}

void membership_end_requests(struct membership *m, int error, const char *why)
{
	while (m->ops)
		finish(m, m->ops, error, why);
}

void membership_drop(struct membership *m)
{
	membership_end_requests(m, -EINTR, "interrupted; the change may still take effect");
}

void membership_submit(struct membership *m, struct store_op *op)
{
	op->ticket = ++m->number;
	op->sequence = 0; /* the leader's challenge, once it is known */
	op->state = STATE_NEW;
	op->resend_ns = 0;
	op->next = m->ops;
	m->ops = op;
}

/* --- requests --- */

static void send_result(struct membership *m, uint64_t to, uint64_t number, int error, const char *why)
{
	writer_clear(&m->payload);
	writer_u8(&m->payload, RESULT);
	writer_u64(&m->payload, number);
	writer_u32(&m->payload, (uint32_t)error);
	writer_string(&m->payload, why);
	m->ports.send(m->ports.ctx, to, PEER_MEMBERS, (struct span){m->payload.data, m->payload.size});
}

static void send_challenge(struct membership *m, uint64_t to, uint64_t number, uint64_t challenge)
{
	writer_clear(&m->payload);
	writer_u8(&m->payload, CHALLENGE);
	writer_u64(&m->payload, number);
	writer_u64(&m->payload, challenge);
	m->ports.send(m->ports.ctx, to, PEER_MEMBERS, (struct span){m->payload.data, m->payload.size});
}

static int judge(struct membership *m, const struct raft_status *status, uint64_t from, uint64_t number, bool begun,
		 const struct member_request *q, char *why)
{
	struct member_judge *j = &m->judge;
	j->raft = m->raft;
	j->status = status;
	j->now = &m->now;
	j->committed = membership_is_committed(m);
	j->now_ns = m->now_ns;
	return member_request_judge(j, from, number, begun, q, why);
}

void membership_take_request(struct membership *m, uint64_t from, struct reader *r)
{
	struct member_request q;
	struct raft_status status;
	char why[MEMBER_WHY_BYTES];
	uint64_t number = reader_u64(r);
	uint8_t begun = reader_u8(r);
	uint64_t said = reader_u64(r);
	uint64_t challenge = membership_challenge(m, from ^ number);
	if (!m->raft || member_request_decode(r, &q) < 0 || !reader_done(r) || begun > 1)
		return;
	raft_status(m->raft, &status);
	if (status.role == RAFT_LEADER && said != challenge)
		send_challenge(m, from, number, challenge);
	else if (status.role == RAFT_LEADER)
		send_result(m, from, number, judge(m, &status, from, number, begun == 1, &q, why), why);
}

void membership_take_result(struct membership *m, struct reader *r)
{
	char why[MEMBER_WHY_BYTES];
	uint64_t number = reader_u64(r);
	int error = (int32_t)reader_u32(r);
	struct span text = reader_bytes(r, sizeof(why) - 1);
	if (!reader_done(r) || error > 0)
		return;
	snprintf(why, sizeof(why), "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
	for (struct store_op *op = m->ops; op; op = op->next) {
		if (op->ticket != number)
			continue;
		if (error == -EINPROGRESS)
			op->state = STATE_BEGUN;
		else
			finish(m, op, error, why);
		return;
	}
}

void membership_take_challenge(struct membership *m, struct reader *r)
{
	uint64_t number = reader_u64(r);
	uint64_t challenge = reader_u64(r);
	if (!reader_done(r))
		return;
	for (struct store_op *op = m->ops; op; op = op->next) {
		if (op->ticket != number || op->sequence == challenge)
			continue;
		op->sequence = challenge;
		op->resend_ns = 0;
	}
}

/* What this node can see for itself. */
static bool is_done(const struct membership *m, const struct member_request *q, const struct raft_status *status)
{
	const struct member *who = q->type == MEMBER_ADD ? NULL : members_called(&m->now, q->target);
	if (q->type == MEMBER_MOVE_LEADER)
		return who && status->leader == who->id;
	return q->type == MEMBER_REMOVE && who && who->id == m->identity->id && m->removed;
}

static void send_request(struct membership *m, struct store_op *op, uint64_t leader)
{
	writer_clear(&m->payload);
	writer_u8(&m->payload, REQUEST);
	writer_u64(&m->payload, op->ticket);
	writer_u8(&m->payload, op->state == STATE_BEGUN);
	writer_u64(&m->payload, op->sequence);
	writer_raw(&m->payload, op->bytes.data, op->bytes.size);
	m->ports.send(m->ports.ctx, leader, PEER_MEMBERS, (struct span){m->payload.data, m->payload.size});
	op->resend_ns = m->now_ns + RESEND_NS;
}

static void carry_on(struct membership *m, struct store_op *op, const struct raft_status *status)
{
	char why[MEMBER_WHY_BYTES] = "";
	struct member_request q;
	struct reader r = reader_over(op->bytes.data, op->bytes.size);
	int rc = -EINPROGRESS;
	if (member_request_decode(&r, &q) < 0 || !reader_done(&r)) {
		finish(m, op, -EINVAL, "not a request");
		return;
	}
	if (is_done(m, &q, status))
		rc = 0;
	else if (status->role == RAFT_LEADER)
		rc = judge(m, status, m->identity->id, op->ticket, op->state == STATE_BEGUN, &q, why);
	else if (status->leader != 0 && m->now_ns >= op->resend_ns)
		send_request(m, op, status->leader);
	if (rc == -EINPROGRESS && status->role == RAFT_LEADER)
		op->state = STATE_BEGUN;
	if (rc != -EINPROGRESS)
		finish(m, op, rc, why);
}

void membership_run_requests(struct membership *m, const struct raft_status *status)
{
	struct store_op *next;
	for (struct store_op *op = m->ops; op; op = next) {
		next = op->next;
		if (m->now_ns >= op->deadline_ns)
			finish(m, op, -ETIMEDOUT, "the cluster did not answer in time; the change may still take effect");
		else if (m->raft)
			carry_on(m, op, status);
	}
}
