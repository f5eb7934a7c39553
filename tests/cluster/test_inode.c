/* Inode numbers: the same from open(2) on, on all nodes, and for one file each. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 600 /* more than a mount is given at a time, twice */

static ino_t number_of(int fd)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static ino_t number_at(const char *name)
{
	struct stat st;
	assert_int_equal(lstat(name, &st), 0);
	return st.st_ino;
}

static int by_value(const void *a, const void *b)
{
	ino_t x = *(const ino_t *)a, y = *(const ino_t *)b;
	return (x > y) - (x < y);
}

/* From its first fstat on to what the other nodes say. */
static ino_t a_file_keeps_its_number(struct cluster *c, int node, const char *name, int flags)
{
	const char *m = c->nodes[node].mount;
	int fd = open(path("%s/%s", m, name), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	assert_true(fd >= 0);
	ino_t number = number_of(fd);
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_equal(number_of(fd), number);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(number_of(fd), number);
	assert_int_equal(number_at(path("%s/%s", m, name)), number);
	assert_int_equal(close(fd), 0);
	cluster_agree(c);
	for (int i = 0; i < c->count; i++)
		assert_int_equal(number_at(path("%s/%s", c->nodes[i].mount, name)), number);
	return number;
}

static void numbers_are_kept_and_never_shared(struct cluster *c)
{
	static ino_t all[MANY + 8];
	size_t count = 0;

	all[count++] = a_file_keeps_its_number(c, 0, "plain", 0);
	all[count++] = a_file_keeps_its_number(c, 0, "exclusive", O_EXCL);
	all[count++] = a_file_keeps_its_number(c, c->count - 1, "truncated", O_TRUNC);
	assert_int_equal(mkdir(path("%s/dir", c->nodes[0].mount), 0755), 0);
	all[count++] = number_at(path("%s/dir", c->nodes[0].mount));
	for (int i = 0; i < MANY; i++) {
		const char *name = path("%s/dir/f%d", c->nodes[i % c->count].mount, i);
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		all[count] = number_of(fd);
		assert_int_equal(write(fd, "x", 1), 1);
		assert_int_equal(close(fd), 0);
		assert_int_equal(number_at(name), all[count++]);
	}
	/* What is deleted takes its number along. */
	assert_int_equal(unlink(path("%s/plain", c->nodes[0].mount)), 0);
	all[count++] = a_file_keeps_its_number(c, 0, "plain", 0);
	qsort(all, count, sizeof(*all), by_value);
	for (size_t i = 1; i < count; i++)
		assert_true(all[i] != all[i - 1]);
	assert_true(all[count - 1] < 1 << 20);
}

/* tar makes links that lead out of its tree last, in place of files that it knows by their numbers. */
static void tar_brings_back_links(struct cluster *c)
{
	struct run_result r;
	run_shell(
		&r,
		"cd %s && mkdir tree && ln -s /etc/passwd tree/absolute && ln -s ../../up tree/up && echo x >tree/file && tar cf - tree | "
		"(mkdir out && tar xf - -C out) && cd out/tree && readlink absolute up && cat file",
		c->nodes[0].mount);
	assert_string_equal(r.err, "");
	assert_string_equal(r.out, "/etc/passwd\n../../up\nx\n");
	run_done(&r);
}

static void on_one_node(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	numbers_are_kept_and_never_shared(c);
	tar_brings_back_links(c);
	/* A new boot is given new ones. */
	assert_int_equal(node_end(c, 0), 0);
	node_start(c, 0);
	ino_t number = a_file_keeps_its_number(c, 0, "later", 0);
	assert_true(number != number_at(path("%s/plain", c->nodes[0].mount)));
}

static void on_three_serial_nodes(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "consistency=serial");
	numbers_are_kept_and_never_shared(c);
	tar_brings_back_links(c);
}

static void on_three_linearizable_nodes(void **state)
{
	(void)state;
	numbers_are_kept_and_never_shared(cluster_up(3, NULL));
}

#define TEST(body) cmocka_unit_test_teardown(body, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(on_one_node),
		TEST(on_three_serial_nodes),
		TEST(on_three_linearizable_nodes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
