#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/dirty.h"
#include "store/command.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX 600u

/* A file as a plain array. */
struct plain {
	uint8_t bytes[FILE_MAX];
	size_t size;
};

static void plain_write(struct plain *p, size_t offset, const uint8_t *data, size_t size)
{
	if (size == 0)
		return;
	if (offset > p->size)
		memset(p->bytes + p->size, 0, offset - p->size);
	memcpy(p->bytes + offset, data, size);
	if (offset + size > p->size)
		p->size = offset + size;
}

static void plain_truncate(struct plain *p, size_t size)
{
	if (size > p->size)
		memset(p->bytes + p->size, 0, size - p->size);
	p->size = size;
}

/* What a COMMAND_WRITE made of `d` does, as command.h tells it. */
static void plain_apply(struct plain *p, const struct dirty *d)
{
	if (d->truncate_to < p->size)
		plain_truncate(p, (size_t)d->truncate_to);
	for (uint32_t i = 0; i < d->count; i++)
		plain_write(p, (size_t)d->ranges[i].offset, d->ranges[i].data, d->ranges[i].size);
	if (d->tail.size)
		plain_write(p, p->size, d->tail.data, d->tail.size);
	if (d->extend_to > p->size)
		plain_truncate(p, (size_t)d->extend_to);
}

static void assert_same(const struct plain *a, const struct plain *b)
{
	assert_int_equal(a->size, b->size);
	if (a->size)
		assert_memory_equal(a->bytes, b->bytes, a->size);
}

static void assert_well_formed(const struct dirty *d)
{
	uint64_t bytes = d->tail.size;

	for (uint32_t i = 0; i < d->count; i++) {
		assert_true(d->ranges[i].size > 0);
		assert_true(d->ranges[i].size <= d->ranges[i].capacity);
		if (i)
			assert_true(d->ranges[i - 1].offset + d->ranges[i - 1].size < d->ranges[i].offset);
		bytes += d->ranges[i].size;
	}
	assert_true(bytes == d->bytes);
	if (d->tail.size)
		assert_true(d->count == 0 && d->extend_to == 0);
}

/* Reads [offset, offset + size) of the result through the overlay. */
static void assert_overlay(const struct dirty *d, const struct plain *base, const struct plain *result)
{
	uint8_t buffer[FILE_MAX];

	assert_true(dirty_size(d, base->size) == result->size);
	for (int i = 0; i < 4 && result->size; i++) {
		size_t offset = (size_t)rand() % result->size;
		size_t size = (size_t)rand() % (result->size - offset) + 1;
		memset(buffer, 0xee, sizeof(buffer));
		if (offset < base->size)
			memcpy(buffer, base->bytes + offset, base->size - offset < size ? base->size - offset : size);
		dirty_overlay(d, base->size, offset, buffer, size);
		assert_memory_equal(buffer, result->bytes + offset, size);
	}
}

static void random_base(struct plain *p)
{
	p->size = (size_t)rand() % 150;
	for (size_t i = 0; i < p->size; i++)
		p->bytes[i] = (uint8_t)rand();
}

/* One random write, append or truncation of both. */
static void random_step(struct dirty *d, const struct plain *base, struct plain *now)
{
	uint8_t data[24];
	size_t size = (size_t)rand() % sizeof(data);

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)rand();
	switch (rand() % 8) {
	case 0: {
		size_t to = (size_t)rand() % 200;
		assert_int_equal(dirty_truncate(d, base->size, to), 0);
		plain_truncate(now, to);
		break;
	}
	case 1:
	case 2:
		if (now->size + size > FILE_MAX)
			break;
		assert_int_equal(dirty_append(d, base->size, data, size), 0);
		plain_write(now, now->size, data, size);
		break;
	default: {
		size_t offset = (size_t)rand() % 250;
		assert_int_equal(dirty_write(d, base->size, offset, data, size), 0);
		plain_write(now, offset, data, size);
	}
	}
}

static void any_sequence_of_changes_reduces_to_one_command(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 3000; round++) {
		struct plain base = {.size = 0}, now, applied;
		struct dirty d;
		random_base(&base);
		now = base;
		dirty_init(&d);
		for (int step = rand() % 20; step >= 0; step--) {
			random_step(&d, &base, &now);
			assert_well_formed(&d);
			assert_overlay(&d, &base, &now);
		}
		applied = base;
		plain_apply(&applied, &d);
		assert_same(&applied, &now);
		dirty_done(&d);
	}
}

static void a_later_layer_merges_into_an_earlier_one(void **state)
{
	(void)state;
	srand(8);
	for (int round = 0; round < 3000; round++) {
		struct plain base = {.size = 0}, middle, now, applied;
		struct dirty first, later;
		random_base(&base);
		middle = base;
		dirty_init(&first);
		dirty_init(&later);
		for (int step = rand() % 8; step > 0; step--)
			random_step(&first, &base, &middle);
		now = middle;
		for (int step = rand() % 8; step > 0; step--)
			random_step(&later, &middle, &now);
		assert_int_equal(dirty_merge(&first, base.size, &later), 0);
		assert_well_formed(&first);
		assert_true(dirty_empty(&later));
		assert_overlay(&first, &base, &now);
		applied = base;
		plain_apply(&applied, &first);
		assert_same(&applied, &now);
		dirty_done(&first);
	}
}

static void appends_stay_appends_until_an_offset_is_needed(void **state)
{
	(void)state;
	struct dirty d;

	dirty_init(&d);
	dirty_truncate(&d, 10, 0);
	dirty_append(&d, 10, "ab", 2);
	dirty_append(&d, 10, "cd", 2);
	assert_int_equal(d.count, 0);
	assert_int_equal(d.tail.size, 4);
	dirty_write(&d, 10, 1, "X", 1);
	assert_int_equal(d.tail.size, 0);
	assert_int_equal(d.count, 1);
	assert_memory_equal(d.ranges[0].data, "aXcd", 4);
	dirty_done(&d);
}

static void cutting_an_empty_file_changes_nothing(void **state)
{
	(void)state;
	struct dirty d;

	dirty_init(&d);
	assert_false(dirty_pending(&d, 0));
	dirty_truncate(&d, 0, 0);
	assert_false(dirty_pending(&d, 0));
	assert_true(dirty_pending(&d, 5));
	dirty_done(&d);
}

static void more_ranges_than_a_command_holds_are_refused(void **state)
{
	(void)state;
	struct dirty d;

	dirty_init(&d);
	for (uint32_t i = 0; i < COMMAND_RANGES_MAX; i++)
		assert_int_equal(dirty_write(&d, 0, (uint64_t)i * 2, "x", 1), 0);
	assert_true(dirty_write(&d, 0, (uint64_t)COMMAND_RANGES_MAX * 2, "x", 1) < 0);
	assert_int_equal(dirty_write(&d, 0, 1, "y", 1), 0);
	assert_int_equal(d.count, COMMAND_RANGES_MAX - 1);
	dirty_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_sequence_of_changes_reduces_to_one_command),
		cmocka_unit_test(a_later_layer_merges_into_an_earlier_one),
		cmocka_unit_test(appends_stay_appends_until_an_offset_is_needed),
		cmocka_unit_test(cutting_an_empty_file_changes_nothing),
		cmocka_unit_test(more_ranges_than_a_command_holds_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
