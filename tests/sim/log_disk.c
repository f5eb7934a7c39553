/* raft/wal_segment.h on the files of log_files.h. */
#include "tests/sim/log_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FD_FIRST 20001
#define FD_DIRECTORY 20000

void wal_segment_name(const struct wal_segment *s, char name[WAL_NAME_BYTES])
{
	snprintf(name, WAL_NAME_BYTES, "%08x-%016llx.wal", s->number, (unsigned long long)s->first);
}

int wal_disk_open(struct wal_disk *d, const char *dir)
{
	struct log_disk *l = log_disk_now();
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
		log_disk_now()->locked = false;
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
	struct log_disk *l = log_disk_now();
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
	struct file *f = fd >= FD_FIRST && fd < FD_FIRST + (int)OPEN_MAX ? log_disk_now()->open[fd - FD_FIRST] : NULL;
	if (!f)
		violated("a log uses file %d, which is not open", fd);
	return f;
}

int wal_disk_open_segment(struct wal_disk *d, const struct wal_segment *s, int flags)
{
	char name[WAL_NAME_BYTES];
	(void)d, (void)flags;
	wal_segment_name(s, name);
	struct name *n = log_disk_find(&log_disk_now()->now, name);
	return n ? open_file(log_disk_now(), n->file) : -ENOENT;
}

int wal_disk_open_temporary(struct wal_disk *d)
{
	struct log_disk *l = log_disk_now();
	(void)d;
	machine_effect(machine_now());
	struct file *f = log_disk_new_file(l);
	log_disk_rename(l, TEMPORARY, NULL, f);
	return open_file(l, f);
}

int wal_disk_publish(struct wal_disk *d, const struct wal_segment *s)
{
	struct log_disk *l = log_disk_now();
	char name[WAL_NAME_BYTES];
	(void)d;
	machine_effect(machine_now());
	struct name *temporary = log_disk_find(&l->now, TEMPORARY);
	if (!temporary)
		return -ENOENT;
	wal_segment_name(s, name);
	log_disk_rename(l, name, TEMPORARY, temporary->file);
	return log_disk_sync_names(l);
}

void wal_disk_remove_temporary(struct wal_disk *d)
{
	struct log_disk *l = log_disk_now();
	(void)d;
	if (log_disk_find(&l->now, TEMPORARY))
		log_disk_rename(l, NULL, TEMPORARY, NULL);
}

int wal_disk_remove(struct wal_disk *d, const struct wal_segment *s)
{
	struct log_disk *l = log_disk_now();
	char name[WAL_NAME_BYTES];
	(void)d;
	machine_effect(machine_now());
	wal_segment_name(s, name);
	if (!log_disk_find(&l->now, name))
		return -ENOENT;
	log_disk_rename(l, NULL, name, NULL);
	return log_disk_sync_names(l);
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
		log_disk_write(f, offset, iov[i].iov_base, iov[i].iov_len);
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
		log_disk_write(f, from, NULL, (to < f->size ? to : f->size) - from);
	log_disk_grow(f, to);
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
		return log_disk_sync_names(log_disk_now());
	machine_log_sync(machine_now(), file_of(fd)->unsynced_count);
	int error = disk_sync_takes(machine_now());
	if (error == 0)
		log_disk_settle(file_of(fd));
	return error;
}

void wal_file_close(int fd)
{
	if (fd >= FD_FIRST)
		log_disk_now()->open[fd - FD_FIRST] = NULL;
}
