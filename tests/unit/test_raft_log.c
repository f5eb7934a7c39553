#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raft/core/log_view.h"

/* A log with one entry for each term named. */
static struct log_view a_log(uint64_t first, uint64_t base_term, const char *terms)
{
	struct log_view l;
	log_view_init(&l, first, base_term);
	for (; *terms; terms++)
		log_view_append(&l, (uint64_t)(*terms - '0'), RAFT_ENTRY_COMMAND, terms, 1);
	return l;
}

static void an_empty_log_ends_before_its_first_entry(void **unused)
{
	(void)unused;
	struct log_view l = a_log(1, 0, "");
	assert_int_equal(l.last, 0);
	assert_int_equal(log_view_last_term(&l), 0);
	assert_int_equal(log_view_term(&l, 1), 0);
	log_view_free(&l);
	l = a_log(101, 7, "");
	assert_int_equal(l.last, 100);
	assert_int_equal(log_view_last_term(&l), 7);
	assert_int_equal(log_view_term(&l, 99), 0);
	log_view_free(&l);
}

static void the_term_of_every_entry_is_known(void **unused)
{
	(void)unused;
	struct log_view l = a_log(11, 1, "112223666");
	const uint64_t terms[] = {1, 1, 1, 2, 2, 2, 3, 6, 6, 6};
	for (uint64_t i = 10; i <= 19; i++)
		assert_int_equal(log_view_term(&l, i), terms[i - 10]);
	assert_int_equal(log_view_term(&l, 9), 0);
	assert_int_equal(log_view_term(&l, 20), 0);
	assert_int_equal(l.runs_count, 4);
	log_view_free(&l);
}

static void entries_that_left_the_window_keep_their_terms(void **unused)
{
	(void)unused;
	struct log_view l = a_log(1, 0, "1122233344");
	log_view_evict(&l, 7, 0);
	assert_int_equal(log_view_window_first(&l), 8);
	assert_int_equal(log_view_term(&l, 1), 1);
	assert_int_equal(log_view_term(&l, 5), 2);
	assert_memory_equal(log_view_at(&l, 8)->data, "3", 1);
	log_view_free(&l);
}

static void the_window_shrinks_to_its_limit_but_keeps_what_is_needed(void **unused)
{
	(void)unused;
	struct log_view l = a_log(1, 0, "");
	char data[1000] = {0};
	for (int i = 0; i < 100; i++)
		log_view_append(&l, 1, RAFT_ENTRY_COMMAND, data, sizeof(data));
	size_t all = l.bytes;
	assert_true(all >= 100 * sizeof(data));
	log_view_evict(&l, 100, all / 2);
	assert_true(l.bytes <= all / 2 && l.bytes > all / 2 - 2000);
	log_view_evict(&l, 60, 0);
	assert_int_equal(log_view_window_first(&l), 61);
	log_view_evict(&l, 100, 0);
	assert_int_equal(l.bytes, 0);
	assert_int_equal(log_view_window_first(&l), 101);
	log_view_append(&l, 2, RAFT_ENTRY_COMMAND, "x", 1);
	assert_memory_equal(log_view_at(&l, 101)->data, "x", 1);
	log_view_free(&l);
}

static void a_window_that_moves_on_forever_stays_small(void **unused)
{
	(void)unused;
	struct log_view l = a_log(1, 0, "");
	for (uint64_t i = 1; i <= 200000; i++) {
		log_view_append(&l, 1, RAFT_ENTRY_COMMAND, &i, sizeof(i));
		log_view_evict(&l, i, 1000);
	}
	assert_true(l.capacity <= 256);
	uint64_t value;
	memcpy(&value, log_view_at(&l, 199995)->data, sizeof(value));
	assert_int_equal(value, 199995);
	log_view_free(&l);
}

static void truncating_takes_the_tail_and_its_terms(void **unused)
{
	(void)unused;
	struct log_view l = a_log(1, 0, "11223");
	log_view_truncate(&l, 4);
	assert_int_equal(l.last, 3);
	assert_int_equal(log_view_last_term(&l), 2);
	assert_int_equal(log_view_term(&l, 4), 0);
	log_view_append(&l, 5, RAFT_ENTRY_COMMAND, "n", 1);
	assert_int_equal(log_view_term(&l, 4), 5);
	assert_int_equal(log_view_term(&l, 3), 2);
	log_view_truncate(&l, 1);
	assert_int_equal(l.last, 0);
	assert_int_equal(l.runs_count, 0);
	assert_int_equal(l.bytes, 0);
	log_view_free(&l);
}

static void trimming_keeps_the_term_before_the_first_entry(void **unused)
{
	(void)unused;
	struct log_view l = a_log(1, 0, "1122233");
	log_view_trim(&l, 5);
	assert_int_equal(l.first, 5);
	assert_int_equal(log_view_term(&l, 4), 2);
	assert_int_equal(log_view_term(&l, 3), 0);
	assert_int_equal(log_view_term(&l, 5), 2);
	assert_int_equal(log_view_term(&l, 7), 3);
	assert_int_equal(log_view_window_first(&l), 5);
	log_view_trim(&l, 3);
	assert_int_equal(l.first, 5);
	log_view_trim(&l, 8);
	assert_int_equal(l.last, 7);
	assert_int_equal(log_view_last_term(&l), 3);
	log_view_append(&l, 4, RAFT_ENTRY_NOOP, NULL, 0);
	assert_int_equal(log_view_term(&l, 8), 4);
	assert_int_equal(log_view_term(&l, 7), 3);
	log_view_free(&l);
}

static void logs_can_agree_no_further_than_the_last_entry_of_a_term_not_above(void **unused)
{
	(void)unused;
	struct log_view l = a_log(1, 0, "113355");
	assert_int_equal(log_view_at_most(&l, 6, 5), 6);
	assert_int_equal(log_view_at_most(&l, 6, 4), 4);
	assert_int_equal(log_view_at_most(&l, 3, 3), 3);
	assert_int_equal(log_view_at_most(&l, 6, 2), 2);
	assert_int_equal(log_view_at_most(&l, 6, 0), 0);
	assert_int_equal(log_view_at_most(&l, 99, 5), 6);
	assert_int_equal(log_view_at_most(&l, 0, 5), 0);
	log_view_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_log_ends_before_its_first_entry),
		cmocka_unit_test(the_term_of_every_entry_is_known),
		cmocka_unit_test(entries_that_left_the_window_keep_their_terms),
		cmocka_unit_test(the_window_shrinks_to_its_limit_but_keeps_what_is_needed),
		cmocka_unit_test(a_window_that_moves_on_forever_stays_small),
		cmocka_unit_test(truncating_takes_the_tail_and_its_terms),
		cmocka_unit_test(trimming_keeps_the_term_before_the_first_entry),
		cmocka_unit_test(logs_can_agree_no_further_than_the_last_entry_of_a_term_not_above),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
