#include "fs/holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROC_TEXT_MAX 2048

/* The number after `label` in a small file of /proc, or -1. */
static long proc_number(const char *path, const char *label, int base)
{
	char text[PROC_TEXT_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return -1;
	text[size] = '\0';
	const char *at = strstr(text, label);
	return at ? strtol(at + strlen(label), NULL, base) : -1;
}

pid_t holders_process(pid_t thread)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	return (pid_t)proc_number(path, "\nTgid:", 10);
}

static bool may_write(const char *process, const char *descriptor)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo/%.20s", process, descriptor);
	long flags = proc_number(path, "flags:", 8);
	return flags >= 0 && ((flags & O_ACCMODE) != O_RDONLY);
}

/* The link of an unhashed name ends in " (deleted)", although the file may well be there. */
static bool same_path(const char *link, size_t size, const char *path)
{
	static const char deleted[] = " (deleted)";
	size_t path_size = strlen(path);

	if (size < path_size || memcmp(link, path, path_size) != 0)
		return false;
	size_t rest = size - path_size;
	return rest == 0 || (rest == sizeof(deleted) - 1 && memcmp(link + path_size, deleted, rest) == 0);
}

static bool process_has(const char *process, const char *path, bool any_mode)
{
	char folder[64], link[PATH_MAX + 32];
	bool found = false;

	snprintf(folder, sizeof(folder), "/proc/%.20s/fd", process);
	DIR *dir = opendir(folder);
	if (!dir)
		return false;
	for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
		if (e->d_name[0] == '.')
			continue;
		ssize_t size = readlinkat(dirfd(dir), e->d_name, link, sizeof(link));
		found = size > 0 && same_path(link, (size_t)size, path) && (any_mode || may_write(process, e->d_name));
	}
	closedir(dir);
	return found;
}

bool holders_has(pid_t thread, const char *path, bool any_mode)
{
	char process[24];

	if (thread <= 0)
		return false;
	snprintf(process, sizeof(process), "%d", (int)thread);
	return process_has(process, path, any_mode);
}

bool holders_others(pid_t thread, const char *path)
{
	char self[24];
	bool found = false;
	DIR *dir = opendir("/proc");

	if (!dir)
		return false;
	snprintf(self, sizeof(self), "%d", (int)holders_process(thread));
	for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && strcmp(e->d_name, self) != 0)
			found = process_has(e->d_name, path, false);
	}
	closedir(dir);
	return found;
}
