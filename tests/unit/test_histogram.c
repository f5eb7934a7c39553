#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/histogram.h"

#define US 1000

static struct histogram_figures after(const int64_t *ns, size_t count)
{
	struct histogram h = {0};
	struct histogram_figures f;

	for (size_t i = 0; i < count; i++)
		histogram_add(&h, ns[i]);
	histogram_read(&h, &f);
	return f;
}

static unsigned bucket_of(int64_t ns)
{
	struct histogram_figures f = after(&ns, 1);
	unsigned i = 0;

	while (f.buckets[i] == 0)
		i++;
	assert_int_equal(f.buckets[i], 1);
	return i;
}

static void a_bucket_holds_what_is_below_its_power_of_two(void **state)
{
	(void)state;
	assert_int_equal(bucket_of(0), 0);
	assert_int_equal(bucket_of(1 * US - 1), 0);
	for (unsigned i = 0; i + 2 < HISTOGRAM_BUCKETS; i++) {
		assert_int_equal(bucket_of((int64_t)US << i), i + 1);
		assert_int_equal(bucket_of(((int64_t)US << i) - 1), i);
	}
}

static void the_last_bucket_holds_all_that_is_longer(void **state)
{
	(void)state;
	assert_int_equal(bucket_of((int64_t)US << (HISTOGRAM_BUCKETS - 2)), HISTOGRAM_BUCKETS - 1);
	assert_int_equal(bucket_of((int64_t)US << 40), HISTOGRAM_BUCKETS - 1);
}

static void the_sum_is_exact_and_time_never_negative(void **state)
{
	static const int64_t took[] = {1, 999, 1000, 123456789, -5};

	(void)state;
	struct histogram_figures f = after(took, 5);
	assert_int_equal(f.sum_ns, 1 + 999 + 1000 + 123456789);
	assert_int_equal(f.buckets[0], 3);
	assert_int_equal(f.buckets[1], 1);
	assert_int_equal(f.buckets[17], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_holds_what_is_below_its_power_of_two),
		cmocka_unit_test(the_last_bucket_holds_all_that_is_longer),
		cmocka_unit_test(the_sum_is_exact_and_time_never_negative),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
