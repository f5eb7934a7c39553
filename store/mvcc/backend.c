#include "store/mvcc/backend.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int backend_errno(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return -EBADMSG;
	default:
		return rc > 0 ? -rc : -EIO;
	}
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof v);
	return p + sizeof v;
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof v);
	return p + sizeof v;
}

uint64_t backend_key_u64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return be64toh(v);
}

uint32_t backend_key_u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return be32toh(v);
}

void backend_record_key(uint8_t *key, struct rev rev)
{
	put_u32(put_u64(key, rev.main), rev.sub);
}

void backend_block_key(uint8_t *key, const struct block_id *id, uint32_t crc)
{
	put_u32(put_u64(put_u32(put_u64(key, id->ino), id->block), id->main), crc);
}

void backend_stage_key(uint8_t *key, const struct stage_id *id, uint32_t chunk)
{
	put_u32(put_u64(put_u64(put_u64(key, id->origin), id->epoch), id->number), chunk);
}

int backend_begin(struct backend *b, MDB_txn **out)
{
	MDB_txn *txn = NULL;
	pthread_mutex_lock(&b->pool_lock);
	while (b->pool_count == 0 && b->readers_count == BACKEND_READERS_MAX)
		pthread_cond_wait(&b->pool_returned, &b->pool_lock);
	if (b->pool_count > 0)
		txn = b->pool[--b->pool_count];
	else
		b->readers_count++;
	pthread_mutex_unlock(&b->pool_lock);

	int rc = txn ? mdb_txn_renew(txn) : mdb_txn_begin(b->env, NULL, MDB_RDONLY, &txn);
	if (rc == 0) {
		*out = txn;
		return 0;
	}
	if (txn)
		mdb_txn_abort(txn);
	pthread_mutex_lock(&b->pool_lock);
	b->readers_count--;
	pthread_cond_signal(&b->pool_returned);
	pthread_mutex_unlock(&b->pool_lock);
	return backend_errno(rc);
}

void backend_end(struct backend *b, MDB_txn *txn)
{
	mdb_txn_reset(txn);
	pthread_mutex_lock(&b->pool_lock);
	b->pool[b->pool_count++] = txn;
	bool last = b->retired && b->pool_count == b->readers_count;
	pthread_cond_signal(&b->pool_returned);
	pthread_mutex_unlock(&b->pool_lock);
	if (last) {
		backend_close(b);
		free(b);
	}
}

void backend_retire(struct backend *b)
{
	pthread_mutex_lock(&b->pool_lock);
	b->retired = true;
	bool idle = b->pool_count == b->readers_count;
	pthread_mutex_unlock(&b->pool_lock);
	if (idle) {
		backend_close(b);
		free(b);
	}
}

int backend_sync(struct backend *b)
{
	return b->no_sync ? 0 : backend_errno(mdb_env_sync(b->env, 1));
}

uint64_t backend_file_bytes(struct backend *b)
{
	MDB_envinfo info;
	MDB_stat stat;
	if (mdb_env_info(b->env, &info) || mdb_env_stat(b->env, &stat))
		return 0;
	return ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

void backend_close(struct backend *b)
{
	if (!b->env)
		return;
	for (size_t i = 0; i < b->pool_count; i++)
		mdb_txn_abort(b->pool[i]);
	mdb_env_close(b->env);
	pthread_cond_destroy(&b->pool_returned);
	pthread_mutex_destroy(&b->pool_lock);
	*b = (struct backend){0};
}
