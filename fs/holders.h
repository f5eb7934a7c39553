/* holders.h: who has a file open, as /proc tells.
 *
 * FLUSH comes at each close of each duplicate of a descriptor, and nothing in it says whether another remains. A shell opens the target of a
 * redirection, duplicates it and closes the original before anything was written; publishing then would show an empty file. So before the
 * publication of a handle is taken for its last close, /proc is asked whether anybody still holds the file.
 *
 * Only fdinfo is read. What a link of /proc/PID/fd leads to would come back to this file system and wait for itself; and even its text cannot be
 * had from a process that is in execve(2), which closes descriptors there, and waits for the FLUSH that asks. */
#ifndef TALLY_FS_HOLDERS_H
#define TALLY_FS_HOLDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A file as fdinfo tells it. */
struct holders_file {
	long mount;      /* mnt_id */
	uint64_t ino[2]; /* it may be shown by either */
};

/* The mount at a path, or -1. Nothing below the mount is asked. */
long holders_mount(const char *mountpoint);
/* The process of a thread, or -1. */
pid_t holders_process(pid_t thread);
/* Has this process (named by any of its threads) a descriptor of the file that may write? With `any_mode`, any descriptor will do. */
bool holders_has(pid_t thread, const struct holders_file *file, bool any_mode);
/* Is this descriptor of the thread's process one of the file, in whatever mode? */
bool holders_descriptor(pid_t thread, int descriptor, const struct holders_file *file);
/* Has any process but this one a descriptor that may write? false when /proc cannot be read. */
bool holders_others(pid_t thread, const struct holders_file *file);

#endif
