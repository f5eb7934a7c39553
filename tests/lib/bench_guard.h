/* bench_guard.h: nothing outlives a measurement, however it ends.
 *
 * The work runs in a child, in a mount namespace of its own and below a temporary directory. Its parent waits for it, passes on SIGINT
 * and SIGTERM, and then ends every process that is left of it (they all become its children), unmounts what is left below
 * the directory and removes it. */
#ifndef TALLY_TESTS_BENCH_GUARD_H
#define TALLY_TESTS_BENCH_GUARD_H

#define BENCH_GUARD_INTERRUPTED 130

/* Runs work(root) that way, `root` being a new directory below $TMPDIR or /tmp, and TMPDIR for the work; `seconds_max` is the longest that it may take. Returns the
 * exit status of the work: what it returned, 124 if it took too long, BENCH_GUARD_INTERRUPTED, 125 if it died or could not begin. */
int bench_guard_run(int (*work)(const char *root), unsigned seconds_max);

#endif
