/* The checker of histories: what it must accept, what it must refuse, and that it is quick. */
#include "tests/lib/lincheck.h"
#include "tests/lib/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { A = 1, B = 2 };

static struct lin_history *h;
static struct lin_result result;

static int begin(void **state)
{
	(void)state;
	h = lin_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	lin_free(h);
	return 0;
}

static uint32_t add(enum lin_kind kind, enum lin_outcome outcome, uint64_t key, uint64_t value, int64_t called, int64_t returned)
{
	struct lin_op op = {.kind = kind, .outcome = outcome, .key = key, .value = value, .called = called, .returned = returned};
	return lin_add(h, &op);
}

static void wrote(uint64_t key, uint64_t value, int64_t called, int64_t returned)
{
	add(LIN_WRITE, LIN_OK, key, value, called, returned);
}

static void saw_all(uint64_t key, const uint64_t *ids, uint32_t count, int64_t called, int64_t returned)
{
	struct lin_op op = {.kind = LIN_READ, .key = key, .seen = ids, .seen_count = count, .called = called, .returned = returned};
	lin_add(h, &op);
}

static void saw(uint64_t key, uint64_t value, int64_t called, int64_t returned)
{
	saw_all(key, &value, 1, called, returned);
}

static void saw_none(uint64_t key, int64_t called, int64_t returned)
{
	saw_all(key, NULL, LIN_ABSENT, called, returned);
}

static void moved(uint64_t from, uint64_t to, enum lin_outcome outcome, int64_t called, int64_t returned)
{
	struct lin_op op = {.kind = LIN_RENAME, .outcome = outcome, .key = from, .other = to, .called = called, .returned = returned};
	lin_add(h, &op);
}

static void swapped(uint64_t from, uint64_t to, enum lin_outcome outcome, int64_t called, int64_t returned)
{
	struct lin_op op = {.kind = LIN_SWAP, .outcome = outcome, .key = A, .value = to, .called = called, .returned = returned};
	op.seen = &from;
	op.seen_count = 1;
	lin_add(h, &op);
}

static void expect(enum lin_verdict verdict)
{
	lin_check(h, NULL, &result);
	if (result.verdict != verdict)
		print_error("%s", result.report);
	assert_int_equal(result.verdict, verdict);
	assert_int_equal(result.report[0] == '\0', verdict == LIN_GOOD);
}

static void an_empty_history_is_good(void **state)
{
	(void)state;
	expect(LIN_GOOD);
	assert_int_equal(result.keys, 0);
}

static void a_read_sees_the_last_write_or_one_under_way(void **state)
{
	(void)state;
	saw_none(A, 0, 1);
	wrote(A, 1, 2, 3);
	wrote(A, 2, 4, 10);
	saw(A, 1, 5, 6);
	saw(A, 2, 7, 8);
	saw(A, 2, 11, 12);
	expect(LIN_GOOD);
}

static void a_stale_read_is_bad_and_named(void **state)
{
	(void)state;
	wrote(B, 9, 0, 1);
	wrote(A, 1, 2, 3);
	wrote(A, 2, 4, 5);
	saw(A, 1, 6, 7);
	expect(LIN_BAD);
	assert_int_equal(result.key, A);
	assert_int_equal(result.op, 3);
	assert_int_equal(result.from, 6);
	assert_int_equal(result.to, 7);
	assert_non_null(strstr(result.report, "#3"));
	assert_non_null(strstr(result.report, "what it saw was made by:\n  #1"));
}

static void two_reads_must_not_go_back_while_the_write_is_under_way(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	wrote(A, 2, 2, 100);
	saw(A, 2, 3, 4);
	saw(A, 1, 5, 6);
	expect(LIN_BAD);
}

static void a_read_from_the_future_is_bad(void **state)
{
	(void)state;
	saw(A, 1, 0, 1);
	wrote(A, 1, 2, 3);
	expect(LIN_BAD);
	assert_int_equal(result.op, 0);
}

static void a_read_of_what_nobody_wrote_is_bad(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	saw(A, 7, 2, 3);
	expect(LIN_BAD);
}

static void a_lost_update_is_bad(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	swapped(1, 2, LIN_OK, 2, 5);
	swapped(1, 3, LIN_OK, 3, 6);
	expect(LIN_BAD);
}

static void of_two_swaps_one_may_be_refused(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	swapped(1, 2, LIN_OK, 2, 5);
	swapped(1, 3, LIN_REFUSED, 3, 6);
	saw(A, 2, 7, 8);
	expect(LIN_GOOD);
}

static void a_swap_refused_for_no_reason_is_bad(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	swapped(1, 2, LIN_REFUSED, 2, 3);
	expect(LIN_BAD);
}

static void a_double_create_is_bad(void **state)
{
	(void)state;
	add(LIN_CREATE, LIN_OK, A, 1, 0, 5);
	add(LIN_CREATE, LIN_OK, A, 2, 0, 5);
	expect(LIN_BAD);
}

static void of_two_creates_one_is_refused(void **state)
{
	(void)state;
	add(LIN_CREATE, LIN_REFUSED, A, 2, 0, 5);
	add(LIN_CREATE, LIN_OK, A, 1, 0, 5);
	add(LIN_DELETE, LIN_OK, A, 0, 6, 7);
	add(LIN_CREATE, LIN_OK, A, 3, 8, 9);
	saw(A, 3, 10, 11);
	expect(LIN_GOOD);
}

static void a_create_refused_although_nothing_was_there_is_bad(void **state)
{
	(void)state;
	add(LIN_CREATE, LIN_REFUSED, A, 1, 0, 1);
	add(LIN_CREATE, LIN_OK, A, 2, 2, 3);
	expect(LIN_BAD);
}

static void an_unknown_write_may_appear_late(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	add(LIN_WRITE, LIN_UNKNOWN, A, 2, 2, 0);
	saw(A, 1, 100, 101);
	wrote(A, 3, 102, 103);
	saw(A, 3, 104, 105);
	saw(A, 2, 200, 201);
	expect(LIN_GOOD);
}

static void an_unknown_write_that_appeared_stays(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	add(LIN_WRITE, LIN_UNKNOWN, A, 2, 2, 0);
	saw(A, 2, 100, 101);
	saw(A, 1, 102, 103);
	expect(LIN_BAD);
}

static void an_unknown_write_is_not_seen_before_it_was_called(void **state)
{
	(void)state;
	saw(A, 2, 0, 1);
	add(LIN_WRITE, LIN_UNKNOWN, A, 2, 2, 0);
	expect(LIN_BAD);
}

static void an_unknown_delete_explains_one_absence_only(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	add(LIN_DELETE, LIN_UNKNOWN, A, 0, 2, 0);
	saw(A, 1, 3, 4);
	saw_none(A, 5, 6);
	wrote(A, 2, 7, 8);
	expect(LIN_GOOD);
	saw_none(A, 9, 10);
	expect(LIN_BAD);
}

static void an_unknown_write_that_nobody_saw_explains_a_refusal(void **state)
{
	(void)state;
	add(LIN_WRITE, LIN_UNKNOWN, A, 1, 0, 0);
	add(LIN_CREATE, LIN_REFUSED, A, 2, 1, 2);
	add(LIN_DELETE, LIN_OK, A, 0, 3, 4);
	saw_none(A, 5, 6);
	expect(LIN_GOOD);
	add(LIN_DELETE, LIN_OK, A, 0, 7, 8);
	expect(LIN_BAD);
}

static void what_failed_for_sure_explains_nothing(void **state)
{
	(void)state;
	add(LIN_WRITE, LIN_FAILED, A, 1, 0, 1);
	saw_none(A, 2, 3);
	expect(LIN_GOOD);
	saw(A, 1, 4, 5);
	expect(LIN_BAD);
}

static void appends_are_seen_in_one_order(void **state)
{
	(void)state;
	static const uint64_t both[] = {2, 1}, other[] = {1, 2};
	add(LIN_APPEND, LIN_OK, A, 1, 0, 10);
	add(LIN_APPEND, LIN_OK, A, 2, 0, 10);
	saw_all(A, both, 1, 5, 6);
	saw_all(A, both, 2, 11, 12);
	expect(LIN_GOOD);
	saw_all(A, other, 2, 13, 14);
	expect(LIN_BAD);
}

static void a_duplicated_append_is_bad(void **state)
{
	(void)state;
	static const uint64_t twice[] = {1, 1};
	add(LIN_APPEND, LIN_UNKNOWN, A, 1, 0, 0);
	saw_all(A, twice, 1, 1, 2);
	expect(LIN_GOOD);
	saw_all(A, twice, 2, 3, 4);
	expect(LIN_BAD);
}

static void a_lost_append_is_bad(void **state)
{
	(void)state;
	static const uint64_t seen[] = {1, 3};
	add(LIN_APPEND, LIN_OK, A, 1, 0, 1);
	add(LIN_APPEND, LIN_OK, A, 2, 2, 3);
	add(LIN_APPEND, LIN_OK, A, 3, 4, 5);
	saw_all(A, seen, 2, 6, 7);
	expect(LIN_BAD);
}

static void a_rename_is_seen_whole(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	moved(A, B, LIN_OK, 2, 20);
	saw(A, 1, 3, 4);
	saw_none(A, 5, 6);
	saw(B, 1, 7, 8);
	moved(A, B, LIN_REFUSED, 9, 10);
	expect(LIN_GOOD);
	assert_int_equal(result.keys, 1);
}

static void a_rename_half_seen_is_bad(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	moved(A, B, LIN_OK, 2, 20);
	saw_none(A, 3, 4);
	saw_none(B, 5, 6);
	expect(LIN_BAD);
}

static void a_rename_that_leaves_the_old_name_is_bad(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	moved(A, B, LIN_UNKNOWN, 2, 0);
	saw(B, 1, 3, 4);
	saw(A, 1, 5, 6);
	expect(LIN_BAD);
}

/* Each client's own order could be kept, if only time did not matter. */
static void sequential_consistency_does_not_suffice(void **state)
{
	(void)state;
	wrote(A, 1, 0, 1);
	wrote(A, 2, 2, 3);
	saw(A, 1, 4, 5);
	saw(A, 2, 6, 7);
	expect(LIN_BAD);
}

static void keys_are_checked_apart(void **state)
{
	(void)state;
	for (uint64_t key = 0; key < 50; key++) {
		wrote(key, 100 + key, 0, 1);
		saw(key, 100 + key, 2, 3);
	}
	expect(LIN_GOOD);
	assert_int_equal(result.keys, 50);
	saw(33, 100, 4, 5);
	expect(LIN_BAD);
	assert_int_equal(result.key, 33);
}

static void an_empty_file_is_not_an_absent_one(void **state)
{
	(void)state;
	wrote(A, 0, 0, 1);
	saw_all(A, NULL, 0, 2, 3);
	expect(LIN_GOOD);
	saw_none(A, 4, 5);
	expect(LIN_BAD);
}

/* Twenty writers at once whose writes are read in an order that only the last read refutes. */
static void too_little_room_is_no_success(void **state)
{
	(void)state;
	struct lin_limits limits = {.steps_max = 100};
	for (uint64_t i = 1; i <= 20; i++)
		wrote(A, i, 0, 100);
	for (uint64_t i = 1; i <= 20; i++)
		saw(A, i, 101, 102);
	lin_check(h, &limits, &result);
	assert_int_equal(result.verdict, LIN_GAVE_UP);
	limits = (struct lin_limits){.bytes_max = 100000};
	lin_check(h, &limits, &result);
	assert_int_equal(result.verdict, LIN_GAVE_UP);
	assert_true(result.report[0] != '\0');
}

/* One key that is bad outweighs another that was too much. */
static void what_is_bad_is_said_even_if_something_else_was_too_much(void **state)
{
	(void)state;
	struct lin_limits limits = {.bytes_max = 100000};
	for (uint64_t i = 1; i <= 20; i++)
		wrote(A, i, 0, 100);
	for (uint64_t i = 1; i <= 20; i++)
		saw(A, i, 101, 102);
	saw(B, 77, 0, 1);
	lin_check(h, &limits, &result);
	assert_int_equal(result.verdict, LIN_BAD);
	assert_int_equal(result.key, B);
}

#define IN_TURN(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TURN(an_empty_history_is_good),
		IN_TURN(a_read_sees_the_last_write_or_one_under_way),
		IN_TURN(a_stale_read_is_bad_and_named),
		IN_TURN(two_reads_must_not_go_back_while_the_write_is_under_way),
		IN_TURN(a_read_from_the_future_is_bad),
		IN_TURN(a_read_of_what_nobody_wrote_is_bad),
		IN_TURN(a_lost_update_is_bad),
		IN_TURN(of_two_swaps_one_may_be_refused),
		IN_TURN(a_swap_refused_for_no_reason_is_bad),
		IN_TURN(a_double_create_is_bad),
		IN_TURN(of_two_creates_one_is_refused),
		IN_TURN(a_create_refused_although_nothing_was_there_is_bad),
		IN_TURN(an_unknown_write_may_appear_late),
		IN_TURN(an_unknown_write_that_appeared_stays),
		IN_TURN(an_unknown_write_is_not_seen_before_it_was_called),
		IN_TURN(an_unknown_delete_explains_one_absence_only),
		IN_TURN(an_unknown_write_that_nobody_saw_explains_a_refusal),
		IN_TURN(what_failed_for_sure_explains_nothing),
		IN_TURN(appends_are_seen_in_one_order),
		IN_TURN(a_duplicated_append_is_bad),
		IN_TURN(a_lost_append_is_bad),
		IN_TURN(a_rename_is_seen_whole),
		IN_TURN(a_rename_half_seen_is_bad),
		IN_TURN(a_rename_that_leaves_the_old_name_is_bad),
		IN_TURN(sequential_consistency_does_not_suffice),
		IN_TURN(keys_are_checked_apart),
		IN_TURN(an_empty_file_is_not_an_absent_one),
		IN_TURN(too_little_room_is_no_success),
		IN_TURN(what_is_bad_is_said_even_if_something_else_was_too_much),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
