/* recover.h: whether the log and the store that a start finds belong together. Private to store/. */
#ifndef TALLY_STORE_RECOVER_H
#define TALLY_STORE_RECOVER_H

#include "raft/wal.h"
#include "store/mvcc/mvcc.h"

/* They do if the log reaches up to what the store has applied, in the same term, without a gap. If not, and the store is as a snapshot left it, the
 * log is emptied and begins behind that: a crash came between the two (or the store was restored). Any other difference is refused with one
 * line in `why`. */
int recover_log(struct wal *w, struct mvcc *m, const char *data, char *why, size_t why_size);

#endif
