/* Both ways of computing the CRC are compiled in here, so that the one which this processor does not use is tested too. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/crc32c.c"

static void it_gives_the_check_value_of_the_standard(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(~by_table(~0u, (const uint8_t *)"123456789", 9), 0xe3069283);
}

static void it_gives_the_values_of_rfc_3720(void **state)
{
	uint8_t bytes[32] = {0};
	(void)state;
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
}

static void nothing_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, NULL, 0), 0);
	assert_int_equal(crc32c(0x1234, "", 0), 0x1234);
}

static void it_continues_across_any_split(void **state)
{
	uint8_t bytes[100];
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
	uint32_t whole = crc32c(0, bytes, sizeof(bytes));
	for (size_t split = 0; split <= sizeof(bytes); split++)
		assert_int_equal(crc32c(crc32c(0, bytes, split), bytes + split, sizeof(bytes) - split), whole);
}

static void the_table_and_the_instruction_agree_at_any_size_and_alignment(void **state)
{
	uint8_t bytes[300];
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i + 11);
	for (size_t offset = 0; offset < 9; offset++)
		for (size_t size = 0; size + offset <= sizeof(bytes); size++)
			assert_int_equal(crc32c(0, bytes + offset, size), ~by_table(~0u, bytes + offset, size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_gives_the_check_value_of_the_standard),
		cmocka_unit_test(it_gives_the_values_of_rfc_3720),
		cmocka_unit_test(nothing_changes_nothing),
		cmocka_unit_test(it_continues_across_any_split),
		cmocka_unit_test(the_table_and_the_instruction_agree_at_any_size_and_alignment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
