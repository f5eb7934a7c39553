#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "fs/path.h"

static void expect(const char *name, enum path_shape shape, size_t base_len, uint64_t number)
{
	struct path_name p = path_parse(name, false, PATH_MARK);

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

static void expect_time(const char *name, int64_t seconds, int64_t ns)
{
	struct path_name p = path_parse(name, false, PATH_MARK);

	assert_int_equal(p.shape, PATH_TIME);
	assert_int_equal(p.base_len, strchr(name, '@') - name);
	assert_false(p.no_date);
	assert_true(p.time_ns == seconds * 1000000000 + ns);
}

static void times_in_utc_are_a_shape_and_others_are_not(void **state)
{
	static const char *const others[] = {
		"a@2026-11-22T10:00:00",       "a@2026-11-22 10:00:00Z",  "a@2026-11-22T10:00:00+",   "a@2026-11-22T10:00Z",
		"a@2026-11-22T10:00:00z",      "a@2026-11-22t10:00:00Z",  "a@26-11-22T10:00:00Z",     "a@2026-11-22",
		"a@2026-11-22T10:00:00+00:00", "a@2026-11-22T10:00:00.Z", "a@2026-11-22T10:00:00,5Z", "a@2026-11-22T10:00:00.5",
		"a@-2026-11-22T10:00:00Z",     "a@2026-1-22T10:00:00Z",   "a@2026-11-22T10:00:00ZZ",  "a@2026-11-22T10:00:00.1234567890Z"};

	(void)state;
	expect_time("a@2026-11-22T10:00:00Z", 1795341600, 0);
	expect_time("@2026-11-22T10:00:00Z", 1795341600, 0);
	expect_time("a@1970-01-01T00:00:00Z", 0, 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		expect(others[i], PATH_PLAIN, strlen(others[i]), 0);
}

static void fractions_of_a_second_go_down_to_the_nanosecond(void **state)
{
	(void)state;
	expect_time("a@2026-11-22T10:00:00.5Z", 1795341600, 500000000);
	expect_time("a@2026-11-22T10:00:00.123456789Z", 1795341600, 123456789);
	expect_time("a@2026-11-22T10:00:00.000000001Z", 1795341600, 1);
}

static void the_calendar_is_the_gregorian_one(void **state)
{
	static const char *const none[] = {"a@2026-02-29T00:00:00Z", "a@2100-02-29T00:00:00Z", "a@2026-13-01T00:00:00Z",
					   "a@2026-00-01T00:00:00Z", "a@2026-04-31T00:00:00Z", "a@2026-04-00T00:00:00Z",
					   "a@2026-04-01T24:00:00Z", "a@2026-04-01T00:60:00Z", "a@2026-04-01T00:00:61Z"};
	struct tm tm;
	char name[64];

	(void)state;
	expect_time("a@2024-02-29T23:59:59Z", 1709251199, 0);
	expect_time("a@2000-02-29T00:00:00Z", 951782400, 0);
	/* A leap second is the second after it. */
	expect_time("a@2016-12-31T23:59:60Z", 1483228800, 0);
	/* Every day of four centuries, against the C library. */
	for (int64_t seconds = -6000000000; seconds < 6622700800; seconds += 86399) {
		const time_t t = (time_t)seconds;
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(name, sizeof(name), "a@%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
		expect_time(name, seconds, 0);
	}
	/* The shape alone reserves a name; it leads nowhere. */
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		expect(none[i], PATH_TIME, 1, 0);
		assert_true(path_parse(none[i], false, PATH_MARK).no_date);
	}
}

static void times_beyond_what_nanoseconds_can_count_are_the_end_of_it(void **state)
{
	(void)state;
	assert_true(path_parse("a@9999-12-31T23:59:59Z", false, PATH_MARK).time_ns == INT64_MAX);
	assert_true(path_parse("a@0000-01-01T00:00:00Z", false, PATH_MARK).time_ns == INT64_MIN);
	assert_true(path_parse("a@2262-04-11T23:47:17Z", false, PATH_MARK).time_ns == INT64_MAX);
	expect_time("a@2262-04-11T23:47:16Z", 9223372036, 0);
}

static void only_what_follows_the_last_mark_counts(void **state)
{
	(void)state;
	expect("a@b@120", PATH_REVISION, 3, 120);
	expect("a@120@", PATH_VERSIONS, 5, 0);
	expect("a@120@x", PATH_PLAIN, 7, 0);
	expect("a@120@-1", PATH_BACK, 5, 1);
	expect("@@120", PATH_REVISION, 1, 120);
	expect("a@2026-11-22T10:00:00Z@120", PATH_REVISION, 22, 120);
}

static void another_mark_takes_the_place_of_the_usual_one(void **state)
{
	struct path_name p = path_parse("a%120", false, '%');

	(void)state;
	assert_int_equal(p.shape, PATH_REVISION);
	assert_int_equal(p.number, 120);
	assert_int_equal(p.base_len, 1);
	assert_int_equal(path_parse("a@120", false, '%').shape, PATH_PLAIN);
	assert_int_equal(path_parse("@status", true, '%').shape, PATH_PLAIN);
	assert_int_equal(path_parse("%status", true, '%').shape, PATH_STATUS);
	assert_int_equal(path_parse("%2026-11-22T10:00:00Z", false, '%').shape, PATH_TIME);
	assert_int_equal(path_parse("x%watch", false, '%').shape, PATH_WATCH);
	for (int c = -128; c < 128; c++)
		assert_int_equal(path_mark_valid((char)c), c > 0 && strchr("!\"#$%&'()*+;<=>?@[\\]^_`{|}~", c) != NULL);
}

static void control_names_count_in_the_root_and_watch_everywhere(void **state)
{
	(void)state;
	assert_int_equal(path_parse("@status", true, PATH_MARK).shape, PATH_STATUS);
	assert_int_equal(path_parse("@members", true, PATH_MARK).shape, PATH_MEMBERS);
	assert_int_equal(path_parse("@metrics", true, PATH_MARK).shape, PATH_METRICS);
	assert_int_equal(path_parse("@status", false, PATH_MARK).shape, PATH_PLAIN);
	assert_int_equal(path_parse("bob@status", true, PATH_MARK).shape, PATH_PLAIN);
	assert_int_equal(path_parse("bob@watch", false, PATH_MARK).shape, PATH_WATCH);
	assert_int_equal(path_parse("@watch", false, PATH_MARK).shape, PATH_WATCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_with_a_mark_that_leads_nowhere_are_ordinary),
		cmocka_unit_test(digits_after_the_last_mark_are_a_revision),
		cmocka_unit_test(a_minus_counts_versions_back),
		cmocka_unit_test(nothing_after_the_mark_lists_versions),
		cmocka_unit_test(times_in_utc_are_a_shape_and_others_are_not),
		cmocka_unit_test(fractions_of_a_second_go_down_to_the_nanosecond),
		cmocka_unit_test(the_calendar_is_the_gregorian_one),
		cmocka_unit_test(times_beyond_what_nanoseconds_can_count_are_the_end_of_it),
		cmocka_unit_test(only_what_follows_the_last_mark_counts),
		cmocka_unit_test(another_mark_takes_the_place_of_the_usual_one),
		cmocka_unit_test(control_names_count_in_the_root_and_watch_everywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
