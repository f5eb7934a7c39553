/* bench_keys.h: what a million keys cost a node: its memory, and the time that it takes to start. */
#ifndef TALLY_TESTS_BENCH_KEYS_H
#define TALLY_TESTS_BENCH_KEYS_H

/* Loads `count` keys of 32 bytes with values of 256 into a cluster of one, restarts it after a clean end and after SIGKILL, prints, notes the
 * floors (of a million). Returns how many steps failed. */
unsigned bench_keys_run(unsigned count);

struct cluster;
/* Puts keys 0 to count - 1 of 32 bytes with values of 256, through the first node's local endpoint, 1,000 in one revision. */
void bench_keys_load(struct cluster *c, unsigned count);
/* RssAnon of the first node, in MB of 10^6 bytes. */
double bench_keys_anonymous_mb(const struct cluster *c);

#endif
