/* bench: the program behind `make bench`: bench [serial|linearizable|failover|inotify|cache|keys|snapshot|compaction|soak]..., all but the last without an
 * argument.
 *
 * For every case one line, `bench NAME ...`, for what the machine allows `limit NAME ...`, and then `floor NAME value=X bound=X
 * met|MISSED`. A floor that is missed is a result, not a failure: the exit status is 0 when everything could be measured.
 * BENCH_SECONDS is the time of each case (2), BENCH_KEYS the number of keys (1000000), BENCH_VERSIONS that of versions (1000000), SOAK_MINUTES the
 * length of the long run (2), BENCH_SNAPSHOT_MIB the size of a snapshot (1024). */
#include "tests/lib/bench_cache.h"
#include "tests/lib/bench_cases.h"
#include "tests/lib/bench_compaction.h"
#include "tests/lib/bench_failover.h"
#include "tests/lib/bench_guard.h"
#include "tests/lib/bench_inotify.h"
#include "tests/lib/bench_keys.h"
#include "tests/lib/bench_report.h"
#include "tests/lib/bench_snapshot.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART_SECONDS_MAX 400u

static double setting(const char *name, double value)
{
	const char *text = getenv(name);
	double given = text ? strtod(text, NULL) : 0;
	return given > 0 ? given : value;
}

/* emptyfs, beside this program. */
static const char *empty_program(void)
{
	static char out[PATH_MAX + 16];
	ssize_t length = readlink("/proc/self/exe", out, PATH_MAX - 1);
	while (length > 0 && out[length - 1] != '/')
		length--;
	snprintf(out + (length > 0 ? length : 0), 16, "emptyfs");
	return out;
}

static int end_part(unsigned failed)
{
	bench_floors_print();
	return failed != 0;
}

static int work_cases(const char *root, const char *consistency)
{
	struct bench_machine m = {.root = root, .seconds = setting("BENCH_SECONDS", 2)};
	char mount[256];
	unsigned failed = 1;
	snprintf(mount, sizeof(mount), "%s/empty", root);
	int error = bench_echo_start(&m.echo);
	if (!error)
		error = bench_empty_start(empty_program(), mount, &m.empty);
	if (error)
		fprintf(stderr, "bench: the limits cannot be measured: %s\n", strerror(-error));
	else
		failed = bench_cases_run(&m, consistency);
	bench_empty_stop(&m.empty);
	bench_echo_stop(&m.echo);
	return end_part(failed);
}

static int work_serial(const char *root)
{
	return work_cases(root, "serial");
}

static int work_linearizable(const char *root)
{
	return work_cases(root, "linearizable");
}

static int work_failover(const char *root)
{
	(void)root;
	return end_part(bench_failover_run());
}

static int work_inotify(const char *root)
{
	(void)root;
	return end_part(bench_inotify_run());
}

static int work_cache(const char *root)
{
	(void)root;
	return end_part(bench_cache_run());
}

static int work_keys(const char *root)
{
	(void)root;
	return end_part(bench_keys_run((unsigned)setting("BENCH_KEYS", 1000000)));
}

static int work_snapshot(const char *root)
{
	(void)root;
	return end_part(bench_snapshot_run((unsigned)setting("BENCH_SNAPSHOT_MIB", 1024)));
}

static int work_compaction(const char *root)
{
	(void)root;
	return end_part(bench_compaction_run((unsigned)setting("BENCH_VERSIONS", 1000000), 2 * setting("BENCH_SECONDS", 2)));
}

static int work_soak(const char *root)
{
	(void)root;
	return end_part(bench_soak_run(setting("SOAK_MINUTES", 2)));
}

/* Each part runs in processes of its own: one that cannot be measured leaves the others to be. */
static const struct part {
	const char *name;
	int (*work)(const char *root);
	bool alone; /* only when it is named */
} parts[] = {
	{"serial", work_serial, false},     {"linearizable", work_linearizable, false},
	{"failover", work_failover, false}, {"inotify", work_inotify, false},
	{"cache", work_cache, false},       {"keys", work_keys, false},
	{"snapshot", work_snapshot, false}, {"compaction", work_compaction, false},
	{"soak", work_soak, true},
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static bool known(const char *name)
{
	for (size_t i = 0; i < PARTS; i++)
		if (strcmp(parts[i].name, name) == 0)
			return true;
	return false;
}

static bool wanted(const struct part *p, char **given)
{
	for (char **g = given; *g; g++)
		if (strcmp(*g, p->name) == 0)
			return true;
	return !*given && !p->alone;
}

int main(int argc, char **argv)
{
	int rc = 0;
	for (int i = 1; i < argc; i++) {
		if (!known(argv[i])) {
			fprintf(stderr, "usage: bench [serial|linearizable|failover|inotify|cache|keys|snapshot|compaction|soak]...\n");
			return 2;
		}
	}
	for (size_t i = 0; i < PARTS && rc != BENCH_GUARD_INTERRUPTED; i++) {
		if (!wanted(&parts[i], argv + 1))
			continue;
		int part = bench_guard_run(parts[i].work, PART_SECONDS_MAX + (unsigned)(60 * setting("SOAK_MINUTES", 2)));
		if (part != 0)
			fprintf(stderr, "bench: %s: not everything could be measured (%d)\n", parts[i].name, part);
		rc = part == BENCH_GUARD_INTERRUPTED || rc == 0 ? part : rc;
	}
	return rc;
}
