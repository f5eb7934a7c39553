/* txn.h: a transaction: comparisons, and what is done if they all hold, or else. One command, one entry of the log, at most one revision.
 *
 * The formats of a transaction and of its results stand as tables in txn.c; a client's request and the command carry the same bytes. */
#ifndef TALLY_STORE_TXN_H
#define TALLY_STORE_TXN_H

#include "base/codec.h"

#include <stdbool.h>
#include <stdint.h>

/* Of each of the three parts. */
#define TXN_OPS_MAX 4096u
/* A whole transaction: with its command's frame it must fit one log entry. */
#define TXN_BYTES_MAX ((448u << 10) - 4096u)
/* All results of a transaction; one that would give more is refused, and changes nothing. */
#define TXN_RESULTS_MAX (8u << 20)

enum txn_target { TXN_VERSION = 1, TXN_CREATE = 2, TXN_MOD = 3, TXN_VALUE = 4 };
enum txn_relation { TXN_EQUAL = 1, TXN_NOT_EQUAL = 2, TXN_LESS = 3, TXN_GREATER = 4 };

/* A key that is not there has version and revisions 0, and no value: no comparison with one holds. */
struct txn_compare {
	uint8_t target;   /* enum txn_target */
	uint8_t relation; /* enum txn_relation */
	struct span key;
	uint64_t number;
	struct span value; /* of TXN_VALUE; compared byte by byte, as memcmp does */
};

enum txn_op_type {
	TXN_PUT = 1,    /* the whole file; makes missing parents */
	TXN_DELETE = 2, /* a file, link or empty directory; or, with prefix, every key that begins with it. None is no failure */
	TXN_GET = 3     /* the file or link as the operations before this one leave it */
};

struct txn_op {
	uint8_t type; /* enum txn_op_type */
	bool prefix;
	struct span key;
	struct span value;
	uint64_t lease; /* of a put; 0: none */
};

enum txn_branch { TXN_ELSE = 0, TXN_THEN = 1 };

struct txn {
	struct txn_compare *compares;
	uint32_t compares_count;
	struct txn_op *ops[2]; /* by enum txn_branch */
	uint32_t ops_count[2];
};

void txn_encode(struct writer *w, const struct txn *t);
/* The arrays are allocated, for txn_done; spans are borrowed from `bytes`. -EBADMSG malformed; -E2BIG over TXN_OPS_MAX; -EINVAL: an invalid key,
 * or a branch that writes a key twice (a deleted prefix writes all keys that begin with it). */
int txn_decode(struct span bytes, struct txn *out);
/* A zeroed one is fine. */
void txn_done(struct txn *t);

/* What one operation came to. */
struct txn_result {
	uint8_t type;     /* of the operation */
	uint64_t deleted; /* DELETE: how many keys */
	bool found;       /* GET, and with it the rest: */
	uint64_t create_revision;
	uint64_t mod_revision;
	uint32_t version;
	uint32_t mode;
	int64_t mtime_ns;
	struct span value;
};

/* Writes all but the value, which is value_size bytes: returns where to put them, valid until the next call on `w`. */
void *txn_result_encode(struct writer *w, const struct txn_result *r, uint32_t value_size);
/* The next of a transaction's results, its value borrowed; what is malformed fails the reader. */
void txn_result_decode(struct reader *in, struct txn_result *out);

#endif
