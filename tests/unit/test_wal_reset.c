/* A log that begins anew behind a snapshot: nothing of the old one shows, and a crash in between leaves one of the two. */
#include "tests/unit/wal_fixture.h"

#define FILES_MAX 32

/* The segments as they lie in the folder. */
struct image {
	int count;
	char names[FILES_MAX][64];
	uint8_t *data[FILES_MAX];
	size_t sizes[FILES_MAX];
};

static void take_image(const struct fixture *f, struct image *out)
{
	out->count = fixture_segments(f, out->names, FILES_MAX);
	for (int i = 0; i < out->count; i++) {
		char path[400];
		struct stat st;
		snprintf(path, sizeof(path), "%s/%s", f->dir, out->names[i]);
		int fd = open(path, O_RDONLY);
		assert_true(fd >= 0 && fstat(fd, &st) == 0);
		out->sizes[i] = (size_t)st.st_size;
		out->data[i] = malloc(out->sizes[i]);
		assert_int_equal(read(fd, out->data[i], out->sizes[i]), st.st_size);
		close(fd);
	}
}

static void put_file(const struct fixture *f, const char *name, const uint8_t *data, size_t size)
{
	char path[400];
	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

static void remove_segments(const struct fixture *f)
{
	char names[FILES_MAX][64], path[400];
	int count = fixture_segments(f, names, FILES_MAX);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%.63s", f->dir, names[i]);
		assert_int_equal(unlink(path), 0);
	}
}

static void free_image(struct image *m)
{
	for (int i = 0; i < m->count; i++)
		free(m->data[i]);
}

static void save_many(struct fixture *f, uint64_t from, uint64_t to, uint64_t term)
{
	for (uint64_t i = from; i <= to; i++)
		fixture_save(f, i, term, 3000);
}

static void vote(struct fixture *f, uint64_t term, uint64_t who)
{
	struct raft_hard_state hard = {.term = term, .vote = who, .commit = 1};
	assert_int_equal(wal_save(f->wal, &hard, NULL, 0), 0);
}

static void must_be_new(struct fixture *f, uint64_t index, uint64_t term)
{
	assert_int_equal(wal_first(f->wal), index + 1);
	assert_int_equal(wal_last(f->wal), index);
	assert_int_equal(wal_base_term(f->wal), term);
	assert_int_equal(wal_last_term(f->wal), term);
	assert_int_equal(wal_read(f->wal, index, index + 1, 100, fixture_check_entry, NULL), -ERANGE);
	assert_int_equal(wal_read(f->wal, 1, 2, 100, fixture_check_entry, NULL), -ERANGE);
	assert_int_equal(wal_hard_state(f->wal).term, 7);
	assert_int_equal(wal_hard_state(f->wal).vote, 3);
}

static void it_begins_behind_the_snapshot_and_goes_on_from_there(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	save_many(f, 1, 20, 5);
	vote(f, 7, 3);
	uint64_t epoch = wal_epoch(f->wal);
	fixture_must_read(f, 1, 21, 5);
	assert_int_equal(wal_reset(f->wal, 1000, 6), 0);
	must_be_new(f, 1000, 6);
	save_many(f, 1001, 1020, 7);
	fixture_must_read(f, 1001, 1021, 7);
	fixture_reopen(f);
	assert_int_equal(wal_epoch(f->wal), epoch + 1);
	assert_int_equal(wal_first(f->wal), 1001);
	assert_int_equal(wal_hard_state(f->wal).vote, 3);
	assert_int_equal(wal_hard_state(f->wal).commit, 1000);
	fixture_must_read(f, 1001, 1021, 7);
}

static void an_empty_log_stays_empty_and_leaves_one_segment(void **state)
{
	struct fixture *f = *state;
	char names[FILES_MAX][64];
	fixture_must_open(f);
	vote(f, 7, 3);
	assert_int_equal(wal_reset(f->wal, 41, 2), 0);
	must_be_new(f, 41, 2);
	fixture_reopen(f);
	must_be_new(f, 41, 2);
	assert_int_equal(fixture_segments(f, names, FILES_MAX), 1);
	assert_int_equal(wal_reset(f->wal, 50, 6), 0);
	assert_int_equal(wal_reset(f->wal, 60, 7), 0);
	fixture_reopen(f);
	must_be_new(f, 60, 7);
	assert_int_equal(fixture_segments(f, names, FILES_MAX), 1);
}

static void what_the_log_held_beyond_the_snapshot_goes_too(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	save_many(f, 1, 20, 5);
	vote(f, 7, 3);
	assert_int_equal(wal_reset(f->wal, 10, 7), 0);
	must_be_new(f, 10, 7);
	save_many(f, 11, 12, 7);
	fixture_reopen(f);
	assert_int_equal(wal_last(f->wal), 12);
	fixture_must_read(f, 11, 13, 7);
	assert_int_equal(wal_trim(f->wal, 12), 0);
	fixture_must_read(f, wal_first(f->wal), 13, 7);
}

static void a_crash_before_the_new_segment_has_its_name_leaves_the_old_log(void **state)
{
	struct fixture *f = *state;
	struct image old, new;
	fixture_must_open(f);
	save_many(f, 1, 20, 7);
	vote(f, 7, 3);
	take_image(f, &old);
	assert_int_equal(wal_reset(f->wal, 1000, 7), 0);
	take_image(f, &new);
	fixture_close(f);
	assert_int_equal(new.count, 1);
	remove_segments(f);
	for (int i = 0; i < old.count; i++)
		put_file(f, old.names[i], old.data[i], old.sizes[i]);
	put_file(f, "next.tmp", new.data[0], new.sizes[0]);
	fixture_must_open(f);
	assert_int_equal(wal_last(f->wal), 20);
	fixture_must_read(f, 1, 21, 7);
	free_image(&old);
	free_image(&new);
}

static void a_crash_after_it_leaves_the_new_log_whatever_is_left_of_the_old(void **state)
{
	struct fixture *f = *state;
	struct image old, new, left;
	fixture_must_open(f);
	save_many(f, 1, 20, 7);
	vote(f, 7, 3);
	take_image(f, &old);
	assert_true(old.count > 3);
	assert_int_equal(wal_reset(f->wal, 1000, 6), 0);
	take_image(f, &new);
	fixture_close(f);
	for (int gone = 0; gone <= old.count; gone++) {
		remove_segments(f);
		for (int i = gone; i < old.count; i++)
			put_file(f, old.names[i], old.data[i], old.sizes[i]);
		put_file(f, new.names[0], new.data[0], new.sizes[0]);
		fixture_must_open(f);
		must_be_new(f, 1000, 6);
		take_image(f, &left);
		assert_int_equal(left.count, 1);
		assert_string_equal(left.names[0], new.names[0]);
		free_image(&left);
		save_many(f, 1001, 1001, 7);
		fixture_reopen(f);
		fixture_must_read(f, 1001, 1002, 7);
		fixture_close(f);
	}
	free_image(&old);
	free_image(&new);
}

/* A crash can come before the save whose term it is. What opens again must be a log that raft takes. */
static void it_does_not_begin_in_a_term_that_the_hard_state_has_not_seen(void **state)
{
	struct fixture *f = *state;
	fixture_must_open(f);
	save_many(f, 1, 3, 5);
	vote(f, 5, 3);
	assert_int_equal(wal_reset(f->wal, 1000, 9), 0);
	fixture_reopen(f);
	assert_int_equal(wal_base_term(f->wal), 9);
	assert_int_equal(wal_hard_state(f->wal).term, 9);
	assert_int_equal(wal_hard_state(f->wal).vote, 0);
}

static void a_changed_byte_of_its_head_is_refused(void **state)
{
	struct fixture *f = *state;
	struct image m;
	fixture_must_open(f);
	save_many(f, 1, 3, 7);
	assert_int_equal(wal_reset(f->wal, 1000, 7), 0);
	fixture_close(f);
	take_image(f, &m);
	for (size_t i = 0; i < 80; i++) {
		m.data[0][i] ^= 1;
		put_file(f, m.names[0], m.data[0], m.sizes[0]);
		assert_int_not_equal(fixture_open(f, CLUSTER, NODE), 0);
		m.data[0][i] ^= 1;
	}
	free_image(&m);
}

#define story(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(it_begins_behind_the_snapshot_and_goes_on_from_there),
		story(an_empty_log_stays_empty_and_leaves_one_segment),
		story(what_the_log_held_beyond_the_snapshot_goes_too),
		story(a_crash_before_the_new_segment_has_its_name_leaves_the_old_log),
		story(a_crash_after_it_leaves_the_new_log_whatever_is_left_of_the_old),
		story(it_does_not_begin_in_a_term_that_the_hard_state_has_not_seen),
		story(a_changed_byte_of_its_head_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
