/* Writing and reading the project's formats. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/codec.h"

#include <string.h>

static void what_is_written_is_read_back(void **state)
{
	struct writer w = {0};
	(void)state;
	writer_u8(&w, 0xfe);
	writer_u16(&w, 0xfedc);
	writer_u32(&w, 0xfedcba98);
	writer_u64(&w, 0xfedcba9876543210);
	writer_bytes(&w, "a\0b", 3);
	writer_string(&w, "name");
	writer_raw(&w, "xyz", 3);
	struct reader r = reader_over(w.data, w.size);
	assert_int_equal(reader_u8(&r), 0xfe);
	assert_int_equal(reader_u16(&r), 0xfedc);
	assert_int_equal(reader_u32(&r), 0xfedcba98);
	assert_true(reader_u64(&r) == 0xfedcba9876543210);
	struct span s = reader_bytes(&r, 3);
	assert_int_equal(s.size, 3);
	assert_memory_equal(s.data, "a\0b", 3);
	s = reader_bytes(&r, 100);
	assert_int_equal(s.size, 4);
	assert_memory_equal(s.data, "name", 4);
	assert_int_equal(reader_left(&r), 3);
	assert_false(reader_done(&r));
	s = reader_raw(&r, 3);
	assert_memory_equal(s.data, "xyz", 3);
	assert_true(reader_done(&r));
	writer_free(&w);
}

static void integers_are_little_endian(void **state)
{
	struct writer w = {0};
	(void)state;
	writer_u16(&w, 0x0102);
	writer_u32(&w, 0x03040506);
	writer_u64(&w, 0x0708090a0b0c0d0e);
	assert_int_equal(w.size, 14);
	assert_memory_equal(w.data, "\x02\x01\x06\x05\x04\x03\x0e\x0d\x0c\x0b\x0a\x09\x08\x07", 14);
	writer_free(&w);
}

static void a_read_past_the_end_fails_and_stays_failed(void **state)
{
	struct reader r = reader_over("\1\2\3", 3);
	(void)state;
	assert_int_equal(reader_u16(&r), 0x0201);
	assert_int_equal(reader_u32(&r), 0);
	assert_true(r.failed);
	assert_int_equal(reader_u8(&r), 0);
	assert_int_equal(reader_left(&r), 0);
	assert_null(reader_raw(&r, 0).data);
	assert_false(reader_done(&r));
}

static void a_length_over_the_limit_or_over_the_end_fails(void **state)
{
	struct reader r = reader_over("\5\0\0\0abcde", 9);
	(void)state;
	assert_null(reader_bytes(&r, 4).data);
	assert_true(r.failed);
	r = reader_over("\6\0\0\0abcde", 9);
	assert_null(reader_bytes(&r, 100).data);
	assert_true(r.failed);
	r = reader_over("\xff\xff\xff\xff", 4);
	assert_null(reader_bytes(&r, SIZE_MAX).data);
	assert_true(r.failed);
}

static void a_reader_told_to_fail_is_not_done(void **state)
{
	struct reader r = reader_over("a", 1);
	(void)state;
	reader_u8(&r);
	assert_true(reader_done(&r));
	reader_fail(&r);
	assert_false(reader_done(&r));
}

static void reading_nothing_of_nothing_is_fine(void **state)
{
	struct reader r = reader_over(NULL, 0);
	(void)state;
	assert_int_equal(reader_raw(&r, 0).size, 0);
	assert_true(reader_done(&r));
}

static void a_length_can_be_filled_in_later(void **state)
{
	struct writer w = {0};
	(void)state;
	writer_u8(&w, 9);
	writer_u32(&w, 0);
	writer_raw(&w, "abc", 3);
	writer_patch_u32(&w, 1, 3);
	assert_int_equal(w.size, 8);
	assert_memory_equal(w.data, "\x9\x3\0\0\0abc", 8);
	writer_free(&w);
}

static void a_writer_grows_and_keeps_its_memory_when_cleared(void **state)
{
	struct writer w = {0};
	(void)state;
	for (uint32_t i = 0; i < 10000; i++)
		writer_u32(&w, i);
	assert_int_equal(w.size, 40000);
	for (uint32_t i = 0; i < 10000; i++)
		assert_memory_equal(w.data + (size_t)i * 4, &i, 4);
	const uint8_t *data = w.data;
	writer_clear(&w);
	assert_int_equal(w.size, 0);
	memset(writer_reserve(&w, 30000), 1, 30000);
	assert_ptr_equal(w.data, data);
	writer_free(&w);
	assert_null(w.data);
	assert_int_equal(w.capacity, 0);
}

static void a_text_fits_whole_or_not_at_all_and_has_no_nul(void **state)
{
	(void)state;
	struct writer w = {0};
	char out[6] = "as is";
	writer_string(&w, "hello");
	struct reader r = reader_over(w.data, w.size);
	assert_true(reader_text(&r, out, sizeof(out)));
	assert_string_equal(out, "hello");
	assert_true(reader_done(&r));
	r = reader_over(w.data, w.size);
	assert_false(reader_text(&r, out, 5));
	assert_true(r.failed);
	writer_clear(&w);
	writer_bytes(&w, "a\0b", 3);
	r = reader_over(w.data, w.size);
	assert_false(reader_text(&r, out, sizeof(out)));
	assert_true(r.failed);
	assert_string_equal(out, "hello");
	writer_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(a_read_past_the_end_fails_and_stays_failed),
		cmocka_unit_test(a_length_over_the_limit_or_over_the_end_fails),
		cmocka_unit_test(a_reader_told_to_fail_is_not_done),
		cmocka_unit_test(reading_nothing_of_nothing_is_fine),
		cmocka_unit_test(a_length_can_be_filled_in_later),
		cmocka_unit_test(a_writer_grows_and_keeps_its_memory_when_cleared),
		cmocka_unit_test(a_text_fits_whole_or_not_at_all_and_has_no_nul),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
