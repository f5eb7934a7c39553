/* logs.h: a log on a mount: "log" in the test's directory (shape.h), which is appended to and rotated here, and followed there by tail(1). One tail runs at a time.
 * The functions fail the running test. Main thread. */
#ifndef TALLY_TESTS_LIB_LOGS_H
#define TALLY_TESTS_LIB_LOGS_H

#define LOGS_WAIT_MS 20000

void log_append(const char *text);
/* logrotate(8), with these lines of its configuration, of which the last three are kept. */
void log_rotate(const char *how);

/* `tail option -n lines`. */
void tail_begin(const char *option, const char *lines);
/* Waits until it has the log open and stands at this offset. */
void tail_wait_at(int offset);
/* SIGTERM; its exit status. 0 if none runs. */
int tail_end(void);
/* The teardown of tests that follow. */
int tail_teardown(void **state);
/* Soon it has printed this and no more, its complaints included. */
void tail_expect(const char *text);
/* Of its complaints one, between what it printed before and after. */
const char *tail_said(const char *before, const char *what, const char *after);
/* The same without its complaints: of what it says about the change of files, the words differ with the moment at which it looks. */
void tail_expect_lines(const char *text);
/* Among its complaints is this. */
void tail_expect_said(const char *what);

#endif
