/* The log as its users see it: what was saved is there after it has been opened again. */
#include "tests/unit/wal_fixture.h"

static void a_new_log_is_empty_and_counts_its_first_boot(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	assert_int_equal(wal_epoch(f->wal), 1);
	assert_int_equal(wal_first(f->wal), 1);
	assert_int_equal(wal_last(f->wal), 0);
	assert_int_equal(wal_base_term(f->wal), 0);
	assert_int_equal(wal_last_term(f->wal), 0);
	assert_int_equal(wal_hard_state(f->wal).term, 0);
	assert_int_equal(wal_bytes(f->wal), SMALL_SEGMENT);
	assert_int_equal(wal_read(f->wal, 1, 2, 100, fixture_check_entry, NULL), -ERANGE);
}

static void entries_and_the_hard_state_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	uint8_t room[3][64];
	struct raft_entry e[3];
	struct raft_hard_state hard = {.term = 5, .vote = 2, .commit = 2};

	fixture_must_open(f);
	for (uint32_t i = 0; i < 3; i++)
		e[i] = fixture_entry(i + 1, 5, room[i], i * 30);
	assert_int_equal(wal_save(f->wal, &hard, e, 3), 0);
	fixture_must_read(f, 1, 4, 5);
	fixture_reopen(f);
	assert_int_equal(wal_last(f->wal), 3);
	assert_int_equal(wal_last_term(f->wal), 5);
	assert_int_equal(wal_hard_state(f->wal).term, 5);
	assert_int_equal(wal_hard_state(f->wal).vote, 2);
	assert_int_equal(wal_hard_state(f->wal).commit, 2);
	fixture_must_read(f, 1, 4, 5);
}

static void each_open_counts_one_boot_more(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	for (uint64_t boot = 2; boot < 200; boot++) {
		fixture_reopen(f);
		assert_int_equal(wal_epoch(f->wal), boot);
	}
}

static void a_later_hard_state_replaces_an_earlier_one(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	for (uint64_t term = 1; term <= 500; term++)
		assert_int_equal(wal_save(f->wal, &(struct raft_hard_state){.term = term, .vote = term % 3}, NULL, 0), 0);
	fixture_reopen(f);
	assert_int_equal(wal_hard_state(f->wal).term, 500);
	assert_int_equal(wal_hard_state(f->wal).vote, 500 % 3);
}

static void an_entry_at_or_below_the_last_replaces_the_tail(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	for (uint64_t i = 1; i <= 10; i++)
		fixture_save(f, i, 1, 50);
	fixture_save(f, 6, 2, 70);
	assert_int_equal(wal_last(f->wal), 6);
	assert_int_equal(wal_last_term(f->wal), 2);
	assert_int_equal(wal_read(f->wal, 7, 8, 100, fixture_check_entry, NULL), -ERANGE);
	fixture_reopen(f);
	assert_int_equal(wal_last(f->wal), 6);
	fixture_must_read(f, 1, 6, 1);
	fixture_must_read(f, 6, 7, 2);
}

static void one_save_may_replace_what_it_holds_itself(void **state)
{
	struct fixture *f = *state;
	uint8_t room[4][16];
	fixture_must_open(f);
	struct raft_entry e[] = {fixture_entry(1, 1, room[0], 16), fixture_entry(2, 1, room[1], 16), fixture_entry(1, 2, room[2], 16),
				 fixture_entry(2, 2, room[3], 16)};
	assert_int_equal(wal_save(f->wal, NULL, e, 4), 0);
	fixture_must_read(f, 1, 3, 2);
	fixture_reopen(f);
	assert_int_equal(wal_last(f->wal), 2);
	fixture_must_read(f, 1, 3, 2);
}

static void the_log_rolls_over_many_segments(void **state)
{
	struct fixture *f = *state;
	char names[64][64];
	fixture_must_open(f);
	for (uint64_t i = 1; i <= 300; i++)
		fixture_save(f, i, 1 + i / 100, 1 + (uint32_t)(i * 37 % 900));
	assert_true(fixture_segments(f, names, 64) > 10);
	fixture_must_read(f, 1, 301, 0);
	fixture_reopen(f);
	assert_int_equal(wal_last(f->wal), 300);
	assert_int_equal(wal_last_term(f->wal), 4);
	fixture_must_read(f, 1, 301, 0);
	fixture_must_read(f, 123, 124, 2);
}

static void a_frame_larger_than_a_segment_gets_one_of_its_own(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	fixture_save(f, 1, 1, 10);
	fixture_save(f, 2, 1, RAFT_ENTRY_BYTES_MAX);
	fixture_save(f, 3, 1, 10);
	fixture_must_read(f, 1, 4, 1);
	fixture_reopen(f);
	fixture_must_read(f, 1, 4, 1);
	fixture_save(f, 4, 1, 10);
	fixture_must_read(f, 4, 5, 1);
}

static void a_save_of_many_megabytes_is_kept_whole(void **state)
{
	struct fixture *f = *state;
	enum { COUNT = 25, SIZE = 400 << 10 };
	uint8_t *room = malloc((size_t)COUNT * SIZE);
	struct raft_entry e[COUNT];
	f->segment_bytes = 0;
	fixture_must_open(f);
	for (uint32_t i = 0; i < COUNT; i++)
		e[i] = fixture_entry(i + 1, 3, room + (size_t)i * SIZE, SIZE);
	assert_int_equal(wal_save(f->wal, NULL, e, COUNT), 0);
	fixture_reopen(f);
	assert_int_equal(wal_last(f->wal), COUNT);
	fixture_must_read(f, 1, COUNT + 1, 3);
	free(room);
}

static int check_zeros(void *ctx, const struct raft_entry *entry)
{
	const uint8_t *data = entry->data;
	assert_int_equal(entry->size, *(uint32_t *)ctx);
	for (uint32_t i = 0; i < entry->size; i++)
		assert_int_equal(data[i], 0);
	return 0;
}

static void entries_full_of_zeros_survive_like_any_other(void **state)
{
	struct fixture *f = *state;
	uint32_t size = 5000;
	void *zeros = calloc(1, size);
	struct raft_entry e = {.term = 1, .index = 1, .type = RAFT_ENTRY_COMMAND, .size = size, .data = zeros};
	fixture_must_open(f);
	assert_int_equal(wal_save(f->wal, NULL, &e, 1), 0);
	assert_int_equal(wal_read(f->wal, 1, 2, 100, check_zeros, &size), 0);
	fixture_reopen(f);
	assert_int_equal(wal_read(f->wal, 1, 2, 100, check_zeros, &size), 0);
	free(zeros);
}

static void trimming_drops_whole_segments_and_remembers_the_term_before(void **state)
{
	struct fixture *f = *state;
	char names[64][64];
	fixture_must_open(f);
	assert_int_equal(wal_save(f->wal, &(struct raft_hard_state){.term = 7, .vote = 3, .commit = 0}, NULL, 0), 0);
	for (uint64_t i = 1; i <= 100; i++)
		fixture_save(f, i, i, 1000);
	uint64_t before = wal_bytes(f->wal);
	assert_int_equal(wal_trim(f->wal, 60), 0);
	uint64_t first = wal_first(f->wal);
	assert_in_range(first, 45, 60);
	assert_int_equal(wal_base_term(f->wal), first - 1);
	assert_true(wal_bytes(f->wal) < before);
	assert_int_equal(wal_bytes(f->wal), (uint64_t)fixture_segments(f, names, 64) * SMALL_SEGMENT);
	assert_int_equal(wal_read(f->wal, first - 1, first, 100, fixture_check_entry, NULL), -ERANGE);
	fixture_must_read(f, first, 101, 0);
	fixture_reopen(f);
	assert_int_equal(wal_first(f->wal), first);
	assert_int_equal(wal_base_term(f->wal), first - 1);
	assert_int_equal(wal_hard_state(f->wal).term, 7);
	assert_int_equal(wal_hard_state(f->wal).vote, 3);
	assert_int_equal(wal_hard_state(f->wal).commit, first - 1);
	assert_int_equal(wal_epoch(f->wal), 2);
	fixture_must_read(f, first, 101, 0);
}

static void the_newest_segments_within_a_size_are_known_by_their_first_entry(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	assert_int_equal(wal_within(f->wal, 10 * SMALL_SEGMENT), 1);
	for (uint64_t i = 1; i <= 100; i++)
		fixture_save(f, i, 1, 1000);
	uint64_t recent = wal_within(f->wal, 3 * SMALL_SEGMENT);
	assert_in_range(recent, 60, 90);
	assert_int_equal(wal_within(f->wal, 4 * SMALL_SEGMENT - 1), recent);
	assert_true(wal_within(f->wal, 4 * SMALL_SEGMENT) < recent);
	assert_true(wal_within(f->wal, 0) > recent);
	assert_int_equal(wal_within(f->wal, UINT64_MAX), 1);
	assert_int_equal(wal_trim(f->wal, recent), 0);
	assert_int_equal(wal_first(f->wal), recent);
	assert_int_equal(wal_bytes(f->wal), 3 * SMALL_SEGMENT);
}

static void trimming_everything_keeps_the_current_segment(void **state)
{
	struct fixture *f = *state;
	char names[64][64];
	fixture_must_open(f);
	for (uint64_t i = 1; i <= 100; i++)
		fixture_save(f, i, 2, 1000);
	assert_int_equal(wal_trim(f->wal, 101), 0);
	assert_int_equal(fixture_segments(f, names, 64), 1);
	assert_int_equal(wal_last(f->wal), 100);
	fixture_reopen(f);
	assert_int_equal(wal_last(f->wal), 100);
	fixture_save(f, 101, 2, 1000);
	fixture_must_read(f, wal_first(f->wal), 102, 2);
}

static void trimming_never_loses_the_term_before_a_replaced_tail(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	for (uint64_t i = 1; i <= 50; i++)
		fixture_save(f, i, 1, 1000);
	/* The segment in use now replaces entry 30, which lay in an earlier one. */
	for (uint64_t i = 30; i <= 33; i++)
		fixture_save(f, i, 2, 1000);
	assert_int_equal(wal_trim(f->wal, 33), 0);
	assert_true(wal_first(f->wal) <= 30);
	uint64_t first = wal_first(f->wal);
	fixture_must_read(f, first, 34, 0);
	fixture_reopen(f);
	assert_int_equal(wal_first(f->wal), first);
	assert_int_equal(wal_base_term(f->wal), first == 1 ? 0 : 1);
	fixture_must_read(f, 30, 34, 2);
	/* Once later segments hold only what follows, it can go. */
	for (uint64_t i = 34; i <= 90; i++)
		fixture_save(f, i, 2, 1000);
	assert_int_equal(wal_trim(f->wal, 80), 0);
	assert_true(wal_first(f->wal) > 40);
	assert_int_equal(wal_base_term(f->wal), 2);
}

/* A power cut in the middle of a trim, which removes one segment after the other. */
static void a_trim_that_was_cut_short_is_ended_at_the_next_start(void **state)
{
	struct fixture *f = *state;
	char names[64][64], path[5000];
	fixture_must_open(f);
	for (uint64_t i = 1; i <= 50; i++)
		fixture_save(f, i, 1, 1000);
	for (uint64_t i = 30; i <= 90; i++)
		fixture_save(f, i, 2, 1000);
	int before = fixture_segments(f, names, 64);
	fixture_close(f);
	/* What is left begins behind entry 30, which a later segment replaced: those in between were to go, too. */
	uint64_t begins = 0;
	for (int i = 0; begins <= 30; i++) {
		assert_true(i + 1 < before);
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		assert_int_equal(unlink(path), 0);
		begins = strtoull(names[i + 1] + 9, NULL, 16);
	}
	assert_true(begins < 50);
	fixture_must_open(f);
	assert_true(wal_first(f->wal) > begins && wal_first(f->wal) < 60);
	assert_int_equal(wal_base_term(f->wal), 2);
	assert_int_equal(wal_last(f->wal), 90);
	fixture_must_read(f, wal_first(f->wal), 91, 2);
	uint64_t first = wal_first(f->wal);
	fixture_reopen(f);
	assert_int_equal(wal_first(f->wal), first);
}

static int count_until(void *ctx, const struct raft_entry *entry)
{
	int *left = ctx;
	(void)entry;
	return --*left == 0 ? 77 : 0;
}

static void a_read_stops_at_its_bytes_or_when_told(void **state)
{
	struct fixture *f = *state;
	struct expected x = {.next = 5};
	int left = 3;
	fixture_must_open(f);
	for (uint64_t i = 1; i <= 20; i++)
		fixture_save(f, i, 1, 100);
	assert_int_equal(wal_read(f->wal, 5, 21, 350, fixture_check_entry, &x), 0);
	assert_int_equal(x.count, 3);
	x = (struct expected){.next = 5};
	assert_int_equal(wal_read(f->wal, 5, 21, 1, fixture_check_entry, &x), 0);
	assert_int_equal(x.count, 1);
	x = (struct expected){.next = 18};
	assert_int_equal(wal_read(f->wal, 18, 1000, SIZE_MAX, fixture_check_entry, &x), 0);
	assert_int_equal(x.count, 3);
	assert_int_equal(wal_read(f->wal, 1, 21, SIZE_MAX, count_until, &left), 77);
}

static void a_segment_prepared_ahead_is_used_and_none_is_left_behind(void **state)
{
	struct fixture *f = *state;
	char path[320];
	f->segment_bytes = 1 << 20;
	fixture_must_open(f);
	int slices = 0;
	while (wal_prepare(f->wal) == 1)
		slices++;
	assert_int_equal(slices, 3);
	assert_int_equal(wal_bytes(f->wal), 2 << 20);
	for (uint64_t i = 1; i <= 5; i++)
		fixture_save(f, i, 1, 300 << 10);
	assert_int_equal(wal_bytes(f->wal), 2 << 20);
	assert_int_equal(wal_prepare(f->wal), 1);
	snprintf(path, sizeof(path), "%s/next.tmp", f->dir);
	assert_int_equal(access(path, F_OK), 0);
	fixture_reopen(f);
	assert_int_equal(access(path, F_OK), -1);
	fixture_must_read(f, 1, 6, 1);
}

static void a_log_of_another_cluster_or_node_is_refused(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	fixture_close(f);
	assert_int_equal(fixture_open(f, CLUSTER + 1, NODE), -EPERM);
	assert_non_null(strstr(f->why, "cluster 00000000000000c1"));
	assert_int_equal(fixture_open(f, CLUSTER, NODE + 1), -EPERM);
	assert_non_null(strstr(f->why, "node 0000000000000011"));
	fixture_must_open(f);
	assert_int_equal(wal_epoch(f->wal), 2);
}

static void a_log_in_use_is_refused(void **state)
{
	struct fixture *f = *state;
	struct fixture other = *f;
	fixture_must_open(f);
	assert_int_equal(fixture_open(&other, CLUSTER, NODE), -EBUSY);
	assert_non_null(strstr(other.why, "in use"));
}

static void a_folder_that_cannot_be_is_said(void **state)
{
	struct fixture *f = *state;
	struct fixture other = {.segment_bytes = SMALL_SEGMENT};
	char names[4][64];
	fixture_must_open(f);
	assert_int_equal(fixture_segments(f, names, 4), 1);
	snprintf(other.dir, sizeof(other.dir), "%.180s/%s", f->dir, names[0]);
	assert_int_equal(fixture_open(&other, CLUSTER, NODE), -ENOTDIR);
	assert_non_null(strstr(other.why, names[0]));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_log_is_empty_and_counts_its_first_boot),
		TEST(entries_and_the_hard_state_survive_a_restart),
		TEST(each_open_counts_one_boot_more),
		TEST(a_later_hard_state_replaces_an_earlier_one),
		TEST(an_entry_at_or_below_the_last_replaces_the_tail),
		TEST(one_save_may_replace_what_it_holds_itself),
		TEST(the_log_rolls_over_many_segments),
		TEST(a_frame_larger_than_a_segment_gets_one_of_its_own),
		TEST(a_save_of_many_megabytes_is_kept_whole),
		TEST(entries_full_of_zeros_survive_like_any_other),
		TEST(trimming_drops_whole_segments_and_remembers_the_term_before),
		TEST(the_newest_segments_within_a_size_are_known_by_their_first_entry),
		TEST(trimming_everything_keeps_the_current_segment),
		TEST(trimming_never_loses_the_term_before_a_replaced_tail),
		TEST(a_trim_that_was_cut_short_is_ended_at_the_next_start),
		TEST(a_read_stops_at_its_bytes_or_when_told),
		TEST(a_segment_prepared_ahead_is_used_and_none_is_left_behind),
		TEST(a_log_of_another_cluster_or_node_is_refused),
		TEST(a_log_in_use_is_refused),
		TEST(a_folder_that_cannot_be_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
