/* bench_snapshot.h: a follower that was away while `mib` MiB were written gets a snapshot: how long that takes, what it does to small writes on the
 * leader meanwhile, and where it goes on after a kill in the middle. Returns how much could not be measured. */
#ifndef TALLY_TESTS_BENCH_SNAPSHOT_H
#define TALLY_TESTS_BENCH_SNAPSHOT_H

unsigned bench_snapshot_run(unsigned mib);

#endif
