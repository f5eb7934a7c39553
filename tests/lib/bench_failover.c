#include "tests/lib/bench_failover.h"
#include "tests/lib/bench_report.h"
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES 3
#define ROUNDS 5u
#define FAILOVER_SECONDS_MAX 20.0

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Seconds from the kill to the first write that another mount accepts; NAN when none did in time. */
static double kill_leader(struct cluster *c, unsigned round)
{
	int leader = cluster_leader(c);
	int other = (leader + 1 + (int)(round % 2)) % NODES;
	const char *name = path("%s/failover-%u", c->nodes[other].mount, round);
	if (file_write(name, "before") != 0)
		cluster_fail("%s cannot be written before the leader is killed", name);
	double start = now_seconds(), took;
	kill(c->nodes[leader].pid, SIGKILL);
	int error;
	do {
		error = file_write(name, "after");
		took = now_seconds() - start;
	} while (error && took < FAILOVER_SECONDS_MAX);
	node_kill(c, leader); /* collects it */
	fprintf(stderr, "bench: failover round %u: %.3f s\n", round + 1, took);
	node_start(c, leader);
	cluster_leader(c);
	cluster_agree(c);
	return error ? NAN : took;
}

unsigned bench_failover_run(void)
{
	double took[ROUNDS];
	unsigned failed = 0, done = 0;
	struct cluster *c = cluster_up(NODES, NULL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		double seconds = kill_leader(c, i);
		if (isnan(seconds))
			failed++;
		else
			took[done++] = seconds;
	}
	qsort(took, done, sizeof(took[0]), compare);
	double median = done ? took[done / 2] : NAN, most = failed || !done ? NAN : took[done - 1];
	bench_report_line("bench failover_s median=%.3f max=%.3f bound=1.5 rounds=%u failed=%u", median, most, ROUNDS, failed);
	bench_floor_most("failover_s", most, 1.5);
	return failed + (cluster_teardown(NULL) != 0);
}
