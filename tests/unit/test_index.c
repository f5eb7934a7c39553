#include "test_mvcc.h"

#include "store/mvcc/index.h"

#include <malloc.h>

static uint64_t dice = 88172645463325252u;

static uint64_t roll(void)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice;
}

static void add(struct index *x, const char *key, uint64_t main, uint64_t ino)
{
	index_put(x, text(key), (struct mark){main, 0}, &(struct index_put){ino, 10, S_IFREG | 0644});
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Puts the keys in the order given, then walks the index and expects them sorted. */
static void check_order(char **keys, size_t count)
{
	struct index x = {0};
	for (size_t i = 0; i < count; i++)
		add(&x, keys[i], i + 1, i + 2);
	qsort(keys, count, sizeof *keys, by_bytes);
	struct index_cursor c = index_seek(&x, text(""));
	for (size_t i = 0; i < count; i++, index_next(&c)) {
		struct index_node *n = index_at(&c);
		assert_non_null(n);
		assert_int_equal(key_compare(index_node_key(n), text(keys[i])), 0);
		assert_ptr_equal(index_find(&x, text(keys[i])), n);
		assert_ptr_equal(inodes_find(&x.inodes, n->ino), n);
	}
	assert_null(index_at(&c));
	assert_null(index_find(&x, text("k")));
	assert_null(index_find(&x, text("zzz")));
	assert_int_equal(x.live, count);
	assert_int_equal(x.live_bytes, count * 10);
	index_free(&x);
}

static void keys_come_out_in_byte_order_however_they_went_in(void **state)
{
	enum { COUNT = 30000 };
	char **keys = calloc(COUNT, sizeof *keys);
	(void)state;
	for (int order = 0; order < 4; order++) {
		for (size_t i = 0; i < COUNT; i++) {
			size_t n = order == 0 ? i : order == 1 ? COUNT - i : order == 2 ? (i % 7) * COUNT + i : (i * 7919) % COUNT;
			keys[i] = malloc(48);
			snprintf(keys[i], 48, "k%.*s%010zu", (int)(n % 9), "//!-.a0zZ", n);
		}
		check_order(keys, COUNT);
		for (size_t i = 0; i < COUNT; i++)
			free(keys[i]);
	}
	free(keys);
}

static void a_seek_forward_lands_where_a_seek_does(void **state)
{
	struct index x = {0};
	char key[32];
	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof key, "%08llu", (unsigned long long)(roll() % 100000) * 2);
		if (!index_find(&x, text(key)))
			add(&x, key, 1, (uint64_t)i + 2);
	}
	for (int round = 0; round < 200; round++) {
		struct index_cursor c = index_seek(&x, text(""));
		for (uint64_t at = roll() % 50; at < 200000; at += 1 + roll() % 20000) {
			snprintf(key, sizeof key, "%08llu", (unsigned long long)at);
			index_seek_forward(&x, &c, text(key));
			struct index_cursor direct = index_seek(&x, text(key));
			assert_ptr_equal(index_at(&c), index_at(&direct));
		}
	}
	index_free(&x);
}

static void a_revision_is_found_at_or_before_the_bound(void **state)
{
	struct index x = {0};
	struct index_view v;
	(void)state;
	add(&x, "k", 10, 5);
	index_put(&x, text("k"), (struct mark){20, MARK_TOMBSTONE | 1}, &(struct index_put){0});
	add(&x, "k", 30, 6);
	index_put(&x, text("k"), (struct mark){31, MARK_TOUCH}, &(struct index_put){6, 10, S_IFREG});
	const struct index_node *n = index_find(&x, text("k"));
	assert_false(index_view_at(n, 9, &v));
	assert_true(index_view_at(n, 10, &v));
	assert_int_equal(v.mark.main, 10);
	assert_false(v.known); /* the node tells of inode 6 by now */
	assert_true(index_view_at(n, 19, &v));
	assert_false(index_view_at(n, 20, &v));
	assert_false(index_view_at(n, 29, &v));
	assert_true(index_view_at(n, 30, &v));
	assert_true(v.known);
	assert_int_equal(v.ino, 6);
	assert_true(index_view_at(n, UINT64_MAX, &v));
	assert_int_equal(v.mark.main, 31);
	index_free(&x);
}

static void inode_numbers_follow_renames_exchanges_and_deletions(void **state)
{
	struct index x = {0};
	(void)state;
	add(&x, "a", 1, 101);
	add(&x, "b", 2, 102);
	/* a rename: the new name first, then the tombstone */
	add(&x, "c", 3, 101);
	index_put(&x, text("a"), (struct mark){3, MARK_TOMBSTONE | 1}, &(struct index_put){0});
	assert_ptr_equal(inodes_find(&x.inodes, 101), index_find(&x, text("c")));
	/* an exchange */
	add(&x, "b", 4, 101);
	add(&x, "c", 4, 102);
	assert_ptr_equal(inodes_find(&x.inodes, 101), index_find(&x, text("b")));
	assert_ptr_equal(inodes_find(&x.inodes, 102), index_find(&x, text("c")));
	index_put(&x, text("b"), (struct mark){5, MARK_TOMBSTONE}, &(struct index_put){0});
	assert_null(inodes_find(&x.inodes, 101));
	assert_int_equal(x.live, 1);
	assert_int_equal(x.live_bytes, 10);
	assert_int_equal(x.inodes.count, 1);
	index_free(&x);
}

static void the_inode_table_agrees_with_a_plain_list_under_random_use(void **state)
{
	enum { KEYS = 500 };
	struct index x = {0};
	uint64_t ino_of[KEYS] = {0};
	uint64_t next = 2;
	char key[16];
	(void)state;
	for (uint64_t rev = 1; rev <= 20000; rev++) {
		size_t k = roll() % KEYS;
		snprintf(key, sizeof key, "%zu", k);
		if (ino_of[k]) {
			index_put(&x, text(key), (struct mark){rev, MARK_TOMBSTONE}, &(struct index_put){0});
			assert_null(inodes_find(&x.inodes, ino_of[k]));
			ino_of[k] = 0;
		} else {
			ino_of[k] = next++;
			add(&x, key, rev, ino_of[k]);
		}
	}
	for (size_t k = 0; k < KEYS; k++) {
		snprintf(key, sizeof key, "%zu", k);
		if (ino_of[k])
			assert_ptr_equal(inodes_find(&x.inodes, ino_of[k]), index_find(&x, text(key)));
	}
	index_free(&x);
}

static void bury(struct index *x, const char *key, uint64_t main)
{
	index_put(x, text(key), (struct mark){main, MARK_TOMBSTONE}, &(struct index_put){0});
}

static void marks_are_forgotten_oldest_first_and_the_list_shrinks(void **state)
{
	struct index x = {0};
	struct index_view v;
	struct mark one;
	size_t count;
	(void)state;
	for (uint64_t main = 1; main <= 1000; main++)
		add(&x, "k", main, 5);
	struct index_node *n = index_find(&x, text("k"));
	for (uint64_t main = 1; main <= 900; main++) {
		index_forget(&x, n);
		assert_int_equal(index_marks(n, &one, &count)[0].main, main + 1);
		assert_int_equal(count, 1000 - main);
	}
	assert_true(n->many->capacity <= 200);
	assert_false(index_view_at(n, 900, &v));
	assert_true(index_view_at(n, 901, &v));
	/* growing goes on from there */
	for (uint64_t main = 1001; main <= 1200; main++)
		add(&x, "k", main, 5);
	assert_true(index_view_at(n, 1100, &v));
	assert_int_equal(v.mark.main, 1100);
	while (index_marks(n, &one, &count), count > 1)
		index_forget(&x, n);
	assert_false(n->bits & NODE_MANY);
	assert_int_equal(index_marks(n, &one, &count)[0].main, 1200);
	assert_int_equal(x.live, 1);
	index_free(&x);
}

/* One key of the plain model: how many marks it has, and whether the last one is a tombstone. */
struct plain {
	char key[24];
	unsigned marks;
	bool live;
};

static int plain_order(const void *a, const void *b)
{
	return strcmp(((const struct plain *)a)->key, ((const struct plain *)b)->key);
}

static void check_plain(const struct index *x, const struct plain *plain, size_t keys)
{
	struct index_cursor c = index_seek(x, text(""));
	uint64_t live = 0;
	for (size_t k = 0; k < keys; k++) {
		struct index_node *n = index_find(x, text(plain[k].key));
		struct mark one;
		size_t count;
		live += plain[k].live;
		if (plain[k].marks == 0) {
			assert_null(n);
			continue;
		}
		assert_non_null(n);
		index_marks(n, &one, &count);
		assert_int_equal(count, plain[k].marks);
		assert_ptr_equal(index_at(&c), n);
		index_next(&c);
	}
	assert_null(index_at(&c));
	assert_int_equal(x->live, live);
	assert_int_equal(x->inodes.count, live);
}

static void step_plain(struct index *x, struct plain *p, uint64_t main, bool shrink)
{
	if (p->marks > 0 && !p->live && shrink) {
		index_forget(x, index_find(x, text(p->key)));
		p->marks--;
	} else if (p->live && shrink) {
		bury(x, p->key, main);
		p->marks++;
		p->live = false;
	} else if (!shrink) {
		add(x, p->key, main, main);
		p->marks++;
		p->live = true;
	}
}

static void keys_come_and_go_at_random_as_in_a_plain_list(void **state)
{
	enum { KEYS = 9000, ROUNDS = 12, STEPS = 25000 };
	struct index x = {0};
	struct plain *plain = calloc(KEYS, sizeof *plain);
	uint64_t main = 0;
	(void)state;
	for (size_t k = 0; k < KEYS; k++)
		snprintf(plain[k].key, sizeof plain[k].key, "%zu/%zu", k % 97, k);
	qsort(plain, KEYS, sizeof *plain, plain_order);
	for (int round = 0; round < ROUNDS; round++) {
		/* Growing and shrinking take turns, and every third round works on a narrow stretch of keys. */
		size_t from = round % 3 == 2 ? roll() % (KEYS - 600) : 0;
		size_t span = round % 3 == 2 ? 600 : KEYS;
		for (int step = 0; step < STEPS; step++)
			step_plain(&x, &plain[from + roll() % span], ++main, (roll() % 8 < 6) == (round % 2));
		check_plain(&x, plain, KEYS);
	}
	for (size_t k = 0; k < KEYS; k++) {
		if (plain[k].live)
			step_plain(&x, &plain[k], ++main, true);
		while (plain[k].marks > 0)
			step_plain(&x, &plain[k], ++main, true);
	}
	check_plain(&x, plain, KEYS);
	assert_null(x.root);
	add(&x, "again", ++main, 7);
	assert_non_null(index_find(&x, text("again")));
	index_free(&x);
	free(plain);
}

/* Puts the keys, forgets them in one of several orders, and expects an empty tree each time. */
static void keys_that_go_in_order_leave_nothing(void **state)
{
	enum { KEYS = 20000 };
	struct index x = {0};
	char key[24];
	(void)state;
	for (int order = 0; order < 3; order++) {
		for (uint64_t k = 0; k < KEYS; k++) {
			snprintf(key, sizeof key, "%08llu", (unsigned long long)k);
			bury(&x, key, 1);
		}
		for (uint64_t i = 0; i < KEYS; i++) {
			uint64_t k = order == 0 ? i : order == 1 ? KEYS - 1 - i : i * 7919 % KEYS;
			snprintf(key, sizeof key, "%08llu", (unsigned long long)k);
			index_forget(&x, index_find(&x, text(key)));
			assert_null(index_find(&x, text(key)));
		}
		assert_null(x.root);
		assert_int_equal(x.height, 0);
	}
	index_free(&x);
}

static void memory_of_keys_that_went_is_used_again(void **state)
{
	struct index x = {0};
	char key[40];
	size_t bytes = 0;
	(void)state;
	for (uint64_t i = 0; i < 400000; i++) {
		snprintf(key, sizeof key, "tmp.%020llu", (unsigned long long)(i * 2654435761u));
		bury(&x, key, i + 1);
		index_forget(&x, index_find(&x, text(key)));
		if (i == 1000)
			bytes = x.nodes.arena.bytes;
	}
	assert_int_equal(x.nodes.arena.bytes, bytes);
	index_free(&x);
}

static void a_key_of_32_bytes_costs_less_than_130(void **state)
{
	enum { COUNT = 200000 };
	struct index x = {0};
	char key[40];
	(void)state;
	struct mallinfo2 before = mallinfo2();
	for (uint64_t i = 0; i < COUNT; i++) {
		snprintf(key, sizeof key, "bench/%026llu", (unsigned long long)((i * 7919) % COUNT));
		assert_int_equal(strlen(key), 32);
		add(&x, key, i + 2, i + 2);
	}
	struct mallinfo2 after = mallinfo2();
	size_t used = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd + x.nodes.arena.bytes;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_in_range(used / COUNT, 60, 129);
#endif
	(void)used;
	index_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_come_out_in_byte_order_however_they_went_in),
		cmocka_unit_test(a_seek_forward_lands_where_a_seek_does),
		cmocka_unit_test(a_revision_is_found_at_or_before_the_bound),
		cmocka_unit_test(inode_numbers_follow_renames_exchanges_and_deletions),
		cmocka_unit_test(the_inode_table_agrees_with_a_plain_list_under_random_use),
		cmocka_unit_test(marks_are_forgotten_oldest_first_and_the_list_shrinks),
		cmocka_unit_test(keys_come_and_go_at_random_as_in_a_plain_list),
		cmocka_unit_test(keys_that_go_in_order_leave_nothing),
		cmocka_unit_test(memory_of_keys_that_went_is_used_again),
		cmocka_unit_test(a_key_of_32_bytes_costs_less_than_130),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
