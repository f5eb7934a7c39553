#include "store/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static struct span text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static void assert_same(struct span a, struct span b)
{
	assert_int_equal(a.size, b.size);
	if (a.size)
		assert_memory_equal(a.data, b.data, a.size);
}

#define PAIRS "\x03\0\0\0a/b\x02\0\0\0hi\x01\0\0\0c\0\0\0\0"

/* One valid command of every type, with every field that the type has. */
static const struct command_range two_ranges[] = {{5, {"hello", 5}}, {UINT64_C(1) << 33, {"x", 1}}};

static size_t every_type(struct command *out)
{
	const struct command all[] = {
		{.type = COMMAND_WRITE,
		 .key = text("dir/file"),
		 .ino = 77,
		 .mode = 0640,
		 .set_mask = SET_UID | SET_MTIME,
		 .set_uid = 4,
		 .mtime_ns = -5,
		 .write_flags = WRITE_CREATE | WRITE_EXCL,
		 .truncate_to = 9,
		 .extend_to = 12,
		 .reservation = UINT64_C(1) << 40,
		 .ranges = two_ranges,
		 .ranges_count = 2},
		{.type = COMMAND_WRITE,
		 .key = text("f"),
		 .write_flags = WRITE_STAGED,
		 .truncate_to = COMMAND_NO_TRUNCATE,
		 .stage = 8,
		 .stage_chunk = 3},
		{.type = COMMAND_MKDIR, .key = text("d"), .mode = 01777},
		{.type = COMMAND_RMDIR, .key = text("d")},
		{.type = COMMAND_UNLINK, .key = text("d/..x")},
		{.type = COMMAND_RENAME, .key = text("a"), .key2 = text("b/c"), .rename_flags = 2},
		{.type = COMMAND_SYMLINK, .key = text("l"), .key2 = text("../there")},
		{.type = COMMAND_MKNOD, .key = text("n"), .mode = S_IFCHR | 0600, .rdev = UINT64_C(0x100000003)},
		{.type = COMMAND_SETATTR, .mode = 0700, .set_mask = SET_MODE | SET_SIZE | SET_ATIME, .size = 4, .atime_ns = 6},
		{.type = COMMAND_SETXATTR, .key = text("f"), .key2 = text("user.a"), .value = text("v"), .xattr_flags = XATTR_CREATE},
		{.type = COMMAND_REMOVEXATTR, .key = text("f"), .key2 = text("user.a"), .ino = 3},
		{.type = COMMAND_STAGE, .value = text("chunk"), .stage = 4, .stage_chunk = 2},
		{.type = COMMAND_PUT, .key = text("a/b"), .value = text("value")},
		{.type = COMMAND_PUT, .key = text("a/b"), .write_flags = WRITE_STAGED, .stage = 11},
		{.type = COMMAND_DELETE, .key = text("a/"), .prefix = true},
		{.type = COMMAND_LOAD, .value = {PAIRS, sizeof(PAIRS) - 1}},
		{.type = COMMAND_RESERVE, .key = text("d/lock")},
		{.type = COMMAND_RESERVE, .reservation = 12},
		{.type = COMMAND_TXN, .value = text("a transaction")},
		{.type = COMMAND_PUT, .key = text("a/b"), .value = text("value"), .write_flags = WRITE_LEASED, .lease = UINT64_C(1) << 63},
		{.type = COMMAND_PUT, .key = text("a/b"), .write_flags = WRITE_LEASED | WRITE_STAGED, .stage = 11, .lease = 5},
		{.type = COMMAND_LEASE_GRANT, .lease = 7, .ttl_s = 60},
		{.type = COMMAND_LEASE_REVOKE, .lease = 7, .renewals = 9},
		{.type = COMMAND_LEASE_KEEPALIVE, .lease = 7},
		{.type = COMMAND_WRITE, .key = text("f"), .write_flags = WRITE_FENCED, .truncate_to = 1, .lease = 3, .ranges = two_ranges},
		{.type = COMMAND_LOCK, .lock = {7, 8, 9, 10, 0, UINT64_MAX, 0, LOCK_KIND_FLOCK, false}, .lock_flags = 1, .lock_request = 1},
		{.type = COMMAND_UNLOCK, .lock = {7, 8, 9, 0, 5, 5, 6, LOCK_KIND_POSIX, true}, .lock_flags = LOCK_BY_HANDLE},
		{.type = COMMAND_LOCK_CANCEL, .lock = {.session = 7, .ino = 8, .kind = LOCK_KIND_POSIX}, .lock_request = 1},
	};
	memcpy(out, all, sizeof(all));
	return sizeof(all) / sizeof(all[0]);
}

static struct writer encoded(struct command c)
{
	struct writer w = {0};
	c.id = (struct command_id){1, 2, 30, 20};
	c.time_ns = 99;
	c.uid = 10;
	c.gid = 20;
	command_encode(&w, &c);
	return w;
}

static int decode(const struct writer *w, size_t size, struct command *out)
{
	uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a read past the end */
	assert_non_null(exact);
	memcpy(exact, w->data, size);
	struct command got = {0};
	int err = command_decode((struct span){exact, size}, &got);
	free(exact);
	if (err == 0)
		*out = got;
	return err;
}

static void what_is_encoded_is_decoded(void **state)
{
	struct command all[32];
	size_t count = every_type(all);
	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct writer w = encoded(all[i]);
		struct command c;
		assert_int_equal(command_decode((struct span){w.data, w.size}, &c), 0);
		assert_int_equal(c.type, all[i].type);
		assert_int_equal(c.id.sequence, 30);
		assert_int_equal(c.id.floor, 20);
		assert_int_equal(c.time_ns, 99);
		assert_int_equal(c.uid, 10);
		assert_int_equal(c.gid, 20);
		assert_same(c.key, all[i].key);
		assert_same(c.key2, all[i].key2);
		assert_same(c.value, all[i].value);
		assert_int_equal(c.ino, all[i].ino);
		assert_int_equal(c.mode, all[i].mode);
		assert_int_equal(c.rdev, all[i].rdev);
		assert_int_equal(c.set_mask, all[i].set_mask);
		assert_int_equal(c.set_uid, all[i].set_uid);
		assert_int_equal(c.size, all[i].size);
		assert_int_equal(c.atime_ns, all[i].atime_ns);
		assert_int_equal(c.mtime_ns, all[i].mtime_ns);
		assert_int_equal(c.rename_flags, all[i].rename_flags);
		assert_int_equal(c.xattr_flags, all[i].xattr_flags);
		assert_int_equal(c.prefix, all[i].prefix);
		assert_int_equal(c.write_flags, all[i].write_flags);
		assert_int_equal(c.extend_to, all[i].extend_to);
		assert_int_equal(c.stage, all[i].stage);
		assert_int_equal(c.stage_chunk, all[i].stage_chunk);
		assert_int_equal(c.reservation, all[i].reservation);
		assert_int_equal(c.ranges_count, all[i].ranges_count);
		for (uint32_t r = 0; r < c.ranges_count; r++) {
			assert_int_equal(c.ranges[r].offset, all[i].ranges[r].offset);
			assert_same(c.ranges[r].data, all[i].ranges[r].data);
		}
		command_done(&c);
		writer_free(&w);
	}
}

static void a_command_cut_at_any_length_or_with_a_byte_too_many_is_refused(void **state)
{
	struct command all[32];
	size_t count = every_type(all);
	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct writer w = encoded(all[i]);
		struct command c;
		for (size_t size = 0; size < w.size; size++)
			assert_int_equal(decode(&w, size, &c), -EBADMSG);
		writer_u8(&w, 0);
		assert_int_equal(decode(&w, w.size, &c), -EBADMSG);
		writer_free(&w);
	}
}

static void no_changed_byte_makes_decoding_read_outside_or_break_a_rule(void **state)
{
	struct command all[32];
	size_t count = every_type(all);
	uint32_t random = 1;
	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct writer w = encoded(all[i]);
		for (size_t at = 0; at < 20 * w.size; at++) {
			struct command c;
			uint8_t *byte = &w.data[at % w.size];
			uint8_t before = *byte;
			random = random * 1664525u + 1013904223u;
			*byte = (uint8_t)(random >> 24);
			if (decode(&w, w.size, &c) == 0) {
				assert_in_range(c.type, 1, COMMAND_NUMBERS);
				assert_true(c.key.size <= MVCC_KEY_MAX);
				command_done(&c);
			}
			*byte = before;
		}
		writer_free(&w);
	}
}

static void identity_and_time_are_stamped_in_place(void **state)
{
	(void)state;
	struct writer w = encoded((struct command){.type = COMMAND_MKDIR, .key = text("d")});
	const struct command_id id = {UINT64_MAX, 2, 300, 4};
	struct command_id peeked;
	struct command c;
	command_stamp_id(w.data, &id);
	command_stamp_time(w.data, 1234567890123);
	assert_int_equal(command_peek_id((struct span){w.data, w.size}, &peeked), 0);
	assert_memory_equal(&peeked, &id, sizeof(id));
	assert_int_equal(command_decode((struct span){w.data, w.size}, &c), 0);
	assert_memory_equal(&c.id, &id, sizeof(id));
	assert_int_equal(c.time_ns, 1234567890123);
	assert_same(c.key, text("d"));
	assert_int_equal(command_peek_id((struct span){w.data, 20}, &peeked), -EBADMSG);
	writer_free(&w);
}

static void a_time_that_would_use_up_all_later_times_is_refused(void **state)
{
	(void)state;
	struct writer w = encoded((struct command){.type = COMMAND_MKDIR, .key = text("d")});
	struct command c;
	command_stamp_time(w.data, INT64_MAX);
	assert_int_equal(decode(&w, w.size, &c), -EBADMSG);
	command_stamp_time(w.data, -1);
	assert_int_equal(decode(&w, w.size, &c), -EBADMSG);
	writer_free(&w);
}

static void keys_are_relative_paths_without_empty_or_dot_segments(void **state)
{
	static const char *const good[] = {"a", "a/b", "..a", "a.", "a/...", "@", "a b", "a\xff"};
	static const char *const bad[] = {"", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/..", "../a", "a/./b", "a/../b"};
	char longest[MVCC_KEY_MAX + 1];
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(command_key_valid(text(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(command_key_valid(text(bad[i])));
	assert_false(command_key_valid((struct span){"a\0b", 3}));
	memset(longest, 'x', sizeof(longest));
	assert_true(command_key_valid((struct span){longest, 255}));
	assert_false(command_key_valid((struct span){longest, 256}));
	for (size_t i = 200; i < sizeof(longest); i += 200)
		longest[i] = '/';
	assert_true(command_key_valid((struct span){longest, MVCC_KEY_MAX}));
	assert_false(command_key_valid((struct span){longest, MVCC_KEY_MAX + 1}));
}

static int decode_of(struct command c)
{
	struct writer w = encoded(c);
	struct command got;
	int err = decode(&w, w.size, &got);
	if (err == 0)
		command_done(&got);
	writer_free(&w);
	return err;
}

static void the_root_is_a_target_of_attributes_only(void **state)
{
	(void)state;
	for (uint8_t type = COMMAND_WRITE; type <= COMMAND_RESERVE; type++) {
		bool allowed = type == COMMAND_SETATTR || type == COMMAND_SETXATTR || type == COMMAND_REMOVEXATTR ||
			       type == COMMAND_STAGE || type == COMMAND_LOAD;
		assert_int_equal(decode_of((struct command){.type = type, .key2 = text("x")}), allowed ? 0 : -EBADMSG);
	}
	assert_int_equal(decode_of((struct command){.type = COMMAND_DELETE, .prefix = true}), 0);
	assert_int_equal(decode_of((struct command){.type = COMMAND_WRITE, .ino = 5}), 0);
}

static void invalid_fields_are_refused(void **state)
{
	const struct command_range wraps = {UINT64_MAX - 1, {"abc", 3}};
	(void)state;
	assert_int_equal(decode_of((struct command){.type = COMMAND_RENAME, .key = text("a"), .key2 = text("../b")}), -EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_SYMLINK, .key = text("a"), .key2 = text("")}), -EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_SETXATTR, .key2 = {"a\0b", 3}}), -EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_SETATTR, .set_mask = 256}), -EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_WRITE, .key = text("a"), .write_flags = 16}), -EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_WRITE, .key = text("a"), .ranges = &wraps, .ranges_count = 1}),
			 -EBADMSG);
	assert_int_equal(
		decode_of((struct command){
			.type = COMMAND_WRITE, .key = text("a"), .write_flags = WRITE_APPEND, .ranges = two_ranges, .ranges_count = 2}),
		-EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_PUT, .key = text("a"), .write_flags = WRITE_APPEND}), -EBADMSG);
	assert_int_equal(
		decode_of((struct command){.type = COMMAND_PUT, .key = text("a"), .write_flags = WRITE_STAGED, .value = text("x")}),
		-EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_RESERVE, .key = text("a"), .reservation = 1}), -EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_LOAD, .value = {"\x01\0\0\0/\0\0\0\0", 9}}), -EBADMSG);
	assert_int_equal(decode_of((struct command){.type = COMMAND_LOAD, .value = {"\x01\0\0\0a\0\0\0", 8}}), -EBADMSG);
}

static int join(void *ctx, struct span name, struct span value)
{
	struct writer *w = ctx;
	writer_raw(w, name.data, name.size);
	writer_u8(w, '=');
	writer_raw(w, value.data, value.size);
	writer_u8(w, ' ');
	return 0;
}

static void assert_xattrs(const struct writer *x, const char *expected)
{
	struct writer all = {0};
	assert_int_equal(xattrs_each((struct span){x->data, x->size}, join, &all), 0);
	assert_same((struct span){all.data, all.size}, text(expected));
	writer_free(&all);
}

static void set(struct writer *x, const char *name, const char *value)
{
	struct writer next = {0};
	assert_int_equal(xattrs_set((struct span){x->data, x->size}, text(name), text(value), 0, &next), 0);
	writer_free(x);
	*x = next;
}

static void attributes_are_kept_in_order_of_name(void **state)
{
	struct writer x = {0};
	struct writer without = {0};
	struct span value;
	(void)state;
	set(&x, "user.m", "1");
	set(&x, "user.z", "2");
	set(&x, "user.a", "3");
	set(&x, "user.ma", "4");
	assert_xattrs(&x, "user.a=3 user.m=1 user.ma=4 user.z=2 ");
	set(&x, "user.m", "longer");
	assert_xattrs(&x, "user.a=3 user.m=longer user.ma=4 user.z=2 ");
	assert_int_equal(xattrs_find((struct span){x.data, x.size}, text("user.ma"), &value), 0);
	assert_same(value, text("4"));
	assert_int_equal(xattrs_find((struct span){x.data, x.size}, text("user.b"), &value), -ENODATA);
	assert_int_equal(xattrs_remove((struct span){x.data, x.size}, text("user.b"), &without), -ENODATA);
	assert_int_equal(xattrs_remove((struct span){x.data, x.size}, text("user.z"), &without), 0);
	assert_xattrs(&without, "user.a=3 user.m=longer user.ma=4 ");
	assert_int_equal(xattrs_each((struct span){x.data, x.size - 1}, join, &without), -EBADMSG);
	writer_free(&without);
	writer_free(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_encoded_is_decoded),
		cmocka_unit_test(a_command_cut_at_any_length_or_with_a_byte_too_many_is_refused),
		cmocka_unit_test(no_changed_byte_makes_decoding_read_outside_or_break_a_rule),
		cmocka_unit_test(identity_and_time_are_stamped_in_place),
		cmocka_unit_test(a_time_that_would_use_up_all_later_times_is_refused),
		cmocka_unit_test(keys_are_relative_paths_without_empty_or_dot_segments),
		cmocka_unit_test(the_root_is_a_target_of_attributes_only),
		cmocka_unit_test(invalid_fields_are_refused),
		cmocka_unit_test(attributes_are_kept_in_order_of_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
