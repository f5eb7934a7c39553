#include "base/crc32c.h"
#include "store/mvcc/backend.h"

#include <endian.h>
#include <string.h>

static int put(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_size, struct span value)
{
	MDB_val k = {key_size, (void *)key};
	MDB_val v = {value.size, (void *)value.data};
	return mdb_put(txn, dbi, &k, &v, 0);
}

int backend_put_checked(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_size, struct span value)
{
	uint32_t crc = htobe32(crc32c(crc32c(0, key, key_size), value.data, value.size));
	MDB_val k = {key_size, (void *)key};
	MDB_val v = {value.size + sizeof crc, NULL};
	int rc = mdb_put(txn, dbi, &k, &v, MDB_RESERVE);
	if (rc)
		return rc;
	if (value.size > 0)
		memcpy(v.mv_data, value.data, value.size);
	memcpy((uint8_t *)v.mv_data + value.size, &crc, sizeof crc);
	return 0;
}

/* Revisions only grow, so each record goes to the end: that is quick, and leaves the pages full. */
static int commit_records(struct backend *b, MDB_txn *txn, const struct buffer *changes)
{
	int rc = 0;
	for (size_t i = 0; i < changes->records_count && rc == 0; i++) {
		const struct buffer_record *r = &changes->records[i];
		uint8_t key[RECORD_KEY_BYTES];
		uint32_t crc = htobe32(r->crc);
		MDB_val k = {sizeof key, key};
		MDB_val v = {r->bytes.size + sizeof crc, NULL};
		backend_record_key(key, r->rev);
		rc = mdb_put(txn, b->records, &k, &v, MDB_APPEND | MDB_RESERVE);
		if (rc == 0) {
			memcpy(v.mv_data, r->bytes.data, r->bytes.size);
			memcpy((uint8_t *)v.mv_data + r->bytes.size, &crc, sizeof crc);
		}
	}
	return rc;
}

static int commit_blocks(struct backend *b, MDB_txn *txn, const struct buffer *changes)
{
	int rc = 0;
	for (uint32_t i = 0; i < changes->blocks_count && rc == 0; i++) {
		const struct buffer_block *block = &changes->blocks[i];
		uint8_t key[BLOCK_KEY_BYTES];
		backend_block_key(key, &block->id, block->crc);
		rc = put(txn, b->blocks, key, sizeof key, block->data);
	}
	return rc;
}

static int commit_metas(struct backend *b, MDB_txn *txn, const struct buffer *changes)
{
	int rc = 0;
	for (size_t i = 0; i < changes->metas_count && rc == 0; i++) {
		const struct buffer_meta *m = &changes->metas[i];
		char key[1 + BACKEND_META_NAME_MAX] = "u";
		memcpy(key + 1, m->name.data, m->name.size);
		if (m->value.size > 0) {
			rc = backend_put_checked(txn, b->metas, key, 1 + m->name.size, m->value);
			continue;
		}
		rc = mdb_del(txn, b->metas, &(MDB_val){1 + m->name.size, key}, NULL);
		rc = rc == MDB_NOTFOUND ? 0 : rc;
	}
	return rc;
}

static int drop_stage(struct backend *b, MDB_txn *txn, const struct buffer_stage *s)
{
	int rc = 0;
	for (uint32_t chunk = 0; chunk < s->chunk && rc == 0; chunk++) {
		uint8_t key[STAGE_KEY_BYTES];
		backend_stage_key(key, &s->id, chunk);
		rc = mdb_del(txn, b->stages, &(MDB_val){sizeof key, key}, NULL);
		rc = rc == MDB_NOTFOUND ? 0 : rc;
	}
	return rc;
}

static int commit_stages(struct backend *b, MDB_txn *txn, const struct buffer *changes)
{
	int rc = 0;
	for (size_t i = 0; i < changes->stages_count && rc == 0; i++) {
		const struct buffer_stage *s = &changes->stages[i];
		uint8_t key[STAGE_KEY_BYTES];
		if (s->drop) {
			rc = drop_stage(b, txn, s);
		} else if (!s->dead) {
			backend_stage_key(key, &s->id, s->chunk);
			rc = backend_put_checked(txn, b->stages, key, sizeof key, s->data);
		}
	}
	return rc;
}

static int commit_state(struct backend *b, MDB_txn *txn, const struct state *state)
{
	struct writer w = {0};
	state_encode(state, &w);
	int rc = put(txn, b->metas, META_STATE, strlen(META_STATE), (struct span){w.data, w.size});
	writer_free(&w);
	return rc;
}

int backend_write(struct backend *b, MDB_txn *txn, const struct buffer *changes, const struct state *state)
{
	int rc = commit_records(b, txn, changes);
	if (rc == 0)
		rc = commit_blocks(b, txn, changes);
	if (rc == 0)
		rc = commit_metas(b, txn, changes);
	if (rc == 0)
		rc = commit_stages(b, txn, changes);
	if (rc == 0)
		rc = commit_state(b, txn, state);
	return rc;
}

int backend_commit(struct backend *b, const struct buffer *changes, const struct state *state)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(b->env, NULL, 0, &txn);
	if (rc)
		return backend_errno(rc);
	rc = backend_write(b, txn, changes, state);
	if (rc == 0)
		return backend_errno(mdb_txn_commit(txn));
	mdb_txn_abort(txn);
	return backend_errno(rc);
}
