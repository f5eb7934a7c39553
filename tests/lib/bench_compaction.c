#include "tests/lib/bench_compaction.h"

#include "tests/lib/bench_keys.h"
#include "tests/lib/bench_report.h"
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <stdio.h>
#include <string.h>

#define CLIENTS 8u
#define ROUNDS 10u
#define PIECE_SECONDS 1.0
#define COMPACTION_SECONDS_MAX 200.0
#define SOAK_PIECE_SECONDS 9.0
#define SAVES 500

static void compact_now(struct cluster *c, uint64_t revision)
{
	struct run_result r;
	tallyctl(c, 0, &r, "compact", path("%llu", (unsigned long long)revision), NULL);
	if (r.status != 0)
		cluster_fail("compact: %s", r.err);
	run_done(&r);
}

/* Load in pieces until the deleting is over; how long that took. */
static double load_meanwhile(struct cluster *c, uint64_t revision, struct bench_result *r)
{
	double begin = now_seconds();
	do {
		int error = bench_load_run(c->nodes[0].mount, BENCH_OVERWRITE, CLIENTS, PIECE_SECONDS, r);
		if (error)
			cluster_fail("the load failed: %s", strerror(-error));
	} while (node_number(c, 0, "deleted_revision") < revision && now_seconds() - begin < COMPACTION_SECONDS_MAX);
	return now_seconds() - begin;
}

unsigned bench_compaction_run(unsigned versions, double seconds)
{
	struct cluster *c = cluster_up(1, NULL);
	struct bench_result without = {0}, with = {0};
	for (unsigned round = 0; round < ROUNDS; round++)
		bench_keys_load(c, versions / ROUNDS);
	int error = bench_load_prepare(c->nodes[0].mount);
	if (!error)
		error = bench_load_run(c->nodes[0].mount, BENCH_OVERWRITE, CLIENTS, seconds, &without);
	if (error)
		cluster_fail("the load failed: %s", strerror(-error));
	uint64_t revision = node_number(c, 0, "revision");
	compact_now(c, revision);
	double took = load_meanwhile(c, revision, &with);
	double ratio = bench_result_us(&with, 0.99) / bench_result_us(&without, 0.99);
	bool over = node_number(c, 0, "deleted_revision") >= revision;
	bench_report_line("bench compaction_%u clients=%u seconds=%.1f p50_us=%.0f p50_meanwhile_us=%.0f p99_us=%.0f p99_meanwhile_us=%.0f "
			  "ratio=%.2f",
			  versions / ROUNDS * (ROUNDS - 1), CLIENTS, took, bench_result_us(&without, 0.5), bench_result_us(&with, 0.5),
			  bench_result_us(&without, 0.99), bench_result_us(&with, 0.99), ratio);
	bench_floor_most("compaction_p99_ratio", ratio, 2);
	return !over + (cluster_teardown(NULL) != 0);
}

/* --- the long run --- */

static void save_by_renaming(struct cluster *c, unsigned turn)
{
	const char *m = c->nodes[0].mount;
	for (int i = 0; i < SAVES; i++) {
		const char *made = path("%s/.save.%u.%d", m, turn, i);
		int error = file_write(made, "what an editor saves");
		if (error || rename(made, path("%s/saved%d", m, i % 50)) != 0)
			cluster_fail("a save failed");
	}
}

struct footprint {
	double mb;
	double db_mb;
};

static struct footprint look(struct cluster *c, double minutes, const struct bench_result *r)
{
	struct footprint f = {bench_keys_anonymous_mb(c), (double)node_number(c, 0, "db_bytes") / 1e6};
	bench_report_line("bench soak minutes=%.1f ops=%llu revision=%llu compact_revision=%llu keys=%llu anonymous_mb=%.1f db_mb=%.1f "
			  "used_mb=%.1f wal_mb=%.1f",
			  minutes, (unsigned long long)r->ops, (unsigned long long)node_number(c, 0, "revision"),
			  (unsigned long long)node_number(c, 0, "compact_revision"), (unsigned long long)node_number(c, 0, "keys"), f.mb,
			  f.db_mb, (double)node_number(c, 0, "used_bytes") / 1e6, (double)node_number(c, 0, "wal_bytes") / 1e6);
	return f;
}

unsigned bench_soak_run(double minutes)
{
	struct cluster *c = cluster_up(1, "retain=20000");
	struct bench_result all = {0};
	struct footprint early = {0}, now = {0};
	double begin = now_seconds();
	int error = bench_load_prepare(c->nodes[0].mount);
	for (unsigned turn = 0; !error && now_seconds() - begin < minutes * 60; turn++) {
		error = bench_load_run(c->nodes[0].mount, BENCH_OVERWRITE, CLIENTS, SOAK_PIECE_SECONDS, &all);
		save_by_renaming(c, turn);
		double passed = (now_seconds() - begin) / 60;
		now = look(c, passed, &all);
		if (early.mb == 0 && passed >= minutes / 4)
			early = now;
	}
	if (error)
		cluster_fail("the load failed: %s", strerror(-error));
	bench_floor_most("soak_anonymous_growth", now.mb / early.mb, 1.2);
	bench_floor_most("soak_db_growth", now.db_mb / early.db_mb, 1.2);
	return cluster_teardown(NULL) != 0;
}
