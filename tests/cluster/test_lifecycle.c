/* The end of a mount while it is in use: by signals, by unmounting, by the kernel cutting it off, by its death. Nobody hangs, nobody stays behind,
 * and what a close has promised is there afterwards. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROMPT_MS 3000 /* for what waits for nothing */

static const char *const modes[] = {"consistency=linearizable,timeout=2s", "consistency=serial,timeout=2s,inotify"};
#define MODES (sizeof(modes) / sizeof(modes[0]))

/* A daemon that is to end by itself: with 0, in time. */
static void expect_end(struct cluster *c, int i, int limit_ms)
{
	int status = -1;
	if (!run_wait(c->nodes[i].pid, limit_ms, &status))
		cluster_fail("%s did not end in time", c->nodes[i].name);
	c->nodes[i].pid = 0;
	assert_int_equal(status, 0);
}

static bool still_runs(const struct cluster *c, int i)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)c->nodes[i].pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static bool write_whole(int fd, const char *text)
{
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static int error_of(int result)
{
	return result < 0 ? errno : 0;
}

/* What a call on a file says once nobody is behind it. */
static bool is_cut_off(int error)
{
	return error == ENOTCONN || error == ECONNABORTED || error == EIO;
}

struct content {
	const char *name;
	const char *text;
};

static bool is_there(void *ctx)
{
	const struct content *want = ctx;
	return file_is(want->name, want->text);
}

/* On another node, which may be a little behind. */
static void expect_soon(const char *name, const char *text)
{
	struct content want = {name, text};
	if (!wait_until(is_there, &want, PROMPT_MS))
		cluster_fail("%s is not as it was closed", name);
}

/* --- unmounting --- */

static void unmounting_a_busy_mount_is_refused_and_everything_goes_on(void **state)
{
	(void)state;
	for (size_t mode = 0; mode < MODES; mode++) {
		struct cluster *c = cluster_up(1, modes[mode]);
		struct run_result r;
		const char *m = c->nodes[0].mount;
		int fd = open(path("%s/f", m), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0 && write_whole(fd, "one\n"));
		assert_int_equal(error_of(umount2(m, 0)), EBUSY);
		run_shell(&r, "fusermount3 -u %s", m);
		assert_int_not_equal(r.status, 0);
		assert_non_null(strstr(r.err, "busy"));
		run_done(&r);
		run_shell(&r, "umount %s", m);
		assert_int_not_equal(r.status, 0);
		run_done(&r);
		assert_true(write_whole(fd, "two\n"));
		assert_int_equal(close(fd), 0);
		assert_true(file_is(path("%s/f", m), "one\ntwo\n"));
		assert_int_equal(error_of(umount2(m, 0)), 0);
		expect_end(c, 0, PROMPT_MS);
		node_start(c, 0);
		assert_true(file_is(path("%s/f", m), "one\ntwo\n"));
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

static void a_lazily_unmounted_mount_lives_until_its_last_file_is_closed(void **state)
{
	(void)state;
	for (size_t mode = 0; mode < MODES; mode++) {
		struct cluster *c = cluster_up(3, modes[mode]);
		const char *m = c->nodes[0].mount;
		assert_int_equal(mkdir(path("%s/d", m), 0755), 0);
		int fd = open(path("%s/d/f", m), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		int dir = open(path("%s/d", m), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fd >= 0 && dir >= 0 && write_whole(fd, "one\n"));
		assert_int_equal(umount2(m, MNT_DETACH), 0);
		assert_false(mount_answers(m));
		assert_true(write_whole(fd, "two\n"));
		assert_int_equal(close(fd), 0);
		expect_soon(path("%s/d/f", c->nodes[1].mount), "one\ntwo\n");
		/* Through the directory that is still open all goes on as ever. */
		fd = openat(dir, "g", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0 && write_whole(fd, "three\n"));
		assert_true(still_runs(c, 0));
		close(dir);
		assert_int_equal(close(fd), 0);
		expect_end(c, 0, PROMPT_MS);
		expect_soon(path("%s/d/g", c->nodes[2].mount), "three\n");
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

static void ending_a_lazily_unmounted_mount_leaves_alone_what_is_mounted_there_now(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, modes[0]);
	const char *m = c->nodes[0].mount;
	int fd = open(path("%s/f", m), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && write_whole(fd, "one\n"));
	assert_int_equal(umount2(m, MNT_DETACH), 0);
	assert_int_equal(mount("none", m, "tmpfs", 0, NULL), 0);
	assert_int_equal(file_write(path("%s/other", m), "x"), 0);
	assert_int_equal(node_end(c, 0), 0);
	assert_true(is_cut_off(error_of((int)write(fd, "x", 1))));
	close(fd);
	assert_true(file_is(path("%s/other", m), "x"));
	assert_int_equal(umount2(m, 0), 0);
}

static bool exists(void *ctx)
{
	return access(ctx, F_OK) == 0;
}

static void a_mount_inside_a_mount_goes_with_it(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, modes[0]);
	const char *data = path("%s/inner", c->dir), *inner = path("%s/sub", c->nodes[0].mount);
	const char *const argv[] = {tallyfs_binary(), data, inner, "-f", NULL};
	int status = -1;
	assert_int_equal(mkdir(inner, 0755), 0);
	int pid = run_spawn(argv, c->nodes[0].log);
	assert_true(wait_until(exists, (void *)path("%s/@status", inner), CLUSTER_WAIT_MS));
	assert_int_equal(file_write(path("%s/f", inner), "inner"), 0);
	assert_int_equal(node_end(c, 0), 0);
	assert_true(run_wait(pid, PROMPT_MS, &status));
	assert_int_equal(status, 0);
}

/* --- signals --- */

struct closer {
	const char *mount;
	int id;
	int closed;  /* so many of its closes returned 0 */
	int error;   /* of the first call that failed */
	double last; /* when it did */
	atomic_bool under_way;
};

/* Makes one file after another until something fails. */
static void *keep_closing(void *ctx)
{
	struct closer *w = ctx;
	while (w->error == 0) {
		const char *name = path("%s/f%d-%d", w->mount, w->id, w->closed);
		w->error = file_write(name, path("%d of %d\n", w->closed, w->id));
		w->closed += w->error == 0;
		w->under_way = w->closed > 3;
	}
	w->last = now_seconds();
	return NULL;
}

#define CLOSERS 4

static bool all_under_way(void *ctx)
{
	struct closer *w = ctx;
	bool all = true;
	for (int i = 0; i < CLOSERS; i++)
		all = all && w[i].under_way;
	return all;
}

static void expect_closed(const struct cluster *c, int on, const struct closer *w)
{
	for (int i = 0; i < CLOSERS; i++)
		for (int k = 0; k < w[i].closed; k++)
			if (!file_is(path("%s/f%d-%d", c->nodes[on].mount, i, k), path("%d of %d\n", k, i)))
				cluster_fail("the close of f%d-%d returned 0, and it is lost", i, k);
}

static void no_close_is_lost_by_a_signal(void **state)
{
	static const struct {
		int nodes;
		const char *mode;
	} on_what[] = {{1, "consistency=serial,timeout=2s"}, {3, "consistency=linearizable,timeout=2s"}};
	(void)state;
	for (size_t run = 0; run < sizeof(on_what) / sizeof(on_what[0]); run++) {
		struct cluster *c = cluster_up(on_what[run].nodes, on_what[run].mode);
		struct closer w[CLOSERS] = {0};
		pthread_t threads[CLOSERS];
		int on = cluster_leader(c);
		for (int i = 0; i < CLOSERS; i++) {
			w[i] = (struct closer){.mount = c->nodes[on].mount, .id = i};
			assert_int_equal(pthread_create(&threads[i], NULL, keep_closing, &w[i]), 0);
		}
		bool busy = wait_until(all_under_way, w, CLUSTER_WAIT_MS);
		assert_int_equal(node_end(c, on), 0);
		for (int i = 0; i < CLOSERS; i++)
			pthread_join(threads[i], NULL);
		assert_true(busy);
		if (c->count == 1)
			node_start(c, 0);
		cluster_agree(c);
		expect_closed(c, c->count == 1 ? 0 : (on + 1) % 3, w);
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

static void what_was_never_closed_is_not_published_by_a_signal_and_its_close_says_so(void **state)
{
	(void)state;
	for (size_t mode = 0; mode < MODES; mode++) {
		struct cluster *c = cluster_up(1, modes[mode]);
		const char *m = c->nodes[0].mount;
		assert_int_equal(file_write(path("%s/config", m), "as it was\n"), 0);
		int fd = open(path("%s/config", m), O_WRONLY | O_TRUNC | O_CLOEXEC);
		int new = open(path("%s/new", m), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		int synced = open(path("%s/synced", m), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0 && new >= 0 && synced >= 0);
		int dir = open(m, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(dir >= 0);
		assert_true(write_whole(fd, "half of ") && write_whole(new, "half of ") && write_whole(synced, "all of it\n"));
		assert_int_equal(fsync(synced), 0);
		assert_int_equal(node_end(c, 0), 0);
		assert_true(is_cut_off(error_of((int)write(fd, "it\n", 3))));
		assert_true(is_cut_off(error_of(close(fd))));
		assert_true(is_cut_off(error_of(close(new))));
		close(synced);
		close(dir);
		node_start(c, 0);
		assert_true(file_is(path("%s/config", m), "as it was\n"));
		assert_int_equal(try_open(path("%s/new", m), O_RDONLY), -ENOENT);
		assert_true(file_is(path("%s/synced", m), "all of it\n"));
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

/* A child writes to a file that its parent holds open, and closes it: that close was promised, too. */
static void what_a_child_closed_is_not_lost_though_its_parent_has_the_file_open(void **state)
{
	static const char *const ends[] = {"a signal", "an unmount of the parent's last file"};
	(void)state;
	for (size_t end = 0; end < 2; end++) {
		struct cluster *c = cluster_up(1, modes[0]);
		const char *m = c->nodes[0].mount;
		int status = -1;
		int fd = open(path("%s/f", m), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		int pid = fork();
		if (pid == 0)
			_exit(!write_whole(fd, "by the child\n") || close(fd) != 0);
		assert_true(run_wait(pid, PROMPT_MS, &status));
		assert_int_equal(status, 0);
		if (end == 1) {
			assert_int_equal(close(fd), 0);
			assert_int_equal(umount2(m, 0), 0);
			expect_end(c, 0, PROMPT_MS);
		} else {
			assert_int_equal(node_end(c, 0), 0);
			close(fd);
		}
		node_start(c, 0);
		if (!file_is(path("%s/f", m), "by the child\n"))
			cluster_fail("lost by %s", ends[end]);
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

static void names_reserved_for_what_never_came_are_free_at_once(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, modes[0]);
	const char *here = path("%s/f", c->nodes[0].mount), *there = path("%s/f", c->nodes[1].mount);
	int fd = open(here, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && write_whole(fd, "half"));
	assert_int_equal(file_put(there, O_EXCL, "whole", 5), -EEXIST);
	assert_int_equal(node_end(c, 0), 0);
	close(fd);
	assert_int_equal(file_put(there, O_EXCL, "whole", 5), 0);
	assert_true(file_is(there, "whole"));
}

static void signals_that_come_together_end_it_once(void **state)
{
	static const int numbers[] = {SIGTERM, SIGTERM, SIGINT, SIGHUP, SIGTERM};
	(void)state;
	struct cluster *c = cluster_up(1, modes[0]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_int_equal(kill(c->nodes[0].pid, numbers[i]), 0);
	expect_end(c, 0, PROMPT_MS);
	node_start(c, 0);
	assert_int_equal(kill(c->nodes[0].pid, SIGHUP), 0);
	expect_end(c, 0, PROMPT_MS);
}

static void a_hangup_that_is_ignored_does_not_end_it(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(1, NULL);
	signal(SIGHUP, SIG_IGN);
	node_start(c, 0);
	assert_int_equal(kill(c->nodes[0].pid, SIGHUP), 0);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "x"), 0);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "x"));
	assert_true(still_runs(c, 0));
	assert_int_equal(node_end(c, 0), 0);
}

/* --- without the others --- */

struct opener {
	const char *name;
	int error;
	double over;
};

static void *open_one(void *ctx)
{
	struct opener *o = ctx;
	o->error = try_open(o->name, O_WRONLY | O_CREAT);
	o->over = now_seconds();
	return NULL;
}

/* The kernel's view of a mount: a folder of its connection. The daemon is asked for its number, so it must answer. */
static const char *connection(const struct cluster *c, int i)
{
	struct stat st;
	const char *control = path("%s/connections", c->dir);
	assert_int_equal(stat(c->nodes[i].mount, &st), 0);
	if (mkdir(control, 0755) == 0)
		assert_int_equal(mount("none", control, "fusectl", 0, NULL), 0);
	return path("%s/%u", control, minor(st.st_dev));
}

static bool has_waiting(void *ctx)
{
	return !file_is(ctx, "0\n");
}

/* Node 0 alone, with a request that waits for the others. */
static struct cluster *alone(struct opener *o, pthread_t *thread, const char *options)
{
	struct cluster *c = cluster_up(3, options);
	const char *kernel = connection(c, 0);
	*o = (struct opener){.name = path("%s/f", c->nodes[0].mount)};
	node_stop(c, 1);
	node_stop(c, 2);
	assert_int_equal(pthread_create(thread, NULL, open_one, o), 0);
	assert_true(wait_until(has_waiting, (void *)path("%s/waiting", kernel), PROMPT_MS));
	return c;
}

static void without_a_majority_a_signal_ends_it_in_bounded_time(void **state)
{
	(void)state;
	struct opener o;
	pthread_t thread;
	struct cluster *c = alone(&o, &thread, modes[0]);
	double begin = now_seconds();
	assert_int_equal(kill(c->nodes[0].pid, SIGTERM), 0);
	/* timeout=, a second for that, and one to hand over */
	expect_end(c, 0, 6000);
	pthread_join(thread, NULL);
	assert_true(o.error == -ETIMEDOUT || is_cut_off(-o.error));
	assert_true(o.over - begin < 4.0);
	node_start(c, 0);
}

static void whoever_waits_when_it_is_killed_is_told_at_once(void **state)
{
	(void)state;
	struct opener o;
	pthread_t thread;
	struct cluster *c = alone(&o, &thread, "timeout=60s");
	double begin = now_seconds();
	node_kill(c, 0);
	pthread_join(thread, NULL);
	assert_true(is_cut_off(-o.error));
	assert_true(o.over - begin < 2.0);
}

/* --- the kernel cuts it off --- */

static void an_aborted_connection_ends_it_cleanly_and_leaves_no_dead_mount(void **state)
{
	(void)state;
	for (size_t mode = 0; mode < MODES; mode++) {
		struct cluster *c = cluster_up(3, modes[mode]);
		struct stat st;
		int on = cluster_leader(c), other = (on + 1) % 3;
		const char *m = c->nodes[on].mount;
		assert_int_equal(file_write(path("%s/f", m), "one"), 0);
		int fd = open(path("%s/f", m), O_WRONLY | O_TRUNC | O_CLOEXEC);
		assert_true(fd >= 0 && write_whole(fd, "half"));
		assert_int_equal(file_put(path("%s/abort", connection(c, on)), 0, "1", 1), 0);
		assert_true(is_cut_off(error_of(close(fd))));
		expect_end(c, on, PROMPT_MS);
		assert_int_equal(error_of(stat(m, &st)), 0);
		assert_false(mount_answers(m));
		/* It handed over: nobody waits for an election. */
		double begin = now_seconds();
		assert_int_equal(file_write(path("%s/g", c->nodes[other].mount), "two"), 0);
		assert_true(now_seconds() - begin < 2.0);
		node_start(c, on);
		assert_true(file_is(path("%s/f", m), "one"));
		cluster_agree(c);
		assert_true(file_is(path("%s/g", m), "two"));
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

/* --- after a crash --- */

static void it_is_mounted_again_over_a_dead_mount_that_is_still_in_use(void **state)
{
	(void)state;
	for (size_t mode = 0; mode < MODES; mode++) {
		struct cluster *c = cluster_up(1, modes[mode]);
		const char *m = c->nodes[0].mount;
		char byte;
		assert_int_equal(file_write(path("%s/f", m), "one"), 0);
		int fd = open(path("%s/f", m), O_RDWR | O_CLOEXEC);
		int dir = open(m, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fd >= 0 && dir >= 0);
		for (int round = 0; round < 3; round++) {
			/* Not waited for: DATA's lock may be gone only while the next one starts. */
			int killed = c->nodes[0].pid, status;
			assert_int_equal(kill(killed, SIGKILL), 0);
			node_spawn(c, 0);
			assert_true(run_wait(killed, PROMPT_MS, &status));
			node_wait(c, 0);
			assert_true(file_is(path("%s/f", m), "one"));
		}
		assert_true(is_cut_off(error_of((int)pread(fd, &byte, 1, 0))));
		assert_int_equal(faccessat(dir, "f", F_OK, 0), -1);
		close(fd);
		close(dir);
		assert_int_equal(node_end(c, 0), 0);
		assert_int_equal(error_of(umount2(m, 0)), EINVAL); /* nothing is left below */
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(unmounting_a_busy_mount_is_refused_and_everything_goes_on),
		STORY(a_lazily_unmounted_mount_lives_until_its_last_file_is_closed),
		STORY(ending_a_lazily_unmounted_mount_leaves_alone_what_is_mounted_there_now),
		STORY(a_mount_inside_a_mount_goes_with_it),
		STORY(no_close_is_lost_by_a_signal),
		STORY(what_was_never_closed_is_not_published_by_a_signal_and_its_close_says_so),
		STORY(what_a_child_closed_is_not_lost_though_its_parent_has_the_file_open),
		STORY(names_reserved_for_what_never_came_are_free_at_once),
		STORY(signals_that_come_together_end_it_once),
		STORY(a_hangup_that_is_ignored_does_not_end_it),
		STORY(without_a_majority_a_signal_ends_it_in_bounded_time),
		STORY(whoever_waits_when_it_is_killed_is_told_at_once),
		STORY(an_aborted_connection_ends_it_cleanly_and_leaves_no_dead_mount),
		STORY(it_is_mounted_again_over_a_dead_mount_that_is_still_in_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
