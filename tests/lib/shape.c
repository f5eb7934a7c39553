#include "tests/lib/shape.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSIONS_MAX 64
#define SHAPES 4

static const struct {
	const char *name;
	int nodes;
	bool serial;
} shapes[SHAPES] = {
	{"one node, linearizable", 1, false},
	{"one node, serial", 1, true},
	{"three nodes, linearizable", 3, false},
	{"three nodes, serial", 3, true},
};
static int current;
static struct cluster *cluster;
static char directory[64];

bool shape_serial(void)
{
	return shapes[current].serial;
}

static int shape_end(void **state)
{
	cluster = NULL;
	return cluster_teardown(state);
}

int shape_run(const struct CMUnitTest *tests, size_t count)
{
	int failed = 0;

	for (current = rounds(2) == 1 ? SHAPES / 2 : 0; current < SHAPES; current++)
		failed += _cmocka_run_group_tests(shapes[current].name, tests, count, NULL, shape_end);
	return failed;
}

struct cluster *shape_cluster(void)
{
	if (!cluster)
		cluster = cluster_up(shapes[current].nodes, shape_serial() ? "consistency=serial" : "consistency=linearizable");
	return cluster;
}

static const char *below(const struct cluster_node *n, const char *format, va_list args)
{
	char name[512];

	vsnprintf(name, sizeof(name), format, args);
	return path("%s/%s%s%s", n->mount, directory, name[0] ? "/" : "", name);
}

const char *here(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	const char *out = below(&cluster->nodes[0], format, args);
	va_end(args);
	return out;
}

const char *there(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	const char *out = below(&cluster->nodes[cluster->count - 1], format, args);
	va_end(args);
	return out;
}

void shape_enter(const char *name)
{
	struct cluster *c = shape_cluster();

	snprintf(directory, sizeof(directory), "%s", name);
	assert_int_equal(mkdir(here("%s", ""), 0755), 0);
	assert_int_equal(mkdir(here("home"), 0755), 0);
	assert_int_equal(mkdir(path("%s/%s", c->dir, name), 0755), 0);
	shape_settle();
}

void shell(int status, const char *output, const char *script)
{
	struct run_result r;

	run_shell(&r, "cd %s && export LC_ALL=C HERE=%s THERE=%s BESIDE=%s/%s HOME=%s && %s", here("%s", ""), here("%s", ""),
		  there("%s", ""), cluster->dir, directory, here("home"), script);
	if (r.status != status || (output && strcmp(r.out, output) != 0))
		cluster_fail("status %d, not %d: %.200s%.200s\n%s", r.status, status, r.out, r.err, script);
	run_done(&r);
}

void shape_settle(void)
{
	if (shape_serial())
		cluster_agree(cluster);
}

static void expect_at(const char *name, const char *text)
{
	char found[200];

	if (!file_is(name, text)) {
		ssize_t got = file_read(name, found, sizeof(found));
		cluster_fail("%s holds %s (%zd), not %s", name, got < 0 ? "nothing" : found, got, text);
	}
}

void expect_file(const char *name, const char *text)
{
	shape_settle();
	expect_at(here("%s", name), text);
	expect_at(there("%s", name), text);
}

void expect_gone(const char *name)
{
	shape_settle();
	assert_int_not_equal(access(here("%s", name), F_OK), 0);
	assert_int_not_equal(access(there("%s", name), F_OK), 0);
}

static void expect_stat_at(const char *name, const char *format, const char *output)
{
	struct run_result r;

	run_shell(&r, "stat -c '%s' %s", format, name);
	if (r.status != 0 || strncmp(r.out, output, strlen(output)) != 0 || r.out[strlen(output)] != '\n')
		cluster_fail("%s is %s%s, not %s", name, r.out, r.err, output);
	run_done(&r);
}

void expect_stat(const char *name, const char *format, const char *output)
{
	shape_settle();
	expect_stat_at(here("%s", name), format, output);
	expect_stat_at(there("%s", name), format, output);
}

/* One more content, unless it is that of the version before. */
static int add_content(const char **contents, int count, char *text)
{
	if (count > 0 && strcmp(contents[count - 1], text) == 0) {
		free(text);
		return count;
	}
	if (count == VERSIONS_MAX)
		cluster_fail("too many versions");
	contents[count] = text;
	return count + 1;
}

static int by_number(const void *a, const void *b)
{
	unsigned long long x = *(const unsigned long long *)a, y = *(const unsigned long long *)b;

	return x < y ? -1 : x > y;
}

/* The numbers in NAME@, in order. */
static int list_versions(const char *name, unsigned long long *out)
{
	char names[2048], *at = names;
	int count = 0;

	dir_names(there("%s@", name), names, sizeof(names));
	while (*at && *at != '!' && count < VERSIONS_MAX) {
		out[count++] = strtoull(at, &at, 10);
		at += *at == ' ';
	}
	qsort(out, (size_t)count, sizeof(*out), by_number);
	return count;
}

void expect_versions(const char *name, int revisions, ...)
{
	unsigned long long numbers[VERSIONS_MAX];
	const char *contents[VERSIONS_MAX], *want;
	int count = 0, at = 0;
	size_t size;
	va_list args;

	shape_settle();
	int listed = list_versions(name, numbers);
	for (int i = 0; i < listed; i++) {
		char *text = file_load(there("%s@/%llu", name, numbers[i]), &size);
		if (!text)
			cluster_fail("%s@/%llu cannot be read", name, numbers[i]);
		count = add_content(contents, count, text);
	}
	va_start(args, revisions);
	for (; (want = va_arg(args, const char *)) != NULL; at++)
		if (at >= count || strcmp(contents[at], want) != 0)
			cluster_fail("version %d of %s is %s, not %s", at + 1, name, at < count ? contents[at] : "not there", want);
	va_end(args);
	if (at != count)
		cluster_fail("%s has %d contents, not %d: the last is %s", name, count, at, contents[count - 1]);
	if (listed > revisions)
		cluster_fail("%s has %d revisions, not %d", name, listed, revisions);
	while (count > 0)
		free((void *)(uintptr_t)contents[--count]);
}
