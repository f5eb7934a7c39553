/* tallyctl snapshot: a running store into a file, the file checked, and a node made of it. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITTEN_MAX 100000

struct writing {
	const char *mount;
	atomic_bool over;
	atomic_int done; /* files 0 to done - 1 are there, each with its number as content */
};

static void *keep_writing(void *arg)
{
	struct writing *w = arg;
	for (int n = 0; n < WRITTEN_MAX && !atomic_load(&w->over); n++) {
		if (file_write(path("%s/w/%d", w->mount, n), path("%d", n)) < 0)
			break;
		atomic_store(&w->done, n + 1);
	}
	return NULL;
}

static bool wrote_fifty(void *ctx)
{
	struct writing *w = ctx;
	return atomic_load(&w->done) >= 50;
}

/* Runs tallyctl without a node; gives stdout, or fails the test unless the status is as expected. */
static char *ctl(int status, const char *arguments)
{
	static char out[4096];
	struct run_result r;
	run_shell(&r, "'%s' %s", tallyctl_binary(), arguments);
	if (r.status != status || (status && (r.err_size == 0 || strchr(r.err, '\n') != r.err + r.err_size - 1)))
		cluster_fail("tallyctl %s: status %d, not %d: %s%s", arguments, r.status, status, r.out, r.err);
	snprintf(out, sizeof(out), "%s", status ? r.err : r.out);
	run_done(&r);
	return out;
}

static unsigned long long number_in(const char *text, const char *field)
{
	const char *at = strstr(text, path("%s: ", field));
	if (!at)
		cluster_fail("no %s in: %s", field, text);
	return strtoull(at + strlen(field) + 2, NULL, 10);
}

static void save(struct cluster *c, int node, const char *file)
{
	struct run_result r;
	tallyctl(c, node, &r, "snapshot", "save", file, NULL);
	if (r.status != 0)
		cluster_fail("snapshot save: status %d: %s", r.status, r.err);
	run_done(&r);
}

/* Stops the node and starts it again on other data. */
static void start_on(struct cluster *c, int node, const char *data)
{
	node_end(c, node);
	snprintf(c->nodes[node].data, sizeof(c->nodes[node].data), "%s", data);
	node_start(c, node);
}

static void write_history(const char *mount, const char *large, size_t large_size)
{
	assert_int_equal(mkdir(path("%s/dir", mount), 0750), 0);
	assert_int_equal(file_write(path("%s/dir/a", mount), "one"), 0);
	assert_int_equal(file_write(path("%s/dir/a", mount), "two"), 0);
	assert_int_equal(file_write(path("%s/gone", mount), "it was here"), 0);
	assert_int_equal(unlink(path("%s/gone", mount)), 0);
	assert_int_equal(file_put(path("%s/large", mount), O_TRUNC, large, large_size), 0);
	assert_int_equal(symlink("dir/a", path("%s/link", mount)), 0);
}

static void a_saved_store_is_restored_with_all_keys_and_history(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	size_t large_size = 3000000, got;
	char *large = malloc(large_size);
	for (size_t i = 0; i < large_size; i++)
		large[i] = (char)(i * 2654435761u >> 13);
	write_history(m, large, large_size);
	unsigned long long revision = node_number(c, 0, "revision");
	const char *file = strdup(path("%s/snapshot", c->dir)), *data = strdup(path("%s/restored", c->dir));
	save(c, 0, file);
	const char *said = ctl(0, path("snapshot status %s", file));
	assert_int_equal(number_in(said, "revision"), revision);
	assert_int_equal(number_in(said, "keys"), 4);
	assert_non_null(strstr(said, "checksum: ok\n"));
	unsigned long long old_cluster = node_number(c, 0, "applied_index");
	assert_int_equal(file_write(path("%s/dir/a", m), "after the snapshot"), 0);
	/* An empty directory may be there, for its owner's or its place's sake. */
	assert_int_equal(mkdir(data, 0700), 0);
	assert_int_equal(number_in(ctl(0, path("snapshot restore %s %s", file, data)), "revision"), revision);
	assert_non_null(strstr(ctl(1, path("snapshot restore %s %s", file, data)), "exists"));
	start_on(c, 0, data);
	assert_int_equal(node_number(c, 0, "revision"), revision);
	assert_true(file_is(path("%s/dir/a", m), "two"));
	assert_true(file_is(path("%s/dir/a@-1", m), "one"));
	assert_true(file_is(path("%s/link", m), "two"));
	assert_true(file_is(path("%s/gone@%llu", m, revision - 3), "it was here"));
	char *read = file_load(path("%s/large", m), &got);
	assert_int_equal(got, large_size);
	assert_memory_equal(read, large, got);
	assert_int_equal(file_write(path("%s/dir/a", m), "three"), 0);
	assert_int_equal(node_number(c, 0, "revision"), revision + 1);
	assert_true(node_number(c, 0, "applied_index") > old_cluster);
	node_end(c, 0);
	node_start(c, 0);
	assert_true(file_is(path("%s/dir/a", m), "three"));
	free(read);
	free(large);
	free((char *)file);
	free((char *)data);
}

/* The restored node has the name of the one that wrote, whose operations counted higher: none of its own may be taken for old. */
static void a_snapshot_under_writes_is_one_moment_and_its_node_goes_on_writing(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int leader = cluster_leader(c), from = (leader + 1) % 3;
	struct writing w = {.mount = c->nodes[leader].mount};
	pthread_t thread;
	assert_int_equal(mkdir(path("%s/w", w.mount), 0755), 0);
	assert_int_equal(pthread_create(&thread, NULL, keep_writing, &w), 0);
	bool begun = wait_until(wrote_fifty, &w, CLUSTER_WAIT_MS);
	int before = atomic_load(&w.done);
	save(c, from, path("%s/snapshot", c->dir));
	int after = atomic_load(&w.done);
	atomic_store(&w.over, true);
	pthread_join(thread, NULL);
	assert_true(begun);
	for (int i = 0; i < 3; i++)
		node_end(c, i);
	ctl(0, path("snapshot restore %s/snapshot %s/restored", c->dir, c->dir));
	c->count = 1;
	snprintf(c->nodes[0].data, sizeof(c->nodes[0].data), "%s", path("%s/restored", c->dir));
	cluster_start(c);
	const char *m = c->nodes[0].mount;
	int there = 0;
	while (file_is(path("%s/w/%d", m, there), path("%d", there)))
		there++;
	/* The one under way may be in, published or not yet. */
	if (there < before || there > after + 1)
		cluster_fail("%d files are in the snapshot; %d were there before it, %d after it", there, before, after);
	assert_int_equal(access(path("%s/w/%d", m, there + 1), F_OK), -1);
	for (int n = 0; n < 5; n++)
		assert_int_equal(file_write(path("%s/new%d", m, n), "x"), 0);
	c->count = 3;
}

static void a_changed_file_is_refused_with_one_line(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	size_t size;
	assert_int_equal(file_write(path("%s/a", c->nodes[0].mount), "1"), 0);
	const char *file = path("%s/snapshot", c->dir);
	save(c, 0, file);
	char *bytes = file_load(file, &size);
	bytes[size / 2] ^= 1;
	assert_int_equal(file_put(file, O_TRUNC, bytes, size), 0);
	assert_non_null(strstr(ctl(1, path("snapshot status %s", file)), "is damaged"));
	assert_non_null(strstr(ctl(1, path("snapshot restore %s %s/restored", file, c->dir)), "is damaged"));
	assert_int_equal(access(path("%s/restored", c->dir), F_OK), -1);
	bytes[size / 2] ^= 1;
	assert_int_equal(file_put(file, O_TRUNC, bytes, size - 5), 0);
	assert_non_null(strstr(ctl(1, path("snapshot status %s", file)), "cut off"));
	assert_non_null(strstr(ctl(1, "snapshot status /nowhere"), "No such file"));
	ctl(2, "snapshot status");
	free(bytes);
}

static void without_a_majority_a_serial_snapshot_can_still_be_had(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=1s");
	struct run_result r;
	assert_int_equal(file_write(path("%s/a", c->nodes[0].mount), "1"), 0);
	cluster_agree(c);
	node_kill(c, 1);
	node_kill(c, 2);
	tallyctl(c, 0, &r, "--timeout", "2s", "snapshot", "save", path("%s/no", c->dir), NULL);
	assert_int_equal(r.status, 3);
	run_done(&r);
	assert_int_equal(access(path("%s/no", c->dir), F_OK), -1);
	assert_int_equal(access(path("%s/no.tmp", c->dir), F_OK), -1);
	tallyctl(c, 0, &r, "snapshot", "save", path("%s/yes", c->dir), "--consistency", "serial", NULL);
	assert_int_equal(r.status, 0);
	assert_int_equal(number_in(r.out, "keys"), 1);
	run_done(&r);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_saved_store_is_restored_with_all_keys_and_history),
		STORY(a_snapshot_under_writes_is_one_moment_and_its_node_goes_on_writing),
		STORY(a_changed_file_is_refused_with_one_line),
		STORY(without_a_majority_a_serial_snapshot_can_still_be_had),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
