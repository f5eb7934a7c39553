/* The daemon's own life: starting, staying in the background, ending, and keeping everything across both kinds of end. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect_everything(const struct cluster *c, int files)
{
	for (int i = 0; i < files; i++)
		if (!file_is(path("%s/d/f%d", c->nodes[0].mount, i), path("value %d\n", i)))
			cluster_fail("f%d is not as it was written", i);
}

static void write_everything(const struct cluster *c, int files)
{
	assert_int_equal(mkdir(path("%s/d", c->nodes[0].mount), 0755), 0);
	for (int i = 0; i < files; i++)
		assert_int_equal(file_write(path("%s/d/f%d", c->nodes[0].mount, i), path("value %d\n", i)), 0);
}

static void a_clean_end_keeps_everything(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	write_everything(c, 200);
	uint64_t revision = node_number(c, 0, "revision");
	assert_int_equal(node_end(c, 0), 0);
	assert_false(mount_answers(c->nodes[0].mount));
	node_start(c, 0);
	expect_everything(c, 200);
	assert_int_equal(node_number(c, 0, "revision"), revision);
}

static void a_kill_keeps_everything_that_was_closed_and_its_dead_mount_is_cleared(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	write_everything(c, 200);
	node_kill(c, 0);
	assert_int_equal(try_open(path("%s/d/f0", c->nodes[0].mount), O_RDONLY), -ENOTCONN);
	node_start(c, 0);
	expect_everything(c, 200);
	node_kill(c, 0);
	node_start(c, 0);
	expect_everything(c, 200);
}

static void large_files_survive_both_kinds_of_end(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct run_result r;
	const char *m = c->nodes[0].mount;
	run_shell(&r, "head -c 20000000 /dev/urandom > %s/src && cp %s/src %s/big && cmp %s/src %s/big", c->dir, c->dir, m, c->dir, m);
	assert_string_equal(r.err, "");
	assert_int_equal(r.status, 0);
	run_done(&r);
	node_kill(c, 0);
	node_start(c, 0);
	run_shell(&r, "cmp %s/src %s/big && printf changed | dd of=%s/big bs=1 seek=10000000 conv=notrunc status=none", c->dir, m, m);
	assert_int_equal(r.status, 0);
	run_done(&r);
	assert_int_equal(node_end(c, 0), 0);
	node_start(c, 0);
	run_shell(&r,
		  "cmp %s/src %s/big@-1 && printf changed | dd of=%s/src bs=1 seek=10000000 conv=notrunc status=none && cmp %s/src %s/big",
		  c->dir, m, c->dir, c->dir, m);
	assert_string_equal(r.err, "");
	assert_int_equal(r.status, 0);
	run_done(&r);
}

static bool nothing_runs(void *ctx)
{
	return process_with(ctx) == 0;
}

/* The versions that are held for them are let go of before the store is. */
static void it_ends_well_while_large_files_are_open(void **state)
{
	(void)state;
	static char large[1 << 20];
	struct cluster *c = cluster_up(1, NULL);
	char byte;
	memset(large, 'x', sizeof(large));
	assert_int_equal(file_put(path("%s/large", c->nodes[0].mount), O_TRUNC, large, sizeof(large)), 0);
	int fd = open(path("%s/large", c->nodes[0].mount), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(node_end(c, 0), 0);
	close(fd);
	node_start(c, 0);
	assert_int_equal(try_open(path("%s/large", c->nodes[0].mount), O_RDONLY), 0);
}

static void it_goes_to_the_background_once_the_mount_answers_and_ends_when_unmounted(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(1, NULL);
	struct run_result r;
	const char *const start[] = {tallyfs_binary(), c->nodes[0].data, c->nodes[0].mount, NULL};
	const char *const end[] = {"fusermount3", "-u", c->nodes[0].mount, NULL};
	for (int round = 0; round < 2; round++) {
		run_command(&r, start, NULL, 0, CLUSTER_WAIT_MS);
		assert_string_equal(r.err, "");
		assert_string_equal(r.out, "");
		assert_int_equal(r.status, 0);
		run_done(&r);
		assert_true(mount_answers(c->nodes[0].mount));
		if (round == 0)
			assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "x"), 0);
		assert_true(file_is(path("%s/f", c->nodes[0].mount), "x"));
		run_command(&r, end, NULL, 0, CLUSTER_WAIT_MS);
		assert_int_equal(r.status, 0);
		run_done(&r);
		assert_true(wait_until(nothing_runs, c->nodes[0].data, CLUSTER_END_MS));
		assert_false(mount_answers(c->nodes[0].mount));
	}
}

static int shell(const char *script)
{
	struct run_result r;
	const char *const argv[] = {"sh", "-c", script, NULL};
	run_command(&r, argv, NULL, 0, CLUSTER_WAIT_MS);
	int status = r.status;
	run_done(&r);
	return status;
}

static void closed_standard_streams_are_not_taken_for_the_stores_files(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(1, NULL);
	struct stat st;
	char *data = c->nodes[0].data, *mount = c->nodes[0].mount;
	assert_int_equal(shell(path("%s %s %s <&- >&-", tallyfs_binary(), data, mount)), 0);
	assert_true(mount_answers(mount));
	assert_int_equal(file_write(path("%s/f", mount), "x"), 0);
	assert_int_equal(shell(path("fusermount3 -u %s", mount)), 0);
	assert_true(wait_until(nothing_runs, data, CLUSTER_END_MS));
	assert_int_equal(shell(path("%s %s %s <&- >&- 2>&-", tallyfs_binary(), data, mount)), 0);
	assert_true(file_is(path("%s/f", mount), "x"));
	assert_int_equal(shell(path("fusermount3 -u %s", mount)), 0);
	assert_true(wait_until(nothing_runs, data, CLUSTER_END_MS));
	assert_int_equal(stat(path("%s/lock", data), &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void sigint_ends_it_cleanly(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	int status = -1;
	assert_int_equal(kill(c->nodes[0].pid, SIGINT), 0);
	assert_true(run_wait(c->nodes[0].pid, CLUSTER_END_MS, &status));
	c->nodes[0].pid = 0;
	assert_int_equal(status, 0);
	assert_false(mount_answers(c->nodes[0].mount));
}

static void a_read_only_mount_refuses_writes(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "x"), 0);
	assert_int_equal(node_end(c, 0), 0);
	snprintf(c->nodes[0].options, sizeof(c->nodes[0].options), "ro");
	node_start(c, 0);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "x"));
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "y"), -EROFS);
	assert_int_equal(file_write(path("%s/g", c->nodes[0].mount), "y"), -EROFS);
	assert_int_equal(unlink(path("%s/f", c->nodes[0].mount)) < 0 ? errno : 0, EROFS);
	assert_int_equal(mkdir(path("%s/d", c->nodes[0].mount), 0755) < 0 ? errno : 0, EROFS);
}

static void a_node_without_a_mount_stores_and_answers(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(3, NULL);
	struct run_result r;
	c->nodes[2].nomount = true;
	cluster_start(c);
	assert_int_equal(file_write(path("%s/config", c->nodes[0].mount), "kept\n"), 0);
	tallyctl(c, 2, &r, "get", "config", NULL);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "kept"));
	run_done(&r);
	/* It votes: with it, one of the other two may go. */
	node_kill(c, 1);
	cluster_leader(c);
	assert_int_equal(file_write(path("%s/config", c->nodes[0].mount), "still\n"), 0);
	tallyctl(c, 2, &r, "get", "config", NULL);
	assert_non_null(strstr(r.out, "still"));
	run_done(&r);
}

static void version_and_help_say_what_it_is(void **state)
{
	(void)state;
	struct run_result r;
	const char *const version[] = {tallyfs_binary(), "-V", NULL};
	const char *const help[] = {tallyfs_binary(), "-h", NULL};
	run_command(&r, version, NULL, 0, CLUSTER_WAIT_MS);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "tallyfs"));
	run_done(&r);
	run_command(&r, help, NULL, 0, CLUSTER_WAIT_MS);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "DATA MOUNTPOINT"));
	run_done(&r);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_clean_end_keeps_everything),
		STORY(a_kill_keeps_everything_that_was_closed_and_its_dead_mount_is_cleared),
		STORY(large_files_survive_both_kinds_of_end),
		STORY(it_ends_well_while_large_files_are_open),
		STORY(it_goes_to_the_background_once_the_mount_answers_and_ends_when_unmounted),
		STORY(closed_standard_streams_are_not_taken_for_the_stores_files),
		STORY(sigint_ends_it_cleanly),
		STORY(a_read_only_mount_refuses_writes),
		STORY(a_node_without_a_mount_stores_and_answers),
		STORY(version_and_help_say_what_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
