#include "tests/sim/admin.h"
#include "tests/sim/checks.h"
#include "tests/sim/disk.h"
#include "store/member_request.h"
#include "store/membership.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APART_NS (3 * SECOND)

/* A question to the leader on its way. */
struct asked {
	struct store_op op; /* first: done() casts back */
	struct member_request request;
	struct wait_list waiter;
	bool done;
};

static enum admin_mode mode;
static int64_t until;

/* --- what is --- */

static const struct store *leader(void)
{
	const struct store *found = NULL;
	uint64_t term = 0;
	for (uint32_t i = 0; i < machines_count; i++) {
		struct store *s = machines[i].store;
		if (!s || !s->raft || !checks_leads(&machines[i]) || s->status.term < term)
			continue;
		found = s;
		term = s->status.term;
	}
	return found;
}

static const struct members *leaders_table(void)
{
	const struct store *s = leader();
	return s ? &s->shown.members : NULL;
}

static const struct member *member_of(const struct members *t, const struct machine *m)
{
	char name[8];
	snprintf(name, sizeof(name), "n%u", m->number);
	const struct member *one = t ? members_named(t, name) : NULL;
	return one && m->store && one->id == m->store->identity.id ? one : NULL;
}

bool admin_is_member(const struct machine *m)
{
	return member_of(leaders_table(), m) != NULL;
}

/* A place counts once it is committed: until then the loss of another disk may be one too many. */
void admin_look(void)
{
	const struct store *s = leader();
	const struct members *t = s ? &s->shown.members : NULL;
	if (!s || !membership_is_committed(s->membership) || membership_now(s->membership)->version != t->version)
		return;
	for (uint32_t i = 0; i < machines_count; i++) {
		struct machine *m = &machines[i];
		const struct member *one = m->rejoins ? member_of(t, m) : NULL;
		if (!one || !members_is_voter(t, one->id))
			continue;
		m->rejoins = false;
		happened(HAPPENED_rejoined, m->number, one->id, 0);
	}
}

bool admin_may_lose(const struct machine *m)
{
	if (mode != ADMIN_WIPES || machines_count < 3 || m->rejoins)
		return false;
	for (uint32_t i = 0; i < machines_count; i++)
		if (machines[i].damaged || machines[i].lost || machines[i].rejoins)
			return false;
	return true;
}

void admin_replace(struct machine *m)
{
	happened(HAPPENED_wiped, m->number, 0, 0);
	machine_die(m, DEATH_KILL);
	disk_replace(m);
	checks_forget(m);
	m->rejoins = true;
}

/* --- what is asked for --- */

static void on_done(struct store_op *op)
{
	struct asked *a = (struct asked *)op;
	writer_free(&a->op.result.reply);
	a->done = true;
	wake_all(&a->waiter);
}

static int ask(struct machine *m, const struct member_request *q)
{
	struct asked *a = calloc(1, sizeof(*a));
	a->op.done = on_done;
	a->request = *q;
	store_member_request(m->store, &a->request, &a->op);
	while (!a->done)
		fiber_wait(&a->waiter, NEVER);
	int error = a->op.result.error;
	free(a);
	happened(HAPPENED_member_change, m->number, q->type, (uint64_t)(int64_t)error);
	return error;
}

static struct machine *any_of(bool idle)
{
	struct machine *found = NULL;
	uint64_t seen = 0;
	for (uint32_t i = 0; i < machines_count; i++)
		if (machines[i].idle == idle && one_in(++seen))
			found = &machines[i];
	return found;
}

static void name_of(const struct machine *m, char *out, size_t size)
{
	snprintf(out, size, "n%u", m->number);
}

static uint32_t machines_of(const struct members *t)
{
	uint32_t bits = 0;
	for (uint32_t i = 0; t && i < t->count; i++)
		bits |= 1u << (strtoul(t->table[i].who.name + 1, NULL, 10) - 1);
	return bits;
}

static void add(struct machine *asks, struct machine *m)
{
	m->joins_by = machines_of(leaders_table());
	if (m->joins_by == 0)
		return;
	struct member_request q = {.type = MEMBER_ADD, .votes = !one_in(4), .id = draw() | 1};
	name_of(m, q.who.name, sizeof(q.who.name));
	snprintf(q.who.address, sizeof(q.who.address), "m%u:7701", m->number);
	m->idle = false;
	machine_start(m);
	ask(asks, &q);
}

/* It is not switched off at once: who was removed must not disturb. */
static void take_away(void *arg, uint64_t boots)
{
	struct machine *m = arg;
	(void)boots;
	machine_die(m, DEATH_KILL);
	disk_replace(m);
	checks_forget(m);
	m->idle = true;
}

static void remove_member(struct machine *asks, struct machine *m)
{
	struct member_request q = {.type = MEMBER_REMOVE};
	const struct members *t = leaders_table();
	if (!t || t->raft.voters_count < 3)
		return;
	name_of(m, q.target, sizeof(q.target));
	int error = ask(asks, &q);
	if (error == 0)
		at(world_now() + draw_between(10, 3000) * MS, take_away, m, 0);
}

static void promote(struct machine *asks, struct machine *m)
{
	struct member_request q = {.type = MEMBER_PROMOTE};
	name_of(m, q.target, sizeof(q.target));
	ask(asks, &q);
}

static void move_leader(struct machine *asks, struct machine *m)
{
	struct member_request q = {.type = MEMBER_MOVE_LEADER};
	name_of(m, q.target, sizeof(q.target));
	ask(asks, &q);
}

/* Two changes in one step, through a joint configuration: one member goes and another becomes a learner or a voter. Nobody asks the store for that
 * yet, so it is done between two turns of the loop. */
static void change_two(struct machine *m)
{
	struct store *s = m->store;
	const struct members *t = leaders_table();
	struct members next, after;
	struct writer context = {0};
	if (!checks_leads(m) || !m->polls.first || !t || t->count < 4)
		return;
	const struct member *a = &t->table[draw_below(t->count)], *b = &t->table[draw_below(t->count)];
	if (a == b || members_remove(t, a->id, &next) < 0 || members_promote(&next, b->id, &after) < 0)
		return;
	struct raft_members raft = members_raft(&after, &context);
	int error = raft_change(s->raft, &raft);
	writer_free(&context);
	happened(HAPPENED_member_change, m->number, 99, (uint64_t)(int64_t)error);
	loop_wake(s);
}

static void *act(void *arg)
{
	struct machine *m = arg;
	struct machine *idle = any_of(true), *other = any_of(false);
	uint64_t what = draw_below(10);
	/* It may have stopped at the same moment, before its turn came. */
	if (!m->store || m->stopping)
		return NULL;
	if (idle && what < 4)
		add(m, idle);
	else if (what < 6)
		remove_member(m, other);
	else if (what < 7)
		promote(m, other);
	else if (what < 8)
		change_two(m);
	else
		move_leader(m, other);
	return NULL;
}

static void next(void *arg, uint64_t tag)
{
	(void)arg, (void)tag;
	if (world_now() > until)
		return;
	struct machine *m = any_of(false);
	if (mode == ADMIN_CHANGES && m && m->store && !m->stopping)
		fiber_detach(fiber_start(m, act, m));
	if (mode == ADMIN_WIPES && m && admin_may_lose(m)) {
		admin_replace(m);
		machine_start_later(m);
	}
	at(world_now() + 1 + (int64_t)draw_below(2 * APART_NS * (mode == ADMIN_WIPES ? 3 : 1)), next, NULL, 0);
}

void admin_begin(enum admin_mode wanted, int64_t until_ns)
{
	mode = wanted;
	until = until_ns;
	if (mode != ADMIN_NOTHING)
		at(world_now() + draw_between(1, 8) * SECOND, next, NULL, 0);
}
