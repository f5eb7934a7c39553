/* bench_load.h: a load on a mounted file system: client threads that each repeat one operation for a fixed time.
 *
 * The tree below a mount is made once by bench_load_prepare: dbench/dNN/fNNN (each client's own files of 256 bytes) and dbench/dlist
 * (1,000 entries). A client holds its directory open and names files relative to it, so an operation walks a single name: the smallest
 * number of requests that a file system which caches nothing has to answer. */
#ifndef TALLY_TESTS_BENCH_LOAD_H
#define TALLY_TESTS_BENCH_LOAD_H

#include <stdint.h>

#define BENCH_CLIENTS_MAX 64u
#define BENCH_FILES 100u /* of each client */
#define BENCH_FILE_BYTES 256u
#define BENCH_LIST_ENTRIES 1000u

enum bench_op { BENCH_READ, BENCH_CREATE, BENCH_OVERWRITE, BENCH_STAT, BENCH_READDIR };

/* Latencies in classes that are at most 1/64 wide; 2^35 ns and more are in the last one. */
#define BENCH_CLASSES (64u * 30u)

/* What one or several runs measured; zeroed it is empty, and each run adds to it. */
struct bench_result {
	uint64_t ops;
	double seconds;
	uint64_t classes[BENCH_CLASSES];
};

void bench_result_record(struct bench_result *r, int64_t ns);
double bench_result_rate(const struct bench_result *r);
/* The latency that `part` (0 to 1) of the operations did not exceed, in microseconds; 0 when there were none. */
double bench_result_us(const struct bench_result *r, double part);

/* Makes the tree for all clients. 0 or a negative errno. */
int bench_load_prepare(const char *mount);
/* Runs the operation and adds to `r`. A short time at the start is not counted. Stops at the first operation that fails: its negative
 * errno (-EBADMSG: a read or listing of the wrong size). */
int bench_load_run(const char *mount, enum bench_op op, unsigned clients, double seconds, struct bench_result *r);

#endif
