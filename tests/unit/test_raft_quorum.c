#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "raft/core/quorum.h"

static void a_majority_is_more_than_half(void **unused)
{
	(void)unused;
	const uint32_t sizes[] = {1, 2, 2, 3, 3, 4, 4, 5};
	for (uint32_t n = 1; n <= 8; n++)
		assert_int_equal(quorum_size(n), sizes[n - 1]);
}

static void what_a_majority_has_reached_is_the_middle_value(void **unused)
{
	(void)unused;
	assert_int_equal(quorum_reached((const uint64_t[]){7}, 1), 7);
	assert_int_equal(quorum_reached((const uint64_t[]){7, 3}, 2), 3);
	assert_int_equal(quorum_reached((const uint64_t[]){1, 9, 5}, 3), 5);
	assert_int_equal(quorum_reached((const uint64_t[]){4, 1, 3, 2}, 4), 2);
	assert_int_equal(quorum_reached((const uint64_t[]){5, 1, 4, 2, 3}, 5), 3);
	assert_int_equal(quorum_reached((const uint64_t[]){UINT64_MAX, 0, 0}, 3), 0);
}

/* Against the definition, by brute force: the largest v that at least a majority has reached. */
static void what_a_majority_has_reached_agrees_with_its_definition(void **unused)
{
	(void)unused;
	for (uint32_t n = 1; n <= 5; n++) {
		for (uint32_t code = 0; code < 1024; code++) {
			uint64_t values[5], best = 0;
			for (uint32_t i = 0; i < n; i++)
				values[i] = code >> (2 * i) & 3;
			for (uint64_t v = 1; v <= 3; v++) {
				uint32_t have = 0;
				for (uint32_t i = 0; i < n; i++)
					have += values[i] >= v;
				if (have >= quorum_size(n))
					best = v;
			}
			assert_int_equal(quorum_reached(values, n), best);
		}
	}
}

static void an_election_is_won_by_a_majority_and_lost_when_none_is_left(void **unused)
{
	(void)unused;
	const enum quorum_vote y = VOTE_GRANTED, n = VOTE_REJECTED, x = VOTE_NONE;
	assert_int_equal(quorum_count_votes((const enum quorum_vote[]){y}, 1), QUORUM_WON);
	assert_int_equal(quorum_count_votes((const enum quorum_vote[]){y, x}, 2), QUORUM_PENDING);
	assert_int_equal(quorum_count_votes((const enum quorum_vote[]){y, n}, 2), QUORUM_LOST);
	assert_int_equal(quorum_count_votes((const enum quorum_vote[]){y, y, x}, 3), QUORUM_WON);
	assert_int_equal(quorum_count_votes((const enum quorum_vote[]){y, n, x}, 3), QUORUM_PENDING);
	assert_int_equal(quorum_count_votes((const enum quorum_vote[]){y, n, n}, 3), QUORUM_LOST);
	assert_int_equal(quorum_count_votes((const enum quorum_vote[]){y, y, n, n}, 4), QUORUM_LOST);
	assert_int_equal(quorum_count_votes((const enum quorum_vote[]){y, y, n, n, y}, 5), QUORUM_WON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_majority_is_more_than_half),
		cmocka_unit_test(what_a_majority_has_reached_is_the_middle_value),
		cmocka_unit_test(what_a_majority_has_reached_agrees_with_its_definition),
		cmocka_unit_test(an_election_is_won_by_a_majority_and_lost_when_none_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
