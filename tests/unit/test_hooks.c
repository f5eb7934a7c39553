#include "store/client/hooks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char trail[256];

struct note {
	const char *name;
	int answer;
};

static void trail_add(const char *what, const char *name)
{
	size_t at = strlen(trail);
	snprintf(trail + at, sizeof(trail) - at, "%s%s ", what, name);
}

static int note_before(void *ctx, struct hook_call *call)
{
	const struct note *n = ctx;

	(void)call;
	trail_add("+", n->name);
	return n->answer;
}

static void note_after(void *ctx, const struct hook_call *call)
{
	const struct note *n = ctx;

	(void)call;
	trail_add("-", n->name);
}

static struct hook noting(struct note *n)
{
	return (struct hook){.before = note_before, .after = note_after, .ctx = n};
}

static void hooks_run_in_order_before_and_in_reverse_after(void **state)
{
	(void)state;
	struct note a = {"a", 0}, b = {"b", 0}, c = {"c", 0};
	struct hooks hooks = {0};
	struct hook_call call = {.type = REQUEST_GET};

	trail[0] = '\0';
	hooks_add(&hooks, noting(&a));
	hooks_add(&hooks, noting(&b));
	hooks_add(&hooks, noting(&c));
	assert_int_equal(hooks_before(&hooks, &call), 0);
	hooks_after(&hooks, &call);
	assert_string_equal(trail, "+a +b +c -c -b -a ");
}

static void a_refusal_ends_the_chain_and_only_those_passed_hear_the_end(void **state)
{
	(void)state;
	struct note a = {"a", 0}, b = {"b", -EBUSY}, c = {"c", 0};
	struct hooks hooks = {0};
	struct hook_call call = {.type = REQUEST_GET};

	trail[0] = '\0';
	hooks_add(&hooks, noting(&a));
	hooks_add(&hooks, noting(&b));
	hooks_add(&hooks, noting(&c));
	assert_int_equal(hooks_before(&hooks, &call), -EBUSY);
	hooks_after(&hooks, &call);
	assert_string_equal(trail, "+a +b -a ");
}

static void limit_refuses_one_request_too_many_until_another_ends(void **state)
{
	(void)state;
	struct hook_limit limit = {.in_flight_max = 2, .bytes_max = 1000};
	struct hooks hooks = {0};
	struct hook_call calls[3] = {{.request_bytes = 10}, {.request_bytes = 10}, {.request_bytes = 10}};

	hooks_add(&hooks, hook_limit(&limit));
	assert_int_equal(hooks_before(&hooks, &calls[0]), 0);
	assert_int_equal(hooks_before(&hooks, &calls[1]), 0);
	assert_int_equal(hooks_before(&hooks, &calls[2]), -EBUSY);
	hooks_after(&hooks, &calls[2]);
	assert_int_equal(limit.in_flight, 2);
	hooks_after(&hooks, &calls[0]);
	assert_int_equal(hooks_before(&hooks, &calls[2]), 0);
}

static void watches_have_a_limit_of_their_own(void **state)
{
	(void)state;
	struct hooks hooks = {.count = 0};
	struct hook_limit limit = {.in_flight_max = 1, .bytes_max = 100, .watches_max = 2};
	struct hook_call watches[3] = {{.type = REQUEST_WATCH}, {.type = REQUEST_WATCH}, {.type = REQUEST_WATCH}};
	struct hook_call get = {.type = REQUEST_GET};

	hooks_add(&hooks, hook_limit(&limit));
	assert_int_equal(hooks_before(&hooks, &watches[0]), 0);
	assert_int_equal(hooks_before(&hooks, &watches[1]), 0);
	assert_int_equal(hooks_before(&hooks, &watches[2]), -EBUSY);
	hooks_after(&hooks, &watches[2]);
	assert_int_equal(hooks_before(&hooks, &get), 0);
	hooks_after(&hooks, &watches[0]);
	assert_int_equal(hooks_before(&hooks, &watches[2]), 0);
	hooks_after(&hooks, &get);
	hooks_after(&hooks, &watches[1]);
	hooks_after(&hooks, &watches[2]);
	assert_int_equal(limit.watches, 0);
	assert_int_equal(limit.in_flight, 0);
}

static void limit_bounds_the_bytes_but_lets_one_large_request_through(void **state)
{
	(void)state;
	struct hook_limit limit = {.in_flight_max = 10, .bytes_max = 100};
	struct hooks hooks = {0};
	struct hook_call large = {.request_bytes = 500}, small = {.request_bytes = 1};

	hooks_add(&hooks, hook_limit(&limit));
	assert_int_equal(hooks_before(&hooks, &large), 0);
	assert_int_equal(hooks_before(&hooks, &small), -EBUSY);
	hooks_after(&hooks, &small);
	hooks_after(&hooks, &large);
	assert_int_equal(hooks_before(&hooks, &small), 0);
	assert_int_equal(limit.bytes, 1);
}

static void count_adds_up_requests_errors_bytes_and_latency_by_type(void **state)
{
	(void)state;
	struct hook_counters counters = {0};
	struct hooks hooks = {0};
	struct hook_call quick = {.type = REQUEST_GET, .request_bytes = 7, .response_bytes = 9, .ended_ns = 100000};
	struct hook_call failed = {.type = REQUEST_PUT, .error = -ETIMEDOUT, .ended_ns = INT64_C(5000000000)};
	struct hook_call unknown = {.type = 200};

	hooks_add(&hooks, hook_count(&counters));
	struct hook_call *calls[] = {&quick, &failed, &unknown};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(hooks_before(&hooks, calls[i]), 0);
		hooks_after(&hooks, calls[i]);
	}
	struct hook_counter *get = &counters.types[REQUEST_GET];
	assert_int_equal(get->requests, 1);
	assert_int_equal(get->errors, 0);
	assert_int_equal(get->request_bytes, 7);
	assert_int_equal(get->response_bytes, 9);
	assert_int_equal(get->latency_us_sum, 100);
	assert_int_equal(get->latency[7], 1); /* 64 <= 100 < 128 */
	assert_int_equal(counters.types[REQUEST_PUT].errors, 1);
	assert_int_equal(counters.types[REQUEST_PUT].latency[23], 1);
	assert_int_equal(counters.types[0].requests, 1);
}

static void what_limit_refuses_is_counted_when_count_is_around_it(void **state)
{
	(void)state;
	struct hook_counters counters = {0};
	struct hook_limit limit = {.in_flight_max = 0, .bytes_max = 1};
	struct hooks hooks = {0};
	struct hook_call call = {.type = REQUEST_GET};

	hooks_add(&hooks, hook_count(&counters));
	hooks_add(&hooks, hook_limit(&limit));
	call.error = hooks_before(&hooks, &call);
	hooks_after(&hooks, &call);
	assert_int_equal(call.error, -EBUSY);
	assert_int_equal(counters.types[REQUEST_GET].requests, 1);
	assert_int_equal(counters.types[REQUEST_GET].errors, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hooks_run_in_order_before_and_in_reverse_after),
		cmocka_unit_test(a_refusal_ends_the_chain_and_only_those_passed_hear_the_end),
		cmocka_unit_test(limit_refuses_one_request_too_many_until_another_ends),
		cmocka_unit_test(watches_have_a_limit_of_their_own),
		cmocka_unit_test(limit_bounds_the_bytes_but_lets_one_large_request_through),
		cmocka_unit_test(count_adds_up_requests_errors_bytes_and_latency_by_type),
		cmocka_unit_test(what_limit_refuses_is_counted_when_count_is_around_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
