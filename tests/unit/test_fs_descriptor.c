/* What /proc says of a thread's call: is its file named by a descriptor? */
#include "fs/descriptor.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int of_call(long number, const char *arguments)
{
	char text[256];

	snprintf(text, sizeof(text), "%ld %s 0x7ffe43739d48 0x7f31d3b36503\n", number, arguments);
	return descriptor_of_call(text);
}

static void calls_that_are_given_a_descriptor_alone_work_on_that(void **state)
{
	(void)state;
	assert_int_equal(of_call(SYS_fstat, "0x3 0x7f 0x0 0x0 0x0 0x0"), 3);
	assert_int_equal(of_call(SYS_newfstatat, "0x11 0x7f 0x7e 0x1000 0x0 0x0"), 17);
	assert_int_equal(of_call(SYS_statx, "0x4 0x7f 0x1000 0xfff 0x7e 0x0"), 4);
	assert_int_equal(of_call(SYS_fchmod, "0x5 0x1a4 0x0 0x0 0x0 0x0"), 5);
	assert_int_equal(of_call(SYS_fchown, "0x6 0x0 0x0 0x0 0x0 0x0"), 6);
	assert_int_equal(of_call(SYS_utimensat, "0x7 0x0 0x7e 0x0 0x0 0x0"), 7);
}

static void calls_with_a_path_do_not_and_neither_do_others(void **state)
{
	(void)state;
	assert_int_equal(of_call(SYS_newfstatat, "0xffffff9c 0x7f 0x7e 0x0 0x0 0x0"), -1);
	assert_int_equal(of_call(SYS_newfstatat, "0x3 0x7f 0x7e 0x100 0x0 0x0"), -1);
	assert_int_equal(of_call(SYS_statx, "0x3 0x7f 0x0 0xfff 0x7e 0x0"), -1);
	assert_int_equal(of_call(SYS_utimensat, "0x3 0x7f 0x7e 0x0 0x0 0x0"), -1);
	assert_int_equal(of_call(SYS_openat, "0x3 0x7f 0x7e 0x1000 0x0 0x0"), -1);
	assert_int_equal(of_call(SYS_stat, "0x3 0x7f 0x7e 0x1000 0x0 0x0"), -1);
}

static void what_is_no_such_line_names_nothing(void **state)
{
	(void)state;
	assert_int_equal(descriptor_of_call(""), -1);
	assert_int_equal(descriptor_of_call("running\n"), -1);
	assert_int_equal(descriptor_of_call("-1 0x7ffe43739d48 0x7f31d3b36503\n"), -1);
	assert_int_equal(descriptor_of_call("5 0x3 0x7f\n"), -1);
}

/* --- a thread in a call, as the daemon meets it --- */

static int ends[2];
static _Atomic pid_t sleeper;

static void *sleep_in_read(void *ctx)
{
	char byte;
	(void)ctx;
	sleeper = gettid();
	return read(ends[0], &byte, 1) == 1 ? ends : NULL;
}

static void a_thread_that_sleeps_in_another_call_names_nothing(void **state)
{
	pthread_t thread;
	struct stat st;
	struct holders_file file = {.mount = -1};
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fstat(ends[0], &st), 0);
	file.ino[0] = file.ino[1] = st.st_ino;
	assert_int_equal(pthread_create(&thread, NULL, sleep_in_read, NULL), 0);
	while (!sleeper)
		sched_yield();
	assert_false(descriptor_names(sleeper, &file));
	assert_int_equal(write(ends[1], "x", 1), 1);
	void *woken;
	pthread_join(thread, &woken);
	assert_ptr_equal(woken, ends);
	assert_false(descriptor_names(0, &file));
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_that_are_given_a_descriptor_alone_work_on_that),
		cmocka_unit_test(calls_with_a_path_do_not_and_neither_do_others),
		cmocka_unit_test(what_is_no_such_line_names_nothing),
		cmocka_unit_test(a_thread_that_sleeps_in_another_call_names_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
