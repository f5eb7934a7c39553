/* times.h: when revisions were made: a table of some thousand of them, thinner the more there are, so that it costs the same for any store. */
#ifndef TALLY_STORE_MVCC_TIMES_H
#define TALLY_STORE_MVCC_TIMES_H

#include <stddef.h>
#include <stdint.h>

#define TIMES_MAX 4096u

/* A zeroed table is empty and ready. */
struct times {
	size_t count;
	uint64_t spacing; /* at least so many revisions between two entries */
	uint64_t revisions[TIMES_MAX];
	int64_t times_ns[TIMES_MAX];
};

/* A revision later than all before, at a time that is not earlier. */
void times_add(struct times *t, uint64_t revision, int64_t time_ns);
/* The newest revision in the table that was made at `time_ns` or before; 0 if there is none. */
uint64_t times_find(const struct times *t, int64_t time_ns);
/* The same with the one after it: what is made at `time_ns` or before, at the newest, is from *low to *high. Each is as it was if there is none. */
void times_bracket(const struct times *t, int64_t time_ns, uint64_t *low, uint64_t *high);
/* Forgets what is below a revision. */
void times_drop(struct times *t, uint64_t below);

#endif
