/* Configurations: their format and their rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raft/raft.h"

static const struct raft_members joint = {.voters = {1, 2, 3},
					  .voters_count = 3,
					  .outgoing = {3, 4},
					  .outgoing_count = 2,
					  .learners = {4, 5},
					  .learners_count = 2,
					  .context = "names",
					  .context_size = 5};

/* From a copy of exactly this size, so that a read past its end is seen by a sanitizer. */
static int decode(const void *bytes, size_t size)
{
	struct raft_members out;
	uint8_t *copy = malloc(size ? size : 1);
	memcpy(copy, bytes, size);
	int rc = raft_members_decode((struct span){copy, size}, &out);
	free(copy);
	return rc;
}

static int rules(struct raft_members m)
{
	struct writer w = {0};
	raft_members_encode(&w, &m);
	int rc = decode(w.data, w.size);
	writer_free(&w);
	return rc;
}

static void a_configuration_is_read_as_it_was_written(void **unused)
{
	(void)unused;
	struct writer w = {0};
	struct raft_members out;
	raft_members_encode(&w, &joint);
	assert_int_equal(w.size, 4 + 7 * 8 + 4 + 5);
	assert_int_equal(raft_members_decode((struct span){w.data, w.size}, &out), 0);
	assert_int_equal(out.voters_count, 3);
	assert_int_equal(out.outgoing_count, 2);
	assert_int_equal(out.learners_count, 2);
	assert_memory_equal(out.voters, joint.voters, sizeof(out.voters));
	assert_memory_equal(out.outgoing, joint.outgoing, sizeof(out.outgoing));
	assert_memory_equal(out.learners, joint.learners, sizeof(out.learners));
	assert_int_equal(out.context_size, 5);
	assert_memory_equal(out.context, "names", 5);
	writer_free(&w);
}

static void who_is_in_any_of_the_three_is_a_member(void **unused)
{
	(void)unused;
	for (uint64_t id = 1; id <= 5; id++)
		assert_true(raft_members_has(&joint, id));
	assert_false(raft_members_has(&joint, 6));
	assert_false(raft_members_has(&joint, 0));
}

static void a_configuration_cut_short_anywhere_is_refused(void **unused)
{
	(void)unused;
	struct writer w = {0};
	raft_members_encode(&w, &joint);
	for (size_t size = 0; size < w.size; size++)
		assert_int_equal(decode(w.data, size), -EBADMSG);
	writer_u8(&w, 0);
	assert_int_equal(decode(w.data, w.size), -EBADMSG);
	writer_free(&w);
}

static void what_breaks_a_rule_is_refused(void **unused)
{
	(void)unused;
	struct raft_members m = joint;
	assert_int_equal(rules(m), 0);
	m = joint, m.voters[1] = 0;
	assert_int_equal(rules(m), -EBADMSG);
	m = joint, m.voters[1] = 1; /* twice */
	assert_int_equal(rules(m), -EBADMSG);
	m = joint, m.outgoing[1] = 3;
	assert_int_equal(rules(m), -EBADMSG);
	m = joint, m.learners[0] = 2; /* votes and learns */
	assert_int_equal(rules(m), -EBADMSG);
	m = joint, m.voters_count = 0;
	assert_int_equal(rules(m), -EBADMSG);
	m = (struct raft_members){0};
	assert_int_equal(rules(m), 0); /* nobody at all: not joined yet */
	m = joint, m.voters_count = 1;
	for (uint32_t i = 0; i < 12; i++)
		m.learners[i] = 100 + i;
	m.learners_count = 12;
	assert_int_equal(rules(m), 0);
	m.voters_count = 3; /* 3 and 12, and 4: the sixteenth is the last */
	assert_int_equal(rules(m), 0);
	m.learners[12] = 200, m.learners_count = 13;
	assert_int_equal(rules(m), -EBADMSG);
}

static void counts_and_sizes_out_of_range_are_refused(void **unused)
{
	(void)unused;
	for (size_t at = 0; at < 4; at++) {
		struct writer w = {0};
		raft_members_encode(&w, &joint);
		w.data[at] = at == 0 ? 2 : RAFT_MEMBERS_MAX + 1;
		assert_int_equal(decode(w.data, w.size), -EBADMSG);
		w.data[at] = 255;
		assert_int_equal(decode(w.data, w.size), -EBADMSG);
		writer_free(&w);
	}
	static char context[RAFT_CONTEXT_BYTES_MAX + 1];
	struct raft_members m = joint;
	m.context = context, m.context_size = RAFT_CONTEXT_BYTES_MAX;
	assert_int_equal(rules(m), 0);
	m.context_size++;
	assert_int_equal(rules(m), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_is_read_as_it_was_written),     cmocka_unit_test(who_is_in_any_of_the_three_is_a_member),
		cmocka_unit_test(a_configuration_cut_short_anywhere_is_refused), cmocka_unit_test(what_breaks_a_rule_is_refused),
		cmocka_unit_test(counts_and_sizes_out_of_range_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
