#include "store/mvcc/times.h"

#include <string.h>

/* Keeps every other entry. */
static void thin(struct times *t)
{
	size_t kept = 0;
	for (size_t i = 0; i < t->count; i += 2, kept++) {
		t->revisions[kept] = t->revisions[i];
		t->times_ns[kept] = t->times_ns[i];
	}
	t->count = kept;
	t->spacing *= 2;
}

void times_add(struct times *t, uint64_t revision, int64_t time_ns)
{
	if (t->count == 0)
		t->spacing = 1;
	else if (revision - t->revisions[t->count - 1] < t->spacing)
		return;
	if (t->count == TIMES_MAX)
		thin(t);
	t->revisions[t->count] = revision;
	t->times_ns[t->count++] = time_ns;
}

/* How many of the table were made at `time_ns` or before. */
static size_t count_until(const struct times *t, int64_t time_ns)
{
	size_t low = 0, high = t->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (t->times_ns[middle] <= time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t times_find(const struct times *t, int64_t time_ns)
{
	size_t until = count_until(t, time_ns);
	return until > 0 ? t->revisions[until - 1] : 0;
}

void times_bracket(const struct times *t, int64_t time_ns, uint64_t *low, uint64_t *high)
{
	size_t until = count_until(t, time_ns);
	if (until > 0)
		*low = t->revisions[until - 1];
	if (until < t->count)
		*high = t->revisions[until] - 1;
}

void times_drop(struct times *t, uint64_t below)
{
	size_t gone = 0;
	while (gone < t->count && t->revisions[gone] < below)
		gone++;
	t->count -= gone;
	memmove(t->revisions, t->revisions + gone, t->count * sizeof t->revisions[0]);
	memmove(t->times_ns, t->times_ns + gone, t->count * sizeof t->times_ns[0]);
	/* What is left spans less: new entries may stand closer again. */
	if (t->count < TIMES_MAX / 4 && t->spacing > 1)
		t->spacing /= 2;
}
