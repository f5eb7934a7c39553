/* Every sector that was written and not synced keeps what it held before: a power cut brings back any of them. Names change in order, and a power cut
 * undoes the last changes of those that were not synced. */
#include "tests/sim/log_files.h"
#include "tests/sim/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct log_disk *disks[MACHINES_MAX];

void log_disks_begin(void)
{
	for (uint32_t i = 0; i < MACHINES_MAX; i++)
		disks[i] = NULL;
}

struct log_disk *log_disk_of(const struct machine *m)
{
	struct log_disk **d = &disks[m->number - 1];
	if (!*d)
		*d = world_zalloc(sizeof(**d));
	return *d;
}

struct log_disk *log_disk_now(void)
{
	return log_disk_of(machine_now());
}

/* --- files --- */

struct file *log_disk_new_file(struct log_disk *d)
{
	if (d->files_count == FILES_MAX)
		abort();
	struct file *f = world_zalloc(sizeof(*f));
	f->number = ++d->made;
	d->files[d->files_count++] = f;
	return f;
}

static void forget_unsynced(struct file *f)
{
	for (size_t i = 0; i < f->unsynced_count; i++) {
		f->dirty[f->unsynced[i].sector] = 0;
		heap_free(f->unsynced[i].before);
	}
	f->unsynced_count = 0;
}

static void file_free(struct file *f)
{
	forget_unsynced(f);
	heap_free(f->unsynced);
	heap_free(f->data);
	heap_free(f->dirty);
	heap_free(f);
}

void log_disk_grow(struct file *f, uint64_t size)
{
	if (size > f->capacity) {
		uint64_t capacity = (size + SECTOR - 1) / SECTOR * SECTOR;
		f->data = heap_resize(HEAP_WORLD, f->data, capacity);
		f->dirty = heap_resize(HEAP_WORLD, f->dirty, capacity / SECTOR);
		memset(f->data + f->capacity, 0, capacity - f->capacity);
		memset(f->dirty + f->capacity / SECTOR, 0, (capacity - f->capacity) / SECTOR);
		f->capacity = capacity;
	}
	if (size > f->size)
		f->size = size;
}

static void keep_before(struct file *f, uint64_t sector)
{
	if (f->dirty[sector])
		return;
	f->dirty[sector] = 1;
	if (f->unsynced_count == f->unsynced_capacity) {
		f->unsynced_capacity = f->unsynced_capacity ? f->unsynced_capacity * 2 : 16;
		f->unsynced = heap_resize(HEAP_WORLD, f->unsynced, f->unsynced_capacity * sizeof(*f->unsynced));
	}
	f->unsynced[f->unsynced_count++] = (struct unsynced){sector, memcpy(world_alloc(SECTOR), f->data + sector * SECTOR, SECTOR)};
}

void log_disk_write(struct file *f, uint64_t offset, const void *data, size_t size)
{
	if (size == 0)
		return;
	log_disk_grow(f, offset + size);
	for (uint64_t s = offset / SECTOR; s <= (offset + size - 1) / SECTOR; s++)
		keep_before(f, s);
	if (data)
		memcpy(f->data + offset, data, size);
	else
		memset(f->data + offset, 0, size);
}

void log_disk_settle(struct file *f)
{
	forget_unsynced(f);
	f->size_synced = f->size;
}

/* --- the directory --- */

struct name *log_disk_find(struct directory *d, const char *text)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (strcmp(d->names[i].text, text) == 0)
			return &d->names[i];
	return NULL;
}

static void carry_out(struct directory *d, const struct change *c)
{
	struct name *gone = c->gone[0] ? log_disk_find(d, c->gone) : NULL;
	if (gone)
		*gone = d->names[--d->count];
	if (!c->made[0])
		return;
	struct name *n = log_disk_find(d, c->made);
	if (!n) {
		if (d->count == NAMES_MAX)
			abort();
		n = &d->names[d->count++];
		snprintf(n->text, sizeof(n->text), "%s", c->made);
	}
	n->file = c->file;
}

static void settle_changes(struct log_disk *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		carry_out(&d->synced, &d->changes[i]);
	d->changes_count -= count;
	memmove(d->changes, d->changes + count, d->changes_count * sizeof(d->changes[0]));
}

void log_disk_rename(struct log_disk *d, const char *made, const char *gone, struct file *file)
{
	struct change c = {.file = file};
	snprintf(c.made, sizeof(c.made), "%s", made ? made : "");
	snprintf(c.gone, sizeof(c.gone), "%s", gone ? gone : "");
	if (d->changes_count == CHANGES_MAX)
		settle_changes(d, 1);
	d->changes[d->changes_count++] = c;
	carry_out(&d->now, &c);
}

static bool is_used(const struct log_disk *d, const struct file *f)
{
	for (uint32_t i = 0; i < d->now.count; i++)
		if (d->now.names[i].file == f)
			return true;
	for (uint32_t i = 0; i < d->synced.count; i++)
		if (d->synced.names[i].file == f)
			return true;
	for (uint32_t i = 0; i < d->changes_count; i++)
		if (d->changes[i].file == f)
			return true;
	for (uint32_t i = 0; i < OPEN_MAX; i++)
		if (d->open[i] == f)
			return true;
	return false;
}

static void free_unused(struct log_disk *d)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < d->files_count; i++) {
		if (is_used(d, d->files[i]))
			d->files[kept++] = d->files[i];
		else
			file_free(d->files[i]);
	}
	d->files_count = kept;
}

int log_disk_sync_names(struct log_disk *d)
{
	uint32_t before = d->changes_count;
	int error = disk_sync_takes(machine_now());
	if (error)
		return error;
	settle_changes(d, before);
	free_unused(d);
	return 0;
}

/* --- what a power cut does, and worse --- */

/* Any subset of the sectors may have reached the disk, or none, or all, or those before some point. */
static void tear(struct machine *m, struct file *f)
{
	uint64_t way = draw_below(4), survived = 0;
	uint64_t until = draw_below(f->unsynced_count + 1);
	for (size_t i = 0; i < f->unsynced_count; i++) {
		struct unsynced *u = &f->unsynced[i];
		bool survives = way == 1 || (way == 2 && one_in(2)) || (way == 3 && i < until);
		survived += survives;
		if (!survives)
			memcpy(f->data + u->sector * SECTOR, u->before, SECTOR);
	}
	if (f->unsynced_count > 0)
		happened(HAPPENED_torn, m->number, f->unsynced_count, survived);
	if (f->size > f->size_synced && survived == 0 && way == 0) {
		memset(f->data + f->size_synced, 0, f->size - f->size_synced);
		f->size = f->size_synced;
	}
	log_disk_settle(f);
}

void log_disk_power_cut(struct machine *m)
{
	struct log_disk *d = log_disk_of(m);
	for (uint32_t i = 0; i < d->files_count; i++)
		tear(m, d->files[i]);
	settle_changes(d, (uint32_t)draw_below(d->changes_count + 1));
	d->changes_count = 0;
	d->now = d->synced;
}

void log_disk_closed(struct machine *m)
{
	struct log_disk *d = log_disk_of(m);
	memset(d->open, 0, sizeof(d->open));
	d->locked = false;
	free_unused(d);
}

bool log_disk_flip_bit(struct machine *m)
{
	struct log_disk *d = log_disk_of(m);
	if (d->now.count == 0)
		return false;
	struct name *n = &d->now.names[draw_below(d->now.count)];
	if (strcmp(n->text, TEMPORARY) == 0 || n->file->size == 0)
		return false;
	uint64_t offset = draw_below(n->file->size);
	n->file->data[offset] ^= (uint8_t)(1u << draw_below(8));
	happened(HAPPENED_bit_flipped, m->number, n->file->number, offset);
	return true;
}

bool log_disk_exists(const struct machine *m)
{
	return disks[m->number - 1] && disks[m->number - 1]->made_folder;
}

void log_disk_clear(struct machine *m)
{
	disks[m->number - 1] = NULL;
}
