#include "test_mvcc.h"

#include "store/mvcc/buffer.h"

static void expect(struct span s, const char *wanted)
{
	assert_int_equal(s.size, strlen(wanted));
	assert_memory_equal(s.data, wanted, s.size);
}

static void a_record_is_found_under_its_revision_and_no_other(void **state)
{
	struct buffer b = {0};
	struct span found;
	(void)state;
	assert_false(buffer_find_record(&b, (struct rev){1, 0}, &found));
	for (uint64_t main = 10; main < 1000; main++)
		for (uint32_t sub = 0; sub < main % 3; sub++)
			snprintf(buffer_add_record(&b, (struct rev){main, sub}, 16), 16, "%d.%u", (int)main, sub);
	for (uint64_t main = 0; main < 1010; main++) {
		for (uint32_t sub = 0; sub < 3; sub++) {
			char wanted[16];
			bool there = main >= 10 && main < 1000 && sub < main % 3;
			snprintf(wanted, sizeof wanted, "%d.%u", (int)main, sub);
			assert_int_equal(buffer_find_record(&b, (struct rev){main, sub}, &found), there);
			if (there)
				assert_string_equal(found.data, wanted);
		}
	}
	buffer_free(&b);
}

static void the_newest_block_at_or_before_a_revision_is_found(void **state)
{
	struct buffer b = {0};
	struct span found;
	(void)state;
	assert_false(buffer_find_block(&b, &(struct block_id){.ino = 1, .block = 0, .main = 9}, &found));
	for (uint64_t main = 100; main < 110; main += 2) {
		for (uint64_t ino = 1; ino < 40; ino++) {
			for (uint32_t block = 0; block < 5; block++) {
				char data[32];
				snprintf(data, sizeof data, "%d/%d/%d", (int)ino, (int)block, (int)main);
				buffer_put_block(&b, &(struct block_id){.ino = ino, .block = block, .main = main}, text(data));
			}
		}
	}
	assert_true(buffer_find_block(&b, &(struct block_id){.ino = 7, .block = 3, .main = 105}, &found));
	expect(found, "7/3/104");
	assert_true(buffer_find_block(&b, &(struct block_id){.ino = 39, .block = 4, .main = 5000}, &found));
	expect(found, "39/4/108");
	assert_false(buffer_find_block(&b, &(struct block_id){.ino = 7, .block = 3, .main = 99}, &found));
	assert_false(buffer_find_block(&b, &(struct block_id){.ino = 7, .block = 5, .main = 105}, &found));
	/* the same command may think again */
	buffer_put_block(&b, &(struct block_id){.ino = 7, .block = 3, .main = 108}, text("again"));
	assert_true(buffer_find_block(&b, &(struct block_id){.ino = 7, .block = 3, .main = 108}, &found));
	expect(found, "again");
	assert_int_equal(b.blocks_count, 5 * 39 * 5);
	buffer_free(&b);
}

static void a_meta_value_takes_the_place_of_the_last(void **state)
{
	struct buffer b = {0};
	struct span found;
	(void)state;
	buffer_put_meta(&b, text("a"), text("1"));
	buffer_put_meta(&b, text("b"), text("x"));
	buffer_put_meta(&b, text("a"), text("longer"));
	buffer_put_meta(&b, text("b"), text(""));
	assert_int_equal(b.metas_count, 2);
	assert_true(buffer_find_meta(&b, text("a"), &found));
	expect(found, "longer");
	assert_true(buffer_find_meta(&b, text("b"), &found));
	expect(found, "");
	assert_false(buffer_find_meta(&b, text("c"), &found));
	buffer_free(&b);
}

static void a_hundred_thousand_meta_values_are_each_found(void **state)
{
	struct buffer b = {0};
	struct span found;
	char name[32];
	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 100000; i++) {
			snprintf(name, sizeof(name), "lease/%d", i);
			buffer_put_meta(&b, text(name), text(name + round));
		}
	}
	assert_int_equal(b.metas_count, 100000);
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "lease/%d", i);
		assert_true(buffer_find_meta(&b, text(name), &found));
		expect(found, name + 1);
	}
	buffer_free(&b);
}

static void a_chunk_that_was_dropped_is_dead_and_the_drop_is_kept_for_lmdb(void **state)
{
	struct buffer b = {0};
	struct stage_id one = {1, 2, 3}, other = {1, 2, 4};
	struct span found;
	(void)state;
	buffer_put_stage(&b, &one, 0, text("zero"));
	buffer_put_stage(&b, &one, 1, text("one"));
	buffer_put_stage(&b, &other, 0, text("other"));
	assert_true(buffer_find_stage(&b, &one, 1, &found));
	expect(found, "one");
	buffer_drop_stage(&b, &one, 2);
	assert_false(buffer_find_stage(&b, &one, 0, &found));
	assert_false(buffer_find_stage(&b, &one, 1, &found));
	assert_true(buffer_find_stage(&b, &other, 0, &found));
	assert_true(b.stages[0].dead);
	assert_false(b.stages[2].dead);
	assert_true(b.stages[3].drop);
	assert_true(buffer_has_changes(&b));
	buffer_free(&b);
	assert_false(buffer_has_changes(&b));
}

static void pieces_of_an_arena_do_not_overlap(void **state)
{
	struct arena a = {0};
	uint8_t *pieces[400];
	(void)state;
	for (size_t i = 0; i < 400; i++) {
		size_t size = i % 17 == 0 ? 200000 + i : i * 31;
		pieces[i] = arena_alloc(&a, size);
		assert_int_equal((uintptr_t)pieces[i] % 8, 0);
		memset(pieces[i], (int)(i % 251), size);
	}
	for (size_t i = 1; i < 400; i++) {
		size_t size = i % 17 == 0 ? 200000 + i : i * 31;
		assert_int_equal(pieces[i][0], i % 251);
		assert_int_equal(pieces[i][size - 1], i % 251);
	}
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_found_under_its_revision_and_no_other),
		cmocka_unit_test(the_newest_block_at_or_before_a_revision_is_found),
		cmocka_unit_test(a_meta_value_takes_the_place_of_the_last),
		cmocka_unit_test(a_hundred_thousand_meta_values_are_each_found),
		cmocka_unit_test(a_chunk_that_was_dropped_is_dead_and_the_drop_is_kept_for_lmdb),
		cmocka_unit_test(pieces_of_an_arena_do_not_overlap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
