/* One node, whole: log, store and threads, without a file system. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct waiting {
	struct store_op op;
	pthread_mutex_t mutex;
	pthread_cond_t done;
	bool over;
};

static char data[128];
static char why[512];

static void wake_waiter(struct store_op *op)
{
	struct waiting *w = (struct waiting *)op;
	pthread_mutex_lock(&w->mutex);
	w->over = true;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->mutex);
}

static struct waiting new_waiting(void)
{
	return (struct waiting){.op = {.done = wake_waiter}, .mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
}

static struct command_result await(struct waiting *w)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&w->mutex);
	while (!w->over)
		assert_int_equal(pthread_cond_timedwait(&w->done, &w->mutex, &until), 0);
	pthread_mutex_unlock(&w->mutex);
	return w->op.result;
}

static struct command_result put(struct store *s, const char *key, const void *value, size_t size)
{
	struct waiting w = new_waiting();
	struct command c = {.type = COMMAND_PUT, .key = {key, strlen(key)}, .value = {value, size}, .truncate_to = COMMAND_NO_TRUNCATE};
	store_submit(s, &c, &w.op);
	return await(&w);
}

static int barrier(struct store *s)
{
	struct waiting w = new_waiting();
	store_barrier(s, &w.op);
	return await(&w).error;
}

static struct store_config one_node(void)
{
	return (struct store_config){.data = data,
				     .name = "n1",
				     .timeout_ns = 30000000000, /* a slow disk is no matter of these stories */
				     .heartbeat_ms = 50,
				     .election_ms = 500,
				     .max_file = 64 << 20,
				     .quota = 1ull << 30};
}

static struct store *start(void)
{
	struct store *s = NULL;
	struct store_config config = one_node();
	int rc = store_open(&config, &s, why, sizeof(why));
	if (rc < 0)
		fail_msg("%s", why);
	return s;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static int new_data(void **state)
{
	(void)state;
	snprintf(data, sizeof(data), "%s/tallyfs-store-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(data) ? 0 : -1;
}

static int remove_data(void **state)
{
	(void)state;
	return nftw(data, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void assert_value(struct store *s, const char *key, const char *value)
{
	struct record r = {0};
	assert_int_equal(mvcc_get(store_mvcc(s), (struct span){key, strlen(key)}, 0, &r), 0);
	assert_int_equal(r.size, strlen(value));
	assert_memory_equal(r.data.data, value, r.size);
	record_done(&r);
}

static void what_was_put_is_there_after_a_barrier_and_after_a_restart(void **state)
{
	struct store *s = start();
	(void)state;

	struct command_result first = put(s, "config/app", "one", 3);
	assert_int_equal(first.error, 0);
	assert_int_equal(put(s, "config/app", "two", 3).revision, first.revision + 1);
	assert_int_equal(barrier(s), 0);
	assert_value(s, "config/app", "two");
	store_close(s);
	s = start();
	assert_int_equal(barrier(s), 0);
	assert_value(s, "config/app", "two");
	assert_int_equal(mvcc_revision(store_mvcc(s)), first.revision + 1);
	store_close(s);
}

static void a_value_larger_than_an_entry_is_staged_and_one_revision(void **state)
{
	size_t size = 5 << 20;
	uint8_t *value = malloc(size), *back = malloc(size);
	struct store *s = start();
	struct record r = {0};
	(void)state;

	for (size_t i = 0; i < size; i++)
		value[i] = (uint8_t)(i * 2654435761u >> 13);
	uint64_t before = mvcc_revision(store_mvcc(s));
	assert_int_equal(put(s, "large", value, size).error, 0);
	assert_int_equal(mvcc_revision(store_mvcc(s)), before + 1);
	assert_int_equal(mvcc_get(store_mvcc(s), (struct span){"large", 5}, 0, &r), 0);
	assert_int_equal(r.size, size);
	assert_int_equal(mvcc_read(store_mvcc(s), &r, 0, back, size), size);
	assert_memory_equal(back, value, size);
	record_done(&r);
	store_close(s);
	free(value);
	free(back);
}

/* The large write takes a place in the window of sequences at its start; 300 small ones at a time would fill it many times meanwhile. */
static void small_writes_go_on_beside_a_large_one(void **state)
{
	size_t size = 48 << 20;
	struct store *s = start();
	struct waiting large = new_waiting(), *small = calloc(300, sizeof(*small));
	struct command c = {.type = COMMAND_PUT, .key = {"large", 5}, .value = {calloc(1, size), size}, .truncate_to = COMMAND_NO_TRUNCATE};
	struct command tiny = {.type = COMMAND_PUT, .key = {"small", 5}, .value = {"x", 1}, .truncate_to = COMMAND_NO_TRUNCATE};
	(void)state;

	store_submit(s, &c, &large.op);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 300; i++) {
			small[i] = new_waiting();
			store_submit(s, &tiny, &small[i].op);
		}
		for (int i = 0; i < 300; i++)
			assert_int_equal(await(&small[i]).error, 0);
	}
	assert_int_equal(await(&large).error, 0);
	store_close(s);
	free(small);
	free((void *)(uintptr_t)c.value.data);
}

static void a_value_over_max_file_or_quota_is_refused(void **state)
{
	struct store *s = NULL;
	struct store_config config = one_node();
	(void)state;

	config.max_file = 1000;
	config.quota = 2000;
	assert_int_equal(store_open(&config, &s, why, sizeof(why)), 0);
	char *value = calloc(1, 1001);
	assert_int_equal(put(s, "a", value, 1001).error, -EFBIG);
	assert_int_equal(put(s, "a", value, 1000).error, 0);
	assert_int_equal(put(s, "b", value, 1000).error, -ENOSPC);
	free(value);
	store_close(s);
}

static void a_second_daemon_on_the_same_data_is_refused(void **state)
{
	struct store *s = start(), *second = NULL;
	struct store_config config = one_node();
	(void)state;

	assert_int_equal(store_open(&config, &second, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "in use by another tallyfs"));
	store_close(s);
}

static void a_start_that_fails_on_new_data_leaves_it_new(void **state)
{
	struct store *s = NULL;
	struct store_config config = one_node();
	(void)state;

	config.members_count = 2;
	config.members[0] = (struct store_member){"n1", "127.0.0.1:1"};
	config.members[1] = (struct store_member){"n2", "127.0.0.1:2"};
	config.listen = "no-such-host.invalid:1";
	assert_true(store_open(&config, &s, why, sizeof(why)) < 0);
	assert_true(strlen(why) > 0);
	store_close(start()); /* as a cluster of one now */
}

static void a_name_that_is_not_a_member_is_refused(void **state)
{
	struct store *s = NULL;
	struct store_config config = one_node();
	(void)state;

	config.name = "n9";
	config.members_count = 1;
	config.members[0] = (struct store_member){"n1", "127.0.0.1:1"};
	assert_int_equal(store_open(&config, &s, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "name=n9"));
}

static void a_log_that_lags_behind_its_store_is_refused(void **state)
{
	struct store *s = start();
	struct store_config config = one_node();
	char from[256], to[256];
	(void)state;

	put(s, "a", "1", 1);
	store_close(s);
	snprintf(from, sizeof(from), "%s/wal", data);
	snprintf(to, sizeof(to), "%s/wal.old", data);
	assert_int_equal(rename(from, to), 0);
	s = NULL;
	assert_int_equal(store_open(&config, &s, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "put the latest of both back"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_put_is_there_after_a_barrier_and_after_a_restart, new_data, remove_data),
		cmocka_unit_test_setup_teardown(a_value_larger_than_an_entry_is_staged_and_one_revision, new_data, remove_data),
		cmocka_unit_test_setup_teardown(small_writes_go_on_beside_a_large_one, new_data, remove_data),
		cmocka_unit_test_setup_teardown(a_value_over_max_file_or_quota_is_refused, new_data, remove_data),
		cmocka_unit_test_setup_teardown(a_second_daemon_on_the_same_data_is_refused, new_data, remove_data),
		cmocka_unit_test_setup_teardown(a_start_that_fails_on_new_data_leaves_it_new, new_data, remove_data),
		cmocka_unit_test_setup_teardown(a_name_that_is_not_a_member_is_refused, new_data, remove_data),
		cmocka_unit_test_setup_teardown(a_log_that_lags_behind_its_store_is_refused, new_data, remove_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
