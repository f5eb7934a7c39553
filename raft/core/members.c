/* members.c: the format of a configuration. Little-endian, as base/codec.h writes it.
 *
 *   u8    version         1
 *   u8    voters          how many, at most RAFT_MEMBERS_MAX; likewise:
 *   u8    outgoing
 *   u8    learners
 *   u64   each voter, then each outgoing one, then each learner
 *   bytes context         u32 length (at most RAFT_CONTEXT_BYTES_MAX), then the bytes
 *
 * Valid is what fits this, keeps the rules of struct raft_members, and has not a byte more. */
#include "raft/core/members.h"

#include <errno.h>
#include <string.h>

enum { MEMBERS_VERSION = 1 };

static bool listed(const uint64_t *ids, uint32_t count, uint64_t id)
{
	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool distinct(const uint64_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == 0 || listed(ids, i, ids[i]))
			return false;
	return true;
}

bool members_votes(const struct raft_members *m, uint64_t id)
{
	return listed(m->voters, m->voters_count, id) || listed(m->outgoing, m->outgoing_count, id);
}

bool members_learns(const struct raft_members *m, uint64_t id)
{
	return listed(m->learners, m->learners_count, id);
}

bool raft_members_has(const struct raft_members *m, uint64_t id)
{
	return members_votes(m, id) || members_learns(m, id);
}

static uint32_t add_ids(uint64_t *out, uint32_t count, const uint64_t *ids, uint32_t ids_count)
{
	for (uint32_t i = 0; i < ids_count; i++)
		if (!listed(out, count, ids[i]))
			out[count++] = ids[i];
	return count;
}

uint32_t members_ids(const struct raft_members *m, uint64_t *out)
{
	uint32_t count = add_ids(out, 0, m->voters, m->voters_count);
	count = add_ids(out, count, m->outgoing, m->outgoing_count);
	return add_ids(out, count, m->learners, m->learners_count);
}

bool members_valid(const struct raft_members *m)
{
	uint64_t ids[3 * RAFT_MEMBERS_MAX];
	if (m->voters_count > RAFT_MEMBERS_MAX || m->outgoing_count > RAFT_MEMBERS_MAX || m->learners_count > RAFT_MEMBERS_MAX)
		return false;
	if (!distinct(m->voters, m->voters_count) || !distinct(m->outgoing, m->outgoing_count) || !distinct(m->learners, m->learners_count))
		return false;
	for (uint32_t i = 0; i < m->learners_count; i++)
		if (listed(m->voters, m->voters_count, m->learners[i]))
			return false;
	if (m->voters_count == 0 && (m->outgoing_count > 0 || m->learners_count > 0))
		return false;
	return members_ids(m, ids) <= RAFT_MEMBERS_MAX && m->context_size <= RAFT_CONTEXT_BYTES_MAX;
}

static bool same_set(const uint64_t *a, uint32_t a_count, const uint64_t *b, uint32_t b_count)
{
	for (uint32_t i = 0; i < a_count; i++)
		if (!listed(b, b_count, a[i]))
			return false;
	return a_count == b_count;
}

bool members_same(const struct raft_members *a, const struct raft_members *b)
{
	return !members_joint(a) && !members_joint(b) && same_set(a->voters, a->voters_count, b->voters, b->voters_count) &&
	       same_set(a->learners, a->learners_count, b->learners, b->learners_count) && a->context_size == b->context_size &&
	       (a->context_size == 0 || memcmp(a->context, b->context, a->context_size) == 0);
}

uint32_t members_voters_changed(const struct raft_members *a, const struct raft_members *b)
{
	uint32_t changed = 0;
	for (uint32_t i = 0; i < a->voters_count; i++)
		changed += !listed(b->voters, b->voters_count, a->voters[i]);
	for (uint32_t i = 0; i < b->voters_count; i++)
		changed += !listed(a->voters, a->voters_count, b->voters[i]);
	return changed;
}

static void encode_ids(struct writer *w, const uint64_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		writer_u64(w, ids[i]);
}

void raft_members_encode(struct writer *w, const struct raft_members *m)
{
	writer_u8(w, MEMBERS_VERSION);
	writer_u8(w, (uint8_t)m->voters_count);
	writer_u8(w, (uint8_t)m->outgoing_count);
	writer_u8(w, (uint8_t)m->learners_count);
	encode_ids(w, m->voters, m->voters_count);
	encode_ids(w, m->outgoing, m->outgoing_count);
	encode_ids(w, m->learners, m->learners_count);
	writer_bytes(w, m->context, m->context_size);
}

static uint32_t decode_count(struct reader *r)
{
	uint8_t count = reader_u8(r);
	if (count > RAFT_MEMBERS_MAX)
		reader_fail(r);
	return r->failed ? 0 : count;
}

static void decode_ids(struct reader *r, uint64_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		ids[i] = reader_u64(r);
}

int raft_members_decode(struct span bytes, struct raft_members *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct raft_members m = {0};
	if (reader_u8(&r) != MEMBERS_VERSION)
		reader_fail(&r);
	m.voters_count = decode_count(&r);
	m.outgoing_count = decode_count(&r);
	m.learners_count = decode_count(&r);
	decode_ids(&r, m.voters, m.voters_count);
	decode_ids(&r, m.outgoing, m.outgoing_count);
	decode_ids(&r, m.learners, m.learners_count);
	struct span context = reader_bytes(&r, RAFT_CONTEXT_BYTES_MAX);
	m.context = context.size > 0 ? context.data : NULL;
	m.context_size = (uint32_t)context.size;
	if (!reader_done(&r) || !members_valid(&m))
		return -EBADMSG;
	*out = m;
	return 0;
}
