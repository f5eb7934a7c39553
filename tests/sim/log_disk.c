/* raft/wal_segment.h on a disk in memory. Every sector that was written and not synced keeps what it held before: a power cut brings back any of
 * them. Names change in order, and a power cut undoes the last changes of those that were not synced. */
#include "raft/wal_segment.h"
#include "tests/sim/disk.h"
#include "tests/sim/heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define NAMES_MAX 256u
#define OPEN_MAX 64u
#define CHANGES_MAX 32u
#define FILES_MAX 512u
#define TEMPORARY "next.tmp"
#define FD_FIRST 20001
#define FD_DIRECTORY 20000

/* A sector that was written since the last sync, as the disk still has it; NULL: beyond its end, or zeros. */
struct unsynced {
	uint64_t sector;
	uint8_t *before;
};

struct file {
	uint64_t number;
	uint64_t size;
	uint64_t size_synced;
	uint64_t capacity;
	uint8_t *data;
	uint8_t *dirty; /* by sector */
	struct unsynced *unsynced;
	size_t unsynced_count;
	size_t unsynced_capacity;
};

struct name {
	char text[WAL_NAME_BYTES];
	struct file *file;
};

struct directory {
	struct name names[NAMES_MAX];
	uint32_t count;
};

/* `file` gets the name `made`, in place of whatever has it; `gone` is one that goes. */
struct change {
	char made[WAL_NAME_BYTES];
	char gone[WAL_NAME_BYTES];
	struct file *file;
};

struct log_disk {
	struct directory now;
	struct directory synced;
	struct change changes[CHANGES_MAX];
	uint32_t changes_count;
	struct file *files[FILES_MAX];
	uint32_t files_count;
	struct file *open[OPEN_MAX];
	uint64_t made;
	bool made_folder;
	bool locked;
};

static struct log_disk *disks[MACHINES_MAX];

void log_disks_begin(void)
{
	for (uint32_t i = 0; i < MACHINES_MAX; i++)
		disks[i] = NULL;
}

static struct log_disk *disk_of(const struct machine *m)
{
	struct log_disk **d = &disks[m->number - 1];
	if (!*d)
		*d = world_zalloc(sizeof(**d));
	return *d;
}

static struct log_disk *this_disk(void)
{
	return disk_of(machine_now());
}

/* --- files --- */

static struct file *file_new(struct log_disk *d)
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

static void grow(struct file *f, uint64_t size)
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

static void file_write(struct file *f, uint64_t offset, const void *data, size_t size)
{
	if (size == 0)
		return;
	grow(f, offset + size);
	for (uint64_t s = offset / SECTOR; s <= (offset + size - 1) / SECTOR; s++)
		keep_before(f, s);
	if (data)
		memcpy(f->data + offset, data, size);
	else
		memset(f->data + offset, 0, size);
}

static void file_sync(struct file *f)
{
	forget_unsynced(f);
	f->size_synced = f->size;
}

/* --- the directory --- */

static struct name *find_name(struct directory *d, const char *text)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (strcmp(d->names[i].text, text) == 0)
			return &d->names[i];
	return NULL;
}

static void carry_out(struct directory *d, const struct change *c)
{
	struct name *gone = c->gone[0] ? find_name(d, c->gone) : NULL;
	if (gone)
		*gone = d->names[--d->count];
	if (!c->made[0])
		return;
	struct name *n = find_name(d, c->made);
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

static void change_names(struct log_disk *d, const char *made, const char *gone, struct file *file)
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

static int sync_names(struct log_disk *d)
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
	file_sync(f);
}

void log_disk_power_cut(struct machine *m)
{
	struct log_disk *d = disk_of(m);
	for (uint32_t i = 0; i < d->files_count; i++)
		tear(m, d->files[i]);
	settle_changes(d, (uint32_t)draw_below(d->changes_count + 1));
	d->changes_count = 0;
	d->now = d->synced;
}

void log_disk_closed(struct machine *m)
{
	struct log_disk *d = disk_of(m);
	memset(d->open, 0, sizeof(d->open));
	d->locked = false;
	free_unused(d);
}

bool log_disk_flip_bit(struct machine *m)
{
	struct log_disk *d = disk_of(m);
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

/* --- wal_segment.h --- */

void wal_segment_name(const struct wal_segment *s, char name[WAL_NAME_BYTES])
{
	snprintf(name, WAL_NAME_BYTES, "%08x-%016llx.wal", s->number, (unsigned long long)s->first);
}

int wal_disk_open(struct wal_disk *d, const char *dir)
{
	struct log_disk *l = this_disk();
	if (l->locked)
		return -EBUSY;
	l->locked = l->made_folder = true;
	d->path = strdup(dir);
	d->dir_fd = FD_DIRECTORY;
	return 0;
}

void wal_disk_close(struct wal_disk *d)
{
	if (d->dir_fd >= 0)
		this_disk()->locked = false;
	free(d->path);
	*d = (struct wal_disk){.dir_fd = -1};
}

static int by_number(const void *a, const void *b)
{
	const struct wal_segment *x = a, *y = b;
	return (x->number > y->number) - (x->number < y->number);
}

int wal_disk_list(struct wal_disk *d, struct wal_segment **out, uint32_t *count)
{
	struct log_disk *l = this_disk();
	wal_disk_remove_temporary(d);
	*out = calloc(l->now.count + 1, sizeof(**out));
	*count = 0;
	for (uint32_t i = 0; i < l->now.count; i++) {
		struct wal_segment *s = &(*out)[*count];
		char *end;
		s->number = (uint32_t)strtoul(l->now.names[i].text, &end, 16);
		if (*end != '-')
			continue;
		s->first = strtoull(end + 1, NULL, 16);
		s->low = UINT64_MAX;
		(*count)++;
	}
	qsort(*out, *count, sizeof(**out), by_number);
	return 0;
}

static int open_file(struct log_disk *l, struct file *f)
{
	for (uint32_t i = 0; i < OPEN_MAX; i++) {
		if (l->open[i])
			continue;
		l->open[i] = f;
		return FD_FIRST + (int)i;
	}
	return -EMFILE;
}

static struct file *file_of(int fd)
{
	struct file *f = fd >= FD_FIRST && fd < FD_FIRST + (int)OPEN_MAX ? this_disk()->open[fd - FD_FIRST] : NULL;
	if (!f)
		violated("a log uses file %d, which is not open", fd);
	return f;
}

int wal_disk_open_segment(struct wal_disk *d, const struct wal_segment *s, int flags)
{
	char name[WAL_NAME_BYTES];
	(void)d, (void)flags;
	wal_segment_name(s, name);
	struct name *n = find_name(&this_disk()->now, name);
	return n ? open_file(this_disk(), n->file) : -ENOENT;
}

int wal_disk_open_temporary(struct wal_disk *d)
{
	struct log_disk *l = this_disk();
	(void)d;
	machine_effect(machine_now());
	struct file *f = file_new(l);
	change_names(l, TEMPORARY, NULL, f);
	return open_file(l, f);
}

int wal_disk_publish(struct wal_disk *d, const struct wal_segment *s)
{
	struct log_disk *l = this_disk();
	char name[WAL_NAME_BYTES];
	(void)d;
	machine_effect(machine_now());
	struct name *temporary = find_name(&l->now, TEMPORARY);
	if (!temporary)
		return -ENOENT;
	wal_segment_name(s, name);
	change_names(l, name, TEMPORARY, temporary->file);
	return sync_names(l);
}

void wal_disk_remove_temporary(struct wal_disk *d)
{
	struct log_disk *l = this_disk();
	(void)d;
	if (find_name(&l->now, TEMPORARY))
		change_names(l, NULL, TEMPORARY, NULL);
}

int wal_disk_remove(struct wal_disk *d, const struct wal_segment *s)
{
	struct log_disk *l = this_disk();
	char name[WAL_NAME_BYTES];
	(void)d;
	machine_effect(machine_now());
	wal_segment_name(s, name);
	if (!find_name(&l->now, name))
		return -ENOENT;
	change_names(l, NULL, name, NULL);
	return sync_names(l);
}

int wal_file_size(int fd, uint64_t *out)
{
	*out = file_of(fd)->size;
	return 0;
}

int wal_file_read(int fd, uint64_t offset, void *out, size_t size)
{
	struct file *f = file_of(fd);
	if (offset + size > f->size)
		return -ENODATA;
	memcpy(out, f->data + offset, size);
	return 0;
}

static int refuse_full(const struct file *f, uint64_t end)
{
	struct machine *m = machine_now();
	if (!disk_mood(m)->full || end <= f->size)
		return 0;
	m->disk_faulty = true;
	return -ENOSPC;
}

int wal_file_write(int fd, uint64_t offset, struct iovec *iov, int count)
{
	struct file *f = file_of(fd);
	machine_effect(machine_now());
	for (int i = 0; i < count; i++) {
		if (refuse_full(f, offset + iov[i].iov_len))
			return -ENOSPC;
		file_write(f, offset, iov[i].iov_base, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
	return 0;
}

/* A stretch that was never written is zeros already. */
int wal_file_zero(int fd, uint64_t from, uint64_t to)
{
	struct file *f = file_of(fd);
	machine_effect(machine_now());
	if (refuse_full(f, to))
		return -ENOSPC;
	if (from < f->size)
		file_write(f, from, NULL, (to < f->size ? to : f->size) - from);
	grow(f, to);
	return 0;
}

void wal_file_start_writing(int fd, uint64_t from, uint64_t to)
{
	(void)fd, (void)from, (void)to;
}

/* What is written while the sync is under way is not covered by it. */
int wal_file_sync(int fd)
{
	if (fd == FD_DIRECTORY)
		return sync_names(this_disk());
	machine_log_sync(machine_now(), file_of(fd)->unsynced_count);
	int error = disk_sync_takes(machine_now());
	if (error == 0)
		file_sync(file_of(fd));
	return error;
}

void wal_file_close(int fd)
{
	if (fd >= FD_FIRST)
		this_disk()->open[fd - FD_FIRST] = NULL;
}
