/* test_raft_net_view.h: the rule by which a configuration is in force, in the simplest words: it is that of the last entry of its kind in the
 * log, or of what the log begins behind. The net keeps it beside each member, and compares. */
#ifndef TALLY_TESTS_UNIT_TEST_RAFT_NET_VIEW_H
#define TALLY_TESTS_UNIT_TEST_RAFT_NET_VIEW_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raft/raft.h"

struct view_config {
	uint64_t index;
	struct writer bytes;
};

struct view {
	struct view_config *configs; /* by rising index; the first is what the log begins behind, or what was applied at the start */
	uint32_t count;
};

static inline void view_cut(struct view *v, uint64_t from)
{
	while (v->count > 0 && v->configs[v->count - 1].index >= from)
		writer_free(&v->configs[--v->count].bytes);
}

static inline void view_add(struct view *v, uint64_t index, const void *bytes, size_t size)
{
	v->configs = realloc(v->configs, (v->count + 1) * sizeof(*v->configs));
	assert_non_null(v->configs);
	v->configs[v->count] = (struct view_config){.index = index};
	writer_raw(&v->configs[v->count++].bytes, bytes, size);
}

static inline void view_begin(struct view *v, uint64_t index, const struct raft_members *m)
{
	struct writer w = {0};
	raft_members_encode(&w, m);
	view_cut(v, 0);
	view_add(v, index, w.data, w.size);
	writer_free(&w);
}

static inline void view_entry(struct view *v, const struct raft_entry *e)
{
	view_cut(v, e->index);
	if (e->type == RAFT_ENTRY_CONFIG)
		view_add(v, e->index, e->data, e->size);
}

static inline void view_check(const struct view *v, const struct raft *r)
{
	const struct writer *expected = &v->configs[v->count - 1].bytes;
	struct writer found = {0};
	raft_members_encode(&found, raft_members_now(r));
	assert_int_equal(found.size, expected->size);
	assert_memory_equal(found.data, expected->data, found.size);
	writer_free(&found);
}

static inline void view_free(struct view *v)
{
	view_cut(v, 0);
	free(v->configs);
	*v = (struct view){0};
}

#endif
