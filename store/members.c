/* The context of a configuration; integers are little-endian, bytes: a u32 length, then so many.
 *
 *   u8   format 1
 *   u64  version
 *   u8   count, and for each:
 *     u64    id
 *     u64    added
 *     u8     flags    enum member_flag
 *     bytes  name     1 to STORE_NAME_MAX - 1
 *     bytes  address  HOST:PORT, or none
 *
 * Valid: a known format, no byte left over, no id twice, and an entry for every id of the configuration. Entries of ids that are not in it (any
 * more) mean nothing. */
#include "store/members.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1u

static int by_name(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	return strcmp(x->who.name, y->who.name);
}

void members_first(const struct store_member *list, uint32_t count, struct members *out)
{
	*out = (struct members){.count = count};
	for (uint32_t i = 0; i < count; i++) {
		uint64_t id = members_first_id(list[i].name);
		out->table[i] = (struct member){.id = id, .added = id, .flags = MEMBER_VOTES, .who = list[i]};
	}
	qsort(out->table, count, sizeof(out->table[0]), by_name);
	for (uint32_t i = 0; i < count; i++)
		out->raft.voters[out->raft.voters_count++] = out->table[i].id;
}

static const struct member *entry_of(const struct members *m, uint64_t id)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->table[i].id == id)
			return &m->table[i];
	return NULL;
}

static bool take_entry(struct reader *r, struct members *m)
{
	struct member one = {.id = reader_u64(r)};
	one.added = reader_u64(r);
	one.flags = reader_u8(r);
	if (!reader_text(r, one.who.name, sizeof(one.who.name)) || !reader_text(r, one.who.address, sizeof(one.who.address)))
		return false;
	if (one.id == 0 || one.who.name[0] == '\0' || (one.flags & ~MEMBER_VOTES) || entry_of(m, one.id))
		return false;
	m->table[m->count++] = one;
	return true;
}

static bool all_listed(const struct members *m, const uint64_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!entry_of(m, ids[i]))
			return false;
	return true;
}

int members_decode(const struct raft_members *raft, struct members *out)
{
	struct reader r = reader_over(raft->context, raft->context_size);
	struct members m = {.raft = *raft};

	m.raft.context = NULL;
	m.raft.context_size = 0;
	if (raft->voters_count == 0 && raft->context_size == 0) {
		*out = m;
		return 0;
	}
	if (reader_u8(&r) != FORMAT)
		reader_fail(&r);
	m.version = reader_u64(&r);
	uint32_t count = reader_u8(&r);
	if (count > STORE_MEMBERS_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < count; i++)
		if (!take_entry(&r, &m))
			return -EBADMSG;
	if (!reader_done(&r) || !all_listed(&m, m.raft.voters, m.raft.voters_count) ||
	    !all_listed(&m, m.raft.outgoing, m.raft.outgoing_count) || !all_listed(&m, m.raft.learners, m.raft.learners_count))
		return -EBADMSG;
	*out = m;
	return 0;
}

struct raft_members members_raft(const struct members *m, struct writer *context)
{
	struct raft_members raft = m->raft;

	writer_clear(context);
	writer_u8(context, FORMAT);
	writer_u64(context, m->version);
	writer_u8(context, (uint8_t)m->count);
	for (uint32_t i = 0; i < m->count; i++) {
		const struct member *one = &m->table[i];
		writer_u64(context, one->id);
		writer_u64(context, one->added);
		writer_u8(context, one->flags);
		writer_string(context, one->who.name);
		writer_string(context, one->who.address);
	}
	raft.context = context->data;
	raft.context_size = (uint32_t)context->size;
	return raft;
}

const struct member *members_find(const struct members *m, uint64_t id)
{
	return raft_members_has(&m->raft, id) ? entry_of(m, id) : NULL;
}

/* While a configuration is joint a name may stand for two ids: the one that stays is meant. */
const struct member *members_named(const struct members *m, const char *name)
{
	const struct member *found = NULL;
	for (uint32_t i = 0; i < m->count; i++) {
		const struct member *one = &m->table[i];
		if (strcmp(one->who.name, name) != 0 || !raft_members_has(&m->raft, one->id))
			continue;
		struct raft_members stays = m->raft;
		stays.outgoing_count = 0;
		if (!found || raft_members_has(&stays, one->id))
			found = one;
	}
	return found;
}

const struct member *members_called(const struct members *m, const char *text)
{
	const struct member *found = members_named(m, text);
	if (found || strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
		return found;
	return members_find(m, strtoull(text, NULL, 16));
}

static bool in_list(const uint64_t *ids, uint32_t count, uint64_t id)
{
	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

bool members_is_voter(const struct members *m, uint64_t id)
{
	return in_list(m->raft.voters, m->raft.voters_count, id);
}

static void list_drop(uint64_t *ids, uint32_t *count, uint64_t id)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < *count; i++)
		if (ids[i] != id)
			ids[kept++] = ids[i];
	*count = kept;
}

static int begin(const struct members *now, struct members *next)
{
	if (now->raft.outgoing_count > 0)
		return -EBUSY;
	*next = *now;
	next->version++;
	return 0;
}

static void entry_drop(struct members *m, uint64_t id)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < m->count; i++)
		if (m->table[i].id != id)
			m->table[kept++] = m->table[i];
	m->count = kept;
}

/* Entries of ids that a joint configuration has left behind. */
static void sweep(struct members *m)
{
	for (uint32_t i = m->count; i-- > 0;)
		if (!raft_members_has(&m->raft, m->table[i].id))
			entry_drop(m, m->table[i].id);
}

static bool address_taken(const struct members *m, const char *address)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (strcmp(m->table[i].who.address, address) == 0)
			return true;
	return false;
}

int members_add(const struct members *now, uint64_t id, const struct store_member *who, bool votes, struct members *next)
{
	struct members m;
	int rc = begin(now, &m);
	if (rc < 0)
		return rc;
	sweep(&m);
	if (entry_of(&m, id) || members_named(&m, who->name) || address_taken(&m, who->address))
		return -EEXIST;
	if (m.count == STORE_MEMBERS_MAX)
		return -ENOSPC;
	m.table[m.count++] = (struct member){.id = id, .added = id, .flags = votes ? MEMBER_VOTES : 0, .who = *who};
	m.raft.learners[m.raft.learners_count++] = id;
	*next = m;
	return 0;
}

int members_promote(const struct members *now, uint64_t id, struct members *next)
{
	struct members m;
	int rc = begin(now, &m);
	if (rc < 0)
		return rc;
	if (!members_find(&m, id))
		return -ENOENT;
	if (members_is_voter(&m, id))
		return -EEXIST;
	list_drop(m.raft.learners, &m.raft.learners_count, id);
	m.raft.voters[m.raft.voters_count++] = id;
	for (uint32_t i = 0; i < m.count; i++)
		if (m.table[i].id == id)
			m.table[i].flags |= MEMBER_VOTES;
	sweep(&m);
	*next = m;
	return 0;
}

int members_remove(const struct members *now, uint64_t id, struct members *next)
{
	struct members m;
	int rc = begin(now, &m);
	if (rc < 0)
		return rc;
	if (!members_find(&m, id))
		return -ENOENT;
	list_drop(m.raft.voters, &m.raft.voters_count, id);
	list_drop(m.raft.learners, &m.raft.learners_count, id);
	if (m.raft.voters_count == 0)
		return -EINVAL;
	sweep(&m);
	*next = m;
	return 0;
}

int members_replace(const struct members *now, uint64_t old, uint64_t id, const char *address, struct members *next)
{
	struct members without, m;
	const struct member *gone = members_find(now, old);
	if (!gone)
		return -ENOENT;
	int rc = members_remove(now, old, &without);
	if (rc < 0)
		return rc;
	struct store_member who = gone->who;
	if (address[0])
		snprintf(who.address, sizeof(who.address), "%s", address);
	rc = members_add(&without, id, &who, gone->flags & MEMBER_VOTES, &m);
	if (rc < 0)
		return rc;
	m.version = now->version + 1;
	m.table[m.count - 1].added = gone->added;
	*next = m;
	return 0;
}

int members_locate(const struct members *now, uint64_t id, const char *address, struct members *next)
{
	struct members m;
	int rc = begin(now, &m);
	if (rc < 0)
		return rc;
	sweep(&m);
	for (uint32_t i = 0; i < m.count; i++) {
		if (m.table[i].id != id)
			continue;
		if (m.table[i].who.address[0] || address_taken(&m, address))
			return -EEXIST;
		snprintf(m.table[i].who.address, sizeof(m.table[i].who.address), "%s", address);
		*next = m;
		return 0;
	}
	return -ENOENT;
}

static const struct raft_progress *progress_of(const struct raft_status *s, uint64_t id)
{
	for (uint32_t i = 0; i < s->members_count; i++)
		if (s->members[i].id == id)
			return &s->members[i];
	return NULL;
}

bool members_stand_without(const struct members *m, uint64_t id, const struct raft_status *status)
{
	uint32_t voters = 0, answering = 0;
	for (uint32_t i = 0; i < m->raft.voters_count; i++) {
		const struct raft_progress *p = progress_of(status, m->raft.voters[i]);
		if (m->raft.voters[i] == id)
			continue;
		voters++;
		answering += p && p->recent;
	}
	return answering > voters / 2;
}

bool members_due(const struct members *m, const struct raft_status *status, struct members *next)
{
	for (uint32_t i = 0; i < m->raft.learners_count; i++) {
		const struct member *one = members_find(m, m->raft.learners[i]);
		const struct raft_progress *p = progress_of(status, one->id);
		if (!(one->flags & MEMBER_VOTES) || !p || !p->recent || p->match == 0 || p->snapshot)
			continue;
		if (status->log_last - p->match <= RAFT_CAUGHT_UP_ENTRIES)
			return members_promote(m, one->id, next) == 0;
	}
	return false;
}

void members_text(const struct members *m, const struct raft_status *status, struct writer *out)
{
	struct members sorted = *m;
	char text[300];

	qsort(sorted.table, sorted.count, sizeof(sorted.table[0]), by_name);
	for (uint32_t i = 0; i < sorted.count; i++) {
		const struct member *one = &sorted.table[i];
		const struct raft_progress *p = progress_of(status, one->id);
		if (!raft_members_has(&m->raft, one->id))
			continue;
		int size = snprintf(text, sizeof(text), "%016" PRIx64 " %s %s %s", one->id, one->who.name,
				    one->who.address[0] ? one->who.address : "-", members_is_voter(m, one->id) ? "voter" : "learner");
		writer_raw(out, text, (size_t)size);
		if (p && status->role == RAFT_LEADER) {
			size = snprintf(text, sizeof(text), " %" PRIu64, p->match);
			writer_raw(out, text, (size_t)size);
		}
		writer_u8(out, '\n');
	}
}
