#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/path.h"

static void expect(const char *name, enum path_shape shape, size_t base_len, uint64_t number)
{
	struct path_name p = path_parse(name, false);

	assert_int_equal(p.shape, shape);
	assert_int_equal(p.base_len, base_len);
	if (shape == PATH_REVISION || shape == PATH_BACK)
		assert_true(p.number == number);
}

static void names_with_a_mark_that_leads_nowhere_are_ordinary(void **state)
{
	(void)state;
	expect("plain", PATH_PLAIN, 5, 0);
	expect("bob@example.com", PATH_PLAIN, 15, 0);
	expect("getty@tty1.service", PATH_PLAIN, 18, 0);
	expect("x@12a", PATH_PLAIN, 5, 0);
	expect("x@-", PATH_PLAIN, 3, 0);
	expect("x@-1a", PATH_PLAIN, 5, 0);
	expect("x@+1", PATH_PLAIN, 4, 0);
	expect("120", PATH_PLAIN, 3, 0);
}

static void digits_after_the_last_mark_are_a_revision(void **state)
{
	(void)state;
	expect("app@120", PATH_REVISION, 3, 120);
	expect("@7", PATH_REVISION, 0, 7);
	expect("bob@example.com@9", PATH_REVISION, 15, 9);
	expect("x@007", PATH_REVISION, 1, 7);
	expect("x@99999999999999999999999", PATH_REVISION, 1, UINT64_MAX);
	expect("x@18446744073709551615", PATH_REVISION, 1, UINT64_MAX);
	expect("x@18446744073709551614", PATH_REVISION, 1, UINT64_MAX - 1);
}

static void a_minus_counts_versions_back(void **state)
{
	(void)state;
	expect("app@-1", PATH_BACK, 3, 1);
	expect("app@-20", PATH_BACK, 3, 20);
}

static void nothing_after_the_mark_lists_versions(void **state)
{
	(void)state;
	expect("app@", PATH_VERSIONS, 3, 0);
	expect("@", PATH_VERSIONS, 0, 0);
	expect("a@@", PATH_VERSIONS, 2, 0);
}

static void times_in_utc_are_a_shape_and_others_are_not(void **state)
{
	(void)state;
	expect("a@2026-11-22T10:00:00Z", PATH_TIME, 1, 0);
	expect("@2026-11-22T10:00:00Z", PATH_TIME, 0, 0);
	expect("a@2026-11-22T10:00:00", PATH_PLAIN, 21, 0);
	expect("a@2026-11-22 10:00:00Z", PATH_PLAIN, 22, 0);
	expect("a@2026-11-22T10:00:00+", PATH_PLAIN, 22, 0);
}

static void control_names_count_in_the_root_and_watch_everywhere(void **state)
{
	(void)state;
	assert_int_equal(path_parse("@status", true).shape, PATH_STATUS);
	assert_int_equal(path_parse("@members", true).shape, PATH_MEMBERS);
	assert_int_equal(path_parse("@metrics", true).shape, PATH_RESERVED);
	assert_int_equal(path_parse("@status", false).shape, PATH_PLAIN);
	assert_int_equal(path_parse("bob@status", true).shape, PATH_PLAIN);
	assert_int_equal(path_parse("bob@watch", false).shape, PATH_RESERVED);
	assert_int_equal(path_parse("@watch", false).shape, PATH_RESERVED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_with_a_mark_that_leads_nowhere_are_ordinary),
		cmocka_unit_test(digits_after_the_last_mark_are_a_revision),
		cmocka_unit_test(a_minus_counts_versions_back),
		cmocka_unit_test(nothing_after_the_mark_lists_versions),
		cmocka_unit_test(times_in_utc_are_a_shape_and_others_are_not),
		cmocka_unit_test(control_names_count_in_the_root_and_watch_everywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
