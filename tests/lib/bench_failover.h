/* bench_failover.h: how long a cluster of three cannot be written after its leader is killed. */
#ifndef TALLY_TESTS_BENCH_FAILOVER_H
#define TALLY_TESTS_BENCH_FAILOVER_H

/* Kills the leader a few times, each time from a quiet cluster of three, prints, notes the floor. Returns how many rounds failed. */
unsigned bench_failover_run(void);

#endif
