#include "tests/unit/test_apply_store.h"

#include "store/watch.h"

#include <pthread.h>
#include <stdatomic.h>

struct watched {
	struct world w; /* first: setup and teardown of the world */
	struct watch_hub *h;
};

static int hub_setup(void **state)
{
	struct watched *x = calloc(1, sizeof(*x));
	assert_non_null(x);
	world_make(&x->w);
	x->h = watch_hub_new(x->w.m);
	*state = x;
	return 0;
}

static int hub_teardown(void **state)
{
	struct watched *x = *state;
	watch_hub_free(x->h);
	return teardown(state);
}

/* Reads until the watcher is not ready any more; the lines, as a string that lives until the next call. */
static const char *lines_of(struct watched *x, struct watch *w, size_t soft, size_t hard)
{
	static char text[1 << 16];
	struct watch_batch b = {.format = watch_format_line, .bytes_soft = soft, .bytes_hard = hard};
	size_t size = 0;
	do {
		writer_clear(&b.out);
		b.events = 0;
		assert_int_equal(watch_read(x->h, w, &b), 0);
		assert_true(size + b.out.size < sizeof(text));
		if (b.out.size > 0)
			memcpy(text + size, b.out.data, b.out.size);
		size += b.out.size;
	} while (watch_ready(x->h, w));
	text[size] = '\0';
	writer_free(&b.out);
	return text;
}

static const char *all_lines(struct watched *x, struct watch *w)
{
	return lines_of(x, w, 4096, 65536);
}

static void a_watcher_sees_what_its_filter_says(void **state)
{
	struct watched *x = *state;
	struct world *w = &x->w;
	struct watch key, dir, all;
	watch_begin(x->h, &key, text("d/k"), false, 0);
	watch_begin(x->h, &dir, text("d/"), true, 0);
	watch_begin(x->h, &all, text(""), true, 0);
	assert_false(watch_ready(x->h, &key));
	put(w, "d/k", "1");
	put(w, "d/kk", "1");
	put(w, "other", "1");
	rename_flags(w, "other", "d/k", 0);
	rename_flags(w, "d/k", "away", 0);
	RUN(w, .type = COMMAND_UNLINK, .key = text("d/kk"));
	assert_string_equal(all_lines(x, &key), "2\tput\td/k\n5\trename\tother\td/k\n6\trename\td/k\taway\n");
	assert_string_equal(all_lines(x, &dir),
			    "2\tput\td/k\n3\tput\td/kk\n5\trename\tother\td/k\n6\trename\td/k\taway\n7\tdelete\td/kk\n");
	assert_string_equal(
		all_lines(x, &all),
		"2\tput\td\n2\tput\td/k\n3\tput\td/kk\n4\tput\tother\n5\trename\tother\td/k\n6\trename\td/k\taway\n7\tdelete\td/kk\n");
	assert_string_equal(all_lines(x, &all), "");
	assert_false(watch_ready(x->h, &all));
	watch_end(&key);
	watch_end(&dir);
	watch_end(&all);
}

static void a_watcher_goes_on_from_any_revision(void **state)
{
	struct watched *x = *state;
	struct watch early, late;
	for (int i = 0; i < 10; i++)
		put(&x->w, "k", "x");
	/* Older than the hub, so from the store; then with the ring; then before it has come to pass. */
	struct watch_hub *newer = watch_hub_new(x->w.m);
	struct watched y = {.w = x->w, .h = newer};
	watch_begin(newer, &early, text("k"), false, 9);
	assert_string_equal(all_lines(&y, &early), "9\tput\tk\n10\tput\tk\n11\tput\tk\n");
	watch_begin(newer, &late, text("k"), false, 13);
	put(&x->w, "k", "x");
	assert_false(watch_ready(newer, &late));
	assert_string_equal(all_lines(&y, &late), "");
	put(&x->w, "k", "x");
	assert_string_equal(all_lines(&y, &late), "13\tput\tk\n");
	assert_string_equal(all_lines(&y, &early), "12\tput\tk\n13\tput\tk\n");
	watch_end(&early);
	watch_end(&late);
	watch_hub_free(newer);
}

static void a_batch_is_made_of_whole_revisions(void **state)
{
	struct watched *x = *state;
	struct writer pairs = {0};
	struct watch w;
	watch_begin(x->h, &w, text(""), true, 0);
	for (const char *key = "abcdefgh"; *key; key++) {
		writer_u32(&pairs, 1);
		writer_u8(&pairs, (uint8_t)*key);
		writer_string(&pairs, "v");
	}
	for (int i = 0; i < 4; i++)
		RUN(&x->w, .type = COMMAND_LOAD, .value = {pairs.data, pairs.size});
	writer_free(&pairs);
	/* A line is 8 bytes, so a revision is 64. */
	struct watch_batch b = {.format = watch_format_line, .bytes_soft = 130, .bytes_hard = 1000};
	assert_int_equal(watch_read(x->h, &w, &b), 0);
	assert_int_equal(b.events, 16);
	assert_int_equal(w.next.main, 4);
	assert_int_equal(w.next.sub, 0);
	/* One that is larger than it likes comes alone, and whole. */
	writer_clear(&b.out);
	b.events = 0;
	b.bytes_soft = 10;
	assert_int_equal(watch_read(x->h, &w, &b), 0);
	assert_int_equal(b.events, 8);
	assert_int_equal(w.next.main, 5);
	/* Only one that is larger than it can be is cut, and then goes on where it was. */
	writer_clear(&b.out);
	b.events = 0;
	b.bytes_hard = 17;
	assert_int_equal(watch_read(x->h, &w, &b), 0);
	assert_int_equal(b.events, 3);
	assert_int_equal(w.next.main, 5);
	assert_true(w.next.sub > 0);
	assert_string_equal(lines_of(x, &w, 10, 17), "5\tput\td\n5\tput\te\n5\tput\tf\n5\tput\tg\n5\tput\th\n");
	writer_free(&b.out);
	watch_end(&w);
}

/* More than the ring holds, and more than it follows. */
static void who_comes_late_misses_nothing(void **state)
{
	struct watched *x = *state;
	struct writer pairs = {0};
	struct watch slow, fast;
	char key[32];
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "k%05d", i);
		writer_string(&pairs, key);
		writer_string(&pairs, "");
	}
	watch_begin(x->h, &slow, text("k04999"), false, 0);
	watch_begin(x->h, &fast, text("k00000"), false, 0);
	char expected[256] = "";
	for (int i = 2; i < 10; i++) {
		RUN(&x->w, .type = COMMAND_LOAD, .value = {pairs.data, pairs.size});
		snprintf(key, sizeof(key), "%d\tput\tk00000\n", i);
		assert_string_equal(all_lines(x, &fast), key);
		snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%d\tput\tk04999\n", i);
	}
	assert_string_equal(all_lines(x, &slow), expected);
	writer_free(&pairs);
	watch_end(&slow);
	watch_end(&fast);
}

static void who_fell_behind_compaction_is_told(void **state)
{
	struct watched *x = *state;
	struct watch behind, ahead;
	struct watch_hub *newer;
	for (int i = 0; i < 6; i++)
		put(&x->w, "k", "x");
	assert_int_equal(RUN(&x->w, .type = COMMAND_COMPACT, .revision = 5), 0);
	newer = watch_hub_new(x->w.m);
	struct watched y = {.w = x->w, .h = newer};
	struct watch_batch b = {.format = watch_format_line, .bytes_soft = 100, .bytes_hard = 1000};
	watch_begin(newer, &behind, text("k"), false, 5);
	watch_begin(newer, &ahead, text("k"), false, 6);
	assert_int_equal(watch_read(newer, &behind, &b), -ENODATA);
	assert_int_equal(watch_oldest(newer), 6);
	assert_int_equal(b.out.size, 0);
	assert_string_equal(all_lines(&y, &ahead), "6\tput\tk\n7\tput\tk\n");
	watch_end(&behind);
	watch_end(&ahead);
	watch_hub_free(newer);
	writer_free(&b.out);
}

struct counting_listener {
	struct watch_listener listener;
	int count;
};

static void count_wake(struct watch_listener *l)
{
	((struct counting_listener *)l)->count++;
}

static void listeners_are_told_once_for_each_batch_that_changed_something(void **state)
{
	struct watched *x = *state;
	struct counting_listener a = {.listener.wake = count_wake}, b = a;
	watch_listen(x->h, &a.listener);
	watch_listen(x->h, &b.listener);
	watch_hub_applied(x->h);
	assert_int_equal(a.count, 0);
	put(&x->w, "k", "1");
	put(&x->w, "k", "2");
	watch_hub_applied(x->h);
	watch_hub_applied(x->h);
	assert_int_equal(a.count, 1);
	watch_unlisten(x->h, &a.listener);
	put(&x->w, "k", "3");
	watch_hub_applied(x->h);
	assert_int_equal(a.count, 1);
	assert_int_equal(b.count, 2);
	watch_unlisten(x->h, &b.listener);
}

#define WATCHERS 4
#define REVISIONS 3000

struct follower {
	struct watched *x;
	uint64_t from;
	size_t soft;
	uint64_t seen;
	bool wrong;
};

static void check_line(struct writer *out, const struct mvcc_event *e)
{
	writer_u64(out, e->rev.main);
}

static void *follow(void *arg)
{
	struct follower *f = arg;
	struct watch w;
	struct watch_batch b = {.format = check_line, .bytes_soft = f->soft, .bytes_hard = 1 << 20};
	uint64_t next = f->from;
	watch_begin(f->x->h, &w, text("k"), false, f->from);
	while (next < REVISIONS + 2 && !f->wrong) {
		writer_clear(&b.out);
		b.events = 0;
		f->wrong = watch_read(f->x->h, &w, &b) != 0;
		struct reader in = reader_over(b.out.data, b.out.size);
		while (reader_left(&in) > 0 && !f->wrong)
			f->wrong = reader_u64(&in) != next++;
		f->seen += b.events;
	}
	writer_free(&b.out);
	watch_end(&w);
	return NULL;
}

static void many_watchers_each_see_every_revision_once_while_it_is_written(void **state)
{
	struct watched *x = *state;
	pthread_t threads[WATCHERS];
	struct follower all[WATCHERS];
	for (int i = 0; i < WATCHERS; i++) {
		all[i] = (struct follower){.x = x, .from = 2 + 10 * (uint64_t)i, .soft = (size_t)8 << (3 * i)};
		assert_int_equal(pthread_create(&threads[i], NULL, follow, &all[i]), 0);
	}
	for (int i = 0; i < REVISIONS; i++)
		assert_int_equal(put(&x->w, "k", "v"), 0);
	for (int i = 0; i < WATCHERS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(all[i].wrong);
		assert_int_equal(all[i].seen, REVISIONS - 10 * i);
	}
}

static void names_are_escaped_as_ls_does(void **state)
{
	(void)state;
	struct writer out = {0};
	watch_escape(&out, text("a b\\c\n\t\a\b\f\r\v\033\177\"'\303\251\302\205\377\340\240\200z"));
	writer_u8(&out, 0);
	assert_string_equal((const char *)out.data, "a\\ b\\\\c\\n\\t\\a\\b\\f\\r\\v\\033\\177\"'\303\251\\302\\205\\377\340\240\200z");
	writer_free(&out);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, hub_setup, hub_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_watcher_sees_what_its_filter_says),
		STORY(a_watcher_goes_on_from_any_revision),
		STORY(a_batch_is_made_of_whole_revisions),
		STORY(who_comes_late_misses_nothing),
		STORY(who_fell_behind_compaction_is_told),
		STORY(listeners_are_told_once_for_each_batch_that_changed_something),
		STORY(many_watchers_each_see_every_revision_once_while_it_is_written),
		cmocka_unit_test(names_are_escaped_as_ls_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
