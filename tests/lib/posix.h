/* posix.h: what POSIX asks of a file system, checked rule by rule on a mount.
 *
 * A rule is a function that runs in an empty directory of its own, as root, and checks what calls say and leave behind. A check that fails is told
 * with its line, and the rule goes on; it fails at its end. All rules of a program run on a linearizable mount, then on a serial one. */
#ifndef TALLY_TESTS_LIB_POSIX_H
#define TALLY_TESTS_LIB_POSIX_H

#include "tests/lib/cluster.h"

#include <errno.h>
#include <sys/stat.h>

struct posix_rule {
	const char *name;
	void (*check)(void);
};

#define POSIX_RULE(function)                                                                                                               \
	{                                                                                                                                  \
		.name = #function, .check = function                                                                                       \
	}

/* Runs the rules, each as a test, on one node of each kind; what main returns. */
int posix_run(const struct posix_rule *rules, size_t count);
/* The mount and its cluster, for rules that need more than their directory. */
struct cluster *posix_cluster(void);
bool posix_is_serial(void);

/* For a test of its own that makes its checks: begins to count what fails; fails if anything did, as root, with umask 0; and its teardown. */
void posix_start(void);
void posix_finish(void);
int posix_teardown(void **state);

/* Types of files, all of them but hard links. */
enum posix_type { REGULAR, DIRECTORY, FIFO, BLOCK_DEVICE, CHAR_DEVICE, SOCKET, SYMLINK, POSIX_TYPES };

const char *posix_type_name(enum posix_type type);
mode_t posix_type_mode(enum posix_type type); /* S_IFREG and so on */
/* Makes one (mode 0644, a directory 0755, a device 1,2; a link to "nowhere"), and removes one. As checks. */
void posix_make(enum posix_type type, const char *name);
void posix_remove(enum posix_type type, const char *name);
/* Makes a regular file with this content. */
void posix_fill(const char *name, const void *data, size_t size);
bool posix_holds(const char *name, const void *data, size_t size);

/* From here on as this user, in these two groups. */
void posix_as(uid_t uid, gid_t gid, gid_t also);
void posix_as_root(void);
/* Runs `check` in a child process; its failed checks count. */
void posix_in_child(void (*check)(void));

/* lstat, as a check; all zero if it failed. */
struct stat posix_stat(const char *name);
mode_t posix_mode(const char *name);   /* the lower 12 bits */
int64_t posix_atime(const char *name); /* nanoseconds */
int64_t posix_mtime(const char *name);
int64_t posix_ctime(const char *name);

/* The call succeeds (its result is not negative, and is given back); it fails with `error`; both numbers are equal; it is so. */
#define works(call) posix_works((errno = 0, (long)(call)), #call, __FILE__, __LINE__)
#define refused(error, call) posix_refused((errno = 0, (long)(call)), error, #error, #call, __FILE__, __LINE__)
#define equal(a, b) posix_equal((long long)(a), (long long)(b), #a " is " #b, __FILE__, __LINE__)
#define holds(condition) posix_true(condition, #condition, __FILE__, __LINE__)

long posix_works(long result, const char *what, const char *file, int line);
void posix_refused(long result, int error, const char *error_name, const char *what, const char *file, int line);
void posix_equal(long long a, long long b, const char *what, const char *file, int line);
void posix_true(bool so, const char *what, const char *file, int line);
/* Is named in what failed from here on, up to the end of the rule; NULL: nothing. */
void posix_about(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
