/* Restarting gives the same store; a file that is not ours is refused with one clear line, and left as it was. */
#include "test_mvcc.h"

#include "base/crc32c.h"
#include "store/mvcc/state.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t dice = 1234567;

static uint64_t roll(void)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice;
}

static int sum_record(void *ctx, const struct record *r)
{
	uint64_t numbers[] = {r->ino,   r->size,       r->version,       r->nlink,        (uint64_t)r->mode, r->stored.main,
			      r->flags, r->stored.sub, r->modified.main, r->created.main, r->modified.sub};
	uint32_t *sum = ctx;
	*sum = crc32c(*sum, numbers, sizeof numbers);
	*sum = crc32c(*sum, r->key.data, r->key.size);
	*sum = crc32c(*sum, r->data.data, r->data.size);
	return 0;
}

/* A fingerprint of all that can be read. */
static uint32_t sum_store(struct fixture *f)
{
	uint32_t sum = 0;
	for (uint64_t rev = 1; rev <= mvcc_revision(f->m); rev += 7) {
		assert_int_equal(mvcc_range(f->m, text(""), text(""), rev, 0, sum_record, &sum), 0);
		const char *list = names(f, "", rev);
		sum = crc32c(sum, list, strlen(list));
	}
	struct mvcc_stats s;
	mvcc_stats(f->m, &s);
	char key[MVCC_KEY_MAX];
	for (uint64_t ino = 1; ino < 600; ino++) {
		int size = mvcc_key_of(f->m, ino, key);
		sum = crc32c(sum, key, size > 0 ? (size_t)size : 0);
	}
	uint64_t numbers[] = {s.keys, s.live_bytes, mvcc_revision(f->m), mvcc_applied(f->m), (uint64_t)mvcc_last_time(f->m)};
	return crc32c(sum, numbers, sizeof numbers);
}

static void random_command(struct fixture *f)
{
	char key[16];
	struct record old = {0};
	snprintf(key, sizeof key, "k%d", (int)(roll() % 60));
	begin(f);
	bool there = mvcc_get(f->m, text(key), 0, &old) == 0;
	record_done(&old);
	if (there && roll() % 3 == 0)
		mvcc_tombstone(f->m, text(key));
	else
		put(f, key, S_IFREG | 0600, "0123456789", roll() % 10);
	end(f);
}

static void a_restart_changes_nothing_that_can_be_read(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 500; i++)
		random_command(f);
	uint32_t before = sum_store(f);
	store_restart(f);
	assert_int_equal(sum_store(f), before);
	begin(f);
	uint64_t ino = mvcc_next_ino(f->m);
	end(f);
	char key[MVCC_KEY_MAX];
	assert_int_equal(mvcc_key_of(f->m, ino, key), -ENOENT);
	uint64_t revision = mvcc_revision(f->m);
	assert_int_equal(put_file(f, "after", "x"), revision + 1);
}

static void the_applied_index_is_durable_after_a_flush_and_never_ahead(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mvcc_durable(f->m), 0);
	for (int i = 0; i < 50; i++) {
		put_file(f, "k", "v");
		assert_true(mvcc_durable(f->m) <= mvcc_applied(f->m));
	}
	assert_int_equal(mvcc_flush(f->m), 0);
	assert_int_equal(mvcc_durable(f->m), 50);
	begin(f); /* nothing changes but the applied index */
	end(f);
	assert_int_equal(mvcc_flush(f->m), 0);
	assert_int_equal(mvcc_durable(f->m), 51);
	store_restart(f);
	assert_int_equal(mvcc_applied(f->m), 51);
	assert_int_equal(mvcc_durable(f->m), 51);
}

static void await_commits(struct fixture *f, uint64_t commits)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	struct mvcc_stats s = {.commits = 0};
	for (int i = 0; i < 10000 && s.commits < commits; i++) {
		nanosleep(&nap, NULL);
		mvcc_stats(f->m, &s);
	}
	assert_int_equal(s.commits, commits);
}

static void the_last_commit_is_not_called_durable_as_a_power_cut_may_undo_it(void **state)
{
	struct fixture *f = *state;
	put_file(f, "a", "1");
	await_commits(f, 1);
	assert_int_equal(mvcc_durable(f->m), 0);
	put_file(f, "a", "2");
	await_commits(f, 2);
	assert_int_equal(mvcc_durable(f->m), 1);
}

static void file_of(const struct fixture *f, char *path, size_t size)
{
	snprintf(path, size, "%s/data.mdb", f->dir);
}

static uint32_t sum_file(const struct fixture *f)
{
	char path[300];
	static uint8_t bytes[1 << 20];
	file_of(f, path, sizeof path);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, bytes, sizeof bytes);
	close(fd);
	return crc32c((uint32_t)n, bytes, n > 0 ? (size_t)n : 0);
}

/* Opening fails like this, says this, and does not change the file. */
static void expect_refusal(struct fixture *f, uint64_t cluster, int error, const char *words)
{
	char why[512] = "";
	char path[300];
	uint32_t before = sum_file(f);
	struct mvcc *untouched = f->m = NULL;
	assert_int_equal(store_try(f, cluster, why, sizeof why), error);
	assert_ptr_equal(f->m, untouched);
	file_of(f, path, sizeof path);
	assert_memory_equal(why, path, strlen(path));
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	assert_null(strchr(why, '\n'));
	assert_int_equal(sum_file(f), before);
}

static void a_store_of_another_cluster_is_refused(void **state)
{
	struct fixture *f = *state;
	put_file(f, "k", "v");
	mvcc_close(f->m);
	expect_refusal(f, CLUSTER + 1, -EBADMSG, "of cluster 0000000000c0ffee, not 0000000000c0ffef");
	store_start(f);
	assert_string_equal(content(f, "k", 0), "v");
}

/* Writes a value over the state, as another program would. */
static void overwrite_state(struct fixture *f, const void *bytes, size_t size)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val key = {6, "sstate"}, value = {size, (void *)bytes};
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 8);
	assert_int_equal(mdb_env_open(env, f->dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "metas", MDB_CREATE, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void a_store_of_another_format_is_refused(void **state)
{
	struct fixture *f = *state;
	mvcc_close(f->m);
	overwrite_state(f, "\x09\0\0\0whatever format 9 has here", 30);
	expect_refusal(f, CLUSTER, -EBADMSG, "in format 9, this tallyfs reads format 2");
}

static void a_damaged_state_is_refused(void **state)
{
	struct fixture *f = *state;
	struct state s = {.format = MVCC_FORMAT, .cluster_id = CLUSTER, .revision = 1, .next_ino = 2};
	struct writer w = {0};
	mvcc_close(f->m);
	state_encode(&s, &w);
	w.data[13] ^= 1;
	overwrite_state(f, w.data, w.size);
	writer_free(&w);
	expect_refusal(f, CLUSTER, -EBADMSG, "its state is damaged");
}

static void overwrite_file(const struct fixture *f, off_t offset, const void *bytes, size_t size)
{
	char path[300];
	file_of(f, path, sizeof path);
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, offset), size);
	close(fd);
}

static void a_file_that_is_not_lmdb_is_refused(void **state)
{
	struct fixture *f = *state;
	char zeros[8192] = "hello";
	mvcc_close(f->m);
	overwrite_file(f, 0, zeros, sizeof zeros);
	expect_refusal(f, CLUSTER, -EBADMSG, "not an LMDB file");
}

static void a_file_of_another_lmdb_version_is_refused(void **state)
{
	struct fixture *f = *state;
	uint32_t version = 99;
	mvcc_close(f->m);
	overwrite_file(f, 16 + 4, &version, sizeof version); /* mm_version, after the page header and mm_magic */
	expect_refusal(f, CLUSTER, -EBADMSG, "another version of LMDB");
}

static void a_file_of_another_program_is_refused(void **state)
{
	struct fixture *f = *state;
	mvcc_close(f->m);
	store_remove(f);
	assert_int_equal(mkdir(f->dir, 0700), 0);
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	mdb_env_create(&env);
	mdb_env_set_maxdbs(env, 8);
	assert_int_equal(mdb_env_open(env, f->dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "strangers", MDB_CREATE, &dbi), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	expect_refusal(f, CLUSTER, -EBADMSG, "not a store of tallyfs");
}

static void fill(struct fixture *f, int count)
{
	char key[32], value[1500];
	memset(value, 'v', sizeof value);
	begin(f);
	for (int i = 0; i < count; i++) {
		snprintf(key, sizeof key, "needle%05d", i);
		put(f, key, S_IFREG | 0600, value, sizeof value);
	}
	end(f);
}

static void a_file_that_was_cut_off_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[300];
	fill(f, 2000);
	mvcc_close(f->m);
	file_of(f, path, sizeof path);
	assert_int_equal(truncate(path, 512 * 1024), 0);
	expect_refusal(f, CLUSTER, -EBADMSG, "cut off");
}

static void a_damaged_record_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[300];
	static char bytes[1 << 20];
	fill(f, 100);
	mvcc_close(f->m);
	file_of(f, path, sizeof path);
	int fd = open(path, O_RDWR);
	ssize_t n = read(fd, bytes, sizeof bytes);
	const char *at = memmem(bytes, (size_t)n, "needle00050", 11);
	assert_non_null(at);
	close(fd);
	overwrite_file(f, at - bytes, "nEedle", 6);
	expect_refusal(f, CLUSTER, -EBADMSG, "a record is damaged");
}

static void a_damaged_meta_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[300];
	static char bytes[1 << 20];
	mvcc_begin(f->m, mvcc_applied(f->m) + 1, 1);
	mvcc_put_meta(f->m, text("session/7"), text("applied up to here"));
	mvcc_end(f->m, 1);
	mvcc_close(f->m);
	file_of(f, path, sizeof path);
	int fd = open(path, O_RDWR);
	ssize_t n = read(fd, bytes, sizeof bytes);
	const char *at = memmem(bytes, (size_t)n, "applied up to here", 18);
	assert_non_null(at);
	close(fd);
	overwrite_file(f, at - bytes, "Applied", 7);
	expect_refusal(f, CLUSTER, -EBADMSG, "a record is damaged");
}

static void a_directory_that_cannot_be_made_is_told(void **state)
{
	struct fixture *f = *state;
	struct mvcc *m = NULL;
	char why[256];
	struct mvcc_config config = {.dir = "/proc/no/such/place", .cluster_id = 1};
	(void)f;
	assert_int_equal(mvcc_open(&config, &m, why, sizeof why), -ENOENT);
	assert_string_equal(why, "/proc/no/such/place: cannot be made: No such file or directory");
	config.dir = "/dev/null";
	assert_int_equal(mvcc_open(&config, &m, why, sizeof why), -ENOTDIR);
	assert_string_equal(why, "/dev/null/data.mdb: cannot open: Not a directory");
	assert_null(m);
}

static void a_full_map_stops_commits_but_not_reads(void **state)
{
	struct fixture *f = *state;
	char why[256];
	struct mvcc_config config = {.dir = f->dir, .cluster_id = CLUSTER, .map_bytes = 1 << 20, .no_sync = true};
	put_file(f, "first", "1");
	mvcc_close(f->m);
	assert_int_equal(mvcc_open(&config, &f->m, why, sizeof why), 0);
	fill(f, 2000);
	assert_int_equal(mvcc_flush(f->m), -ENOSPC);
	struct mvcc_stats s;
	mvcc_stats(f->m, &s);
	assert_int_equal(s.error, -ENOSPC);
	assert_int_equal(s.keys, 2001);
	struct record r = {0};
	assert_int_equal(mvcc_get(f->m, text("needle00001"), 0, &r), 0);
	assert_int_equal(r.data.size, 1500);
	record_done(&r);
	assert_string_equal(content(f, "first", 0), "1");
	assert_int_equal(mvcc_durable(f->m), 1);
	/* a larger map finds what was committed, and nothing of what was not */
	store_restart(f);
	assert_int_equal(mvcc_applied(f->m), 1);
	assert_string_equal(content(f, "needle00001", 0), "ENOENT");
	assert_string_equal(content(f, "first", 0), "1");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_restart_changes_nothing_that_can_be_read),
		STORY(the_applied_index_is_durable_after_a_flush_and_never_ahead),
		STORY(the_last_commit_is_not_called_durable_as_a_power_cut_may_undo_it),
		STORY(a_store_of_another_cluster_is_refused),
		STORY(a_store_of_another_format_is_refused),
		STORY(a_damaged_state_is_refused),
		STORY(a_file_that_is_not_lmdb_is_refused),
		STORY(a_file_of_another_lmdb_version_is_refused),
		STORY(a_file_of_another_program_is_refused),
		STORY(a_file_that_was_cut_off_is_refused),
		STORY(a_damaged_record_is_refused),
		STORY(a_damaged_meta_is_refused),
		STORY(a_directory_that_cannot_be_made_is_told),
		STORY(a_full_map_stops_commits_but_not_reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
