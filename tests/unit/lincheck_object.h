/* lincheck_object.h: files as they really are, one operation after another, and a checker that tries every order: what the checker of
 * histories is measured against. */
#ifndef TALLY_TESTS_UNIT_LINCHECK_OBJECT_H
#define TALLY_TESTS_UNIT_LINCHECK_OBJECT_H

#include "tests/lib/lincheck.h"

#include <stdbool.h>
#include <string.h>

#define OBJECT_KEYS 3
#define OBJECT_IDS_MAX 512
#define BRUTE_OPS_MAX 10

struct content {
	uint32_t count; /* LIN_ABSENT: no such file */
	uint64_t ids[OBJECT_IDS_MAX];
};

struct object {
	struct content keys[OBJECT_KEYS];
};

static inline void object_init(struct object *o)
{
	for (unsigned i = 0; i < OBJECT_KEYS; i++)
		o->keys[i].count = LIN_ABSENT;
}

static inline void content_set(struct content *c, uint64_t id)
{
	c->count = id != 0;
	c->ids[0] = id;
}

static inline bool content_is(const struct content *c, const uint64_t *ids, uint32_t count)
{
	return c->count == count && (count == LIN_ABSENT || memcmp(c->ids, ids, count * sizeof(*ids)) == 0);
}

static inline void object_rename(struct object *o, uint64_t from, uint64_t to)
{
	if (from == to)
		return;
	struct content *a = &o->keys[from], *b = &o->keys[to];
	b->count = a->count;
	memcpy(b->ids, a->ids, a->count * sizeof(*a->ids));
	a->count = LIN_ABSENT;
}

/* Runs it: true if it succeeds, false if it is refused, which changes nothing. A read succeeds if it sees what the operation says. */
static inline bool object_run(struct object *o, const struct lin_op *op)
{
	struct content *c = &o->keys[op->key];
	bool absent = c->count == LIN_ABSENT;

	switch (op->kind) {
	case LIN_READ:
		return content_is(c, op->seen, op->seen_count);
	case LIN_APPEND:
		if (absent)
			c->count = 0;
		c->ids[c->count++] = op->value;
		return true;
	case LIN_CREATE:
		if (!absent)
			return false;
		break;
	case LIN_SWAP:
		if (!content_is(c, op->seen, op->seen_count))
			return false;
		break;
	case LIN_DELETE:
		c->count = LIN_ABSENT;
		return !absent;
	case LIN_RENAME:
		if (!absent)
			object_rename(o, op->key, op->other);
		return !absent;
	case LIN_WRITE:
		break;
	}
	content_set(c, op->value);
	return true;
}

/* May this one come next, of those that are not done? */
static inline bool may_be_next(const struct lin_op *ops, uint32_t count, uint32_t done, uint32_t next)
{
	for (uint32_t i = 0; i < count; i++)
		if (!(done >> i & 1) && i != next && ops[i].outcome != LIN_UNKNOWN && ops[i].returned < ops[next].called)
			return false;
	return true;
}

/* Is there an order, whatever it is? At most BRUTE_OPS_MAX operations, none failed, none an append that is refused. */
static inline bool brute_force(const struct lin_op *ops, uint32_t count, uint32_t done, const struct object *o)
{
	bool all = true;
	for (uint32_t i = 0; i < count; i++)
		all = all && (done >> i & 1 || ops[i].outcome == LIN_UNKNOWN);
	if (all)
		return true;
	for (uint32_t i = 0; i < count; i++) {
		if (done >> i & 1 || !may_be_next(ops, count, done, i))
			continue;
		struct object next = *o;
		bool ok = object_run(&next, &ops[i]);
		if (ops[i].outcome != LIN_UNKNOWN && ok != (ops[i].outcome == LIN_OK))
			continue;
		if (brute_force(ops, count, done | 1u << i, &next))
			return true;
	}
	return false;
}

#endif
