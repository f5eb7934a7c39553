/* state.h: the few numbers that say where the store stands, written with every commit. The format stands in state.c. */
#ifndef TALLY_STORE_MVCC_STATE_H
#define TALLY_STORE_MVCC_STATE_H

#include "base/codec.h"

struct state {
	uint32_t format;     /* MVCC_FORMAT */
	uint64_t cluster_id; /* 0: not known yet, and nothing applied */
	uint64_t applied;    /* the log entry whose effects are in, and its term */
	uint64_t term;
	uint64_t revision;
	uint64_t compact_revision;
	uint64_t next_ino;
	int64_t last_time_ns;
	uint64_t hash; /* over all that was ever put: hash.h */
};

void state_encode(const struct state *s, struct writer *w);
/* -EBADMSG if malformed. Of another format only `format` is read, and that is no error. */
int state_decode(struct span bytes, struct state *out);

#endif
