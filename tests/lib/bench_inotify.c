#include "tests/lib/bench_inotify.h"
#include "tests/lib/bench_report.h"
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define NODES 3
#define ROUNDS 2000u
#define EVENT_MS_MAX 2000

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double event_ms(const char *there, int watch, unsigned round)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct pollfd p = {.fd = watch, .events = POLLIN};
	double start = now_seconds();
	if (file_write(there, round % 2 ? "even\n" : "odd\n") != 0 || poll(&p, 1, EVENT_MS_MAX) != 1 ||
	    read(watch, events, sizeof(events)) < 0)
		return NAN;
	return (now_seconds() - start) * 1e3;
}

unsigned bench_inotify_run(void)
{
	static double took[ROUNDS];
	unsigned done = 0, failed = 0;
	struct cluster *c = cluster_up(NODES, "inotify");
	const char *here = path("%s/f", c->nodes[0].mount);
	char there[160];
	snprintf(there, sizeof(there), "%s/f", c->nodes[1].mount);
	if (file_write(there, "first\n") != 0 || !file_is(here, "first\n"))
		cluster_fail("%s cannot be read", here);
	int watch = inotify_init1(IN_CLOEXEC);
	if (watch < 0 || inotify_add_watch(watch, here, IN_CLOSE_WRITE) < 0)
		cluster_fail("%s cannot be watched", here);
	for (unsigned i = 0; i < ROUNDS && failed == 0; i++) {
		double ms = event_ms(there, watch, i);
		if (isnan(ms))
			failed++;
		else
			took[done++] = ms;
	}
	close(watch);
	qsort(took, done, sizeof(took[0]), compare);
	double median = done ? took[done / 2] : NAN, p99 = done && !failed ? took[done * 99 / 100] : NAN;
	bench_report_line("bench inotify_event_ms median=%.3f p99=%.3f bound=100 events=%u failed=%u", median, p99, done, failed);
	bench_floor_most("inotify_event_p99_ms", p99, 100);
	return failed + (cluster_teardown(NULL) != 0);
}
