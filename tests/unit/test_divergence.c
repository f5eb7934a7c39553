/* Divergence: whose hash differs from a majority's, and how members tell each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "store/divergence.h"

/* This node's own hash of entry i is 1000 + i, for what it has applied. */
static uint64_t applied = 5000;

static int own(void *ctx, uint64_t index, uint64_t *hash)
{
	(void)ctx;
	if (index > applied)
		return -ENOENT;
	*hash = 1000 + index;
	return 0;
}

static void hear(struct divergence *d, uint64_t from, uint64_t index, uint64_t hash)
{
	divergence_hear(d, from, &(struct divergence_point){index, hash});
}

static uint64_t find(const struct divergence *d, uint32_t voters)
{
	static const uint64_t ids[] = {1, 2, 3, 4, 5};
	return divergence_find(d, ids, voters, own, NULL);
}

static void all_agree(void **state)
{
	struct divergence d = {0};
	(void)state;
	for (uint64_t index = 256; index < 4000; index += 256) {
		hear(&d, 2, index, 1000 + index);
		hear(&d, 3, index, 1000 + index);
	}
	assert_int_equal(find(&d, 3), 0);
}

static void a_majority_that_agrees_on_another_hash_means_that_this_node_diverged(void **state)
{
	struct divergence d = {0};
	(void)state;
	hear(&d, 2, 512, 77);
	assert_int_equal(find(&d, 3), 0); /* one of three is no majority */
	hear(&d, 3, 512, 77);
	assert_int_equal(find(&d, 3), 512);
	assert_int_equal(find(&d, 5), 0); /* two of five neither */
}

static void one_that_differs_is_not_believed(void **state)
{
	struct divergence d = {0};
	(void)state;
	hear(&d, 2, 512, 77);
	hear(&d, 3, 512, 1512);
	assert_int_equal(find(&d, 3), 0);
}

static void those_who_differ_among_themselves_are_no_majority(void **state)
{
	struct divergence d = {0};
	(void)state;
	hear(&d, 2, 512, 77);
	hear(&d, 3, 512, 78);
	assert_int_equal(find(&d, 3), 0);
	/* nor do different entries make one */
	hear(&d, 3, 768, 77);
	assert_int_equal(find(&d, 3), 0);
}

static void an_entry_that_is_not_applied_yet_is_judged_later(void **state)
{
	struct divergence d = {0};
	(void)state;
	hear(&d, 2, 6000, 77);
	hear(&d, 3, 6000, 77);
	assert_int_equal(find(&d, 3), 0);
	applied = 6000;
	assert_int_equal(find(&d, 3), 6000);
	applied = 5000;
}

static void a_learner_and_a_removed_member_do_not_count(void **state)
{
	struct divergence d = {0};
	static const uint64_t kept[] = {1, 2, 3};
	(void)state;
	hear(&d, 2, 512, 77);
	hear(&d, 9, 512, 77);
	assert_int_equal(find(&d, 3), 0);
	hear(&d, 4, 512, 77);
	hear(&d, 5, 512, 77);
	divergence_keep(&d, kept, 3);
	assert_int_equal(find(&d, 5), 0);
}

static void the_old_is_forgotten_and_memory_is_bounded(void **state)
{
	struct divergence d = {0};
	(void)state;
	for (uint64_t id = 2; id < 100; id++)
		for (uint64_t index = 1; index < 300; index++)
			hear(&d, id, index, 1000 + index);
	hear(&d, 2, 512, 77);
	hear(&d, 3, 512, 77);
	assert_int_equal(find(&d, 3), 512);
	for (uint64_t index = 600; index < 600 + DIVERGENCE_REMEMBERED; index++)
		hear(&d, 2, index, 1000 + index);
	assert_int_equal(find(&d, 3), 0);
}

static void a_frame_comes_back_as_it_was_and_a_malformed_one_is_refused(void **state)
{
	const struct divergence_point points[] = {{256, 0xabcdef0123456789u}, {UINT64_MAX, 0}, {1, UINT64_MAX}};
	struct divergence_point got[DIVERGENCE_POINTS_MAX];
	struct writer w = {0};
	uint32_t count = 0;
	(void)state;
	divergence_encode(&w, points, 3);
	assert_int_equal(divergence_decode((struct span){w.data, w.size}, got, &count), 0);
	assert_int_equal(count, 3);
	assert_memory_equal(got, points, sizeof(points));
	for (size_t size = 0; size < w.size; size++)
		assert_int_equal(divergence_decode((struct span){w.data, size}, got, &count), -EBADMSG);
	writer_u8(&w, 0);
	assert_int_equal(divergence_decode((struct span){w.data, w.size}, got, &count), -EBADMSG);
	writer_clear(&w);
	divergence_encode(&w, points, 0);
	assert_int_equal(divergence_decode((struct span){w.data, w.size}, got, &count), -EBADMSG);
	writer_clear(&w);
	divergence_encode(&w, &(struct divergence_point){0, 5}, 1);
	assert_int_equal(divergence_decode((struct span){w.data, w.size}, got, &count), -EBADMSG);
	writer_clear(&w);
	writer_u32(&w, UINT32_MAX);
	assert_int_equal(divergence_decode((struct span){w.data, w.size}, got, &count), -EBADMSG);
	writer_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_agree),
		cmocka_unit_test(a_majority_that_agrees_on_another_hash_means_that_this_node_diverged),
		cmocka_unit_test(one_that_differs_is_not_believed),
		cmocka_unit_test(those_who_differ_among_themselves_are_no_majority),
		cmocka_unit_test(an_entry_that_is_not_applied_yet_is_judged_later),
		cmocka_unit_test(a_learner_and_a_removed_member_do_not_count),
		cmocka_unit_test(the_old_is_forgotten_and_memory_is_bounded),
		cmocka_unit_test(a_frame_comes_back_as_it_was_and_a_malformed_one_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
