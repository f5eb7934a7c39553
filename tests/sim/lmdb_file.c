/* As with MDB_NOMETASYNC, a power cut may undo the last commit unless it was synced, and never the one before. */
#include "tests/sim/lmdb_file.h"
#include "tests/sim/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct file *files[MACHINES_MAX][FOLDERS_MAX];     /* with an empty path: removed */
static struct renamed renames[MACHINES_MAX][RENAMES_MAX]; /* not synced yet */
static uint32_t renames_count[MACHINES_MAX];

void store_disks_begin(void)
{
	memset(files, 0, sizeof(files));
	memset(renames_count, 0, sizeof(renames_count));
}

/* --- maps --- */

int lmdb_compare(const struct cell *c, const MDB_val *key)
{
	size_t common = c->key_size < key->mv_size ? c->key_size : key->mv_size;
	int order = memcmp(c->key, key->mv_data, common);
	return order != 0 ? order : (c->key_size > key->mv_size) - (c->key_size < key->mv_size);
}

size_t lmdb_find_place(const struct map *m, const MDB_val *key)
{
	size_t lo = 0, hi = m->count;
	if (hi > 0 && lmdb_compare(m->cells[hi - 1], key) < 0)
		return hi;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (lmdb_compare(m->cells[mid], key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct cell *lmdb_find_cell(const struct map *m, const MDB_val *key)
{
	size_t i = lmdb_find_place(m, key);
	return i < m->count && lmdb_compare(m->cells[i], key) == 0 ? m->cells[i] : NULL;
}

struct cell *lmdb_make_cell(struct map *m, const MDB_val *key)
{
	size_t i = lmdb_find_place(m, key);
	if (i < m->count && lmdb_compare(m->cells[i], key) == 0)
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

const struct version *lmdb_seen(const struct cell *c, const struct MDB_txn *txn)
{
	const struct version *v = c->newest;
	while (v && v->txn > txn->sees)
		v = v->older;
	return v && !v->deleted ? v : NULL;
}

void lmdb_free_versions(struct file *f, struct version *v)
{
	while (v) {
		struct version *older = v->older;
		f->bytes -= v->size;
		heap_free(v);
		v = older;
	}
}

void lmdb_prune(struct file *f, struct cell *c)
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
	lmdb_free_versions(f, v->older);
	v->older = NULL;
}

void lmdb_sweep(struct file *f)
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
			lmdb_free_versions(f, c->newest);
			heap_free(c);
		}
		m->count = kept;
	}
}

void lmdb_undo(struct file *f, uint64_t txn)
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
				lmdb_free_versions(f, v);
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
		lmdb_undo(f, f->last);
		lmdb_sweep(f);
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
			lmdb_undo(f, f->synced);
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
	lmdb_undo(f, 0);
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

struct file **lmdb_file_place(struct machine *m, const char *path)
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
