#include "raft/wal_segment.h"

#include "base/durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY "next.tmp"
#define NAME_LENGTH 29
#define ZERO_BYTES (1u << 20)

void wal_segment_name(const struct wal_segment *s, char name[WAL_NAME_BYTES])
{
	snprintf(name, WAL_NAME_BYTES, "%08" PRIx32 "-%016" PRIx64 ".wal", s->number, s->first);
}

int wal_disk_open(struct wal_disk *d, const char *dir)
{
	int fd = -1;
	int rc = 0;

	if (mkdir(dir, 0700) == 0)
		rc = durable_name(dir);
	else if (errno != EEXIST)
		rc = -errno;
	if (rc != 0)
		return rc;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return rc;
	}
	d->path = strdup(dir);
	if (!d->path)
		abort();
	d->dir_fd = fd;
	return 0;
}

void wal_disk_close(struct wal_disk *d)
{
	if (d->dir_fd >= 0)
		close(d->dir_fd);
	free(d->path);
	*d = (struct wal_disk){.dir_fd = -1};
}

static bool parse_name(const char *name, struct wal_segment *out)
{
	char expected[WAL_NAME_BYTES];
	char *end;

	if (strlen(name) != NAME_LENGTH)
		return false;
	*out = (struct wal_segment){.low = UINT64_MAX};
	out->number = (uint32_t)strtoul(name, &end, 16);
	if (*end != '-')
		return false;
	out->first = strtoull(end + 1, NULL, 16);
	wal_segment_name(out, expected);
	return strcmp(name, expected) == 0;
}

static int by_number(const void *a, const void *b)
{
	const struct wal_segment *x = a, *y = b;
	return (x->number > y->number) - (x->number < y->number);
}

static int read_names(DIR *dir, struct wal_segment **out, uint32_t *count)
{
	struct wal_segment *list = NULL;
	uint32_t n = 0, capacity = 0;
	struct dirent *e;

	for (errno = 0; (e = readdir(dir)); errno = 0) {
		struct wal_segment s;
		if (!parse_name(e->d_name, &s))
			continue;
		if (n == capacity) {
			capacity = capacity ? capacity * 2 : 16;
			list = reallocarray(list, capacity, sizeof(*list));
			if (!list)
				abort();
		}
		list[n++] = s;
	}
	if (errno != 0) {
		int rc = -errno;
		free(list);
		return rc;
	}
	if (n > 0)
		qsort(list, n, sizeof(*list), by_number);
	*out = list;
	*count = n;
	return 0;
}

int wal_disk_list(struct wal_disk *d, struct wal_segment **out, uint32_t *count)
{
	int fd = openat(d->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	wal_disk_remove_temporary(d);
	int rc = read_names(dir, out, count);
	closedir(dir);
	return rc;
}

int wal_disk_open_segment(struct wal_disk *d, const struct wal_segment *s, int flags)
{
	char name[WAL_NAME_BYTES];

	wal_segment_name(s, name);
	int fd = openat(d->dir_fd, name, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int wal_disk_open_temporary(struct wal_disk *d)
{
	int fd = openat(d->dir_fd, TEMPORARY, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int wal_disk_publish(struct wal_disk *d, const struct wal_segment *s)
{
	char name[WAL_NAME_BYTES];

	wal_segment_name(s, name);
	if (renameat(d->dir_fd, TEMPORARY, d->dir_fd, name) != 0 || fsync(d->dir_fd) != 0)
		return -errno;
	return 0;
}

void wal_disk_remove_temporary(struct wal_disk *d)
{
	unlinkat(d->dir_fd, TEMPORARY, 0);
}

int wal_disk_remove(struct wal_disk *d, const struct wal_segment *s)
{
	char name[WAL_NAME_BYTES];

	wal_segment_name(s, name);
	if (unlinkat(d->dir_fd, name, 0) != 0 || fsync(d->dir_fd) != 0)
		return -errno;
	return 0;
}

int wal_file_size(int fd, uint64_t *out)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -errno;
	*out = (uint64_t)st.st_size;
	return 0;
}

int wal_file_read(int fd, uint64_t offset, void *out, size_t size)
{
	uint8_t *p = out;
	while (size > 0) {
		ssize_t n = pread(fd, p, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		p += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/* A write may be short: what is left of the pieces goes on from there. */
static void skip_written(struct iovec **iov, int *count, size_t n)
{
	while (*count > 0 && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (n > 0) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

int wal_file_write(int fd, uint64_t offset, struct iovec *iov, int count)
{
	while (count > 0) {
		ssize_t n = pwritev(fd, iov, count, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		offset += (uint64_t)n;
		skip_written(&iov, &count, (size_t)n);
	}
	return 0;
}

int wal_file_zero(int fd, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[ZERO_BYTES];

	while (from < to) {
		uint64_t size = to - from < sizeof(zeros) ? to - from : sizeof(zeros);
		struct iovec iov = {(void *)zeros, size};
		int rc = wal_file_write(fd, from, &iov, 1);
		if (rc != 0)
			return rc;
		from += size;
	}
	return 0;
}

void wal_file_start_writing(int fd, uint64_t from, uint64_t to)
{
	sync_file_range(fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
}

int wal_file_sync(int fd)
{
	return fdatasync(fd) != 0 ? -errno : 0;
}

void wal_file_close(int fd)
{
	if (fd >= 0)
		close(fd);
}
