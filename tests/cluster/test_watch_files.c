/* @watch: each change below a directory is told once and in order, to however many read, by whatever means they wait. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static int open_watch(const char *name, int flags)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | flags);
	if (fd < 0)
		cluster_fail("%s: %s", name, strerror(errno));
	return fd;
}

static bool readable(int fd, int limit_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, limit_ms) == 1;
}

/* Reads just these lines, and nothing is there behind them. */
static void told(int fd, const char *expected)
{
	char got[8192];
	size_t size = 0, want = strlen(expected);
	while (size < want) {
		if (!readable(fd, CLUSTER_WAIT_MS))
			cluster_fail("after \"%.*s\" nothing more came of \"%s\"", (int)size, got, expected);
		ssize_t n = read(fd, got + size, sizeof(got) - 1 - size);
		if (n <= 0)
			cluster_fail("read: %s", n ? strerror(errno) : "the end");
		size += (size_t)n;
	}
	got[size] = '\0';
	assert_string_equal(got, expected);
	assert_false(readable(fd, 0));
}

static void fails_with(int fd, int error)
{
	char byte;
	assert_int_equal(read(fd, &byte, 1), -1);
	assert_int_equal(errno, error);
}

static void must_write(const char *name, const char *text)
{
	int error = file_write(name, text);
	if (error)
		cluster_fail("writing %s: %s", name, strerror(-error));
}

static int revision(const struct cluster *c)
{
	return (int)node_number(c, 0, "revision");
}

static void all_that_happens_below_is_told_in_order(const char *options)
{
	struct cluster *c = cluster_up(1, options);
	const char *m = c->nodes[0].mount;
	assert_int_equal(mkdir(path("%s/d", m), 0755), 0);
	must_write(path("%s/d/k", m), "before");
	int all = open_watch(path("%s/@watch", m), 0);
	int dir = open_watch(path("%s/d/@watch", m), 0);
	int key = open_watch(path("%s/d/k@watch", m), 0);
	int rev = revision(c);
	must_write(path("%s/d/a b", m), "x");
	must_write(path("%s/d/k", m), "y");
	must_write(path("%s/dd", m), "elsewhere");
	assert_int_equal(chmod(path("%s/d/k", m), 0600), 0);
	assert_int_equal(rename(path("%s/d/k", m), path("%s/l\\\n\303\244\377", m)), 0);
	assert_int_equal(mkdir(path("%s/d/e", m), 0755), 0);
	must_write(path("%s/d/e/f", m), "z");
	assert_int_equal(rename(path("%s/d/e", m), path("%s/d/g", m)), 0);
	assert_int_equal(unlink(path("%s/d/g/f", m)), 0);
	char below[1024];
	snprintf(below, sizeof(below),
		 "%d\tput\td/a\\ b\n%d\tput\td/k\n%d\tput\td/k\n%d\trename\td/k\tl\\\\\\n\303\244\\377\n%d\tput\td/e\n%d\tput\td/e/f\n"
		 "%d\trename\td/e\td/g\n%d\trename\td/e/f\td/g/f\n%d\tdelete\td/g/f\n",
		 rev + 1, rev + 2, rev + 4, rev + 5, rev + 6, rev + 7, rev + 8, rev + 8, rev + 9);
	told(dir, below);
	told(key, path("%d\tput\td/k\n%d\tput\td/k\n%d\trename\td/k\tl\\\\\\n\303\244\\377\n", rev + 2, rev + 4, rev + 5));
	char everything[1024];
	char *after = strstr(below, path("%d\tput\td/k\n", rev + 4));
	snprintf(everything, sizeof(everything), "%.*s%d\tput\tdd\n%s", (int)(after - below), below, rev + 3, after);
	told(all, everything);
	close(all);
	close(dir);
	close(key);
}

static void all_that_happens_below_is_told_in_order_on_a_linearizable_mount(void **state)
{
	(void)state;
	all_that_happens_below_is_told_in_order("consistency=linearizable");
}

static void all_that_happens_below_is_told_in_order_on_a_serial_mount(void **state)
{
	(void)state;
	all_that_happens_below_is_told_in_order("consistency=serial");
}

static void it_is_a_hidden_file_that_can_only_be_read(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	char names[256];
	struct stat st;
	assert_int_equal(mkdir(path("%s/d", m), 0751), 0);
	must_write(path("%s/k", m), "x");
	assert_int_equal(stat(path("%s/d/@watch", m), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0440);
	dir_names(m, names, sizeof(names));
	assert_string_equal(names, "d k ");
	dir_names(path("%s/d", m), names, sizeof(names));
	assert_string_equal(names, "");
	assert_int_equal(try_open(path("%s/d/@watch", m), O_WRONLY), -EROFS);
	assert_int_equal(try_open(path("%s/d/@watch", m), O_RDONLY | O_TRUNC), -EROFS);
	assert_int_equal(try_open(path("%s/missing@watch", m), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(path("%s/missing/@watch", m), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(path("%s/k/@watch", m), O_RDONLY), -ENOTDIR);
	int fd = open_watch(path("%s/k@watch", m), 0);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), -1);
	assert_int_equal(errno, ESPIPE);
	/* Its name may be remembered, but what it stands for has gone. */
	assert_int_equal(unlink(path("%s/k", m)), 0);
	assert_int_equal(try_open(path("%s/k@watch", m), O_RDONLY), -ENOENT);
	/* A watch is of a path: who comes back to it is told of. */
	int rev = revision(c);
	must_write(path("%s/k", m), "again");
	told(fd, path("%d\tdelete\tk\n%d\tput\tk\n", rev, rev + 1));
	close(fd);
}

static void a_read_takes_as_many_lines_as_fit_and_waits_no_longer_than_it_must(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	char got[64];
	must_write(path("%s/k", m), "x");
	int fd = open_watch(path("%s/k@watch", m), O_NONBLOCK);
	fails_with(fd, EAGAIN);
	int rev = revision(c);
	for (int i = 0; i < 3; i++)
		must_write(path("%s/k", m), "y");
	size_t line = strlen(path("%d\tput\tk\n", rev + 1));
	assert_int_equal(read(fd, got, 2 * line + 1), 2 * line);
	assert_memory_equal(got, path("%d\tput\tk\n%d\tput\tk\n", rev + 1, rev + 2), 2 * line);
	assert_int_equal(read(fd, got, 3), 3);
	assert_int_equal(read(fd, got + 3, sizeof(got) - 3), line - 3);
	assert_memory_equal(got, path("%d\tput\tk\n", rev + 3), line);
	fails_with(fd, EAGAIN);
	close(fd);
}

struct later {
	char name[160];
	int after_ms;
};

static void *write_later(void *ctx)
{
	struct later *l = ctx;
	poll(NULL, 0, l->after_ms);
	return (void *)(intptr_t)file_write(l->name, "later");
}

/* Writes the file while the caller waits. */
static pthread_t start_writer(struct later *l, const char *name)
{
	pthread_t thread;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->after_ms = 50;
	assert_int_equal(pthread_create(&thread, NULL, write_later, l), 0);
	return thread;
}

static void has_written(pthread_t thread)
{
	void *error;
	assert_int_equal(pthread_join(thread, &error), 0);
	assert_null(error);
}

static void whoever_waits_by_read_poll_select_or_epoll_is_woken(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *name = path("%s/k", c->nodes[0].mount);
	struct later l;
	char got[64];
	must_write(name, "x");
	int fd = open_watch(path("%s@watch", name), 0);
	int rev = revision(c);

	pthread_t writer = start_writer(&l, name);
	assert_int_equal(read(fd, got, sizeof(got)), strlen(path("%d\tput\tk\n", rev + 1)));
	has_written(writer);

	assert_false(readable(fd, 0));
	writer = start_writer(&l, name);
	assert_true(readable(fd, CLUSTER_WAIT_MS));
	has_written(writer);
	told(fd, path("%d\tput\tk\n", rev + 2));

	writer = start_writer(&l, name);
	fd_set set;
	FD_ZERO(&set);
	FD_SET(fd, &set);
	struct timeval limit = {.tv_sec = CLUSTER_WAIT_MS / 1000};
	assert_int_equal(select(fd + 1, &set, NULL, NULL, &limit), 1);
	has_written(writer);
	told(fd, path("%d\tput\tk\n", rev + 3));

	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e), 0);
	/* By edges: each change once more, though nothing was read. */
	for (int i = 4; i < 7; i++) {
		writer = start_writer(&l, name);
		assert_int_equal(epoll_wait(epoll, &e, 1, CLUSTER_WAIT_MS), 1);
		has_written(writer);
	}
	told(fd, path("%d\tput\tk\n%d\tput\tk\n%d\tput\tk\n", rev + 4, rev + 5, rev + 6));
	close(epoll);
	close(fd);
}

static void caught(int number)
{
	(void)number;
}

static void a_signal_ends_the_wait_unless_it_is_ignored(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	int fd = open_watch(path("%s/@watch", c->nodes[0].mount), 0);
	struct sigaction action = {.sa_handler = caught}, before;
	struct itimerval soon = {.it_value = {.tv_usec = 100000}}, off = {0};

	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &soon, NULL);
	fails_with(fd, EINTR);
	/* One that is ignored does not: what comes is read. */
	struct later l;
	action.sa_handler = SIG_IGN;
	sigaction(SIGALRM, &action, NULL);
	soon.it_value.tv_usec = 10000;
	soon.it_interval.tv_usec = 10000;
	setitimer(ITIMER_REAL, &soon, NULL);
	int rev = revision(c);
	pthread_t writer = start_writer(&l, path("%s/k", c->nodes[0].mount));
	told(fd, path("%d\tput\tk\n", rev + 1));
	has_written(writer);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &before, NULL);
	close(fd);
}

/* Reads what is said until `marker` is in it. */
static char *read_until(int fd, const char *marker, char *got, size_t room)
{
	size_t size = 0;
	got[0] = '\0';
	while (!strstr(got, marker)) {
		assert_true(size + 1 < room);
		if (!readable(fd, CLUSTER_WAIT_MS))
			cluster_fail("\"%s\" was not told, only:\n%s", marker, got);
		ssize_t n = read(fd, got + size, room - 1 - size);
		if (n <= 0)
			cluster_fail("read: %s", n ? strerror(errno) : "the end");
		size += (size_t)n;
		got[size] = '\0';
	}
	return got;
}

static void *write_many(void *ctx)
{
	const char *dir = ctx;
	int error = 0;
	for (int i = 0; i < rounds(60) && !error; i++)
		error = file_write(path("%s/k%d", dir, i), "x");
	return (void *)(intptr_t)error;
}

static void assert_told_once_and_in_order(const char *lines)
{
	unsigned long last = 0;
	int count = 0;
	for (const char *line = lines; *line; line = strchr(line, '\n') + 1, count++) {
		unsigned long rev = strtoul(line, NULL, 10);
		assert_true(rev > last);
		last = rev;
	}
	assert_int_equal(count, 2 * rounds(60) + 1);
}

static void three_nodes_tell_the_same(const char *options)
{
	struct cluster *c = cluster_up(3, options);
	static char got[3][16384];
	int fd[3];
	pthread_t writers[2];
	assert_int_equal(mkdir(path("%s/d", c->nodes[0].mount), 0755), 0);
	cluster_agree(c);
	for (int i = 0; i < 3; i++)
		fd[i] = open_watch(path("%s/d/@watch", c->nodes[i].mount), 0);
	char dirs[2][160];
	for (int i = 0; i < 2; i++) {
		snprintf(dirs[i], sizeof(dirs[i]), "%s/d", c->nodes[i + 1].mount);
		assert_int_equal(pthread_create(&writers[i], NULL, write_many, dirs[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		has_written(writers[i]);
	must_write(path("%s/d/last", c->nodes[0].mount), "x");
	for (int i = 0; i < 3; i++) {
		assert_told_once_and_in_order(read_until(fd[i], "\tput\td/last\n", got[i], sizeof(got[i])));
		assert_string_equal(got[i], got[0]);
		close(fd[i]);
	}
}

static void what_is_done_on_one_node_is_told_on_all_linearizable_mounts(void **state)
{
	(void)state;
	three_nodes_tell_the_same("consistency=linearizable");
}

static void what_is_done_on_one_node_is_told_on_all_serial_mounts(void **state)
{
	(void)state;
	three_nodes_tell_the_same("consistency=serial");
}

static void what_had_completed_elsewhere_before_the_open_is_not_told(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	for (int i = 0; i < rounds(40); i++) {
		const char *there = c->nodes[i % 3].mount;
		must_write(path("%s/before", there), "x");
		int fd = open_watch(path("%s/@watch", c->nodes[(i + 1) % 3].mount), 0);
		must_write(path("%s/after", there), "x");
		char got[256];
		read_until(fd, "\n", got, sizeof(got));
		if (!strstr(got, "\tput\tafter\n") || strstr(got, "before"))
			cluster_fail("round %d told: %s", i, got);
		close(fd);
	}
}

static void a_watch_outlives_the_leader(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=10s");
	int leader = cluster_leader(c);
	int here = (leader + 1) % 3;
	char got[1024];
	int fd = open_watch(path("%s/@watch", c->nodes[here].mount), 0);
	must_write(path("%s/one", c->nodes[leader].mount), "x");
	node_kill(c, leader);
	must_write(path("%s/two", c->nodes[(leader + 2) % 3].mount), "x");
	read_until(fd, "two\n", got, sizeof(got));
	unsigned long rev = strtoul(got, NULL, 10);
	assert_string_equal(got, path("%lu\tput\tone\n%lu\tput\ttwo\n", rev, rev + 1));
	close(fd);
	node_start(c, leader);
}

static void compact(const struct cluster *c, int rev)
{
	struct run_result r;
	tallyctl(c, 0, &r, "compact", path("%d", rev), NULL);
	if (r.status != 0)
		cluster_fail("compact: %s", r.err);
	run_done(&r);
}

static void a_revision_path_says_where_to_begin(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	assert_int_equal(mkdir(path("%s/d", m), 0755), 0);
	must_write(path("%s/d/k", m), "x");
	int rev = revision(c);
	must_write(path("%s/d/l", m), "x");
	must_write(path("%s/d/k", m), "y");
	must_write(path("%s/m", m), "y");
	int root = open_watch(path("%s/@%d/@watch", m, rev), 0);
	int dir = open_watch(path("%s/d/@%d/@watch", m, rev), 0);
	int key = open_watch(path("%s/@%d/d/k@watch", m, rev), 0);
	must_write(path("%s/d/k", m), "z");
	told(root, path("%d\tput\td/l\n%d\tput\td/k\n%d\tput\tm\n%d\tput\td/k\n", rev + 1, rev + 2, rev + 3, rev + 4));
	told(dir, path("%d\tput\td/l\n%d\tput\td/k\n%d\tput\td/k\n", rev + 1, rev + 2, rev + 4));
	told(key, path("%d\tput\td/k\n%d\tput\td/k\n", rev + 2, rev + 4));
	assert_int_equal(try_open(path("%s/@%d/d/l@watch", m, rev), O_RDONLY), -ENOENT);
	assert_int_equal(try_open(path("%s/@%d/@watch", m, rev + 5), O_RDONLY), -ENOENT);
	/* Of the compaction revision itself all that came after it is still there. */
	compact(c, rev + 2);
	assert_int_equal(try_open(path("%s/@%d/@watch", m, rev), O_RDONLY), -ENODATA);
	assert_int_equal(try_open(path("%s/@%d/@watch", m, rev + 1), O_RDONLY), -ENODATA);
	int left = open_watch(path("%s/@%d/@watch", m, rev + 2), 0);
	told(left, path("%d\tput\tm\n%d\tput\td/k\n", rev + 3, rev + 4));
	close(left);
	close(root);
	close(dir);
	close(key);
}

/* More than the node keeps of recent events in memory: many keys of almost 4,095 bytes, a hundred a revision. */
static void change_much(const struct cluster *c)
{
	char *text = malloc(1 << 20), dirs[4000];
	size_t at = 0;
	for (int i = 0; i < 16; i++)
		at += (size_t)snprintf(dirs + at, sizeof(dirs) - at, "%0240d/", i);
	for (int i = 0; i < 12; i++) {
		size_t size = (size_t)snprintf(text, 1 << 20, "\n");
		for (int k = 0; k < 100; k++)
			size += (size_t)snprintf(text + size, (1 << 20) - size, "put much/%s%d x\n", dirs, k);
		size += (size_t)snprintf(text + size, (1 << 20) - size, "\n");
		const char *const argv[] = {tallyctl_binary(), "--endpoints", c->nodes[0].data, "txn", NULL};
		struct run_result r;
		run_command(&r, argv, text, size, CLUSTER_WAIT_MS);
		if (r.status != 0 || strncmp(r.out, "SUCCESS", 7) != 0)
			cluster_fail("txn: %s%s", r.out, r.err);
		run_done(&r);
	}
	free(text);
}

static void a_reader_that_compaction_has_passed_is_told_and_nobody_else(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	must_write(path("%s/k", m), "x");
	must_write(path("%s/quiet", m), "x");
	int slow = open_watch(path("%s/k@watch", m), 0);
	int quiet = open_watch(path("%s/quiet@watch", m), 0);
	int begun = open_watch(path("%s/k@watch", m), 0);
	must_write(path("%s/k", m), "y");
	int rev = revision(c);
	assert_true(readable(begun, CLUSTER_WAIT_MS));
	change_much(c);
	must_write(path("%s/k", m), "z");
	int last = revision(c);
	compact(c, last);
	/* Compaction passed what it did not read; and that stays so. */
	fails_with(slow, ENODATA);
	must_write(path("%s/k", m), "more");
	fails_with(slow, ENODATA);
	struct pollfd p = {.fd = slow, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(p.revents, POLLIN | POLLERR);
	/* What it had been shown to be there is given out; then it is told, too. */
	char got[64];
	ssize_t n = read(begun, got, sizeof(got));
	assert_int_equal(n, strlen(path("%d\tput\tk\n", rev)));
	fails_with(begun, ENODATA);
	/* Nothing was there to read for this one, so it missed nothing. */
	must_write(path("%s/quiet", m), "y");
	told(quiet, path("%d\tput\tquiet\n", last + 2));
	close(slow);
	close(quiet);
	close(begun);
}

#define PARKED 200
#define POLLED 1000

struct parked {
	pthread_t thread;
	int fd;
	char got[64];
	ssize_t size;
	int error;
};

static void *park(void *ctx)
{
	struct parked *p = ctx;
	p->size = read(p->fd, p->got, sizeof(p->got) - 1);
	p->error = p->size < 0 ? errno : 0;
	return NULL;
}

static void start_parked(struct parked *p, int count, const char *name)
{
	for (int i = 0; i < count; i++) {
		p[i].fd = open_watch(name, 0);
		assert_int_equal(pthread_create(&p[i].thread, NULL, park, &p[i]), 0);
	}
}

static void allow_files(rlim_t count)
{
	struct rlimit limit = {count, count};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void twelve_hundred_readers_are_all_told_at_once(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	static struct parked parked[PARKED];
	static int polled[POLLED];
	allow_files(8192);
	assert_int_equal(mkdir(path("%s/d", m), 0755), 0);
	must_write(path("%s/d/k", m), "x");
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < POLLED; i++) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT};
		polled[i] = open_watch(path("%s/d/%s", m, i % 2 ? "@watch" : "k@watch"), O_NONBLOCK);
		assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, polled[i], &e), 0);
	}
	start_parked(parked, PARKED, path("%s/d/k@watch", m));
	int rev = revision(c);
	const char *line = path("%d\tput\td/k\n", rev + 1);
	double began = now_seconds();
	must_write(path("%s/d/k", m), "y");
	for (int woken = 0; woken < POLLED;) {
		struct epoll_event e[64];
		int n = epoll_wait(epoll, e, 64, CLUSTER_WAIT_MS);
		if (n <= 0)
			cluster_fail("only %d of %d who poll were woken", woken, POLLED);
		woken += n;
	}
	for (int i = 0; i < PARKED; i++) {
		assert_int_equal(pthread_join(parked[i].thread, NULL), 0);
		assert_int_equal(parked[i].size, strlen(line));
		assert_string_equal(parked[i].got, line);
		close(parked[i].fd);
	}
	double seconds = now_seconds() - began;
	note("%d readers were told after %.0f ms", PARKED + POLLED, seconds * 1000);
	assert_true(seconds < 5);
	for (int i = 0; i < POLLED; i++) {
		told(polled[i], line);
		close(polled[i]);
	}
	close(epoll);
}

static void no_more_than_4096_can_be_open(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *name = path("%s/@watch", c->nodes[0].mount);
	static int fd[4096];
	allow_files(8192);
	for (int i = 0; i < 4096; i++)
		fd[i] = open_watch(name, 0);
	assert_int_equal(try_open(name, O_RDONLY), -ENFILE);
	for (int i = 0; i < 4096; i++)
		close(fd[i]);
	/* The kernel tells of the closes behind their backs. */
	double until = now_seconds() + CLUSTER_WAIT_MS / 1000.0;
	while (try_open(name, O_RDONLY) != 0)
		assert_true(now_seconds() < until);
}

static void the_end_of_the_daemon_ends_those_who_wait(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	static struct parked parked[PARKED];
	const char *name = path("%s/@watch", c->nodes[0].mount);
	start_parked(parked, PARKED, name);
	int polled = open_watch(name, 0);
	double began = now_seconds();
	assert_int_equal(node_end(c, 0), 0);
	for (int i = 0; i < PARKED; i++) {
		assert_int_equal(pthread_join(parked[i].thread, NULL), 0);
		if (parked[i].error != ESHUTDOWN && parked[i].error != ENOTCONN && parked[i].error != ECONNABORTED)
			cluster_fail("reader %d: %zd %s", i, parked[i].size, strerror(parked[i].error));
		close(parked[i].fd);
	}
	assert_true(now_seconds() - began < 4);
	assert_true(readable(polled, CLUSTER_WAIT_MS));
	close(polled);
}

/* What a program says of three changes while it reads @watch. */
static void a_program(const struct cluster *c, const char *program, const char *expected)
{
	struct run_result r;
	const char *m = c->nodes[0].mount;
	run_shell(&r, "cd %s && mkdir -p d && exec 3<d/@watch && { for i in 1 2 3; do echo x > d/k$i; done; %s; } | sed 's/^[0-9]*\\t//'",
		  m, program);
	if (strcmp(r.out, expected) != 0)
		cluster_fail("%s said:\n%s%s", program, r.out, r.err);
	run_done(&r);
}

static void real_programs_read_it(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *three = "put\td/k1\nput\td/k2\nput\td/k3\n";
	a_program(c, "timeout 1 cat <&3", three);
	a_program(c, "head -n 3 <&3", three);
	a_program(c, "timeout 1 grep --line-buffered k2 <&3", "put\td/k2\n");
	/* Byte by byte, and none is lost between two who read by turns. */
	a_program(c, "bash -c 'for i in 1 2 3; do read -r rev line <&3; echo \"$line\"; done'", three);
	a_program(c, "bash -c 'read -r rev line <&3; echo \"$line\"; head -n 2 <&3'", three);
	a_program(c,
		  "python3 -c 'import os,select\np = select.poll()\np.register(3, select.POLLIN)\nwhile p.poll(500):\n  os.write(1, "
		  "os.read(3, 4096))'",
		  three);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(all_that_happens_below_is_told_in_order_on_a_linearizable_mount),
		STORY(all_that_happens_below_is_told_in_order_on_a_serial_mount),
		STORY(it_is_a_hidden_file_that_can_only_be_read),
		STORY(a_read_takes_as_many_lines_as_fit_and_waits_no_longer_than_it_must),
		STORY(whoever_waits_by_read_poll_select_or_epoll_is_woken),
		STORY(a_signal_ends_the_wait_unless_it_is_ignored),
		STORY(what_is_done_on_one_node_is_told_on_all_linearizable_mounts),
		STORY(what_is_done_on_one_node_is_told_on_all_serial_mounts),
		STORY(what_had_completed_elsewhere_before_the_open_is_not_told),
		STORY(a_watch_outlives_the_leader),
		STORY(a_revision_path_says_where_to_begin),
		STORY(a_reader_that_compaction_has_passed_is_told_and_nobody_else),
		STORY(twelve_hundred_readers_are_all_told_at_once),
		STORY(no_more_than_4096_can_be_open),
		STORY(the_end_of_the_daemon_ends_those_who_wait),
		STORY(real_programs_read_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
