/* wal_record.h: what a frame of the log carries: hard states, entries and boot epochs, one after the other. Private to raft/wal*.c.
 * The table stands in wal.c. */
#ifndef TALLY_RAFT_WAL_RECORD_H
#define TALLY_RAFT_WAL_RECORD_H

#include "base/codec.h"
#include "raft/raft.h"

enum wal_record_kind { WAL_RECORD_HARD = 1, WAL_RECORD_ENTRY = 2, WAL_RECORD_EPOCH = 3 };

struct wal_record {
	enum wal_record_kind kind;
	uint32_t offset; /* of the record in the bytes that the reader was made over */
	struct raft_hard_state hard;
	struct raft_entry entry; /* data is borrowed from those bytes */
	uint64_t epoch;
};

void wal_record_hard(struct writer *w, const struct raft_hard_state *hard);
void wal_record_entry(struct writer *w, const struct raft_entry *entry);
void wal_record_epoch(struct writer *w, uint64_t epoch);
/* A save: the hard state (or NULL) first, so that no entry is ever kept without the term that it came in. */
void wal_record_save(struct writer *w, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count);

/* False at the end, or when the bytes are malformed: reader_done tells which. */
bool wal_record_next(struct reader *r, struct wal_record *out);

#endif
