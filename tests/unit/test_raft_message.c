#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raft/raft.h"

static struct raft_entry room[RAFT_APPEND_ENTRIES_MAX];

static struct raft_message an_append(const struct raft_entry *entries, uint32_t count)
{
	return (struct raft_message){.type = RAFT_APPEND,
				     .from = 1,
				     .to = 2,
				     .term = 9,
				     .log_index = 40,
				     .log_term = 8,
				     .commit = 39,
				     .round = 77,
				     .hint_index = 5,
				     .hint_term = 6,
				     .entries = entries,
				     .entries_count = count};
}

static const struct raft_entry three[] = {
	{.term = 8, .index = 41, .type = RAFT_ENTRY_COMMAND, .size = 5, .data = "hello"},
	{.term = 9, .index = 42, .type = RAFT_ENTRY_NOOP},
	{.term = 9, .index = 43, .type = RAFT_ENTRY_COMMAND, .size = 0},
};

/* A copy of exactly this size, so that a read past its end is seen by a sanitizer. */
static int decode(const void *bytes, size_t size, struct raft_message *out)
{
	uint8_t *copy = malloc(size + 1);
	memcpy(copy, bytes, size);
	copy = realloc(copy, size ? size : 1);
	int rc = raft_message_decode((struct span){copy, size}, room, out);
	if (rc == 0)
		for (uint32_t i = 0; i < out->entries_count; i++)
			out->entries[i].size > 0 ? assert_true((const uint8_t *)out->entries[i].data + out->entries[i].size <= copy + size)
						 : (void)0;
	free(copy);
	return rc;
}

static void a_message_is_read_as_it_was_written(void **unused)
{
	(void)unused;
	struct writer w = {0};
	struct raft_message m = an_append(three, 3), out;
	raft_message_encode(&w, &m);
	assert_int_equal(w.size, 2 + 9 * 8 + 4 + 3 * 13 + 5);
	assert_int_equal(raft_message_decode((struct span){w.data, w.size}, room, &out), 0);
	assert_int_equal(out.type, RAFT_APPEND);
	assert_int_equal(out.from, 1);
	assert_int_equal(out.to, 2);
	assert_int_equal(out.term, 9);
	assert_int_equal(out.log_index, 40);
	assert_int_equal(out.log_term, 8);
	assert_int_equal(out.commit, 39);
	assert_int_equal(out.round, 77);
	assert_int_equal(out.hint_index, 5);
	assert_int_equal(out.hint_term, 6);
	assert_int_equal(out.entries_count, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(out.entries[i].term, three[i].term);
		assert_int_equal(out.entries[i].index, three[i].index);
		assert_int_equal(out.entries[i].type, three[i].type);
		assert_int_equal(out.entries[i].size, three[i].size);
	}
	assert_memory_equal(out.entries[0].data, "hello", 5);
	writer_free(&w);
}

static void every_type_and_flag_survives_the_wire(void **unused)
{
	(void)unused;
	for (int type = RAFT_PREVOTE; type <= RAFT_TIMEOUT_NOW; type++) {
		for (int flags = 0; flags < 4; flags++) {
			struct writer w = {0};
			struct raft_message m = {
				.type = (uint8_t)type, .from = 3, .to = 1, .term = 1, .reject = flags & 1, .transfer = flags & 2};
			struct raft_message out;
			raft_message_encode(&w, &m);
			assert_int_equal(decode(w.data, w.size, &out), 0);
			assert_int_equal(out.type, type);
			assert_int_equal(out.reject, flags & 1);
			assert_int_equal(out.transfer, flags >> 1);
			writer_free(&w);
		}
	}
}

static void a_message_cut_short_anywhere_is_refused(void **unused)
{
	(void)unused;
	struct writer w = {0};
	struct raft_message m = an_append(three, 3), out = {.term = 12345};
	raft_message_encode(&w, &m);
	for (size_t size = 0; size < w.size; size++)
		assert_int_equal(decode(w.data, size, &out), -EBADMSG);
	assert_int_equal(out.term, 12345);
	writer_u8(&w, 0);
	assert_int_equal(decode(w.data, w.size, &out), -EBADMSG);
	writer_free(&w);
}

static void refuse_with(size_t offset, const void *patch, size_t size)
{
	struct writer w = {0};
	struct raft_message m = an_append(three, 3), out;
	raft_message_encode(&w, &m);
	memcpy(w.data + offset, patch, size);
	assert_int_equal(decode(w.data, w.size, &out), -EBADMSG);
	writer_free(&w);
}

static void what_breaks_the_format_is_refused(void **unused)
{
	(void)unused;
	const uint64_t none = 0, end = UINT64_MAX - 1;
	const uint32_t many = RAFT_APPEND_ENTRIES_MAX + 1, huge = UINT32_MAX, long_data = RAFT_ENTRY_BYTES_MAX + 1;
	refuse_with(0, "\0", 1);        /* type 0 */
	refuse_with(0, "\x0c", 1);      /* a type of the future */
	refuse_with(0, "\x07", 1);      /* a heartbeat with entries */
	refuse_with(1, "\x04", 1);      /* an unknown flag */
	refuse_with(2, &none, 8);       /* from nobody */
	refuse_with(10, &none, 8);      /* to nobody */
	refuse_with(26, &end, 8);       /* entries past the last index */
	refuse_with(74, &many, 4);      /* too many entries */
	refuse_with(74, &huge, 4);      /* far more than the bytes that follow */
	refuse_with(78, &none, 8);      /* an entry of term 0 */
	refuse_with(86, "\x03", 1);     /* an unknown entry */
	refuse_with(86, "\0", 1);       /* a no-op with data */
	refuse_with(87, &long_data, 4); /* an entry too large */
	refuse_with(87, &huge, 4);
}

static void garbage_is_refused_or_read_within_its_bounds(void **unused)
{
	(void)unused;
	struct writer w = {0};
	struct raft_message m = an_append(three, 3), out;
	uint64_t x = 88172645463325252u;
	raft_message_encode(&w, &m);
	for (int i = 0; i < 20000; i++) {
		uint8_t bytes[256];
		memcpy(bytes, w.data, w.size);
		for (int k = 0; k < 3; k++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			bytes[x % w.size] = (uint8_t)(x >> 32);
		}
		int rc = decode(bytes, i % 2 ? w.size : (size_t)(x % (w.size + 1)), &out);
		assert_true(rc == 0 || rc == -EBADMSG);
	}
	writer_free(&w);
}

static void the_largest_append_fits_a_frame(void **unused)
{
	(void)unused;
	static char data[RAFT_ENTRY_BYTES_MAX];
	struct raft_entry e = {.term = 9, .index = 41, .type = RAFT_ENTRY_COMMAND, .size = sizeof(data), .data = data};
	struct writer w = {0};
	struct raft_message m = an_append(&e, 1), out;
	raft_message_encode(&w, &m);
	assert_true(w.size < 512u << 10);
	assert_int_equal(decode(w.data, w.size, &out), 0);
	writer_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_read_as_it_was_written),          cmocka_unit_test(every_type_and_flag_survives_the_wire),
		cmocka_unit_test(a_message_cut_short_anywhere_is_refused),      cmocka_unit_test(what_breaks_the_format_is_refused),
		cmocka_unit_test(garbage_is_refused_or_read_within_its_bounds), cmocka_unit_test(the_largest_append_fits_a_frame),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
