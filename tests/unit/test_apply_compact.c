/* COMPACT, and what the commands do when history is gone. */
#include "test_apply_store.h"

static int put_value(struct world *w, const char *key, const char *value)
{
	return run(w, (struct command){.type = COMMAND_PUT, .key = text(key), .value = text(value)});
}

static int compact(struct world *w, uint64_t revision)
{
	return run(w, (struct command){.type = COMMAND_COMPACT, .revision = revision});
}

static void the_floor_rises_and_makes_no_revision(void **state)
{
	struct world *w = *state;
	assert_int_equal(put_value(w, "k", "one"), 0);
	assert_int_equal(put_value(w, "k", "two"), 0);
	assert_int_equal(put_value(w, "k", "three"), 0);
	assert_int_equal(mvcc_revision(w->m), 4);
	assert_int_equal(compact(w, 3), 0);
	assert_int_equal(w->out.result.revision, 4);
	assert_int_equal(mvcc_compact_revision(w->m), 3);
	struct record r = {0};
	assert_int_equal(mvcc_get(w->m, text("k"), 2, &r), -ENODATA);
	assert_int_equal(mvcc_get(w->m, text("k"), 3, &r), 0);
	assert_memory_equal(r.data.data, "two", 3);
	record_done(&r);
}

static void a_floor_only_rises_and_not_beyond_the_present(void **state)
{
	struct world *w = *state;
	put_value(w, "k", "one");
	put_value(w, "k", "two");
	assert_int_equal(compact(w, 2), 0);
	assert_int_equal(compact(w, 2), -ENODATA);
	assert_int_equal(compact(w, 1), -ENODATA);
	assert_int_equal(compact(w, 4), -ENOENT);
	assert_int_equal(compact(w, UINT64_MAX), -ENOENT);
	assert_int_equal(mvcc_compact_revision(w->m), 2);
	assert_int_equal(compact(w, 3), 0);
	world_restart(w);
	assert_int_equal(mvcc_compact_revision(w->m), 3);
}

static void a_command_without_a_revision_is_malformed(void **state)
{
	struct world *w = *state;
	struct writer bytes = {0};
	struct command c = {.type = COMMAND_COMPACT, .id = {ORIGIN, 1, 1, 1}, .time_ns = 1};
	command_encode(&bytes, &c);
	apply_bytes(w, (struct span){bytes.data, bytes.size});
	assert_int_equal(w->out.result.error, -EBADMSG);
	writer_free(&bytes);
}

/* What is written after everything before was compacted builds on what stands. */
static void files_go_on_from_where_compaction_left_them(void **state)
{
	struct world *w = *state;
	char *large = malloc(100000);
	memset(large, 'a', 100000);
	const struct command_range range = {.offset = 0, .data = {large, 100000}};
	const struct command_range tail = {.data = text("tail")};
	struct command write = {
		.type = COMMAND_WRITE, .key = text("f"), .mode = 0644, .write_flags = WRITE_CREATE, .ranges = &range, .ranges_count = 1};
	assert_int_equal(run_uncut(w, write), 0);
	for (int i = 0; i < 30; i++) {
		memset(large, 'b' + i % 20, 50000);
		assert_int_equal(run_uncut(w, write), 0);
		assert_int_equal(compact(w, mvcc_revision(w->m)), 0);
		assert_int_equal(mvcc_flush(w->m), 0);
	}
	write.ranges = &tail;
	write.write_flags = WRITE_APPEND;
	assert_int_equal(run_uncut(w, write), 0);
	assert_int_equal(compact(w, mvcc_revision(w->m)), 0);
	world_restart(w);
	struct record r = {0};
	char got[100004];
	assert_int_equal(mvcc_get(w->m, text("f"), 0, &r), 0);
	assert_int_equal(r.size, sizeof(got));
	assert_int_equal(mvcc_read(w->m, &r, 0, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, large, 100000);
	assert_memory_equal(got + 100000, "tail", 4);
	record_done(&r);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_floor_rises_and_makes_no_revision, setup, teardown),
		cmocka_unit_test_setup_teardown(a_floor_only_rises_and_not_beyond_the_present, setup, teardown),
		cmocka_unit_test_setup_teardown(a_command_without_a_revision_is_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(files_go_on_from_where_compaction_left_them, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
