/* @watch files: to whom a change matters, and how much of the lines a read gets. */
#include "fs/stream.h"
#include "fs/watchers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct watcher *watch(struct watchers *t, const char *key, bool below)
{
	struct watcher *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->key = (struct span){key, strlen(key)};
	w->below = below;
	watchers_add(t, w);
	return w;
}

struct told {
	const struct watcher *of;
	int times;
	int all;
};

static void tell(void *ctx, struct watcher *w)
{
	struct told *told = ctx;
	told->times += w == told->of;
	told->all++;
}

static int times(struct watchers *t, const char *key, const struct watcher *w)
{
	struct told told = {.of = w};
	watchers_match(t, (struct span){key, strlen(key)}, tell, &told);
	return told.times;
}

static int everyone(struct watchers *t, const char *key)
{
	struct told told = {0};
	watchers_match(t, (struct span){key, strlen(key)}, tell, &told);
	return told.all;
}

static void a_change_matters_to_its_key_and_to_all_directories_above_it(void **state)
{
	(void)state;
	struct watchers *t = calloc(1, sizeof(*t));
	struct watcher *all = watch(t, "", true);
	struct watcher *dir = watch(t, "a", true);
	struct watcher *inner = watch(t, "a/b", true);
	struct watcher *file = watch(t, "a/b/c", false);
	struct watcher *twin = watch(t, "a/b/c", false);

	assert_int_equal(everyone(t, "a/b/c"), 5);
	assert_int_equal(times(t, "a/b/c", file), 1);
	assert_int_equal(times(t, "a/b/c", twin), 1);
	assert_int_equal(times(t, "a/b/c/d", file), 0);
	assert_int_equal(times(t, "a/b/c/d", inner), 1);
	/* Below it, not itself. */
	assert_int_equal(times(t, "a/b", inner), 0);
	assert_int_equal(times(t, "a/b", dir), 1);
	assert_int_equal(everyone(t, "a"), 1);
	assert_int_equal(everyone(t, "ab/c"), 1);
	assert_int_equal(times(t, "ab/c", all), 1);
	watchers_remove(twin);
	watchers_remove(all);
	assert_int_equal(everyone(t, "a/b/c"), 3);
	watchers_remove(file);
	watchers_remove(inner);
	watchers_remove(dir);
	assert_int_equal(everyone(t, "a/b/c"), 0);
	for (struct watcher *w[] = {all, dir, inner, file, twin}, **at = w; at < w + 5; at++)
		free(*at);
	free(t);
}

static void a_directory_and_a_key_of_one_name_are_watched_apart(void **state)
{
	(void)state;
	struct watchers *t = calloc(1, sizeof(*t));
	struct watcher *below = watch(t, "a", true);
	struct watcher *alone = watch(t, "a", false);

	assert_int_equal(times(t, "a", alone), 1);
	assert_int_equal(times(t, "a", below), 0);
	assert_int_equal(times(t, "a/x", alone), 0);
	assert_int_equal(times(t, "a/x", below), 1);
	free(below);
	free(alone);
	free(t);
}

static void a_read_gets_whole_lines_as_many_as_fit(void **state)
{
	(void)state;
	const char *lines = "1\tput\ta\n2\tput\tb\n3\tput\tc\n";

	assert_int_equal(stream_cut(lines, 24, 100), 24);
	assert_int_equal(stream_cut(lines, 24, 24), 24);
	assert_int_equal(stream_cut(lines, 24, 23), 16);
	assert_int_equal(stream_cut(lines, 24, 16), 16);
	assert_int_equal(stream_cut(lines, 24, 9), 8);
}

static void a_line_that_is_longer_than_the_read_comes_in_pieces(void **state)
{
	(void)state;
	const char *lines = "1\tput\ta\n2\tput\tb\n";

	assert_int_equal(stream_cut(lines, 16, 1), 1);
	assert_int_equal(stream_cut(lines + 1, 15, 3), 3);
	assert_int_equal(stream_cut(lines + 4, 12, 8), 4);
	assert_int_equal(stream_cut(lines + 7, 9, 1), 1);
}

static void a_read_of_many_pages_is_never_filled_to_its_end(void **state)
{
	(void)state;
	char lines[8192];

	memset(lines, 'x', sizeof(lines));
	lines[sizeof(lines) - 1] = '\n';
	assert_int_equal(stream_cut(lines, 8192, 8192), 8191);
	assert_int_equal(stream_cut(lines, 8192, 4096), 4095);
	assert_int_equal(stream_cut(lines + 4096, 4096, 8192), 4096);
	assert_int_equal(stream_cut(lines, 8192, 4095), 4095);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_matters_to_its_key_and_to_all_directories_above_it),
		cmocka_unit_test(a_directory_and_a_key_of_one_name_are_watched_apart),
		cmocka_unit_test(a_read_gets_whole_lines_as_many_as_fit),
		cmocka_unit_test(a_line_that_is_longer_than_the_read_comes_in_pieces),
		cmocka_unit_test(a_read_of_many_pages_is_never_filled_to_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
