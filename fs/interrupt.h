/* interrupt.h: whether an interrupted caller must be let go, and when. Private to fs/.
 *
 * The kernel passes FUSE_INTERRUPT on for any pending signal, even one that its receiver ignores (SIGCHLD may be taken up while another
 * thread has it blocked). Answering EINTR then would make programs fail that did nothing wrong. So would it at once for a signal that is
 * caught: on a local disk mkdir(2) or close(2) are never interrupted, and SA_RESTART does not help, as the kernel repeats no call that a file
 * system has answered. Those who only wait for the usual rounds of the cluster get their answer; those who wait longer are let go. */
#ifndef TALLY_FS_INTERRUPT_H
#define TALLY_FS_INTERRUPT_H

#include <sys/types.h>

#define INTERRUPT_GRACE_NS INT64_C(1000000000)

enum interrupt {
	INTERRUPT_IGNORED, /* no signal waits that the thread does not block or ignore */
	INTERRUPT_CAUGHT,  /* its handler is to run: within INTERRUPT_GRACE_NS */
	INTERRUPT_FATAL    /* it ends the process: at once */
};

/* What the signals that wait for thread `tid` mean. INTERRUPT_FATAL if /proc cannot tell. Any thread. */
enum interrupt interrupt_of(pid_t tid);

#endif
