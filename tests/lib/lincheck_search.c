/* Just-in-time linearization, depth first: calls and returns are walked in time order, and an operation takes effect only when a return asks
 * for it. A configuration is the state and the set of operations under way that have taken effect; one that was met before at the same place is
 * not tried again. What keeps the search small without losing an answer:
 *   - an operation that changes nothing (a read, a refusal) takes effect at the first moment at which it fits;
 *   - of operations under way with equal effect, the one that returns first takes effect first; one of unknown outcome never returns. */
#include "tests/lib/lincheck_search.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct event {
	int64_t time;
	uint32_t step;
	bool is_return;
};

/* Where a return finds its step without effect yet. The steps that may take effect there: those under way, by return, and the open ones that
 * have been called, which are the first of `open`. */
struct junction {
	size_t known;
	uint32_t known_count;
	uint32_t open_count;
};

struct search {
	const struct lin_component *c;
	struct event *events;
	uint32_t events_count;
	struct junction *junctions; /* an event each */
	uint32_t *known;            /* of all junctions, one after another */
	size_t known_size;
	size_t known_capacity;
	uint32_t *open; /* by call */
	uint32_t open_count;
	uint32_t words;  /* of a set */
	uint32_t config; /* 64-bit words of a configuration: the place, the set, the state */

	uint64_t *stack; /* configurations, the first word of each with the next candidate above the place */
	size_t depth;
	size_t stack_capacity;
	uint64_t *met; /* the cache's configurations */
	size_t met_count;
	size_t met_capacity;
	uint32_t *table; /* number + 1 of a configuration */
	size_t table_size;
	uint32_t furthest;
	struct lin_found found;
};

static void *grown(void *p, size_t count, size_t size)
{
	p = reallocarray(p, count ? count : 1, size);
	if (!p)
		abort();
	return p;
}

uint32_t lin_contents_next(const struct lin_contents *c, uint32_t node, uint64_t id)
{
	if (node == LIN_NODE_OTHER)
		return node;
	const uint64_t *next = lin_map_get(&c->children, node == LIN_NODE_ABSENT ? LIN_NODE_EMPTY : node, id);
	return next ? (uint32_t)*next : LIN_NODE_OTHER;
}

static bool changes_nothing(const struct lin_step *s)
{
	return s->kind == LIN_READ || s->refused;
}

/* Does a refusal or a read fit the state? */
static bool fits(const struct lin_step *s, const uint32_t *state)
{
	uint32_t now = state[s->key];
	switch (s->kind) {
	case LIN_READ:
		return now == s->seen;
	case LIN_CREATE:
		return now != LIN_NODE_ABSENT;
	case LIN_SWAP:
		return now != s->seen;
	case LIN_WRITE:
	case LIN_APPEND:
	case LIN_DELETE:
	case LIN_RENAME:
		break;
	}
	return now == LIN_NODE_ABSENT;
}

/* Takes effect on the state; false, with the state unchanged, if it could not have been a success there. */
static bool take_effect(const struct lin_contents *c, const struct lin_step *s, uint32_t *state)
{
	uint32_t now = state[s->key], next = s->node;
	switch (s->kind) {
	case LIN_APPEND:
		next = lin_contents_next(c, now, s->value);
		break;
	case LIN_CREATE:
		if (now != LIN_NODE_ABSENT)
			return false;
		break;
	case LIN_SWAP:
		if (now != s->seen)
			return false;
		break;
	case LIN_DELETE:
	case LIN_RENAME:
		if (now == LIN_NODE_ABSENT)
			return false;
		next = LIN_NODE_ABSENT;
		break;
	case LIN_READ:
	case LIN_WRITE:
		break;
	}
	state[s->key] = next;
	if (s->kind == LIN_RENAME)
		state[s->other] = now;
	return true;
}

static uint64_t *set_of(uint64_t *config)
{
	return config + 1;
}

static uint32_t *state_of(const struct search *s, uint64_t *config)
{
	return (uint32_t *)(config + 1 + s->words);
}

static bool is_set(const uint64_t *set, uint32_t slot)
{
	return set[slot / 64] >> slot % 64 & 1;
}

static void put(uint64_t *set, uint32_t slot, bool on)
{
	uint64_t bit = (uint64_t)1 << slot % 64;
	set[slot / 64] = on ? set[slot / 64] | bit : set[slot / 64] & ~bit;
}

/* --- the plan of the walk --- */

static int by_call(const void *a, const void *b)
{
	const struct lin_step *x = a, *y = b;
	if (x->called != y->called)
		return x->called < y->called ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

/* Calls come first in an instant. */
static int by_time(const void *a, const void *b)
{
	const struct event *x = a, *y = b;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->is_return != y->is_return)
		return x->is_return ? 1 : -1;
	return (x->step > y->step) - (x->step < y->step);
}

static void list_open(struct search *s, uint32_t step, struct lin_map *last)
{
	uint64_t *before = lin_map_put(last, s->c->steps[step].effect, 0, UINT32_MAX);
	s->c->steps[step].before = (uint32_t)*before;
	*before = step;
	s->open[s->open_count++] = step;
}

static void list_events(struct search *s)
{
	struct lin_map last = {0};
	s->events = grown(NULL, 2 * (size_t)s->c->steps_count, sizeof(*s->events));
	s->open = grown(NULL, s->c->steps_count, sizeof(*s->open));
	for (uint32_t i = 0; i < s->c->steps_count; i++) {
		const struct lin_step *step = &s->c->steps[i];
		s->events[s->events_count++] = (struct event){step->called, i, false};
		if (step->open)
			list_open(s, i, &last);
		else
			s->events[s->events_count++] = (struct event){step->returned, i, true};
	}
	lin_map_free(&last);
	qsort(s->events, s->events_count, sizeof(*s->events), by_time);
}

/* The steps under way stay ordered by return. */
static void note_call(const struct search *s, uint32_t *under_way, uint32_t *count, uint32_t step)
{
	uint32_t at = (*count)++;
	while (at > 0 && s->c->steps[under_way[at - 1]].returned > s->c->steps[step].returned) {
		under_way[at] = under_way[at - 1];
		at--;
	}
	under_way[at] = step;
}

static void note_return(uint32_t *under_way, uint32_t *count, uint32_t step)
{
	uint32_t at = 0;
	while (under_way[at] != step)
		at++;
	(*count)--;
	memmove(&under_way[at], &under_way[at + 1], (*count - at) * sizeof(*under_way));
}

static void note_junction(struct search *s, uint32_t event, const uint32_t *under_way, uint32_t count, uint32_t open_count)
{
	if (s->known_size + count > s->known_capacity) {
		s->known_capacity = 2 * (s->known_size + count);
		s->known = grown(s->known, s->known_capacity, sizeof(*s->known));
	}
	s->junctions[event] = (struct junction){s->known_size, count, open_count};
	memcpy(s->known + s->known_size, under_way, count * sizeof(*under_way));
	s->known_size += count;
}

/* Gives out the slots, which are used again after a return. */
static void plan(struct search *s)
{
	uint32_t *under_way = grown(NULL, s->c->steps_count, sizeof(*under_way));
	uint32_t *spare = grown(NULL, s->c->steps_count, sizeof(*spare));
	uint32_t count = 0, spare_count = 0, slots = 0, open_count = 0;

	list_events(s);
	s->junctions = grown(NULL, s->events_count, sizeof(*s->junctions));
	for (uint32_t i = 0; i < s->events_count; i++) {
		struct lin_step *step = &s->c->steps[s->events[i].step];
		if (s->events[i].is_return) {
			note_junction(s, i, under_way, count, open_count);
			note_return(under_way, &count, s->events[i].step);
			spare[spare_count++] = step->slot;
			continue;
		}
		step->slot = spare_count > 0 ? spare[--spare_count] : slots++;
		if (step->open)
			open_count++;
		else
			note_call(s, under_way, &count, s->events[i].step);
	}
	free(under_way);
	free(spare);
	s->words = (slots + 63) / 64;
	s->config = 1 + s->words + (s->c->keys_count + 1) / 2;
}

/* --- the cache --- */

static uint64_t hash_of(const struct search *s, const uint64_t *config)
{
	uint64_t hash = (uint32_t)config[0];
	for (uint32_t i = 1; i < s->config; i++)
		hash = lin_mix(hash ^ config[i]) + 0x9e3779b97f4a7c15u;
	return hash;
}

static bool same(const struct search *s, const uint64_t *a, const uint64_t *b)
{
	return (uint32_t)a[0] == (uint32_t)b[0] && memcmp(a + 1, b + 1, (s->config - 1) * sizeof(*a)) == 0;
}

static uint32_t *cache_slot(const struct search *s, const uint64_t *config)
{
	size_t i = hash_of(s, config) & (s->table_size - 1);
	while (s->table[i] != 0 && !same(s, s->met + (s->table[i] - 1) * s->config, config))
		i = (i + 1) & (s->table_size - 1);
	return &s->table[i];
}

static void grow_table(struct search *s)
{
	free(s->table);
	s->table_size = s->table_size ? 2 * s->table_size : 1024;
	s->table = calloc(s->table_size, sizeof(*s->table));
	if (!s->table)
		abort();
	for (size_t i = 0; i < s->met_count; i++)
		*cache_slot(s, s->met + i * s->config) = (uint32_t)i + 1;
}

/* False if it was there. */
static bool remember(struct search *s, const uint64_t *config)
{
	if (2 * (s->met_count + 1) > s->table_size)
		grow_table(s);
	uint32_t *slot = cache_slot(s, config);
	if (*slot != 0)
		return false;
	if (s->met_count == s->met_capacity) {
		s->met_capacity = s->met_capacity ? 2 * s->met_capacity : 256;
		s->met = grown(s->met, s->met_capacity * s->config, sizeof(*s->met));
	}
	memcpy(s->met + s->met_count * s->config, config, s->config * sizeof(*config));
	*slot = (uint32_t)++s->met_count;
	return true;
}

static size_t bytes_used(const struct search *s)
{
	return (s->met_capacity + s->stack_capacity) * s->config * sizeof(*s->met) + s->table_size * sizeof(*s->table);
}

/* --- the walk --- */

/* Walks on from the configuration's place to the next return that finds its step without effect. False at the end of the history. */
static bool walk(const struct search *s, uint64_t *config)
{
	uint64_t *set = set_of(config);
	for (uint32_t i = (uint32_t)config[0]; i < s->events_count; i++) {
		const struct lin_step *step = &s->c->steps[s->events[i].step];
		if (!s->events[i].is_return) {
			put(set, step->slot, changes_nothing(step) && fits(step, state_of(s, config)));
		} else if (is_set(set, step->slot)) {
			put(set, step->slot, false);
		} else {
			config[0] = i;
			return true;
		}
	}
	config[0] = s->events_count;
	return false;
}

static void let_readers_read(const struct search *s, const struct junction *j, uint64_t *config)
{
	for (uint32_t i = 0; i < j->known_count; i++) {
		const struct lin_step *step = &s->c->steps[s->known[j->known + i]];
		if (changes_nothing(step) && !is_set(set_of(config), step->slot) && fits(step, state_of(s, config)))
			put(set_of(config), step->slot, true);
	}
}

/* Is there one of the same effect that goes first? */
static bool comes_later(const struct search *s, const struct junction *j, const uint64_t *set, uint32_t candidate, uint64_t effect)
{
	uint32_t known_count = candidate < j->known_count ? candidate : j->known_count;
	for (uint32_t i = 0; i < known_count; i++) {
		const struct lin_step *step = &s->c->steps[s->known[j->known + i]];
		if (step->effect == effect && !changes_nothing(step) && !is_set(set, step->slot))
			return true;
	}
	if (candidate < j->known_count)
		return false;
	uint32_t before = s->c->steps[s->open[candidate - j->known_count]].before;
	return before != UINT32_MAX && !is_set(set, s->c->steps[before].slot);
}

/* Makes `next` from `config` by the candidate's effect; false if there is nothing to try. */
static bool try_candidate(const struct search *s, const struct junction *j, uint64_t *config, uint32_t candidate, uint64_t *next)
{
	uint32_t at = candidate < j->known_count ? s->known[j->known + candidate] : s->open[candidate - j->known_count];
	const struct lin_step *step = &s->c->steps[at];
	uint64_t *set = set_of(config);

	if (changes_nothing(step) || is_set(set, step->slot) || comes_later(s, j, set, candidate, step->effect))
		return false;
	memcpy(next, config, s->config * sizeof(*next));
	if (!take_effect(s->c->contents, step, state_of(s, next)))
		return false;
	size_t state_bytes = s->c->keys_count * sizeof(uint32_t);
	if (step->open && memcmp(state_of(s, next), state_of(s, config), state_bytes) == 0)
		return false;
	put(set_of(next), step->slot, true);
	let_readers_read(s, j, next);
	return true;
}

static uint64_t *push(struct search *s)
{
	if (s->depth == s->stack_capacity) {
		s->stack_capacity = s->stack_capacity ? 2 * s->stack_capacity : 64;
		s->stack = grown(s->stack, s->stack_capacity * s->config, sizeof(*s->stack));
	}
	return s->stack + s->depth++ * s->config;
}

/* Tries what the topmost configuration has not tried yet. True at the end of the history. */
static bool advance(struct search *s, uint64_t *next)
{
	uint64_t *top = s->stack + (s->depth - 1) * s->config;
	uint32_t place = (uint32_t)top[0], candidate = (uint32_t)(top[0] >> 32);
	const struct junction *j = &s->junctions[place];

	if (candidate == j->known_count + j->open_count) {
		s->depth--;
		return false;
	}
	top[0] += (uint64_t)1 << 32;
	if (!try_candidate(s, j, top, candidate, next))
		return false;
	s->found.steps++;
	next[0] = place;
	if (!walk(s, next))
		return true;
	if (next[0] > s->furthest)
		s->furthest = (uint32_t)next[0];
	if (remember(s, next))
		memcpy(push(s), next, s->config * sizeof(*next));
	return false;
}

static enum lin_verdict explore(struct search *s, uint64_t steps_max, size_t bytes_max)
{
	uint64_t *next = grown(NULL, s->config, sizeof(*next));
	enum lin_verdict verdict = LIN_GOOD;

	memset(next, 0, s->config * sizeof(*next));
	if (walk(s, next)) {
		s->furthest = (uint32_t)next[0];
		memcpy(push(s), next, s->config * sizeof(*next));
		verdict = LIN_BAD;
	}
	while (s->depth > 0) {
		if (s->found.steps >= steps_max || bytes_used(s) > bytes_max) {
			verdict = LIN_GAVE_UP;
			break;
		}
		if (advance(s, next)) {
			verdict = LIN_GOOD;
			break;
		}
	}
	free(next);
	return verdict;
}

void lin_search(struct lin_component *c, uint64_t steps_max, size_t bytes_max, struct lin_found *out)
{
	struct search s = {.c = c};

	assert(c->steps_count < UINT32_MAX / 2);
	if (c->steps_count > 0)
		qsort(c->steps, c->steps_count, sizeof(*c->steps), by_call);
	plan(&s);
	s.found.verdict = explore(&s, steps_max, bytes_max);
	if (s.found.verdict != LIN_GOOD)
		s.found.culprit = s.events[s.furthest].step;
	*out = s.found;
	free(s.events);
	free(s.junctions);
	free(s.known);
	free(s.open);
	free(s.stack);
	free(s.met);
	free(s.table);
}
