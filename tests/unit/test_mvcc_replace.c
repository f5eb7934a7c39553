/* A store that is replaced by a later state of itself while it is read: everybody sees the one or the other, and nobody a mixture. */
#include "tests/unit/test_mvcc.h"

#include "store/mvcc/dump.h"

#include <pthread.h>
#include <stdatomic.h>

#define BLOCKS 40u
#define READERS 4

/* What is ahead: the same history, further on. Both are driven by the same commands. */
struct pair {
	struct fixture *behind;
	struct fixture ahead;
	char loaded[300];
};

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof *p);
	void *ahead;
	assert_int_equal(fixture_setup((void **)&p->behind), 0);
	assert_int_equal(fixture_setup(&ahead), 0);
	p->ahead = *(struct fixture *)ahead;
	free(ahead);
	snprintf(p->loaded, sizeof p->loaded, "%.200s.new", p->behind->dir);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;
	void *behind = p->behind;
	mvcc_close(p->ahead.m);
	store_remove(&p->ahead);
	fixture_teardown(&behind);
	mvcc_load_remove(p->loaded);
	free(p);
	return 0;
}

/* A large file all of whose blocks hold `byte`. */
static void put_large(struct fixture *f, const char *key, uint8_t byte)
{
	static uint8_t data[MVCC_BLOCK_BYTES];
	struct record old = {0};
	struct record r = {.mode = S_IFREG | 0644, .nlink = 1, .key = text(key), .size = BLOCKS * MVCC_BLOCK_BYTES};
	memset(data, byte, sizeof data);
	begin(f);
	r.modified.main = r.created.main = mvcc_next_revision(f->m);
	r.ino = mvcc_get(f->m, text(key), 0, &old) == 0 ? old.ino : mvcc_next_ino(f->m);
	mvcc_put(f->m, &r);
	for (uint32_t b = 0; b < BLOCKS; b++)
		mvcc_put_block(f->m, r.ino, b, (struct span){data, sizeof data});
	end(f);
	record_done(&old);
}

static void compact_to(struct fixture *f, uint64_t floor)
{
	begin(f);
	mvcc_compact(f->m, floor);
	end(f);
}

static bool is_compacted(const struct fixture *f)
{
	struct mvcc_stats stats;
	mvcc_stats(f->m, &stats);
	return stats.compacted >= mvcc_compact_revision(f->m);
}

static void wait_for_compaction(struct fixture *f)
{
	const struct timespec nap = {.tv_nsec = 5000000};
	for (int i = 0; i < 2000 && !is_compacted(f); i++)
		nanosleep(&nap, NULL);
	assert_true(is_compacted(f));
}

/* `ahead` as a store of its own, open. */
static struct mvcc *snapshot_of_ahead(struct pair *p)
{
	struct mvcc_dump *d;
	struct mvcc_load *l;
	struct mvcc *m;
	struct writer w = {0};
	struct dump_position at = {0};
	char why[512];
	assert_int_equal(mvcc_flush(p->ahead.m), 0);
	assert_int_equal(mvcc_dump_open(p->ahead.m, &d), 0);
	struct mvcc_load_config config = {.dir = p->loaded, .cluster_id = CLUSTER, .map_bytes = (uint64_t)1 << 32, .no_sync = true};
	assert_int_equal(mvcc_load_open(&config, text("x"), mvcc_dump_manifest(d), &l, why, sizeof why), 0);
	for (int more = 1; more;) {
		writer_clear(&w);
		more = mvcc_dump_read(d, &at, &w);
		assert_int_equal(mvcc_load_chunk(l, (struct span){w.data, w.size}), 0);
	}
	assert_int_equal(mvcc_load_finish(l, mvcc_load_progress(l)->sum), 0);
	mvcc_load_close(l);
	mvcc_dump_close(d);
	writer_free(&w);
	struct mvcc_config open = {.dir = p->loaded, .cluster_id = CLUSTER, .map_bytes = (uint64_t)1 << 32, .no_sync = true};
	assert_int_equal(mvcc_open(&open, &m, why, sizeof why), 0);
	return m;
}

static void replace(struct pair *p)
{
	mvcc_replace(p->behind->m, snapshot_of_ahead(p));
	p->behind->index = mvcc_applied(p->behind->m);
	p->behind->now = p->ahead.now;
}

static void after_it_everything_is_as_in_the_snapshot_and_goes_on(void **state)
{
	struct pair *p = *state;
	struct mvcc_hash a, b;
	struct mvcc_stats stats;
	void *meta;
	size_t size;
	put_file(p->behind, "a", "1");
	put_file(&p->ahead, "a", "1");
	put_file(&p->ahead, "a", "2");
	put_dir(&p->ahead, "d");
	put_file(&p->ahead, "d/b", "3");
	put_large(&p->ahead, "large", 7);
	begin(&p->ahead);
	mvcc_put_meta(p->ahead.m, text("name"), text("value"));
	mvcc_stage_put(p->ahead.m, &(struct stage_id){1, 2, 3}, 0, text("staged"));
	end(&p->ahead);
	replace(p);
	struct fixture *f = p->behind;
	assert_int_equal(mvcc_applied(f->m), p->ahead.index);
	assert_int_equal(mvcc_durable(f->m), p->ahead.index);
	assert_string_equal(content(f, "a", 0), "2");
	assert_string_equal(content(f, "a", 2), "1");
	assert_string_equal(names(f, "d", 0), "b ");
	assert_int_equal(mvcc_get_meta(f->m, text("name"), &meta, &size), 0);
	free(meta);
	mvcc_hash_now(f->m, &a);
	mvcc_hash_now(p->ahead.m, &b);
	assert_int_equal(a.hash, b.hash);
	put_file(f, "a", "4");
	put_file(&p->ahead, "a", "4");
	mvcc_hash_now(f->m, &a);
	mvcc_hash_now(p->ahead.m, &b);
	assert_int_equal(a.hash, b.hash);
	assert_int_equal(mvcc_flush(f->m), 0);
	mvcc_stats(f->m, &stats);
	assert_int_equal(stats.keys, 4);
	assert_int_equal(stats.error, 0);
	assert_int_equal(mvcc_durable(f->m), f->index);
	/* It was the loaded store that went on. */
	mvcc_close(f->m);
	snprintf(f->dir + strlen(f->dir), sizeof f->dir - strlen(f->dir), ".new");
	store_start(f);
	assert_string_equal(content(f, "a", 0), "4");
	f->dir[strlen(f->dir) - 4] = 0;
}

static void what_was_buffered_and_not_committed_is_gone_with_the_old_store(void **state)
{
	struct pair *p = *state;
	for (int i = 0; i < 50; i++) {
		put_file(p->behind, "a", "x");
		put_file(&p->ahead, "a", "x");
	}
	put_file(&p->ahead, "a", "y");
	replace(p);
	assert_string_equal(content(p->behind, "a", 0), "y");
	put_file(p->behind, "b", "z");
	assert_int_equal(mvcc_flush(p->behind->m), 0);
	assert_string_equal(content(p->behind, "b", 0), "z");
	assert_string_equal(content(p->behind, "a", 20), "x");
}

static int read_all(struct fixture *f, const struct record *r, uint8_t byte)
{
	static uint8_t got[BLOCKS * MVCC_BLOCK_BYTES];
	ssize_t n = mvcc_read(f->m, r, 0, got, sizeof got);
	if (n < 0)
		return (int)n;
	assert_int_equal(n, sizeof got);
	for (size_t i = 0; i < sizeof got; i += 1000)
		assert_int_equal(got[i], byte);
	return 0;
}

static void an_open_file_is_read_on_if_the_snapshot_has_its_version_and_else_is_stale(void **state)
{
	struct pair *p = *state;
	struct fixture *both[] = {p->behind, &p->ahead};
	struct record kept = {0}, changed = {0}, changed_late = {0}, deleted = {0};
	for (int i = 0; i < 2; i++) {
		put_large(both[i], "kept", 1);
		put_large(both[i], "changed", 2);
		put_large(both[i], "deleted", 3);
		put_large(both[i], "changed late", 4);
	}
	assert_int_equal(mvcc_flush(p->behind->m), 0);
	assert_int_equal(mvcc_get(p->behind->m, text("kept"), 0, &kept), 0);
	assert_int_equal(mvcc_get(p->behind->m, text("changed"), 0, &changed), 0);
	assert_int_equal(mvcc_get(p->behind->m, text("deleted"), 0, &deleted), 0);
	assert_int_equal(mvcc_get(p->behind->m, text("changed late"), 0, &changed_late), 0);
	put_large(&p->ahead, "changed", 12);
	delete_key(&p->ahead, "deleted");
	uint64_t floor = put_file(&p->ahead, "x", "1");
	put_large(&p->ahead, "changed late", 14);
	compact_to(&p->ahead, floor);
	wait_for_compaction(&p->ahead);
	replace(p);
	assert_int_equal(read_all(p->behind, &kept, 1), 0);
	assert_int_equal(read_all(p->behind, &changed_late, 4), 0);
	assert_int_equal(read_all(p->behind, &changed, 2), -ESTALE);
	assert_int_equal(read_all(p->behind, &deleted, 3), -ESTALE);
	record_done(&kept);
	record_done(&changed);
	record_done(&deleted);
	record_done(&changed_late);
	assert_int_equal(mvcc_get(p->behind->m, text("changed"), 0, &changed), 0);
	assert_int_equal(read_all(p->behind, &changed, 12), 0);
	record_done(&changed);
}

/* Two large files of one command. */
static void put_two(struct fixture *f, const char *keys[2])
{
	static uint8_t data[MVCC_BLOCK_BYTES];
	begin(f);
	for (uint8_t i = 0; i < 2; i++) {
		struct record r = {.mode = S_IFREG | 0644, .nlink = 1, .key = text(keys[i]), .size = BLOCKS * MVCC_BLOCK_BYTES};
		memset(data, i + 1, sizeof data);
		r.modified.main = r.created.main = mvcc_next_revision(f->m);
		r.ino = mvcc_next_ino(f->m);
		mvcc_put(f->m, &r);
		for (uint32_t b = 0; b < BLOCKS; b++)
			mvcc_put_block(f->m, r.ino, b, (struct span){data, sizeof data});
	}
	end(f);
}

static void exchange_keys(struct fixture *f, const char *keys[2])
{
	struct record r[2] = {0};
	for (int i = 0; i < 2; i++)
		assert_int_equal(mvcc_get(f->m, text(keys[i]), 0, &r[i]), 0);
	begin(f);
	for (int i = 0; i < 2; i++) {
		struct record moved = {.mode = S_IFREG | 0644, .nlink = 1, .key = text(keys[1 - i]), .ino = r[i].ino, .size = r[i].size};
		moved.modified.main = moved.created.main = mvcc_next_revision(f->m);
		mvcc_put(f->m, &moved);
	}
	end(f);
	for (int i = 0; i < 2; i++)
		record_done(&r[i]);
}

/* What stood at the floor under the key that it has now is of the same revision, but of the other file. */
static void an_open_file_whose_version_is_gone_is_not_taken_for_one_that_it_changed_places_with(void **state)
{
	struct pair *p = *state;
	const char *keys[2] = {"a", "b"};
	struct record open = {0};
	put_two(p->behind, keys);
	put_two(&p->ahead, keys);
	assert_int_equal(mvcc_flush(p->behind->m), 0);
	assert_int_equal(mvcc_get(p->behind->m, text("a"), 0, &open), 0);
	put_large(&p->ahead, "a", 11);
	uint64_t floor = put_file(&p->ahead, "x", "1");
	exchange_keys(&p->ahead, keys);
	compact_to(&p->ahead, floor);
	wait_for_compaction(&p->ahead);
	replace(p);
	assert_int_equal(read_all(p->behind, &open, 1), -ESTALE);
	record_done(&open);
}

struct reading {
	struct pair *p;
	atomic_bool over;
	atomic_int reads;
	atomic_int torn;
};

/* A file's blocks are all alike; how many there are of its versions only rises. */
static void *keep_reading(void *arg)
{
	struct reading *x = arg;
	struct mvcc *m = x->p->behind->m;
	uint8_t *got = malloc(BLOCKS * MVCC_BLOCK_BYTES);
	uint8_t last = 0;
	while (!atomic_load(&x->over)) {
		struct record r = {0};
		struct mvcc_list l = {0};
		if (mvcc_get(m, text("large"), 0, &r)) {
			atomic_fetch_add(&x->torn, 1);
			continue;
		}
		ssize_t n = mvcc_read(m, &r, 0, got, BLOCKS * MVCC_BLOCK_BYTES);
		bool same = n == (ssize_t)(BLOCKS * MVCC_BLOCK_BYTES) && memcmp(got, got + 1, (size_t)n - 1) == 0;
		if (n != -ESTALE && (!same || got[0] < last))
			atomic_fetch_add(&x->torn, 1);
		last = n > 0 ? got[0] : last;
		if (mvcc_list(m, text(""), 0, &l) || l.count == 0)
			atomic_fetch_add(&x->torn, 1);
		mvcc_list_done(&l);
		record_done(&r);
		atomic_fetch_add(&x->reads, 1);
	}
	free(got);
	return NULL;
}

static void readers_never_see_a_mixture(void **state)
{
	struct pair *p = *state;
	struct reading x = {.p = p};
	pthread_t threads[READERS];
	const struct timespec nap = {.tv_nsec = 1000000};
	put_large(p->behind, "large", 1);
	put_large(&p->ahead, "large", 1);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, keep_reading, &x), 0);
	for (uint8_t round = 2; round < 12; round++) {
		int before = atomic_load(&x.reads);
		put_large(&p->ahead, "large", round);
		uint64_t floor = put_file(&p->ahead, "x", "1");
		if (round % 2 == 0)
			compact_to(&p->ahead, floor);
		wait_for_compaction(&p->ahead);
		replace(p);
		/* What is open stays so without its name. */
		mvcc_load_remove(p->loaded);
		while (atomic_load(&x.reads) < before + READERS && !atomic_load(&x.torn))
			nanosleep(&nap, NULL);
	}
	atomic_store(&x.over, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&x.torn), 0);
}

#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(after_it_everything_is_as_in_the_snapshot_and_goes_on),
		story(what_was_buffered_and_not_committed_is_gone_with_the_old_store),
		story(an_open_file_is_read_on_if_the_snapshot_has_its_version_and_else_is_stale),
		story(an_open_file_whose_version_is_gone_is_not_taken_for_one_that_it_changed_places_with),
		story(readers_never_see_a_mixture),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
