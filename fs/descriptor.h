/* descriptor.h: does a caller name its file by an open descriptor, as fstat(2) does, or by a path? The kernel's request is the same, but /proc tells in which
 * call the thread is that waits for the answer. */
#ifndef TALLY_FS_DESCRIPTOR_H
#define TALLY_FS_DESCRIPTOR_H

#include "fs/holders.h"

/* False also if it cannot be found out. */
bool descriptor_names(pid_t thread, const struct holders_file *file);

/* The descriptor that a call, as /proc/PID/syscall shows it, works on by itself; -1: it is given a path, or is none of those that are known. */
int descriptor_of_call(const char *text);

#endif
