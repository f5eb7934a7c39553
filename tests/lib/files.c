#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PATH_RING 32

const char *path(const char *format, ...)
{
	static _Thread_local char ring[PATH_RING][PATH_MAX];
	static _Thread_local unsigned next;
	char *out = ring[next++ % PATH_RING];
	va_list args;
	va_start(args, format);
	vsnprintf(out, PATH_MAX, format, args);
	va_end(args);
	return out;
}

int file_put(const char *name, int flags, const void *data, size_t size)
{
	int error = 0;
	int fd = open(name, flags | O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	for (size_t at = 0; at < size && error == 0;) {
		ssize_t n = write(fd, (const char *)data + at, size - at);
		if (n < 0)
			error = -errno;
		else
			at += (size_t)n;
	}
	if (close(fd) < 0 && error == 0)
		error = -errno;
	return error;
}

int file_write(const char *name, const char *text)
{
	return file_put(name, O_TRUNC, text, strlen(text));
}

int file_append(const char *name, const char *text)
{
	return file_put(name, O_APPEND, text, strlen(text));
}

ssize_t file_read(const char *name, char *buffer, size_t size)
{
	size_t at = 0;
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (at < size - 1) {
		ssize_t n = read(fd, buffer + at, size - 1 - at);
		if (n < 0) {
			int error = -errno;
			close(fd);
			return error;
		}
		if (n == 0)
			break;
		at += (size_t)n;
	}
	close(fd);
	buffer[at] = '\0';
	return (ssize_t)at;
}

char *file_load(const char *name, size_t *size)
{
	struct stat st;
	if (stat(name, &st) < 0)
		return NULL;
	/* A control file may tell no size. */
	size_t room = (size_t)st.st_size + (64u << 10);
	char *text = malloc(room);
	if (!text)
		abort();
	ssize_t got = file_read(name, text, room);
	if (got < 0) {
		free(text);
		errno = (int)-got;
		return NULL;
	}
	*size = (size_t)got;
	return text;
}

bool file_is(const char *name, const char *text)
{
	char buffer[65536];
	ssize_t got = file_read(name, buffer, sizeof(buffer));
	return got == (ssize_t)strlen(text) && memcmp(buffer, text, (size_t)got) == 0;
}

void dir_names(const char *name, char *out, size_t size)
{
	struct dirent **entries = NULL;
	size_t at = 0;
	int count = scandir(name, &entries, NULL, alphasort);
	out[0] = '\0';
	if (count < 0)
		snprintf(out, size, "!%d", errno);
	for (int i = 0; i < count; i++) {
		const char *entry = entries[i]->d_name;
		if (strcmp(entry, ".") != 0 && strcmp(entry, "..") != 0 && at < size)
			at += (size_t)snprintf(out + at, size - at, "%s ", entry);
		free(entries[i]);
	}
	free(entries);
}

int try_open(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return close(fd) < 0 ? -errno : 0;
}

int64_t xattr_number(const char *name, const char *xattr)
{
	char text[32];
	ssize_t got = getxattr(name, xattr, text, sizeof(text) - 1);
	if (got < 0)
		return -errno;
	text[got] = '\0';
	return (int64_t)strtoull(text, NULL, 10);
}

static void run_quietly(const char *const argv[])
{
	struct run_result r;
	run_command(&r, argv, NULL, 0, 60000);
	if (r.status != 0)
		fprintf(stderr, "%s: %s\n", argv[0], r.err);
	run_done(&r);
}

void dir_copy(const char *from, const char *to)
{
	const char *const argv[] = {"cp", "-a", "--sparse=always", "-T", from, to, NULL};
	run_quietly(argv);
}

void dir_remove(const char *name)
{
	const char *const argv[] = {"rm", "-rf", "--one-file-system", name, NULL};
	run_quietly(argv);
}
