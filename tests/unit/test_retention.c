/* Retention: how much history goes, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/retention.h"

#define SECOND INT64_C(1000000000)

static void by_number_all_but_the_newest_go(void **state)
{
	const struct retention_rules rules = {.retain_revisions = 10000};
	struct retention_view v = {.now_ns = 100 * SECOND, .revision = 10000};
	struct retention r = {0};
	(void)state;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
	v.revision = 25000;
	assert_int_equal(retention_due(&r, &rules, &v), 15000);
	v.floor = v.compacted = 15000;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
}

static void few_revisions_wait_for_more_or_for_a_while(void **state)
{
	const struct retention_rules rules = {.retain_revisions = 10000};
	struct retention_view v = {.now_ns = 100 * SECOND, .revision = 25999, .floor = 15000, .compacted = 15000};
	struct retention r = {.last_ns = 99 * SECOND};
	(void)state;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
	v.revision = 26000;
	assert_int_equal(retention_due(&r, &rules, &v), 16000);
	v.floor = v.compacted = 16000;
	v.revision = 26001;
	v.now_ns = 104 * SECOND;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
	v.now_ns = 105 * SECOND;
	assert_int_equal(retention_due(&r, &rules, &v), 16001);
}

static void of_a_long_history_a_hundredth_is_worth_it(void **state)
{
	const struct retention_rules rules = {.retain_revisions = 1000000};
	struct retention_view v = {.now_ns = 100 * SECOND, .revision = 1009000, .floor = 1, .compacted = 1};
	struct retention r = {.last_ns = 99 * SECOND};
	(void)state;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
	v.revision = 1011000;
	assert_int_equal(retention_due(&r, &rules, &v), 11000);
}

static void by_age_what_is_older_goes(void **state)
{
	const struct retention_rules rules = {.retain_ns = 7 * SECOND};
	struct retention_view v = {.now_ns = 100 * SECOND, .revision = 5000, .by_age = 0};
	struct retention r = {0};
	(void)state;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
	v.by_age = 4000;
	assert_int_equal(retention_due(&r, &rules, &v), 4000);
}

static void near_the_quota_the_oldest_history_yields_step_by_step(void **state)
{
	const struct retention_rules rules = {.retain_ns = 7 * SECOND, .quota = 8000};
	struct retention_view v = {.now_ns = SECOND, .revision = 9000, .floor = 1000, .compacted = 1000, .used_bytes = 7000};
	struct retention r = {.last_ns = SECOND};
	(void)state;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
	v.used_bytes = 7001;
	assert_true(retention_is_tight(&rules, &v));
	assert_int_equal(retention_due(&r, &rules, &v), 2000);
	/* until that is deleted there is nothing to tell by */
	v.floor = 2000;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
	v.compacted = 2000;
	v.used_bytes = 8001;
	assert_int_equal(retention_due(&r, &rules, &v), 2000 + 3500);
}

static void when_no_history_is_left_there_is_nothing_to_do(void **state)
{
	const struct retention_rules rules = {.retain_ns = 7 * SECOND, .quota = 8000};
	struct retention_view v = {.now_ns = SECOND, .revision = 9000, .floor = 9000, .compacted = 9000, .used_bytes = 9999};
	struct retention r = {0};
	(void)state;
	assert_int_equal(retention_due(&r, &rules, &v), 0);
	v.revision = 9003; /* few are still some */
	assert_int_equal(retention_due(&r, &rules, &v), 9001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_number_all_but_the_newest_go),
		cmocka_unit_test(few_revisions_wait_for_more_or_for_a_while),
		cmocka_unit_test(of_a_long_history_a_hundredth_is_worth_it),
		cmocka_unit_test(by_age_what_is_older_goes),
		cmocka_unit_test(near_the_quota_the_oldest_history_yields_step_by_step),
		cmocka_unit_test(when_no_history_is_left_there_is_nothing_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
