#include "store/client/protocol.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static struct span bytes_of(const struct writer *w)
{
	return (struct span){w->data, w->size};
}

static void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.size, strlen(text));
	assert_memory_equal(s.size ? s.data : "", text, s.size);
}

static void sample_request(struct writer *w)
{
	request_encode(w, &(struct request){.type = REQUEST_GET,
					    .flags = REQUEST_PREFIX | REQUEST_SERIAL,
					    .rev = 120,
					    .limit = UINT64_MAX,
					    .key = span_of("config/"),
					    .from = span_of("config/app"),
					    .value = span_of("v")});
}

static void sample_response(struct writer *w)
{
	struct writer kvs = {0};
	const struct kv kv = {.key = span_of("config/app"),
			      .create_revision = 3,
			      .mod_revision = 9,
			      .version = 2,
			      .mode = 0100644,
			      .size = 5,
			      .mtime_ns = -1};
	const struct kv gone = {.key = span_of("config/old"), .mod_revision = 10, .flags = KV_DELETED};

	memcpy(kv_encode(&kvs, &kv, 5), "hello", 5);
	kv_encode(&kvs, &gone, 0);
	response_encode_head(w, &(struct response){.type = REQUEST_GET,
						   .flags = PROTOCOL_MORE,
						   .error = -ENODATA,
						   .revision = 12,
						   .count = 2,
						   .text = span_of("why"),
						   .next = span_of("config/x"),
						   .kvs_count = 2});
	writer_raw(w, kvs.data, kvs.size);
	writer_free(&kvs);
}

static void a_request_comes_back_as_it_was(void **state)
{
	(void)state;
	struct writer w = {0};
	struct request r;

	sample_request(&w);
	assert_int_equal(request_decode(bytes_of(&w), &r), 0);
	assert_int_equal(r.type, REQUEST_GET);
	assert_int_equal(r.flags, REQUEST_PREFIX | REQUEST_SERIAL);
	assert_int_equal(r.rev, 120);
	assert_true(r.limit == UINT64_MAX);
	assert_span(r.key, "config/");
	assert_span(r.from, "config/app");
	assert_span(r.value, "v");
	writer_free(&w);
}

static void a_response_comes_back_as_it_was(void **state)
{
	(void)state;
	struct writer w = {0};
	struct response r;

	sample_response(&w);
	assert_int_equal(response_decode(bytes_of(&w), &r), 0);
	assert_int_equal(r.type, REQUEST_GET);
	assert_int_equal(r.flags, PROTOCOL_MORE);
	assert_int_equal(r.error, -ENODATA);
	assert_int_equal(r.revision, 12);
	assert_int_equal(r.count, 2);
	assert_span(r.text, "why");
	assert_span(r.next, "config/x");
	assert_int_equal(r.kvs_count, 2);
	assert_span(r.kvs[0].key, "config/app");
	assert_span(r.kvs[0].value, "hello");
	assert_int_equal(r.kvs[0].create_revision, 3);
	assert_int_equal(r.kvs[0].mod_revision, 9);
	assert_int_equal(r.kvs[0].version, 2);
	assert_int_equal(r.kvs[0].mode, 0100644);
	assert_true(r.kvs[0].mtime_ns == -1);
	assert_int_equal(r.kvs[1].flags, KV_DELETED);
	response_done(&r);
	writer_free(&w);
}

/* From a copy of exactly that size, so that a sanitizer sees a read past its end. */
static int decode_cut(const struct writer *w, size_t size, bool response)
{
	struct request q;
	struct response r = {0};
	void *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, w->data, size);
	int rc = response ? response_decode((struct span){copy, size}, &r) : request_decode((struct span){copy, size}, &q);
	response_done(&r);
	free(copy);
	return rc;
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	struct writer w = {0};

	sample_request(&w);
	for (size_t size = 0; size < w.size; size++)
		assert_int_equal(decode_cut(&w, size, false), -EBADMSG);
	writer_u8(&w, 0);
	assert_int_equal(decode_cut(&w, w.size, false), -EBADMSG);
	writer_clear(&w);
	sample_response(&w);
	for (size_t size = 0; size < w.size; size++)
		assert_int_equal(decode_cut(&w, size, true), -EBADMSG);
	writer_u8(&w, 0);
	assert_int_equal(decode_cut(&w, w.size, true), -EBADMSG);
	writer_free(&w);
}

static void any_flipped_bit_decodes_or_is_refused_within_bounds(void **state)
{
	(void)state;
	struct writer w = {0};

	for (int response = 0; response < 2; response++) {
		writer_clear(&w);
		if (response)
			sample_response(&w);
		else
			sample_request(&w);
		for (size_t at = 0; at < w.size * 8; at++) {
			w.data[at / 8] ^= (uint8_t)(1u << at % 8);
			int rc = decode_cut(&w, w.size, response);
			assert_true(rc == 0 || rc == -EBADMSG);
			w.data[at / 8] ^= (uint8_t)(1u << at % 8);
		}
	}
	writer_free(&w);
}

static void unknown_formats_types_and_flags_are_refused(void **state)
{
	(void)state;
	static const struct {
		size_t offset;
		uint8_t value;
	} wrong[] = {{0, 9}, {2, 0}, {2, REQUEST_TYPES}, {3, 0x80}};
	struct writer w = {0};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		writer_clear(&w);
		sample_request(&w);
		w.data[wrong[i].offset] = wrong[i].value;
		assert_int_equal(decode_cut(&w, w.size, false), -EBADMSG);
	}
	writer_free(&w);
}

static void a_count_of_kvs_beyond_the_message_allocates_nothing(void **state)
{
	(void)state;
	struct writer w = {0};

	response_encode_head(&w, &(struct response){.type = REQUEST_GET, .kvs_count = UINT32_MAX});
	assert_int_equal(decode_cut(&w, w.size, true), -EBADMSG);
	writer_free(&w);
}

static void only_changes_count_as_writes(void **state)
{
	(void)state;
	static const bool writes[REQUEST_TYPES] = {
		[REQUEST_PUT] = true,           [REQUEST_DELETE] = true,       [REQUEST_LOAD] = true,
		[REQUEST_TXN] = true,           [REQUEST_MEMBER_ADD] = true,   [REQUEST_MEMBER_PROMOTE] = true,
		[REQUEST_MEMBER_REMOVE] = true, [REQUEST_MOVE_LEADER] = true,  [REQUEST_COMPACT] = true,
		[REQUEST_LEASE_GRANT] = true,   [REQUEST_LEASE_REVOKE] = true, [REQUEST_LEASE_KEEPALIVE] = true,
	};
	for (uint8_t type = 0; type < REQUEST_TYPES; type++)
		assert_int_equal(request_writes(type), writes[type]);
	assert_string_equal(request_type_name(REQUEST_DELETE), "delete");
	assert_string_equal(request_type_name(99), "malformed");
}

static void prefixes_follow_the_rules_of_keys_but_for_their_end(void **state)
{
	(void)state;
	static const char *const good[] = {"", "a", "a/", "a/b", ".", "a/..", "a/.h"};
	static const char *const bad[] = {"/", "/a", "a//", "a//b", "./a", "a/../b", "../"};
	char long_segment[300];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(prefix_valid(span_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(prefix_valid(span_of(bad[i])));
	memset(long_segment, 'x', sizeof(long_segment));
	assert_true(prefix_valid((struct span){long_segment, 255}));
	assert_false(prefix_valid((struct span){long_segment, 256}));
	assert_false(prefix_valid((struct span){"a\0b", 3}));
}

static void the_end_of_a_prefix_is_the_next_key_without_it(void **state)
{
	(void)state;
	char end[16];

	assert_int_equal(prefix_end(span_of("config/"), end), 7);
	assert_memory_equal(end, "config0", 7);
	assert_int_equal(prefix_end(span_of("a\xff\xff"), end), 1);
	assert_memory_equal(end, "b", 1);
	assert_int_equal(prefix_end(span_of("\xff\xff"), end), 0);
	assert_int_equal(prefix_end(span_of(""), end), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_comes_back_as_it_was),
		cmocka_unit_test(a_response_comes_back_as_it_was),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(any_flipped_bit_decodes_or_is_refused_within_bounds),
		cmocka_unit_test(unknown_formats_types_and_flags_are_refused),
		cmocka_unit_test(a_count_of_kvs_beyond_the_message_allocates_nothing),
		cmocka_unit_test(only_changes_count_as_writes),
		cmocka_unit_test(prefixes_follow_the_rules_of_keys_but_for_their_end),
		cmocka_unit_test(the_end_of_a_prefix_is_the_next_key_without_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
