#include "tests/lib/bench_cases.h"
#include "tests/lib/bench_report.h"
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NODES 3
#define CASES_MAX 2
/* Each case is measured in slices, in turn with its limits, so that whatever else the machine does falls on all alike. */
#define SLICES 8
#define SYNCS 50u /* in a slice */
#define ROUND_TRIPS 500u

enum place { ON_LEADER, ON_FOLLOWER };

struct bench_case {
	const char *name;
	enum place place;
};

/* Cases of one operation share a limit. */
struct group {
	const char *consistency;
	enum bench_op op;
	const char *limit;
	struct bench_case cases[CASES_MAX];
};

static const struct group groups[] = {
	{"serial", BENCH_READ, "read", {{"read_serial_leader", ON_LEADER}, {"read_serial_follower", ON_FOLLOWER}}},
	{"serial", BENCH_STAT, "stat", {{"stat_serial", ON_LEADER}}},
	{"serial", BENCH_READDIR, "readdir_1000", {{"readdir_1000_serial", ON_LEADER}}},
	{"linearizable", BENCH_READ, "read", {{"read_linearizable_leader", ON_LEADER}, {"read_linearizable_follower", ON_FOLLOWER}}},
	{"linearizable", BENCH_CREATE, "create", {{"create", ON_LEADER}, {"create_follower", ON_FOLLOWER}}},
	{"linearizable", BENCH_OVERWRITE, "overwrite", {{"overwrite", ON_LEADER}, {"overwrite_follower", ON_FOLLOWER}}},
	{"linearizable", BENCH_STAT, "stat", {{"stat", ON_LEADER}, {"stat_follower", ON_FOLLOWER}}},
	{"linearizable", BENCH_READDIR, "readdir_1000", {{"readdir_1000", ON_LEADER}, {"readdir_1000_follower", ON_FOLLOWER}}},
};

/* One group at one number of clients. */
struct measured {
	struct bench_result cases[CASES_MAX];
	int errors[CASES_MAX];
	struct bench_result empty;
	struct bench_result sync;
	struct bench_result round_trip;
};

/* Every floor on a rate, as a part of the empty file system's, on the leader's mount. */
static const struct {
	const char *name;
	unsigned clients; /* 0: each */
	double ratio;
} floors[] = {
	{"read_serial_leader", 0, 0.6},          {"read_serial_follower", 0, 0.6}, {"read_linearizable_leader", 64, 0.3},
	{"read_linearizable_follower", 64, 0.3}, {"overwrite", 64, 0.15},
};

static void note_ratio(const char *name, unsigned clients, double ratio)
{
	for (size_t i = 0; i < sizeof(floors) / sizeof(floors[0]); i++)
		if (strcmp(floors[i].name, name) == 0 && (floors[i].clients == 0 || floors[i].clients == clients))
			bench_floor_least(path("%s_%u_ratio", name, clients), ratio, floors[i].ratio);
}

/* The two floors on one client's latency. */
static void note_latency(const char *name, double p50_us, const struct measured *g)
{
	double empty = bench_result_us(&g->empty, 0.5);
	double round_trip = bench_result_us(&g->round_trip, 0.5);
	double sync = bench_result_us(&g->sync, 0.5);
	if (strcmp(name, "read_linearizable_leader") == 0)
		bench_floor_most("read_linearizable_leader_1_p50_us", p50_us, 1.5 * (empty + round_trip));
	if (strcmp(name, "overwrite") == 0)
		bench_floor_most("overwrite_1_p50_us", p50_us, 2 * (empty + sync + round_trip));
}

static unsigned report(const struct group *g, unsigned clients, const struct measured *r)
{
	unsigned failed = 0;
	bench_report_limit(path("emptyfs_%s", g->limit), clients, &r->empty);
	if (clients == 1) {
		bench_report_limit("fdatasync_4k", 1, &r->sync);
		bench_report_limit("nanomsg_round_trip", 1, &r->round_trip);
	}
	for (unsigned i = 0; i < CASES_MAX && g->cases[i].name; i++) {
		const char *name = g->cases[i].name;
		double ratio = NAN, p50_us = NAN; /* what could not be measured misses its floor */
		if (r->errors[i]) {
			failed++;
			bench_report_line("bench %s clients=%u failed: %s", name, clients, strerror(-r->errors[i]));
		} else {
			ratio = bench_report_case(name, clients, &r->cases[i], &r->empty);
			p50_us = bench_result_us(&r->cases[i], 0.5);
		}
		note_ratio(name, clients, ratio);
		if (clients == 1)
			note_latency(name, p50_us, r);
	}
	return failed;
}

static int measure_limits(struct bench_machine *m, const struct group *g, unsigned clients, struct measured *r)
{
	int error = bench_load_run(m->empty.mount, g->op, clients, m->seconds / SLICES, &r->empty);
	if (!error && clients == 1)
		error = bench_limit_sync(m->root, SYNCS, &r->sync);
	if (!error && clients == 1)
		error = bench_limit_round_trip(&m->echo, ROUND_TRIPS, &r->round_trip);
	if (error)
		fprintf(stderr, "bench: limit %s clients=%u: %s\n", g->limit, clients, strerror(-error));
	return error;
}

static void measure_cases(struct bench_machine *m, struct cluster *c, const struct group *g, unsigned clients, struct measured *r)
{
	for (unsigned i = 0; i < CASES_MAX && g->cases[i].name; i++) {
		if (r->errors[i])
			continue;
		int leader = cluster_leader(c);
		int node = g->cases[i].place == ON_LEADER ? leader : (leader + 1) % NODES;
		r->errors[i] = bench_load_run(c->nodes[node].mount, g->op, clients, m->seconds / SLICES, &r->cases[i]);
	}
}

static unsigned run_group(struct bench_machine *m, struct cluster *c, const struct group *g, unsigned clients)
{
	static struct measured r;
	unsigned failed = 0;
	memset(&r, 0, sizeof(r));
	for (unsigned slice = 0; slice < SLICES && !failed; slice++) {
		failed = measure_limits(m, g, clients, &r) != 0;
		measure_cases(m, c, g, clients, &r);
	}
	return failed + report(g, clients, &r);
}

unsigned bench_cases_run(struct bench_machine *m, const char *consistency)
{
	static const unsigned clients[] = {1, 8, BENCH_CLIENTS_MAX};
	unsigned failed = 0;
	struct cluster *c = cluster_up(NODES, path("consistency=%s", consistency));
	int error = bench_load_prepare(c->nodes[cluster_leader(c)].mount);
	if (error)
		cluster_fail("the files could not be made: %s", strerror(-error));
	cluster_agree(c);
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (size_t i = 0; i < 3 && strcmp(groups[g].consistency, consistency) == 0; i++)
			failed += run_group(m, c, &groups[g], clients[i]);
	return failed + (cluster_teardown(NULL) != 0);
}
