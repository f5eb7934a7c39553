#include "store/mvcc/inside.h"

#include <errno.h>
#include <stdlib.h>

static size_t keep_versions(const struct mark *marks, size_t count, struct mvcc_version *out)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (!(marks[i].sub & MARK_TOUCH))
			out[kept++] = (struct mvcc_version){mark_rev(marks[i]), (marks[i].sub & MARK_TOMBSTONE) != 0};
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
		*count = keep_versions(marks, marks_count, versions);
		*out = versions;
		error = 0;
	}
	mvcc_unlock_shared(m);
	return error;
}
