/* metrics.h: what is counted of the kernel's requests, and the text of @metrics.
 *
 * A request is counted when it is taken in, and how long it took (and whether the answer was an error) just before it is answered, so whoever has the
 * answer finds it counted. Each kind of request has counters of its own, so that threads seldom meet there. */
#ifndef TALLY_FS_METRICS_H
#define TALLY_FS_METRICS_H

#include "base/codec.h"

#include <stdint.h>

#define METRICS_OPERATIONS(X)                                                                                                              \
	X(LOOKUP, lookup)                                                                                                                  \
	X(FORGET, forget)                                                                                                                  \
	X(GETATTR, getattr)                                                                                                                \
	X(SETATTR, setattr)                                                                                                                \
	X(READLINK, readlink)                                                                                                              \
	X(MKNOD, mknod)                                                                                                                    \
	X(MKDIR, mkdir)                                                                                                                    \
	X(UNLINK, unlink)                                                                                                                  \
	X(RMDIR, rmdir)                                                                                                                    \
	X(SYMLINK, symlink)                                                                                                                \
	X(RENAME, rename)                                                                                                                  \
	X(LINK, link)                                                                                                                      \
	X(OPEN, open)                                                                                                                      \
	X(READ, read)                                                                                                                      \
	X(WRITE, write)                                                                                                                    \
	X(FLUSH, flush)                                                                                                                    \
	X(RELEASE, release)                                                                                                                \
	X(FSYNC, fsync)                                                                                                                    \
	X(OPENDIR, opendir)                                                                                                                \
	X(READDIR, readdir)                                                                                                                \
	X(READDIRPLUS, readdirplus)                                                                                                        \
	X(RELEASEDIR, releasedir)                                                                                                          \
	X(FSYNCDIR, fsyncdir)                                                                                                              \
	X(STATFS, statfs)                                                                                                                  \
	X(SETXATTR, setxattr)                                                                                                              \
	X(GETXATTR, getxattr)                                                                                                              \
	X(LISTXATTR, listxattr)                                                                                                            \
	X(REMOVEXATTR, removexattr)                                                                                                        \
	X(ACCESS, access)                                                                                                                  \
	X(CREATE, create)                                                                                                                  \
	X(GETLK, getlk)                                                                                                                    \
	X(SETLK, setlk)                                                                                                                    \
	X(FLOCK, flock)                                                                                                                    \
	X(IOCTL, ioctl)                                                                                                                    \
	X(POLL, poll)                                                                                                                      \
	X(FALLOCATE, fallocate)                                                                                                            \
	X(LSEEK, lseek)                                                                                                                    \
	X(COPY_FILE_RANGE, copy_file_range)

#define METRICS_ENUM(upper, lower) METRICS_##upper,
enum metrics_operation { METRICS_OPERATIONS(METRICS_ENUM) METRICS_COUNT };
#undef METRICS_ENUM

struct fs;
struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* A request whose answer is still to come; zeroed: nothing is counted. */
struct metrics_call {
	struct metrics *metrics;
	enum metrics_operation operation;
	int64_t began_ns;
};

/* The thread that took a request in, before and after its operation is carried out. If nobody has taken the call over meanwhile, it was answered there. */
void metrics_begin(struct metrics *m, enum metrics_operation operation);
void metrics_end(void);
/* In between: somebody else will answer it. */
struct metrics_call metrics_take(void);
/* In between: it is answered there, with an error. */
void metrics_refuse(int error);
/* It is about to be answered: `error` is a negative errno or 0. The second time nothing is counted. */
void metrics_answer(struct metrics_call *call, int error);

/* metrics_text.c: all figures of the node and its mount in the text format of Prometheus, version 0.0.4. Waits for nothing. */
void metrics_text(struct fs *fs, struct writer *out);

#endif
