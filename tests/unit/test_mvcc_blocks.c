/* Large files in blocks, and large writes in stages. */
#include "test_mvcc.h"

#define BLOCK MVCC_BLOCK_BYTES

static void put_large(struct fixture *f, uint64_t ino, size_t size)
{
	struct record r = {.ino = ino, .mode = S_IFREG | 0644, .nlink = 1, .version = 1, .key = text("large"), .size = size};
	r.modified.main = r.created.main = mvcc_next_revision(f->m);
	mvcc_put(f->m, &r);
}

static void put_block(struct fixture *f, uint64_t ino, uint32_t block, int byte, size_t size)
{
	static uint8_t data[BLOCK];
	memset(data, byte, size);
	mvcc_put_block(f->m, ino, block, (struct span){data, size});
}

/* The byte at an offset of "large" at a revision; -1 past the end. */
static int byte_at(struct fixture *f, uint64_t rev, uint64_t offset)
{
	struct record r = {0};
	uint8_t byte;
	assert_int_equal(mvcc_get(f->m, text("large"), rev, &r), 0);
	ssize_t n = mvcc_read(f->m, &r, offset, &byte, 1);
	record_done(&r);
	assert_true(n >= 0);
	return n == 0 ? -1 : byte;
}

static void each_where(struct fixture *f, void (*check)(struct fixture *f))
{
	check(f);
	assert_int_equal(mvcc_flush(f->m), 0);
	check(f);
	store_restart(f);
	check(f);
}

static void check_versions(struct fixture *f)
{
	/* 2: aaaa bbbb cccc; 3: the middle one is new; 4: cut to half of it, 5: grown again */
	assert_int_equal(byte_at(f, 2, 0), 'a');
	assert_int_equal(byte_at(f, 2, BLOCK), 'b');
	assert_int_equal(byte_at(f, 2, 3 * BLOCK - 1), 'c');
	assert_int_equal(byte_at(f, 2, 3 * BLOCK), -1);
	assert_int_equal(byte_at(f, 3, BLOCK - 1), 'a');
	assert_int_equal(byte_at(f, 3, BLOCK), 'B');
	assert_int_equal(byte_at(f, 3, 2 * BLOCK), 'c');
	assert_int_equal(byte_at(f, 4, BLOCK + 99), 'B');
	assert_int_equal(byte_at(f, 4, BLOCK + 100), -1);
	assert_int_equal(byte_at(f, 0, 0), 'a');
	assert_int_equal(byte_at(f, 0, BLOCK + 99), 'B');
	assert_int_equal(byte_at(f, 0, BLOCK + 100), 0);
	assert_int_equal(byte_at(f, 0, 2 * BLOCK), 0);
	assert_int_equal(byte_at(f, 0, 3 * BLOCK - 1), 0);
}

static void a_version_stores_the_blocks_that_it_changed_and_shares_the_others(void **state)
{
	struct fixture *f = *state;
	begin(f);
	uint64_t ino = mvcc_next_ino(f->m);
	for (uint32_t i = 0; i < 3; i++)
		put_block(f, ino, i, 'a' + (int)i, BLOCK);
	put_large(f, ino, 3 * BLOCK);
	end(f);
	begin(f);
	put_block(f, ino, 1, 'B', BLOCK);
	put_large(f, ino, 3 * BLOCK);
	end(f);
	begin(f);
	put_block(f, ino, 1, 'B', 100);
	put_block(f, ino, 2, 0, 0);
	put_large(f, ino, BLOCK + 100);
	end(f);
	begin(f);
	put_large(f, ino, 3 * BLOCK);
	end(f);
	each_where(f, check_versions);
}

static void versions_are_told_apart_wherever_their_blocks_are(void **state)
{
	struct fixture *f = *state;
	begin(f);
	uint64_t ino = mvcc_next_ino(f->m);
	end(f);
	for (int v = 0; v < 6; v++) {
		begin(f);
		put_block(f, ino, 0, 'a' + v, BLOCK);
		put_large(f, ino, 2 * BLOCK);
		end(f);
		if (v % 2)
			assert_int_equal(mvcc_flush(f->m), 0);
	}
	for (int v = 0; v < 6; v++) {
		assert_int_equal(byte_at(f, 2 + (uint64_t)v, 5), 'a' + v);
		assert_int_equal(byte_at(f, 2 + (uint64_t)v, BLOCK + 5), 0);
	}
}

static void check_sparse(struct fixture *f)
{
	enum { FROM = 7 * BLOCK - 3, SIZE = 60 * BLOCK };
	static uint8_t data[SIZE];
	struct record r = {0};
	assert_int_equal(mvcc_get(f->m, text("large"), 0, &r), 0);
	memset(data, 1, sizeof data);
	assert_int_equal(mvcc_read(f->m, &r, FROM, data, SIZE), SIZE);
	for (size_t i = 0; i < SIZE; i++) {
		uint64_t at = FROM + i;
		uint8_t wanted = at / BLOCK == 50 && at % BLOCK < 10 ? 'x' : 0;
		if (data[i] != wanted)
			fail_msg("byte %zu is %d", i, data[i]);
	}
	assert_int_equal(mvcc_read(f->m, &r, 100 * BLOCK - 5, data, SIZE), 5);
	assert_int_equal(mvcc_read(f->m, &r, 100 * BLOCK, data, SIZE), 0);
	assert_int_equal(mvcc_read(f->m, &r, UINT64_MAX, data, SIZE), 0);
	record_done(&r);
}

static void what_was_never_written_is_zeros(void **state)
{
	struct fixture *f = *state;
	begin(f);
	uint64_t ino = mvcc_next_ino(f->m);
	put_block(f, ino, 50, 'x', 10);
	put_large(f, ino, 100 * BLOCK);
	/* neighbours that must not be taken for it */
	put_block(f, ino - 1, 50, 'y', 10);
	put_block(f, ino + 1, 51, 'y', 10);
	end(f);
	each_where(f, check_sparse);
}

static void a_small_file_is_read_from_its_record(void **state)
{
	struct fixture *f = *state;
	struct record r = {0};
	char data[8];
	put_file(f, "small", "0123456789");
	assert_int_equal(mvcc_get(f->m, text("small"), 0, &r), 0);
	assert_int_equal(mvcc_read(f->m, &r, 3, data, 4), 4);
	assert_memory_equal(data, "3456", 4);
	assert_int_equal(mvcc_read(f->m, &r, 8, data, 8), 2);
	assert_memory_equal(data, "89", 2);
	assert_int_equal(mvcc_read(f->m, &r, 10, data, 8), 0);
	record_done(&r);
}

static bool extends(struct fixture *f, uint64_t older, uint64_t newer)
{
	struct record a = {0}, b = {0};
	assert_int_equal(mvcc_get(f->m, text("large"), older, &a), 0);
	assert_int_equal(mvcc_get(f->m, text("large"), newer, &b), 0);
	int result = mvcc_extends(f->m, &a, &b);
	record_done(&a);
	record_done(&b);
	assert_true(result >= 0);
	return result;
}

static void check_extended(struct fixture *f)
{
	/* 2: aaaa bb; 3: aaaa bbb; 4: the same with c after it; 5: the b are B; 6: cut to aaaa, 7: as in 2 */
	assert_true(extends(f, 2, 2));
	assert_true(extends(f, 2, 3));
	assert_true(extends(f, 3, 4));
	assert_true(extends(f, 2, 4));
	assert_false(extends(f, 3, 2));
	assert_false(extends(f, 4, 5));
	assert_false(extends(f, 2, 5));
	assert_false(extends(f, 5, 6));
	assert_true(extends(f, 6, 7));
	assert_true(extends(f, 2, 7));
	assert_false(extends(f, 3, 7));
	/* A block that is whole is not read: it was written anew. */
	assert_false(extends(f, 4, 7));
}

static void a_version_extends_another_if_only_its_end_is_new(void **state)
{
	struct fixture *f = *state;
	const struct {
		int byte;
		size_t size;
	} seconds[] = {{'b', 200}, {'b', 300}, {'b', BLOCK}, {'B', BLOCK}, {0, 0}, {'b', 200}};
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		begin(f);
		uint64_t ino = i == 0 ? mvcc_next_ino(f->m) : 2;
		assert_int_equal(ino, 2);
		if (i == 0)
			put_block(f, ino, 0, 'a', BLOCK);
		put_block(f, ino, 1, seconds[i].byte, seconds[i].size);
		if (seconds[i].size == BLOCK)
			put_block(f, ino, 2, 'c', 10);
		else if (i == 4)
			put_block(f, ino, 2, 0, 0);
		put_large(f, ino, BLOCK + seconds[i].size + (seconds[i].size == BLOCK ? 10 : 0));
		end(f);
	}
	each_where(f, check_extended);
}

static void check_small(struct fixture *f)
{
	struct record a = {0}, b = {0}, c = {0};
	assert_int_equal(mvcc_get(f->m, text("f"), 2, &a), 0);
	assert_int_equal(mvcc_get(f->m, text("f"), 3, &b), 0);
	assert_int_equal(mvcc_get(f->m, text("f"), 4, &c), 0);
	assert_int_equal(mvcc_extends(f->m, &a, &b), 1);
	assert_int_equal(mvcc_extends(f->m, &a, &c), 0);
	assert_int_equal(mvcc_extends(f->m, &b, &c), 0);
	record_done(&a);
	record_done(&b);
	record_done(&c);
}

static void small_files_are_compared(void **state)
{
	struct fixture *f = *state;
	put_file(f, "f", "one");
	put_file(f, "f", "one two");
	put_file(f, "f", "One two three");
	each_where(f, check_small);
}

static int collect(void *ctx, struct span data)
{
	strncat(ctx, data.data, data.size);
	return 0;
}

static const char *staged(struct fixture *f, const struct stage_id *id)
{
	static char all[256];
	all[0] = 0;
	begin(f);
	int error = mvcc_stage_read(f->m, id, collect, all);
	end(f);
	return error == -ENOENT ? "ENOENT" : error ? "?" : all;
}

static void chunks_come_back_in_order_from_wherever_they_are(void **state)
{
	struct fixture *f = *state;
	struct stage_id id = {1, 2, 3};
	begin(f);
	mvcc_stage_put(f->m, &id, 0, text("a"));
	end(f);
	assert_int_equal(mvcc_flush(f->m), 0);
	begin(f);
	mvcc_stage_put(f->m, &id, 1, text("b"));
	assert_int_equal(end(f), 1);
	store_restart(f);
	begin(f);
	mvcc_stage_put(f->m, &id, 2, text("c"));
	end(f);
	assert_string_equal(staged(f, &id), "abc");
	store_restart(f);
	assert_string_equal(staged(f, &id), "abc");
}

static void check_dropped(struct fixture *f)
{
	assert_string_equal(staged(f, &(struct stage_id){1, 1, 9}), "ENOENT");
	assert_string_equal(staged(f, &(struct stage_id){1, 2, 3}), "ENOENT");
	assert_string_equal(staged(f, &(struct stage_id){1, 2, 4}), "k4");
	assert_string_equal(staged(f, &(struct stage_id){1, 3, 1}), "k3");
	assert_string_equal(staged(f, &(struct stage_id){2, 1, 1}), "k2");
}

static void dropping_takes_the_older_stages_of_one_origin(void **state)
{
	struct fixture *f = *state;
	begin(f);
	mvcc_stage_put(f->m, &(struct stage_id){1, 1, 9}, 0, text("gone"));
	mvcc_stage_put(f->m, &(struct stage_id){1, 2, 4}, 0, text("k4"));
	mvcc_stage_put(f->m, &(struct stage_id){2, 1, 1}, 0, text("k2"));
	end(f);
	assert_int_equal(mvcc_flush(f->m), 0);
	begin(f);
	mvcc_stage_put(f->m, &(struct stage_id){1, 2, 3}, 0, text("gone"));
	mvcc_stage_put(f->m, &(struct stage_id){1, 3, 1}, 0, text("k3"));
	end(f);
	begin(f);
	mvcc_stage_drop(f->m, &(struct stage_id){1, 2, 4});
	end(f);
	each_where(f, check_dropped);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_version_stores_the_blocks_that_it_changed_and_shares_the_others),
		STORY(versions_are_told_apart_wherever_their_blocks_are),
		STORY(what_was_never_written_is_zeros),
		STORY(a_small_file_is_read_from_its_record),
		STORY(a_version_extends_another_if_only_its_end_is_new),
		STORY(small_files_are_compared),
		STORY(chunks_come_back_in_order_from_wherever_they_are),
		STORY(dropping_takes_the_older_stages_of_one_origin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
