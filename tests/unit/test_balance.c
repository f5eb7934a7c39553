#include "store/client/balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define PICKS 3000u
#define MS INT64_C(1000000)

static const uint32_t even[] = {1, 1, 1};

static void pick_many(struct balance *b, unsigned *hits, unsigned picks)
{
	for (unsigned i = 0; i < picks; i++) {
		unsigned at = balance_pick(b, 0, 0);
		balance_started(b, at, 0);
		balance_finished(b, at);
		balance_ok(b, at);
		hits[at]++;
	}
}

static void round_robin_gives_a_third_each(void **state)
{
	(void)state;
	struct balance b;
	unsigned hits[3] = {0};

	balance_init(&b, BALANCE_ROUND_ROBIN, even, 3, 0);
	pick_many(&b, hits, PICKS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(hits[i], 1000);
}

static void the_seed_says_where_round_robin_begins(void **state)
{
	(void)state;
	struct balance b;

	for (unsigned seed = 0; seed < 6; seed++) {
		balance_init(&b, BALANCE_ROUND_ROBIN, even, 3, seed);
		assert_int_equal(balance_pick(&b, 0, 0), seed % 3);
	}
}

static void random_gives_a_third_each_within_five_percent(void **state)
{
	(void)state;
	struct balance b;
	unsigned hits[3] = {0};

	balance_init(&b, BALANCE_RANDOM, even, 3, 42);
	pick_many(&b, hits, 10 * PICKS);
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(hits[i], 9500, 10500);
}

static void weighted_follows_the_weights_and_spreads_them(void **state)
{
	(void)state;
	static const uint32_t weights[] = {3, 2, 1};
	struct balance b;
	unsigned hits[3] = {0};
	unsigned streak = 0;
	unsigned last = 9;

	balance_init(&b, BALANCE_WEIGHTED, weights, 3, 0);
	for (unsigned i = 0; i < PICKS; i++) {
		unsigned at = balance_pick(&b, 0, 0);
		streak = at == last ? streak + 1 : 1;
		last = at;
		assert_true(streak <= 2);
		hits[at]++;
	}
	assert_in_range(hits[0], 1485, 1515);
	assert_in_range(hits[1], 990, 1010);
	assert_in_range(hits[2], 495, 505);
}

static void least_connections_stays_away_from_a_slow_one(void **state)
{
	(void)state;
	struct balance b;
	unsigned hits[3] = {0};
	unsigned slow_out = 0;

	/* Two answer at once; the first answers one request for each hundred that the others do. */
	balance_init(&b, BALANCE_LEAST_CONNECTIONS, even, 3, 0);
	for (unsigned i = 0; i < PICKS; i++) {
		unsigned at = balance_pick(&b, 0, 0);
		balance_started(&b, at, 0);
		hits[at]++;
		if (at == 0)
			slow_out++;
		else
			balance_finished(&b, at);
		if (i % 100 == 99 && slow_out > 0) {
			balance_finished(&b, 0);
			slow_out--;
		}
	}
	assert_true(hits[0] < 50);
	assert_in_range(hits[1], 1400, 1550);
	assert_in_range(hits[2], 1400, 1550);
}

static void least_connections_takes_equals_in_turn(void **state)
{
	(void)state;
	struct balance b;
	unsigned hits[3] = {0};

	balance_init(&b, BALANCE_LEAST_CONNECTIONS, even, 3, 0);
	pick_many(&b, hits, PICKS);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(hits[i], 1000);
}

static void a_failed_endpoint_is_passed_over_and_tried_again_later(void **state)
{
	(void)state;
	struct balance b;

	balance_init(&b, BALANCE_ROUND_ROBIN, even, 3, 0);
	balance_failed(&b, 1, 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_not_equal(balance_pick(&b, 0, BALANCE_BACKOFF_NS - 1), 1);
	unsigned hits = 0;
	for (unsigned i = 0; i < 99; i++)
		hits += balance_pick(&b, 0, BALANCE_BACKOFF_NS) == 1;
	assert_int_equal(hits, 33);
}

static void its_back_off_doubles_up_to_the_longest(void **state)
{
	(void)state;
	struct balance b;
	int64_t now = 0;
	int64_t expected = BALANCE_BACKOFF_NS;

	balance_init(&b, BALANCE_ROUND_ROBIN, even, 3, 0);
	for (unsigned i = 0; i < 10; i++) {
		balance_failed(&b, 0, now);
		assert_int_equal(b.endpoints[0].until_ns - now, expected);
		now = b.endpoints[0].until_ns;
		balance_started(&b, 0, now);
		balance_finished(&b, 0);
		expected = expected * 2 < BALANCE_BACKOFF_MAX_NS ? expected * 2 : BALANCE_BACKOFF_MAX_NS;
	}
	balance_ok(&b, 0);
	balance_failed(&b, 0, now);
	assert_int_equal(b.endpoints[0].until_ns - now, BALANCE_BACKOFF_NS);
}

static void requests_that_fail_together_are_one_failure(void **state)
{
	(void)state;
	struct balance b;

	balance_init(&b, BALANCE_ROUND_ROBIN, even, 3, 0);
	for (unsigned i = 0; i < 64; i++)
		balance_failed(&b, 0, i * MS);
	assert_int_equal(b.endpoints[0].failures, 1);
}

static void only_one_request_tries_a_failed_endpoint(void **state)
{
	(void)state;
	struct balance b;
	int64_t later = BALANCE_BACKOFF_NS + MS;

	balance_init(&b, BALANCE_ROUND_ROBIN, even, 3, 0);
	balance_failed(&b, 0, 0);
	while (balance_pick(&b, 0, later) != 0)
		;
	balance_started(&b, 0, later);
	for (unsigned i = 0; i < 20; i++)
		assert_int_not_equal(balance_pick(&b, 0, later), 0);
	balance_finished(&b, 0);
	balance_ok(&b, 0);
	unsigned hits = 0;
	for (unsigned i = 0; i < 9; i++)
		hits += balance_pick(&b, 0, later) == 0;
	assert_int_equal(hits, 3);
}

static void when_all_failed_the_first_to_be_well_again_is_picked(void **state)
{
	(void)state;
	struct balance b;

	balance_init(&b, BALANCE_ROUND_ROBIN, even, 3, 0);
	balance_failed(&b, 0, 30 * MS);
	balance_failed(&b, 1, 10 * MS);
	balance_failed(&b, 2, 20 * MS);
	assert_int_equal(balance_pick(&b, 0, 40 * MS), 1);
	assert_int_equal(balance_pick(&b, 1u << 1, 40 * MS), 2);
	assert_int_equal(balance_pick(&b, 7, 40 * MS), 1);
}

static void an_avoided_endpoint_is_picked_only_if_no_other_is_left(void **state)
{
	(void)state;
	struct balance b;

	balance_init(&b, BALANCE_ROUND_ROBIN, even, 3, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(balance_pick(&b, 1u << 0 | 1u << 2, 0), 1);
	balance_failed(&b, 1, 0);
	/* Failed, but not tried by this request yet. */
	assert_int_equal(balance_pick(&b, 1u << 0 | 1u << 2, 0), 1);
	assert_int_not_equal(balance_pick(&b, 7, 0), 1);
}

static void policies_go_by_their_names(void **state)
{
	(void)state;
	enum balance_policy policy = BALANCE_ROUND_ROBIN;

	assert_int_equal(balance_policy_parse("weighted", &policy), 0);
	assert_int_equal(policy, BALANCE_WEIGHTED);
	assert_int_equal(balance_policy_parse("least_connections", &policy), 0);
	assert_int_equal(policy, BALANCE_LEAST_CONNECTIONS);
	assert_int_equal(balance_policy_parse("fastest", &policy), -22);
	assert_int_equal(policy, BALANCE_LEAST_CONNECTIONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_robin_gives_a_third_each),
		cmocka_unit_test(the_seed_says_where_round_robin_begins),
		cmocka_unit_test(random_gives_a_third_each_within_five_percent),
		cmocka_unit_test(weighted_follows_the_weights_and_spreads_them),
		cmocka_unit_test(least_connections_stays_away_from_a_slow_one),
		cmocka_unit_test(least_connections_takes_equals_in_turn),
		cmocka_unit_test(a_failed_endpoint_is_passed_over_and_tried_again_later),
		cmocka_unit_test(its_back_off_doubles_up_to_the_longest),
		cmocka_unit_test(requests_that_fail_together_are_one_failure),
		cmocka_unit_test(only_one_request_tries_a_failed_endpoint),
		cmocka_unit_test(when_all_failed_the_first_to_be_well_again_is_picked),
		cmocka_unit_test(an_avoided_endpoint_is_picked_only_if_no_other_is_left),
		cmocka_unit_test(policies_go_by_their_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
