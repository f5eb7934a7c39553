#include "base/crc32c.h"
#include "store/mvcc/backend.h"

#include <errno.h>
#include <string.h>

static int find(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_size, struct span *out)
{
	MDB_val k = {key_size, (void *)key};
	MDB_val v;
	int rc = mdb_get(txn, dbi, &k, &v);
	if (rc == 0)
		*out = (struct span){v.mv_data, v.mv_size};
	return backend_errno(rc);
}

/* Takes the checksum off the end of a stored record. */
static int check_record(struct span stored, struct span *out)
{
	uint32_t crc;
	if (stored.size < sizeof crc)
		return -EIO;
	struct span bytes = {stored.data, stored.size - sizeof crc};
	if (backend_key_u32((const uint8_t *)stored.data + bytes.size) != crc32c(0, bytes.data, bytes.size))
		return -EIO;
	*out = bytes;
	return 0;
}

int backend_find_record(struct backend *b, MDB_txn *txn, struct rev rev, struct span *out)
{
	uint8_t key[RECORD_KEY_BYTES];
	struct span stored = {0};
	backend_record_key(key, rev);
	int error = find(txn, b->records, key, sizeof key, &stored);
	return error ? error : check_record(stored, out);
}

/* The entry before the first one at a later revision. */
static int floor_block(MDB_cursor *cursor, const struct block_id *id, MDB_val *key, MDB_val *value)
{
	uint8_t after[BLOCK_KEY_BYTES];
	backend_block_key(after, &(struct block_id){.ino = id->ino, .block = id->block, .main = id->main + 1}, 0);
	*key = (MDB_val){sizeof after, after};
	int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	return mdb_cursor_get(cursor, key, value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
}

static int find_block(struct backend *b, MDB_txn *txn, const struct block_id *id, MDB_val *key, MDB_val *value)
{
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, b->blocks, &cursor);
	if (rc)
		return backend_errno(rc);
	rc = floor_block(cursor, id, key, value);
	mdb_cursor_close(cursor);
	if (rc)
		return backend_errno(rc);
	const uint8_t *found = key->mv_data;
	if (key->mv_size != BLOCK_KEY_BYTES || value->mv_size > MVCC_BLOCK_BYTES)
		return -EIO;
	return backend_key_u64(found) != id->ino || backend_key_u32(found + 8) != id->block ? -ENOENT : 0;
}

int backend_find_block_main(struct backend *b, MDB_txn *txn, const struct block_id *id, uint64_t *out)
{
	MDB_val key, value;
	int error = find_block(b, txn, id, &key, &value);
	if (!error)
		*out = backend_key_u64((const uint8_t *)key.mv_data + 12);
	return error;
}

int backend_find_block(struct backend *b, MDB_txn *txn, const struct block_id *id, struct span *out)
{
	MDB_val key, value;
	int error = find_block(b, txn, id, &key, &value);
	if (error)
		return error;
	const uint8_t *found = key.mv_data;
	if (backend_key_u32(found + 20) != crc32c(0, value.mv_data, value.mv_size))
		return -EIO;
	*out = (struct span){value.mv_data, value.mv_size};
	return 0;
}

/* Takes the checksum of key and value off the end of a stored value. */
int backend_check_keyed(const void *key, size_t key_size, struct span stored, struct span *out)
{
	struct span bytes = {stored.data, stored.size - sizeof(uint32_t)};
	if (stored.size < sizeof(uint32_t))
		return -EIO;
	if (backend_key_u32((const uint8_t *)stored.data + bytes.size) != crc32c(crc32c(0, key, key_size), bytes.data, bytes.size))
		return -EIO;
	*out = bytes;
	return 0;
}

static int find_checked(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_size, struct span *out)
{
	struct span stored = {0};
	int error = find(txn, dbi, key, key_size, &stored);
	return error ? error : backend_check_keyed(key, key_size, stored, out);
}

int backend_find_meta(struct backend *b, MDB_txn *txn, struct span name, struct span *out)
{
	char key[1 + BACKEND_META_NAME_MAX] = "u";
	if (name.size > BACKEND_META_NAME_MAX)
		return -ENOENT;
	memcpy(key + 1, name.data, name.size);
	return find_checked(txn, b->metas, key, 1 + name.size, out);
}

int backend_find_stage(struct backend *b, MDB_txn *txn, const struct stage_id *id, uint32_t chunk, struct span *out)
{
	uint8_t key[STAGE_KEY_BYTES];
	backend_stage_key(key, id, chunk);
	return find_checked(txn, b->stages, key, sizeof key, out);
}

/* The first entry behind `after`. */
static int seek_behind(MDB_cursor *cursor, struct span after, MDB_val *k, MDB_val *v)
{
	if (after.size == 0)
		return mdb_cursor_get(cursor, k, v, MDB_FIRST);
	*k = (MDB_val){after.size, (void *)after.data};
	int rc = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);
	if (rc == 0 && k->mv_size == after.size && memcmp(k->mv_data, after.data, after.size) == 0)
		rc = mdb_cursor_get(cursor, k, v, MDB_NEXT);
	return rc;
}

static int each_behind(MDB_txn *txn, MDB_dbi dbi, struct span after, int (*fn)(void *ctx, struct span key, struct span value), void *ctx)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	int rc = mdb_cursor_open(txn, dbi, &cursor);
	if (rc)
		return backend_errno(rc);
	int error = 0;
	rc = seek_behind(cursor, after, &k, &v);
	while (rc == 0) {
		error = fn(ctx, (struct span){k.mv_data, k.mv_size}, (struct span){v.mv_data, v.mv_size});
		if (error)
			break;
		rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	if (error)
		return error;
	return rc == MDB_NOTFOUND ? 0 : backend_errno(rc);
}

/* Calls fn for all entries of a database in order. */
static int each(MDB_txn *txn, MDB_dbi dbi, int (*fn)(void *ctx, struct span key, struct span value), void *ctx)
{
	return each_behind(txn, dbi, (struct span){NULL, 0}, fn, ctx);
}

static MDB_dbi database(const struct backend *b, enum backend_database which)
{
	const MDB_dbi all[] = {b->records, b->blocks, b->metas, b->stages};
	return all[which - BACKEND_RECORDS];
}

int backend_walk(struct backend *b, MDB_txn *txn, enum backend_database which, struct span after,
		 int (*fn)(void *ctx, struct span key, struct span value), void *ctx)
{
	return each_behind(txn, database(b, which), after, fn, ctx);
}

int backend_size(struct backend *b, MDB_txn *txn, enum backend_database which, uint64_t *entries, uint64_t *bytes)
{
	MDB_stat stat;
	int rc = mdb_stat(txn, database(b, which), &stat);
	if (rc)
		return backend_errno(rc);
	*entries = stat.ms_entries;
	*bytes = (uint64_t)(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
	return 0;
}

int backend_find_own(struct backend *b, MDB_txn *txn, const char *key, struct span *out)
{
	/* The state has a checksum of its own. */
	if (strcmp(key, META_STATE) == 0)
		return find(txn, b->metas, key, strlen(key), out);
	return find_checked(txn, b->metas, key, strlen(key), out);
}

struct record_walk {
	int (*fn)(void *ctx, struct rev rev, struct span bytes);
	void *ctx;
};

static int walk_record(void *ctx, struct span key, struct span value)
{
	struct record_walk *walk = ctx;
	const uint8_t *k = key.data;
	struct span bytes;
	if (key.size != RECORD_KEY_BYTES)
		return -EIO;
	int error = check_record(value, &bytes);
	if (error)
		return error;
	return walk->fn(walk->ctx, (struct rev){backend_key_u64(k), backend_key_u32(k + 8)}, bytes);
}

int backend_each_record(struct backend *b, int (*fn)(void *ctx, struct rev rev, struct span bytes), void *ctx)
{
	struct record_walk walk = {fn, ctx};
	MDB_txn *txn;
	int error = backend_begin(b, &txn);
	if (error)
		return error;
	error = each(txn, b->records, walk_record, &walk);
	backend_end(b, txn);
	return error;
}

int backend_scan_records(struct backend *b, MDB_txn *txn, struct rev from, int (*fn)(void *ctx, struct rev rev, struct span bytes),
			 void *ctx)
{
	struct record_walk walk = {fn, ctx};
	uint8_t before[RECORD_KEY_BYTES];
	size_t size = from.main > 0 || from.sub > 0 ? sizeof before : 0;
	backend_record_key(before, from.sub > 0 ? (struct rev){from.main, from.sub - 1} : (struct rev){from.main - 1, UINT32_MAX});
	return each_behind(txn, b->records, (struct span){before, size}, walk_record, &walk);
}

struct block_walk {
	int (*fn)(void *ctx, const struct stored_block *block);
	void *ctx;
};

static int walk_block(void *ctx, struct span key, struct span value)
{
	struct block_walk *walk = ctx;
	const uint8_t *k = key.data;
	if (key.size != BLOCK_KEY_BYTES)
		return -EIO;
	struct block_id id = {.ino = backend_key_u64(k), .block = backend_key_u32(k + 8), .main = backend_key_u64(k + 12)};
	return walk->fn(walk->ctx, &(struct stored_block){id, backend_key_u32(k + 20), value.size == 0});
}

int backend_scan_blocks(struct backend *b, MDB_txn *txn, const struct block_id *from,
			int (*fn)(void *ctx, const struct stored_block *block), void *ctx)
{
	struct block_walk walk = {fn, ctx};
	struct block_id id = *from;
	uint8_t before[BLOCK_KEY_BYTES];
	id.main -= id.main > 0; /* there is no revision 0 */
	backend_block_key(before, &id, from->main > 0 ? UINT32_MAX : 0);
	return each_behind(txn, b->blocks, (struct span){before, sizeof before}, walk_block, &walk);
}

struct meta_walk {
	int (*fn)(void *ctx, struct span name, struct span value);
	void *ctx;
};

static int walk_meta(void *ctx, struct span key, struct span value)
{
	struct meta_walk *walk = ctx;
	const char *k = key.data;
	struct span bytes;
	if (key.size == 0 || k[0] != 'u')
		return 0;
	int error = backend_check_keyed(key.data, key.size, value, &bytes);
	return error ? error : walk->fn(walk->ctx, (struct span){k + 1, key.size - 1}, bytes);
}

int backend_each_meta(struct backend *b, MDB_txn *txn, int (*fn)(void *ctx, struct span name, struct span value), void *ctx)
{
	struct meta_walk walk = {fn, ctx};
	return each(txn, b->metas, walk_meta, &walk);
}

struct stage_walk {
	void (*fn)(void *ctx, const struct stage_id *id, uint32_t chunk);
	void *ctx;
};

static int walk_stage(void *ctx, struct span key, struct span value)
{
	struct stage_walk *walk = ctx;
	const uint8_t *k = key.data;
	(void)value;
	if (key.size != STAGE_KEY_BYTES)
		return -EIO;
	struct stage_id id = {backend_key_u64(k), backend_key_u64(k + 8), backend_key_u64(k + 16)};
	walk->fn(walk->ctx, &id, backend_key_u32(k + 24));
	return 0;
}

int backend_each_stage(struct backend *b, void (*fn)(void *ctx, const struct stage_id *id, uint32_t chunk), void *ctx)
{
	struct stage_walk walk = {fn, ctx};
	MDB_txn *txn;
	int error = backend_begin(b, &txn);
	if (error)
		return error;
	error = each(txn, b->stages, walk_stage, &walk);
	backend_end(b, txn);
	return error;
}
