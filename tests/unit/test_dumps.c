/* Pictures of the store for clients: page by page, a page again if its answer was lost, and no longer than anybody asks. */
#include "tests/unit/test_mvcc.h"

#include "base/crc32c.h"
#include "store/dumps.h"

#define SECOND INT64_C(1000000000)

static void write_much(struct fixture *f)
{
	static char large[4000];
	for (int i = 0; i < 300; i++) {
		char key[20];
		snprintf(key, sizeof key, "file %d", i);
		memset(large, 'a' + i % 26, sizeof large);
		begin(f);
		put(f, key, S_IFREG | 0644, large, sizeof large);
		end(f);
	}
}

static uint64_t begin_dump(struct dumps *d, int64_t now_ns)
{
	uint64_t id = 0;
	struct writer manifest = {0};
	struct dump_manifest m;
	assert_int_equal(dumps_begin(d, now_ns, &id, &manifest), 0);
	assert_int_equal(dump_manifest_decode((struct span){manifest.data, manifest.size}, &m), 0);
	writer_free(&manifest);
	return id;
}

static void all_that_was_applied_is_in_it_and_every_page_can_be_had_twice(void **state)
{
	struct fixture *f = *state;
	struct dump_manifest m;
	struct load_progress p = {0};
	struct dump_position at = {0};
	struct writer manifest = {0}, page = {0}, again = {0};
	uint64_t id = 0;
	uint32_t sum = 0;
	write_much(f);
	struct dumps *d = dumps_new(f->m, 1);
	assert_int_equal(dumps_begin(d, 0, &id, &manifest), 0);
	assert_int_equal(dump_manifest_decode((struct span){manifest.data, manifest.size}, &m), 0);
	assert_int_equal(m.revision, mvcc_revision(f->m));
	for (int more = 1; more;) {
		struct dump_position same = at;
		writer_clear(&page);
		writer_clear(&again);
		uint64_t number = p.chunks;
		more = dumps_page(d, 0, id, number, &at, &page, &sum);
		assert_in_range(more, 0, 1);
		assert_int_equal(dump_chunk_check(&m, (struct span){page.data, page.size}, &p), 0);
		assert_int_equal(sum, p.sum);
		assert_int_equal(dumps_page(d, 0, id, number, &same, &again, &sum), more);
		assert_int_equal(sum, p.sum);
		assert_int_equal(again.size, page.size);
		assert_memory_equal(again.data, page.data, page.size);
		assert_int_equal(dumps_page(d, 0, id, number + 2, &same, &again, &sum), -EINVAL);
	}
	assert_true(p.chunks > 3);
	assert_int_equal(dump_end_check(&m, &p, sum), 0);
	dumps_end(d, id);
	assert_int_equal(dumps_page(d, 0, id, 0, &(struct dump_position){0}, &page, &sum), -ENOENT);
	writer_free(&manifest);
	writer_free(&page);
	writer_free(&again);
	dumps_free(d);
}

static void there_are_few_and_the_forgotten_ones_make_room(void **state)
{
	struct fixture *f = *state;
	struct dumps *d = dumps_new(f->m, 1);
	struct writer w = {0};
	uint64_t id, ids[DUMPS_MAX];
	uint32_t sum;
	for (unsigned i = 0; i < DUMPS_MAX; i++)
		ids[i] = begin_dump(d, 0);
	assert_int_equal(dumps_begin(d, 30 * SECOND, &id, &w), -EBUSY);
	assert_int_equal(dumps_page(d, 30 * SECOND, ids[1], 0, &(struct dump_position){0}, &w, &sum), 0);
	dumps_expire(d, 60 * SECOND);
	assert_int_equal(dumps_page(d, 60 * SECOND, ids[0], 0, &(struct dump_position){0}, &w, &sum), -ENOENT);
	assert_int_equal(dumps_page(d, 60 * SECOND, ids[1], 0, &(struct dump_position){0}, &w, &sum), 0);
	assert_true(begin_dump(d, 60 * SECOND) > ids[DUMPS_MAX - 1]);
	/* Asked for or not, none lives for more than an hour. */
	for (int64_t s = 90; s < 3600; s += 30)
		assert_int_equal(dumps_page(d, s * SECOND, ids[1], 0, &(struct dump_position){0}, &w, &sum), 0);
	dumps_expire(d, 3600 * SECOND);
	assert_int_equal(dumps_page(d, 3600 * SECOND, ids[1], 0, &(struct dump_position){0}, &w, &sum), -ENOENT);
	writer_free(&w);
	dumps_free(d);
}

#define story(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(all_that_was_applied_is_in_it_and_every_page_can_be_had_twice),
		story(there_are_few_and_the_forgotten_ones_make_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
