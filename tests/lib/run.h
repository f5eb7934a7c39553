/* run.h: running a program as a user would, and looking at what it said. Main thread or any other; nothing here fails a test. */
#ifndef TALLY_TESTS_LIB_RUN_H
#define TALLY_TESTS_LIB_RUN_H

#include <stdbool.h>
#include <stddef.h>

struct run_result {
	int status;     /* exit status; 128 + n if signal n ended it; -1 if it was still running at the limit (it is killed then) */
	double seconds; /* how long it took */
	char *out;      /* standard output, NUL-terminated */
	size_t out_size;
	char *err; /* standard error, NUL-terminated */
	size_t err_size;
};

/* Runs argv (NULL-terminated; argv[0] is looked up in PATH) with `input` on stdin, for at most limit_ms. End the result with run_done. */
void run_command(struct run_result *r, const char *const argv[], const void *input, size_t input_size, int limit_ms);
/* The same with `sh -c script`, within 30 s; the script is a printf format. */
void run_shell(struct run_result *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void run_done(struct run_result *r);

/* Starts a program and does not wait: stdout and stderr go to the end of the file `log`. It dies with the thread that called. Returns its
 * pid or a negative errno. */
int run_spawn(const char *const argv[], const char *log);
/* Waits for a child for at most limit_ms. True with its status (as in struct run_result) once it has ended. */
bool run_wait(int pid, int limit_ms, int *status);

/* Calls condition(ctx) every few milliseconds until it is true or limit_ms is over; returns what it said last. */
bool wait_until(bool (*condition)(void *ctx), void *ctx, int limit_ms);
/* Seconds of the monotonic clock. */
double now_seconds(void);
/* A line of the test's report: run.sh shows it. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
