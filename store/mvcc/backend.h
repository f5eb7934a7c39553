/* backend.h: LMDB, and everything that knows about it.
 *
 * Databases (integers in keys are big-endian, so that LMDB's byte order is theirs):
 *	records  main u64, sub u32                          -> encoded record, then u32 CRC32C of it
 *	blocks   ino u64, block u32, main u64, u32 CRC32C   -> content; empty: a hole
 *	metas    's' and "state"                            -> struct state
 *	         'u' and a name                             -> value, then u32 CRC32C of key and value
 *	         'l' and a name                             -> likewise: what concerns this node's copy alone, and is not part of a snapshot
 *	stages   origin u64, epoch u64, number u64, chunk u32 -> chunk, then u32 CRC32C of key and chunk
 *
 * Reads run in a read transaction from a pool; what they return lies in LMDB's map and is good until the transaction ends.
 * One thread writes. Errors are negative errnos, mapped from LMDB's in backend_errno alone. */
#ifndef TALLY_STORE_MVCC_BACKEND_H
#define TALLY_STORE_MVCC_BACKEND_H

#include "store/mvcc/buffer.h"
#include "store/mvcc/record.h"
#include "store/mvcc/state.h"

#include <lmdb.h>
#include <pthread.h>

#define BACKEND_READERS_MAX 256
#define BACKEND_META_NAME_MAX 500u

struct backend {
	MDB_env *env;
	MDB_dbi records;
	MDB_dbi blocks;
	MDB_dbi metas;
	MDB_dbi stages;
	bool no_sync;
	pthread_mutex_t pool_lock;
	pthread_cond_t pool_returned;
	MDB_txn *pool[BACKEND_READERS_MAX]; /* reset, ready to be renewed */
	size_t pool_count;
	size_t readers_count; /* in the pool or in use */
	bool retired;
};

struct backend_config {
	const char *dir;
	uint64_t map_bytes;
	uint64_t cluster_id;
	bool no_sync;
};

/* Opens what is there, which is checked before anything is written, or makes a store with `fresh` as its state and `first` in it. */
int backend_open(struct backend *b, const struct backend_config *config, const struct state *fresh, const struct buffer *first,
		 struct state *out, char *why, size_t why_size);
/* A backend whose open failed, too. No transaction may be in use. */
void backend_close(struct backend *b);
/* Closes one that nobody begins with any more and frees its memory, which is malloc'ed: now, or when the last reader at work ends. */
void backend_retire(struct backend *b);

/* All of it or nothing. */
int backend_commit(struct backend *b, const struct buffer *changes, const struct state *state);
/* After this the last commit, and not only the one before it, would survive a power cut. */
int backend_sync(struct backend *b);
/* The file, to its end. */
uint64_t backend_file_bytes(struct backend *b);
/* Its pages that hold anything, by a look at the list of those that do not. The thread that writes. */
int backend_used_bytes(struct backend *b, uint64_t *out);

/* What compaction deletes in one transaction. */
struct removal {
	const struct rev *records;
	size_t records_count;
	const struct stored_block *blocks;
	size_t blocks_count;
	struct span place; /* where compaction stands then; empty: as it was */
};
int backend_remove(struct backend *b, const struct removal *what);

/* Waits for another reader to end when there are too many. */
int backend_begin(struct backend *b, MDB_txn **out);
void backend_end(struct backend *b, MDB_txn *txn);

/* -ENOENT, or -EIO if it fails its checksum. */
int backend_find_record(struct backend *b, MDB_txn *txn, struct rev rev, struct span *out);
/* The newest with a revision of at most id->main. */
int backend_find_block(struct backend *b, MDB_txn *txn, const struct block_id *id, struct span *out);
/* The revision of that. */
int backend_find_block_main(struct backend *b, MDB_txn *txn, const struct block_id *id, uint64_t *out);
int backend_find_meta(struct backend *b, MDB_txn *txn, struct span name, struct span *out);
int backend_find_stage(struct backend *b, MDB_txn *txn, const struct stage_id *id, uint32_t chunk, struct span *out);
/* Calls fn for the records from `from` on in order, until it returns other than 0, which is returned then. */
int backend_scan_records(struct backend *b, MDB_txn *txn, struct rev from, int (*fn)(void *ctx, struct rev rev, struct span bytes),
			 void *ctx);
/* A block as it lies in LMDB. */
struct stored_block {
	struct block_id id;
	uint32_t crc;
	bool hole;
};
/* The same for blocks; other files' follow. */
int backend_scan_blocks(struct backend *b, MDB_txn *txn, const struct block_id *from,
			int (*fn)(void *ctx, const struct stored_block *block), void *ctx);
int backend_each_record(struct backend *b, int (*fn)(void *ctx, struct rev rev, struct span bytes), void *ctx);
int backend_each_meta(struct backend *b, MDB_txn *txn, int (*fn)(void *ctx, struct span name, struct span value), void *ctx);
int backend_each_stage(struct backend *b, void (*fn)(void *ctx, const struct stage_id *id, uint32_t chunk), void *ctx);

int backend_errno(int rc);

/* --- snapshots: whole databases, entry by entry, in the order of their keys --- */

enum backend_database { BACKEND_RECORDS = 1, BACKEND_BLOCKS = 2, BACKEND_METAS = 3, BACKEND_STAGES = 4 };
#define BACKEND_DATABASES 4

/* Calls fn for the entries behind `after` (empty: from the first) until fn returns nonzero, which is given back. */
int backend_walk(struct backend *b, MDB_txn *txn, enum backend_database which, struct span after,
		 int (*fn)(void *ctx, struct span key, struct span value), void *ctx);
/* How many entries a database has, and the bytes of its pages. */
int backend_size(struct backend *b, MDB_txn *txn, enum backend_database which, uint64_t *entries, uint64_t *bytes);
/* A value of the metas by its whole key, 's' or 'l' included. */
int backend_find_own(struct backend *b, MDB_txn *txn, const char *key, struct span *out);

/* Opens or makes a store that is being filled: it has no state, so that backend_open refuses it, until the filling puts one. */
int backend_open_filling(struct backend *b, const struct backend_config *config, char *why, size_t why_size);
/* A write transaction: the same thread ends it. */
int backend_fill_begin(struct backend *b, MDB_txn **out);
/* An entry behind all others of its database; -EBADMSG if it is not. */
int backend_fill_append(struct backend *b, MDB_txn *txn, enum backend_database which, struct span key, struct span value);
/* A value of the metas by its whole key. */
int backend_fill_own(struct backend *b, MDB_txn *txn, const char *key, struct span value);
int backend_fill_commit(MDB_txn *txn);
void backend_fill_abort(MDB_txn *txn);

/* --- for the files of the backend --- */

/* Puts all of it into a write transaction. Returns LMDB's code. */
int backend_write(struct backend *b, MDB_txn *txn, const struct buffer *changes, const struct state *state);
/* Puts a value with the CRC of key and value behind it. Returns LMDB's code. */
int backend_put_checked(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_size, struct span value);
/* What was put so: the value without its checksum, or -EIO. */
int backend_check_keyed(const void *key, size_t key_size, struct span stored, struct span *out);

#define RECORD_KEY_BYTES 12u
#define BLOCK_KEY_BYTES 24u /* the last 4 are the CRC */
#define STAGE_KEY_BYTES 28u
#define META_STATE "sstate"
#define META_PLACE "lcompaction" /* where compaction stands: compact.c */

void backend_record_key(uint8_t *key, struct rev rev);
void backend_block_key(uint8_t *key, const struct block_id *id, uint32_t crc);
void backend_stage_key(uint8_t *key, const struct stage_id *id, uint32_t chunk);
uint64_t backend_key_u64(const uint8_t *p);
uint32_t backend_key_u32(const uint8_t *p);

#endif
