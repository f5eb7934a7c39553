/* bench_limits.h: what the machine itself allows, measured beside the thing that is measured. */
#ifndef TALLY_TESTS_BENCH_LIMITS_H
#define TALLY_TESTS_BENCH_LIMITS_H

#include "tests/lib/bench_load.h"

#include <sys/types.h>

/* fdatasync of one 4 KiB append, `count` times, to a new file in `dir`, removed afterwards. Adds the latency of append and sync to `r`.
 * 0 or a negative errno. */
int bench_limit_sync(const char *dir, unsigned count, struct bench_result *r);

/* A process that sends back each message it gets, over a pair of PUSH and PULL sockets on loopback TCP, as two members are joined. */
struct bench_echo {
	pid_t pid;
	int push;
	int pull;
};

/* Forks; call before this process uses nanomsg or starts threads. 0 or a negative errno. */
int bench_echo_start(struct bench_echo *e);
/* `count` round trips of 64 bytes; adds their latency to `r`. 0, or -EIO when the other side is gone. */
int bench_limit_round_trip(struct bench_echo *e, unsigned count, struct bench_result *r);
/* Fine on a zeroed or failed one too. */
void bench_echo_stop(struct bench_echo *e);

/* The empty file system, a process of its own. */
struct bench_empty {
	pid_t pid;
	char mount[256];
};

/* Starts `program` (emptyfs) on `mount`, which is made, and waits until it serves. 0 or a negative errno. */
int bench_empty_start(const char *program, const char *mount, struct bench_empty *e);
void bench_empty_stop(struct bench_empty *e);

#endif
