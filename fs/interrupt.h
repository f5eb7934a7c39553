/* interrupt.h: whether an interrupted caller must be let go. Private to fs/.
 *
 * The kernel passes FUSE_INTERRUPT on for any pending signal, even one that its receiver ignores (SIGCHLD may be taken up while another
 * thread has it blocked). Answering EINTR then would make programs fail that did nothing wrong. */
#ifndef TALLY_FS_INTERRUPT_H
#define TALLY_FS_INTERRUPT_H

#include <stdbool.h>
#include <sys/types.h>

/* Is a signal waiting for thread `tid` that it does not block and does not ignore? True if /proc cannot tell. Any thread. */
bool interrupt_matters(pid_t tid);

#endif
