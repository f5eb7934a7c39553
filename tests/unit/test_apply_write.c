#include "tests/unit/test_apply_store.h"

#include <stdint.h>

static int truncate_by_write(struct world *w, const char *key, uint64_t truncate_to, uint64_t extend_to)
{
	return run(w, (struct command){.type = COMMAND_WRITE, .key = text(key), .truncate_to = truncate_to, .extend_to = extend_to});
}

static void a_write_makes_a_file_only_when_asked_to(void **state)
{
	struct world *w = *state;
	w->uid = 8;
	assert_int_equal(write_at(w, "f", 0, 0, "x"), -ENOENT);
	assert_int_equal(write_at(w, "d/f", WRITE_CREATE, 0, "x"), -ENOENT);
	assert_int_equal(write_at(w, "f", WRITE_CREATE, 0, "hello"), 0);
	struct record f = stat_of(w, "f");
	assert_int_equal(f.mode, S_IFREG | 0644);
	assert_int_equal(f.uid, 8);
	assert_int_equal(f.nlink, 1);
	assert_int_equal(f.version, 1);
	assert_int_equal(f.size, 5);
	assert_int_equal(f.created.main, w->out.result.revision);
	assert_int_equal(w->out.result.attr.ino, f.ino);
	assert_int_equal(w->out.result.attr.size, 5);
	assert_null(w->out.result.attr.memory);
	assert_content(w, "f", "hello");
	assert_int_equal(write_at(w, "f/x", WRITE_CREATE, 0, "x"), -ENOTDIR);
	make_dir(w, "d");
	assert_int_equal(write_at(w, "d", WRITE_CREATE, 0, "x"), -EISDIR);
	assert_int_equal(RUN(w, .type = COMMAND_WRITE, .key = text("g"), .mode = S_IFIFO, .write_flags = WRITE_CREATE), -EINVAL);
}

static void of_two_exclusive_creations_one_wins(void **state)
{
	struct world *w = *state;
	assert_int_equal(write_at(w, "f", WRITE_CREATE | WRITE_EXCL, 0, "first"), 0);
	assert_int_equal(write_at(w, "f", WRITE_CREATE | WRITE_EXCL, 0, "second"), -EEXIST);
	assert_content(w, "f", "first");
}

static void writers_of_different_ranges_both_survive(void **state)
{
	struct world *w = *state;
	put(w, "f", "aaaaaaaa");
	write_at(w, "f", 0, 0, "bb");
	write_at(w, "f", 0, 6, "cccc");
	assert_content(w, "f", "bbaaaacccc");
	assert_int_equal(stat_of(w, "f").version, 3);
}

static void ranges_are_laid_over_in_order(void **state)
{
	struct world *w = *state;
	const struct command_range ranges[] = {{2, text("xxxx")}, {4, text("yy")}, {9, text("z")}, {20, text("")}};
	assert_int_equal(RUN(w, .type = COMMAND_WRITE, .key = text("f"), .mode = 0600, .write_flags = WRITE_CREATE, .ranges = ranges,
			     .ranges_count = 4),
			 0);
	size_t size;
	char *bytes = content_at(w, "f", 0, &size);
	assert_int_equal(size, 10);
	assert_memory_equal(bytes, "\0\0xxyy\0\0\0z", 10);
	free(bytes);
}

static void appends_land_at_the_end_as_it_is(void **state)
{
	struct world *w = *state;
	write_at(w, "log", WRITE_CREATE | WRITE_APPEND, 0, "one\n");
	write_at(w, "log", WRITE_APPEND, 0, "two\n");
	write_at(w, "log", WRITE_APPEND, 1, "three\n");
	assert_content(w, "log", "one\ntwo\nthree\n");
}

static void truncation_comes_first_and_extension_last(void **state)
{
	struct world *w = *state;
	const struct command_range range = {2, text("Z")};
	struct command c = {.type = COMMAND_WRITE, .key = text("f"), .truncate_to = 1, .extend_to = 5, .ranges = &range, .ranges_count = 1};
	size_t size;
	put(w, "f", "abcdefgh");
	assert_int_equal(run(w, c), 0);
	char *bytes = content_at(w, "f", 0, &size);
	assert_int_equal(size, 5);
	assert_memory_equal(bytes, "a\0Z\0\0", 5);
	free(bytes);
}

static void nothing_to_publish_makes_no_revision(void **state)
{
	struct world *w = *state;
	put(w, "f", "abc");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(truncate_by_write(w, "f", COMMAND_NO_TRUNCATE, 0), 0);
	assert_int_equal(truncate_by_write(w, "f", 3, 2), 0);
	assert_int_equal(write_at(w, "f", WRITE_CREATE, 100, ""), 0);
	assert_int_equal(w->out.result.revision, before);
	assert_int_equal(w->out.result.attr.size, 3);
	assert_int_equal(stat_of(w, "f").version, 1);
	assert_int_equal(write_at(w, "new", WRITE_CREATE, 0, ""), 0);
	assert_int_equal(mvcc_revision(w->m), before + 1);
}

static void a_write_by_number_follows_a_rename_and_notices_a_deletion(void **state)
{
	struct world *w = *state;
	const struct command_range range = {0, text("X")};
	put(w, "a", "old");
	uint64_t ino = stat_of(w, "a").ino;
	rename_flags(w, "a", "b", 0);
	put(w, "a", "other");
	assert_int_equal(RUN(w, .type = COMMAND_WRITE, .key = text("a"), .ino = ino, .ranges = &range, .ranges_count = 1), 0);
	assert_content(w, "b", "Xld");
	assert_content(w, "a", "other");
	assert_int_equal(RUN(w, .type = COMMAND_UNLINK, .key = text("b")), 0);
	assert_int_equal(RUN(w, .type = COMMAND_WRITE, .key = text("b"), .ino = ino, .write_flags = WRITE_CREATE, .ranges = &range,
			     .ranges_count = 1),
			 -ESTALE);
	assert_false(is_there(w, "b"));
}

static void set_id_bits_do_not_survive_a_write_by_a_user(void **state)
{
	struct world *w = *state;
	put(w, "f", "x");
	RUN(w, .type = COMMAND_SETATTR, .key = text("f"), .set_mask = SET_MODE, .mode = 06755);
	write_at(w, "f", 0, 0, "y");
	assert_int_equal(stat_of(w, "f").mode, S_IFREG | 06755);
	w->uid = 1000;
	write_at(w, "f", 0, 0, "z");
	assert_int_equal(stat_of(w, "f").mode, S_IFREG | 0755);
}

static void attributes_travel_with_the_content(void **state)
{
	struct world *w = *state;
	const struct command_range range = {0, text("x")};
	assert_int_equal(RUN(w, .type = COMMAND_WRITE, .key = text("f"), .mode = 0600, .write_flags = WRITE_CREATE, .ranges = &range,
			     .ranges_count = 1, .set_mask = SET_MTIME | SET_UID | SET_SIZE, .set_uid = 12, .mtime_ns = 77, .size = 0),
			 0);
	struct record f = stat_of(w, "f");
	assert_int_equal(f.mtime_ns, 77);
	assert_int_equal(f.uid, 12);
	assert_int_equal(f.size, 1);
	assert_int_equal(f.version, 1);
}

static void a_file_too_large_for_any_store_is_refused(void **state)
{
	struct world *w = *state;
	put(w, "f", "x");
	assert_int_equal(truncate_by_write(w, "f", COMMAND_NO_TRUNCATE, UINT64_MAX), -EFBIG);
	assert_int_equal(write_at(w, "f", 0, UINT64_C(1) << 50, "x"), -EFBIG);
	assert_int_equal(truncate_by_write(w, "f", COMMAND_NO_TRUNCATE, UINT64_C(1) << 35), 0);
	assert_int_equal(stat_of(w, "f").size, UINT64_C(1) << 35);
	assert_int_equal(truncate_by_write(w, "f", 1, 0), 0);
	assert_content(w, "f", "x");
}

/* --- a file as an array, edited alongside --- */

#define MODEL_MAX (5u * MVCC_BLOCK_BYTES)

struct model {
	uint32_t random;
	uint8_t bytes[MODEL_MAX];
	size_t size;
};

static uint32_t next(struct model *m)
{
	m->random = m->random * 1664525u + 1013904223u;
	return m->random >> 8;
}

/* Mostly sizes at which something changes: around nothing, the inline limit and the edges of blocks. */
static uint32_t some_offset(struct model *m)
{
	static const uint32_t edges[] = {0, 100, MVCC_INLINE_MAX, MVCC_BLOCK_BYTES, 2 * MVCC_BLOCK_BYTES, 3 * MVCC_BLOCK_BYTES};
	uint32_t offset = edges[next(m) % 6] + next(m) % 5 - 2;
	return offset < MODEL_MAX - 2 * MVCC_BLOCK_BYTES - 16 ? offset : next(m) % MVCC_BLOCK_BYTES;
}

static void model_resize(struct model *m, size_t size)
{
	if (size > m->size)
		memset(m->bytes + m->size, 0, size - m->size);
	m->size = size;
}

static void edit_both(struct world *w, struct model *m)
{
	static uint8_t data[3][2 * MVCC_BLOCK_BYTES];
	struct command_range ranges[3];
	struct command c = {.type = COMMAND_WRITE, .key = text("f"), .truncate_to = COMMAND_NO_TRUNCATE, .ranges = ranges};
	if (next(m) % 3 == 0) {
		c.truncate_to = some_offset(m);
		if (c.truncate_to < m->size)
			m->size = c.truncate_to;
	}
	c.ranges_count = next(m) % 4;
	for (uint32_t i = 0; i < c.ranges_count; i++) {
		size_t size = next(m) % 3 ? next(m) % 300 : next(m) % sizeof(data[0]);
		memset(data[i], (int)(next(m) % 255 + 1), size);
		ranges[i] = (struct command_range){some_offset(m), {data[i], size}};
		if (size > 0 && ranges[i].offset + size > m->size)
			model_resize(m, ranges[i].offset + size);
		memcpy(m->bytes + ranges[i].offset, data[i], size);
	}
	if (next(m) % 4 == 0) {
		c.extend_to = some_offset(m);
		if (c.extend_to > m->size)
			model_resize(m, c.extend_to);
	}
	assert_int_equal(run(w, c), 0);
}

static void any_edits_leave_the_same_bytes_as_in_memory_and_old_versions_as_they_were(void **state)
{
	enum { ROUNDS = 240, KEPT = 8 };
	struct world *w = *state;
	static struct model m = {.random = 5};
	static struct model kept[KEPT];
	uint64_t revisions[KEPT] = {0};
	put(w, "f", "");
	for (int i = 0; i < ROUNDS; i++) {
		size_t size;
		edit_both(w, &m);
		if (i % 61 == 0)
			world_restart(w);
		char *bytes = content_at(w, "f", 0, &size);
		assert_int_equal(size, m.size);
		assert_memory_equal(bytes, m.bytes, size);
		free(bytes);
		if (i % (ROUNDS / KEPT) == 0) {
			kept[i / (ROUNDS / KEPT)] = m;
			revisions[i / (ROUNDS / KEPT)] = mvcc_revision(w->m);
		}
	}
	for (int i = 0; i < KEPT; i++) {
		size_t size;
		char *bytes = content_at(w, "f", revisions[i], &size);
		assert_int_equal(size, kept[i].size);
		assert_memory_equal(bytes, kept[i].bytes, size);
		free(bytes);
	}
}

static uint64_t make_with(struct world *w, const char *key, uint64_t ino)
{
	const struct command_range range = {0, text("x")};
	assert_int_equal(RUN(w, .type = COMMAND_WRITE, .key = text(key), .ino = ino, .write_flags = WRITE_CREATE | WRITE_NUMBERED,
			     .mode = S_IFREG | 0644, .ranges = &range, .ranges_count = 1, .truncate_to = COMMAND_NO_TRUNCATE),
			 0);
	return w->out.result.attr.ino;
}

static void a_file_gets_the_number_that_its_maker_was_given(void **state)
{
	struct world *w = *state;
	uint64_t fresh = make_with(w, "before", 0);
	/* Not given: a fresh one. */
	assert_int_equal(make_with(w, "guessed", fresh + 100), fresh + 1);
	uint64_t revision = mvcc_revision(w->m);
	assert_int_equal(RUN(w, .type = COMMAND_NUMBERS, .numbers = COMMAND_NUMBERS_COUNT), 0);
	uint64_t first = w->out.result.count;
	assert_int_equal(first, fresh + 2);
	assert_int_equal(mvcc_revision(w->m), revision);
	assert_int_equal(make_with(w, "a", first + 7), first + 7);
	assert_int_equal(make_with(w, "b", first), first);
	/* Others' come after all that were given, and no number is used twice, even if its file is gone. */
	assert_int_equal(make_with(w, "c", 0), first + COMMAND_NUMBERS_COUNT);
	assert_int_equal(make_with(w, "d", first), first + COMMAND_NUMBERS_COUNT + 1);
	assert_int_equal(RUN(w, .type = COMMAND_UNLINK, .key = text("a")), 0);
	assert_int_equal(make_with(w, "a", first + 7), first + COMMAND_NUMBERS_COUNT + 2);
	/* What is there already keeps its own. */
	assert_int_equal(make_with(w, "b", first + 8), first);
	assert_int_equal(make_with(w, "e", first + 8), first + 8);
	world_restart(w);
	assert_int_equal(make_with(w, "f", first + 8), first + COMMAND_NUMBERS_COUNT + 3);
	assert_int_equal(make_with(w, "g", first + 9), first + 9);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_gets_the_number_that_its_maker_was_given, setup, teardown),
		STORY(a_write_makes_a_file_only_when_asked_to),
		STORY(of_two_exclusive_creations_one_wins),
		STORY(writers_of_different_ranges_both_survive),
		STORY(ranges_are_laid_over_in_order),
		STORY(appends_land_at_the_end_as_it_is),
		STORY(truncation_comes_first_and_extension_last),
		STORY(nothing_to_publish_makes_no_revision),
		STORY(a_write_by_number_follows_a_rename_and_notices_a_deletion),
		STORY(set_id_bits_do_not_survive_a_write_by_a_user),
		STORY(attributes_travel_with_the_content),
		STORY(a_file_too_large_for_any_store_is_refused),
		STORY(any_edits_leave_the_same_bytes_as_in_memory_and_old_versions_as_they_were),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
