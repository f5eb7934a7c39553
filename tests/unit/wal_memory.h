/* wal_memory.h: wal_segment.h in memory, in place of raft/wal_segment.c: a disk that tells what is durable from what is not, and a process that can die
 * before any of its effects.
 *
 * Effects are counted: each write, sync, name. From effect `memory.dies_at` on nothing happens any more, and every call fails. Afterwards
 * memory_kill leaves what a process leaves that was killed: all that it did. memory_cut leaves what a power cut leaves: what was synced, some
 * sectors of the rest, and of the changes of names, which are made durable in order, the first few. */
#ifndef TALLY_TESTS_UNIT_WAL_MEMORY_H
#define TALLY_TESTS_UNIT_WAL_MEMORY_H

#include "raft/wal_segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_FILES_MAX 64
#define MEMORY_FILE_BYTES (64u << 10)
#define MEMORY_SECTOR 512u
#define MEMORY_NAMES_MAX 256
#define MEMORY_DIR_FD 1000

struct memory_content {
	uint8_t bytes[MEMORY_FILE_BYTES];
	uint32_t size;
};

struct memory_file {
	struct memory_content now;
	struct memory_content durable;
	char name[WAL_NAME_BYTES]; /* "": none any more */
	char durable_name[WAL_NAME_BYTES];
};

struct memory_naming {
	uint32_t file;
	char name[WAL_NAME_BYTES];
};

static struct {
	struct memory_file files[MEMORY_FILES_MAX];
	uint32_t files_count;
	struct memory_naming namings[MEMORY_NAMES_MAX]; /* not durable yet */
	uint32_t namings_count;
	uint64_t effects;
	uint64_t dies_at;
} memory;

static inline void memory_format(void)
{
	memset(&memory, 0, sizeof(memory));
	memory.dies_at = UINT64_MAX;
}

static inline bool memory_lives(void)
{
	return memory.effects++ < memory.dies_at;
}

static inline void memory_settle_names(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		memcpy(memory.files[memory.namings[i].file].durable_name, memory.namings[i].name, WAL_NAME_BYTES);
	memory.namings_count = 0;
}

static inline int memory_name(uint32_t file, const char *name)
{
	if (!memory_lives())
		return -EIO;
	struct memory_naming *n = &memory.namings[memory.namings_count++];
	if (memory.namings_count == MEMORY_NAMES_MAX)
		abort();
	n->file = file;
	snprintf(n->name, WAL_NAME_BYTES, "%s", name);
	memcpy(memory.files[file].name, n->name, WAL_NAME_BYTES);
	return 0;
}

static inline void memory_restart(void)
{
	memory.effects = 0;
	memory.dies_at = UINT64_MAX;
}

static inline void memory_kill(void)
{
	memory_restart();
}

static inline uint32_t memory_roll(uint64_t *dice, uint32_t n)
{
	*dice = *dice * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*dice >> 33) % n;
}

/* `percent` of the sectors that are not durable are there; 0 and 100: none and all, of the names too. */
static inline void memory_cut(uint32_t percent, uint64_t *dice)
{
	uint32_t names = percent == 0 ? 0 : percent == 100 ? memory.namings_count : memory_roll(dice, memory.namings_count + 1);
	memory_settle_names(names);
	for (uint32_t i = 0; i < memory.files_count; i++) {
		struct memory_file *f = &memory.files[i];
		memcpy(f->name, f->durable_name, WAL_NAME_BYTES);
		if (percent == 100 || (f->now.size > f->durable.size && percent > 0 && memory_roll(dice, 2) == 0))
			f->durable.size = f->now.size;
		for (uint32_t at = 0; at < f->now.size; at += MEMORY_SECTOR)
			if (memory_roll(dice, 100) < percent) {
				memcpy(f->durable.bytes + at, f->now.bytes + at, MEMORY_SECTOR);
				if (f->durable.size < at + MEMORY_SECTOR)
					f->durable.size = at + MEMORY_SECTOR < f->now.size ? at + MEMORY_SECTOR : f->now.size;
			}
		memcpy(&f->now, &f->durable, sizeof(f->now));
	}
	memory_restart();
}

/* --- wal_segment.h --- */

void wal_segment_name(const struct wal_segment *s, char name[WAL_NAME_BYTES])
{
	snprintf(name, WAL_NAME_BYTES, "%08x-%016llx.wal", s->number, (unsigned long long)s->first);
}

int wal_disk_open(struct wal_disk *d, const char *dir)
{
	d->path = strdup(dir);
	d->dir_fd = MEMORY_DIR_FD;
	return 0;
}

void wal_disk_close(struct wal_disk *d)
{
	free(d->path);
	*d = (struct wal_disk){.dir_fd = -1};
}

static inline int memory_find(const char *name)
{
	for (uint32_t i = 0; i < memory.files_count; i++)
		if (strcmp(memory.files[i].name, name) == 0)
			return (int)i;
	return -ENOENT;
}

static inline int memory_by_number(const void *a, const void *b)
{
	const struct wal_segment *x = a, *y = b;
	return (x->number > y->number) - (x->number < y->number);
}

int wal_disk_list(struct wal_disk *d, struct wal_segment **out, uint32_t *count)
{
	struct wal_segment *list = calloc(MEMORY_FILES_MAX, sizeof(*list));
	uint32_t n = 0;
	if (!list)
		abort();
	wal_disk_remove_temporary(d);
	for (uint32_t i = 0; i < memory.files_count; i++) {
		unsigned long long first;
		if (sscanf(memory.files[i].name, "%8x-%16llx.wal", &list[n].number, &first) != 2)
			continue;
		list[n].first = first;
		list[n++].low = UINT64_MAX;
	}
	qsort(list, n, sizeof(*list), memory_by_number);
	*out = list;
	*count = n;
	return 0;
}

int wal_disk_open_segment(struct wal_disk *d, const struct wal_segment *s, int flags)
{
	char name[WAL_NAME_BYTES];
	(void)d, (void)flags;
	wal_segment_name(s, name);
	return memory_find(name);
}

/* The places of files without a name are used again. */
int wal_disk_open_temporary(struct wal_disk *d)
{
	uint32_t at = 0;
	(void)d;
	while (at < memory.files_count && (memory.files[at].name[0] || memory.files[at].durable_name[0]))
		at++;
	if (at == MEMORY_FILES_MAX)
		abort();
	memset(&memory.files[at], 0, sizeof(memory.files[at]));
	memory.files_count = at == memory.files_count ? at + 1 : memory.files_count;
	int rc = memory_name(at, "next.tmp");
	return rc < 0 ? rc : (int)at;
}

int wal_disk_publish(struct wal_disk *d, const struct wal_segment *s)
{
	char name[WAL_NAME_BYTES];
	wal_segment_name(s, name);
	int rc = memory_name((uint32_t)memory_find("next.tmp"), name);
	return rc < 0 ? rc : wal_file_sync(d->dir_fd);
}

void wal_disk_remove_temporary(struct wal_disk *d)
{
	int file = memory_find("next.tmp");
	(void)d;
	if (file >= 0)
		memory_name((uint32_t)file, "");
}

int wal_disk_remove(struct wal_disk *d, const struct wal_segment *s)
{
	char name[WAL_NAME_BYTES];
	wal_segment_name(s, name);
	int rc = memory_name((uint32_t)memory_find(name), "");
	return rc < 0 ? rc : wal_file_sync(d->dir_fd);
}

int wal_file_size(int fd, uint64_t *out)
{
	*out = memory.files[fd].now.size;
	return 0;
}

int wal_file_read(int fd, uint64_t offset, void *out, size_t size)
{
	const struct memory_content *c = &memory.files[fd].now;
	if (offset + size > c->size)
		return -ENODATA;
	memcpy(out, c->bytes + offset, size);
	return 0;
}

int wal_file_write(int fd, uint64_t offset, struct iovec *iov, int count)
{
	struct memory_content *c = &memory.files[fd].now;
	if (!memory_lives())
		return -EIO;
	for (int i = 0; i < count; i++) {
		if (offset + iov[i].iov_len > MEMORY_FILE_BYTES)
			abort();
		memcpy(c->bytes + offset, iov[i].iov_base, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
	if (c->size < offset)
		c->size = (uint32_t)offset;
	return 0;
}

int wal_file_zero(int fd, uint64_t from, uint64_t to)
{
	static uint8_t zeros[MEMORY_FILE_BYTES];
	return wal_file_write(fd, from, &(struct iovec){zeros, to - from}, 1);
}

void wal_file_start_writing(int fd, uint64_t from, uint64_t to)
{
	(void)fd, (void)from, (void)to;
}

int wal_file_sync(int fd)
{
	if (!memory_lives())
		return -EIO;
	if (fd == MEMORY_DIR_FD)
		memory_settle_names(memory.namings_count);
	else
		memcpy(&memory.files[fd].durable, &memory.files[fd].now, sizeof(memory.files[fd].now));
	return 0;
}

void wal_file_close(int fd)
{
	(void)fd;
}

#endif
