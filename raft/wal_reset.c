/* Beginning anew: a snapshot has taken the place of the log. One segment says so in its head, and it exists once it has its name: a crash before
 * that leaves the old log, one after it the new one, whose opening removes what the crash left of the old. The chain of frames goes on, so
 * that a void segment is still known for what it is. */
#include "raft/wal_log.h"

void wal_enter_base(struct wal *w, uint64_t index, uint64_t term)
{
	w->last = index;
	w->last_term = term;
	wal_index_reset(&w->index, index + 1);
}

int wal_drop_void(struct wal *w)
{
	uint32_t first = w->segments_count - 1;

	while (first > 0 && !w->segments[first].anew)
		first--;
	return wal_drop_segments(w, first);
}

/* A log does not begin in a term that the hard state has not seen. The save that brings the term comes behind it, and a crash may come first. */
static void see_term(struct wal *w, uint64_t term)
{
	if (w->hard.term < term)
		w->hard = (struct raft_hard_state){.term = term, .commit = w->hard.commit};
}

int wal_reset(struct wal *w, uint64_t index, uint64_t term)
{
	if (w->error != 0)
		return w->error;
	see_term(w, term);
	w->error = wal_begin_anew(w, index, term);
	if (w->error != 0)
		return w->error;
	wal_enter_base(w, index, term);
	w->error = wal_drop_void(w);
	return w->error;
}
