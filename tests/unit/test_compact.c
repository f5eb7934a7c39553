/* Compaction: what stays can be read, what can go does, whatever happens in between. */
#include "test_compact.h"

#include <signal.h>
#include <sys/wait.h>

static void the_floor_can_be_read_and_nothing_below_it(void **state)
{
	struct fixture *f = *state;
	struct mvcc_version *versions;
	struct mvcc_list list = {0};
	size_t count;
	put_dir(f, "d");
	put_file(f, "d/a", "one");
	put_file(f, "d/a", "two");
	put_file(f, "d/b", "other");
	uint64_t last = put_file(f, "d/a", "three");
	assert_int_equal(last, 6);
	compact_to(f, 5);
	assert_int_equal(mvcc_compact_revision(f->m), 5);
	assert_string_equal(content(f, "d/a", 5), "two");
	assert_string_equal(content(f, "d/a", 6), "three");
	assert_string_equal(content(f, "d/a", 0), "three");
	assert_string_equal(content(f, "d/a", 4), "ENODATA");
	assert_string_equal(names(f, "d", 5), "a b ");
	assert_int_equal(mvcc_list(f->m, text("d"), 4, &list), -ENODATA);
	uint64_t keys = 7;
	assert_int_equal(mvcc_count(f->m, text(""), text(""), 4, &keys), -ENODATA);
	assert_int_equal(mvcc_count(f->m, text(""), text(""), 5, &keys), 0);
	assert_int_equal(keys, 3);
	assert_int_equal(mvcc_history(f->m, text("d/a"), &versions, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(versions[0].rev.main, 5); /* put at 4, and readable as of the floor */
	assert_int_equal(versions[1].rev.main, 6);
	free(versions);
	store_restart(f);
	assert_string_equal(content(f, "d/a", 5), "two");
	assert_string_equal(content(f, "d/a", 4), "ENODATA");
}

static void a_history_does_not_show_how_far_deleting_has_come(void **state)
{
	struct fixture *f = *state;
	struct mvcc_version *versions;
	size_t count;
	put_dir(f, "d");
	put_file(f, "gone", "x");
	delete_key(f, "gone");
	touch_dir(f, "d", 3);
	touch_dir(f, "d", 4);
	/* no flush: LMDB has not seen the floor, so nothing is deleted yet */
	raise_floor(f, 6);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(mvcc_history(f->m, text("gone"), &versions, &count), -ENOENT);
		assert_int_equal(mvcc_history(f->m, text("d"), &versions, &count), 0);
		assert_int_equal(count, 1);
		assert_int_equal(versions[0].rev.main, 6);
		free(versions);
		assert_int_equal(mvcc_flush(f->m), 0);
		await_compacted(f, 6);
	}
}

static void a_tombstone_at_the_floor_stays_until_the_floor_has_passed_it(void **state)
{
	struct fixture *f = *state;
	struct mvcc_version *versions;
	size_t count;
	put_file(f, "k", "x");
	uint64_t died = delete_key(f, "k");
	put_file(f, "other", "y");
	compact_to(f, died);
	assert_non_null(index_find(&f->m->index, text("k")));
	assert_string_equal(content(f, "k", died), "ENOENT");
	assert_int_equal(mvcc_history(f->m, text("k"), &versions, &count), 0);
	assert_int_equal(count, 1);
	assert_true(versions[0].tombstone);
	free(versions);
	compact_to(f, died + 1);
	assert_null(index_find(&f->m->index, text("k")));
	assert_int_equal(mvcc_history(f->m, text("k"), &versions, &count), -ENOENT);
	store_restart(f);
	assert_null(index_find(&f->m->index, text("k")));
	assert_string_equal(content(f, "other", 0), "y");
}

static void a_busy_directory_keeps_one_record_of_all_its_touches(void **state)
{
	struct fixture *f = *state;
	struct mark one;
	size_t count;
	uint64_t last = put_dir(f, "d");
	for (uint32_t i = 0; i < 5000; i++)
		last = touch_dir(f, "d", 2 + i % 7);
	compact_to(f, last);
	const struct index_node *n = index_find(&f->m->index, text("d"));
	index_marks(n, &one, &count);
	assert_int_equal(count, 1);
	assert_false(n->bits & NODE_MANY);
	struct record r = {0};
	assert_int_equal(mvcc_get(f->m, text("d"), last, &r), 0);
	assert_int_equal(r.nlink, 2 + 4999 % 7);
	assert_int_equal(r.modified.main, 2);
	record_done(&r);
}

static void random_histories_compacted_at_random_show_what_they_did(void **state)
{
	struct model m = {.f = *state, .dice = 88172645463325252u};
	for (int round = 0; round < 12; round++) {
		for (int step = 0; step < 150; step++)
			model_step(&m);
		uint64_t last = mvcc_revision(m.f->m);
		m.floor += 1 + throw_dice(&m, last - m.floor);
		compact_to(m.f, m.floor);
		check_revisions(&m, 7);
		check_left(&m);
		if (round % 3 == 2) {
			store_restart(m.f);
			check_revisions(&m, 31);
			check_left(&m);
		}
	}
	model_free(&m);
}

/* Records and blocks in LMDB, as another process sees them. */
static size_t entries_left(MDB_env *env)
{
	static const char *const names_of[] = {"records", "blocks"};
	MDB_txn *txn;
	size_t entries = 0;
	assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
	for (int i = 0; i < 2; i++) {
		MDB_dbi dbi;
		MDB_stat stat;
		assert_int_equal(mdb_dbi_open(txn, names_of[i], 0, &dbi), 0);
		assert_int_equal(mdb_stat(txn, dbi, &stat), 0);
		entries += stat.ms_entries;
	}
	mdb_txn_abort(txn);
	return entries;
}

/* Another process runs the store, which goes on with compaction, and is killed soon after it has deleted something more. Returns what is left. */
static size_t run_and_kill(struct model *m)
{
	MDB_env *env;
	int64_t until_ns = clock_mono_ns() + INT64_C(20000000000);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char why[512];
		if (store_try(m->f, CLUSTER, why, sizeof why) == 0)
			for (;;)
				poll(NULL, 0, -1);
		_exit(1);
	}
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 8);
	mdb_env_set_mapsize(env, (size_t)1 << 32);
	assert_int_equal(mdb_env_open(env, m->f->dir, MDB_RDONLY, 0600), 0);
	size_t before = entries_left(env);
	while (entries_left(env) == before && clock_mono_ns() < until_ns)
		ppoll(NULL, 0, &(struct timespec){.tv_nsec = 50000}, NULL);
	ppoll(NULL, 0, &(struct timespec){.tv_nsec = (long)throw_dice(m, 1500000)}, NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	size_t left = entries_left(env);
	mdb_env_close(env);
	assert_true(left < before);
	return left;
}

static void a_crash_at_any_point_of_compaction_leaves_a_correct_store(void **state)
{
	struct model m = {.f = *state, .dice = 1234567u};
	int crashes = 0;
	for (int step = 0; step < 16000; step++)
		model_step(&m);
	m.floor = mvcc_revision(m.f->m) - 100;
	size_t end = records_to_stay(&m) + blocks_to_stay(&m);
	raise_floor(m.f, m.floor);
	mvcc_close(m.f->m);
	m.f->m = NULL;
	while (crashes <= 100 && run_and_kill(&m) > end)
		crashes++;
	assert_in_range(crashes, 3, 100);
	store_start(m.f);
	check_revisions(&m, 23);
	await_compacted(m.f, m.floor);
	check_revisions(&m, 101);
	check_left(&m);
	model_free(&m);
}

static void put_blocks(struct fixture *f, uint64_t ino, char byte, uint32_t blocks)
{
	static char data[MVCC_BLOCK_BYTES];
	struct record r = {.mode = S_IFREG | 0644, .nlink = 1, .version = 1, .key = text("large"), .ino = ino};
	memset(data, byte, sizeof data);
	r.size = (uint64_t)blocks * MVCC_BLOCK_BYTES;
	r.modified.main = r.created.main = mvcc_next_revision(f->m);
	for (uint32_t i = 0; i < blocks; i++)
		mvcc_put_block(f->m, ino, i, (struct span){data, sizeof data});
	mvcc_put(f->m, &r);
}

static uint64_t write_blocks(struct fixture *f, uint64_t ino, char byte, uint32_t blocks)
{
	begin(f);
	put_blocks(f, ino, byte, blocks);
	return end(f);
}

static void expect_bytes(struct fixture *f, const struct record *r, char byte)
{
	char got;
	for (uint64_t at = 0; at < r->size; at += MVCC_BLOCK_BYTES) {
		assert_int_equal(mvcc_read(f->m, r, at, &got, 1), 1);
		assert_int_equal(got, byte);
	}
}

static void a_record_that_is_being_read_keeps_its_blocks(void **state)
{
	struct fixture *f = *state;
	struct record reader = {0}, second = {0};
	uint64_t records, blocks;
	write_blocks(f, 900, 'a', 20);
	assert_int_equal(mvcc_get(f->m, text("large"), 0, &reader), 0);
	write_blocks(f, 900, 'b', 20);
	assert_int_equal(mvcc_get(f->m, text("large"), 0, &second), 0);
	write_blocks(f, 900, 'c', 20);
	uint64_t last = put_file(f, "x", "x");
	compact_to(f, last);
	expect_bytes(f, &reader, 'a');
	expect_bytes(f, &second, 'b');
	delete_key(f, "large");
	last = put_file(f, "x", "y");
	compact_to(f, last);
	expect_bytes(f, &reader, 'a');
	count_stored(f, &records, &blocks);
	assert_int_equal(blocks, 40);
	/* A restart has no readers: what they held goes then. */
	record_done(&second);
	int64_t until_ns = clock_mono_ns() + INT64_C(20000000000);
	while (blocks > 20 && clock_mono_ns() < until_ns) {
		poll(NULL, 0, 1);
		count_stored(f, &records, &blocks);
	}
	assert_int_equal(blocks, 20);
	expect_bytes(f, &reader, 'a');
	record_done(&reader);
	while (blocks > 0 && clock_mono_ns() < until_ns) {
		poll(NULL, 0, 1);
		count_stored(f, &records, &blocks);
	}
	assert_int_equal(blocks, 0);
}

static void a_hole_stays_in_front_of_what_a_reader_keeps(void **state)
{
	struct fixture *f = *state;
	struct record reader = {0}, now = {0};
	char byte;
	write_blocks(f, 900, 'a', 2);
	assert_int_equal(mvcc_get(f->m, text("large"), 0, &reader), 0);
	begin(f); /* cut to one block, and grown again with zeros */
	mvcc_put_block(f->m, 900, 1, (struct span){NULL, 0});
	struct record r = {
		.mode = S_IFREG | 0644, .nlink = 1, .version = 2, .key = text("large"), .ino = 900, .size = 2 * MVCC_BLOCK_BYTES};
	r.modified.main = mvcc_next_revision(f->m);
	mvcc_put(f->m, &r);
	compact_to(f, end(f));
	expect_bytes(f, &reader, 'a');
	assert_int_equal(mvcc_get(f->m, text("large"), 0, &now), 0);
	assert_int_equal(mvcc_read(f->m, &now, MVCC_BLOCK_BYTES, &byte, 1), 1);
	assert_int_equal(byte, 0);
	record_done(&now);
	record_done(&reader);
}

static void what_readers_held_goes_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct record reader = {0};
	uint64_t records, blocks;
	write_blocks(f, 900, 'a', 20);
	assert_int_equal(mvcc_get(f->m, text("large"), 0, &reader), 0);
	delete_key(f, "large");
	uint64_t last = put_file(f, "x", "x");
	compact_to(f, last);
	count_stored(f, &records, &blocks);
	assert_int_equal(blocks, 20);
	mvcc_close(f->m); /* the reader has not ended: a crash, as far as LMDB is concerned */
	free(reader.hold);
	reader.hold = NULL;
	store_start(f);
	int64_t until_ns = clock_mono_ns() + INT64_C(20000000000);
	while (blocks > 0 && clock_mono_ns() < until_ns) {
		poll(NULL, 0, 1);
		count_stored(f, &records, &blocks);
	}
	assert_int_equal(blocks, 0);
	record_done(&reader);
}

static uint64_t file_bytes(struct fixture *f)
{
	struct mvcc_stats s = {0};
	mvcc_stats(f->m, &s);
	return s.db_bytes;
}

/* Small files, large files, and files that savers make under another name and rename. */
static uint64_t busy_cycle(struct fixture *f, uint64_t *ino)
{
	char key[32], data[256];
	uint64_t last = 0;
	memset(data, 'x', sizeof data);
	for (int i = 0; i < 1500; i++) {
		snprintf(key, sizeof key, "small/%d", i % 50);
		begin(f);
		put(f, key, S_IFREG | 0644, data, sizeof data);
		end(f);
		snprintf(key, sizeof key, ".tmp.%llu", (unsigned long long)++*ino);
		put_file(f, key, "saved");
		last = delete_key(f, key);
	}
	for (int i = 0; i < 6; i++)
		last = write_blocks(f, 900 + *ino % 3, (char)('a' + i), 40);
	return last;
}

static void pages_that_are_freed_are_used_again(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = 1000, high = 0;
	size_t nodes = 0;
	for (int cycle = 0; cycle < 40; cycle++) {
		compact_to(f, busy_cycle(f, &ino));
		if (cycle == 9) {
			high = file_bytes(f);
			nodes = f->m->index.nodes.arena.bytes;
		}
	}
	assert_in_range(file_bytes(f), 1, high + high / 10);
	assert_int_equal(f->m->index.nodes.arena.bytes, nodes);
}

static void a_revision_is_found_by_its_time(void **state)
{
	struct fixture *f = *state;
	uint64_t first = put_file(f, "k", "x");
	int64_t first_ns = mvcc_last_time(f->m);
	for (int i = 0; i < 20000; i++)
		put_file(f, "k", "x");
	assert_int_equal(mvcc_revision_by(f->m, first_ns - 1000), 0);
	/* The table thins out: what it names is never newer than asked for, and not much older. */
	for (int64_t ns = 5000; ns <= 20000; ns += 777) {
		uint64_t rev = mvcc_revision_by(f->m, first_ns + ns);
		assert_in_range(rev, first + (uint64_t)ns - 16, first + (uint64_t)ns);
	}
	store_restart(f);
	assert_in_range(mvcc_revision_by(f->m, first_ns + 9999), first + 9999 - 16, first + 9999);
	compact_to(f, first + 19000);
	assert_in_range(mvcc_revision_by(f->m, INT64_MAX), first + 19990, first + 20000);
	assert_int_equal(mvcc_revision_by(f->m, first_ns + 9999), 0);
}

static uint64_t at(struct fixture *f, int64_t ns)
{
	uint64_t rev = 0;
	int error = mvcc_revision_at(f->m, ns, &rev);
	return error ? (uint64_t)-error : rev;
}

static void a_time_names_the_newest_revision_that_is_not_later(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(at(f, INT64_MAX), ENOENT);
	f->now = 1000000;
	uint64_t first = put_file(f, "k", "x");
	int64_t first_ns = mvcc_last_time(f->m);
	/* More than the table of times holds, ten nanoseconds apart, several records each, some in LMDB and some in the buffer. */
	for (int i = 1; i <= 9000; i++) {
		f->now = first_ns + i * 10 - 1;
		begin(f);
		put(f, "k", S_IFREG | 0644, "y", 1);
		put(f, "l", S_IFREG | 0644, "y", 1);
		end(f);
		if (i == 6000)
			assert_int_equal(mvcc_flush(f->m), 0);
	}
	for (int round = 0; round < 2; round++) {
		assert_int_equal(at(f, INT64_MIN), ENOENT);
		assert_int_equal(at(f, 0), ENOENT);
		assert_int_equal(at(f, first_ns - 1), ENOENT);
		for (int64_t i = 0; i < 9000; i += 7) {
			assert_int_equal(at(f, first_ns + i * 10), first + (uint64_t)i);
			assert_int_equal(at(f, first_ns + i * 10 + 9), first + (uint64_t)i);
		}
		assert_int_equal(at(f, first_ns + 90000), first + 9000);
		assert_int_equal(at(f, INT64_MAX), first + 9000);
		store_restart(f);
	}
	compact_to(f, first + 4321);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(at(f, 0), ENODATA);
		assert_int_equal(at(f, first_ns + 43209), ENODATA);
		assert_int_equal(at(f, first_ns + 43210), first + 4321);
		assert_int_equal(at(f, first_ns + 43219), first + 4321);
		assert_int_equal(at(f, first_ns + 43220), first + 4322);
		assert_int_equal(at(f, INT64_MAX), first + 9000);
		store_restart(f);
	}
	/* All of the past but the present is gone, deletions included. */
	delete_key(f, "l");
	compact_to(f, mvcc_revision(f->m));
	assert_int_equal(at(f, mvcc_last_time(f->m) - 1), ENODATA);
	assert_int_equal(at(f, mvcc_last_time(f->m)), first + 9001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_floor_can_be_read_and_nothing_below_it, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_history_does_not_show_how_far_deleting_has_come, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_tombstone_at_the_floor_stays_until_the_floor_has_passed_it, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(a_busy_directory_keeps_one_record_of_all_its_touches, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(random_histories_compacted_at_random_show_what_they_did, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_crash_at_any_point_of_compaction_leaves_a_correct_store, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_record_that_is_being_read_keeps_its_blocks, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_hole_stays_in_front_of_what_a_reader_keeps, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(what_readers_held_goes_after_a_restart, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(pages_that_are_freed_are_used_again, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_time_names_the_newest_revision_that_is_not_later, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_revision_is_found_by_its_time, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
