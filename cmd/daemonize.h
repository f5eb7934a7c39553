/* daemonize.h: into the background, with one clear answer to who started the daemon: it is ready, or the line that says why not. */
#ifndef TALLY_CMD_DAEMONIZE_H
#define TALLY_CMD_DAEMONIZE_H

#include <stdbool.h>

struct daemonize {
	int pipe; /* to the waiting parent; -1 in the foreground */
};

/* Forks, unless `foreground`; call before any thread is made. Returns in the child alone; the parent waits for one of the two calls below
 * and exits 0 or 1. Exits if there can be no child. */
void daemonize_start(struct daemonize *d, bool foreground);
/* The service answers. Lets go of the terminal. Any thread. */
void daemonize_ready(struct daemonize *d);
/* Prints "tallyfs: " and the line, on the terminal of who started the daemon, who then exits 1. Nothing after daemonize_ready. */
void daemonize_failed(struct daemonize *d, const char *line);

#endif
