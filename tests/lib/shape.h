/* shape.h: the clusters on which real programs are tried: one node and three, linearizable and serial. All tests of a program's list run on one cluster of a
 * shape, each in a directory of its own; it is started by the first, and ended (cluster_teardown) behind the last.
 *
 * A program works here, on the first node, and what it did is looked at there: on the last one, which is the same one if there is one only. A linearizable
 * mount is to show it at once, a serial one soon. The functions fail the running test. Main thread, unless it says otherwise. */
#ifndef TALLY_TESTS_LIB_SHAPE_H
#define TALLY_TESTS_LIB_SHAPE_H

#include "tests/lib/cluster.h"

#define SHAPE_WAIT_MS 10000

/* Runs the tests on each shape (on three nodes only where sanitizers make them slow): how many groups of tests failed. To be the end of main(). */
int shape_run(const struct CMUnitTest *tests, size_t count);

struct cluster *shape_cluster(void);
/* A new directory for a test, below the root of the mounts, which here() and there() lead into from now on. */
void shape_enter(const char *name);
/* Paths below it, in buffers of path() (files.h). Any thread, once it is made. */
const char *here(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *there(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool shape_serial(void);

/* Runs `sh -c script` in the test's directory here, with HERE and THERE set to its two paths, BESIDE to a directory outside of the mounts, and HOME to
 * one below the mount. Fails unless it exits with `status`, and prints `output` (NULL: anything). */
void shell(int status, const char *output, const char *script);
/* Both nodes show all that was done on either. On a linearizable mount nothing is waited for. */
void shape_settle(void);
/* The file holds this, here and there. */
void expect_file(const char *name, const char *text);
void expect_gone(const char *name);
/* `stat -c format` of it, here and there. */
void expect_stat(const char *name, const char *format, const char *output);
/* What NAME@ shows there, oldest first: these contents and no others, of which each may be there several times in a row (its attributes changed), but all in
 * at most `revisions`. NULL-terminated. */
void expect_versions(const char *name, int revisions, ...) __attribute__((sentinel));

#endif
