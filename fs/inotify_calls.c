#include "fs/inotify_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

static int result(int rc)
{
	return rc < 0 ? -errno : 0;
}

/* On this mount? Asks nobody. */
static int is_ours(int directory, const char *name, dev_t device)
{
	struct statx st;
	int flags = AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);

	if (statx(directory, name, flags, STATX_TYPE, &st) != 0)
		return -errno;
	return makedev(st.stx_dev_major, st.stx_dev_minor) == device ? 0 : -EXDEV;
}

/* The root of the mount. -EXDEV: something else is seen there. */
static int open_root(const char *mountpoint, dev_t device)
{
	int fd = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int error = is_ours(fd, "", device);
	if (!error)
		return fd;
	close(fd);
	return error;
}

static int open_below(int directory, const char *name, int flags, mode_t mode)
{
	struct open_how how = {.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
			       .mode = mode,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, directory, name, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int open_directory(const struct calls_stage *s)
{
	int root = open_root(s->mountpoint, s->device);

	if (root < 0 || !*s->directory)
		return root;
	int fd = open_below(root, s->directory, O_PATH | O_DIRECTORY, 0);
	close(root);
	return fd;
}

/* The size that is set is the file's: the operation that gets it answers so. */
static int change_and_close(int fd, bool content, bool (*is_open)(void *ctx), void *ctx)
{
	int error = 0;

	if (fd < 0)
		return fd;
	if (content)
		error = is_open(ctx) ? result(ftruncate(fd, 0)) : -ECANCELED;
	close(fd);
	return error;
}

static int make_in(int directory, const struct calls_stage *s, uint32_t mode, bool content, bool (*is_open)(void *ctx), void *ctx)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return change_and_close(open_below(directory, s->name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode & 07777), content,
					is_open, ctx);
	case S_IFDIR:
		return result(mkdirat(directory, s->name, mode & 07777));
	case S_IFLNK:
		return result(symlinkat("-", directory, s->name));
	case S_IFCHR:
	case S_IFBLK:
		return result(mknodat(directory, s->name, mode, makedev(1, 3)));
	default:
		return result(mknodat(directory, s->name, mode, 0));
	}
}

int calls_make(const struct calls_stage *s, uint32_t mode, bool content, bool (*is_open)(void *ctx), void *ctx)
{
	int directory = open_directory(s);

	if (directory < 0)
		return directory;
	int error = make_in(directory, s, mode, content, is_open, ctx);
	close(directory);
	return error;
}

int calls_modify(const struct calls_stage *s, bool (*is_open)(void *ctx), void *ctx)
{
	int directory = open_directory(s);

	if (directory < 0)
		return directory;
	int fd = open_below(directory, s->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	close(directory);
	return change_and_close(fd, true, is_open, ctx);
}

int calls_touch(const struct calls_stage *s)
{
	int directory = open_directory(s);

	if (directory < 0)
		return directory;
	int error = is_ours(directory, s->name, s->device);
	if (!error)
		error = result(utimensat(directory, s->name, NULL, AT_SYMLINK_NOFOLLOW));
	close(directory);
	return error;
}

int calls_remove(const struct calls_stage *s, bool is_directory)
{
	int directory = open_directory(s);

	if (directory < 0)
		return directory;
	int error = result(unlinkat(directory, s->name, is_directory ? AT_REMOVEDIR : 0));
	close(directory);
	return error;
}

int calls_rename(const struct calls_stage *s, const struct calls_stage *s2)
{
	int from = open_directory(s);
	int to = from < 0 ? from : open_directory(s2);
	int error = to < 0 ? to : result(renameat(from, s->name, to, s2->name));

	if (to >= 0)
		close(to);
	if (from >= 0)
		close(from);
	return error;
}

int calls_statfs(const char *mountpoint, dev_t device)
{
	struct statfs st;
	int root = open_root(mountpoint, device);

	if (root < 0)
		return root;
	int error = result(fstatfs(root, &st));
	close(root);
	return error;
}
