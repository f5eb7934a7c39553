#include "store/mvcc/backend.h"

#include <string.h>

static int remove_key(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t size)
{
	MDB_val k = {size, (void *)key};
	int rc = mdb_del(txn, dbi, &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int remove_all(struct backend *b, MDB_txn *txn, const struct removal *what)
{
	int rc = 0;
	for (size_t i = 0; i < what->blocks_count && rc == 0; i++) {
		uint8_t key[BLOCK_KEY_BYTES];
		backend_block_key(key, &what->blocks[i].id, what->blocks[i].crc);
		rc = remove_key(txn, b->blocks, key, sizeof key);
	}
	for (size_t i = 0; i < what->records_count && rc == 0; i++) {
		uint8_t key[RECORD_KEY_BYTES];
		backend_record_key(key, what->records[i]);
		rc = remove_key(txn, b->records, key, sizeof key);
	}
	if (rc == 0 && what->place.size > 0)
		rc = backend_put_checked(txn, b->metas, META_PLACE, strlen(META_PLACE), what->place);
	return rc;
}

int backend_remove(struct backend *b, const struct removal *what)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(b->env, NULL, 0, &txn);
	if (rc)
		return backend_errno(rc);
	rc = remove_all(b, txn, what);
	if (rc == 0)
		return backend_errno(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return backend_errno(rc);
}

/* LMDB keeps its free pages in a database of its own, number 0: lists of page numbers, each with its length in front (as mdb_stat -f reads it). */
static int count_free(MDB_txn *txn, uint64_t *out)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	uint64_t pages = 0;
	int rc = mdb_cursor_open(txn, 0, &cursor);
	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
		size_t length = 0;
		memcpy(&length, v.mv_data, v.mv_size < sizeof length ? v.mv_size : sizeof length);
		pages += length;
	}
	mdb_cursor_close(cursor);
	*out = pages;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int backend_used_bytes(struct backend *b, uint64_t *out)
{
	MDB_txn *txn;
	MDB_stat stat;
	uint64_t free_pages = 0;
	int error = backend_begin(b, &txn);
	if (error)
		return error;
	/* Before the lists: what is freed meanwhile is then counted as used. */
	uint64_t bytes = backend_file_bytes(b);
	int rc = count_free(txn, &free_pages);
	backend_end(b, txn);
	if (rc == 0)
		rc = mdb_env_stat(b->env, &stat);
	if (rc == 0)
		*out = bytes - free_pages * stat.ms_psize;
	return backend_errno(rc);
}
