/* A store as a stream of chunks, and a store made of it: the same, whatever happens on the way; or refused. */
#include "tests/unit/test_mvcc.h"

#include "base/crc32c.h"
#include "store/mvcc/dump.h"

#include <dirent.h>
#include <endian.h>
#include <sys/wait.h>

#define CHUNKS_MAX 64

/* A dump, taken whole. */
struct stream {
	struct writer manifest;
	struct writer chunks[CHUNKS_MAX];
	size_t count;
	uint32_t sum;
};

static const struct span stream_name = {"stream 1", 8};

static void block_put(struct fixture *f, uint64_t ino, uint32_t block, uint8_t byte)
{
	static uint8_t data[MVCC_BLOCK_BYTES];
	memset(data, byte, sizeof data);
	mvcc_put_block(f->m, ino, block, (struct span){data, sizeof data});
}

/* A file of blocks, changed in its middle, renamed; small files with history; directories; metas; stages. About 2 MB. */
static void write_much(struct fixture *f)
{
	put_dir(f, "d");
	for (int i = 0; i < 40; i++) {
		char key[32], text_of[64];
		snprintf(key, sizeof key, "d/file %02d", i % 20);
		snprintf(text_of, sizeof text_of, "content %d", i);
		put_file(f, key, text_of);
	}
	delete_key(f, "d/file 07");
	begin(f);
	uint64_t ino = mvcc_next_ino(f->m);
	struct record big = {
		.mode = S_IFREG | 0644, .key = text("big"), .ino = ino, .nlink = 1, .version = 1, .size = 50 * MVCC_BLOCK_BYTES};
	big.modified.main = big.created.main = mvcc_next_revision(f->m);
	mvcc_put(f->m, &big);
	for (uint32_t b = 0; b < 50; b++)
		block_put(f, ino, b, (uint8_t)b);
	end(f);
	begin(f);
	big.modified.main = mvcc_next_revision(f->m);
	big.version = 2;
	mvcc_put(f->m, &big);
	block_put(f, ino, 20, 0xaa);
	mvcc_put_block(f->m, ino, 21, (struct span){NULL, 0});
	end(f);
	touch_dir(f, "d", 5);
	static uint8_t chunk[300000];
	memset(chunk, 0x5a, sizeof chunk);
	begin(f);
	mvcc_put_meta(f->m, text("session/1"), text("one"));
	mvcc_put_meta(f->m, text("members"), text("all"));
	mvcc_stage_put(f->m, &(struct stage_id){1, 2, 3}, 0, (struct span){chunk, sizeof chunk});
	mvcc_stage_put(f->m, &(struct stage_id){1, 2, 3}, 1, text("end"));
	end(f);
	assert_int_equal(mvcc_flush(f->m), 0);
}

static struct stream take_stream(struct fixture *f)
{
	struct stream s = {0};
	struct mvcc_dump *d;
	struct dump_position at = {0};
	struct dump_manifest m;
	struct load_progress p = {0};
	int more = 1;
	assert_int_equal(mvcc_dump_open(f->m, &d), 0);
	writer_raw(&s.manifest, mvcc_dump_manifest(d).data, mvcc_dump_manifest(d).size);
	assert_int_equal(dump_manifest_decode(mvcc_dump_manifest(d), &m), 0);
	while (more) {
		assert_true(s.count < CHUNKS_MAX);
		struct writer *w = &s.chunks[s.count++];
		more = mvcc_dump_read(d, &at, w);
		assert_in_range(more, 0, 1);
		assert_true(w->size <= DUMP_CHUNK_BYTES_MAX);
		assert_int_equal(dump_chunk_check(&m, (struct span){w->data, w->size}, &p), 0);
	}
	s.sum = p.sum;
	assert_int_equal(dump_end_check(&m, &p, p.sum), 0);
	mvcc_dump_close(d);
	return s;
}

static void free_stream(struct stream *s)
{
	writer_free(&s->manifest);
	for (size_t i = 0; i < s->count; i++)
		writer_free(&s->chunks[i]);
}

static struct span chunk_of(const struct stream *s, size_t i)
{
	return (struct span){s->chunks[i].data, s->chunks[i].size};
}

static struct span manifest_of(const struct stream *s)
{
	return (struct span){s->manifest.data, s->manifest.size};
}

static void target_dir(const struct fixture *f, char *dir, size_t size)
{
	snprintf(dir, size, "%.200s.new", f->dir);
}

static int try_load(struct fixture *f, const struct stream *s, struct span name, uint64_t cluster, struct mvcc_load **out)
{
	char dir[256], why[512] = "";
	target_dir(f, dir, sizeof dir);
	struct mvcc_load_config config = {.dir = dir, .cluster_id = cluster, .map_bytes = (uint64_t)1 << 30, .no_sync = true};
	int error = mvcc_load_open(&config, name, manifest_of(s), out, why, sizeof why);
	if (error)
		assert_true(why[0] != 0 && !strchr(why, '\n'));
	return error;
}

static struct mvcc_load *load(struct fixture *f, const struct stream *s)
{
	struct mvcc_load *l = NULL;
	assert_int_equal(try_load(f, s, stream_name, CLUSTER, &l), 0);
	return l;
}

static void load_rest(struct mvcc_load *l, const struct stream *s)
{
	for (size_t i = mvcc_load_progress(l)->chunks; i < s->count; i++)
		assert_int_equal(mvcc_load_chunk(l, chunk_of(s, i)), 0);
	assert_int_equal(mvcc_load_finish(l, s->sum), 0);
	mvcc_load_close(l);
}

static void open_loaded(const struct fixture *f, uint64_t cluster, struct fixture *out)
{
	*out = (struct fixture){0};
	target_dir(f, out->dir, sizeof out->dir);
	char why[512] = "";
	if (store_try(out, cluster, why, sizeof why))
		fail_msg("%s", why);
	out->index = mvcc_applied(out->m);
	out->now = mvcc_last_time(out->m);
}

static void close_loaded(struct fixture *g)
{
	mvcc_close(g->m);
	assert_int_equal(mvcc_load_remove(g->dir), 0);
}

static int same_record(void *ctx, const struct record *r)
{
	struct fixture *g = ctx;
	struct record other = {0};
	assert_int_equal(mvcc_get(g->m, r->key, r->stored.main, &other), 0);
	assert_int_equal(other.ino, r->ino);
	assert_int_equal(other.size, r->size);
	assert_int_equal(other.mode, r->mode);
	assert_int_equal(other.version, r->version);
	assert_int_equal(other.modified.main, r->modified.main);
	assert_int_equal(other.data.size, r->data.size);
	if (r->data.size > 0)
		assert_memory_equal(other.data.data, r->data.data, r->data.size);
	record_done(&other);
	return 0;
}

static void same_big_file(struct fixture *f, struct fixture *g, uint64_t rev)
{
	static uint8_t a[50 * MVCC_BLOCK_BYTES], b[50 * MVCC_BLOCK_BYTES];
	struct record x = {0}, y = {0};
	assert_int_equal(mvcc_get(f->m, text("big"), rev, &x), 0);
	assert_int_equal(mvcc_get(g->m, text("big"), rev, &y), 0);
	assert_int_equal(mvcc_read(f->m, &x, 0, a, sizeof a), sizeof a);
	assert_int_equal(mvcc_read(g->m, &y, 0, b, sizeof b), sizeof b);
	assert_memory_equal(a, b, sizeof a);
	record_done(&x);
	record_done(&y);
}

static int add_size(void *ctx, struct span data)
{
	*(size_t *)ctx += data.size;
	return 0;
}

static void must_be_same(struct fixture *f, struct fixture *g)
{
	void *meta;
	size_t size = 0, staged = 0;
	struct span none = {NULL, 0};
	assert_int_equal(mvcc_revision(g->m), mvcc_revision(f->m));
	assert_int_equal(mvcc_applied(g->m), mvcc_applied(f->m));
	assert_int_equal(mvcc_last_time(g->m), mvcc_last_time(f->m));
	for (uint64_t rev = 1; rev <= mvcc_revision(f->m); rev++) {
		uint64_t keys, other;
		assert_int_equal(mvcc_range(f->m, none, none, rev, 0, same_record, g), 0);
		assert_int_equal(mvcc_count(f->m, none, none, rev, &keys), 0);
		assert_int_equal(mvcc_count(g->m, none, none, rev, &other), 0);
		assert_int_equal(keys, other);
	}
	same_big_file(f, g, 0);
	same_big_file(f, g, mvcc_revision(f->m) - 2);
	assert_int_equal(mvcc_get_meta(g->m, text("session/1"), &meta, &size), 0);
	assert_memory_equal(meta, "one", 3);
	free(meta);
	begin(g);
	assert_int_equal(mvcc_stage_read(g->m, &(struct stage_id){1, 2, 3}, add_size, &staged), 0);
	assert_int_equal(staged, 300003);
	assert_int_equal(mvcc_next_ino(g->m), 24);
	end(g);
}

static void a_store_loaded_from_a_dump_is_the_same(void **state)
{
	struct fixture *f = *state, g;
	uint64_t index = 0, term = 0;
	write_much(f);
	struct stream s = take_stream(f);
	assert_in_range(s.count, 6, 20);
	load_rest(load(f, &s), &s);
	open_loaded(f, CLUSTER, &g);
	must_be_same(f, &g);
	assert_true(mvcc_origin(g.m, &index, &term));
	assert_int_equal(index, f->index);
	assert_int_equal(term, 1);
	assert_false(mvcc_origin(f->m, &index, &term));
	put_file(&g, "d/file 01", "it goes on");
	close_loaded(&g);
	free_stream(&s);
}

static void a_dump_shows_one_commit_whatever_is_written_meanwhile(void **state)
{
	struct fixture *f = *state, g;
	struct mvcc_dump *d;
	struct dump_manifest m;
	write_much(f);
	struct stream before = take_stream(f);
	uint64_t revision = mvcc_revision(f->m);
	assert_int_equal(mvcc_dump_open(f->m, &d), 0);
	for (int i = 0; i < 20; i++) {
		put_file(f, "later", "x");
		assert_int_equal(mvcc_flush(f->m), 0);
	}
	assert_int_equal(dump_manifest_decode(mvcc_dump_manifest(d), &m), 0);
	assert_int_equal(m.revision, revision);
	struct dump_position at = {0};
	for (size_t i = 0; i < before.count; i++) {
		struct writer w = {0};
		assert_int_equal(mvcc_dump_read(d, &at, &w), i + 1 < before.count);
		assert_int_equal(w.size, before.chunks[i].size);
		assert_memory_equal(w.data, before.chunks[i].data, w.size);
		writer_free(&w);
	}
	mvcc_dump_close(d);
	load_rest(load(f, &before), &before);
	open_loaded(f, CLUSTER, &g);
	assert_int_equal(mvcc_revision(g.m), revision);
	close_loaded(&g);
	free_stream(&before);
}

static void a_load_goes_on_from_every_chunk(void **state)
{
	struct fixture *f = *state, g;
	write_much(f);
	struct stream s = take_stream(f);
	for (size_t i = 0; i < s.count; i++) {
		struct mvcc_load *l = load(f, &s);
		assert_int_equal(mvcc_load_progress(l)->chunks, i);
		assert_int_equal(mvcc_load_chunk(l, chunk_of(&s, i)), 0);
		mvcc_load_close(l);
	}
	load_rest(load(f, &s), &s);
	load_rest(load(f, &s), &s);
	open_loaded(f, CLUSTER, &g);
	must_be_same(f, &g);
	close_loaded(&g);
	free_stream(&s);
}

/* A process that dies with chunks in memory, and with more of them than one transaction takes. */
static void a_load_that_dies_goes_on_from_its_last_commit(void **state)
{
	struct fixture *f = *state, g;
	write_much(f);
	begin(f);
	put(f, "another", S_IFREG | 0644, "", 0);
	uint64_t ino = mvcc_next_ino(f->m);
	for (uint32_t b = 0; b < 300; b++)
		block_put(f, ino, b, (uint8_t)(b + 1));
	end(f);
	assert_int_equal(mvcc_flush(f->m), 0);
	struct stream s = take_stream(f);
	for (size_t round = 1; round <= s.count; round += 5) {
		fflush(NULL);
		pid_t pid = fork();
		if (pid == 0) {
			struct mvcc_load *l = NULL;
			if (try_load(f, &s, stream_name, CLUSTER, &l))
				_exit(1);
			size_t from = mvcc_load_progress(l)->chunks;
			for (size_t i = from; i < s.count && i < from + round; i++)
				if (mvcc_load_chunk(l, chunk_of(&s, i)))
					_exit(1);
			_exit(0);
		}
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	struct mvcc_load *l = load(f, &s);
	assert_true(mvcc_load_progress(l)->chunks > 0);
	load_rest(l, &s);
	open_loaded(f, CLUSTER, &g);
	assert_int_equal(mvcc_revision(g.m), mvcc_revision(f->m));
	close_loaded(&g);
	free_stream(&s);
}

static void what_is_not_finished_is_no_store_and_what_is_of_another_stream_goes(void **state)
{
	struct fixture *f = *state, g = {0};
	char why[512] = "";
	struct mvcc_load *l;
	write_much(f);
	struct stream s = take_stream(f);
	l = load(f, &s);
	assert_int_equal(mvcc_load_chunk(l, chunk_of(&s, 0)), 0);
	assert_int_equal(mvcc_load_finish(l, s.sum), -EBADMSG);
	mvcc_load_close(l);
	target_dir(f, g.dir, sizeof g.dir);
	assert_int_equal(store_try(&g, CLUSTER, why, sizeof why), -EBADMSG);
	assert_non_null(strstr(why, "not a store"));
	assert_int_equal(try_load(f, &s, text("another"), CLUSTER, &l), 0);
	assert_int_equal(mvcc_load_progress(l)->chunks, 0);
	load_rest(l, &s);
	assert_int_equal(try_load(f, &s, stream_name, CLUSTER, &l), 0);
	assert_int_equal(mvcc_load_progress(l)->chunks, 0);
	load_rest(l, &s);
	assert_int_equal(try_load(f, &s, stream_name, CLUSTER + 1, &l), -EBADMSG);
	open_loaded(f, CLUSTER, &g);
	close_loaded(&g);
	free_stream(&s);
}

static bool keep_members(struct span meta)
{
	return meta.size == 7 && memcmp(meta.data, "members", 7) == 0;
}

static void a_restored_store_begins_a_cluster_of_its_own(void **state)
{
	struct fixture *f = *state, g;
	char dir[256], why[512];
	struct mvcc_load *l;
	void *meta;
	size_t size = 0, staged = 0;
	write_much(f);
	struct stream s = take_stream(f);
	target_dir(f, dir, sizeof dir);
	struct mvcc_load_config config = {
		.dir = dir, .cluster_id = 77, .keep = keep_members, .map_bytes = (uint64_t)1 << 30, .no_sync = true};
	assert_int_equal(mvcc_load_open(&config, stream_name, manifest_of(&s), &l, why, sizeof why), 0);
	load_rest(l, &s);
	open_loaded(f, 77, &g);
	assert_string_equal(content(&g, "d/file 03", 0), content(f, "d/file 03", 0));
	same_big_file(f, &g, 0);
	assert_int_equal(mvcc_get_meta(g.m, text("session/1"), &meta, &size), -ENOENT);
	assert_int_equal(mvcc_get_meta(g.m, text("members"), &meta, &size), 0);
	free(meta);
	begin(&g);
	assert_int_equal(mvcc_stage_read(g.m, &(struct stage_id){1, 2, 3}, add_size, &staged), -ENOENT);
	end(&g);
	close_loaded(&g);
	free_stream(&s);
}

static void chunks_out_of_order_twice_or_missing_are_refused(void **state)
{
	struct fixture *f = *state, g;
	write_much(f);
	struct stream s = take_stream(f);
	struct mvcc_load *l = load(f, &s);
	assert_int_equal(mvcc_load_chunk(l, chunk_of(&s, 0)), 0);
	assert_int_equal(mvcc_load_chunk(l, chunk_of(&s, 1)), 0);
	assert_int_equal(mvcc_load_chunk(l, chunk_of(&s, 0)), -EBADMSG);
	assert_int_equal(mvcc_load_chunk(l, chunk_of(&s, 1)), -EBADMSG);
	assert_int_equal(mvcc_load_progress(l)->chunks, 2);
	load_rest(l, &s);
	assert_int_equal(try_load(f, &s, text("with a gap"), CLUSTER, &l), 0);
	for (size_t i = 0; i < s.count; i++)
		if (i != 3)
			assert_int_equal(mvcc_load_chunk(l, chunk_of(&s, i)), 0);
	assert_int_equal(mvcc_load_finish(l, mvcc_load_progress(l)->sum), -EBADMSG);
	assert_int_equal(mvcc_load_finish(l, s.sum), -EBADMSG);
	mvcc_load_close(l);
	load_rest(load(f, &s), &s);
	open_loaded(f, CLUSTER, &g);
	close_loaded(&g);
	free_stream(&s);
}

/* Checks the stream with chunk `which` replaced; true if it is refused somewhere. */
static bool is_refused(const struct stream *s, size_t which, struct span instead)
{
	struct dump_manifest m;
	struct load_progress p = {0};
	assert_int_equal(dump_manifest_decode(manifest_of(s), &m), 0);
	for (size_t i = 0; i < s->count; i++)
		if (dump_chunk_check(&m, i == which ? instead : chunk_of(s, i), &p))
			return true;
	return dump_end_check(&m, &p, s->sum) != 0;
}

static void no_byte_of_a_stream_changes_unseen(void **state)
{
	struct fixture *f = *state;
	struct dump_manifest m;
	put_file(f, "a", "some content");
	put_file(f, "a", "some more");
	begin(f);
	put(f, "b", S_IFREG | 0644, "", 0);
	block_put(f, 9, 0, 1);
	mvcc_put_meta(f->m, text("session/1"), text("one"));
	mvcc_stage_put(f->m, &(struct stage_id){1, 2, 3}, 0, text("staged"));
	end(f);
	assert_int_equal(mvcc_flush(f->m), 0);
	struct stream s = take_stream(f);
	assert_int_equal(s.count, 1);
	assert_false(is_refused(&s, 0, chunk_of(&s, 0)));
	for (size_t i = 0; i < s.chunks[0].size; i += i < 1200 ? 1 : 97) {
		s.chunks[0].data[i] ^= 0x10;
		assert_true(is_refused(&s, 0, chunk_of(&s, 0)));
		s.chunks[0].data[i] ^= 0x10;
	}
	for (size_t size = 0; size < s.chunks[0].size; size += size < 1200 ? 1 : 97)
		assert_true(is_refused(&s, 0, (struct span){s.chunks[0].data, size}));
	for (size_t i = 0; i < s.manifest.size; i++) {
		s.manifest.data[i] ^= 0x10;
		/* Neither the estimate of the bytes nor the counts are under its checksum; the counts are those of the stream. */
		bool estimate = i >= s.manifest.size - 8;
		assert_true(estimate || dump_manifest_decode(manifest_of(&s), &m) || is_refused(&s, 0, chunk_of(&s, 0)));
		s.manifest.data[i] ^= 0x10;
	}
	free_stream(&s);
}

/* An entry made by hand, in a stream that expects it. */
static bool entry_is_taken(const struct stream *s, uint8_t database, const void *key, size_t key_size, const void *value, size_t value_size)
{
	struct dump_manifest m;
	struct load_progress p = {0};
	struct writer w = {0};
	assert_int_equal(dump_manifest_decode(manifest_of(s), &m), 0);
	for (unsigned i = 0; i < DUMP_DATABASES; i++)
		m.entries[i] = 10;
	writer_u8(&w, database);
	writer_u16(&w, (uint16_t)key_size);
	writer_u32(&w, (uint32_t)value_size);
	writer_raw(&w, key, key_size);
	writer_raw(&w, value, value_size);
	int error = dump_chunk_check(&m, (struct span){w.data, w.size}, &p);
	assert_true(error == 0 || error == -EBADMSG);
	writer_free(&w);
	return error == 0;
}

/* With the checksum that such entries have. */
static bool checked_is_taken(const struct stream *s, uint8_t database, const void *key, size_t key_size, const void *value,
			     size_t value_size)
{
	uint8_t bytes[16] = {0};
	assert_in_range(value_size, 0, sizeof bytes - 4);
	if (value_size > 0)
		memcpy(bytes, value, value_size);
	uint32_t crc = htobe32(crc32c(crc32c(0, key, key_size), value, value_size));
	memcpy(bytes + value_size, &crc, sizeof crc);
	bool taken = entry_is_taken(s, database, key, key_size, bytes, value_size + 4);
	bytes[value_size] ^= 1;
	assert_false(entry_is_taken(s, database, key, key_size, bytes, value_size + 4));
	return taken;
}

static void entries_that_make_no_sense_are_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t zeros[600] = {0};
	put_file(f, "a", "1");
	assert_int_equal(mvcc_flush(f->m), 0);
	struct stream s = take_stream(f);
	assert_true(checked_is_taken(&s, 3, "uname", 5, "v", 1));
	assert_true(checked_is_taken(&s, 4, zeros, 28, "", 0));
	assert_true(entry_is_taken(&s, 2, zeros, 24, "", 0));
	assert_false(checked_is_taken(&s, 0, "uname", 5, "v", 1));
	assert_false(checked_is_taken(&s, 5, "uname", 5, "v", 1));
	assert_false(checked_is_taken(&s, 3, "sstate", 6, "v", 1));
	assert_false(checked_is_taken(&s, 3, "lload", 5, "v", 1));
	assert_false(checked_is_taken(&s, 3, "u", 1, "v", 1));
	assert_false(entry_is_taken(&s, 3, "uname", 5, "", 0));
	assert_false(entry_is_taken(&s, 3, "", 0, "v", 1));
	memset(zeros, 'u', sizeof zeros);
	assert_false(entry_is_taken(&s, 3, zeros, 512, "v", 1));
	memset(zeros, 0, sizeof zeros);
	assert_false(checked_is_taken(&s, 4, zeros, 27, "", 0));
	assert_false(entry_is_taken(&s, 1, zeros, 12, zeros, 3));
	assert_false(entry_is_taken(&s, 1, zeros, 12, zeros, 200));
	assert_false(entry_is_taken(&s, 2, zeros, 24, "x", 1));
	assert_false(entry_is_taken(&s, 2, zeros, 23, "", 0));
	free_stream(&s);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char dir[256];
	target_dir(f, dir, sizeof dir);
	mvcc_load_remove(dir);
	return fixture_teardown(state);
}

#define story(name) cmocka_unit_test_setup_teardown(name, fixture_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(a_store_loaded_from_a_dump_is_the_same),
		story(a_dump_shows_one_commit_whatever_is_written_meanwhile),
		story(a_load_goes_on_from_every_chunk),
		story(a_load_that_dies_goes_on_from_its_last_commit),
		story(what_is_not_finished_is_no_store_and_what_is_of_another_stream_goes),
		story(a_restored_store_begins_a_cluster_of_its_own),
		story(chunks_out_of_order_twice_or_missing_are_refused),
		story(no_byte_of_a_stream_changes_unseen),
		story(entries_that_make_no_sense_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
