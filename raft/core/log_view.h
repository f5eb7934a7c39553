/* log_view.h: the log as the core sees it: the terms of all entries, and the newest entries themselves.
 *
 * Terms are kept as runs (a term and the first index of it), so the term of any entry of the durable log is known at the cost of one
 * record per election. Entries are kept in a window that ends at the last one; older entries leave it when it grows too large, and can
 * then only be had from the durable log. */
#ifndef TALLY_RAFT_CORE_LOG_VIEW_H
#define TALLY_RAFT_CORE_LOG_VIEW_H

#include "raft/raft.h"

#include <stddef.h>

struct term_run {
	uint64_t first;
	uint64_t term;
};

struct log_view {
	uint64_t first;     /* the first entry of the durable log */
	uint64_t base_term; /* the term of entry first - 1 */
	uint64_t last;      /* first - 1 when the log is empty */
	struct term_run *runs;
	size_t runs_count;
	size_t runs_capacity;
	struct raft_entry *slots; /* the window is slots[head .. head + count); it owns the data of its entries */
	size_t head;
	size_t count;
	size_t capacity;
	size_t bytes; /* what the window's entries cost in memory */
};

void log_view_init(struct log_view *l, uint64_t first, uint64_t base_term);
void log_view_free(struct log_view *l);

/* The term of an entry, or of the one before the first; 0 if the log does not reach there. */
uint64_t log_view_term(const struct log_view *l, uint64_t index);
uint64_t log_view_last_term(const struct log_view *l);
/* The largest index up to `index` whose term is not above `term`: two logs cannot agree beyond it. */
uint64_t log_view_at_most(const struct log_view *l, uint64_t index, uint64_t term);
/* Adds a copy of the entry after the last. */
void log_view_append(struct log_view *l, uint64_t term, uint8_t type, const void *data, uint32_t size);
/* Drops the entries from `from` on. They must be in the window. */
void log_view_truncate(struct log_view *l, uint64_t from);
/* Entries below `first` have left the durable log. */
void log_view_trim(struct log_view *l, uint64_t first);
/* Shrinks the window to bytes_max, oldest first, but keeps every entry above `keep`. */
void log_view_evict(struct log_view *l, uint64_t keep, size_t bytes_max);

/* The first index in the window (last + 1 when it is empty). */
uint64_t log_view_window_first(const struct log_view *l);
/* The entries of the window from `index` on; valid until the log changes. */
const struct raft_entry *log_view_at(const struct log_view *l, uint64_t index);

#endif
