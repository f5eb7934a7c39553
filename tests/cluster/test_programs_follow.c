/* tail(1) follows a file that another node appends to by its descriptor: on as it grows, is truncated, renamed and deleted. What fstat(2) shows meanwhile. */
#include "tests/lib/files.h"
#include "tests/lib/logs.h"
#include "tests/lib/run.h"
#include "tests/lib/shape.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG_LINE_SIZE ((int)sizeof(LONG_LINE) - 1)
#define LONG_LINE "one line that is longer than what comes later\n"

/* --- tail -f --- */

static void tail_f_prints_what_is_appended(void **state)
{
	(void)state;
	shape_enter("tail-f");
	log_append("one\n");
	shape_settle();
	tail_begin("-f", "10");
	tail_expect("one\n");
	log_append("two\n");
	tail_expect("one\ntwo\n");
	log_append("three\nfour\n");
	log_append("five");
	tail_expect("one\ntwo\nthree\nfour\nfive");
	log_append("\n");
	tail_expect("one\ntwo\nthree\nfour\nfive\n");
	assert_int_equal(tail_end(), 128 + SIGTERM);
}

/* On a serial mount, whose kernel has the pages, it keeps what it has open; whoever opens the file now reads the new one. */
static bool serial_keeps_what_is_open(void)
{
	if (!shape_serial())
		return false;
	log_append(LONG_LINE);
	shape_settle();
	tail_begin("-f", "10");
	tail_expect(LONG_LINE);
	assert_int_equal(file_write(here("log"), "new\n"), 0);
	shape_settle();
	expect_file("log", "new\n");
	tail_expect(LONG_LINE);
	assert_int_equal(tail_end(), 128 + SIGTERM);
	return true;
}

static void tail_f_says_that_the_file_was_truncated(void **state)
{
	(void)state;
	shape_enter("tail-cut");
	if (serial_keeps_what_is_open())
		return;
	log_append(LONG_LINE);
	tail_begin("-f", "10");
	tail_expect(LONG_LINE);
	assert_int_equal(file_write(here("log"), "new\n"), 0);
	tail_expect(tail_said(LONG_LINE, "file truncated", "new\n"));
	log_append("newer\n");
	tail_expect(tail_said(LONG_LINE, "file truncated", "new\nnewer\n"));
	assert_int_equal(tail_end(), 128 + SIGTERM);
}

/* It has read nothing at all when the file grows, and nothing of what there is before it shrinks. */
static void tail_f_that_began_at_the_end_says_that_the_file_was_truncated(void **state)
{
	(void)state;
	shape_enter("tail-end");
	if (serial_keeps_what_is_open())
		return;
	log_append(LONG_LINE);
	shape_settle();
	tail_begin("-f", "0");
	tail_wait_at(LONG_LINE_SIZE);
	log_append("two\n");
	tail_expect("two\n");
	assert_int_equal(file_write(here("log"), "new\n"), 0);
	tail_expect(tail_said("two\n", "file truncated", "new\n"));
	log_append("newer\n");
	tail_expect(tail_said("two\n", "file truncated", "new\nnewer\n"));
	assert_int_equal(tail_end(), 128 + SIGTERM);
}

/* The last lines of a file of which it reads only the end, and which is cut before it has grown. */
static void tail_f_of_a_large_file_that_is_truncated_at_once(void **state)
{
	static char large[100000];
	(void)state;
	shape_enter("tail-large");
	if (serial_keeps_what_is_open())
		return;
	memset(large, 'x', sizeof(large) - 1);
	for (size_t i = 99; i < sizeof(large) - 1; i += 100)
		large[i] = '\n';
	memcpy(large + sizeof(large) - 6, "\nlast\n", 6);
	assert_int_equal(file_put(here("log"), O_TRUNC, large, sizeof(large)), 0);
	shape_settle();
	tail_begin("-f", "1");
	tail_expect("last\n");
	assert_int_equal(file_write(here("log"), "new\n"), 0);
	tail_expect(tail_said("last\n", "file truncated", "new\n"));
	log_append("newer\n");
	tail_expect(tail_said("last\n", "file truncated", "new\nnewer\n"));
	assert_int_equal(tail_end(), 128 + SIGTERM);
}

/* By descriptor it goes with the file, wherever that is, and after its deletion it stays quiet. */
static void tail_f_goes_with_a_file_that_is_renamed_and_deleted(void **state)
{
	(void)state;
	shape_enter("tail-renamed");
	log_append("one\n");
	shape_settle();
	tail_begin("-f", "10");
	tail_expect("one\n");
	assert_int_equal(rename(here("log"), here("log.1")), 0);
	assert_int_equal(file_append(here("log.1"), "two\n"), 0);
	tail_expect("one\ntwo\n");
	log_append("of another file\n");
	assert_int_equal(file_append(here("log.1"), "three\n"), 0);
	tail_expect("one\ntwo\nthree\n");
	assert_int_equal(unlink(here("log.1")), 0);
	shape_settle();
	log_append("of another file\n");
	/* Some rounds of its polling later. */
	struct run_result r;
	run_shell(&r, "timeout 0.2 tail -s 0.02 -f %s", there("log"));
	assert_int_equal(r.status, 124);
	assert_string_equal(r.out, "of another file\nof another file\n");
	run_done(&r);
	tail_expect("one\ntwo\nthree\n");
	assert_int_equal(tail_end(), 128 + SIGTERM);
}

/* --- fstat of what has changed elsewhere --- */

struct shown {
	int fd;
	struct stat st;
};

static bool is_shown(void *ctx)
{
	const struct shown *want = ctx;
	struct stat st;

	return fstat(want->fd, &st) != 0 || (st.st_ino == want->st.st_ino && st.st_size == want->st.st_size &&
					     st.st_mode == want->st.st_mode && st.st_nlink == want->st.st_nlink);
}

/* At once, or soon on a serial mount. No call may fail meanwhile. */
static void expect_shown(int fd, ino_t ino, off_t size, mode_t mode, nlink_t links)
{
	struct shown want = {fd, {.st_ino = ino, .st_size = size, .st_mode = S_IFREG | mode, .st_nlink = links}};
	struct stat st;

	if (shape_serial() ? wait_until(is_shown, &want, LOGS_WAIT_MS) : is_shown(&want))
		assert_int_equal(fstat(fd, &st), 0);
	else if (fstat(fd, &st) == 0)
		cluster_fail("fstat shows inode %llu size %lld mode %o links %lu", (unsigned long long)st.st_ino, (long long)st.st_size,
			     st.st_mode, (unsigned long)st.st_nlink);
}

static bool has_no_name(void *ctx)
{
	const int *fd = ctx;
	struct stat st;

	return fstat(*fd, &st) == 0 && st.st_nlink == 0;
}

static void fstat_goes_on_when_the_file_is_changed_renamed_replaced_or_deleted_elsewhere(void **state)
{
	struct stat st, named;
	char text[16];
	(void)state;
	shape_enter("fstat");
	log_append("one\n");
	assert_int_equal(chmod(here("log"), 0600), 0);
	shape_settle();
	int fd = open(there("log"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	ino_t ino = st.st_ino;
	log_append("two\n");
	shape_settle();
	expect_shown(fd, ino, 8, 0600, 1);
	assert_int_equal(file_write(here("log.new"), "another\n"), 0);
	assert_int_equal(rename(here("log"), here("log.1")), 0);
	assert_int_equal(chmod(here("log.1"), 0640), 0);
	shape_settle();
	expect_shown(fd, ino, 8, 0640, 1);
	assert_int_equal(fchmod(fd, 0644), 0);
	expect_shown(fd, ino, 8, 0644, 1);
	assert_int_equal(rename(here("log.new"), here("log")), 0);
	shape_settle();
	expect_shown(fd, ino, 8, 0644, 1);
	assert_int_equal(stat(there("log"), &named), 0);
	assert_int_not_equal(named.st_ino, ino);
	assert_int_equal(rename(here("log"), here("log.1")), 0);
	shape_settle();
	/* A deleted one is shown as it was opened. */
	assert_true(shape_serial() ? wait_until(has_no_name, &fd, LOGS_WAIT_MS) : has_no_name(&fd));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, ino);
	assert_int_equal(stat(there("log.1"), &st), 0);
	assert_int_equal(st.st_ino, named.st_ino);
	assert_int_equal(pread(fd, text, 4, 0), 4);
	assert_memory_equal(text, "one\n", 4);
	close(fd);
}

#define TEST(f) cmocka_unit_test_teardown(f, tail_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tail_f_prints_what_is_appended),
		TEST(tail_f_says_that_the_file_was_truncated),
		TEST(tail_f_that_began_at_the_end_says_that_the_file_was_truncated),
		TEST(tail_f_of_a_large_file_that_is_truncated_at_once),
		TEST(tail_f_goes_with_a_file_that_is_renamed_and_deleted),
		TEST(fstat_goes_on_when_the_file_is_changed_renamed_replaced_or_deleted_elsewhere),
	};
	return shape_run(tests, sizeof(tests) / sizeof(*tests));
}
