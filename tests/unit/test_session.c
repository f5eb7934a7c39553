#include "store/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static bool admit(struct session *s, uint64_t epoch, uint64_t sequence, uint64_t floor)
{
	const struct command_id id = {s->origin, epoch, sequence, floor};
	bool moved;
	return session_admit(s, &id, &moved);
}

static void an_operation_is_fresh_once(void **state)
{
	struct session s = {0};
	(void)state;
	assert_true(admit(&s, 1, 1, 1));
	assert_false(admit(&s, 1, 1, 1));
	assert_true(admit(&s, 1, 3, 1));
	assert_true(admit(&s, 1, 2, 1));
	assert_false(admit(&s, 1, 3, 1));
}

static void what_is_below_the_floor_is_not_fresh(void **state)
{
	struct session s = {0};
	(void)state;
	assert_true(admit(&s, 1, 10, 10));
	assert_false(admit(&s, 1, 9, 5));
	assert_false(admit(&s, 1, 11, 12));
	assert_true(admit(&s, 1, 12, 10));
}

static void a_floor_never_falls(void **state)
{
	struct session s = {0};
	(void)state;
	assert_true(admit(&s, 1, 200, 200));
	assert_true(admit(&s, 1, 201, 100));
	assert_int_equal(s.floor, 200);
}

static void an_older_boot_is_not_fresh_and_a_newer_one_starts_over(void **state)
{
	struct session s = {0};
	(void)state;
	assert_true(admit(&s, 5, 7, 7));
	assert_false(admit(&s, 4, 8, 8));
	assert_true(admit(&s, 6, 7, 1));
	assert_true(admit(&s, 6, 1, 1));
	assert_false(admit(&s, 5, 9, 9));
}

static void a_sequence_beyond_the_window_is_not_fresh(void **state)
{
	struct session s = {0};
	(void)state;
	assert_true(admit(&s, 1, 10, 10));
	assert_true(admit(&s, 1, 10 + COMMAND_WINDOW - 1, 10));
	assert_false(admit(&s, 1, 10 + COMMAND_WINDOW, 10));
	assert_true(admit(&s, 1, 10 + COMMAND_WINDOW, 11));
}

static struct session reloaded(const struct session *s)
{
	struct writer w = {0};
	struct session got = {.origin = s->origin};
	session_encode(s, &w);
	assert_int_equal(session_decode((struct span){w.data, w.size}, &got), 0);
	writer_free(&w);
	return got;
}

static void a_floor_that_leaps_past_the_window_forgets_all_below(void **state)
{
	struct session s = {0};
	(void)state;
	for (uint64_t sequence = 1; sequence <= 100; sequence++)
		assert_true(admit(&s, 1, sequence, 1));
	/* the same bits of the ring, had they not been cleared */
	uint64_t leap = (uint64_t)SESSION_WORDS * 64 * 3;
	for (uint64_t sequence = 1; sequence <= 100; sequence++)
		assert_true(admit(&s, 1, leap + sequence, leap));
	assert_false(admit(&s, 1, leap + 50, leap));
}

/* Random operations, the floor following: the same verdicts as a table of all sequences, and the same again after each reload. */
static void a_session_that_is_kept_and_read_again_decides_the_same(void **state)
{
	static bool applied[40000];
	struct session s = {.origin = 3};
	uint32_t random = 7;
	uint64_t floor = 1;
	(void)state;
	for (int i = 0; i < 20000; i++) {
		random = random * 1664525u + 1013904223u;
		uint64_t sequence = floor + (random >> 16) % (i % 100 == 0 ? COMMAND_WINDOW : 70);
		bool expected = !applied[sequence];
		if (i % 64 == 0)
			s = reloaded(&s);
		assert_int_equal(admit(&s, 1, sequence, floor), expected);
		applied[sequence] = true;
		floor += (random >> 8) % 4 == 0;
	}
	assert_in_range(s.floor, floor - 1, floor);
}

static void what_is_kept_grows_with_the_operations_in_flight_only(void **state)
{
	struct session s = {0};
	struct writer w = {0};
	(void)state;
	for (uint64_t sequence = 1; sequence <= 5000; sequence++)
		assert_true(admit(&s, 1, sequence, sequence > 8 ? sequence - 8 : 1));
	session_encode(&s, &w);
	assert_in_range(w.size, 24, 32);
	writer_free(&w);
}

static void what_was_seen_can_be_asked_for_without_a_change(void **state)
{
	struct session s = {0};
	(void)state;
	admit(&s, 3, 10, 5);
	admit(&s, 3, 12, 5);
	assert_true(session_has_seen(&s, 3, 10));
	assert_false(session_has_seen(&s, 3, 11));
	assert_true(session_has_seen(&s, 3, 12));
	assert_false(session_has_seen(&s, 3, 13));
	assert_false(session_has_seen(&s, 3, 12 + COMMAND_WINDOW));
	assert_true(session_has_seen(&s, 3, 4));  /* given up */
	assert_true(session_has_seen(&s, 2, 11)); /* of a boot that is over */
	assert_false(session_has_seen(&s, 4, 10));
	assert_true(admit(&s, 3, 11, 5));
}

static void malformed_sessions_are_refused(void **state)
{
	struct session s = {0};
	struct session got = {0};
	struct writer w = {0};
	(void)state;
	admit(&s, 1, 70, 70);
	session_encode(&s, &w);
	for (size_t size = 0; size < w.size; size++)
		assert_int_equal(session_decode((struct span){w.data, size}, &got), size == 16 ? 0 : -EBADMSG);
	w.data[16] |= 1; /* a bit below the floor */
	assert_int_equal(session_decode((struct span){w.data, w.size}, &got), -EBADMSG);
	writer_free(&w);
}

static void numbers_that_were_given_are_used_once(void **state)
{
	(void)state;
	struct session s = {.origin = 3};
	assert_true(admit(&s, 1, 1, 1));
	assert_false(session_may_use(&s, 100));
	session_give(&s, 100);
	assert_false(session_may_use(&s, 99));
	assert_true(session_may_use(&s, 100));
	assert_true(session_may_use(&s, 100 + SESSION_NUMBERS - 1));
	assert_false(session_may_use(&s, 100 + SESSION_NUMBERS));
	session_use(&s, 163);
	session_use(&s, 100);
	assert_false(session_may_use(&s, 100));
	assert_false(session_may_use(&s, 163));
	assert_true(session_may_use(&s, 162));
	/* The last two lots count, and what is kept of them is all of it. */
	session_give(&s, 1000);
	s = reloaded(&s);
	assert_false(session_may_use(&s, 163));
	assert_true(session_may_use(&s, 164));
	assert_true(session_may_use(&s, 1000));
	session_give(&s, 2000);
	assert_false(session_may_use(&s, 164));
	assert_true(session_may_use(&s, 1000));
	/* With the next boot they lapse. */
	assert_true(admit(&s, 2, 1, 1));
	assert_false(session_may_use(&s, 2000));
	s = reloaded(&s);
	assert_false(session_may_use(&s, 2000));
}

static void a_session_is_kept_with_numbers_and_without_whatever_is_open(void **state)
{
	(void)state;
	for (uint64_t open = 0; open < 200; open += 9) {
		struct session s = {.origin = 3};
		for (uint64_t i = 1; i <= open; i += 3)
			assert_true(admit(&s, 1, i, 1));
		struct session without = reloaded(&s);
		session_give(&s, 7);
		session_use(&s, 9);
		struct session with = reloaded(&s);
		for (uint64_t i = 1; i < 256; i++) {
			assert_int_equal(session_has_seen(&with, s.epoch, i), session_has_seen(&without, s.epoch, i));
			assert_int_equal(session_may_use(&with, i), i >= 7 && i != 9);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_that_were_given_are_used_once),
		cmocka_unit_test(a_session_is_kept_with_numbers_and_without_whatever_is_open),
		cmocka_unit_test(an_operation_is_fresh_once),
		cmocka_unit_test(what_is_below_the_floor_is_not_fresh),
		cmocka_unit_test(a_floor_never_falls),
		cmocka_unit_test(an_older_boot_is_not_fresh_and_a_newer_one_starts_over),
		cmocka_unit_test(a_sequence_beyond_the_window_is_not_fresh),
		cmocka_unit_test(a_floor_that_leaps_past_the_window_forgets_all_below),
		cmocka_unit_test(a_session_that_is_kept_and_read_again_decides_the_same),
		cmocka_unit_test(what_is_kept_grows_with_the_operations_in_flight_only),
		cmocka_unit_test(what_was_seen_can_be_asked_for_without_a_change),
		cmocka_unit_test(malformed_sessions_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
