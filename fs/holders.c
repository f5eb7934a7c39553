#include "fs/holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROC_TEXT_MAX 2048
#define NOT_THERE UINT64_MAX

/* The start of a small file; empty if there is none. */
static void proc_read(int dir, const char *name, char text[PROC_TEXT_MAX])
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, PROC_TEXT_MAX - 1);

	text[size > 0 ? size : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* The number after `label`, or NOT_THERE. */
static uint64_t proc_number(const char *text, const char *label, int base)
{
	const char *at = strstr(text, label);

	return at ? strtoull(at + strlen(label), NULL, base) : NOT_THERE;
}

long holders_mount(const char *mountpoint)
{
	char name[64], text[PROC_TEXT_MAX];
	int fd = open(mountpoint, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	proc_read(AT_FDCWD, name, text);
	close(fd);
	return (long)proc_number(text, "\nmnt_id:", 10);
}

pid_t holders_process(pid_t thread)
{
	char name[64], text[PROC_TEXT_MAX];

	snprintf(name, sizeof(name), "/proc/%d/status", (int)thread);
	proc_read(AT_FDCWD, name, text);
	return (pid_t)proc_number(text, "\nTgid:", 10);
}

static bool is_of(const char *text, const struct holders_file *file, bool any_mode)
{
	uint64_t ino = proc_number(text, "\nino:", 10);

	if (ino == NOT_THERE || (ino != file->ino[0] && ino != file->ino[1]) || (long)proc_number(text, "\nmnt_id:", 10) != file->mount)
		return false;
	return any_mode || (proc_number(text, "\nflags:", 8) & O_ACCMODE) != O_RDONLY;
}

static bool process_has(const char *process, const struct holders_file *file, bool any_mode)
{
	char folder[64], text[PROC_TEXT_MAX];
	bool found = false;

	snprintf(folder, sizeof(folder), "/proc/%.20s/fdinfo", process);
	DIR *dir = opendir(folder);
	if (!dir)
		return false;
	for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
		if (e->d_name[0] == '.')
			continue;
		proc_read(dirfd(dir), e->d_name, text);
		found = is_of(text, file, any_mode);
	}
	closedir(dir);
	return found;
}

bool holders_descriptor(pid_t thread, int descriptor, const struct holders_file *file)
{
	char name[64], text[PROC_TEXT_MAX];

	snprintf(name, sizeof(name), "/proc/%d/fdinfo/%d", (int)thread, descriptor);
	proc_read(AT_FDCWD, name, text);
	return is_of(text, file, true);
}

bool holders_has(pid_t thread, const struct holders_file *file, bool any_mode)
{
	char process[24];

	if (thread <= 0)
		return false;
	snprintf(process, sizeof(process), "%d", (int)thread);
	return process_has(process, file, any_mode);
}

bool holders_others(pid_t thread, const struct holders_file *file)
{
	char self[24];
	bool found = false;
	DIR *dir = opendir("/proc");

	if (!dir)
		return false;
	snprintf(self, sizeof(self), "%d", (int)holders_process(thread));
	for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && strcmp(e->d_name, self) != 0)
			found = process_has(e->d_name, file, false);
	}
	closedir(dir);
	return found;
}
