#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/node.h"
#include "store/mvcc/mvcc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct nodes t;

static int set_up(void **state)
{
	(void)state;
	nodes_init(&t, MVCC_ROOT_INO);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nodes_done(&t);
	return 0;
}

static struct node *enter(struct node *parent, const char *name, uint64_t ino, mode_t mode)
{
	struct node_target target = {.kind = NODE_LIVE, .ino = ino, .mode = mode, .segment_len = strlen(name)};
	return nodes_enter(&t, parent, name, &target);
}

static void assert_path(const struct node *n, const char *name, const char *expected, uint64_t expected_anchor)
{
	char key[MVCC_KEY_MAX + 1];
	uint64_t anchor;

	assert_int_equal(nodes_path(&t, n, name, key, &anchor), strlen(expected));
	assert_string_equal(key, expected);
	assert_true(anchor == expected_anchor);
}

static void a_key_is_the_chain_of_names(void **state)
{
	(void)state;
	struct node *dir = enter(&t.root, "etc", 2, S_IFDIR);
	struct node *file = enter(dir, "app", 3, S_IFREG);

	assert_path(&t.root, NULL, "", 0);
	assert_path(&t.root, "x", "x", 0);
	assert_path(dir, NULL, "etc", 0);
	assert_path(file, NULL, "etc/app", 0);
	assert_path(dir, "new", "etc/new", 0);
	assert_ptr_equal(nodes_from_id(&t, nodes_id(&t, file)), file);
	assert_int_equal(nodes_id(&t, &t.root), 1);
}

static void revision_names_give_only_their_first_part_to_the_key(void **state)
{
	(void)state;
	struct node *dir = enter(&t.root, "etc", 2, S_IFDIR);
	struct node_target whole = {.kind = NODE_REVISION, .rev = 9, .ino = 2, .mode = S_IFDIR, .segment_len = 0};
	struct node_target one = {.kind = NODE_REVISION, .rev = 9, .ino = 3, .mode = S_IFREG, .segment_len = 3};
	struct node *past = nodes_enter(&t, dir, "@9", &whole);

	assert_path(past, NULL, "etc", 0);
	assert_path(past, "app", "etc/app", 0);
	assert_path(nodes_enter(&t, dir, "app@9", &one), NULL, "etc/app", 0);
	assert_path(nodes_enter(&t, &t.root, "@9", &whole), NULL, "", 0);
}

static void looking_up_twice_gives_one_node_and_another_file_another(void **state)
{
	(void)state;
	struct node *a = enter(&t.root, "a", 2, S_IFREG);

	assert_ptr_equal(enter(&t.root, "a", 2, S_IFREG), a);
	struct node *b = enter(&t.root, "a", 5, S_IFREG);
	assert_ptr_not_equal(a, b);
	assert_false(nodes_bound(&t, a));
	assert_true(nodes_bound(&t, b));
	assert_path(a, NULL, "", 2);
	assert_path(b, NULL, "a", 0);
	nodes_forget(&t, b, 1);
	nodes_forget(&t, a, 2);
}

static void renaming_a_directory_moves_all_below_it(void **state)
{
	(void)state;
	struct node *dir = enter(&t.root, "old", 2, S_IFDIR);
	struct node *sub = enter(dir, "sub", 3, S_IFDIR);
	struct node *file = enter(sub, "f", 4, S_IFREG);
	struct node *other = enter(&t.root, "other", 5, S_IFDIR);

	nodes_rename(&t, dir, &t.root, "old", other, "new", false);
	assert_path(file, NULL, "other/new/sub/f", 0);
	assert_null(nodes_find(&t, &t.root, "old"));
	struct node *found = nodes_find(&t, other, "new");
	assert_ptr_equal(found, dir);
	nodes_put(&t, found);
}

static void what_a_rename_replaces_becomes_loose(void **state)
{
	(void)state;
	struct node *a = enter(&t.root, "a", 2, S_IFREG);
	struct node *b = enter(&t.root, "b", 3, S_IFREG);

	nodes_rename(&t, a, &t.root, "a", &t.root, "b", false);
	assert_path(a, NULL, "b", 0);
	assert_path(b, NULL, "", 3);
}

static void exchanging_swaps_two_names(void **state)
{
	(void)state;
	struct node *dir = enter(&t.root, "d", 4, S_IFDIR);
	struct node *a = enter(&t.root, "a", 2, S_IFREG);
	struct node *b = enter(dir, "b", 3, S_IFREG);

	nodes_rename(&t, a, &t.root, "a", dir, "b", true);
	assert_path(a, NULL, "d/b", 0);
	assert_path(b, NULL, "a", 0);
}

static void a_rename_binds_what_a_lookup_loosened_meanwhile(void **state)
{
	(void)state;
	struct node *a = enter(&t.root, "a", 2, S_IFREG);

	nodes_missing(&t, &t.root, "a");
	assert_false(nodes_bound(&t, a));
	struct node *early = enter(&t.root, "b", 2, S_IFREG);
	nodes_rename(&t, a, &t.root, "a", &t.root, "b", false);
	assert_path(a, NULL, "b", 0);
	assert_false(nodes_bound(&t, early));
}

static void files_below_a_loose_directory_are_found_from_where_it_is(void **state)
{
	(void)state;
	struct node *dir = enter(&t.root, "d", 2, S_IFDIR);
	struct node *file = enter(dir, "f", 3, S_IFREG);

	nodes_missing(&t, &t.root, "d");
	assert_path(file, NULL, "f", 2);
	assert_path(dir, "g", "g", 2);
}

static void an_unlinked_provisional_file_is_cancelled(void **state)
{
	(void)state;
	struct node *a = enter(&t.root, "a", 0, S_IFREG);

	assert_true(node_provisional(a));
	nodes_missing(&t, &t.root, "a");
	assert_true(nodes_bound(&t, a));
	assert_false(a->cancelled);
	nodes_remove(&t, &t.root, "a");
	assert_true(a->cancelled);
	assert_false(nodes_bound(&t, a));
}

static void a_node_lives_while_it_is_looked_up_held_or_has_children(void **state)
{
	(void)state;
	struct node *dir = enter(&t.root, "d", 2, S_IFDIR);
	struct node *file = enter(dir, "f", 3, S_IFREG);

	nodes_hold(&t, file);
	nodes_forget(&t, dir, 1);
	nodes_forget(&t, file, 1);
	assert_path(file, NULL, "d/f", 0);
	struct node *found = nodes_find(&t, &t.root, "d");
	assert_ptr_equal(found, dir);
	nodes_put(&t, found);
	nodes_put(&t, file);
	assert_null(nodes_find(&t, &t.root, "d"));
	assert_int_equal(t.root.refs, 1);
}

static void a_path_longer_than_a_key_is_refused(void **state)
{
	(void)state;
	char name[256], key[MVCC_KEY_MAX + 1];
	uint64_t anchor;
	struct node *n = &t.root;

	memset(name, 'x', 255);
	name[255] = '\0';
	for (uint64_t i = 0; i < 15; i++)
		n = enter(n, name, 10 + i, S_IFDIR);
	/* 15 * 256 and 255 bytes are 4095. */
	assert_int_equal(nodes_path(&t, n, name, key, &anchor), MVCC_KEY_MAX);
	n = enter(n, "y", 90, S_IFDIR);
	assert_int_equal(nodes_path(&t, n, name, key, &anchor), -ENAMETOOLONG);
}

static void thousands_of_names_are_found_again(void **state)
{
	(void)state;
	char name[32];

	for (uint64_t i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d", (int)i);
		enter(&t.root, name, i + 2, S_IFREG);
	}
	for (uint64_t i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d", (int)i);
		struct node *n = nodes_find(&t, &t.root, name);
		assert_non_null(n);
		assert_true(n->ino == i + 2);
		nodes_put(&t, n);
	}
}

static struct node *look_up(const char *name, uint64_t ino, uint64_t rev, bool again)
{
	struct node_target target = {.kind = NODE_LIVE, .ino = ino, .mode = S_IFREG, .segment_len = strlen(name)};
	struct record r = {.ino = ino, .mode = S_IFREG, .key = {name, strlen(name)}, .stored.main = rev};
	return nodes_enter_found(&t, &t.root, name, &target, &r, again);
}

/* 0: nothing. */
static uint64_t found(struct node *n)
{
	size_t size = 0;
	uint64_t rev = 0;
	char *key = nodes_found(&t, n, &size, &rev);

	if (key)
		assert_true(size == strlen(n->name) && memcmp(key, n->name, size) == 0);
	free(key);
	return rev;
}

static void a_second_passes(struct node *n)
{
	n->found.again_ns -= INT64_C(1100000000);
}

static void what_is_looked_up_again_after_estale_gets_a_node_that_the_kernel_never_kept(void **state)
{
	(void)state;
	struct node *kept = look_up("f", 2, 5, false);

	assert_false(kept->fleeting);
	assert_true(found(kept) == 0);
	struct node *n = look_up("f", 2, 5, true);
	assert_ptr_not_equal(n, kept);
	assert_true(n->fleeting);
	assert_true(found(n) == 5);
	assert_true(nodes_bound(&t, n));
	assert_false(nodes_bound(&t, kept));
	assert_false(kept->fleeting);
}

static void who_looks_it_up_within_a_second_shares_the_fleeting_node(void **state)
{
	(void)state;
	struct node *n = look_up("f", 2, 5, true);

	assert_ptr_equal(look_up("f", 2, 7, false), n);
	assert_true(n->fleeting);
	assert_true(found(n) == 7);
	/* One that was overtaken by the one before. */
	assert_ptr_equal(look_up("f", 2, 6, true), n);
	assert_true(found(n) == 7);
	/* Another file. */
	struct node *other = look_up("f", 3, 8, false);
	assert_ptr_not_equal(other, n);
	assert_false(other->fleeting);
	assert_true(found(n) == 7);
}

static void after_a_second_the_name_gets_a_node_that_stays_and_what_was_found_is_good_for_those_who_are_under_way(void **state)
{
	(void)state;
	struct node *n = look_up("f", 2, 5, true);

	a_second_passes(n);
	struct node *stays = look_up("f", 2, 5, false);
	assert_ptr_not_equal(stays, n);
	assert_false(stays->fleeting);
	assert_true(nodes_bound(&t, stays));
	assert_true(found(stays) == 0);
	assert_true(n->fleeting);
	assert_true(found(n) == 5);
}

static void a_fleeting_node_that_is_open_stays_itself_and_promises_nothing_any_more(void **state)
{
	(void)state;
	struct node *n = look_up("f", 2, 5, true);

	nodes_hold(&t, n);
	a_second_passes(n);
	assert_ptr_equal(look_up("f", 2, 6, false), n);
	assert_false(n->fleeting);
	assert_true(found(n) == 0);
	nodes_put(&t, n);
}

static void who_has_a_file_open_keeps_the_node_of_its_name(void **state)
{
	(void)state;
	struct node *open = look_up("f", 2, 5, false);

	nodes_hold(&t, open);
	struct node *n = look_up("f", 2, 6, true);
	assert_ptr_not_equal(n, open);
	assert_true(n->fleeting);
	assert_true(found(n) == 6);
	assert_false(nodes_bound(&t, n));
	assert_path(n, NULL, "", 2);
	assert_true(nodes_bound(&t, open));
	assert_false(open->fleeting);
	assert_ptr_equal(look_up("f", 2, 6, false), open);
	nodes_put(&t, open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_is_the_chain_of_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(revision_names_give_only_their_first_part_to_the_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(looking_up_twice_gives_one_node_and_another_file_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(renaming_a_directory_moves_all_below_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_rename_replaces_becomes_loose, set_up, tear_down),
		cmocka_unit_test_setup_teardown(exchanging_swaps_two_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_rename_binds_what_a_lookup_loosened_meanwhile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(files_below_a_loose_directory_are_found_from_where_it_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unlinked_provisional_file_is_cancelled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_node_lives_while_it_is_looked_up_held_or_has_children, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_path_longer_than_a_key_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_looked_up_again_after_estale_gets_a_node_that_the_kernel_never_kept, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(who_looks_it_up_within_a_second_shares_the_fleeting_node, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			after_a_second_the_name_gets_a_node_that_stays_and_what_was_found_is_good_for_those_who_are_under_way, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_fleeting_node_that_is_open_stays_itself_and_promises_nothing_any_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_has_a_file_open_keeps_the_node_of_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(thousands_of_names_are_found_again, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
