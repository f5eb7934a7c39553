/* inotify_calls.h: the system calls that repeat a change on the daemon's own mount. Private to inotify*.c.
 *
 * Nothing is kept open between two of them, as that would hold up an unmount. They touch nothing but this mount: the way leads over no symbolic link and onto
 * no other mount, and content is cut only through a file of which the file system has said that it is open for this. 0 or a negative errno. */
#ifndef TALLY_FS_INOTIFY_CALLS_H
#define TALLY_FS_INOTIFY_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct calls_stage {
	const char *mountpoint;
	dev_t device;
	const char *directory; /* below the mount; "" is its root */
	const char *name;      /* in it */
};

/* IN_CREATE; of a file also IN_OPEN, IN_CLOSE_WRITE and, with content, IN_MODIFY between them. */
int calls_make(const struct calls_stage *s, uint32_t mode, bool content, bool (*is_open)(void *ctx), void *ctx);
/* IN_OPEN, IN_MODIFY, IN_CLOSE_WRITE. */
int calls_modify(const struct calls_stage *s, bool (*is_open)(void *ctx), void *ctx);
/* IN_ATTRIB. */
int calls_touch(const struct calls_stage *s);
int calls_remove(const struct calls_stage *s, bool directory);
int calls_rename(const struct calls_stage *s, const struct calls_stage *s2);
/* A request to the daemon that no cache answers. */
int calls_statfs(const char *mountpoint, dev_t device);

#endif
