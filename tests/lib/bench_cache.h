/* bench_cache.h: directories of 1,000 and of 100,000 files, and what reading costs in requests to the daemon and in quorum rounds. */
#ifndef TALLY_TESTS_LIB_BENCH_CACHE_H
#define TALLY_TESTS_LIB_BENCH_CACHE_H

/* Measures on clusters of its own, prints, notes the floors. Returns how many cases could not be measured. */
unsigned bench_cache_run(void);

#endif
