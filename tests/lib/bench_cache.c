#include "tests/lib/bench_cache.h"
#include "base/codec.h"
#include "tests/lib/bench_report.h"
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH 4000u
#define LISTINGS 9
#define READS 1000

/* --- directories --- */

static void make_batch(const struct cluster *c, const char *directory, unsigned first, unsigned count)
{
	struct run_result r;
	struct writer text = {0};
	char line[96];
	writer_raw(&text, "\n", 1);
	for (unsigned i = first; i < first + count; i++)
		writer_raw(&text, line, (size_t)snprintf(line, sizeof(line), "put %s/file-%06u \"%u\"\n", directory, i, i));
	writer_raw(&text, "\n", 1);
	const char *const argv[] = {tallyctl_binary(), "--endpoints", c->nodes[0].data, "txn", NULL};
	run_command(&r, argv, text.data, text.size, CLUSTER_WAIT_MS);
	if (r.status != 0)
		cluster_fail("%s cannot be filled: %s", directory, r.err);
	run_done(&r);
	writer_free(&text);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Seconds from opendir to closedir; NAN if it has not that many entries. */
static double list(const char *name, unsigned count, bool attributes)
{
	struct stat st;
	unsigned found = 0;
	double began = now_seconds();
	DIR *d = opendir(name);
	if (!d)
		return NAN;
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		found++;
		if (attributes && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			found = count + 3;
	}
	closedir(d);
	return found == count + 2 ? now_seconds() - began : NAN;
}

static double list_median(const char *name, unsigned count, bool attributes)
{
	double took[LISTINGS];
	for (int i = 0; i < LISTINGS; i++) {
		took[i] = list(name, count, attributes);
		if (isnan(took[i]))
			return NAN;
	}
	qsort(took, LISTINGS, sizeof(took[0]), compare);
	return took[LISTINGS / 2];
}

/* Microseconds an entry. */
static double directory(const struct cluster *c, const char *consistency, unsigned count)
{
	char name[24];
	snprintf(name, sizeof(name), "d%u", count);
	for (unsigned first = 0; first < count; first += BATCH)
		make_batch(c, name, first, count - first < BATCH ? count - first : BATCH);
	const char *where = path("%s/%s", c->nodes[0].mount, name);
	double names = list_median(where, count, false);
	double first = list(where, count, true), again = list(where, count, true);
	double us = names / count * 1e6;
	bench_report_line("bench %s_readdir_%u seconds=%.4f us_per_entry=%.3f with_attributes_seconds=%.3f again_seconds=%.3f", consistency,
			  count, names, us, first, again);
	return us;
}

static unsigned directories(const char *consistency)
{
	struct cluster *c = cluster_up(1, path("consistency=%s", consistency));
	double few = directory(c, consistency, 1000), many = directory(c, consistency, 100000);
	bench_floor_most(path("%s_readdir_100000_seconds", consistency), many / 10, 1);
	bench_floor_most(path("%s_readdir_100000_to_1000_per_entry", consistency), many / few, 1.5);
	return isnan(few) + isnan(many) + (cluster_teardown(NULL) != 0);
}

/* --- requests --- */

static double figure(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return at ? strtod(at + strlen(name), NULL) : 0;
}

struct counted {
	double open, read, lookup, getattr, flush, rounds;
};

static struct counted count(const struct cluster *c)
{
	static char text[256 << 10];
	if (file_read(path("%s/@metrics", c->nodes[0].mount), text, sizeof(text)) <= 0)
		cluster_fail("@metrics cannot be read");
	return (struct counted){
		.open = figure(text, "\ntallyfs_fuse_requests_total{op=\"open\"} "),
		.read = figure(text, "\ntallyfs_fuse_requests_total{op=\"read\"} "),
		.lookup = figure(text, "\ntallyfs_fuse_requests_total{op=\"lookup\"} "),
		.getattr = figure(text, "\ntallyfs_fuse_requests_total{op=\"getattr\"} "),
		.flush = figure(text, "\ntallyfs_fuse_requests_total{op=\"flush\"} "),
		.rounds = figure(text, "\ntallyfs_read_barriers_total "),
	};
}

static bool read_it(const char *name)
{
	char text[16];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	bool whole = fd >= 0 && read(fd, text, sizeof(text)) == 4;
	if (fd >= 0)
		close(fd);
	return whole;
}

/* What one open, read and close comes to. The looking itself is a request or two of a thousand reads, and is rounded away. */
static unsigned requests(const char *consistency)
{
	struct cluster *c = cluster_up(3, path("consistency=%s", consistency));
	char name[160];
	bool whole = true;
	snprintf(name, sizeof(name), "%s/known", c->nodes[0].mount);
	if (file_write(name, "text") != 0)
		cluster_fail("%s cannot be written", name);
	for (int i = 0; i < 100; i++)
		whole = whole && read_it(name);
	struct counted before = count(c);
	for (int i = 0; i < READS; i++)
		whole = whole && read_it(name);
	struct counted after = count(c);
	double read = round((after.read - before.read) / READS * 50) / 50, lookup = round((after.lookup - before.lookup) / READS * 50) / 50;
	double rounds_each = round((after.rounds - before.rounds) / READS * 50) / 50;
	bench_report_line("bench %s_requests_per_read open=%.2f read=%.2f lookup=%.2f getattr=%.2f flush=%.2f rounds=%.2f", consistency,
			  (after.open - before.open) / READS, read, lookup, (after.getattr - before.getattr) / READS,
			  (after.flush - before.flush) / READS, rounds_each);
	bool serial = strcmp(consistency, "serial") == 0;
	bench_floor_most(path("%s_lookups_per_read", consistency), lookup, 0);
	bench_floor_most(path("%s_rounds_per_read", consistency), rounds_each, serial ? 0 : 1);
	if (serial)
		bench_floor_most("serial_read_requests_per_read", read, 0);
	return !whole + (cluster_teardown(NULL) != 0);
}

unsigned bench_cache_run(void)
{
	return directories("linearizable") + directories("serial") + requests("linearizable") + requests("serial");
}
