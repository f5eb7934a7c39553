#include "tests/unit/test_apply_store.h"

#include <stdint.h>

static void pair(struct writer *w, const char *key, const char *value)
{
	writer_string(w, key);
	writer_string(w, value);
}

static int load(struct world *w, struct writer *pairs)
{
	int err = RUN(w, .type = COMMAND_LOAD, .value = {pairs->data, pairs->size});
	writer_clear(pairs);
	return err;
}

static void a_put_makes_the_directories_that_are_missing(void **state)
{
	struct world *w = *state;
	uint64_t before = mvcc_revision(w->m);
	w->uid = 3;
	assert_int_equal(put(w, "a/b/c/f", "value"), 0);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_content(w, "a/b/c/f", "value");
	assert_int_equal(stat_of(w, "a/b").mode, S_IFDIR | 0755);
	assert_int_equal(stat_of(w, "a/b").uid, 3);
	assert_int_equal(stat_of(w, "a/b").nlink, 3);
	assert_int_equal(stat_of(w, "a/b").version, 1);
	assert_int_equal(stat_of(w, "a/b").flags, 0);
	assert_int_equal(stat_of(w, "a/b/c").nlink, 2);
	assert_int_equal(stat_of(w, "").nlink, 3);
	assert_int_equal(stat_of(w, "a/b/c/f").mode, S_IFREG | 0644);
	assert_int_equal(w->out.result.attr.size, 5);
	assert_true(stat_of(w, "a").ino < stat_of(w, "a/b").ino);
}

static void a_put_replaces_the_content_and_nothing_else(void **state)
{
	struct world *w = *state;
	put(w, "f", "a long first value");
	RUN(w, .type = COMMAND_SETATTR, .key = text("f"), .set_mask = SET_MODE, .mode = 0600);
	assert_int_equal(put(w, "f", "short"), 0);
	assert_content(w, "f", "short");
	assert_int_equal(stat_of(w, "f").mode, S_IFREG | 0600);
	assert_int_equal(stat_of(w, "f").version, 3);
	assert_int_equal(put(w, "f", "short"), 0);
	assert_int_equal(stat_of(w, "f").version, 4);
	assert_int_equal(put(w, "f", ""), 0);
	assert_int_equal(put(w, "f", ""), 0);
	assert_int_equal(stat_of(w, "f").version, 6);
}

static void a_file_and_a_directory_cannot_share_a_name(void **state)
{
	struct world *w = *state;
	struct writer pairs = {0};
	put(w, "f", "x");
	make_dir(w, "d");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(put(w, "f/x", "x"), -ENOTDIR);
	assert_int_equal(put(w, "f/x/y", "x"), -ENOTDIR);
	assert_int_equal(put(w, "d", "x"), -EISDIR);
	pair(&pairs, "fine", "x");
	pair(&pairs, "n/x", "x");
	pair(&pairs, "n", "x");
	assert_int_equal(load(w, &pairs), -EISDIR);
	pair(&pairs, "n", "x");
	pair(&pairs, "n/x", "x");
	assert_int_equal(load(w, &pairs), -ENOTDIR);
	assert_int_equal(mvcc_revision(w->m), before);
	assert_false(is_there(w, "fine"));
	writer_free(&pairs);
}

static void a_load_is_one_revision_in_which_the_last_value_wins(void **state)
{
	struct world *w = *state;
	struct writer pairs = {0};
	char *big = malloc(50001);
	size_t size;
	memset(big, 'b', 50000);
	big[50000] = 0;
	put(w, "was/large", big);
	uint64_t before = mvcc_revision(w->m);
	pair(&pairs, "was/large", big);
	pair(&pairs, "was/large", "small");
	pair(&pairs, "x/f", "first");
	pair(&pairs, "x/large", "first");
	pair(&pairs, "x/f", "last");
	pair(&pairs, "x/large", big);
	assert_int_equal(load(w, &pairs), 0);
	assert_int_equal(w->out.result.count, 3);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_content(w, "was/large", "small");
	assert_content(w, "x/f", "last");
	assert_content(w, "x/large", big);
	assert_int_equal(stat_of(w, "x/f").version, 1);
	assert_int_equal(stat_of(w, "was/large").version, 2);
	char *old = content_at(w, "was/large", before, &size);
	assert_string_equal(old, big);
	free(old);
	free(big);
	writer_free(&pairs);
}

static int count_one(void *ctx, const struct record *r)
{
	uint64_t *subs = ctx;
	assert_true(r->stored.sub < 2000);
	*subs += 1;
	return 0;
}

static void a_thousand_pairs_touch_each_directory_once(void **state)
{
	struct world *w = *state;
	struct writer pairs = {0};
	char key[64];
	uint64_t count = 0;
	make_dir(w, "d");
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "%s/s%d/k%d", i % 2 ? "d" : "e", i % 10, i);
		pair(&pairs, key, key);
	}
	assert_int_equal(load(w, &pairs), 0);
	assert_int_equal(w->out.result.count, 1000);
	assert_int_equal(mvcc_range(w->m, text(""), text(""), 0, 0, count_one, &count), 0);
	assert_int_equal(count, 1000 + 2 + 10);
	assert_int_equal(stat_of(w, "d").nlink, 7);
	assert_int_equal(stat_of(w, "e").nlink, 7);
	assert_int_equal(stat_of(w, "d").flags, RECORD_TOUCH);
	assert_int_equal(stat_of(w, "e").flags, 0);
	assert_int_equal(stat_of(w, "").nlink, 4);
	assert_content(w, "d/s7/k357", "d/s7/k357");
	writer_free(&pairs);
}

/* --- staged writes --- */

static int apply_as(struct world *w, uint64_t sequence, uint64_t floor, struct command c)
{
	struct writer bytes = {0};
	c.id = (struct command_id){.origin = ORIGIN, .epoch = w->epoch, .sequence = sequence, .floor = floor};
	command_encode(&bytes, &c);
	apply_bytes(w, (struct span){bytes.data, bytes.size});
	writer_free(&bytes);
	return w->out.result.error;
}

static void stage(struct world *w, uint64_t sequence, uint64_t number, uint32_t chunk, struct span data)
{
	assert_int_equal(apply_as(w, sequence, number,
				  (struct command){.type = COMMAND_STAGE, .stage = number, .stage_chunk = chunk, .value = data}),
			 0);
	assert_true(w->out.fresh);
}

static int count_chunk(void *ctx, struct span data)
{
	*(size_t *)ctx += data.size;
	return 0;
}

static size_t staged_bytes(struct world *w, uint64_t epoch, uint64_t number)
{
	struct stage_id id = {ORIGIN, epoch, number};
	size_t bytes = 0;
	mvcc_begin(w->m, mvcc_applied(w->m), 1);
	int err = mvcc_stage_read(w->m, &id, count_chunk, &bytes);
	mvcc_end(w->m, mvcc_last_time(w->m));
	assert_true(err == 0 || err == -ENOENT);
	return bytes;
}

static void a_staged_write_takes_its_ranges_from_the_chunks(void **state)
{
	struct world *w = *state;
	struct writer ranges = {0};
	const struct command_range two[] = {{0, text("hello")}, {10, text("world")}};
	size_t size;
	command_ranges_encode(&ranges, two, 2);
	uint64_t before = mvcc_revision(w->m);
	stage(w, 2, 1, 0, (struct span){ranges.data, 7});
	stage(w, 3, 1, 1, (struct span){ranges.data + 7, ranges.size - 7});
	assert_int_equal(mvcc_revision(w->m), before);
	struct command c = {
		.type = COMMAND_WRITE, .key = text("f"), .mode = 0644, .truncate_to = COMMAND_NO_TRUNCATE, .stage = 1, .stage_chunk = 2};
	c.write_flags = WRITE_CREATE | WRITE_STAGED;
	assert_int_equal(apply_as(w, 1, 1, c), 0);
	char *bytes = content_at(w, "f", 0, &size);
	assert_int_equal(size, 15);
	assert_memory_equal(bytes, "hello\0\0\0\0\0world", 15);
	free(bytes);
	assert_int_equal(staged_bytes(w, 1, 1), ranges.size);
	assert_int_equal(apply_as(w, 4, 4, (struct command){.type = COMMAND_MKDIR, .key = text("d")}), 0);
	assert_int_equal(staged_bytes(w, 1, 1), 0);
	writer_free(&ranges);
}

static void a_staged_write_whose_chunks_are_not_all_there_fails(void **state)
{
	struct world *w = *state;
	struct command c = {.type = COMMAND_WRITE, .key = text("f"), .write_flags = WRITE_CREATE | WRITE_STAGED, .stage = 1};
	assert_int_equal(apply_as(w, 1, 1, c), -EIO);
	stage(w, 3, 2, 0, text("\x01\0\0"));
	c.stage = 2;
	assert_int_equal(apply_as(w, 2, 2, c), -EIO);
	stage(w, 5, 4, 0, text("part"));
	c = (struct command){.type = COMMAND_PUT, .key = text("f"), .write_flags = WRITE_STAGED, .stage = 4, .stage_chunk = 2};
	assert_int_equal(apply_as(w, 4, 4, c), -EIO);
	assert_false(is_there(w, "f"));
	assert_false(w->out.stopped);
}

static void a_staged_put_joins_the_chunks(void **state)
{
	struct world *w = *state;
	stage(w, 2, 1, 0, text("first "));
	stage(w, 3, 1, 1, text("second"));
	assert_int_equal(
		apply_as(w, 1, 1, (struct command){.type = COMMAND_PUT, .key = text("a/f"), .write_flags = WRITE_STAGED, .stage = 1}), 0);
	assert_content(w, "a/f", "first second");
}

static void stages_that_were_given_up_are_dropped_also_after_a_restart(void **state)
{
	struct world *w = *state;
	stage(w, 2, 1, 0, text("abandoned"));
	stage(w, 4, 3, 0, text("in flight"));
	assert_int_equal(staged_bytes(w, 1, 1), 0);
	world_restart(w);
	assert_int_equal(staged_bytes(w, 1, 3), 9);
	assert_int_equal(apply_as(w, 5, 3, (struct command){.type = COMMAND_STAGE, .stage = 1, .value = text("late")}), -EINVAL);
	assert_int_equal(staged_bytes(w, 1, 1), 0);
	assert_int_equal(apply_as(w, 6, 5, (struct command){.type = COMMAND_MKDIR, .key = text("d")}), 0);
	assert_int_equal(staged_bytes(w, 1, 3), 0);
}

static void a_newer_boot_drops_the_stages_of_the_older(void **state)
{
	struct world *w = *state;
	stage(w, 2, 1, 0, text("before"));
	w->epoch = 2;
	assert_int_equal(apply_as(w, 1, 1, (struct command){.type = COMMAND_MKDIR, .key = text("d")}), 0);
	assert_int_equal(staged_bytes(w, 1, 1), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_put_makes_the_directories_that_are_missing),
		STORY(a_put_replaces_the_content_and_nothing_else),
		STORY(a_file_and_a_directory_cannot_share_a_name),
		STORY(a_load_is_one_revision_in_which_the_last_value_wins),
		STORY(a_thousand_pairs_touch_each_directory_once),
		STORY(a_staged_write_takes_its_ranges_from_the_chunks),
		STORY(a_staged_write_whose_chunks_are_not_all_there_fails),
		STORY(a_staged_put_joins_the_chunks),
		STORY(stages_that_were_given_up_are_dropped_also_after_a_restart),
		STORY(a_newer_boot_drops_the_stages_of_the_older),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
