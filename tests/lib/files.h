/* files.h: one file operation a call, with negative errnos, so that threads can use them and tests can compare them. */
#ifndef TALLY_TESTS_LIB_FILES_H
#define TALLY_TESTS_LIB_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A path, printed into one of a few buffers of this thread: it lives until 32 calls later. */
const char *path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* open (with `flags` and O_WRONLY|O_CREAT|O_CLOEXEC), write, close. 0, or what the first of them that failed said. */
int file_put(const char *name, int flags, const void *data, size_t size);
/* file_put with O_TRUNC; with O_APPEND. */
int file_write(const char *name, const char *text);
int file_append(const char *name, const char *text);
/* The whole file, up to size - 1 bytes and a NUL. Returns the count or a negative errno. */
ssize_t file_read(const char *name, char *buffer, size_t size);
/* The whole file in memory of its own, NUL-terminated; NULL with errno set. */
char *file_load(const char *name, size_t *size);
/* Does the file hold exactly this? */
bool file_is(const char *name, const char *text);
/* The names in a directory but "." and "..", sorted, each followed by a blank; "!ERRNO" on failure. */
void dir_names(const char *name, char *out, size_t size);
/* 0 or a negative errno of open(2) with these flags. */
int try_open(const char *name, int flags);
/* An integer xattr; -errno on failure. */
int64_t xattr_number(const char *name, const char *xattr);
/* Copies a directory of plain files and folders (a node's DATA), and removes one. */
void dir_copy(const char *from, const char *to);
void dir_remove(const char *name);

#endif
