/* Files that grow while they are open: tail -f and tail -F, what that costs, and that nobody sees a mix. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERIAL "consistency=serial"
#define SHOWN_MS 10000

static const char *at(const struct cluster *c, int node, const char *name)
{
	return path("%s/%s", c->nodes[node].mount, name);
}

/* --- tail(1) --- */

struct tail {
	int pid;
	char log[160];
	char expected[300000];
};

static bool has_told(void *ctx)
{
	const struct tail *t = ctx;
	size_t size;
	char *told = file_load(t->log, &size);
	bool all = told && strcmp(told, t->expected) == 0;
	free(told);
	return all;
}

static void assert_tells(struct tail *t)
{
	static char text[4096];
	if (wait_until(has_told, t, SHOWN_MS))
		return;
	file_read(t->log, text, sizeof(text));
	cluster_fail("tail does not say what was expected, but \"%s\"", text);
}

/* `how` is -f or -F. What is there at the start is told by the time of the return. */
static struct tail *tail_start(const struct cluster *c, const char *how, const char *name, const char *text)
{
	static struct tail t;
	const char *const argv[] = {"sh",  "-c", "exec tail -n +1 -s 0.02 --max-unchanged-stats=1 \"$0\" \"$1\" 2>\"$2.errors\"", how, name,
				    t.log, NULL};
	snprintf(t.log, sizeof(t.log), "%s/tail%s", c->dir, how);
	snprintf(t.expected, sizeof(t.expected), "%s", text);
	t.pid = run_spawn(argv, t.log);
	assert_true(t.pid > 0);
	assert_tells(&t);
	return &t;
}

static void tail_end(struct tail *t)
{
	int status;
	assert_int_equal(kill(t->pid, SIGTERM), 0);
	assert_true(run_wait(t->pid, SHOWN_MS, &status));
	assert_int_equal(status, 128 + SIGTERM);
	unlink(t->log);
}

static void assert_goes_on(struct tail *t, const char *text)
{
	size_t size = strlen(t->expected);
	snprintf(t->expected + size, sizeof(t->expected) - size, "%s", text);
	assert_tells(t);
}

static void append(struct tail *t, const char *name, const char *text)
{
	assert_int_equal(file_append(name, text), 0);
	assert_goes_on(t, text);
}

/* Lines of 4,000 bytes, so that a file grows out of its record and from block to block. */
static const char *long_line(int i)
{
	static char line[4002];
	memset(line, 'a' + i % 26, 4000);
	line[4000] = '\n';
	return line;
}

static void a_file_that_grows_is_followed(struct cluster *c, int reader, int writer)
{
	assert_int_equal(file_write(at(c, writer, "log"), ""), 0);
	cluster_agree(c);
	struct tail *t = tail_start(c, "-f", at(c, reader, "log"), "");
	append(t, at(c, writer, "log"), "from nothing\n");
	append(t, at(c, writer, "log"), "in ");
	append(t, at(c, writer, "log"), "two\n");
	append(t, at(c, reader, "log"), "on the reader's own mount\n");
	for (int i = 0; i < 12; i++)
		append(t, at(c, i % 2 ? reader : writer, "log"), long_line(i));
	/* One handle that is open all the time. */
	int fd = open(at(c, writer, "log"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(fd, "synced\n", 7), 7);
		assert_int_equal(fsync(fd), 0);
		assert_goes_on(t, "synced\n");
	}
	close(fd);
	/* It keeps its name in the end, or gets another. */
	assert_int_equal(rename(at(c, writer, "log"), at(c, writer, "log.1")), 0);
	append(t, at(c, writer, "log.1"), "by another name\n");
	assert_int_equal(chmod(at(c, reader, "log.1"), 0600), 0);
	append(t, at(c, writer, "log.1"), "with other attributes\n");
	tail_end(t);
}

static void a_name_is_followed(struct cluster *c, int reader, int writer)
{
	assert_int_equal(file_write(at(c, writer, "name"), "the first file\n"), 0);
	cluster_agree(c);
	struct tail *t = tail_start(c, "-F", at(c, reader, "name"), "the first file\n");
	append(t, at(c, writer, "name"), "its second line\n");
	assert_int_equal(rename(at(c, writer, "name"), at(c, writer, "name.1")), 0);
	append(t, at(c, writer, "name"), "the second file\n");
	append(t, at(c, writer, "name"), "and more of it\n");
	/* Savers write a new file and rename it over the old one. */
	assert_int_equal(file_write(at(c, writer, "name.new"), "the third file\n"), 0);
	assert_int_equal(rename(at(c, writer, "name.new"), at(c, writer, "name")), 0);
	assert_goes_on(t, "the third file\n");
	append(t, at(c, writer, "name"), "has a second line as well\n");
	tail_end(t);
}

static void a_file_that_is_cut_is_followed(struct cluster *c, int reader, int writer)
{
	assert_int_equal(file_write(at(c, writer, "cut"), "what was in it before\n"), 0);
	cluster_agree(c);
	struct tail *t = tail_start(c, "-f", at(c, reader, "cut"), "what was in it before\n");
	assert_int_equal(truncate(at(c, writer, "cut"), 0), 0);
	append(t, at(c, writer, "cut"), "after the cut\n");
	append(t, at(c, writer, "cut"), "and on\n");
	tail_end(t);
}

static void tail_works_on_one_linearizable_mount(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	a_file_that_grows_is_followed(c, 0, 0);
	a_name_is_followed(c, 0, 0);
	a_file_that_is_cut_is_followed(c, 0, 0);
}

static void tail_works_on_one_serial_mount(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, SERIAL);
	a_file_that_grows_is_followed(c, 0, 0);
	a_name_is_followed(c, 0, 0);
}

static void tail_works_among_three_linearizable_mounts(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	a_file_that_grows_is_followed(c, 2, 0);
	a_name_is_followed(c, 1, 2);
	a_file_that_is_cut_is_followed(c, 0, 1);
}

static void tail_works_among_three_serial_mounts(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, SERIAL);
	a_file_that_grows_is_followed(c, 2, 0);
	a_name_is_followed(c, 1, 2);
}

/* --- handles --- */

static void assert_next(int fd, const char *text)
{
	char got[256];
	assert_int_equal(read(fd, got, sizeof(got)), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static int open_at(const struct cluster *c, int node, const char *name)
{
	int fd = open(at(c, node, name), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void a_handle_reads_to_its_end_first_and_then_what_was_added(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	assert_int_equal(file_write(at(c, 0, "f"), "opened"), 0);
	int fd = open_at(c, 1, "f");
	assert_int_equal(file_append(at(c, 2, "f"), "+added"), 0);
	assert_next(fd, "opened");
	assert_next(fd, "");
	/* From here on each read at the end sees what was added before it. */
	assert_next(fd, "+added");
	for (int i = 0; i < rounds(20); i++) {
		assert_int_equal(file_append(at(c, i % 3, "f"), "+more"), 0);
		assert_next(fd, "+more");
	}
	assert_next(fd, "");
	assert_int_equal(unlink(at(c, 2, "f")), 0);
	assert_next(fd, "");
	close(fd);
}

static void a_handle_does_not_go_on_in_what_was_written_anew(void **state)
{
	char got[64] = "";
	(void)state;
	struct cluster *c = cluster_up(2, NULL);
	assert_int_equal(file_write(at(c, 0, "f"), "the old text"), 0);
	int fd = open_at(c, 1, "f");
	assert_next(fd, "the old text");
	assert_next(fd, "");
	assert_int_equal(file_write(at(c, 0, "f"), "The old text is another one"), 0);
	assert_next(fd, "");
	assert_int_equal(pread(fd, got, 4, 4), 4);
	assert_string_equal(got, "old ");
	assert_int_equal(file_append(at(c, 0, "f"), ", and longer"), 0);
	assert_next(fd, "");
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_next(fd, "The old text is another one, and longer");
	assert_next(fd, "");
	assert_int_equal(file_append(at(c, 0, "f"), "."), 0);
	assert_next(fd, ".");
	close(fd);
}

struct sized {
	int fd;
	off_t size;
};

static bool has_size(void *ctx)
{
	const struct sized *s = ctx;
	struct stat st;
	return fstat(s->fd, &st) == 0 && st.st_size == s->size;
}

static void handles_and_mappings_of_a_serial_mount_grow_together(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(2, SERIAL);
	assert_int_equal(file_write(at(c, 0, "f"), "opened"), 0);
	cluster_agree(c);
	int fd = open_at(c, 1, "f");
	const char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_string_equal(map, "opened");
	assert_next(fd, "opened");
	assert_next(fd, "");
	assert_int_equal(file_append(at(c, 0, "f"), "+added"), 0);
	assert_true(wait_until(has_size, &(struct sized){fd, 12}, SHOWN_MS));
	assert_string_equal(map, "opened+added");
	assert_next(fd, "+added");
	assert_int_equal(file_append(at(c, 1, "f"), "+here"), 0);
	assert_true(wait_until(has_size, &(struct sized){fd, 17}, SHOWN_MS));
	assert_string_equal(map, "opened+added+here");
	assert_next(fd, "+here");
	/* No addition: all stays. */
	assert_int_equal(file_write(at(c, 0, "f"), "written anew, and longer than before"), 0);
	cluster_agree(c);
	assert_true(wait_until(has_size, &(struct sized){open_at(c, 1, "f"), 36}, SHOWN_MS));
	assert_true(has_size(&(struct sized){fd, 17}));
	assert_string_equal(map, "opened+added+here");
	munmap((void *)map, 4096);
	close(fd);
}

/* --- what it costs --- */

static long figure(const struct cluster *c, int node, const char *name)
{
	static char text[256 << 10];
	assert_true(file_read(at(c, node, "@metrics"), text, sizeof(text)) > 0);
	const char *found = strstr(text, name);
	return found ? strtol(found + strlen(name), NULL, 10) : 0;
}

static long rounds_of(const struct cluster *c)
{
	return figure(c, 0, "\ntallyfs_read_barriers_total ");
}

static void a_whole_read_is_one_round_and_each_look_for_more_another(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	assert_int_equal(file_write(at(c, 0, "f"), "text"), 0);
	assert_true(file_is(at(c, 0, "f"), "text"));
	long before = rounds_of(c);
	int fd = open_at(c, 0, "f");
	assert_next(fd, "text");
	assert_next(fd, "");
	assert_int_equal(rounds_of(c), before + 1);
	assert_next(fd, "");
	assert_next(fd, "");
	assert_int_equal(rounds_of(c), before + 3);
	/* Not where the reader knows that there is something. */
	assert_int_equal(lseek(fd, 1, SEEK_SET), 1);
	assert_next(fd, "ext");
	assert_int_equal(rounds_of(c), before + 3);
	close(fd);
}

#define TEST(body) cmocka_unit_test_teardown(body, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tail_works_on_one_linearizable_mount),
		TEST(tail_works_on_one_serial_mount),
		TEST(tail_works_among_three_linearizable_mounts),
		TEST(tail_works_among_three_serial_mounts),
		TEST(a_handle_reads_to_its_end_first_and_then_what_was_added),
		TEST(a_handle_does_not_go_on_in_what_was_written_anew),
		TEST(handles_and_mappings_of_a_serial_mount_grow_together),
		TEST(a_whole_read_is_one_round_and_each_look_for_more_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
