/* LMDB's interface (lmdb.h), in place of the library. */
#include "tests/sim/heap.h"
#include "tests/sim/lmdb_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- environments --- */

char *mdb_strerror(int error)
{
	static char text[64];
	snprintf(text, sizeof(text), "LMDB error %d", error);
	return text;
}

int mdb_env_create(MDB_env **env)
{
	*env = world_zalloc(sizeof(**env));
	(*env)->machine = machine_now();
	return 0;
}

int mdb_env_set_maxdbs(MDB_env *env, MDB_dbi count)
{
	(void)env, (void)count;
	return 0;
}

int mdb_env_set_maxreaders(MDB_env *env, unsigned count)
{
	(void)env, (void)count;
	return 0;
}

int mdb_env_set_mapsize(MDB_env *env, size_t size)
{
	(void)env, (void)size;
	return 0;
}

int mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
	struct file **f = lmdb_file_place(env->machine, path);
	(void)flags, (void)mode;
	machine_effect(env->machine);
	if (!*f) {
		*f = world_zalloc(sizeof(**f));
		snprintf((*f)->path, sizeof((*f)->path), "%s", path);
	}
	if ((*f)->open)
		violated("machine %u opens %s twice", env->machine->number, path);
	(*f)->open = (*f)->begun = true;
	env->file = *f;
	return 0;
}

void mdb_env_close(MDB_env *env)
{
	if (env->file) {
		if (env->file->writing)
			violated("machine %u closes a store within a transaction", env->machine->number);
		env->file->open = false;
	}
	heap_free(env);
}

int mdb_env_get_fd(MDB_env *env, mdb_filehandle_t *fd)
{
	(void)env;
	*fd = -1; /* backend_open.c looks at its length: see __wrap_fstat */
	return 0;
}

int mdb_env_sync(MDB_env *env, int force)
{
	struct file *f = env->file;
	uint64_t last = f->last;
	(void)force;
	int error = disk_sync_takes(env->machine);
	if (error)
		return -error;
	if (f->synced < last)
		f->synced = last;
	return 0;
}

int mdb_env_stat(MDB_env *env, MDB_stat *stat)
{
	*stat = (MDB_stat){.ms_psize = PAGE, .ms_entries = env->file->maps_count};
	return 0;
}

int mdb_env_info(MDB_env *env, MDB_envinfo *info)
{
	*info = (MDB_envinfo){.me_last_pgno = env->file->bytes / PAGE, .me_last_txnid = env->file->last};
	return 0;
}

/* --- transactions --- */

static void enlist(MDB_txn *txn)
{
	struct file *f = txn->env->file;
	txn->sees = f->last;
	txn->active = true;
	txn->next = f->readers;
	f->readers = txn;
}

static void delist(MDB_txn *txn)
{
	struct MDB_txn **place = &txn->env->file->readers;
	while (*place && *place != txn)
		place = &(*place)->next;
	if (*place)
		*place = txn->next;
	txn->active = false;
}

int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out)
{
	struct file *f = env->file;
	(void)parent;
	MDB_txn *txn = world_zalloc(sizeof(*txn));
	txn->env = env;
	if (flags & MDB_RDONLY) {
		enlist(txn);
	} else {
		while (f->writing)
			fiber_sleep(MS / 10);
		f->writing = txn->writes = txn->active = true;
		txn->sees = f->last + 1;
	}
	*out = txn;
	return 0;
}

static void end(MDB_txn *txn)
{
	if (txn->writes)
		txn->env->file->writing = false;
	else if (txn->active)
		delist(txn);
	heap_free(txn->touched);
	heap_free(txn);
}

void mdb_txn_abort(MDB_txn *txn)
{
	struct file *f = txn->env->file;
	if (txn->writes)
		lmdb_undo(f, f->last);
	end(txn);
}

void mdb_txn_reset(MDB_txn *txn)
{
	delist(txn);
}

int mdb_txn_renew(MDB_txn *txn)
{
	enlist(txn);
	return 0;
}

static int commit_fails(struct machine *m)
{
	if (disk_mood(m)->full) {
		m->disk_faulty = true;
		return ENOSPC;
	}
	return -disk_sync_takes(m);
}

/* The sync of the pages covers the page that said which commit was the last, too: of the one before. */
int mdb_txn_commit(MDB_txn *txn)
{
	struct file *f = txn->env->file;
	if (!txn->writes) {
		end(txn);
		return 0;
	}
	int error = commit_fails(txn->env->machine);
	if (error) {
		mdb_txn_abort(txn);
		return error;
	}
	f->synced = f->last;
	f->last = txn->sees;
	for (size_t i = 0; i < txn->touched_count; i++)
		lmdb_prune(f, txn->touched[i].cell);
	end(txn);
	happened(HAPPENED_store_commit, machine_now()->number, f->last, 0);
	machine_effect(machine_now());
	if (f->last % 16 == 0)
		lmdb_sweep(f);
	return 0;
}

/* --- reading and writing --- */

/* LMDB's own two come first: its free pages, of which there are none here, and the names. */
static struct map *map_of(MDB_txn *txn, MDB_dbi dbi)
{
	static struct map empty;
	return dbi < FIRST_DBI ? &empty : &txn->env->file->maps[dbi - FIRST_DBI];
}

int mdb_dbi_open(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *dbi)
{
	struct file *f = txn->env->file;
	for (uint32_t i = 0; i < f->maps_count; i++)
		if (strcmp(f->maps[i].name, name) == 0) {
			*dbi = FIRST_DBI + i;
			return 0;
		}
	if (!(flags & MDB_CREATE) || !txn->writes)
		return MDB_NOTFOUND;
	if (f->maps_count == MAPS_MAX)
		return MDB_DBS_FULL;
	struct map *m = &f->maps[f->maps_count];
	*m = (struct map){.made_by = txn->sees};
	snprintf(m->name, sizeof(m->name), "%s", name);
	*dbi = FIRST_DBI + f->maps_count++;
	return 0;
}

int mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
	const struct cell *c = lmdb_find_cell(map_of(txn, dbi), key);
	const struct version *v = c ? lmdb_seen(c, txn) : NULL;
	if (!v)
		return MDB_NOTFOUND;
	*data = (MDB_val){v->size, (void *)v->data};
	return 0;
}

static struct version *add_version(MDB_txn *txn, struct map *m, struct cell *c, size_t size)
{
	struct file *f = txn->env->file;
	if (txn->touched_count == txn->touched_capacity) {
		txn->touched_capacity = txn->touched_capacity ? txn->touched_capacity * 2 : 16;
		txn->touched = heap_resize(HEAP_WORLD, txn->touched, txn->touched_capacity * sizeof(*txn->touched));
	}
	txn->touched[txn->touched_count++] = (struct touched){m, c};
	if (c->newest && c->newest->txn == txn->sees) {
		struct version *replaced = c->newest;
		c->newest = replaced->older;
		replaced->older = NULL;
		lmdb_free_versions(f, replaced);
	}
	struct version *v = world_alloc(sizeof(*v) + size);
	*v = (struct version){.older = c->newest, .txn = txn->sees, .size = size};
	f->bytes += size;
	c->newest = v;
	return v;
}

int mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags)
{
	struct map *m = map_of(txn, dbi);
	if ((flags & MDB_APPEND) && m->count > 0 && lmdb_compare(m->cells[m->count - 1], key) >= 0 && m->cells[m->count - 1]->newest)
		return MDB_KEYEXIST;
	struct cell *c = lmdb_make_cell(m, key);
	if ((flags & MDB_NOOVERWRITE) && lmdb_seen(c, txn))
		return MDB_KEYEXIST;
	struct version *v = add_version(txn, m, c, data->mv_size);
	if (flags & MDB_RESERVE)
		data->mv_data = v->data;
	else if (data->mv_size > 0)
		memcpy(v->data, data->mv_data, data->mv_size);
	return 0;
}

static int delete_cell(MDB_txn *txn, struct map *m, struct cell *c)
{
	if (!c || !lmdb_seen(c, txn))
		return MDB_NOTFOUND;
	add_version(txn, m, c, 0)->deleted = true;
	return 0;
}

int mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
	struct map *m = map_of(txn, dbi);
	(void)data;
	return delete_cell(txn, m, lmdb_find_cell(m, key));
}

int mdb_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat)
{
	const struct map *m = map_of(txn, dbi);
	*stat = (MDB_stat){.ms_psize = PAGE};
	for (size_t i = 0; i < m->count; i++)
		stat->ms_entries += lmdb_seen(m->cells[i], txn) ? 1 : 0;
	return 0;
}

/* --- cursors --- */

int mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **out)
{
	MDB_cursor *c = world_zalloc(sizeof(*c));
	*c = (MDB_cursor){.txn = txn, .map = map_of(txn, dbi)};
	*out = c;
	return 0;
}

void mdb_cursor_close(MDB_cursor *c)
{
	heap_free(c);
}

/* The first cell that the transaction sees from place `i` on, upwards or downwards. */
static int settle(MDB_cursor *c, size_t i, int step, MDB_val *key, MDB_val *data)
{
	for (; i < c->map->count; i += (size_t)step) {
		const struct version *v = lmdb_seen(c->map->cells[i], c->txn);
		if (!v)
			continue;
		c->at = c->map->cells[i];
		*key = (MDB_val){c->at->key_size, c->at->key};
		if (data)
			*data = (MDB_val){v->size, (void *)v->data};
		return 0;
	}
	return MDB_NOTFOUND;
}

static size_t place_of(const MDB_cursor *c)
{
	MDB_val key = {c->at->key_size, c->at->key};
	return lmdb_find_place(c->map, &key);
}

int mdb_cursor_get(MDB_cursor *c, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
	size_t i;
	switch (op) {
	case MDB_FIRST:
		return settle(c, 0, 1, key, data);
	case MDB_LAST:
		return settle(c, c->map->count - 1, -1, key, data);
	case MDB_NEXT:
		return settle(c, c->at ? place_of(c) + 1 : 0, 1, key, data);
	case MDB_PREV:
		return settle(c, (c->at ? place_of(c) : c->map->count) - 1, -1, key, data);
	case MDB_GET_CURRENT:
		return c->at ? settle(c, place_of(c), 1, key, data) : EINVAL;
	case MDB_SET_RANGE:
		return settle(c, lmdb_find_place(c->map, key), 1, key, data);
	case MDB_SET:
	case MDB_SET_KEY:
		i = lmdb_find_place(c->map, key);
		if (i == c->map->count || lmdb_compare(c->map->cells[i], key) != 0 || !lmdb_seen(c->map->cells[i], c->txn))
			return MDB_NOTFOUND;
		return settle(c, i, 1, key, data);
	default:
		violated("a cursor operation that the simulated LMDB does not know: %d", (int)op);
		return EINVAL;
	}
}

int mdb_cursor_del(MDB_cursor *c, unsigned flags)
{
	(void)flags;
	return delete_cell(c->txn, c->map, c->at);
}
