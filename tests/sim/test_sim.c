/* 200 schedules of a simulated minute each; and the same seed twice. `make sim` runs as many as are wanted. */
#include "tests/sim/campaign.h"
#include "tests/sim/simulation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define RUNS 200

static void nothing_is_violated_in_200_schedules(void **state)
{
	struct campaign c;
	(void)state;
	campaign_run(&c, 1, RUNS, 0);
	campaign_print(&c, stdout);
	assert_int_equal(c.failed, 0);
	assert_int_equal(c.runs, RUNS);
	assert_true(c.counts[HAPPENED_write_done] > 10000);
	assert_true(c.counts[HAPPENED_read_done] > 10000);
	assert_true(c.counts[HAPPENED_leader] > RUNS);
}

static void a_seed_replays_exactly(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		assert_true(simulation_run(seed, false));
		uint64_t hash = world_hash();
		assert_true(simulation_run(seed, false));
		assert_int_equal(world_hash(), hash);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_replays_exactly),
		cmocka_unit_test(nothing_is_violated_in_200_schedules),
	};
	simulation_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
