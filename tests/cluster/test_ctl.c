/* tallyctl as a user or a script meets it: what it prints, and its exit status. */
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

/* Runs tallyctl against the first node's DATA and expects its exit status and, unless `out` is NULL, exactly this on stdout. A status other
 * than 0 must come with one line on stderr. */
#define expect(c, status_wanted, out_wanted, ...)                                                                                          \
	do {                                                                                                                               \
		struct run_result r_;                                                                                                      \
		tallyctl(c, 0, &r_, __VA_ARGS__, NULL);                                                                                    \
		check_result(&r_, __LINE__, status_wanted, out_wanted);                                                                    \
	} while (0)

static void check_result(struct run_result *r, int line, int status, const char *out)
{
	const char *end = strchr(r->err, '\n');
	bool one_line = end && end[1] == '\0';
	if (r->status != status || (out && strcmp(r->out, out) != 0) || (status == 0 ? r->err_size != 0 : !one_line))
		cluster_fail("line %d: status %d, said: %s, and on stderr: %s", line, r->status, r->out, r->err);
	run_done(r);
}

static void keys_and_files_are_the_same_thing(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	expect(c, 0, NULL, "put", "config/app", "one");
	assert_true(file_is(path("%s/config/app", m), "one"));
	assert_int_equal(file_write(path("%s/config/app", m), "two\n"), 0);
	expect(c, 0, "two\n", "get", "config/app");
	expect(c, 0, "one", "get", "config/app", "--rev", path("%d", (int)node_number(c, 0, "revision") - 1));
	expect(c, 0, NULL, "del", "config/app");
	assert_int_equal(try_open(path("%s/config/app", m), O_RDONLY), -ENOENT);
	assert_int_equal(rmdir(path("%s/config", m)), 0);
}

static void prefixes_limits_and_counts(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	expect(c, 0, NULL, "put", "d/a", "1");
	expect(c, 0, NULL, "put", "d/b", "2");
	expect(c, 0, NULL, "put", "d/sub/c", "3");
	expect(c, 0, NULL, "put", "dx", "4");
	expect(c, 0, "d/a\n1\nd/b\n2\nd/sub/c\n3\n", "get", "d/", "--prefix");
	expect(c, 0, "d/a\nd/b\n", "get", "d/", "--prefix", "--keys-only", "--limit", "2");
	expect(c, 0, "4\n", "get", "d", "--prefix", "--count-only");
	expect(c, 0, "2", "get", "d/b", "--consistency", "serial");
	expect(c, 0, "2", "get", "d/b", "--consistency", "linearizable");
	expect(c, 0, NULL, "del", "d/", "--prefix");
	expect(c, 0, "dx\n", "get", "d", "--prefix", "--keys-only");
}

static void a_history_tells_puts_and_deletes(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct run_result r;
	expect(c, 0, NULL, "put", "k", "1");
	int first = (int)node_number(c, 0, "revision");
	expect(c, 0, NULL, "put", "k", "22");
	expect(c, 0, NULL, "del", "k");
	tallyctl(c, 0, &r, "history", "k", NULL);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, path("%d put 1 ", first)));
	assert_non_null(strstr(r.out, path("%d put 2 ", first + 1)));
	assert_non_null(strstr(r.out, path("%d delete\n", first + 2)));
	run_done(&r);
}

static void each_kind_of_failure_has_its_exit_status(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct run_result r;
	expect(c, 0, NULL, "put", "dir/f", "x");
	expect(c, 1, "", "get", "nosuch");
	expect(c, 1, "", "history", "nosuch");
	expect(c, 1, "", "get", "dir/f", "--rev", "1000000");
	expect(c, 1, "", "put", "dir", "x");
	expect(c, 1, "", "put", "dir/f/below", "x");
	expect(c, 1, "", "put", "a//b", "x");
	expect(c, 1, "", "put", "/a", "x");
	expect(c, 1, "", "put", "../a", "x");
	expect(c, 1, "", "put", "k@12", "x");
	expect(c, 2, "", "frobnicate");
	expect(c, 2, "", "get");
	expect(c, 2, "", "get", "k", "--rev", "soon");
	expect(c, 2, "", "get", "k", "--nonsense");
	expect(c, 2, "", "--balance", "dice", "get", "k");
	const char *const nobody[] = {
		tallyctl_binary(), "--endpoints", path("127.0.0.1:%d", free_port()), "--timeout", "300ms", "get", "k", NULL};
	run_command(&r, nobody, NULL, 0, CLUSTER_WAIT_MS);
	assert_true(r.seconds < 2);
	check_result(&r, __LINE__, 3, "");
}

static void large_values_pass_in_both_directions(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	struct run_result r;
	size_t size = 5000000;
	char *value = malloc(size);
	assert_non_null(value);
	srandom(5);
	for (size_t i = 0; i < size; i++)
		value[i] = (char)random();
	const char *const put[] = {tallyctl_binary(), "--endpoints", c->nodes[0].data, "put", "big", "-", NULL};
	run_command(&r, put, value, size, CLUSTER_WAIT_MS);
	check_result(&r, __LINE__, 0, NULL);
	for (int i = 0; i < 3; i++) {
		tallyctl(c, i, &r, "get", "big", NULL);
		assert_int_equal(r.status, 0);
		assert_int_equal(r.out_size, size);
		assert_memory_equal(r.out, value, size);
		run_done(&r);
	}
	size_t got;
	char *file = file_load(path("%s/big", c->nodes[1].mount), &got);
	assert_non_null(file);
	assert_int_equal(got, size);
	assert_memory_equal(file, value, size);
	free(file);
	free(value);
}

static void status_and_health_answer_without_a_quorum(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(3, "timeout=1s");
	struct run_result r;
	c->nodes[0].client_port = free_port();
	cluster_start(c);
	expect(c, 0, NULL, "put", "k", "v");
	expect(c, 0, NULL, "endpoint", "health");
	const char *const tcp[] = {tallyctl_binary(), "--endpoints", path("127.0.0.1:%d", c->nodes[0].client_port), "get", "k", NULL};
	run_command(&r, tcp, NULL, 0, CLUSTER_WAIT_MS);
	check_result(&r, __LINE__, 0, "v");
	cluster_agree(c);
	node_kill(c, 1);
	node_kill(c, 2);
	tallyctl(c, 0, &r, "endpoint", "status", NULL);
	assert_int_equal(r.status, 0);
	assert_non_null(strstr(r.out, "name: n1\n"));
	assert_true(r.seconds < 1);
	run_done(&r);
	expect(c, 0, "v", "get", "k", "--consistency", "serial");
	expect(c, 3, "", "get", "k");
	expect(c, 3, "", "put", "k", "w");
	tallyctl(c, 0, &r, "endpoint", "health", NULL);
	assert_int_not_equal(r.status, 0);
	run_done(&r);
}

/* How fast this machine is now says nothing: only what is said, and that nothing is left behind. */
static void a_check_of_the_speed_tells_its_figures_and_cleans_up(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct run_result r;
	expect(c, 0, NULL, "put", "mine", "x");
	tallyctl(c, 0, &r, "check", "perf", NULL);
	assert_true(r.status == 0 || r.status == 1);
	assert_non_null(strstr(r.out, ": Throughput is "));
	assert_non_null(strstr(r.out, ": Slowest request took "));
	assert_non_null(strstr(r.out, "PASS: 0 requests failed\n"));
	assert_non_null(strstr(r.out, r.status == 0 ? "\nPASS\n" : "\nFAIL\n"));
	run_done(&r);
	expect(c, 0, "mine\n", "get", "", "--prefix", "--keys-only");
	assert_int_equal(node_number(c, 0, "keys"), 1);
	expect(c, 2, "", "check", "speed");
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(keys_and_files_are_the_same_thing),
		STORY(prefixes_limits_and_counts),
		STORY(a_history_tells_puts_and_deletes),
		STORY(each_kind_of_failure_has_its_exit_status),
		STORY(a_check_of_the_speed_tells_its_figures_and_cleans_up),
		STORY(large_values_pass_in_both_directions),
		STORY(status_and_health_answer_without_a_quorum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
