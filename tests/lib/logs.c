#include "tests/lib/logs.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"
#include "tests/lib/shape.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	int pid;
	char log[512]; /* what it printed, its complaints included */
} tail;

void tail_begin(const char *option, const char *lines)
{
	snprintf(tail.log, sizeof(tail.log), "%s.tail", path("%s/out%d", shape_cluster()->dir, rand()));
	const char *const argv[] = {"tail", option, "-s", "0.02", "-n", lines, there("log"), NULL};
	tail.pid = run_spawn(argv, tail.log);
	assert_true(tail.pid > 0);
}

int tail_end(void)
{
	int status = -1;

	if (tail.pid <= 0)
		return 0;
	kill(tail.pid, SIGTERM);
	run_wait(tail.pid, LOGS_WAIT_MS, &status);
	tail.pid = 0;
	return status;
}

int tail_teardown(void **state)
{
	(void)state;
	tail_end();
	return 0;
}

/* Does this descriptor of its stand there, in the log? */
static bool descriptor_is_at(int descriptor, int offset)
{
	char target[512] = "", text[256], pos[32];

	if (readlink(path("/proc/%d/fd/%d", tail.pid, descriptor), target, sizeof(target) - 1) < 0 || strcmp(target, there("log")) != 0)
		return false;
	snprintf(pos, sizeof(pos), "pos:\t%d\n", offset);
	return file_read(path("/proc/%d/fdinfo/%d", tail.pid, descriptor), text, sizeof(text)) > 0 && strstr(text, pos);
}

/* It inherits some, too. */
static bool is_at(void *ctx)
{
	const int *offset = ctx;

	for (int descriptor = 3; descriptor < 32; descriptor++) {
		if (descriptor_is_at(descriptor, *offset))
			return true;
	}
	return false;
}

void tail_wait_at(int offset)
{
	if (!wait_until(is_at, &offset, LOGS_WAIT_MS))
		cluster_fail("tail did not begin");
}

static bool has_printed(void *ctx)
{
	return file_is(tail.log, ctx);
}

void tail_expect(const char *text)
{
	char found[1000];

	if (wait_until(has_printed, (void *)(uintptr_t)text, LOGS_WAIT_MS))
		return;
	ssize_t got = file_read(tail.log, found, sizeof(found));
	cluster_fail("tail printed %s, not %s", got < 0 ? "nothing" : found, text);
}

void log_append(const char *text)
{
	assert_int_equal(file_append(here("log"), text), 0);
}

const char *tail_said(const char *before, const char *what, const char *after)
{
	return path("%stail: %s: %s\n%s", before, there("log"), what, after);
}

static bool has_printed_lines(void *ctx)
{
	struct run_result r;

	run_shell(&r, "grep -v ^tail: %s", tail.log);
	bool same = strcmp(r.out, ctx) == 0;
	run_done(&r);
	return same;
}

void tail_expect_lines(const char *text)
{
	size_t size;

	if (!wait_until(has_printed_lines, (void *)(uintptr_t)text, LOGS_WAIT_MS))
		cluster_fail("tail printed %s, not %s", file_load(tail.log, &size), text);
}

void tail_expect_said(const char *what)
{
	size_t size;
	char *text = file_load(tail.log, &size);

	assert_non_null(text);
	if (!strstr(text, what))
		cluster_fail("tail said %s, not %s", text, what);
	free(text);
}

void log_rotate(const char *how)
{
	shell(0, NULL,
	      path("printf '%%s/log {\\nrotate 3\\n%s\\n}\\n' $HERE > $BESIDE/conf && logrotate -f -s $BESIDE/state $BESIDE/conf", how));
}
