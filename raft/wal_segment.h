/* wal_segment.h: the files of the log. Every file-system call of the log is made here. Private to raft/wal*.c. */
#ifndef TALLY_RAFT_WAL_SEGMENT_H
#define TALLY_RAFT_WAL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define WAL_NAME_BYTES 32

/* The folder, locked while it is open. */
struct wal_disk {
	int dir_fd;
	char *path;
};

/* A segment's file is named for its number and its first index: 00000001-0000000000000001.wal (both in hexadecimal). */
struct wal_segment {
	uint32_t number;
	uint32_t seed; /* the CRC of its head */
	bool anew;     /* the log begins with it */
	uint64_t first;
	uint64_t base_term; /* term of entry first - 1 */
	uint64_t low;       /* lowest entry written in it; UINT64_MAX when there is none */
	uint64_t bytes;
};

void wal_segment_name(const struct wal_segment *s, char name[WAL_NAME_BYTES]);

/* Makes the folder if it is missing (durably) and locks it: -EBUSY when another process has it open. */
int wal_disk_open(struct wal_disk *d, const char *dir);
void wal_disk_close(struct wal_disk *d);
/* The segments that there are, by number; number and first are set. The caller frees. Removes a temporary file that a crash left. */
int wal_disk_list(struct wal_disk *d, struct wal_segment **out, uint32_t *count);
/* Gives back a file descriptor. */
int wal_disk_open_segment(struct wal_disk *d, const struct wal_segment *s, int flags);
/* A new temporary file, which wal_disk_publish turns into segment `s` durably. */
int wal_disk_open_temporary(struct wal_disk *d);
int wal_disk_publish(struct wal_disk *d, const struct wal_segment *s);
void wal_disk_remove_temporary(struct wal_disk *d);
/* Durable when it returns, so that segments always vanish in order. */
int wal_disk_remove(struct wal_disk *d, const struct wal_segment *s);

int wal_file_size(int fd, uint64_t *out);
/* -ENODATA when the file ends before. */
int wal_file_read(int fd, uint64_t offset, void *out, size_t size);
int wal_file_write(int fd, uint64_t offset, struct iovec *iov, int count);
int wal_file_zero(int fd, uint64_t from, uint64_t to);
/* Sets the disk to work on that range without waiting for it: a later sync is then short. */
void wal_file_start_writing(int fd, uint64_t from, uint64_t to);
int wal_file_sync(int fd);
void wal_file_close(int fd);

#endif
