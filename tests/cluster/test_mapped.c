/* Mappings: they are of one revision, that of the handle, whatever others do with the file, and none shows another's. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERIAL "consistency=serial"
#define SHOWN_MS 10000
/* Three pages and a bit. */
#define SIZE 13001

static const char *at(const struct cluster *c, int node, const char *name)
{
	return path("%s/%s", c->nodes[node].mount, name);
}

static const char *pages_of(char letter)
{
	static char text[SIZE + 1];
	memset(text, letter, SIZE);
	return text;
}

static bool shows(const char *text, size_t size, char letter)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] != letter)
			return false;
	}
	return true;
}

static int open_at(const struct cluster *c, int node, const char *name)
{
	int fd = open(at(c, node, name), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static const char *map(int fd)
{
	const char *text = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(text, MAP_FAILED);
	return text;
}

static void unmap(const char *text)
{
	munmap((void *)text, SIZE);
}

/* The kernel has to ask for them again. */
static void forget_pages(int fd, const char *text)
{
	assert_int_equal(madvise((void *)text, SIZE, MADV_DONTNEED), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static void assert_reads(int fd, off_t from, char letter)
{
	static char text[SIZE + 1];
	assert_int_equal(pread(fd, text, sizeof(text), from), SIZE - from);
	assert_true(shows(text, (size_t)(SIZE - from), letter));
}

/* Reading from the start once more, or on at the end, asks for what is there now. What fills a mapping's pages asks for nothing. */
static void a_mapping_is_of_what_its_handle_reads(void **state)
{
	(void)state;
	char end;
	struct cluster *c = cluster_up(2, NULL);
	assert_int_equal(file_write(at(c, 0, "f"), pages_of('a')), 0);
	int fd = open_at(c, 1, "f");
	assert_reads(fd, 0, 'a');
	assert_int_equal(pread(fd, &end, 1, SIZE), 0);
	assert_int_equal(file_write(at(c, 0, "f"), pages_of('b')), 0);
	const char *text = map(fd);
	assert_true(shows(text + 8192, SIZE - 8192, 'a'));
	assert_true(shows(text, SIZE, 'a'));
	assert_reads(fd, 1, 'a');
	unmap(text);
	close(fd);
	/* Nor is it a first look at the start. */
	fd = open_at(c, 1, "f");
	text = map(fd);
	assert_true(shows(text, SIZE, 'b'));
	assert_int_equal(file_write(at(c, 0, "f"), pages_of('c')), 0);
	assert_reads(fd, 0, 'b');
	assert_reads(fd, 0, 'c');
	/* That moved the handle, but not what is mapped of it. */
	forget_pages(fd, text);
	assert_true(shows(text, SIZE, 'b'));
	unmap(text);
	close(fd);
}

/* A descriptor leads to the node that it is of, and to no other. */
static void a_mapped_file_can_be_opened_by_a_descriptor(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(2, NULL);
	assert_int_equal(file_write(at(c, 0, "f"), pages_of('a')), 0);
	int fd = open_at(c, 1, "f");
	const char *text = map(fd);
	assert_true(shows(text, SIZE, 'a'));
	assert_int_equal(file_write(at(c, 0, "f"), pages_of('b')), 0);
	for (int i = 0; i < 3; i++) {
		int again = open(path("/proc/self/fd/%d", fd), O_RDONLY | O_CLOEXEC);
		assert_true(again >= 0);
		assert_reads(again, 0, 'b');
		close(again);
	}
	/* But a path goes by it. */
	int other = open_at(c, 1, "f");
	const char *new = map(other);
	assert_true(shows(new, SIZE, 'b'));
	assert_true(shows(text, SIZE, 'a'));
	unmap(new);
	close(other);
	assert_int_equal(rename(at(c, 0, "f"), at(c, 0, "g")), 0);
	assert_int_equal(open(at(c, 1, "f"), O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	unmap(text);
	close(fd);
}

/* A handle that goes on in what was added, and is mapped again. */
static void a_file_that_grows_is_mapped_again(void **state)
{
	(void)state;
	char added[2];
	struct cluster *c = cluster_up(2, NULL);
	assert_int_equal(file_write(at(c, 0, "f"), "some"), 0);
	int fd = open_at(c, 1, "f");
	const char *text = map(fd);
	assert_string_equal(text, "some");
	assert_int_equal(pread(fd, added, 2, 4), 0);
	assert_int_equal(file_append(at(c, 0, "f"), "+a"), 0);
	assert_int_equal(pread(fd, added, 2, 4), 2);
	unmap(text);
	text = map(fd);
	assert_string_equal(text, "some+a");
	unmap(text);
	close(fd);
}

struct content {
	const char *name;
	char letter;
};

static bool has_content(void *ctx)
{
	const struct content *s = ctx;
	char first = 0;
	int fd = open(s->name, O_RDONLY | O_CLOEXEC);
	bool has = fd >= 0 && pread(fd, &first, 1, 0) == 1 && first == s->letter;
	if (fd >= 0)
		close(fd);
	return has;
}

static void revisions_are_mapped_side_by_side(const char *options, int writer)
{
	static const char letters[] = "abcd";
	const char *maps[4];
	struct stat first, st;
	struct cluster *c = cluster_up(2, options);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(file_write(at(c, writer, "f"), pages_of(letters[i])), 0);
		cluster_agree(c);
		assert_true(wait_until(has_content, &(struct content){at(c, 1, "f"), letters[i]}, SHOWN_MS));
		int fd = open_at(c, 1, "f");
		assert_int_equal(fstat(fd, &st), 0);
		maps[i] = map(fd);
		assert_true(shows(maps[i], SIZE, letters[i]));
		assert_reads(fd, 0, letters[i]);
		close(fd);
		/* Pages that a process has looked at may be asked for again. */
		for (int k = 0; k <= i; k++) {
			assert_int_equal(madvise((void *)maps[k], SIZE, MADV_DONTNEED), 0);
			assert_true(shows(maps[k], SIZE, letters[k]));
		}
		if (i == 0)
			first = st;
		assert_int_equal(st.st_ino, first.st_ino);
		assert_int_equal(stat(at(c, 1, "f"), &st), 0);
		assert_int_equal(st.st_ino, first.st_ino);
	}
	/* It goes on being one file. */
	assert_int_equal(rename(at(c, 1, "f"), at(c, 1, "g")), 0);
	assert_true(has_content(&(struct content){at(c, 1, "g"), 'd'}));
	assert_int_equal(access(at(c, 1, "f"), F_OK), -1);
	assert_int_equal(unlink(at(c, 1, "g")), 0);
	assert_int_equal(access(at(c, 1, "g"), F_OK), -1);
	for (int k = 0; k < 4; k++) {
		assert_int_equal(madvise((void *)maps[k], SIZE, MADV_DONTNEED), 0);
		assert_true(shows(maps[k], SIZE, letters[k]));
		unmap(maps[k]);
	}
}

static void revisions_are_mapped_side_by_side_on_a_linearizable_mount(void **state)
{
	(void)state;
	revisions_are_mapped_side_by_side(NULL, 0);
}

static void and_if_that_mount_writes_them(void **state)
{
	(void)state;
	revisions_are_mapped_side_by_side(NULL, 1);
}

static void revisions_are_mapped_side_by_side_on_a_serial_mount(void **state)
{
	(void)state;
	revisions_are_mapped_side_by_side(SERIAL, 0);
}

static void and_if_a_serial_mount_writes_them(void **state)
{
	(void)state;
	revisions_are_mapped_side_by_side(SERIAL, 1);
}

/* --- programs --- */

static void run_ok(const char *script)
{
	struct run_result r;
	run_shell(&r, "%s", script);
	if (r.status != 0)
		cluster_fail("%s: status %d; %s", script, r.status, r.err);
	run_done(&r);
}

static void install_program(const struct cluster *c, const char *program)
{
	run_ok(path("cp %s %s && chmod 755 %s", program, at(c, 0, "program"), at(c, 0, "program")));
}

struct beats {
	char log[192];
	off_t heard;
};

static bool beats(void *ctx)
{
	struct beats *b = ctx;
	struct stat st;
	return stat(b->log, &st) == 0 && st.st_size > b->heard;
}

static void assert_runs(const struct cluster *c)
{
	struct beats b;
	struct stat st;
	snprintf(b.log, sizeof(b.log), "%s/beats", c->dir);
	b.heard = stat(b.log, &st) == 0 ? st.st_size : 0;
	if (!wait_until(beats, &b, SHOWN_MS))
		cluster_fail("the program does not go on");
}

/* Another node puts a new version over a program that runs here, which it may, as it does not know. (A shorter one would be the end of it: what is cut from a
 * file is cut from its mappings.) */
static void a_program_runs_on_while_its_file_is_written_over(void **state)
{
	int status;
	(void)state;
	struct cluster *c = cluster_up(2, NULL);
	install_program(c, "/bin/dash");
	const char *const argv[] = {at(c, 1, "program"), "-c",
				    "trap 'exec /proc/self/exe -c \"exit 7\"' TERM; while :; do echo beat; sleep 0.02; done", NULL};
	int pid = run_spawn(argv, path("%s/beats", c->dir));
	assert_true(pid > 0);
	assert_runs(c);
	install_program(c, "/bin/bash");
	/* Many at once, none of which has looked the name up again. */
	run_ok(path("test $(for i in 1 2 3 4 5 6 7 8; do %s -c 'echo new' & done | grep -c new) = 8", at(c, 1, "program")));
	assert_runs(c);
	for (int i = 0; i < 3; i++) {
		run_ok(path("test \"$(%s -c 'echo new')\" = new", at(c, 1, "program")));
		assert_runs(c);
	}
	/* It starts itself anew. */
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_true(run_wait(pid, SHOWN_MS, &status));
	assert_int_equal(status, 7);
	unlink(path("%s/beats", c->dir));
}

#define TEST(body) cmocka_unit_test_teardown(body, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mapping_is_of_what_its_handle_reads), TEST(a_mapped_file_can_be_opened_by_a_descriptor),
		TEST(a_file_that_grows_is_mapped_again),     TEST(revisions_are_mapped_side_by_side_on_a_linearizable_mount),
		TEST(and_if_that_mount_writes_them),         TEST(revisions_are_mapped_side_by_side_on_a_serial_mount),
		TEST(and_if_a_serial_mount_writes_them),     TEST(a_program_runs_on_while_its_file_is_written_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
