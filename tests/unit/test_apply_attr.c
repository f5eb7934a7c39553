#include "tests/unit/test_apply_store.h"

#include <stdint.h>
#include <sys/xattr.h>

static int set_mode(struct world *w, const char *key, uint32_t mode)
{
	return RUN(w, .type = COMMAND_SETATTR, .key = text(key), .set_mask = SET_MODE, .mode = mode);
}

static int set_size(struct world *w, const char *key, uint64_t size)
{
	return RUN(w, .type = COMMAND_SETATTR, .key = text(key), .set_mask = SET_SIZE, .size = size);
}

static void a_mode_is_set_without_changing_the_type_or_the_content(void **state)
{
	struct world *w = *state;
	put(w, "f", "content");
	struct record before = stat_of(w, "f");
	assert_int_equal(set_mode(w, "f", S_IFDIR | 0600), 0);
	struct record after = stat_of(w, "f");
	assert_int_equal(after.mode, S_IFREG | 0600);
	assert_int_equal(after.version, 2);
	assert_int_equal(after.modified.main, mvcc_revision(w->m));
	assert_int_equal(after.created.main, before.created.main);
	assert_int_equal(after.mtime_ns, before.mtime_ns);
	assert_true(after.ctime_ns > before.ctime_ns);
	assert_int_equal(w->out.result.attr.mode, S_IFREG | 0600);
	assert_content(w, "f", "content");
}

static void the_root_has_attributes(void **state)
{
	struct world *w = *state;
	assert_int_equal(set_mode(w, "", 0711), 0);
	assert_int_equal(stat_of(w, "").mode, S_IFDIR | 0711);
	assert_int_equal(stat_of(w, "").ino, MVCC_ROOT_INO);
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .ino = MVCC_ROOT_INO, .set_mask = SET_UID, .set_uid = 3), 0);
	assert_int_equal(stat_of(w, "").uid, 3);
}

static void a_size_is_set_as_truncate_2_does(void **state)
{
	struct world *w = *state;
	size_t size;
	put(w, "f", "abcdef");
	make_dir(w, "d");
	RUN(w, .type = COMMAND_SYMLINK, .key = text("l"), .key2 = text("f"));
	struct record before = stat_of(w, "f");
	assert_int_equal(set_size(w, "f", 2), 0);
	assert_content(w, "f", "ab");
	assert_true(stat_of(w, "f").mtime_ns > before.mtime_ns);
	assert_int_equal(set_size(w, "f", 4), 0);
	char *bytes = content_at(w, "f", 0, &size);
	assert_int_equal(size, 4);
	assert_memory_equal(bytes, "ab\0\0", 4);
	free(bytes);
	before = stat_of(w, "f");
	assert_int_equal(set_size(w, "f", 4), 0);
	assert_true(stat_of(w, "f").mtime_ns > before.mtime_ns);
	assert_true(stat_of(w, "f").ctime_ns > before.ctime_ns);
	assert_int_equal(stat_of(w, "f").flags, RECORD_ATTRIBUTES);
	uint64_t revision = mvcc_revision(w->m);
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("f")), 0);
	assert_int_equal(mvcc_revision(w->m), revision);
	assert_int_equal(set_size(w, "d", 0), -EISDIR);
	assert_int_equal(set_size(w, "l", 0), -EINVAL);
	assert_int_equal(set_size(w, "none", 0), -ENOENT);
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .ino = 999, .set_mask = SET_SIZE), -ESTALE);
}

static void a_block_cut_inside_reads_as_zeros_when_the_file_grows_again(void **state)
{
	struct world *w = *state;
	size_t size;
	char *big = malloc(70001);
	memset(big, 'x', 70000);
	big[70000] = 0;
	put(w, "f", big);
	set_size(w, "f", 40000);
	set_size(w, "f", 70000);
	memset(big + 40000, 0, 30000);
	char *bytes = content_at(w, "f", 0, &size);
	assert_int_equal(size, 70000);
	assert_memory_equal(bytes, big, size);
	free(bytes);
	free(big);
}

static void times_are_set_given_or_to_now(void **state)
{
	struct world *w = *state;
	put(w, "f", "x");
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("f"), .set_mask = SET_ATIME | SET_MTIME_NOW, .atime_ns = -5,
			     .time_ns = 200 * SECOND),
			 0);
	struct record f = stat_of(w, "f");
	assert_int_equal(f.atime_ns, -5);
	assert_int_equal(f.mtime_ns, 200 * SECOND);
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("f"), .set_mask = SET_ATIME_NOW | SET_MTIME, .mtime_ns = 9,
			     .time_ns = 300 * SECOND),
			 0);
	f = stat_of(w, "f");
	assert_int_equal(f.atime_ns, 300 * SECOND);
	assert_int_equal(f.mtime_ns, 9);
	assert_int_equal(f.ctime_ns, 300 * SECOND);
}

static void a_change_of_owner_clears_the_set_id_bits(void **state)
{
	struct world *w = *state;
	put(w, "f", "x");
	make_dir(w, "d");
	set_mode(w, "f", 06755);
	set_mode(w, "d", 02755);
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("f"), .set_mask = SET_UID | SET_GID, .set_uid = 7, .set_gid = 8), 0);
	assert_int_equal(stat_of(w, "f").mode, S_IFREG | 0755);
	set_mode(w, "f", 06755);
	w->uid = 7;
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("f"), .set_mask = SET_GID, .set_gid = 9), 0);
	assert_int_equal(stat_of(w, "f").mode, S_IFREG | 0755);
	assert_int_equal(stat_of(w, "f").uid, 7);
	assert_int_equal(stat_of(w, "f").gid, 9);
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("d"), .set_mask = SET_GID, .set_gid = 9), 0);
	assert_int_equal(stat_of(w, "d").mode, S_IFDIR | 02755);
	set_mode(w, "f", 02644);
	assert_int_equal(RUN(w, .type = COMMAND_SETATTR, .key = text("f"), .set_mask = SET_GID, .set_gid = 8), 0);
	assert_int_equal(stat_of(w, "f").mode, S_IFREG | 02644);
}

static int set_xattr(struct world *w, const char *key, const char *name, const char *value, uint32_t flags)
{
	return RUN(w, .type = COMMAND_SETXATTR, .key = text(key), .key2 = text(name), .value = text(value), .xattr_flags = flags);
}

static int remove_xattr(struct world *w, const char *key, const char *name)
{
	return RUN(w, .type = COMMAND_REMOVEXATTR, .key = text(key), .key2 = text(name));
}

static void assert_xattr(struct world *w, const char *key, const char *name, const char *expected)
{
	struct record r = {0};
	struct span value = {NULL, 0};
	assert_int_equal(mvcc_get(w->m, text(key), 0, &r), 0);
	assert_int_equal(xattrs_find(r.xattrs, text(name), &value), expected ? 0 : -ENODATA);
	if (expected) {
		assert_int_equal(value.size, strlen(expected));
		assert_memory_equal(value.data, expected, value.size);
	}
	record_done(&r);
}

static void user_attributes_are_set_replaced_and_removed(void **state)
{
	struct world *w = *state;
	put(w, "f", "content");
	assert_int_equal(set_xattr(w, "f", "user.a", "1", XATTR_REPLACE), -ENODATA);
	assert_int_equal(set_xattr(w, "f", "user.a", "1", XATTR_CREATE), 0);
	assert_int_equal(set_xattr(w, "f", "user.a", "2", XATTR_CREATE), -EEXIST);
	assert_int_equal(set_xattr(w, "f", "user.b", "other", 0), 0);
	assert_int_equal(set_xattr(w, "f", "user.a", "3", XATTR_REPLACE), 0);
	assert_xattr(w, "f", "user.a", "3");
	assert_int_equal(stat_of(w, "f").version, 4);
	assert_int_equal(remove_xattr(w, "f", "user.a"), 0);
	assert_int_equal(remove_xattr(w, "f", "user.a"), -ENODATA);
	assert_xattr(w, "f", "user.a", NULL);
	assert_xattr(w, "f", "user.b", "other");
	assert_content(w, "f", "content");
	rename_flags(w, "f", "g", 0);
	assert_xattr(w, "g", "user.b", "other");
	assert_int_equal(set_xattr(w, "", "user.root", "yes", 0), 0);
	assert_xattr(w, "", "user.root", "yes");
	assert_int_equal(set_xattr(w, "none", "user.a", "1", 0), -ENOENT);
}

static void user_attributes_have_limits(void **state)
{
	struct world *w = *state;
	static char large[MVCC_XATTRS_MAX + 1];
	char name[257];
	put(w, "f", "x");
	memset(name, 'n', sizeof(name) - 1);
	name[256] = 0;
	assert_int_equal(set_xattr(w, "f", name, "v", 0), -ERANGE);
	name[255] = 0;
	assert_int_equal(set_xattr(w, "f", name, "v", 0), 0);
	memset(large, 'v', sizeof(large) - 1);
	assert_int_equal(set_xattr(w, "f", "user.a", large, 0), -ENOSPC);
	large[40000] = 0;
	assert_int_equal(set_xattr(w, "f", "user.a", large, 0), 0);
	assert_int_equal(set_xattr(w, "f", "user.b", large, 0), -ENOSPC);
	assert_int_equal(set_xattr(w, "f", "user.a", large, 0), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_mode_is_set_without_changing_the_type_or_the_content),
		STORY(the_root_has_attributes),
		STORY(a_size_is_set_as_truncate_2_does),
		STORY(a_block_cut_inside_reads_as_zeros_when_the_file_grows_again),
		STORY(times_are_set_given_or_to_now),
		STORY(a_change_of_owner_clears_the_set_id_bits),
		STORY(user_attributes_are_set_replaced_and_removed),
		STORY(user_attributes_have_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
