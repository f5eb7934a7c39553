/* bench_compaction.h: what compaction does to those who write meanwhile, and what a long run does to memory and disk. */
#ifndef TALLY_TESTS_BENCH_COMPACTION_H
#define TALLY_TESTS_BENCH_COMPACTION_H

/* A store with `versions` versions of a tenth as many keys; overwrites by 8 clients, for `seconds` without compaction, then while nine tenths of the
 * versions are compacted. Returns how much could not be measured. */
unsigned bench_compaction_run(unsigned versions, double seconds);
/* Overwrites, and savers that rename, for so long, under retain=20000: a line now and then, and whether memory and disk grew from the first quarter
 * to the end. */
unsigned bench_soak_run(double minutes);

#endif
