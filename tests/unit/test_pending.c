#include "store/pending.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND 1000000000ll

static int finished;

static void count_done(struct store_op *op)
{
	(void)op;
	finished++;
}

static struct store_op *new_op(void)
{
	struct store_op *op = calloc(1, sizeof(*op));
	op->done = count_done;
	return op;
}

static struct store_op *new_write(void)
{
	struct store_op *op = new_op();
	struct command c = {.type = COMMAND_UNLINK, .key = {"k", 1}, .truncate_to = COMMAND_NO_TRUNCATE};
	command_encode(&op->bytes, &c);
	return op;
}

static uint64_t admitted;

static void note_admitted(void *staging, uint64_t sequence)
{
	(void)staging;
	admitted = sequence;
}

struct sent {
	int count;
	int room;
	struct command_id ids[8];
};

static bool note_sent(void *ctx, struct span command)
{
	struct sent *s = ctx;
	if (s->room-- == 0)
		return false;
	assert_int_equal(command_peek_id(command, &s->ids[s->count++ % 8]), 0);
	return true;
}

static void end_all(struct pending *p)
{
	for (struct store_op *op = pending_take_all(p, -ESHUTDOWN), *next; op; op = next) {
		next = op->next;
		writer_free(&op->bytes);
		free(op);
	}
	pending_free(p);
}

static bool is_odd(void *ctx, uint64_t sequence)
{
	(void)ctx;
	return sequence % 2 == 1;
}

/* What a snapshot says was applied has an end, but not a known one; a part of a write in stages can only have been stored. */
static void writes_that_a_snapshot_has_passed_end_and_the_others_wait_on(void **state)
{
	(void)state;
	struct pending *p = pending_new(1, 1, 5 * SECOND, note_admitted);
	struct sent sent = {.room = 100};
	struct store_op *ops[4], *part = new_op();
	struct command chunk = {.type = COMMAND_STAGE, .stage = 5, .value = {"x", 1}, .truncate_to = COMMAND_NO_TRUNCATE};
	for (int i = 0; i < 4; i++) {
		ops[i] = new_write();
		pending_add_write(p, ops[i], 0);
	}
	command_encode(&part->bytes, &chunk);
	pending_add_write(p, part, 0); /* 5 */
	pending_send(p, 0, note_sent, &sent);
	struct store_op *list = pending_take_passed(p, is_odd, NULL);
	assert_ptr_equal(list, ops[0]);
	assert_int_equal(list->result.error, -ETIMEDOUT);
	assert_ptr_equal(list->next, ops[2]);
	assert_int_equal(list->next->result.error, -ETIMEDOUT);
	assert_ptr_equal(list->next->next, part);
	assert_int_equal(part->result.error, 0);
	assert_null(part->next);
	assert_ptr_equal(pending_take_write(p, 2), ops[1]);
	assert_null(pending_take_passed(p, is_odd, NULL));
	writer_free(&ops[0]->bytes);
	writer_free(&ops[1]->bytes);
	writer_free(&ops[2]->bytes);
	writer_free(&part->bytes);
	free(ops[0]);
	free(ops[1]);
	free(ops[2]);
	free(part);
	end_all(p);
}

static void a_write_is_stamped_with_origin_epoch_sequence_and_floor(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct sent sent = {.room = 8};
	(void)state;

	pending_add_write(p, new_write(), 0);
	pending_add_write(p, new_write(), 0);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, 2);
	assert_int_equal(sent.ids[1].origin, 7);
	assert_int_equal(sent.ids[1].epoch, 3);
	assert_int_equal(sent.ids[1].sequence, 2);
	assert_int_equal(sent.ids[1].floor, 1);
	end_all(p);
}

static void a_write_is_sent_once_until_it_is_to_be_sent_again(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct sent sent = {.room = 8};
	(void)state;

	pending_add_write(p, new_write(), 0);
	pending_send(p, SECOND, note_sent, &sent);
	pending_send(p, SECOND, note_sent, &sent);
	assert_int_equal(sent.count, 1);
	pending_resend(p, SECOND); /* only what was sent before that second */
	pending_send(p, SECOND, note_sent, &sent);
	assert_int_equal(sent.count, 1);
	pending_resend(p, 2 * SECOND);
	pending_send(p, 2 * SECOND, note_sent, &sent);
	assert_int_equal(sent.count, 2);
	assert_int_equal(sent.ids[1].sequence, 1);
	end_all(p);
}

static void what_the_sender_refuses_is_offered_again(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct sent sent = {.room = 1};
	(void)state;

	pending_add_write(p, new_write(), 0);
	pending_add_write(p, new_write(), 0);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, 1);
	sent.room = 8;
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, 2);
	assert_int_equal(sent.ids[1].sequence, 2);
	end_all(p);
}

static void at_most_a_window_of_sequences_is_open(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct sent sent = {.room = 2 * COMMAND_WINDOW};
	(void)state;

	for (uint32_t i = 0; i < COMMAND_WINDOW + 2; i++)
		pending_add_write(p, new_write(), 0);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, COMMAND_WINDOW);
	struct store_op *second = pending_take_write(p, 2);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, COMMAND_WINDOW); /* the first is still open: the window has not moved */
	struct store_op *first = pending_take_write(p, 1);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, COMMAND_WINDOW + 2);
	writer_free(&first->bytes);
	writer_free(&second->bytes);
	free(first);
	free(second);
	end_all(p);
}

static void reads_are_released_in_order_of_ticket_and_index(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct store_op *a = new_op(), *b = new_op();
	(void)state;

	pending_add_read(p, a, 0);
	pending_ticket_reads(p, 10);
	pending_add_read(p, b, 0);
	assert_true(pending_has_new_reads(p));
	pending_ticket_reads(p, 11);
	assert_false(pending_has_new_reads(p));
	assert_true(pending_confirm_reads(p, 10, 100));
	assert_null(pending_take_reads(p, 99));
	assert_ptr_equal(pending_take_reads(p, 100), a);
	assert_null(pending_take_reads(p, 1000)); /* b is not confirmed */
	assert_true(pending_confirm_reads(p, 11, 100));
	assert_ptr_equal(pending_take_reads(p, 100), b);
	free(a);
	free(b);
	end_all(p);
}

static void an_interrupted_operation_ends_at_the_time_given_unless_it_is_late_anyway(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct store_op *soon = new_op(), *late = new_op();
	(void)state;

	pending_add_read(p, late, 0);
	pending_add_read(p, soon, 3 * SECOND);
	pending_interrupt(p, late, 6 * SECOND);
	pending_interrupt(p, soon, 6 * SECOND);
	assert_ptr_equal(pending_take_overdue(p, 5 * SECOND), late);
	assert_int_equal(late->result.error, -ETIMEDOUT);
	assert_null(pending_take_overdue(p, 6 * SECOND - 1));
	assert_ptr_equal(pending_take_overdue(p, 6 * SECOND), soon);
	assert_int_equal(soon->result.error, -EINTR);
	assert_true(pending_empty(p));
	free(late);
	free(soon);
	end_all(p);
}

static void an_operation_past_its_deadline_times_out_and_a_cancelled_one_is_interrupted(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct store_op *late = new_op(), *cancelled = new_write();
	(void)state;

	pending_add_read(p, late, 0);
	pending_add_write(p, cancelled, 3 * SECOND);
	assert_null(pending_take_overdue(p, 5 * SECOND - 1));
	assert_ptr_equal(pending_take_overdue(p, 5 * SECOND), late);
	assert_int_equal(late->result.error, -ETIMEDOUT);
	assert_false(pending_overdue(p));
	pending_cancel(p, cancelled);
	assert_true(pending_overdue(p));
	assert_ptr_equal(pending_take_overdue(p, 5 * SECOND), cancelled);
	assert_int_equal(cancelled->result.error, -EINTR);
	assert_true(pending_empty(p));
	finished = 0;
	pending_finish(cancelled);
	assert_int_equal(finished, 1);
	free(late);
	free(cancelled);
	end_all(p);
}

static void a_held_write_keeps_the_floor_and_goes_when_released(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct sent sent = {.room = 8};
	struct writer bytes = {0};
	struct command c = {.type = COMMAND_UNLINK, .key = {"k", 1}, .truncate_to = COMMAND_NO_TRUNCATE};
	(void)state;

	pending_add_held(p, new_op(), 2, &sent, 0);
	assert_int_equal(admitted, 1);
	pending_add_write(p, new_write(), 0); /* 2 and 3 are for the parts */
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, 1);
	assert_int_equal(sent.ids[0].sequence, 4);
	assert_int_equal(sent.ids[0].floor, 1);
	pending_add_part(p, new_write(), 1, 1, 0);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, 2);
	assert_int_equal(sent.ids[1].sequence, 3);
	command_encode(&bytes, &c);
	assert_true(pending_extend(p, 1, SECOND));
	pending_release(p, 1, &bytes, SECOND);
	assert_null(bytes.data);
	pending_send(p, SECOND, note_sent, &sent);
	assert_int_equal(sent.count, 3);
	assert_int_equal(sent.ids[2].sequence, 1);
	assert_false(pending_extend(p, 99, SECOND));
	end_all(p);
}

static void the_parts_of_a_held_write_never_wait_for_the_window(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct sent sent = {.room = 2 * COMMAND_WINDOW};
	(void)state;

	pending_add_held(p, new_op(), 1, &sent, 0);
	for (uint32_t i = 0; i < COMMAND_WINDOW; i++)
		pending_add_write(p, new_write(), 0);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, COMMAND_WINDOW - 2);
	pending_add_part(p, new_write(), 1, 0, 0);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(sent.count, COMMAND_WINDOW - 1);
	end_all(p);
}

static void a_held_write_waits_until_there_is_room_for_all_its_parts(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct sent sent = {.room = 2 * COMMAND_WINDOW};
	struct store_op *first, *held = new_op();
	(void)state;

	pending_add_write(p, new_write(), 0);
	admitted = 0;
	pending_add_held(p, held, COMMAND_WINDOW - 1, &sent, 0);
	assert_int_equal(admitted, 0);
	first = pending_take_write(p, 1);
	pending_send(p, 0, note_sent, &sent);
	assert_int_equal(admitted, 2);
	writer_free(&first->bytes);
	free(first);
	end_all(p);
}

static void a_part_whose_whole_is_gone_fails(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct store_op *held = new_op(), *part = new_write();
	(void)state;

	pending_add_held(p, held, 1, &admitted, 0);
	assert_ptr_equal(pending_take_overdue(p, 5 * SECOND), held);
	pending_add_part(p, part, 1, 0, 5 * SECOND);
	assert_ptr_equal(pending_take_overdue(p, 5 * SECOND), part);
	assert_int_equal(part->result.error, -ECANCELED);
	writer_free(&part->bytes);
	free(part);
	free(held);
	end_all(p);
}

static void a_refused_operation_ends_with_its_own_error(void **state)
{
	struct pending *p = pending_new(7, 3, 5 * SECOND, note_admitted);
	struct store_op *op = new_op();
	(void)state;

	pending_add_failed(p, op, -EFBIG);
	assert_true(pending_overdue(p));
	assert_ptr_equal(pending_take_overdue(p, 0), op);
	assert_int_equal(op->result.error, -EFBIG);
	free(op);
	end_all(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_that_a_snapshot_has_passed_end_and_the_others_wait_on),
		cmocka_unit_test(a_write_is_stamped_with_origin_epoch_sequence_and_floor),
		cmocka_unit_test(a_write_is_sent_once_until_it_is_to_be_sent_again),
		cmocka_unit_test(what_the_sender_refuses_is_offered_again),
		cmocka_unit_test(at_most_a_window_of_sequences_is_open),
		cmocka_unit_test(reads_are_released_in_order_of_ticket_and_index),
		cmocka_unit_test(an_interrupted_operation_ends_at_the_time_given_unless_it_is_late_anyway),
		cmocka_unit_test(an_operation_past_its_deadline_times_out_and_a_cancelled_one_is_interrupted),
		cmocka_unit_test(a_held_write_keeps_the_floor_and_goes_when_released),
		cmocka_unit_test(the_parts_of_a_held_write_never_wait_for_the_window),
		cmocka_unit_test(a_held_write_waits_until_there_is_room_for_all_its_parts),
		cmocka_unit_test(a_part_whose_whole_is_gone_fails),
		cmocka_unit_test(a_refused_operation_ends_with_its_own_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
