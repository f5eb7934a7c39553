#include "fs/mountpoint.h"

#include "fs/fs.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* The absolute path, also of a dead mount, which realpath(3) cannot enter: that of its parent, and its own name. */
static int resolve(const char *path, char *real)
{
	char copy[PATH_MAX], parent[PATH_MAX];

	if (realpath(path, real))
		return 0;
	if (errno != ENOTCONN || strlen(path) >= sizeof(copy))
		return -errno;
	snprintf(copy, sizeof(copy), "%s", path);
	for (size_t size = strlen(copy); size > 1 && copy[size - 1] == '/'; size--)
		copy[size - 1] = '\0';
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	const char *folder = !slash ? "." : slash == copy ? "/" : copy;
	if (slash && slash != copy)
		*slash = '\0';
	if (!realpath(folder, parent))
		return -errno;
	int size = snprintf(real, PATH_MAX, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name);
	return size < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* fusermount3 may unmount for a user who mounted. */
static void unmount_by_helper(const char *real)
{
	char program[] = "fusermount3", unmount[] = "-u", lazy[] = "-z", quiet[] = "-q", end[] = "--", target[PATH_MAX];
	char *arguments[] = {program, unmount, lazy, quiet, end, target, NULL};
	pid_t child;
	int status;

	snprintf(target, sizeof(target), "%s", real);
	if (posix_spawnp(&child, program, NULL, NULL, arguments, environ) == 0)
		waitpid(child, &status, 0);
}

void mountpoint_clear(const char *real)
{
	if (umount2(real, MNT_DETACH) != 0)
		unmount_by_helper(real);
}

static bool octal(const char *s)
{
	return s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7';
}

/* Undoes the escapes of /proc/self/mountinfo. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (octal(s)) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* The line of what is seen there. */
struct mounted {
	dev_t device;
	bool tallyfs;
};

/* A line of /proc/self/mountinfo: 36 35 98:0 /root /mount/point options ... - type source options */
static bool read_line(const char *line, const char *real, struct mounted *out)
{
	char target[PATH_MAX + 1];
	unsigned high, low;

	if (sscanf(line, "%*s %*s %u:%u %*s %4096s", &high, &low, target) != 3)
		return false;
	unescape(target);
	if (strcmp(target, real) != 0)
		return false;
	*out = (struct mounted){makedev(high, low), strstr(line, " - fuse.tallyfs ") != NULL};
	return true;
}

static bool find_mounted(const char *real, struct mounted *out)
{
	char *line = NULL;
	size_t capacity = 0;
	bool found = false;
	FILE *f = fopen("/proc/self/mountinfo", "re");

	/* The last one on a place is the one that is seen there. */
	while (f && getline(&line, &capacity, f) > 0)
		found |= read_line(line, real, out);
	free(line);
	if (f)
		fclose(f);
	return found;
}

bool mountpoint_device(const char *real, dev_t *device)
{
	struct mounted m;

	if (!find_mounted(real, &m))
		return false;
	*device = m.device;
	return true;
}

/* Nobody answers behind it any more, or from now on: a daemon that was killed is gone only once its memory is. Unlike stat(2), statfs(2) is answered from
 * no cache, and without the cluster. */
static bool is_dead(const char *path)
{
	struct statfs st;

	return statfs(path, &st) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

int mountpoint_check(const char *path, char *real, char *why, size_t why_size)
{
	struct stat st;
	dev_t device;

	/* A mount over a dead mount over a dead mount: a few rounds. */
	for (int round = 0; round < 8 && is_dead(path); round++) {
		int error = resolve(path, real);
		if (error)
			break;
		mountpoint_clear(real);
	}
	if (stat(path, &st) != 0) {
		int error = errno;
		snprintf(why, why_size, "mount point %s: %s", path, strerror(error));
		return -error;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(why, why_size, "mount point %s is not a directory", path);
		return -ENOTDIR;
	}
	int error = resolve(path, real);
	if (error) {
		snprintf(why, why_size, "mount point %s: %s", path, strerror(-error));
		return error;
	}
	if (strcmp(real, "/") == 0 || mountpoint_device(real, &device)) {
		snprintf(why, why_size, "%s is a mount point already", path);
		return -EBUSY;
	}
	return 0;
}

static unsigned long flag_of(const char *word)
{
	static const struct {
		const char *word;
		unsigned long flag;
	} flags[] = {{"nosuid", MS_NOSUID},   {"nodev", MS_NODEV},      {"noexec", MS_NOEXEC},
		     {"noatime", MS_NOATIME}, {"sync", MS_SYNCHRONOUS}, {"dirsync", MS_DIRSYNC}};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(flags[i].word, word) == 0)
			return flags[i].flag;
	}
	return 0;
}

static unsigned long flags_of(const char *words)
{
	char *copy = strdup(words), *rest = copy;
	unsigned long flags = 0;

	if (!copy)
		abort();
	for (char *word = strsep(&rest, ","); word; word = strsep(&rest, ","))
		flags |= flag_of(word);
	free(copy);
	return flags;
}

int mountpoint_remount(const char *path, bool read_only, const char *words, char *why, size_t why_size)
{
	char real[PATH_MAX];
	struct mounted m;
	int error = resolve(path, real);

	if (!error && (!find_mounted(real, &m) || !m.tallyfs))
		error = -EINVAL;
	if (!error && mount(NULL, real, NULL, MS_REMOUNT | (read_only ? MS_RDONLY : 0) | flags_of(words), NULL) != 0)
		error = -errno;
	if (error)
		snprintf(why, why_size, "cannot remount %s: %s", path, error == -EINVAL ? "no tallyfs is mounted there" : strerror(-error));
	return error;
}
