/* apply_content.h: the bytes of a file as a command changes them. Private to store/apply*.c. */
#ifndef TALLY_STORE_APPLY_CONTENT_H
#define TALLY_STORE_APPLY_CONTENT_H

#include "store/apply_plan.h"

/* The largest file that apply lets be made, whatever max_file= says: it bounds the holes that a cut can make. */
#define CONTENT_BYTES_MAX (UINT64_C(1) << 40)

/* First cut, then ranges laid over in order, then zeros. */
struct edit {
	uint64_t truncate_to;
	uint64_t extend_to;
	bool append;
	const struct command_range *ranges; /* borrowed until plan_commit */
	uint32_t count;
};

/* Plans the edit of at->record (size and data change), unless it changes nothing. *changed tells. -EFBIG; -EIO breaks the plan. */
int content_edit(struct plan *p, struct change *at, const struct edit *e, bool *changed);
/* Puts the blocks that changed; between mvcc_begin and mvcc_end, at->record.ino being set. */
void content_commit(struct plan *p, struct change *at);
void content_done(struct content *c);
/* How many blocks the store has for a record. */
uint64_t content_blocks(const struct record *r);

#endif
