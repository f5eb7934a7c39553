#include "store/mvcc/inside.h"

#include <errno.h>
#include <stdlib.h>

/* What stood at the floor is given as of then, a touch too: it is the only way to read it. How far compaction has come in deleting what was before
 * that does not show. */
static size_t keep_versions(const struct mark *marks, size_t count, uint64_t floor, struct mvcc_version *out)
{
	size_t kept = 0, first = 0;
	while (first + 1 < count && marks[first + 1].main <= floor)
		first++;
	for (size_t i = first; i < count; i++) {
		struct mvcc_version v = {mark_rev(marks[i]), (marks[i].sub & MARK_TOMBSTONE) != 0};
		if (v.rev.main > floor && marks[i].sub & MARK_TOUCH)
			continue;
		if (v.rev.main < floor && v.tombstone)
			continue;
		if (v.rev.main < floor)
			v.rev = (struct rev){floor, 0};
		out[kept++] = v;
	}
	return kept;
}

int mvcc_history(struct mvcc *m, struct span key, struct mvcc_version **out, size_t *count)
{
	int error = -ENOENT;
	mvcc_lock_shared(m);
	const struct index_node *n = index_find(&m->index, key);
	if (n) {
		struct mark one;
		size_t marks_count;
		const struct mark *marks = index_marks(n, &one, &marks_count);
		struct mvcc_version *versions = malloc(marks_count * sizeof *versions);
		if (!versions)
			abort();
		size_t kept = keep_versions(marks, marks_count, m->state.compact_revision, versions);
		if (kept > 0) {
			*count = kept;
			*out = versions;
			error = 0;
		} else {
			free(versions);
		}
	}
	mvcc_unlock_shared(m);
	return error;
}
