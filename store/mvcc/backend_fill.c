/* Filling a new store from a snapshot, in write transactions of its own. */
#include "store/mvcc/backend.h"

#include <errno.h>
#include <string.h>

int backend_fill_begin(struct backend *b, MDB_txn **out)
{
	return backend_errno(mdb_txn_begin(b->env, NULL, 0, out));
}

int backend_fill_append(struct backend *b, MDB_txn *txn, enum backend_database which, struct span key, struct span value)
{
	const MDB_dbi all[] = {b->records, b->blocks, b->metas, b->stages};
	MDB_val k = {key.size, (void *)key.data};
	MDB_val v = {value.size, (void *)value.data};
	int rc = mdb_put(txn, all[which - BACKEND_RECORDS], &k, &v, MDB_APPEND);
	return rc == MDB_KEYEXIST ? -EBADMSG : backend_errno(rc);
}

int backend_fill_own(struct backend *b, MDB_txn *txn, const char *key, struct span value)
{
	MDB_val k = {strlen(key), (void *)key};
	MDB_val v = {value.size, (void *)value.data};
	if (strcmp(key, META_STATE) == 0)
		return backend_errno(mdb_put(txn, b->metas, &k, &v, 0));
	return backend_errno(backend_put_checked(txn, b->metas, key, strlen(key), value));
}

int backend_fill_commit(MDB_txn *txn)
{
	return backend_errno(mdb_txn_commit(txn));
}

void backend_fill_abort(MDB_txn *txn)
{
	mdb_txn_abort(txn);
}
