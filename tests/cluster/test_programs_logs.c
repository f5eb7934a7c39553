/* Logs are rotated: tail(1) follows the name; logrotate renames, and truncates what it has copied, while others append and follow. */
#include "tests/lib/files.h"
#include "tests/lib/logs.h"
#include "tests/lib/run.h"
#include "tests/lib/shape.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- tail -F --- */

static void tail_F_follows_the_name_when_the_log_is_renamed_and_made_anew(void **state)
{
	(void)state;
	shape_enter("tail-F");
	log_append("one\n");
	shape_settle();
	tail_begin("-F", "10");
	tail_expect_lines("one\n");
	for (int i = 0; i < 3; i++) {
		static const char *const lines[] = {"one\na\n", "one\na\nb\n", "one\na\nb\nc\n"};
		static const char *const added[] = {"a\n", "b\n", "c\n"};
		assert_int_equal(rename(here("log"), here("log.%d", i)), 0);
		log_append(added[i]);
		tail_expect_lines(lines[i]);
	}
	tail_expect_said("new file");
	assert_int_equal(unlink(here("log")), 0);
	shape_settle();
	assert_int_equal(file_write(here("log.new"), "d\n"), 0);
	assert_int_equal(rename(here("log.new"), here("log")), 0);
	tail_expect_lines("one\na\nb\nc\nd\n");
	log_append("e\n");
	tail_expect_lines("one\na\nb\nc\nd\ne\n");
	assert_int_equal(tail_end(), 128 + SIGTERM);
}

/* --- logrotate --- */

static void logrotate_renames_and_creates_and_tail_F_follows(void **state)
{
	(void)state;
	shape_enter("logrotate");
	log_append("one\n");
	assert_int_equal(chmod(here("log"), 0640), 0);
	shape_settle();
	tail_begin("-F", "10");
	tail_expect_lines("one\n");
	log_rotate("create 0604 man games");
	expect_file("log", "");
	expect_stat("log", "%A %u %g", "-rw----r-- 6 60");
	expect_file("log.1", "one\n");
	expect_stat("log.1", "%A %u %g", "-rw-r----- 0 0");
	log_append("two\n");
	tail_expect_lines("one\ntwo\n");
	log_rotate("create");
	log_append("three\n");
	tail_expect_lines("one\ntwo\nthree\n");
	log_rotate("create");
	expect_file("log", "");
	shell(0, "three\ntwo\none\n", "cat $THERE/log.1 $THERE/log.2 $THERE/log.3");
	assert_int_equal(tail_end(), 128 + SIGTERM);
}

static void logrotate_copies_and_truncates_and_tail_f_goes_on(void **state)
{
	(void)state;
	shape_enter("copytruncate");
	log_append("one\ntwo\n");
	assert_int_equal(chmod(here("log"), 0640), 0);
	shape_settle();
	/* On a serial mount tail keeps what it has open. */
	if (!shape_serial()) {
		tail_begin("-f", "10");
		tail_expect("one\ntwo\n");
	}
	log_rotate("copytruncate\\ncompress");
	expect_file("log", "");
	expect_stat("log", "%A %s", "-rw-r----- 0");
	shape_settle();
	shell(0, "one\ntwo\n", "zcat $THERE/log.1.gz");
	log_append("three\n");
	expect_file("log", "three\n");
	if (shape_serial())
		return;
	tail_expect_lines("one\ntwo\nthree\n");
	tail_expect_said("file truncated");
	assert_int_equal(tail_end(), 128 + SIGTERM);
}

/* --- copytruncate under somebody who goes on appending through one descriptor --- */

struct writer_there {
	pthread_t thread;
	atomic_uint lines;
	atomic_bool stop;
	int error;
};

static void *writer_run(void *ctx)
{
	struct writer_there *w = ctx;
	int fd = open(there("log"), O_WRONLY | O_APPEND | O_CLOEXEC);
	char line[32];

	if (fd < 0)
		w->error = errno;
	while (!w->stop && !w->error) {
		int size = snprintf(line, sizeof(line), "line %06u\n", w->lines + 1);
		if (write(fd, line, (size_t)size) != size || fsync(fd) != 0)
			w->error = errno;
		else
			w->lines++;
	}
	close(fd);
	return NULL;
}

struct lines {
	unsigned first;
	unsigned last;
};

/* All lines are whole, and follow one another. */
static struct lines whole_lines(const char *name)
{
	struct lines found = {0};
	size_t size;
	char *text = file_load(name, &size);

	assert_non_null(text);
	for (const char *at = text; at < text + size; at += 12) {
		unsigned number = strncmp(at, "line ", 5) == 0 && at[11] == '\n' ? (unsigned)strtoul(at + 5, NULL, 10) : 0;
		if (number == 0 || (found.last && number != found.last + 1))
			cluster_fail("%s holds at %zu, after line %u: %.12s", name, (size_t)(at - text), found.last, at);
		found.last = number;
		found.first = found.first ? found.first : number;
	}
	free(text);
	return found;
}

static bool has_written(void *ctx)
{
	struct writer_there *w = ctx;
	return w->error || w->lines >= 30;
}

static bool has_written_more(void *ctx)
{
	struct writer_there *w = ctx;
	static unsigned before;
	if (!before)
		before = w->lines;
	bool more = w->error || w->lines >= before + 30;
	before = more ? 0 : before;
	return more;
}

/* What is written between the copy and the truncation is lost, as logrotate(8) says: a run of whole lines, and nothing else. */
static void logrotate_truncates_under_a_writer_that_appends(void **state)
{
	struct writer_there w = {0};
	(void)state;
	shape_enter("truncated-log");
	log_append("");
	shape_settle();
	assert_int_equal(pthread_create(&w.thread, NULL, writer_run, &w), 0);
	assert_true(wait_until(has_written, &w, LOGS_WAIT_MS));
	log_rotate("copytruncate");
	assert_true(wait_until(has_written_more, &w, LOGS_WAIT_MS));
	log_rotate("copytruncate");
	assert_true(wait_until(has_written_more, &w, LOGS_WAIT_MS));
	w.stop = true;
	pthread_join(w.thread, NULL);
	assert_int_equal(w.error, 0);
	shape_settle();
	struct lines oldest = whole_lines(here("log.2")), older = whole_lines(here("log.1")), now = whole_lines(here("log"));
	assert_int_equal(oldest.first, 1);
	assert_true(oldest.last >= 30 && older.first > oldest.last && older.last >= older.first + 15);
	assert_true(now.first > older.last && now.last == w.lines);
	expect_stat("log", "%s", path("%u", 12 * (now.last - now.first + 1)));
}

#define TEST(f) cmocka_unit_test_teardown(f, tail_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tail_F_follows_the_name_when_the_log_is_renamed_and_made_anew),
		TEST(logrotate_renames_and_creates_and_tail_F_follows),
		TEST(logrotate_copies_and_truncates_and_tail_f_goes_on),
		TEST(logrotate_truncates_under_a_writer_that_appends),
	};
	return shape_run(tests, sizeof(tests) / sizeof(*tests));
}
