#include "store/recover.h"

#include "base/log.h"
#include "store/mvcc/dump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int note_term(void *ctx, const struct raft_entry *entry)
{
	*(uint64_t *)ctx = entry->term;
	return 0;
}

/* -ERANGE if the log does not reach there. */
static int term_of(struct wal *w, uint64_t index, uint64_t *term)
{
	if (index + 1 < wal_first(w) || index > wal_last(w))
		return -ERANGE;
	if (index + 1 == wal_first(w)) {
		*term = wal_base_term(w);
		return 0;
	}
	return wal_read(w, index, index + 1, SIZE_MAX, note_term, term);
}

static int begin_anew(struct wal *w, uint64_t index, uint64_t term)
{
	log_info("the store is a snapshot as of entry %llu: the log begins behind it", (unsigned long long)index);
	return wal_reset(w, index, term);
}

int recover_log(struct wal *w, struct mvcc *m, const char *data, char *why, size_t why_size)
{
	uint64_t applied = mvcc_applied(m);
	uint64_t index = 0, term = 0;
	int rc = term_of(w, applied, &term);
	if (rc == 0 && term == mvcc_applied_term(m))
		return 0;
	if (rc == 0 || rc == -ERANGE) {
		/* A log that begins beyond the snapshot has promised what lies between: it is not the one that the snapshot was to replace. */
		bool beyond = wal_first(w) > applied + 1;
		if (!beyond && mvcc_origin(m, &index, &term) && index == applied)
			rc = begin_anew(w, index, term);
		else
			rc = -EBADMSG;
	}
	if (rc == -EBADMSG)
		snprintf(why, why_size,
			 "%s: the store has applied entry %llu of term %llu, but the log in wal/ holds %llu to %llu%s: one of them is not "
			 "the "
			 "latest; put the latest of both back",
			 data, (unsigned long long)applied, (unsigned long long)mvcc_applied_term(m), (unsigned long long)wal_first(w),
			 (unsigned long long)wal_last(w),
			 applied + 1 >= wal_first(w) && applied <= wal_last(w) ? ", with another term there" : "");
	else if (rc < 0)
		snprintf(why, why_size, "%s/wal: %s", data, strerror(-rc));
	return rc;
}
