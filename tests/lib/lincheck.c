/* The history, and how it is cut into components for the search. What is done to it first, and why that loses nothing:
 *   - reads of unknown outcome and what surely failed are left out: they tell nothing;
 *   - an operation of unknown outcome whose id was seen by a read took effect before that read returned, if no other operation carries the id;
 *   - contents that nobody saw, whole or as the beginning of more, cannot be told from one another but by their being there. */
#include "tests/lib/lincheck_search.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An id that operations carry. */
struct carried {
	uint32_t carriers;
	bool in_contents;
	int64_t seen; /* the earliest return of an operation that saw it; INT64_MAX: none */
};

struct recorded {
	struct lin_op op; /* without `seen` */
	uint32_t seen;    /* node */
	uint64_t last;    /* id of what it saw; 0: none */
};

struct lin_history {
	struct recorded *ops;
	uint32_t count;
	uint32_t capacity;
	struct lin_contents contents;
	struct lin_map ids; /* id to number in `carried` */
	struct carried *carried;
	uint32_t carried_count;
	uint32_t carried_capacity;
};

static void *more(void *p, uint32_t count, uint32_t *capacity, size_t size)
{
	if (count < *capacity)
		return p;
	*capacity = *capacity ? 2 * *capacity : 64;
	p = reallocarray(p, *capacity, size);
	if (!p)
		abort();
	return p;
}

struct lin_history *lin_new(void)
{
	struct lin_history *h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	h->contents.count = LIN_NODE_FIRST;
	return h;
}

void lin_free(struct lin_history *h)
{
	if (!h)
		return;
	lin_map_free(&h->contents.children);
	lin_map_free(&h->ids);
	free(h->carried);
	free(h->ops);
	free(h);
}

static struct carried *carried(struct lin_history *h, uint64_t id)
{
	uint64_t *number = lin_map_put(&h->ids, id, 0, h->carried_count);
	if (*number == h->carried_count) {
		h->carried = more(h->carried, h->carried_count, &h->carried_capacity, sizeof(*h->carried));
		h->carried[h->carried_count++] = (struct carried){0, false, INT64_MAX};
	}
	return &h->carried[*number];
}

static bool has_value(const struct lin_op *op)
{
	return op->kind == LIN_WRITE || op->kind == LIN_APPEND || op->kind == LIN_CREATE || op->kind == LIN_SWAP;
}

static bool has_seen(const struct lin_op *op)
{
	return op->kind == LIN_READ || op->kind == LIN_SWAP;
}

/* The node of a content, made with all that it begins with. */
static uint32_t node_of(struct lin_history *h, const struct lin_op *op)
{
	uint32_t node = LIN_NODE_EMPTY;
	if (op->seen_count == LIN_ABSENT)
		return LIN_NODE_ABSENT;
	for (uint32_t i = 0; i < op->seen_count; i++) {
		uint64_t *next = lin_map_put(&h->contents.children, node, op->seen[i], h->contents.count);
		if (*next == h->contents.count)
			h->contents.count++;
		node = (uint32_t)*next;
		struct carried *c = carried(h, op->seen[i]);
		c->in_contents = true;
		if (op->outcome == LIN_OK && op->returned < c->seen)
			c->seen = op->returned;
	}
	return node;
}

uint32_t lin_add(struct lin_history *h, const struct lin_op *op)
{
	h->ops = more(h->ops, h->count, &h->capacity, sizeof(*h->ops));
	struct recorded *r = &h->ops[h->count];
	*r = (struct recorded){.op = *op};
	r->op.seen = NULL;
	if (has_seen(op) && op->outcome != LIN_FAILED)
		r->seen = node_of(h, op);
	if (has_seen(op) && op->seen_count != LIN_ABSENT && op->seen_count > 0)
		r->last = op->seen[op->seen_count - 1];
	if (has_value(op) && op->outcome != LIN_FAILED && op->outcome != LIN_REFUSED)
		carried(h, op->value)->carriers++;
	return h->count++;
}

uint32_t lin_count(const struct lin_history *h)
{
	return h->count;
}

/* --- components --- */

/* The keys, joined by renames: `parent` leads to the one that stands for the component. */
struct keys {
	struct lin_map numbers;
	uint32_t *parent;
	uint32_t *place; /* of the key within its component */
	uint32_t count;
};

static bool left_out(const struct lin_op *op)
{
	return op->outcome == LIN_FAILED || (op->outcome == LIN_UNKNOWN && op->kind == LIN_READ);
}

static uint32_t key_number(struct keys *k, uint64_t key)
{
	uint64_t *number = lin_map_put(&k->numbers, key, 0, k->count);
	if (*number == k->count) {
		k->parent[k->count] = k->count;
		k->count++;
	}
	return (uint32_t)*number;
}

static uint32_t root_of(const struct keys *k, uint32_t key)
{
	while (k->parent[key] != key) {
		k->parent[key] = k->parent[k->parent[key]];
		key = k->parent[key];
	}
	return key;
}

static void join_keys(const struct lin_history *h, struct keys *k)
{
	size_t room = 2 * (size_t)h->count + 1;
	k->parent = calloc(room, sizeof(*k->parent));
	k->place = calloc(room, sizeof(*k->place));
	uint32_t *sizes = calloc(room, sizeof(*sizes));
	if (!k->parent || !k->place || !sizes)
		abort();
	for (uint32_t i = 0; i < h->count; i++) {
		const struct lin_op *op = &h->ops[i].op;
		uint32_t key = key_number(k, op->key);
		if (op->kind == LIN_RENAME && !left_out(op)) {
			uint32_t other = key_number(k, op->other);
			k->parent[root_of(k, other)] = root_of(k, key);
		}
	}
	for (uint32_t i = 0; i < k->count; i++)
		k->place[i] = sizes[root_of(k, i)]++;
	free(sizes);
}

/* A success of unknown time whose id was seen is a success of bounded time. */
static void bound_by_sight(const struct lin_history *h, const struct lin_op *op, struct lin_step *s)
{
	const uint64_t *number = has_value(op) && op->value != 0 ? lin_map_get(&h->ids, op->value, 0) : NULL;
	if (!number || h->carried[*number].carriers != 1 || h->carried[*number].seen == INT64_MAX)
		return;
	s->open = false;
	s->returned = h->carried[*number].seen < op->called ? op->called : h->carried[*number].seen;
}

static void hash_effect(const struct lin_op *op, struct lin_step *s)
{
	uint64_t hash = lin_mix((uint64_t)s->kind << 32 | s->key);
	if (s->kind == LIN_RENAME)
		hash = lin_mix(hash + s->other);
	if (s->kind == LIN_SWAP)
		hash = lin_mix(hash + s->seen);
	if (s->kind == LIN_APPEND)
		hash = lin_mix(hash + op->value);
	if (has_value(op))
		hash = lin_mix(hash + s->node);
	s->effect = hash;
}

/* What an append adds, nobody saw: then nobody can tell what it was added to. */
static bool adds_unseen(const struct lin_history *h, const struct lin_op *op)
{
	const uint64_t *number = op->kind == LIN_APPEND && op->outcome != LIN_REFUSED ? lin_map_get(&h->ids, op->value, 0) : NULL;
	return number && !h->carried[*number].in_contents;
}

static struct lin_step step_of(const struct lin_history *h, const struct keys *k, uint32_t number)
{
	const struct recorded *r = &h->ops[number];
	const struct lin_op *op = &r->op;
	struct lin_step s = {.kind = op->kind,
			     .refused = op->outcome == LIN_REFUSED,
			     .open = op->outcome == LIN_UNKNOWN,
			     .key = k->place[*lin_map_get(&k->numbers, op->key, 0)],
			     .seen = r->seen,
			     .value = op->value,
			     .node = op->value == 0 ? LIN_NODE_EMPTY : lin_contents_next(&h->contents, LIN_NODE_EMPTY, op->value),
			     .number = number,
			     .called = op->called,
			     .returned = op->returned < op->called ? op->called : op->returned};
	if (op->kind == LIN_RENAME)
		s.other = k->place[*lin_map_get(&k->numbers, op->other, 0)];
	if (s.open) {
		s.returned = INT64_MAX;
		bound_by_sight(h, op, &s);
	}
	if (adds_unseen(h, op)) {
		s.kind = LIN_WRITE;
		s.node = LIN_NODE_OTHER;
	}
	hash_effect(op, &s);
	return s;
}

/* --- the verdict --- */

static const char *const kinds[] = {"read", "write", "append", "create", "delete", "rename", "swap"};
static const char *const outcomes[] = {"", ", refused", ", outcome unknown", ", failed"};

struct report {
	struct lin_result *out;
	size_t size;
};

static void say(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct report *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(r->out->report + r->size, sizeof(r->out->report) - r->size, format, args);
	va_end(args);
	r->size += n > 0 ? (size_t)n : 0;
	if (r->size >= sizeof(r->out->report))
		r->size = sizeof(r->out->report) - 1;
}

static void say_op(struct report *r, const struct lin_history *h, uint32_t number)
{
	const struct lin_op *op = &h->ops[number].op;
	say(r, "  #%" PRIu32 " client %" PRIu32 ": %s of key %" PRIu64, number, op->client, kinds[op->kind], op->key);
	if (op->kind == LIN_RENAME)
		say(r, " to key %" PRIu64, op->other);
	if (has_value(op))
		say(r, ", id %" PRIu64, op->value);
	if (has_seen(op) && op->seen_count == LIN_ABSENT)
		say(r, ", absent");
	else if (has_seen(op))
		say(r, ", %" PRIu32 " ids, the last %" PRIu64, op->seen_count, h->ops[number].last);
	say(r, "%s, called %" PRId64, outcomes[op->outcome], op->called);
	if (op->outcome == LIN_OK || op->outcome == LIN_REFUSED)
		say(r, ", returned %" PRId64, op->returned);
	say(r, "\n");
}

#define BEFORE_MAX 8u
#define WITHIN_MAX 16u

static int by_return(const void *a, const void *b)
{
	const struct lin_step *x = a, *y = b;
	return (x->returned > y->returned) - (x->returned < y->returned);
}

/* What was under way with the culprit, what ended last before it, and who made what it saw. */
static void say_window(struct report *r, const struct lin_history *h, struct lin_component *c, const struct lin_step *culprit)
{
	uint32_t before = 0, within = 0, end = c->steps_count;
	uint64_t last = h->ops[culprit->number].last;

	say(r, "it ran with:\n");
	for (uint32_t i = 0; i < c->steps_count && within < WITHIN_MAX; i++) {
		const struct lin_step *s = &c->steps[i];
		if (s->number == culprit->number || s->called > culprit->returned || s->returned < culprit->called)
			continue;
		r->out->from = s->called < r->out->from ? s->called : r->out->from;
		say_op(r, h, s->number);
		within++;
	}
	say(r, "before it, the latest first:\n");
	while (end > 0 && before < BEFORE_MAX) {
		const struct lin_step *s = &c->steps[--end];
		if (s->returned >= culprit->called)
			continue;
		say_op(r, h, s->number);
		before++;
	}
	for (uint32_t i = 0; i < h->count && last != 0; i++)
		if (has_value(&h->ops[i].op) && h->ops[i].op.value == last) {
			say(r, "what it saw was made by:\n");
			say_op(r, h, i);
			break;
		}
}

static void tell(const struct lin_history *h, struct lin_component *c, const struct lin_found *found, struct lin_result *out)
{
	struct report r = {out, 0};
	const struct lin_step culprit = c->steps[found->culprit];

	if (out->verdict == LIN_BAD || (out->verdict == LIN_GAVE_UP && found->verdict == LIN_GAVE_UP))
		return;
	out->verdict = found->verdict;
	out->op = culprit.number;
	out->key = h->ops[culprit.number].op.key;
	out->from = culprit.called;
	out->to = culprit.returned;
	say(&r, found->verdict == LIN_BAD ? "no order of the operations explains, by its return:\n" : "gave up, and came as far as:\n");
	say_op(&r, h, culprit.number);
	qsort(c->steps, c->steps_count, sizeof(*c->steps), by_return);
	say_window(&r, h, c, &culprit);
}

static void check_component(const struct lin_history *h, struct lin_component *c, const struct lin_limits *limits, struct lin_result *out)
{
	struct lin_found found = {0};
	uint64_t steps_max = limits && limits->steps_max ? limits->steps_max : LIN_STEPS_MAX;
	size_t bytes_max = limits && limits->bytes_max ? limits->bytes_max : LIN_BYTES_MAX;

	lin_search(c, steps_max > out->steps ? steps_max - out->steps : 0, bytes_max, &found);
	out->steps += found.steps;
	out->keys++;
	if (found.verdict != LIN_GOOD)
		tell(h, c, &found, out);
}

struct item {
	uint32_t root;
	uint32_t number;
};

static int by_root(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	if (x->root != y->root)
		return x->root < y->root ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

/* The operations that tell something, those of a component together. */
static struct item *list_items(const struct lin_history *h, const struct keys *k, uint32_t *count)
{
	struct item *items = calloc((size_t)h->count + 1, sizeof(*items));
	if (!items)
		abort();
	*count = 0;
	for (uint32_t i = 0; i < h->count; i++)
		if (!left_out(&h->ops[i].op))
			items[(*count)++] = (struct item){root_of(k, (uint32_t)*lin_map_get(&k->numbers, h->ops[i].op.key, 0)), i};
	qsort(items, *count, sizeof(*items), by_root);
	return items;
}

void lin_check(const struct lin_history *h, const struct lin_limits *limits, struct lin_result *out)
{
	struct keys k = {0};
	struct lin_component c = {.contents = &h->contents};
	uint32_t count;

	*out = (struct lin_result){.verdict = LIN_GOOD};
	join_keys(h, &k);
	struct item *items = list_items(h, &k, &count);
	c.steps = calloc((size_t)count + 1, sizeof(*c.steps));
	if (!c.steps)
		abort();
	for (uint32_t i = 0; i < count; i++) {
		struct lin_step *s = &c.steps[c.steps_count++];
		*s = step_of(h, &k, items[i].number);
		c.keys_count = s->key >= c.keys_count ? s->key + 1 : c.keys_count;
		c.keys_count = s->other >= c.keys_count ? s->other + 1 : c.keys_count;
		if (i + 1 == count || items[i + 1].root != items[i].root) {
			check_component(h, &c, limits, out);
			c.steps_count = c.keys_count = 0;
		}
	}
	free(c.steps);
	free(items);
	lin_map_free(&k.numbers);
	free(k.parent);
	free(k.place);
}
