/* -o inotify: what another node changes raises the events that a local file system raises, and what is changed here raises them once. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASKED                                                                                                                              \
	(IN_CREATE | IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_DELETE_SELF | IN_MOVED_FROM | IN_MOVED_TO |         \
	 IN_MOVE_SELF)

static const struct {
	uint32_t bit;
	const char *name;
} kinds[] = {{IN_CREATE, "create"},     {IN_OPEN, "open"},           {IN_MODIFY, "modify"},           {IN_CLOSE_WRITE, "close_write"},
	     {IN_ATTRIB, "attrib"},     {IN_DELETE, "delete"},       {IN_DELETE_SELF, "delete_self"}, {IN_MOVED_FROM, "moved_from"},
	     {IN_MOVED_TO, "moved_to"}, {IN_MOVE_SELF, "move_self"}, {IN_Q_OVERFLOW, "overflow"}};

/* A watcher, and what it has seen, a word an event: KIND:NAME, and a / behind those of directories. */
struct watcher {
	int fd;
	int watches[4]; /* their events begin with their number, but those of the first */
	char seen[1 << 17];
	size_t size;
	uint32_t cookie; /* of the last moved_from */
};

static void watcher_open(struct watcher *w)
{
	*w = (struct watcher){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
	assert_true(w->fd >= 0);
}

static void watcher_add(struct watcher *w, int number, const char *name)
{
	w->watches[number] = inotify_add_watch(w->fd, name, ASKED);
	assert_true(w->watches[number] > 0);
}

static const char *kind_of(uint32_t mask)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (mask & kinds[i].bit)
			return kinds[i].name;
	return "?";
}

static void put_down(struct watcher *w, const struct inotify_event *e)
{
	char number[8] = "";

	/* Whoever reads a directory opens it, and anybody may: a search through /tmp is no change. */
	if (e->mask & IN_IGNORED || (e->mask & IN_OPEN && e->mask & IN_ISDIR))
		return;
	for (int i = 1; i < 4; i++)
		if (w->watches[i] && w->watches[i] == e->wd)
			snprintf(number, sizeof(number), "%d.", i);
	if (e->mask & IN_MOVED_FROM)
		w->cookie = e->cookie;
	/* Of a pair, not of what came from elsewhere. */
	if (e->mask & IN_MOVED_TO && w->cookie) {
		assert_int_equal(e->cookie, w->cookie);
		w->cookie = 0;
	}
	w->size += (size_t)snprintf(w->seen + w->size, sizeof(w->seen) - w->size, "%s%s%s%s%s ", number, kind_of(e->mask),
				    e->len ? ":" : "", e->len ? e->name : "", e->mask & IN_ISDIR ? "/" : "");
}

static bool take(struct watcher *w)
{
	char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t size = read(w->fd, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < size;) {
		const struct inotify_event *e = (const struct inotify_event *)(buffer + at);
		put_down(w, e);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	return size > 0;
}

static bool ends_with(const struct watcher *w, const char *end)
{
	return w->size >= strlen(end) && strcmp(w->seen + w->size - strlen(end), end) == 0;
}

static bool contains(const struct watcher *w, const char *word)
{
	return strstr(w->seen, word) != NULL;
}

static void wait_until_events(struct watcher *w, bool (*are)(const struct watcher *w, const char *words), const char *words)
{
	int64_t until = clock_mono_ns() + CLUSTER_WAIT_MS * INT64_C(1000000);
	struct pollfd p = {.fd = w->fd, .events = POLLIN};

	for (;;) {
		while (take(w))
			;
		if (are(w, words))
			return;
		if (clock_mono_ns() > until)
			cluster_fail("waiting for '%s', but the events are:\n%s", words, w->seen);
		poll(&p, 1, 100);
	}
}

/* Until the events end with these words. */
static void wait_for(struct watcher *w, const char *end)
{
	wait_until_events(w, ends_with, end);
}

struct world {
	struct cluster *c;
	const char *here;
	const char *there;
	struct watcher w;
	int marks;
};

/* Two nodes, and a watch on d on the first. */
static void world_make(struct world *x, const char *options)
{
	*x = (struct world){.c = cluster_up(2, options)};
	x->here = x->c->nodes[0].mount;
	x->there = x->c->nodes[1].mount;
	assert_int_equal(mkdir(path("%s/d", x->there), 0755), 0);
	cluster_agree(x->c);
	watcher_open(&x->w);
	watcher_add(&x->w, 0, path("%s/d", x->here));
}

/* Exactly these were raised since the last time: another node's mark ends them, as events come in order. */
static void expect(struct world *x, const char *expected)
{
	char mark[64], whole[8192];

	cluster_agree(x->c);
	x->marks++;
	assert_int_equal(mkdir(path("%s/d/mark%d", x->there, x->marks), 0755), 0);
	snprintf(mark, sizeof(mark), "create:mark%d/ ", x->marks);
	wait_for(&x->w, mark);
	snprintf(whole, sizeof(whole), "%s%s%s", expected, *expected ? " " : "", mark);
	if (strcmp(x->w.seen, whole) != 0)
		cluster_fail("the events are:\n%s\nand not:\n%s", x->w.seen, whole);
	x->w.size = 0;
	x->w.seen[0] = '\0';
}

static void shell(const char *mount, const char *script)
{
	struct run_result r;

	run_shell(&r, "cd %s && %s", mount, script);
	if (r.status != 0)
		cluster_fail("%s: status %d: %s", script, r.status, r.err);
	run_done(&r);
}

static void world_end(struct world *x)
{
	close(x->w.fd);
}

/* Every kind of change, on the mount `by`: the same events whoever makes it. */
static void go_through_changes(struct world *x, const char *by)
{
	shell(by, "echo one > d/f");
	expect(x, "create:f open:f modify:f close_write:f");
	shell(by, "echo two >> d/f");
	expect(x, "open:f modify:f close_write:f");
	shell(by, "truncate -s 0 d/f");
	expect(x, "open:f modify:f close_write:f");
	shell(by, "chmod 600 d/f");
	expect(x, "attrib:f");
	shell(by, "mv d/f d/g");
	expect(x, "moved_from:f moved_to:g");
	shell(by, "rm d/g");
	expect(x, "delete:g");
	shell(by, "mkdir d/sub");
	expect(x, "create:sub/");
	shell(by, "mv d/sub d/bus");
	expect(x, "moved_from:sub/ moved_to:bus/");
	shell(by, "rmdir d/bus");
	expect(x, "delete:bus/");
	shell(by, "ln -s nowhere d/link");
	expect(x, "create:link");
	shell(by, "mkfifo d/fifo");
	expect(x, "create:fifo");
	shell(by, "rm d/link d/fifo");
	expect(x, "delete:link delete:fifo");
	shell(by, "echo out > out");
	shell(by, "mv out d/in");
	expect(x, "moved_to:in");
	shell(by, "mv d/in out && rm out");
	expect(x, "moved_from:in");
}

static void every_kind_of_change(const char *options)
{
	struct world x;

	world_make(&x, options);
	/* The mount's own changes first: they say what a local file system raises. */
	go_through_changes(&x, x.here);
	go_through_changes(&x, x.there);
	/* And the kernel believes nothing wrong afterwards. */
	shell(x.there, "echo last > d/f");
	expect(&x, "create:f open:f modify:f close_write:f");
	assert_true(file_is(path("%s/d/f", x.here), "last\n"));
	world_end(&x);
}

static void changes_made_elsewhere_raise_what_local_ones_raise(void **state)
{
	(void)state;
	every_kind_of_change("inotify");
}

static void on_a_serial_mount_too(void **state)
{
	(void)state;
	every_kind_of_change("inotify,consistency=serial");
}

/* Watches on files themselves, while `by` changes them. */
static void go_through_ends(struct world *x, const char *by)
{
	shell(by, "echo 1 > d/f && echo 1 > d/old");
	expect(x, "create:f open:f modify:f close_write:f create:old open:old modify:old close_write:old");
	watcher_add(&x->w, 1, path("%s/d/f", x->here));
	watcher_add(&x->w, 2, path("%s/d/old", x->here));
	shell(by, "echo 2 >> d/f");
	expect(x, "open:f 1.open modify:f 1.modify close_write:f 1.close_write");
	/* An atomic save: another file comes in its place. */
	shell(by, "echo 3 > d/.new && mv d/.new d/old");
	expect(x, "create:.new open:.new modify:.new close_write:.new moved_from:.new moved_to:old 2.attrib 2.delete_self");
	shell(by, "mv d/f d/g");
	expect(x, "moved_from:f moved_to:g 1.move_self");
	shell(by, "rm d/g");
	expect(x, "1.attrib 1.delete_self delete:g");
	shell(by, "rm d/old");
	expect(x, "delete:old");
}

static void a_watched_file_tells_its_own_end_and_its_moves(void **state)
{
	struct world x;

	(void)state;
	world_make(&x, "inotify");
	go_through_ends(&x, x.here);
	go_through_ends(&x, x.there);
	world_end(&x);
}

static void a_directory_moves_with_all_that_is_in_it(void **state)
{
	struct world x;

	(void)state;
	world_make(&x, "inotify");
	shell(x.there, "mkdir d/a d/a/b && echo 1 > d/a/b/f && echo 2 > d/a/g");
	expect(&x, "create:a/");
	watcher_add(&x.w, 1, path("%s/d/a/b", x.here));
	expect(&x, "");
	shell(x.there, "mv d/a d/z");
	expect(&x, "moved_from:a/ moved_to:z/");
	/* The watch is on the same directory, wherever it is. */
	shell(x.there, "echo 3 > d/z/b/f");
	expect(&x, "1.open:f 1.modify:f 1.close_write:f");
	assert_true(file_is(path("%s/d/z/b/f", x.here), "3\n"));
	assert_int_equal(try_open(path("%s/d/a/b/f", x.here), O_RDONLY), -ENOENT);
	expect(&x, "1.open:f");
	shell(x.there, "rm -r d/z");
	expect(&x, "1.delete:f 1.delete_self delete:z/");
	world_end(&x);
}

static void ctl(struct world *x, int node, const char *verb, const char *key, const char *last)
{
	struct run_result r;

	tallyctl(x->c, node, &r, verb, key, last, NULL);
	if (r.status != 0)
		cluster_fail("%s %s: %s", verb, key, r.err);
	run_done(&r);
}

/* The kernel of this node did not see it either, whatever node was asked. */
static void what_tallyctl_changes_counts_as_made_elsewhere(void **state)
{
	struct world x;

	(void)state;
	world_make(&x, "inotify");
	ctl(&x, 0, "put", "d/k", "1");
	expect(&x, "create:k open:k modify:k close_write:k");
	ctl(&x, 1, "put", "d/k", "2");
	expect(&x, "open:k modify:k close_write:k");
	ctl(&x, 0, "put", "d/t/k", "1");
	expect(&x, "create:t/");
	watcher_add(&x.w, 1, path("%s/d/t", x.here));
	ctl(&x, 0, "del", "d/t/k", NULL);
	expect(&x, "1.delete:k");
	ctl(&x, 0, "put", "d/t/u/k", "1");
	expect(&x, "1.create:u/");
	/* A tree goes in one revision: from its leaves up. */
	ctl(&x, 1, "del", "d/t", "--prefix");
	expect(&x, "1.delete:u/ 1.delete_self delete:t/");
	world_end(&x);
}

/* A link to the outside, or another file system in the way: what lies there is never touched. */
static void nothing_outside_of_the_mount_is_touched(void **state)
{
	struct world x;
	const char *outside;

	(void)state;
	world_make(&x, "inotify");
	outside = path("%s/outside", x.c->dir);
	assert_int_equal(file_write(outside, "precious\n"), 0);
	shell(x.there, "echo 1 > d/f && echo 1 > d/g");
	expect(&x, "create:f open:f modify:f close_write:f create:g open:g modify:g close_write:g");
	shell(x.here, path("mount --bind %s d/f", outside));
	shell(x.there, "echo 2 > d/f && chmod 600 d/f && rm d/f");
	shell(x.there, path("ln -sf %s d/g", outside));
	shell(x.there, "touch d/end && rm d/end");
	wait_for(&x.w, "delete:end ");
	struct stat st;
	assert_int_equal(stat(outside, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_true(file_is(outside, "precious\n"));
	shell(x.c->dir, path("umount %s/d/f 2>/dev/null; true", x.here));
	assert_true(file_is(outside, "precious\n"));
	world_end(&x);
}

static void unmounting_is_not_held_up(void **state)
{
	struct world x;
	struct run_result r;

	(void)state;
	world_make(&x, "inotify");
	shell(x.there, "echo 1 > d/f");
	expect(&x, "create:f open:f modify:f close_write:f");
	world_end(&x);
	run_shell(&r, "fusermount3 -u %s", x.here);
	if (r.status != 0)
		cluster_fail("fusermount3: %s", r.err);
	run_done(&r);
	assert_int_equal(node_end(x.c, 1), 0);
}

/* --- under load --- */

#define LOAD_FILES 100

struct writer_thread {
	pthread_t thread;
	const char *mount;
	char prefix;
};

static void *write_files(void *arg)
{
	struct writer_thread *t = arg;

	for (int i = 0; i < LOAD_FILES; i++)
		if (file_write(path("%s/d/%c%d", t->mount, t->prefix, i), "text\n") ||
		    rename(path("%s/d/%c%d", t->mount, t->prefix, i), path("%s/d/%c%d-moved", t->mount, t->prefix, i)) ||
		    unlink(path("%s/d/%c%d-moved", t->mount, t->prefix, i)))
			return t;
	return NULL;
}

static int count(const char *in, const char *word)
{
	int n = 0;

	for (const char *at = in; (at = strstr(at, word)); at += strlen(word))
		n++;
	return n;
}

/* Local and remote files at once: each is told of once, with all seven events. */
static void under_load_no_event_is_missing_or_doubled(void **state)
{
	struct world x;
	void *failed;

	(void)state;
	world_make(&x, "inotify");
	struct writer_thread both[2] = {{.mount = x.here, .prefix = 'h'}, {.mount = x.there, .prefix = 't'}};
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&both[i].thread, NULL, write_files, &both[i]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(both[i].thread, &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(mkdir(path("%s/d/end", x.there), 0755), 0);
	wait_for(&x.w, "create:end/ ");
	static const char *const words[][2] = {{"create", ""},     {"open", ""},           {"modify", ""},      {"close_write", ""},
					       {"moved_from", ""}, {"moved_to", "-moved"}, {"delete", "-moved"}};
	for (int i = 0; i < 2 * LOAD_FILES; i++) {
		for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
			const char *word = path("%s:%c%d%s ", words[k][0], i % 2 ? 'h' : 't', i / 2, words[k][1]);
			if (count(x.w.seen, word) != 1)
				cluster_fail("'%s' is there %d times", word, count(x.w.seen, word));
		}
	}
	world_end(&x);
}

/* --- the programs that it is for --- */

static void inotifywait_reacts_to_an_edit_on_another_node(void **state)
{
	struct cluster *c = cluster_up(2, "inotify");
	const char *log = path("%s/inotifywait", c->dir), *file = path("%s/app.conf", c->nodes[0].mount);
	int status;

	(void)state;
	assert_int_equal(file_write(path("%s/app.conf", c->nodes[1].mount), "one\n"), 0);
	assert_true(file_is(file, "one\n"));
	/* It goes by itself when it has seen one event, so both kinds of a race would end it; hence it is started before the edit is. */
	const char *const argv[] = {"inotifywait", "-e", "close_write", "-t", "20", "--format", "%e", file, NULL};
	int pid = run_spawn(argv, log);
	assert_true(pid > 0);
	char said[512];
	int64_t until = clock_mono_ns() + CLUSTER_WAIT_MS * INT64_C(1000000);
	while ((file_read(log, said, sizeof(said)) <= 0 || !strstr(said, "Watches established")) && clock_mono_ns() < until)
		poll(NULL, 0, 10);
	assert_int_equal(file_write(path("%s/app.conf", c->nodes[1].mount), "two\n"), 0);
	assert_true(run_wait(pid, CLUSTER_WAIT_MS, &status));
	assert_int_equal(status, 0);
	file_read(log, said, sizeof(said));
	assert_non_null(strstr(said, "CLOSE_WRITE"));
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* From before the write on one node to after the event on another. A note, not a limit: the bench has that. */
static void how_long_an_event_takes(void **state)
{
	struct world x;
	int64_t took[200];
	int n = rounds(200);

	(void)state;
	world_make(&x, "inotify");
	assert_int_equal(file_write(path("%s/d/f", x.there), "0\n"), 0);
	expect(&x, "create:f open:f modify:f close_write:f");
	for (int i = 0; i < n; i++) {
		int64_t began = clock_mono_ns();
		assert_int_equal(file_write(path("%s/d/f", x.there), i % 2 ? "1\n" : "2\n"), 0);
		wait_for(&x.w, "close_write:f ");
		took[i] = clock_mono_ns() - began;
		x.w.size = 0;
		x.w.seen[0] = '\0';
	}
	qsort(took, (size_t)n, sizeof(took[0]), by_size);
	print_message("note: open, write, close on one node to IN_CLOSE_WRITE on another: median %.2f ms, p99 %.2f ms\n",
		      (double)took[n / 2] / 1e6, (double)took[n * 99 / 100] / 1e6);
	world_end(&x);
}

/* --- the end --- */

static void it_ends_while_changes_pour_in(void **state)
{
	struct world x;

	(void)state;
	world_make(&x, "inotify");
	struct writer_thread other = {.mount = x.there, .prefix = 't'};
	assert_int_equal(pthread_create(&other.thread, NULL, write_files, &other), 0);
	wait_until_events(&x.w, contains, "close_write:t0 ");
	assert_int_equal(node_end(x.c, 0), 0);
	assert_int_equal(pthread_join(other.thread, NULL), 0);
	world_end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(changes_made_elsewhere_raise_what_local_ones_raise, cluster_teardown),
		cmocka_unit_test_teardown(on_a_serial_mount_too, cluster_teardown),
		cmocka_unit_test_teardown(a_watched_file_tells_its_own_end_and_its_moves, cluster_teardown),
		cmocka_unit_test_teardown(a_directory_moves_with_all_that_is_in_it, cluster_teardown),
		cmocka_unit_test_teardown(what_tallyctl_changes_counts_as_made_elsewhere, cluster_teardown),
		cmocka_unit_test_teardown(nothing_outside_of_the_mount_is_touched, cluster_teardown),
		cmocka_unit_test_teardown(unmounting_is_not_held_up, cluster_teardown),
		cmocka_unit_test_teardown(under_load_no_event_is_missing_or_doubled, cluster_teardown),
		cmocka_unit_test_teardown(inotifywait_reacts_to_an_edit_on_another_node, cluster_teardown),
		cmocka_unit_test_teardown(how_long_an_event_takes, cluster_teardown),
		cmocka_unit_test_teardown(it_ends_while_changes_pour_in, cluster_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
