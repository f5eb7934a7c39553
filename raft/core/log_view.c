#include "raft/core/log_view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What an entry costs besides its data: its slot and the allocator's share. */
#define ENTRY_OVERHEAD_BYTES (sizeof(struct raft_entry) + 16)

void log_view_init(struct log_view *l, uint64_t first, uint64_t base_term)
{
	*l = (struct log_view){.first = first, .base_term = base_term, .last = first - 1};
}

void log_view_free(struct log_view *l)
{
	for (size_t i = 0; i < l->count; i++)
		free((void *)l->slots[l->head + i].data);
	free(l->slots);
	free(l->runs);
	*l = (struct log_view){0};
}

/* The run that holds `index`; index is within the log. Most questions are about its end. */
static size_t run_of(const struct log_view *l, uint64_t index)
{
	size_t lo = 0, hi = l->runs_count;
	if (l->runs[hi - 1].first <= index)
		return hi - 1;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (l->runs[mid].first <= index)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

uint64_t log_view_term(const struct log_view *l, uint64_t index)
{
	if (index + 1 == l->first)
		return l->base_term;
	if (index < l->first || index > l->last)
		return 0;
	return l->runs[run_of(l, index)].term;
}

uint64_t log_view_last_term(const struct log_view *l)
{
	return log_view_term(l, l->last);
}

uint64_t log_view_at_most(const struct log_view *l, uint64_t index, uint64_t term)
{
	if (index > l->last)
		index = l->last;
	if (index < l->first)
		return index;
	for (size_t i = run_of(l, index) + 1; i > 0; i--) {
		if (l->runs[i - 1].term <= term)
			return index;
		index = l->runs[i - 1].first - 1;
	}
	return index;
}

static void add_run(struct log_view *l, uint64_t first, uint64_t term)
{
	if (l->runs_count == l->runs_capacity) {
		l->runs_capacity = l->runs_capacity ? 2 * l->runs_capacity : 16;
		l->runs = realloc(l->runs, l->runs_capacity * sizeof(*l->runs));
		if (!l->runs)
			abort();
	}
	l->runs[l->runs_count++] = (struct term_run){.first = first, .term = term};
}

/* Room for one more entry at the end: by moving the window to the front when at least half is free, so each move is paid for by as many
 * evictions. */
static void make_room(struct log_view *l)
{
	if (l->head + l->count < l->capacity)
		return;
	if (l->head > l->capacity / 2) {
		memmove(l->slots, l->slots + l->head, l->count * sizeof(*l->slots));
		l->head = 0;
		return;
	}
	l->capacity = l->capacity ? 2 * l->capacity : 256;
	l->slots = realloc(l->slots, l->capacity * sizeof(*l->slots));
	if (!l->slots)
		abort();
}

static size_t cost(const struct raft_entry *e)
{
	return e->size + ENTRY_OVERHEAD_BYTES;
}

void log_view_append(struct log_view *l, uint64_t term, uint8_t type, const void *data, uint32_t size)
{
	void *copy = NULL;
	if (size > 0) {
		copy = malloc(size);
		if (!copy)
			abort();
		memcpy(copy, data, size);
	}
	make_room(l);
	if (l->runs_count == 0 || l->runs[l->runs_count - 1].term != term)
		add_run(l, l->last + 1, term);
	l->last++;
	struct raft_entry *e = &l->slots[l->head + l->count++];
	*e = (struct raft_entry){.term = term, .index = l->last, .type = type, .size = size, .data = copy};
	l->bytes += cost(e);
}

void log_view_truncate(struct log_view *l, uint64_t from)
{
	assert(from >= log_view_window_first(l));
	while (l->last >= from) {
		struct raft_entry *e = &l->slots[l->head + --l->count];
		l->bytes -= cost(e);
		free((void *)e->data);
		l->last--;
	}
	while (l->runs_count > 0 && l->runs[l->runs_count - 1].first >= from)
		l->runs_count--;
}

static void drop_oldest(struct log_view *l)
{
	struct raft_entry *e = &l->slots[l->head++];
	l->bytes -= cost(e);
	free((void *)e->data);
	if (--l->count == 0)
		l->head = 0;
}

void log_view_trim(struct log_view *l, uint64_t first)
{
	if (first <= l->first || first > l->last + 1)
		return;
	uint64_t base_term = log_view_term(l, first - 1);
	size_t gone = 0;
	while (gone + 1 < l->runs_count && l->runs[gone + 1].first <= first)
		gone++;
	if (first > l->last)
		gone = l->runs_count;
	memmove(l->runs, l->runs + gone, (l->runs_count - gone) * sizeof(*l->runs));
	l->runs_count -= gone;
	l->first = first;
	l->base_term = base_term;
	while (l->count > 0 && log_view_window_first(l) < first)
		drop_oldest(l);
}

void log_view_evict(struct log_view *l, uint64_t keep, size_t bytes_max)
{
	while (l->bytes > bytes_max && l->count > 0 && log_view_window_first(l) <= keep)
		drop_oldest(l);
}

uint64_t log_view_window_first(const struct log_view *l)
{
	return l->last + 1 - l->count;
}

const struct raft_entry *log_view_at(const struct log_view *l, uint64_t index)
{
	assert(index >= log_view_window_first(l) && index <= l->last);
	return &l->slots[l->head + (index - log_view_window_first(l))];
}
