#include "tests/lib/bench_snapshot.h"
#include "tests/lib/bench_report.h"
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MIB 8u
#define QUIET_SECONDS 5.0
#define LATENCIES_MAX 1000000u
#define TRANSFER_MS_MAX 300000

/* One writer of small files on the leader, and how long each write took. */
struct writing {
	const char *mount;
	pthread_t thread;
	atomic_bool over;
	unsigned count;
	double *took;
};

static void *keep_writing(void *arg)
{
	struct writing *w = arg;
	while (!atomic_load(&w->over) && w->count < LATENCIES_MAX) {
		double began = now_seconds();
		if (file_write(path("%s/small%u", w->mount, w->count % 1000), "a small value") == 0)
			w->took[w->count++] = now_seconds() - began;
	}
	return NULL;
}

static void writing_start(struct writing *w, const char *mount)
{
	*w = (struct writing){.mount = mount, .took = malloc(LATENCIES_MAX * sizeof(double))};
	if (!w->took || pthread_create(&w->thread, NULL, keep_writing, w) != 0)
		abort();
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Ends it; the 99th percentile in microseconds. */
static double writing_end(struct writing *w)
{
	atomic_store(&w->over, true);
	pthread_join(w->thread, NULL);
	qsort(w->took, w->count, sizeof(w->took[0]), compare);
	double p99 = w->count ? w->took[w->count - 1 - w->count / 100] * 1e6 : NAN;
	free(w->took);
	return p99;
}

static double quiet_p99(const char *mount)
{
	struct writing w;
	const struct timespec nap = {.tv_nsec = 10000000};
	writing_start(&w, mount);
	for (double began = now_seconds(); now_seconds() - began < QUIET_SECONDS;)
		nanosleep(&nap, NULL);
	return writing_end(&w);
}

static void write_much(const char *mount, unsigned mib)
{
	size_t size = FILE_MIB << 20;
	uint64_t *content = malloc(size);
	uint64_t x = 88172645463325252u;
	for (unsigned n = 0; n < mib / FILE_MIB; n++) {
		for (size_t i = 0; i < size / 8; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			content[i] = x;
		}
		if (file_put(path("%s/large%u", mount, n), O_TRUNC, content, size) < 0)
			cluster_fail("large%u cannot be written", n);
	}
	free(content);
}

struct asked {
	const struct cluster *c;
	int node;
	off_t bytes;
};

static bool is_in_place(void *ctx)
{
	const struct asked *a = ctx;
	size_t size;
	char *log = file_load(a->c->nodes[a->node].log, &size);
	bool in_place = log && strstr(log, "a snapshot is in place");
	free(log);
	return in_place;
}

static bool has_part(void *ctx)
{
	const struct asked *a = ctx;
	struct stat st;
	return stat(path("%s/store.new/data.mdb", a->c->nodes[a->node].data), &st) == 0 && st.st_size >= a->bytes;
}

static double resumed_from_mib(const struct cluster *c, int node)
{
	size_t size;
	unsigned long long from = 0;
	char *log = file_load(c->nodes[node].log, &size);
	for (char *at = log; at && (at = strstr(at, "taking a snapshot")); at++)
		sscanf(at, "taking a snapshot as of entry %*u, about %*u bytes, from %llu", &from);
	free(log);
	return (double)from / (1 << 20);
}

/* Seconds until the follower, which was away, has all. With `kill`, it dies halfway. */
static double catch_up(struct cluster *c, int away, unsigned mib, bool kill)
{
	struct asked a = {c, away, (off_t)mib << 19};
	unlink(c->nodes[away].log);
	double began = now_seconds();
	node_start(c, away);
	if (kill) {
		if (!wait_until(has_part, &a, TRANSFER_MS_MAX))
			return NAN;
		node_kill(c, away);
		node_start(c, away);
	}
	if (!wait_until(is_in_place, &a, TRANSFER_MS_MAX))
		return NAN;
	return now_seconds() - began;
}

/* What a follower that is away lacks. */
static void leave_behind(struct cluster *c, int away, int leader, unsigned mib)
{
	cluster_agree(c);
	node_kill(c, away);
	write_much(c->nodes[leader].mount, mib);
}

unsigned bench_snapshot_run(unsigned mib)
{
	struct cluster *c = cluster_up(3, NULL);
	struct writing w;
	int leader = cluster_leader(c), away = (leader + 1) % 3;
	leave_behind(c, away, leader, mib);
	double without = quiet_p99(c->nodes[leader].mount);
	writing_start(&w, c->nodes[leader].mount);
	double seconds = catch_up(c, away, mib, false);
	double with = writing_end(&w);
	bench_report_line(
		"bench snapshot_%u seconds=%.1f mib_per_s=%.1f write_p99_us_without=%.0f write_p99_us_with=%.0f ratio=%.2f bound=3", mib,
		seconds, mib / seconds, without, with, with / without);
	bench_floor_most("snapshot_write_p99_ratio", with / without, 3);
	leave_behind(c, away, leader, mib);
	double killed = catch_up(c, away, mib, true);
	bench_report_line("bench snapshot_killed_%u seconds=%.1f resumed_from_mib=%.1f", 2 * mib, killed, resumed_from_mib(c, away));
	cluster_agree(c);
	return isnan(seconds) + isnan(killed) + (cluster_teardown(NULL) != 0);
}
