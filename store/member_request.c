/* A request; integers are little-endian, bytes: a u32 length, then so many.
 *
 *   u8 type, u8 votes (0 or 1), u64 id, bytes target (<= 127), bytes name (<= STORE_NAME_MAX - 1), bytes address (<= 127)
 *
 * Valid: a known type; ADD: an id, a name of printable characters without blanks and any of = / , : @, an address; the others: a target. */
#include "store/member_request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void member_request_encode(const struct member_request *q, struct writer *w)
{
	writer_u8(w, q->type);
	writer_u8(w, q->votes);
	writer_u64(w, q->id);
	writer_string(w, q->target);
	writer_string(w, q->who.name);
	writer_string(w, q->who.address);
}

static bool is_word(const char *s, const char *without)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || strchr(without, *s))
			return false;
	return true;
}

bool member_request_valid(const struct member_request *q)
{
	if (q->type == MEMBER_ADD)
		return q->id != 0 && is_word(q->who.name, "=/,:@") && is_word(q->who.address, "=/,@") && strchr(q->who.address, ':');
	return q->type >= MEMBER_PROMOTE && q->type <= MEMBER_MOVE_LEADER && is_word(q->target, "");
}

int member_request_decode(struct reader *r, struct member_request *out)
{
	struct member_request q = {.type = reader_u8(r)};
	uint8_t votes = reader_u8(r);
	q.votes = votes == 1;
	q.id = reader_u64(r);
	if (!reader_text(r, q.target, sizeof(q.target)) || !reader_text(r, q.who.name, sizeof(q.who.name)) ||
	    !reader_text(r, q.who.address, sizeof(q.who.address)) || votes > 1 || !member_request_valid(&q))
		return -EBADMSG;
	*out = q;
	return 0;
}

static int refuse(char *why, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(char *why, int error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, MEMBER_WHY_BYTES, format, args);
	va_end(args);
	return error;
}

static struct member_asked *asked(struct member_judge *j, uint64_t from, uint64_t number)
{
	for (uint32_t i = 0; i < MEMBER_ASKED_MAX; i++)
		if (j->asked[i].from == from && j->asked[i].number == number)
			return &j->asked[i];
	return NULL;
}

static void remember(struct member_judge *j, uint64_t from, uint64_t number)
{
	struct member_asked *a = asked(j, from, number);
	if (!a)
		a = &j->asked[j->asked_next++ % MEMBER_ASKED_MAX];
	*a = (struct member_asked){from, number, j->now_ns};
}

static const struct raft_progress *progress_of(const struct member_judge *j, uint64_t id)
{
	for (uint32_t i = 0; i < j->status->members_count; i++)
		if (j->status->members[i].id == id)
			return &j->status->members[i];
	return NULL;
}

/* Proposes it. What stands in the way only for now is asked again. */
static int change(struct member_judge *j, const struct members *next, const struct member *who, char *why)
{
	struct writer context = {0};
	struct raft_members raft = members_raft(next, &context);
	int rc = raft_change(j->raft, &raft);
	writer_free(&context);
	const struct raft_progress *p = who ? progress_of(j, who->id) : NULL;
	if (rc == 0 || rc == -EBUSY || rc == -EAGAIN || rc == -ENOBUFS)
		return -EINPROGRESS;
	if (rc == -ESTALE)
		return refuse(why, rc, "%s has not caught up: it %s, and holds the log up to %" PRIu64 " of %" PRIu64, who->who.name,
			      p && p->recent ? "answers" : "does not answer", p ? p->match : 0, j->status->log_last);
	return refuse(why, rc, "%s", strerror(-rc));
}

static int add(struct member_judge *j, const struct member_request *q, char *why)
{
	struct members next;
	for (uint32_t i = 0; i < j->now->count; i++) {
		const struct member *one = &j->now->table[i];
		if (!members_find(j->now, one->id))
			continue;
		if (one->added == q->id)
			return j->committed ? 0 : -EINPROGRESS;
		if (strcmp(one->who.name, q->who.name) == 0)
			return refuse(why, -EEXIST, "%s is a member already, at %s", one->who.name, one->who.address);
		if (strcmp(one->who.address, q->who.address) == 0)
			return refuse(why, -EEXIST, "%s is the address of %s", q->who.address, one->who.name);
		if (one->id == j->status->id && one->who.address[0] == '\0')
			return refuse(why, -EINVAL, "%s listens on no network: start it with listen=HOST:PORT", one->who.name);
	}
	int rc = members_add(j->now, q->id, &q->who, q->votes, &next);
	if (rc == -ENOSPC)
		return refuse(why, rc, "there are %d members already, and no room for another", STORE_MEMBERS_MAX);
	return rc < 0 ? -EINPROGRESS : change(j, &next, NULL, why);
}

static int promote(struct member_judge *j, bool seen, const struct member *who, char *why)
{
	struct members next;
	if (members_is_voter(j->now, who->id) && !seen)
		return refuse(why, -EEXIST, "%s votes already", who->who.name);
	if (members_is_voter(j->now, who->id))
		return j->committed ? 0 : -EINPROGRESS;
	return members_promote(j->now, who->id, &next) < 0 ? -EINPROGRESS : change(j, &next, who, why);
}

static int remove_it(struct member_judge *j, const struct member *who, char *why)
{
	struct members next;
	int rc = members_remove(j->now, who->id, &next);
	if (rc == -EINVAL)
		return refuse(why, rc, "%s is the last voter", who->who.name);
	if (rc < 0)
		return -EINPROGRESS;
	if (members_is_voter(j->now, who->id) && !members_stand_without(j->now, who->id, j->status))
		return refuse(why, -EPERM, "without %s the voters that answer now would be no majority: nothing could be written any more",
			      who->who.name);
	/* Who hands over first interrupts nobody: the next leader is asked the same again. */
	if (who->id == j->status->id) {
		rc = raft_transfer(j->raft, 0);
		return rc == 0 || rc == -EAGAIN ? -EINPROGRESS : refuse(why, rc, "there is nobody to hand leadership to");
	}
	return change(j, &next, who, why);
}

static int move_leader(struct member_judge *j, const struct member_asked *seen, const struct member *who, char *why)
{
	const struct raft_progress *p = progress_of(j, who->id);
	if (who->id == j->status->id)
		return 0;
	if (!members_is_voter(j->now, who->id))
		return refuse(why, -EINVAL, "%s is a learner: it cannot lead", who->who.name);
	if (!p || !p->recent)
		return refuse(why, -EHOSTUNREACH, "%s does not answer", who->who.name);
	if (!seen || j->now_ns >= seen->at_ns + j->again_ns)
		raft_transfer(j->raft, who->id);
	return -EINPROGRESS;
}

int member_request_judge(struct member_judge *j, uint64_t from, uint64_t number, bool begun, const struct member_request *q,
			 char why[MEMBER_WHY_BYTES])
{
	const struct member_asked *seen = asked(j, from, number);
	const struct member *who = q->type == MEMBER_ADD ? NULL : members_called(j->now, q->target);
	int rc;
	begun |= seen != NULL;
	why[0] = '\0';
	if (q->type == MEMBER_ADD)
		rc = add(j, q, why);
	else if (!who && begun && q->type == MEMBER_REMOVE)
		rc = j->committed ? 0 : -EINPROGRESS;
	else if (!who)
		rc = refuse(why, -ENOENT, "%s: no such member", q->target);
	else if (q->type == MEMBER_PROMOTE)
		rc = promote(j, begun, who, why);
	else if (q->type == MEMBER_REMOVE)
		rc = remove_it(j, who, why);
	else
		rc = move_leader(j, seen, who, why);
	if (rc == -EINPROGRESS && (!seen || j->now_ns >= seen->at_ns + j->again_ns))
		remember(j, from, number);
	return rc;
}
