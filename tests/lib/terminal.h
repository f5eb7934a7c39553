/* terminal.h: a program on a terminal of its own, with somebody who types and looks: what editors need. One thread uses a terminal.
 *
 * Nothing is drawn: what the program sent, its escape sequences included, is kept and searched as text. The terminal is a vt100 of 24 lines, which
 * programs ask nothing of. Whoever types first waits for what shows that the program reads. */
#ifndef TALLY_TESTS_LIB_TERMINAL_H
#define TALLY_TESTS_LIB_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

struct terminal {
	int pid;
	int fd;
	char *text; /* all that it sent, NUL-terminated */
	size_t size;
	size_t capacity;
	size_t seen; /* terminal_shows looks behind this */
};

/* Starts argv in the directory, with HOME as given. 0 or a negative errno. */
int terminal_start(struct terminal *t, const char *directory, const char *home, const char *const argv[]);
/* Sends the keys as they are. */
bool terminal_type(struct terminal *t, const char *keys);
/* Waits until `text` comes, or came after what was waited for last. */
bool terminal_shows(struct terminal *t, const char *text, int limit_ms);
/* Waits until condition(ctx) is true, and meanwhile takes what the program sends. */
bool terminal_until(struct terminal *t, bool (*condition)(void *ctx), void *ctx, int limit_ms);
/* Waits for its end: its exit status, as struct run_result has it. Past the limit it is killed, and the status is -1. Ends the terminal. */
int terminal_end(struct terminal *t, int limit_ms);
/* The same, and at once. For what failed. */
void terminal_drop(struct terminal *t);

#endif
