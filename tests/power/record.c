/* Loaded into a daemon before libc (LD_PRELOAD): records what it does to the files below one directory. See record.h.
 *
 * What is mapped shared is not seen: LMDB maps its lock file so, whose content does not matter after a crash. Nor is what libc writes within
 * stdio: a file that was opened by fopen is recorded whole when it is synced or closed. */
#include "tests/power/record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 4096

struct tracked {
	bool on;
	bool dsync;
	bool stdio;
	dev_t device;
	ino_t ino;
};

static struct tracked fds[FDS_MAX];
static char root[PATH_MAX];
static size_t root_size;
static int log_fd = -1;
static pthread_rwlock_t *gate; /* see gate.h */
static atomic_uint_fast64_t syncs;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);
	if (!f)
		abort();
	return f;
}

__attribute__((constructor)) static void start(void)
{
	const char *dir = getenv(RECORD_ENV_ROOT), *log = getenv(RECORD_ENV_LOG), *gate_file = getenv(RECORD_ENV_GATE);
	if (!dir || !log || !gate_file)
		return;
	int fd = REAL(open)(gate_file, O_RDWR | O_CLOEXEC);
	gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || gate == MAP_FAILED)
		abort();
	close(fd);
	snprintf(root, sizeof(root), "%s/", dir);
	root_size = strlen(root);
	log_fd = REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	atomic_store(&syncs, (uint64_t)getpid() << 32);
}

/* --- the journal --- */

static void emit(struct record_head h, const char *name, const char *name2, const void *data)
{
	int saved = errno;
	h.magic = RECORD_MAGIC;
	h.name_size = name ? (uint32_t)strlen(name) : 0;
	h.name2_size = name2 ? (uint32_t)strlen(name2) : 0;
	struct iovec iov[] = {{&h, sizeof(h)}, {(void *)name, h.name_size}, {(void *)name2, h.name2_size}, {(void *)data, h.data_size}};
	size_t all = sizeof(h) + h.name_size + h.name2_size + h.data_size;
	if (REAL(writev)(log_fd, iov, 4) != (ssize_t)all)
		abort();
	errno = saved;
}

static void emit_write(ino_t ino, uint64_t offset, const uint8_t *data, size_t size)
{
	bool zeros = size > 0 && data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
	if (size > 0 && zeros)
		emit((struct record_head){.kind = RECORD_ZEROS, .ino = ino, .offset = offset, .size = size}, NULL, NULL, NULL);
	else if (size > 0)
		emit((struct record_head){.kind = RECORD_WRITE, .ino = ino, .offset = offset, .data_size = size}, NULL, NULL, data);
}

/* --- which files --- */

/* The path below root, or NULL if it is not there. */
static const char *below_root(int dir_fd, const char *name, char *path)
{
	char link[64];
	size_t size = 0;

	if (log_fd < 0)
		return NULL;
	if (name[0] != '/') {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dir_fd);
		ssize_t n = readlink(dir_fd == AT_FDCWD ? "/proc/self/cwd" : link, path, PATH_MAX - 1);
		size = n < 0 ? 0 : (size_t)n;
	}
	snprintf(path + size, PATH_MAX - size, "%s%s", size > 0 ? "/" : "", name);
	size = strlen(path);
	if (size > 2 && strcmp(path + size - 2, "/.") == 0)
		path[size - 2] = '\0';
	return strncmp(path, root, root_size) == 0 ? path + root_size : NULL;
}

/* The root itself has no name below itself, but it is synced. */
static bool is_root(const struct stat *st)
{
	struct stat top;
	return log_fd >= 0 && S_ISDIR(st->st_mode) && stat(root, &top) == 0 && top.st_ino == st->st_ino && top.st_dev == st->st_dev;
}

/* The descriptor's file, if it is one of ours; numbers are used again without our hearing of each close. */
static const struct tracked *tracked(int fd)
{
	struct stat st;
	if (fd < 0 || fd >= FDS_MAX || !fds[fd].on)
		return NULL;
	int saved = errno;
	bool same = fstat(fd, &st) == 0 && st.st_ino == fds[fd].ino && st.st_dev == fds[fd].device;
	errno = saved;
	fds[fd].on = same;
	return same ? &fds[fd] : NULL;
}

/* While one of our calls is under way nobody kills us. */
static bool enter(bool ours)
{
	if (ours)
		pthread_rwlock_rdlock(gate);
	return ours;
}

static void leave(bool *entered)
{
	if (*entered)
		pthread_rwlock_unlock(gate);
}

#define GATED(ours) __attribute__((cleanup(leave), unused)) bool gated = enter(ours)

static void opened(int fd, const char *name, bool existed, int flags, bool stdio)
{
	struct stat st;
	int saved = errno;
	if (fd >= FDS_MAX || fstat(fd, &st) != 0)
		abort();
	errno = saved;
	if (!name && !is_root(&st)) {
		fds[fd].on = false;
		return;
	}
	fds[fd] = (struct tracked){true, (flags & O_DSYNC) != 0, stdio, st.st_dev, st.st_ino};
	if (!existed)
		emit((struct record_head){.kind = RECORD_CREATE, .ino = st.st_ino}, name, NULL, NULL);
	else if (flags & O_TRUNC)
		emit((struct record_head){.kind = RECORD_TRUNCATE, .ino = st.st_ino}, NULL, NULL, NULL);
}

static int open_at(int dir_fd, const char *name, int flags, mode_t mode)
{
	char path[2 * PATH_MAX];
	struct stat st;
	int saved = errno;
	const char *below = below_root(dir_fd, name, path);
	GATED(below != NULL);
	bool existed = fstatat(dir_fd, name, &st, 0) == 0 || !(flags & O_CREAT);
	errno = saved;
	int fd = REAL(openat)(dir_fd, name, flags, mode);
	if (fd >= 0 && log_fd >= 0)
		opened(fd, below, existed, flags, false);
	return fd;
}

#define MODE_OF(flags)                                                                                                                     \
	({                                                                                                                                 \
		va_list args;                                                                                                              \
		va_start(args, flags);                                                                                                     \
		mode_t m = (flags)&O_CREAT ? va_arg(args, mode_t) : 0;                                                                     \
		va_end(args);                                                                                                              \
		m;                                                                                                                         \
	})

int open(const char *name, int flags, ...)
{
	return open_at(AT_FDCWD, name, flags, MODE_OF(flags));
}

int open64(const char *name, int flags, ...)
{
	return open_at(AT_FDCWD, name, flags | O_LARGEFILE, MODE_OF(flags));
}

int openat(int dir_fd, const char *name, int flags, ...)
{
	return open_at(dir_fd, name, flags, MODE_OF(flags));
}

int openat64(int dir_fd, const char *name, int flags, ...)
{
	return open_at(dir_fd, name, flags | O_LARGEFILE, MODE_OF(flags));
}

static FILE *open_stream(const char *name, const char *mode, FILE *(*real_fopen)(const char *, const char *))
{
	char path[2 * PATH_MAX];
	const char *below = below_root(AT_FDCWD, name, path);
	GATED(below != NULL);
	int saved = errno;
	bool existed = access(name, F_OK) == 0;
	errno = saved;
	FILE *f = real_fopen(name, mode);
	if (f && below)
		opened(fileno(f), below, existed, mode[0] == 'w' ? O_TRUNC : 0, mode[0] != 'r');
	return f;
}

FILE *fopen(const char *name, const char *mode)
{
	return open_stream(name, mode, REAL(fopen));
}

FILE *fopen64(const char *name, const char *mode)
{
	return open_stream(name, mode, REAL(fopen64));
}

/* --- content --- */

/* One call is one write: its pieces get into a sector together. */
static void wrote(int fd, int64_t offset, const struct iovec *iov, int count, ssize_t n)
{
	const struct tracked *t = n > 0 ? tracked(fd) : NULL;
	size_t size = 0;
	if (!t)
		return;
	uint8_t *all = count == 1 ? iov[0].iov_base : malloc((size_t)n);
	if (!all)
		abort();
	for (int i = 0; count > 1 && i < count && size < (size_t)n; i++) {
		size_t part = iov[i].iov_len < (size_t)n - size ? iov[i].iov_len : (size_t)n - size;
		memcpy(all + size, iov[i].iov_base, part);
		size += part;
	}
	emit_write(t->ino, (uint64_t)offset, all, (size_t)n);
	if (count > 1)
		free(all);
	if (t->dsync) {
		uint64_t number = atomic_fetch_add(&syncs, 1);
		emit((struct record_head){.kind = RECORD_SYNC_BEGIN, .ino = t->ino, .offset = number}, NULL, NULL, NULL);
		emit((struct record_head){.kind = RECORD_SYNC_END, .ino = t->ino, .offset = number}, NULL, NULL, NULL);
	}
}

/* Where a write without an offset begins. */
static int64_t position(int fd)
{
	int saved = errno;
	off_t at = tracked(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
	errno = saved;
	return at;
}

ssize_t write(int fd, const void *data, size_t size)
{
	GATED(tracked(fd) != NULL);
	int64_t at = position(fd);
	ssize_t n = REAL(write)(fd, data, size);
	wrote(fd, at, &(struct iovec){(void *)data, size}, 1, n);
	return n;
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	GATED(tracked(fd) != NULL);
	int64_t at = position(fd);
	ssize_t n = REAL(writev)(fd, iov, count);
	wrote(fd, at, iov, count, n);
	return n;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	GATED(tracked(fd) != NULL);
	ssize_t n = REAL(pwrite)(fd, data, size, offset);
	wrote(fd, offset, &(struct iovec){(void *)data, size}, 1, n);
	return n;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	return pwrite(fd, data, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	GATED(tracked(fd) != NULL);
	ssize_t n = REAL(pwritev)(fd, iov, count, offset);
	wrote(fd, offset, iov, count, n);
	return n;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
	return pwritev(fd, iov, count, offset);
}

int ftruncate(int fd, off_t size)
{
	GATED(tracked(fd) != NULL);
	int rc = REAL(ftruncate)(fd, size);
	const struct tracked *t = rc == 0 ? tracked(fd) : NULL;
	if (t)
		emit((struct record_head){.kind = RECORD_TRUNCATE, .ino = t->ino, .size = (uint64_t)size}, NULL, NULL, NULL);
	return rc;
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

/* Only what grows a file is known here. */
int fallocate(int fd, int mode, off_t offset, off_t size)
{
	struct stat st;
	GATED(tracked(fd) != NULL);
	int rc = REAL(fallocate)(fd, mode, offset, size);
	const struct tracked *t = rc == 0 ? tracked(fd) : NULL;
	if (t && mode != 0)
		abort();
	if (t && fstat(fd, &st) == 0)
		emit((struct record_head){.kind = RECORD_TRUNCATE, .ino = t->ino, .size = (uint64_t)st.st_size}, NULL, NULL, NULL);
	return rc;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
	return fallocate(fd, mode, offset, size);
}

static void emit_whole(int fd, const struct tracked *t)
{
	static _Thread_local uint8_t data[1 << 16];
	uint64_t at = 0;
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int reader = REAL(open)(path, O_RDONLY | O_CLOEXEC);
	for (ssize_t n; reader >= 0 && (n = pread(reader, data, sizeof(data), (off_t)at)) > 0; at += (uint64_t)n)
		emit_write(t->ino, at, data, (size_t)n);
	if (reader >= 0)
		close(reader);
}

int fclose(FILE *f)
{
	int fd = fileno(f);
	const struct tracked *t = tracked(fd);
	GATED(t != NULL);
	if (t && t->stdio && fflush(f) == 0)
		emit_whole(fd, t);
	return REAL(fclose)(f);
}

static int sync_with(int fd, int (*real_sync)(int))
{
	const struct tracked *t = tracked(fd);
	GATED(t != NULL);
	if (!t)
		return real_sync(fd);
	struct record_head h = {.kind = RECORD_SYNC_BEGIN, .ino = t->ino, .offset = atomic_fetch_add(&syncs, 1)};
	if (t->stdio)
		emit_whole(fd, t);
	emit(h, NULL, NULL, NULL);
	int rc = real_sync(fd);
	h.kind = RECORD_SYNC_END;
	if (rc == 0)
		emit(h, NULL, NULL, NULL);
	return rc;
}

int fsync(int fd)
{
	return sync_with(fd, REAL(fsync));
}

int fdatasync(int fd)
{
	return sync_with(fd, REAL(fdatasync));
}

/* --- names --- */

static int renamed(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	char path[2 * PATH_MAX], path2[2 * PATH_MAX];
	const char *below = below_root(from_fd, from, path), *below2 = below_root(to_fd, to, path2);
	GATED(below || below2);
	int rc = REAL(renameat2)(from_fd, from, to_fd, to, flags);
	if (rc == 0 && (below != NULL) != (below2 != NULL))
		abort();
	if (rc == 0 && below)
		emit((struct record_head){.kind = RECORD_RENAME, .offset = flags}, below, below2, NULL);
	return rc;
}

int rename(const char *from, const char *to)
{
	return renamed(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return renamed(from_fd, from, to_fd, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return renamed(from_fd, from, to_fd, to, flags);
}

int unlinkat(int dir_fd, const char *name, int flags)
{
	char path[2 * PATH_MAX];
	const char *below = below_root(dir_fd, name, path);
	GATED(below != NULL);
	int rc = REAL(unlinkat)(dir_fd, name, flags);
	if (rc == 0 && below)
		emit((struct record_head){.kind = RECORD_UNLINK}, below, NULL, NULL);
	return rc;
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int remove(const char *name)
{
	int rc = unlinkat(AT_FDCWD, name, 0);
	return rc != 0 && errno == EISDIR ? rmdir(name) : rc;
}

int link(const char *from, const char *to)
{
	char path[2 * PATH_MAX], path2[2 * PATH_MAX];
	const char *below = below_root(AT_FDCWD, from, path), *below2 = below_root(AT_FDCWD, to, path2);
	GATED(below && below2);
	int rc = REAL(link)(from, to);
	if (rc == 0 && below && below2)
		emit((struct record_head){.kind = RECORD_LINK}, below, below2, NULL);
	return rc;
}

int mkdirat(int dir_fd, const char *name, mode_t mode)
{
	char path[2 * PATH_MAX];
	struct stat st;
	const char *below = below_root(dir_fd, name, path);
	GATED(below != NULL);
	int rc = REAL(mkdirat)(dir_fd, name, mode);
	if (rc == 0 && below && fstatat(dir_fd, name, &st, 0) == 0)
		emit((struct record_head){.kind = RECORD_MKDIR, .ino = st.st_ino}, below, NULL, NULL);
	return rc;
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}
