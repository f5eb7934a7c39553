/* bench_inotify.h: from a change on one of three nodes to the inotify event on another. Returns how much could not be measured. */
#ifndef TALLY_TESTS_BENCH_INOTIFY_H
#define TALLY_TESTS_BENCH_INOTIFY_H

unsigned bench_inotify_run(void);

#endif
