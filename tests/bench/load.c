/* load: the load generator by hand: load DIR, on a directory of any file system. BENCH_SECONDS is the time of each case. */
#include "tests/lib/bench_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	enum bench_op op;
	const char *name;
} operations[] = {
	{BENCH_READ, "read"}, {BENCH_CREATE, "create"},        {BENCH_OVERWRITE, "overwrite"},
	{BENCH_STAT, "stat"}, {BENCH_READDIR, "readdir_1000"},
};

static int run(const char *mount, unsigned op, unsigned clients, double seconds)
{
	static struct bench_result r;
	memset(&r, 0, sizeof(r));
	int error = bench_load_run(mount, operations[op].op, clients, seconds, &r);
	if (error) {
		fprintf(stderr, "load: %s clients=%u: %s\n", operations[op].name, clients, strerror(-error));
		return 1;
	}
	printf("load %s clients=%u ops_per_s=%.0f p50_us=%.1f p99_us=%.1f\n", operations[op].name, clients, bench_result_rate(&r),
	       bench_result_us(&r, 0.5), bench_result_us(&r, 0.99));
	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	static const unsigned clients[] = {1, 8, BENCH_CLIENTS_MAX};
	const char *setting = getenv("BENCH_SECONDS");
	double seconds = setting ? strtod(setting, NULL) : 2;
	if (argc != 2 || !(seconds > 0)) {
		fprintf(stderr, "usage: [BENCH_SECONDS=2] load DIR\n");
		return 2;
	}
	int error = bench_load_prepare(argv[1]);
	if (error) {
		fprintf(stderr, "load: %s: %s\n", argv[1], strerror(-error));
		return 1;
	}
	int rc = 0;
	for (unsigned op = 0; op < sizeof(operations) / sizeof(operations[0]); op++)
		for (unsigned i = 0; i < sizeof(clients) / sizeof(clients[0]); i++)
			rc |= run(argv[1], op, clients[i], seconds);
	return rc;
}
