#include "tests/unit/test_apply_store.h"

#include <inttypes.h>

/* Events as lines: REV p KEY, REV d KEY, REV r OLD NEW. */
struct told {
	char text[65536];
	size_t size;
	uint32_t count;
};

static void tell(void *ctx, const struct mvcc_event *e)
{
	struct told *t = ctx;
	char kind = e->type == MVCC_EVENT_PUT ? 'p' : e->type == MVCC_EVENT_DELETE ? 'd' : 'r';
	t->count++;
	if (t->size < sizeof(t->text))
		t->size += (size_t)snprintf(t->text + t->size, sizeof(t->text) - t->size, "%" PRIu64 " %c %.*s%s%.*s\n", e->rev.main, kind,
					    (int)e->key.size, (const char *)e->key.data, e->to.size ? " " : "", (int)e->to.size,
					    e->to.size ? (const char *)e->to.data : "");
}

/* All from revision `from` on, in batches of so many records. */
static void assert_events(struct world *w, uint64_t from, uint32_t records_max, const char *expected)
{
	struct told *t = calloc(1, sizeof(*t));
	assert_non_null(t);
	struct rev at = {from, 0}, before;
	do {
		before = at;
		assert_int_equal(mvcc_events(w->m, &at, records_max, tell, t), 0);
		assert_true(at.main > before.main || (at.main == before.main && at.sub >= before.sub));
	} while (at.main != before.main || at.sub != before.sub);
	assert_string_equal(t->text, expected);
	assert_int_equal(at.main, mvcc_revision(w->m) + 1);
	assert_int_equal(at.sub, 0);
	free(t);
}

static void every_kind_of_change_is_told_in_order_and_touches_are_not(void **state)
{
	struct world *w = *state;
	put(w, "d/f", "1");
	put(w, "d/f", "2");
	make_dir(w, "e");
	RUN(w, .type = COMMAND_SETATTR, .key = text("d/f"), .set_mask = SET_MODE, .mode = 0600);
	RUN(w, .type = COMMAND_SYMLINK, .key = text("l"), .key2 = text("d/f"));
	rename_flags(w, "d/f", "e/g", 0);
	rename_flags(w, "l", "e/g", RENAME_EXCHANGE);
	RUN(w, .type = COMMAND_UNLINK, .key = text("l"));
	put(w, "k", "x");
	rename_flags(w, "k", "e/g", 0);
	RUN(w, .type = COMMAND_DELETE, .key = text("e"), .prefix = true);
	static const char all[] = "2 p d\n2 p d/f\n3 p d/f\n4 p e\n5 p d/f\n6 p l\n7 r d/f e/g\n8 p e/g\n8 p l\n9 d l\n10 p k\n11 r k e/g\n"
				  "12 d e\n12 d e/g\n";
	static const uint32_t batches[] = {1, 2, 3, 5, 1000};
	for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++)
		assert_events(w, 1, batches[i], all);
	assert_events(w, 11, 1000, "11 r k e/g\n12 d e\n12 d e/g\n");
	assert_events(w, 13, 1000, "");
}

static void a_renamed_directory_tells_every_key_below_it(void **state)
{
	struct world *w = *state;
	put(w, "a/x/1", "1");
	put(w, "a/y", "1");
	rename_flags(w, "a", "b", 0);
	for (uint32_t records_max = 1; records_max < 12; records_max++)
		assert_events(w, 4, records_max, "4 r a b\n4 r a/x b/x\n4 r a/x/1 b/x/1\n4 r a/y b/y\n");
}

/* The same story is in the buffer, in LMDB, and across both. */
static void what_is_on_disk_and_what_is_not_yet_are_one_story(void **state)
{
	struct world *w = *state;
	char expected[4096];
	size_t size = 0;
	for (uint64_t i = 2; i < 60; i++) {
		assert_int_equal(put(w, "k", "x"), 0);
		size += (size_t)snprintf(expected + size, sizeof(expected) - size, "%" PRIu64 " p k\n", i);
		if (i % 13 == 0)
			assert_int_equal(mvcc_flush(w->m), 0);
	}
	assert_events(w, 1, 7, expected);
	assert_events(w, 1, 1000, expected);
	world_restart(w);
	assert_events(w, 1, 7, expected);
	put(w, "k", "y");
	snprintf(expected + size, sizeof(expected) - size, "60 p k\n");
	assert_events(w, 1, 7, expected);
	assert_events(w, 60, 7, "60 p k\n");
}

static void a_batch_has_whole_revisions(void **state)
{
	struct world *w = *state;
	struct writer pairs = {0};
	struct told t = {.size = 0};
	writer_string(&pairs, "a");
	writer_string(&pairs, "");
	writer_string(&pairs, "b");
	writer_string(&pairs, "");
	/* Three records each: two keys, and the root touched. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(RUN(w, .type = COMMAND_LOAD, .value = {pairs.data, pairs.size}), 0);
		assert_int_equal(RUN(w, .type = COMMAND_DELETE, .key = text("a")), 0);
	}
	writer_free(&pairs);
	struct rev at = {2, 0};
	assert_int_equal(mvcc_events(w->m, &at, 4, tell, &t), 0);
	assert_string_equal(t.text, "2 p a\n2 p b\n");
	assert_int_equal(at.main, 3);
	assert_int_equal(at.sub, 0);
	assert_int_equal(mvcc_events(w->m, &at, 4, tell, &t), 0);
	assert_int_equal(at.main, 4);
	/* One that is larger than a batch comes in parts. */
	at = (struct rev){2, 0};
	assert_int_equal(mvcc_events(w->m, &at, 1, tell, &t), 0);
	assert_int_equal(at.main, 2);
	assert_int_equal(at.sub, 1);
}

static void a_revision_still_to_come_is_waited_for(void **state)
{
	struct world *w = *state;
	struct told t = {.size = 0};
	struct rev at = {5, 0};
	assert_int_equal(mvcc_events(w->m, &at, 10, tell, &t), 0);
	assert_int_equal(at.main, 5);
	for (int i = 0; i < 4; i++)
		put(w, "k", "x");
	assert_int_equal(mvcc_events(w->m, &at, 10, tell, &t), 0);
	assert_int_equal(at.main, 6);
	assert_string_equal(t.text, "5 p k\n");
}

static void thousands_of_keys_in_one_revision_are_all_told_once(void **state)
{
	struct world *w = *state;
	struct writer pairs = {0};
	char key[32];
	for (int i = 0; i < 9000; i++) {
		snprintf(key, sizeof(key), "many/%05d", i);
		writer_string(&pairs, key);
		writer_string(&pairs, "");
	}
	assert_int_equal(RUN(w, .type = COMMAND_LOAD, .value = {pairs.data, pairs.size}), 0);
	writer_free(&pairs);
	struct told *t = calloc(1, sizeof(*t));
	assert_non_null(t);
	for (int disk = 0; disk < 2; disk++) {
		struct rev at = {1, 0};
		t->count = 0;
		for (int calls = 0; calls < 100 && at.main < 3; calls++)
			assert_int_equal(mvcc_events(w->m, &at, 1024, tell, t), 0);
		assert_int_equal(t->count, 9001);
		assert_int_equal(mvcc_flush(w->m), 0);
	}
	free(t);
}

static void what_was_compacted_is_not_told_any_more_and_the_rest_is(void **state)
{
	struct world *w = *state;
	struct told t = {.size = 0};
	for (int i = 0; i < 6; i++)
		put(w, "k", "x");
	RUN(w, .type = COMMAND_UNLINK, .key = text("k"));
	put(w, "k", "y");
	assert_int_equal(RUN(w, .type = COMMAND_COMPACT, .revision = 5), 0);
	for (uint64_t from = 1; from <= 5; from++) {
		struct rev at = {from, 0};
		assert_int_equal(mvcc_events(w->m, &at, 100, tell, &t), -ENODATA);
		assert_int_equal(at.main, from);
	}
	assert_int_equal(t.count, 0);
	assert_events(w, 6, 100, "6 p k\n7 p k\n8 d k\n9 p k\n");
	assert_int_equal(mvcc_flush(w->m), 0);
	assert_events(w, 6, 2, "6 p k\n7 p k\n8 d k\n9 p k\n");
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(every_kind_of_change_is_told_in_order_and_touches_are_not),
		STORY(a_renamed_directory_tells_every_key_below_it),
		STORY(what_is_on_disk_and_what_is_not_yet_are_one_story),
		STORY(a_batch_has_whole_revisions),
		STORY(a_revision_still_to_come_is_waited_for),
		STORY(what_was_compacted_is_not_told_any_more_and_the_rest_is),
		STORY(thousands_of_keys_in_one_revision_are_all_told_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
