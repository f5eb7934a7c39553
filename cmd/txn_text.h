/* txn_text.h: a transaction as a user writes it: comparisons, then operations, then those of the other branch; a line each, a blank line between.
 *
 *   TARGET("KEY") RELATION "VALUE"       TARGET: version or ver, create or c, mod or m, value or val; RELATION: = != < >
 *   put KEY VALUE [--lease=ID]           del KEY [--prefix]           get KEY
 *
 * Words are as in a shell: "..." with \" \\ \n \t \r \xHH, '...' as it is, or bare. Numbers may be quoted. What is left out is empty. */
#ifndef TALLY_CMD_TXN_TEXT_H
#define TALLY_CMD_TXN_TEXT_H

#include "store/txn.h"

struct txn_text {
	struct txn txn;
	struct writer *memory; /* of each line that has words: what their spans lie in */
	uint32_t memory_count;
};

/* 0; or the number of the first line that makes no sense, with the reason in `why`. txn_text_done in both cases. */
uint32_t txn_text_parse(struct span text, struct txn_text *out, char *why, size_t why_size);
void txn_text_done(struct txn_text *t);

#endif
