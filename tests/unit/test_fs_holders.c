#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/holders.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/test_fs_holders.XXXXXX";
static char path[PATH_MAX];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/file", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

/* What is open there. */
static struct holders_file file_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (struct holders_file){.mount = holders_mount(path), .ino = {1, st.st_ino}};
}

static void a_process_holds_what_it_opened_for_writing(void **state)
{
	(void)state;
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	struct holders_file file = file_of(fd);

	assert_true(holders_has(getpid(), &file, false));
	close(fd);
	assert_false(holders_has(getpid(), &file, false));
	fd = open(path, O_RDONLY);
	assert_false(holders_has(getpid(), &file, false));
	assert_true(holders_has(getpid(), &file, true));
	close(fd);
}

static void either_number_on_the_same_mount_makes_the_file(void **state)
{
	(void)state;
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	struct holders_file file = file_of(fd), swapped = file, other = file, elsewhere = file;

	swapped.ino[0] = file.ino[1];
	swapped.ino[1] = file.ino[0];
	other.ino[1] = 1;
	elsewhere.mount = holders_mount("/proc");
	assert_true(file.mount > 0 && elsewhere.mount > 0);
	assert_true(holders_has(getpid(), &swapped, false));
	assert_false(holders_has(getpid(), &other, true));
	assert_false(holders_has(getpid(), &elsewhere, true));
	close(fd);
	assert_int_equal(holders_mount("/nosuch"), -1);
}

static void an_unlinked_file_is_still_held(void **state)
{
	(void)state;
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	struct holders_file file = file_of(fd);

	unlink(path);
	assert_true(holders_has(getpid(), &file, false));
	close(fd);
}

static void another_process_that_inherited_it_holds_it(void **state)
{
	(void)state;
	int ends[2], fd = open(path, O_WRONLY | O_CREAT, 0600);
	struct holders_file file = file_of(fd);
	char byte;

	assert_int_equal(pipe(ends), 0);
	assert_false(holders_others(getpid(), &file));
	pid_t child = fork();
	if (child == 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) < 0);
	}
	close(fd);
	assert_true(holders_others(getpid(), &file));
	close(ends[0]);
	close(ends[1]);
	waitpid(child, NULL, 0);
	assert_false(holders_others(getpid(), &file));
}

static void the_process_of_its_first_thread_is_itself(void **state)
{
	(void)state;
	assert_int_equal(holders_process(getpid()), getpid());
	assert_int_equal(holders_process(0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_holds_what_it_opened_for_writing),
		cmocka_unit_test(either_number_on_the_same_mount_makes_the_file),
		cmocka_unit_test(an_unlinked_file_is_still_held),
		cmocka_unit_test(another_process_that_inherited_it_holds_it),
		cmocka_unit_test(the_process_of_its_first_thread_is_itself),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
