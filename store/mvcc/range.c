/* Ranges go over the index in chunks, so that no lock is held for long; all of them at one revision, so that the whole is one picture. */
#include "store/mvcc/inside.h"

#include <string.h>

#define RANGE_CHUNK 256u
#define COUNT_CHUNK 8192u

struct range {
	struct mvcc *m;
	struct span end; /* empty: none */
	uint64_t bound;
	uint64_t left; /* of the limit */
	bool over;
	size_t next_size;
	char next[MVCC_KEY_MAX + 1]; /* where the next chunk begins */
};

/* Live keys in the next `visit` keys, with the marks of up to `room` of them if `marks` is given. -ENODATA if the revision has been compacted. */
static int next_chunk(struct range *g, struct mark *marks, size_t room, size_t visit, uint64_t *out)
{
	uint64_t count = 0, bound;
	const struct index_node *n = NULL;
	mvcc_lock_shared(g->m);
	int error = mvcc_bound(g->m, g->bound, &bound);
	if (error) {
		mvcc_unlock_shared(g->m);
		return error;
	}
	struct index_cursor c = index_seek(&g->m->index, (struct span){g->next, g->next_size});
	for (; visit > 0 && count < room && g->left > 0; visit--, index_next(&c)) {
		struct index_view view;
		n = index_at(&c);
		if (!n || (g->end.size > 0 && key_compare(index_node_key(n), g->end) >= 0)) {
			g->over = true;
			break;
		}
		if (n->key_size == 0 || !index_view_at(n, g->bound, &view))
			continue;
		if (marks)
			marks[count] = view.mark;
		count++;
		g->left--;
	}
	if (g->left == 0)
		g->over = true;
	/* The key and a zero byte: the least key that is greater. */
	if (!g->over && n) {
		memcpy(g->next, n->key, n->key_size);
		g->next[n->key_size] = 0;
		g->next_size = n->key_size + 1u;
	}
	mvcc_unlock_shared(g->m);
	*out = count;
	return 0;
}

static int range_begin(struct range *g, struct mvcc *m, struct span start, struct span end, uint64_t rev_main, uint64_t limit)
{
	g->m = m;
	g->end = end;
	g->left = limit ? limit : UINT64_MAX;
	g->over = start.size > sizeof g->next;
	g->next_size = g->over ? 0 : start.size;
	if (g->next_size > 0)
		memcpy(g->next, start.data, start.size);
	mvcc_lock_shared(m);
	int error = mvcc_bound(m, rev_main, &g->bound);
	mvcc_unlock_shared(m);
	return error;
}

int mvcc_range(struct mvcc *m, struct span start, struct span end, uint64_t rev_main, uint64_t limit,
	       int (*fn)(void *ctx, const struct record *r), void *ctx)
{
	struct range g;
	struct mark marks[RANGE_CHUNK];
	int error = range_begin(&g, m, start, end, rev_main, limit);
	bool stop = false;
	while (!error && !stop && !g.over) {
		uint64_t count = 0;
		error = next_chunk(&g, marks, RANGE_CHUNK, COUNT_CHUNK, &count);
		for (uint64_t i = 0; i < count && !error && !stop; i++) {
			struct record r;
			error = mvcc_load(m, mark_rev(marks[i]), g.bound, &r);
			if (!error) {
				stop = fn(ctx, &r) != 0;
				record_done(&r);
			}
		}
	}
	return error;
}

int mvcc_count(struct mvcc *m, struct span start, struct span end, uint64_t rev_main, uint64_t *out)
{
	struct range g;
	uint64_t total = 0, count = 0;
	int error = range_begin(&g, m, start, end, rev_main, 0);
	while (!error && !g.over) {
		error = next_chunk(&g, NULL, COUNT_CHUNK, COUNT_CHUNK, &count);
		total += count;
	}
	if (!error)
		*out = total;
	return error;
}
