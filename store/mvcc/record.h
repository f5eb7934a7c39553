/* record.h: how a record is stored in LMDB and in the buffer. The format stands in record.c. */
#ifndef TALLY_STORE_MVCC_RECORD_H
#define TALLY_STORE_MVCC_RECORD_H

#include "store/mvcc/mvcc.h"

/* Does the content of this file live in its record, rather than in blocks? */
static inline bool record_inline(const struct record *r)
{
	return r->data.size > 0 || r->size <= MVCC_INLINE_MAX;
}

size_t record_bytes(const struct record *r);
/* Into record_bytes(r) bytes. The time is left 0: see record_stamp. */
void record_encode(const struct record *r, void *bytes);
/* Writes the time of its command into an encoded record. */
void record_stamp(void *bytes, int64_t time_ns);
/* Everything but `stored`; the spans point into `bytes`, memory is left NULL. -EIO if malformed. */
int record_decode(struct span bytes, struct record *out);

/* What a scan needs of a record, got without decoding the rest. */
struct record_outline {
	struct span key;
	uint64_t ino;
	uint64_t size;
	int64_t time_ns;
	uint64_t created_main;
	uint32_t mode;
	uint8_t flags;
};
int record_peek(struct span bytes, struct record_outline *out);

#endif
