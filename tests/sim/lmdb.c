/* LMDB's interface (lmdb.h) over ordered maps in memory, in place of the library. Each key has its versions by transaction, so that a reader sees
 * its snapshot. As with MDB_NOMETASYNC, a power cut may undo the last commit unless it was synced, and never the one before. */
#include "tests/sim/disk.h"
#include "tests/sim/heap.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define MAPS_MAX 8u
#define FIRST_DBI 2u
#define FOLDERS_MAX 16u
#define RENAMES_MAX 16u
#define NAME_MAX_BYTES 32u
#define PATH_BYTES 64u

struct version {
	struct version *older;
	uint64_t txn;
	bool deleted;
	size_t size;
	uint8_t data[];
};

struct cell {
	struct version *newest;
	size_t key_size;
	uint8_t key[];
};

struct map {
	char name[NAME_MAX_BYTES];
	uint64_t made_by; /* transaction */
	struct cell **cells;
	size_t count;
	size_t capacity;
};

/* What is on the disk. */
struct file {
	char path[PATH_BYTES];
	struct map maps[MAPS_MAX];
	uint32_t maps_count;
	uint64_t last;   /* committed transaction */
	uint64_t synced; /* it survives a power cut: last or last - 1 */
	uint64_t bytes;
	struct MDB_txn *readers;
	bool writing;
	bool open;
	bool begun; /* data.mdb is there */
};

struct MDB_env {
	struct machine *machine;
	struct file *file;
};

struct MDB_txn {
	struct MDB_env *env;
	uint64_t sees;
	bool writes;
	bool active;
	struct MDB_txn *next; /* of the file's readers */
	struct touched *touched;
	size_t touched_count;
	size_t touched_capacity;
};

struct touched {
	struct map *map;
	struct cell *cell;
};

struct MDB_cursor {
	struct MDB_txn *txn;
	struct map *map;
	struct cell *at;
};

struct renamed {
	struct file *file;
	char from[PATH_BYTES];
};

static struct file *files[MACHINES_MAX][FOLDERS_MAX];     /* with an empty path: removed */
static struct renamed renames[MACHINES_MAX][RENAMES_MAX]; /* not synced yet */
static uint32_t renames_count[MACHINES_MAX];

void store_disks_begin(void)
{
	memset(files, 0, sizeof(files));
	memset(renames_count, 0, sizeof(renames_count));
}

/* --- maps --- */

static int compare(const struct cell *c, const MDB_val *key)
{
	size_t common = c->key_size < key->mv_size ? c->key_size : key->mv_size;
	int order = memcmp(c->key, key->mv_data, common);
	return order != 0 ? order : (c->key_size > key->mv_size) - (c->key_size < key->mv_size);
}

/* The first cell that is not below the key. */
static size_t find_place(const struct map *m, const MDB_val *key)
{
	size_t lo = 0, hi = m->count;
	if (hi > 0 && compare(m->cells[hi - 1], key) < 0)
		return hi;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (compare(m->cells[mid], key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct cell *find_cell(const struct map *m, const MDB_val *key)
{
	size_t i = find_place(m, key);
	return i < m->count && compare(m->cells[i], key) == 0 ? m->cells[i] : NULL;
}

static struct cell *make_cell(struct map *m, const MDB_val *key)
{
	size_t i = find_place(m, key);
	if (i < m->count && compare(m->cells[i], key) == 0)
		return m->cells[i];
	if (m->count == m->capacity) {
		m->capacity = m->capacity ? m->capacity * 2 : 64;
		m->cells = heap_resize(HEAP_WORLD, m->cells, m->capacity * sizeof(struct cell *));
	}
	memmove(m->cells + i + 1, m->cells + i, (m->count - i) * sizeof(struct cell *));
	struct cell *c = world_alloc(sizeof(*c) + key->mv_size);
	c->newest = NULL;
	c->key_size = key->mv_size;
	memcpy(c->key, key->mv_data, key->mv_size);
	m->cells[i] = c;
	m->count++;
	return c;
}

static const struct version *seen(const struct cell *c, const struct MDB_txn *txn)
{
	const struct version *v = c->newest;
	while (v && v->txn > txn->sees)
		v = v->older;
	return v && !v->deleted ? v : NULL;
}

static void free_versions(struct file *f, struct version *v)
{
	while (v) {
		struct version *older = v->older;
		f->bytes -= v->size;
		heap_free(v);
		v = older;
	}
}

/* Versions that nobody can see any more go: a power cut may bring back the last commit but one, and readers see what they began with. */
static void prune(struct file *f, struct cell *c)
{
	uint64_t oldest = f->synced;
	for (const struct MDB_txn *r = f->readers; r; r = r->next)
		if (r->sees < oldest)
			oldest = r->sees;
	struct version *v = c->newest;
	while (v && v->txn > oldest)
		v = v->older;
	if (!v)
		return;
	free_versions(f, v->older);
	v->older = NULL;
}

/* Cells without a version go, and those whose last one says that they are deleted; while nobody looks at them. */
static void sweep(struct file *f)
{
	if (f->readers || f->writing)
		return;
	for (uint32_t i = 0; i < f->maps_count; i++) {
		struct map *m = &f->maps[i];
		size_t kept = 0;
		for (size_t n = 0; n < m->count; n++) {
			struct cell *c = m->cells[n];
			if (c->newest && !(c->newest->deleted && !c->newest->older && c->newest->txn <= f->synced)) {
				m->cells[kept++] = c;
				continue;
			}
			free_versions(f, c->newest);
			heap_free(c);
		}
		m->count = kept;
	}
}

/* Takes back what transactions after `txn` did. */
static void undo(struct file *f, uint64_t txn)
{
	uint32_t maps = 0;
	for (uint32_t i = 0; i < f->maps_count; i++) {
		struct map *m = &f->maps[i];
		for (size_t n = 0; n < m->count; n++) {
			struct cell *c = m->cells[n];
			while (c->newest && c->newest->txn > txn) {
				struct version *v = c->newest;
				c->newest = v->older;
				v->older = NULL;
				free_versions(f, v);
			}
		}
		if (m->made_by <= txn)
			maps++;
	}
	f->maps_count = maps;
	if (f->last > txn)
		f->last = txn;
	if (f->synced > txn)
		f->synced = txn;
}

/* The folder of that path; NULL: the store's own. */
static struct file *find_folder(const struct machine *m, const char *path)
{
	char own[PATH_BYTES];
	if (!path) {
		snprintf(own, sizeof(own), "m%u/store", m->number);
		path = own;
	}
	for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
		struct file *f = files[m->number - 1][i];
		if (f && strcmp(f->path, path) == 0)
			return f;
	}
	return NULL;
}

/* --- what happens to the disk --- */

static void lose_renames(struct machine *m);

void store_disk_closed(struct machine *m)
{
	for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
		struct file *f = files[m->number - 1][i];
		if (!f)
			continue;
		f->readers = NULL;
		f->writing = false;
		f->open = false;
		undo(f, f->last);
		sweep(f);
	}
}

void store_disk_power_cut(struct machine *m)
{
	for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
		struct file *f = files[m->number - 1][i];
		if (!f)
			continue;
		f->readers = NULL;
		f->writing = false;
		if (f->synced < f->last && one_in(2)) {
			happened(HAPPENED_commit_undone, m->number, f->last, 0);
			undo(f, f->synced);
		}
		f->synced = f->last;
	}
	lose_renames(m);
}

bool store_disk_flip_bit(struct machine *m)
{
	struct file *f = find_folder(m, NULL);
	if (!f || f->maps_count == 0)
		return false;
	const struct map *map = &f->maps[draw_below(f->maps_count)];
	if (map->count == 0)
		return false;
	struct version *v = map->cells[draw_below(map->count)]->newest;
	if (!v || v->deleted || v->size == 0)
		return false;
	uint64_t offset = draw_below(v->size);
	v->data[offset] ^= (uint8_t)(1u << draw_below(8));
	happened(HAPPENED_bit_flipped, m->number, 0, offset);
	return true;
}

void store_disk_clear(struct machine *m)
{
	for (uint32_t i = 0; i < FOLDERS_MAX; i++)
		files[m->number - 1][i] = NULL;
	renames_count[m->number - 1] = 0;
}

/* --- names --- */

bool store_disk_has(const struct machine *m, const char *path)
{
	return find_folder(m, path) != NULL;
}

bool store_disk_is_begun(const struct machine *m, const char *path)
{
	const struct file *f = find_folder(m, path);
	return f && f->begun;
}

void store_disk_empty(struct machine *m, const char *path)
{
	struct file *f = find_folder(m, path);
	undo(f, 0);
	f->begun = false;
}

void store_disk_rename(struct machine *m, const char *from, const char *to)
{
	struct file *f = find_folder(m, from);
	if (renames_count[m->number - 1] == RENAMES_MAX)
		store_disk_names_synced(m, 1);
	struct renamed *r = &renames[m->number - 1][renames_count[m->number - 1]++];
	r->file = f;
	snprintf(r->from, sizeof(r->from), "%s", from);
	snprintf(f->path, sizeof(f->path), "%s", to);
	happened(HAPPENED_renamed, m->number, strlen(from), strlen(to));
}

uint32_t store_disk_name_changes(const struct machine *m)
{
	return renames_count[m->number - 1];
}

void store_disk_names_synced(struct machine *m, uint32_t changes)
{
	uint32_t *count = &renames_count[m->number - 1];
	struct renamed *r = renames[m->number - 1];
	for (uint32_t i = 0; i < changes; i++)
		for (uint32_t n = 0; n < FOLDERS_MAX; n++)
			if (files[m->number - 1][n] == r[i].file && r[i].file->path[0] == '\0')
				files[m->number - 1][n] = NULL;
	memmove(r, r + changes, (*count - changes) * sizeof(*r));
	*count -= changes;
}

static void lose_renames(struct machine *m)
{
	uint32_t kept = (uint32_t)draw_below(renames_count[m->number - 1] + 1);
	struct renamed *r = renames[m->number - 1];
	for (uint32_t i = renames_count[m->number - 1]; i-- > kept;)
		snprintf(r[i].file->path, sizeof(r[i].file->path), "%s", r[i].from);
	store_disk_names_synced(m, kept);
	renames_count[m->number - 1] = 0;
}

/* --- lmdb.h: environments --- */

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

static struct file **file_place(struct machine *m, const char *path)
{
	struct file **unused = NULL;
	for (uint32_t i = 0; i < FOLDERS_MAX; i++) {
		struct file **f = &files[m->number - 1][i];
		if (*f && strcmp((*f)->path, path) == 0)
			return f;
		if (!*f && !unused)
			unused = f;
	}
	if (!unused)
		abort();
	return unused;
}

int mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
	struct file **f = file_place(env->machine, path);
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
		undo(f, f->last);
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
		prune(f, txn->touched[i].cell);
	end(txn);
	happened(HAPPENED_store_commit, machine_now()->number, f->last, 0);
	machine_effect(machine_now());
	if (f->last % 16 == 0)
		sweep(f);
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
	const struct cell *c = find_cell(map_of(txn, dbi), key);
	const struct version *v = c ? seen(c, txn) : NULL;
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
		free_versions(f, replaced);
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
	if ((flags & MDB_APPEND) && m->count > 0 && compare(m->cells[m->count - 1], key) >= 0 && m->cells[m->count - 1]->newest)
		return MDB_KEYEXIST;
	struct cell *c = make_cell(m, key);
	if ((flags & MDB_NOOVERWRITE) && seen(c, txn))
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
	if (!c || !seen(c, txn))
		return MDB_NOTFOUND;
	add_version(txn, m, c, 0)->deleted = true;
	return 0;
}

int mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
	struct map *m = map_of(txn, dbi);
	(void)data;
	return delete_cell(txn, m, find_cell(m, key));
}

int mdb_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *stat)
{
	const struct map *m = map_of(txn, dbi);
	*stat = (MDB_stat){.ms_psize = PAGE};
	for (size_t i = 0; i < m->count; i++)
		stat->ms_entries += seen(m->cells[i], txn) ? 1 : 0;
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
		const struct version *v = seen(c->map->cells[i], c->txn);
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
	return find_place(c->map, &key);
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
		return settle(c, find_place(c->map, key), 1, key, data);
	case MDB_SET:
	case MDB_SET_KEY:
		i = find_place(c->map, key);
		if (i == c->map->count || compare(c->map->cells[i], key) != 0 || !seen(c->map->cells[i], c->txn))
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
