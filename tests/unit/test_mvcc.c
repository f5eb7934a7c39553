/* What is written can be read: now, at every revision, before and after a commit, and after a restart. */
#include "test_mvcc.h"

static void a_new_store_has_a_root_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct record root = {0};
	char key[MVCC_KEY_MAX];
	assert_int_equal(mvcc_revision(f->m), 1);
	assert_int_equal(mvcc_applied(f->m), 0);
	assert_int_equal(mvcc_compact_revision(f->m), 0);
	assert_int_equal(mvcc_get(f->m, text(""), 0, &root), 0);
	assert_int_equal(root.ino, MVCC_ROOT_INO);
	assert_int_equal(root.mode, S_IFDIR | 0755);
	assert_int_equal(root.nlink, 2);
	assert_int_equal(root.version, 1);
	assert_int_equal(root.stored.main, 1);
	assert_int_equal(mvcc_key_of(f->m, MVCC_ROOT_INO, key), 0);
	assert_string_equal(names(f, "", 0), "");
	begin(f);
	assert_int_equal(mvcc_next_ino(f->m), 2);
	assert_int_equal(mvcc_next_revision(f->m), 2);
	assert_int_equal(end(f), 1);
	assert_int_equal(mvcc_applied(f->m), 1);
	record_done(&root);
}

/* The same questions from the buffer, from LMDB, and after a restart. */
static void each_where(struct fixture *f, void (*check)(struct fixture *f))
{
	check(f);
	assert_int_equal(mvcc_flush(f->m), 0);
	check(f);
	store_restart(f);
	check(f);
}

static void check_revisions(struct fixture *f)
{
	assert_string_equal(content(f, "k", 0), "three");
	assert_string_equal(content(f, "k", 1), "ENOENT");
	assert_string_equal(content(f, "k", 2), "one");
	assert_string_equal(content(f, "k", 3), "two");
	assert_string_equal(content(f, "k", 4), "two"); /* another key's revision */
	assert_string_equal(content(f, "k", 5), "ENOENT");
	assert_string_equal(content(f, "k", 6), "three");
	assert_string_equal(content(f, "k", 7), "ENOENT"); /* still to come */
	assert_string_equal(content(f, "other", 0), "x");
}

static void every_revision_of_a_key_can_be_read_and_a_tombstone_hides_it(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(put_file(f, "k", "one"), 2);
	assert_int_equal(put_file(f, "k", "two"), 3);
	assert_int_equal(put_file(f, "other", "x"), 4);
	assert_int_equal(delete_key(f, "k"), 5);
	assert_string_equal(content(f, "k", 0), "ENOENT");
	assert_int_equal(put_file(f, "k", "three"), 6);
	each_where(f, check_revisions);
}

static void check_record(struct fixture *f)
{
	struct record r = {0};
	assert_int_equal(mvcc_get(f->m, text("dir/file"), 0, &r), 0);
	assert_int_equal(r.ino, 9);
	assert_int_equal(r.mode, S_IFREG | 0640);
	assert_int_equal(r.uid, 1);
	assert_int_equal(r.gid, 2);
	assert_int_equal(r.nlink, 3);
	assert_int_equal(r.rdev, 4);
	assert_int_equal(r.version, 5);
	assert_int_equal(r.atime_ns, -6);
	assert_int_equal(r.mtime_ns, 7);
	assert_int_equal(r.ctime_ns, 8);
	assert_int_equal(r.size, 3);
	assert_int_equal(r.stored.main, 2);
	assert_int_equal(r.stored.sub, 1);
	assert_int_equal(r.modified.main, 2);
	assert_int_equal(r.modified.sub, 1);
	assert_int_equal(r.created.main, 1);
	assert_int_equal(r.flags, 0);
	assert_int_equal(r.key.size, 8);
	assert_memory_equal(r.key.data, "dir/file", 8);
	assert_int_equal(r.xattrs.size, 2);
	assert_memory_equal(r.xattrs.data, "xa", 2);
	assert_memory_equal(r.data.data, "abc", 3);
	record_done(&r);
}

static void a_record_comes_back_with_every_field(void **state)
{
	struct fixture *f = *state;
	struct record r = {.ino = 9,
			   .mode = S_IFREG | 0640,
			   .uid = 1,
			   .gid = 2,
			   .nlink = 3,
			   .rdev = 4,
			   .version = 5,
			   .atime_ns = -6,
			   .mtime_ns = 7,
			   .ctime_ns = 8,
			   .size = 3,
			   .modified = {2, 0},
			   .created = {1, 0},
			   .key = text("dir/file"),
			   .xattrs = text("xa"),
			   .data = text("abc")};
	begin(f);
	put(f, "dir", S_IFDIR | 0755, NULL, 0);
	mvcc_put(f->m, &r);
	assert_int_equal(r.stored.main, 2);
	assert_int_equal(r.stored.sub, 1);
	assert_int_equal(end(f), 2);
	each_where(f, check_record);
}

static void check_touch(struct fixture *f)
{
	struct record touched = {0}, before = {0}, now = {0};
	struct mvcc_version *versions;
	size_t count;
	assert_int_equal(mvcc_get(f->m, text("d"), 4, &touched), 0);
	assert_int_equal(mvcc_get(f->m, text("d"), 2, &before), 0);
	assert_int_equal(mvcc_get(f->m, text("d"), 0, &now), -ENOENT);
	assert_int_equal(touched.nlink, 3);
	assert_int_equal(before.nlink, 1);
	assert_int_equal(touched.stored.main, 4);
	assert_int_equal(touched.modified.main, 2);
	assert_int_equal(touched.version, 1);
	assert_int_equal(touched.flags, RECORD_TOUCH);
	record_done(&touched);
	record_done(&before);
	assert_int_equal(mvcc_history(f->m, text("d"), &versions, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(versions[0].rev.main, 2);
	assert_false(versions[0].tombstone);
	assert_int_equal(versions[1].rev.main, 5);
	assert_true(versions[1].tombstone);
	free(versions);
	assert_int_equal(mvcc_history(f->m, text("never"), &versions, &count), -ENOENT);
}

static void a_touch_is_no_version_but_is_seen(void **state)
{
	struct fixture *f = *state;
	put_dir(f, "d");
	touch_dir(f, "d", 2);
	touch_dir(f, "d", 3);
	assert_int_equal(delete_key(f, "d"), 5);
	each_where(f, check_touch);
}

static void check_list(struct fixture *f)
{
	struct mvcc_list l;
	assert_string_equal(names(f, "", 0), "a a!b a-b a.txt a0 b ");
	assert_string_equal(names(f, "a", 0), "deep x y ");
	assert_string_equal(names(f, "a/deep", 0), "er ");
	assert_string_equal(names(f, "a/deep/er", 0), "est ");
	assert_string_equal(names(f, "a!b", 0), "z ");
	assert_string_equal(names(f, "b", 0), "ENOTDIR");
	assert_string_equal(names(f, "nothing", 0), "ENOENT");
	assert_string_equal(names(f, "nothing", 10000), "ENOENT");
	assert_int_equal(mvcc_list(f->m, text(""), 0, &l), 0);
	assert_true(S_ISDIR(l.names[0].mode));
	assert_true(S_ISREG(l.names[3].mode));
	assert_true(S_ISLNK(l.names[4].mode));
	assert_int_equal(l.names[0].ino, 2);
	mvcc_list_done(&l);
}

static void a_list_has_the_children_alone_whatever_their_siblings_are_called(void **state)
{
	struct fixture *f = *state;
	const char *dirs[] = {"a", "a/deep", "a/deep/er", "a!b"};
	const char *files[] = {"a/x", "a/y", "a!b/z", "a-b", "a.txt", "b", "a/deep/er/est"};
	for (size_t i = 0; i < 4; i++)
		put_dir(f, dirs[i]);
	for (size_t i = 0; i < 7; i++)
		put_file(f, files[i], "v");
	put_file(f, "a/gone", "v");
	delete_key(f, "a/gone");
	begin(f);
	put(f, "a0", S_IFLNK | 0777, "a/x", 3);
	end(f);
	each_where(f, check_list);
	assert_true(mvcc_has_children(f->m, text("a!b")));
	delete_key(f, "a!b/z");
	assert_false(mvcc_has_children(f->m, text("a!b")));
	assert_false(mvcc_has_children(f->m, text("b")));
	assert_true(mvcc_has_children(f->m, text("")));
}

static void check_old_list(struct fixture *f)
{
	struct mvcc_list l;
	assert_string_equal(names(f, "d", 1), "ENOENT");
	assert_string_equal(names(f, "d", 2), "");
	assert_string_equal(names(f, "d", 4), "a b ");
	assert_string_equal(names(f, "d", 5), "b ");
	assert_string_equal(names(f, "d", 6), "a b ");
	/* "a" was a file with inode 3, and is a directory with inode 5 */
	assert_int_equal(mvcc_list(f->m, text("d"), 4, &l), 0);
	assert_int_equal(l.names[0].ino, 3);
	assert_true(S_ISREG(l.names[0].mode));
	mvcc_list_done(&l);
	assert_int_equal(mvcc_list(f->m, text("d"), 0, &l), 0);
	assert_int_equal(l.names[0].ino, 5);
	assert_true(S_ISDIR(l.names[0].mode));
	mvcc_list_done(&l);
	assert_string_equal(names(f, "d/a", 4), "ENOTDIR");
	assert_string_equal(names(f, "d/a", 0), "");
}

static void a_list_at_an_old_revision_is_as_it_was_then(void **state)
{
	struct fixture *f = *state;
	put_dir(f, "d");        /* 2, inode 2 */
	put_file(f, "d/a", ""); /* 3, inode 3 */
	put_file(f, "d/b", ""); /* 4, inode 4 */
	delete_key(f, "d/a");   /* 5 */
	put_dir(f, "d/a");      /* 6, inode 5 */
	each_where(f, check_old_list);
}

struct seen {
	char text[512];
	size_t size;
	size_t stop_after;
	size_t count;
};

static int see(void *ctx, const struct record *r)
{
	struct seen *s = ctx;
	s->size += (size_t)snprintf(s->text + s->size, sizeof s->text - s->size, "%.*s=%.*s ", (int)r->key.size, (const char *)r->key.data,
				    (int)r->data.size, (const char *)r->data.data);
	return ++s->count == s->stop_after;
}

static const char *range(struct fixture *f, const char *start, const char *stop, uint64_t rev, uint64_t limit, size_t stop_after)
{
	static struct seen s;
	s = (struct seen){.stop_after = stop_after};
	assert_int_equal(mvcc_range(f->m, text(start), text(stop), rev, limit, see, &s), 0);
	return s.text;
}

static uint64_t count_of(struct fixture *f, const char *start, const char *stop, uint64_t rev)
{
	uint64_t count = 999;
	assert_int_equal(mvcc_count(f->m, text(start), text(stop), rev, &count), 0);
	return count;
}

static void check_ranges(struct fixture *f)
{
	uint64_t count;
	assert_string_equal(range(f, "", "", 0, 0, 0), "a=1 b=5 c/d=3 e=6 ");
	assert_string_equal(range(f, "b", "e", 0, 0, 0), "b=5 c/d=3 ");
	assert_string_equal(range(f, "b", "", 0, 2, 0), "b=5 c/d=3 ");
	assert_string_equal(range(f, "bb", "", 0, 0, 0), "c/d=3 e=6 ");
	assert_string_equal(range(f, "", "", 0, 0, 1), "a=1 ");
	assert_string_equal(range(f, "", "", 5, 0, 0), "a=1 b=2 c/d=3 e=4 ");
	assert_string_equal(range(f, "x", "", 0, 0, 0), "");
	assert_string_equal(range(f, "", "", 1, 0, 0), "");
	assert_int_equal(count_of(f, "", "", 0), 4);
	assert_int_equal(count_of(f, "", "c", 0), 2);
	assert_int_equal(count_of(f, "", "", 3), 2);
	assert_int_equal(mvcc_count(f->m, text(""), text(""), 99, &count), -ENOENT);
}

static void a_range_is_one_picture_of_one_revision(void **state)
{
	struct fixture *f = *state;
	put_file(f, "a", "1");
	put_file(f, "b", "2");
	put_file(f, "c/d", "3");
	put_file(f, "e", "4");
	put_file(f, "b", "5");
	delete_key(f, "e");
	put_file(f, "e", "6");
	each_where(f, check_ranges);
}

static int count_up(void *ctx, const struct record *r)
{
	(void)r;
	++*(int *)ctx;
	return 0;
}

static void a_range_longer_than_a_chunk_misses_nothing(void **state)
{
	struct fixture *f = *state;
	char key[32];
	begin(f);
	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof key, "k%05d", i);
		put(f, key, S_IFREG | 0644, "v", 1);
	}
	uint64_t all = end(f);
	begin(f);
	for (int i = 0; i < 20000; i += 2) {
		snprintf(key, sizeof key, "k%05d", i);
		mvcc_tombstone(f->m, text(key));
	}
	end(f);
	int count = 0;
	assert_int_equal(mvcc_range(f->m, text("k"), text("l"), 0, 0, count_up, &count), 0);
	assert_int_equal(count, 10000);
	assert_int_equal(count_of(f, "", "", 0), 10000);
	assert_int_equal(count_of(f, "", "", all), 20000);
	count = 0;
	assert_int_equal(mvcc_range(f->m, text(""), text(""), all, 777, count_up, &count), 0);
	assert_int_equal(count, 777);
}

static void the_writer_sees_its_own_changes_and_nobody_else_does_yet(void **state)
{
	struct fixture *f = *state;
	put_dir(f, "d");
	put_file(f, "d/a", "old");
	begin(f);
	put(f, "d/a", S_IFREG | 0644, "new", 3);
	put(f, "d/b", S_IFREG | 0644, "b", 1);
	mvcc_put_meta(f->m, text("m"), text("v"));
	assert_string_equal(content(f, "d/a", 0), "new");
	assert_string_equal(content(f, "d/a", 4), "new");
	assert_string_equal(content(f, "d/a", 3), "old");
	assert_string_equal(names(f, "d", 0), "a b ");
	assert_string_equal(range(f, "", "", 0, 0, 0), "d= d/a=new d/b=b ");
	assert_true(mvcc_has_children(f->m, text("d")));
	assert_int_equal(mvcc_revision(f->m), 3);
	void *value;
	size_t size;
	assert_int_equal(mvcc_get_meta(f->m, text("m"), &value, &size), 0);
	free(value);
	mvcc_tombstone(f->m, text("d/b"));
	assert_string_equal(content(f, "d/b", 0), "ENOENT");
	assert_int_equal(end(f), 4);
}

static void check_inodes(struct fixture *f)
{
	char key[MVCC_KEY_MAX];
	assert_int_equal(mvcc_key_of(f->m, 2, key), 3);
	assert_memory_equal(key, "new", 3);
	assert_int_equal(mvcc_key_of(f->m, 3, key), -ENOENT);
	assert_int_equal(mvcc_key_of(f->m, 4, key), -ENOENT);
}

static void the_key_of_an_inode_follows_a_rename(void **state)
{
	struct fixture *f = *state;
	struct record r = {0};
	put_file(f, "old", "v");
	put_file(f, "dead", "v");
	delete_key(f, "dead");
	begin(f);
	assert_int_equal(mvcc_get(f->m, text("old"), 0, &r), 0);
	mvcc_tombstone(f->m, text("old"));
	r.key = text("new");
	r.modified.main = r.created.main = mvcc_next_revision(f->m);
	mvcc_put(f->m, &r);
	end(f);
	record_done(&r);
	each_where(f, check_inodes);
}

static void check_stats(struct fixture *f)
{
	struct mvcc_stats s;
	mvcc_stats(f->m, &s);
	assert_int_equal(s.keys, 2);
	assert_int_equal(s.live_bytes, 2 * 256 + 6);
	assert_int_equal(s.error, 0);
	assert_in_range(s.db_bytes, 4096, 1 << 20);
}

static void stats_count_what_lives(void **state)
{
	struct fixture *f = *state;
	put_file(f, "a", "1");
	put_file(f, "a", "123456");
	put_file(f, "b", "12345");
	put_dir(f, "d");
	touch_dir(f, "d", 3);
	delete_key(f, "b");
	each_where(f, check_stats);
}

static int join(void *ctx, struct span name, struct span value)
{
	struct seen *s = ctx;
	s->size += (size_t)snprintf(s->text + s->size, sizeof s->text - s->size, "%.*s=%.*s ", (int)name.size, (const char *)name.data,
				    (int)value.size, (const char *)value.data);
	return 0;
}

static void check_meta(struct fixture *f)
{
	void *value = NULL;
	size_t size = 0;
	struct seen s = {0};
	assert_int_equal(mvcc_get_meta(f->m, text("a"), &value, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(value, "two", 3);
	free(value);
	assert_int_equal(mvcc_get_meta(f->m, text("b"), &value, &size), -ENOENT);
	assert_int_equal(mvcc_get_meta(f->m, text("state"), &value, &size), -ENOENT);
	assert_int_equal(mvcc_each_meta(f->m, join, &s), 0);
	assert_string_equal(s.text, "a=two ");
}

static void named_values_are_kept_replaced_and_deleted(void **state)
{
	struct fixture *f = *state;
	begin(f);
	mvcc_put_meta(f->m, text("a"), text("one"));
	mvcc_put_meta(f->m, text("b"), text("x"));
	end(f);
	assert_int_equal(mvcc_flush(f->m), 0);
	begin(f);
	mvcc_put_meta(f->m, text("a"), text("two"));
	mvcc_put_meta(f->m, text("b"), text(""));
	assert_int_equal(end(f), 1);
	each_where(f, check_meta);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_new_store_has_a_root_and_nothing_else),
		STORY(every_revision_of_a_key_can_be_read_and_a_tombstone_hides_it),
		STORY(a_record_comes_back_with_every_field),
		STORY(a_touch_is_no_version_but_is_seen),
		STORY(a_list_has_the_children_alone_whatever_their_siblings_are_called),
		STORY(a_list_at_an_old_revision_is_as_it_was_then),
		STORY(a_range_is_one_picture_of_one_revision),
		STORY(a_range_longer_than_a_chunk_misses_nothing),
		STORY(the_writer_sees_its_own_changes_and_nobody_else_does_yet),
		STORY(the_key_of_an_inode_follows_a_rename),
		STORY(stats_count_what_lives),
		STORY(named_values_are_kept_replaced_and_deleted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
