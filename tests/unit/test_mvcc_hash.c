/* The hash of all that was put: equal for equal histories, whatever each store has compacted; different for all others. */
#include "test_mvcc.h"

struct pair {
	struct fixture a;
	struct fixture b;
};

static void make(struct fixture *f)
{
	const char *tmp = getenv("TMPDIR");
	snprintf(f->dir, sizeof f->dir, "%s/test_mvcc_hash.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	store_start(f);
}

static int pair_setup(void **state)
{
	struct pair *p = calloc(1, sizeof *p);
	make(&p->a);
	make(&p->b);
	*state = p;
	return 0;
}

static int pair_teardown(void **state)
{
	struct pair *p = *state;
	mvcc_close(p->a.m);
	mvcc_close(p->b.m);
	store_remove(&p->a);
	store_remove(&p->b);
	free(p);
	return 0;
}

static uint64_t hash_now(struct fixture *f)
{
	struct mvcc_hash h = {0};
	mvcc_hash_now(f->m, &h);
	assert_int_equal(h.index, f->index);
	assert_int_equal(h.revision, mvcc_revision(f->m));
	return h.hash;
}

static void put_all(struct fixture *f)
{
	static const uint8_t block[MVCC_BLOCK_BYTES] = {1, 2, 3};
	const struct stage_id id = {1, 2, 3}, later = {1, 2, 4};
	put_dir(f, "d");
	put_file(f, "d/f", "content");
	touch_dir(f, "d", 3);
	begin(f);
	mvcc_put_block(f->m, 77, 3, (struct span){block, sizeof block});
	mvcc_put_meta(f->m, text("session/1"), text("seen"));
	mvcc_stage_put(f->m, &id, 0, text("chunk"));
	put(f, "d/g", S_IFREG | 0600, "g", 1);
	end(f);
	begin(f);
	mvcc_stage_drop(f->m, &later);
	end(f);
	delete_key(f, "d/g");
}

static void equal_histories_have_equal_hashes_and_others_not(void **state)
{
	struct pair *p = *state;
	assert_true(hash_now(&p->a) == hash_now(&p->b));
	put_all(&p->a);
	put_all(&p->b);
	assert_true(hash_now(&p->a) == hash_now(&p->b));
	put_file(&p->a, "x", "1");
	put_file(&p->b, "x", "2");
	assert_true(hash_now(&p->a) != hash_now(&p->b));
	/* and never again, though they now hold the same */
	put_file(&p->a, "x", "3");
	put_file(&p->b, "x", "3");
	assert_true(hash_now(&p->a) != hash_now(&p->b));
}

/* Each of these changes it, and each to something else. */
static void every_kind_of_change_counts(void **state)
{
	struct pair *p = *state;
	struct fixture *f = &p->a;
	const struct stage_id id = {1, 2, 3}, later = {1, 2, 4};
	uint64_t seen[10];
	size_t count = 0;
	seen[count++] = hash_now(f);
	put_file(f, "k", "");
	seen[count++] = hash_now(f);
	delete_key(f, "k");
	seen[count++] = hash_now(f);
	begin(f);
	mvcc_put_block(f->m, 5, 0, text("x"));
	end(f);
	seen[count++] = hash_now(f);
	begin(f);
	mvcc_put_block(f->m, 5, 1, text("x"));
	end(f);
	seen[count++] = hash_now(f);
	begin(f);
	mvcc_put_meta(f->m, text("m"), text("x"));
	end(f);
	seen[count++] = hash_now(f);
	begin(f);
	mvcc_stage_put(f->m, &id, 0, text("x"));
	end(f);
	seen[count++] = hash_now(f);
	begin(f);
	mvcc_stage_drop(f->m, &later);
	end(f);
	seen[count++] = hash_now(f);
	begin(f);
	mvcc_compact(f->m, 2);
	end(f);
	seen[count++] = hash_now(f);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	/* an entry that puts nothing does not */
	begin(f);
	end(f);
	assert_true(hash_now(f) == seen[count - 1]);
}

static void a_restart_and_compaction_of_one_of_them_change_nothing(void **state)
{
	struct pair *p = *state;
	put_all(&p->a);
	put_all(&p->b);
	for (int side = 0; side < 2; side++) {
		struct fixture *f = side ? &p->b : &p->a;
		begin(f);
		mvcc_compact(f->m, 4);
		end(f);
	}
	store_restart(&p->a); /* which commits, and so lets it compact; the other one keeps all in its buffer */
	p->a.now = p->b.now;
	put_all(&p->a);
	put_all(&p->b);
	assert_true(hash_now(&p->a) == hash_now(&p->b));
}

static void hashes_of_recent_entries_are_remembered(void **state)
{
	struct pair *p = *state;
	struct fixture *f = &p->a;
	uint64_t hashes[2100], got;
	for (uint64_t i = 1; i < 2100; i++) {
		put_file(f, "k", "x");
		hashes[i] = hash_now(f);
	}
	for (uint64_t i = 1; i < 2100; i++) {
		bool known = i > 2099 - 1024 || i % MVCC_HASH_STEP == 0;
		assert_int_equal(mvcc_hash_at(f->m, i, &got), known ? 0 : -ENOENT);
		if (known)
			assert_true(got == hashes[i]);
	}
	assert_int_equal(mvcc_hash_at(f->m, 2100, &got), -ENOENT);
	assert_int_equal(mvcc_hash_at(f->m, 0, &got), -ENOENT);
	store_restart(f);
	assert_int_equal(mvcc_hash_at(f->m, 2099, &got), 0);
	assert_true(got == hashes[2099]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(equal_histories_have_equal_hashes_and_others_not, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(every_kind_of_change_counts, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(a_restart_and_compaction_of_one_of_them_change_nothing, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(hashes_of_recent_entries_are_remembered, pair_setup, pair_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
