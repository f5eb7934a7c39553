#include "tests/unit/test_apply_store.h"

static int of_key(struct world *w, uint8_t type, const char *key)
{
	return RUN(w, .type = type, .key = text(key));
}

static int rename_to(struct world *w, const char *from, const char *to)
{
	return rename_flags(w, from, to, 0);
}

static void a_parent_must_be_there_and_be_a_directory(void **state)
{
	struct world *w = *state;
	put(w, "file", "x");
	static const uint8_t makers[] = {COMMAND_MKDIR, COMMAND_MKNOD};
	for (size_t i = 0; i < sizeof(makers); i++) {
		assert_int_equal(of_key(w, makers[i], "no/child"), -ENOENT);
		assert_int_equal(of_key(w, makers[i], "file/child"), -ENOTDIR);
		assert_int_equal(of_key(w, makers[i], "file/deep/child"), -ENOTDIR);
	}
	static const uint8_t removers[] = {COMMAND_RMDIR, COMMAND_UNLINK, COMMAND_DELETE, COMMAND_SETATTR};
	for (size_t i = 0; i < sizeof(removers); i++) {
		assert_int_equal(of_key(w, removers[i], "no"), -ENOENT);
		assert_int_equal(of_key(w, removers[i], "no/child"), -ENOENT);
		assert_int_equal(of_key(w, removers[i], "file/child"), -ENOTDIR);
	}
	assert_int_equal(w->out.result.attr.ino, 0);
}

static void what_exists_is_not_made_again(void **state)
{
	struct world *w = *state;
	make_dir(w, "d");
	put(w, "f", "x");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(make_dir(w, "d"), -EEXIST);
	assert_int_equal(make_dir(w, "f"), -EEXIST);
	assert_int_equal(of_key(w, COMMAND_MKNOD, "d"), -EEXIST);
	assert_int_equal(RUN(w, .type = COMMAND_SYMLINK, .key = text("f"), .key2 = text("t")), -EEXIST);
	assert_int_equal(w->out.result.revision, before);
	assert_int_equal(mvcc_revision(w->m), before);
}

static void a_new_directory_counts_in_its_parent(void **state)
{
	struct world *w = *state;
	w->uid = 5;
	w->gid = 6;
	assert_int_equal(RUN(w, .type = COMMAND_MKDIR, .key = text("d"), .mode = 0750, .time_ns = 100 * SECOND), 0);
	struct record d = stat_of(w, "d");
	struct record root = stat_of(w, "");
	assert_int_equal(d.mode, S_IFDIR | 0750);
	assert_int_equal(d.nlink, 2);
	assert_int_equal(d.uid, 5);
	assert_int_equal(d.gid, 6);
	assert_int_equal(d.version, 1);
	assert_int_equal(d.created.main, mvcc_revision(w->m));
	assert_int_equal(d.modified.sub, d.stored.sub);
	assert_int_equal(d.mtime_ns, 100 * SECOND);
	assert_int_equal(w->out.result.attr.ino, d.ino);
	assert_int_equal(root.nlink, 3);
	assert_int_equal(root.mtime_ns, 100 * SECOND);
	assert_int_equal(root.flags, RECORD_TOUCH);
	assert_int_equal(root.stored.main, d.stored.main);
	assert_int_equal(of_key(w, COMMAND_RMDIR, "d"), 0);
	assert_int_equal(stat_of(w, "").nlink, 2);
}

static void a_touched_directory_keeps_its_version(void **state)
{
	struct world *w = *state;
	make_dir(w, "d");
	struct record before = stat_of(w, "d");
	put(w, "d/f", "x");
	struct record after = stat_of(w, "d");
	assert_int_equal(after.version, before.version);
	assert_int_equal(after.modified.main, before.modified.main);
	assert_true(after.mtime_ns > before.mtime_ns);
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("d"), .set_mask = SET_MODE, .mode = 0700), 0);
	after = stat_of(w, "d");
	assert_int_equal(after.flags, RECORD_ATTRIBUTES);
	assert_int_equal(after.version, before.version + 1);
}

static void names_in_a_sticky_directory_are_for_their_owners(void **state)
{
	struct world *w = *state;
	make_dir(w, "d");
	make_dir(w, "e");
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("d"), .set_mask = SET_MODE | SET_UID, .mode = 01777, .set_uid = 5), 0);
	w->uid = 6;
	put(w, "d/f", "x");
	put(w, "e/f", "x");
	make_dir(w, "d/sub");
	w->uid = 7;
	put(w, "d/mine", "x");
	put(w, "e/mine", "x");
	assert_int_equal(of_key(w, COMMAND_UNLINK, "d/f"), -EPERM);
	assert_int_equal(of_key(w, COMMAND_UNLINK, "d/none"), -ENOENT);
	assert_int_equal(of_key(w, COMMAND_RMDIR, "d/sub"), -EPERM);
	assert_int_equal(rename_to(w, "d/f", "d/g"), -EPERM);
	assert_int_equal(rename_to(w, "d/f", "e/g"), -EPERM);
	assert_int_equal(rename_to(w, "d/mine", "d/f"), -EPERM);
	assert_int_equal(rename_to(w, "e/mine", "d/f"), -EPERM);
	assert_int_equal(rename_flags(w, "d/mine", "d/f", RENAME_EXCHANGE), -EPERM);
	assert_int_equal(rename_to(w, "e/f", "d/mine"), 0);
	assert_int_equal(of_key(w, COMMAND_UNLINK, "e/mine"), 0);
	w->uid = 6;
	assert_int_equal(of_key(w, COMMAND_UNLINK, "d/f"), 0);
	w->uid = 5;
	assert_int_equal(of_key(w, COMMAND_UNLINK, "d/mine"), 0);
	w->uid = 0;
	assert_int_equal(of_key(w, COMMAND_RMDIR, "d/sub"), 0);
}

static void children_of_a_setgid_directory_inherit_its_group(void **state)
{
	struct world *w = *state;
	w->gid = 30;
	assert_int_equal(RUN(w, .type = COMMAND_MKDIR, .key = text("d"), .mode = 02775), 0);
	w->gid = 40;
	make_dir(w, "d/sub");
	of_key(w, COMMAND_MKNOD, "d/f");
	assert_int_equal(stat_of(w, "d/sub").gid, 30);
	assert_int_equal(stat_of(w, "d/sub").mode, S_IFDIR | 02755);
	assert_int_equal(stat_of(w, "d/f").gid, 30);
	assert_int_equal(stat_of(w, "d/f").mode & S_ISGID, 0);
}

static void times_never_run_backwards(void **state)
{
	struct world *w = *state;
	RUN(w, .type = COMMAND_MKDIR, .key = text("a"), .time_ns = 50 * SECOND);
	RUN(w, .type = COMMAND_MKDIR, .key = text("b"), .time_ns = 10 * SECOND);
	RUN(w, .type = COMMAND_MKDIR, .key = text("c"), .time_ns = 50 * SECOND);
	assert_int_equal(stat_of(w, "b").mtime_ns, 50 * SECOND + 1);
	assert_int_equal(stat_of(w, "c").mtime_ns, 50 * SECOND + 2);
	RUN(w, .type = COMMAND_RMDIR, .key = text("none"), .time_ns = 90 * SECOND);
	RUN(w, .type = COMMAND_MKDIR, .key = text("d"), .time_ns = 60 * SECOND);
	assert_int_equal(stat_of(w, "d").mtime_ns, 60 * SECOND);
}

static void directories_and_files_are_removed_each_by_its_own_call(void **state)
{
	struct world *w = *state;
	make_dir(w, "d");
	put(w, "d/f", "x");
	assert_int_equal(of_key(w, COMMAND_RMDIR, "d/f"), -ENOTDIR);
	assert_int_equal(of_key(w, COMMAND_UNLINK, "d"), -EISDIR);
	assert_int_equal(of_key(w, COMMAND_RMDIR, "d"), -ENOTEMPTY);
	assert_int_equal(of_key(w, COMMAND_DELETE, "d"), -ENOTEMPTY);
	assert_int_equal(of_key(w, COMMAND_UNLINK, "d/f"), 0);
	assert_false(is_there(w, "d/f"));
	assert_int_equal(of_key(w, COMMAND_RMDIR, "d"), 0);
	assert_false(is_there(w, "d"));
}

static void links_fifos_and_devices_are_kept(void **state)
{
	struct world *w = *state;
	struct record r = {0};
	assert_int_equal(RUN(w, .type = COMMAND_SYMLINK, .key = text("l"), .key2 = text("../target")), 0);
	assert_int_equal(mvcc_get(w->m, text("l"), 0, &r), 0);
	assert_int_equal(r.mode, S_IFLNK | 0777);
	assert_int_equal(r.size, 9);
	assert_memory_equal(r.data.data, "../target", 9);
	record_done(&r);
	assert_int_equal(RUN(w, .type = COMMAND_MKNOD, .key = text("c"), .mode = S_IFCHR | 0600, .rdev = 0x501), 0);
	assert_int_equal(stat_of(w, "c").rdev, 0x501);
	assert_int_equal(RUN(w, .type = COMMAND_MKNOD, .key = text("p"), .mode = S_IFIFO | 0600, .rdev = 9), 0);
	assert_int_equal(stat_of(w, "p").rdev, 0);
	assert_int_equal(RUN(w, .type = COMMAND_MKNOD, .key = text("x"), .mode = S_IFDIR), -EPERM);
	assert_int_equal(RUN(w, .type = COMMAND_MKNOD, .key = text("x"), .mode = S_IFLNK), -EINVAL);
	assert_int_equal(write_at(w, "p", 0, 0, "x"), -EINVAL);
}

static void a_renamed_file_keeps_its_number_and_replaces_the_target(void **state)
{
	struct world *w = *state;
	put(w, "a", "new");
	put(w, "b", "old");
	struct record a = stat_of(w, "a");
	assert_int_equal(rename_to(w, "a", "b"), 0);
	struct record b = stat_of(w, "b");
	assert_false(is_there(w, "a"));
	assert_content(w, "b", "new");
	assert_int_equal(b.ino, a.ino);
	assert_int_equal(b.version, 1);
	assert_int_equal(b.created.main, mvcc_revision(w->m));
	assert_int_equal(b.mtime_ns, a.mtime_ns);
	assert_true(b.ctime_ns > a.ctime_ns);
	assert_int_equal(w->out.result.attr.ino, a.ino);
	char key[MVCC_KEY_MAX];
	assert_int_equal(mvcc_key_of(w->m, a.ino, key), 1);
	assert_int_equal(key[0], 'b');
}

static void a_large_file_is_renamed_without_its_blocks(void **state)
{
	struct world *w = *state;
	char *big = malloc(100001);
	size_t size;
	memset(big, 'x', 100000);
	big[100000] = 0;
	put(w, "a", big);
	assert_int_equal(rename_to(w, "a", "b"), 0);
	char *got = content_at(w, "b", 0, &size);
	assert_string_equal(got, big);
	free(got);
	got = content_at(w, "a", mvcc_revision(w->m) - 1, &size);
	assert_string_equal(got, big);
	free(got);
	free(big);
}

static void rename_refuses_as_rename_2_does(void **state)
{
	struct world *w = *state;
	make_dir(w, "d");
	make_dir(w, "d/sub");
	make_dir(w, "e");
	put(w, "f", "x");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(rename_to(w, "none", "x"), -ENOENT);
	assert_int_equal(rename_to(w, "f", "none/x"), -ENOENT);
	assert_int_equal(rename_to(w, "f", "f/x"), -ENOTDIR);
	assert_int_equal(rename_to(w, "f", "d"), -EISDIR);
	assert_int_equal(rename_to(w, "d", "f"), -ENOTDIR);
	assert_int_equal(rename_to(w, "e", "d"), -ENOTEMPTY);
	assert_int_equal(rename_to(w, "d/sub", "d"), -ENOTEMPTY);
	assert_int_equal(rename_to(w, "d", "d/sub/x"), -EINVAL);
	assert_int_equal(rename_to(w, "d", "d/x"), -EINVAL);
	assert_int_equal(rename_flags(w, "f", "d", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(rename_flags(w, "f", "f", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(rename_flags(w, "f", "x", RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(rename_flags(w, "d", "d/sub", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(rename_flags(w, "d/sub", "d", RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(rename_flags(w, "f", "x", RENAME_NOREPLACE | RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(rename_flags(w, "f", "x", 4), -EINVAL);
	assert_int_equal(rename_to(w, "f", "f"), 0);
	assert_int_equal(mvcc_revision(w->m), before);
}

static void a_directory_moves_with_all_below_it_in_one_revision(void **state)
{
	struct world *w = *state;
	make_dir(w, "from");
	make_dir(w, "from/sub");
	make_dir(w, "to");
	make_dir(w, "to/empty");
	put(w, "from/sub/f", "deep");
	put(w, "from-not", "stays");
	struct record f = stat_of(w, "from/sub/f");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(rename_to(w, "from", "to/empty"), 0);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_false(is_there(w, "from"));
	assert_false(is_there(w, "from/sub"));
	assert_false(is_there(w, "from/sub/f"));
	assert_content(w, "to/empty/sub/f", "deep");
	assert_content(w, "from-not", "stays");
	struct record moved = stat_of(w, "to/empty/sub/f");
	assert_int_equal(moved.ino, f.ino);
	assert_int_equal(moved.mtime_ns, f.mtime_ns);
	assert_int_equal(moved.version, 1);
	assert_int_equal(moved.created.main, before + 1);
	assert_int_equal(moved.modified.sub, moved.stored.sub);
	assert_int_equal(stat_of(w, "").nlink, 3);
	assert_int_equal(stat_of(w, "to").nlink, 3);
	assert_int_equal(stat_of(w, "to/empty").nlink, 3);
	size_t size;
	char *then = content_at(w, "from/sub/f", before, &size);
	assert_string_equal(then, "deep");
	free(then);
}

static void exchanged_trees_swap_all_that_is_below(void **state)
{
	struct world *w = *state;
	put(w, "d/a/both", "a-both");
	put(w, "d/a/only-a", "1");
	put(w, "e/b/both", "b-both");
	put(w, "e/b/sub/only-b", "2");
	put(w, "e/file", "file");
	uint64_t ino = stat_of(w, "d/a/both").ino;
	uint64_t other = stat_of(w, "e/b/both").ino;
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(rename_flags(w, "d/a", "e/b", RENAME_EXCHANGE), 0);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_content(w, "e/b/both", "a-both");
	assert_content(w, "e/b/only-a", "1");
	assert_content(w, "d/a/both", "b-both");
	assert_content(w, "d/a/sub/only-b", "2");
	assert_false(is_there(w, "d/a/only-a"));
	assert_false(is_there(w, "e/b/sub"));
	assert_int_equal(stat_of(w, "e/b/both").ino, ino);
	char key[MVCC_KEY_MAX + 1] = "";
	key[mvcc_key_of(w->m, ino, key)] = 0;
	assert_string_equal(key, "e/b/both");
	key[mvcc_key_of(w->m, other, key)] = 0;
	assert_string_equal(key, "d/a/both");
	assert_int_equal(stat_of(w, "d").nlink, 3);
	assert_int_equal(rename_flags(w, "d/a", "e/file", RENAME_EXCHANGE), 0);
	assert_content(w, "d/a", "file");
	assert_content(w, "e/file/sub/only-b", "2");
	assert_int_equal(stat_of(w, "d").nlink, 2);
	assert_int_equal(stat_of(w, "e").nlink, 4);
}

static void a_move_that_would_make_a_key_too_long_is_refused(void **state)
{
	struct world *w = *state;
	char deep[MVCC_KEY_MAX + 1];
	memset(deep, 'x', sizeof(deep) - 1);
	deep[MVCC_KEY_MAX] = 0;
	memcpy(deep, "d/", 2);
	for (size_t i = 201; i < MVCC_KEY_MAX; i += 200)
		deep[i] = '/';
	assert_int_equal(put(w, deep, "x"), 0);
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(rename_to(w, "d", "dd"), -ENAMETOOLONG);
	assert_int_equal(mvcc_revision(w->m), before);
	assert_int_equal(rename_to(w, "d", "e"), 0);
	deep[0] = 'e';
	assert_content(w, deep, "x");
}

static void a_prefix_deletes_every_key_that_begins_with_it(void **state)
{
	struct world *w = *state;
	put(w, "a/b", "1");
	put(w, "ab/c/d", "2");
	put(w, "abc", "3");
	put(w, "b\xff/x", "4");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(RUN(w, .type = COMMAND_DELETE, .key = text("ab"), .prefix = true), 0);
	assert_int_equal(w->out.result.count, 4);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_content(w, "a/b", "1");
	assert_false(is_there(w, "ab/c"));
	assert_int_equal(stat_of(w, "").nlink, 4);
	assert_int_equal(RUN(w, .type = COMMAND_DELETE, .key = text("ab"), .prefix = true), 0);
	assert_int_equal(w->out.result.count, 0);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_int_equal(RUN(w, .type = COMMAND_DELETE, .key = text("a/"), .prefix = true), 0);
	assert_int_equal(w->out.result.count, 1);
	assert_true(is_there(w, "a"));
	assert_int_equal(RUN(w, .type = COMMAND_DELETE, .key = text("b\xff"), .prefix = true), 0);
	assert_int_equal(w->out.result.count, 2);
	assert_int_equal(RUN(w, .type = COMMAND_DELETE, .prefix = true), 0);
	assert_int_equal(w->out.result.count, 1);
	assert_int_equal(stat_of(w, "").nlink, 2);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_parent_must_be_there_and_be_a_directory),
		STORY(what_exists_is_not_made_again),
		STORY(a_new_directory_counts_in_its_parent),
		STORY(a_touched_directory_keeps_its_version),
		STORY(names_in_a_sticky_directory_are_for_their_owners),
		STORY(children_of_a_setgid_directory_inherit_its_group),
		STORY(times_never_run_backwards),
		STORY(directories_and_files_are_removed_each_by_its_own_call),
		STORY(links_fifos_and_devices_are_kept),
		STORY(a_renamed_file_keeps_its_number_and_replaces_the_target),
		STORY(a_large_file_is_renamed_without_its_blocks),
		STORY(rename_refuses_as_rename_2_does),
		STORY(a_directory_moves_with_all_below_it_in_one_revision),
		STORY(exchanged_trees_swap_all_that_is_below),
		STORY(a_move_that_would_make_a_key_too_long_is_refused),
		STORY(a_prefix_deletes_every_key_that_begins_with_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
