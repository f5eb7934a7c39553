/* flock(2) and fcntl(2) locks across nodes: one holder at a time, in order, and nothing lands that was written by one who has lost it. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_on(const struct cluster *c, int node, const char *name, int flags)
{
	int fd = open(path("%s/%s", c->nodes[node].mount, name), flags | O_CLOEXEC, 0644);
	if (fd < 0)
		cluster_fail("%s cannot be opened on n%d: %s", name, node + 1, strerror(errno));
	return fd;
}

/* 0 or a negative errno. */
static int range(int fd, int command, short type, off_t start, off_t size)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};
	return fcntl(fd, command, &l) == 0 ? 0 : -errno;
}

static int whole(int fd, int operation)
{
	return flock(fd, operation) == 0 ? 0 : -errno;
}

/* A descriptor each on three nodes, of a file that holds "0". */
static void open_everywhere(struct cluster *c, const char *name, int fds[3])
{
	assert_int_equal(file_write(path("%s/%s", c->nodes[0].mount, name), "0"), 0);
	cluster_agree(c);
	for (int i = 0; i < 3; i++)
		fds[i] = open_on(c, i, name, O_RDWR);
}

static void close_all(int fds[3])
{
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* --- a thread that waits for a lock --- */

struct waiter {
	pthread_t thread;
	int fd;
	bool posix;
	int result;
	double at; /* when it was granted */
	_Atomic int order;
};

static _Atomic int granted_so_far;

static void *wait_for_lock(void *ctx)
{
	struct waiter *w = ctx;
	w->result = w->posix ? range(w->fd, F_SETLKW, F_WRLCK, 0, 0) : whole(w->fd, LOCK_EX);
	w->at = now_seconds();
	w->order = granted_so_far + 1;
	granted_so_far++;
	return NULL;
}

static void waiter_start(struct waiter *w, int fd, bool posix)
{
	*w = (struct waiter){.fd = fd, .posix = posix};
	assert_int_equal(pthread_create(&w->thread, NULL, wait_for_lock, w), 0);
}

static void waiter_join(struct waiter *w)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLUSTER_WAIT_MS / 1000;
	if (pthread_timedjoin_np(w->thread, NULL, &until) != 0)
		cluster_fail("a lock was not granted within %d ms", CLUSTER_WAIT_MS);
}

/* While an exclusive waiter is queued behind a shared lock, another shared one is refused: nobody overtakes. */
static bool is_queued(void *ctx)
{
	int fd = *(int *)ctx;
	int rc = whole(fd, LOCK_SH | LOCK_NB);
	if (rc == 0)
		whole(fd, LOCK_UN);
	return rc == -EWOULDBLOCK;
}

/* --- the tests --- */

static void one_writer_or_many_readers_on_all_nodes(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int fds[3];
	open_everywhere(c, "f", fds);
	assert_int_equal(whole(fds[0], LOCK_SH | LOCK_NB), 0);
	assert_int_equal(whole(fds[1], LOCK_SH | LOCK_NB), 0);
	assert_int_equal(whole(fds[2], LOCK_EX | LOCK_NB), -EWOULDBLOCK);
	assert_int_equal(whole(fds[0], LOCK_EX | LOCK_NB), -EWOULDBLOCK);
	assert_int_equal(whole(fds[1], LOCK_UN), 0);
	assert_int_equal(whole(fds[0], LOCK_EX | LOCK_NB), 0);
	assert_int_equal(whole(fds[1], LOCK_SH | LOCK_NB), -EWOULDBLOCK);
	/* Another open of the same process is another holder; those of fcntl are another kind. */
	int again = open_on(c, 0, "f", O_RDWR);
	assert_int_equal(whole(again, LOCK_SH | LOCK_NB), -EWOULDBLOCK);
	assert_int_equal(range(fds[1], F_SETLK, F_WRLCK, 0, 0), 0);
	close(fds[0]);
	assert_int_equal(whole(again, LOCK_EX), 0);
	close(again);
	assert_int_equal(whole(fds[2], LOCK_EX), 0);
	close(fds[1]);
	close(fds[2]);
}

static void ranges_belong_to_one_owner_each(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "consistency=serial");
	int fds[3];
	open_everywhere(c, "f", fds);
	assert_int_equal(range(fds[0], F_SETLK, F_WRLCK, 0, 100), 0);
	assert_int_equal(range(fds[1], F_SETLK, F_WRLCK, 100, 0), 0);
	assert_int_equal(range(fds[2], F_SETLK, F_RDLCK, 99, 1), -EAGAIN);
	assert_int_equal(range(fds[0], F_SETLK, F_UNLCK, 40, 20), 0);
	assert_int_equal(range(fds[2], F_SETLK, F_WRLCK, 40, 20), 0);
	assert_int_equal(range(fds[2], F_SETLK, F_WRLCK, 39, 1), -EAGAIN);
	assert_int_equal(range(fds[0], F_SETLK, F_RDLCK, 0, 40), 0);
	assert_int_equal(range(fds[1], F_SETLK, F_RDLCK, 0, 40), 0);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 45, .l_len = 100};
	assert_int_equal(fcntl(fds[0], F_GETLK, &l), 0);
	assert_int_equal(l.l_type, F_WRLCK);
	assert_int_equal(l.l_start, 40);
	assert_int_equal(l.l_len, 20);
	/* A close of any descriptor of the file takes the process's locks on that mount with it. */
	close(open_on(c, 2, "f", O_RDWR));
	assert_int_equal(range(fds[0], F_SETLK, F_WRLCK, 40, 60), 0);
	close_all(fds);
	int fd = open_on(c, 1, "f", O_RDWR);
	assert_int_equal(range(fd, F_SETLK, F_WRLCK, 0, 0), 0);
	close(fd);
}

static bool one_is_over(void *ctx)
{
	(void)ctx;
	return granted_so_far > 0;
}

static void who_would_wait_for_himself_is_told(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	struct waiter w[2];
	int a[3], b[3];
	open_everywhere(c, "a", a);
	open_everywhere(c, "b", b);
	granted_so_far = 0;
	assert_int_equal(range(a[0], F_SETLK, F_WRLCK, 0, 0), 0);
	assert_int_equal(range(b[1], F_SETLK, F_WRLCK, 0, 0), 0);
	waiter_start(&w[0], b[0], true);
	waiter_start(&w[1], a[1], true);
	assert_true(wait_until(one_is_over, NULL, CLUSTER_WAIT_MS));
	/* Whoever asked later closes the circle, and gives up what it holds. */
	int told = w[0].order == 1 ? 0 : 1;
	waiter_join(&w[told]);
	assert_int_equal(w[told].result, -EDEADLK);
	assert_int_equal(range(told == 0 ? a[0] : b[1], F_SETLK, F_UNLCK, 0, 0), 0);
	waiter_join(&w[!told]);
	assert_int_equal(w[!told].result, 0);
	close_all(a);
	close_all(b);
}

static void waiters_get_it_in_the_order_of_asking(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=1s");
	struct waiter w[2];
	int fds[3];
	open_everywhere(c, "f", fds);
	int probe = open_on(c, 0, "f", O_RDWR);
	granted_so_far = 0;
	assert_int_equal(whole(fds[0], LOCK_SH), 0);
	waiter_start(&w[0], fds[2], false);
	assert_true(wait_until(is_queued, &probe, CLUSTER_WAIT_MS));
	waiter_start(&w[1], fds[1], false);
	/* Longer than timeout=: a wait for a lock has no end of its own. */
	struct timespec pause = {.tv_sec = 1, .tv_nsec = 500000000};
	nanosleep(&pause, NULL);
	assert_int_equal(granted_so_far, 0);
	double released = now_seconds();
	assert_int_equal(whole(fds[0], LOCK_UN), 0);
	waiter_join(&w[0]);
	assert_int_equal(w[0].result, 0);
	assert_int_equal(granted_so_far, 1);
	assert_int_equal(whole(fds[2], LOCK_UN), 0);
	waiter_join(&w[1]);
	assert_int_equal(w[1].result, 0);
	assert_int_equal(w[1].order, 2);
	note("a waiter had the lock %.1f ms after it was given back", 1000 * (w[0].at - released));
	close(probe);
	close_all(fds);
}

static void on_alarm(int number)
{
	(void)number;
}

static void alarm_soon(void)
{
	struct itimerval in = {.it_value.tv_usec = 300000};
	assert_int_equal(setitimer(ITIMER_REAL, &in, NULL), 0);
}

static void a_waiter_can_be_interrupted(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	struct sigaction action = {.sa_handler = on_alarm};
	int fds[3];
	open_everywhere(c, "f", fds);
	assert_int_equal(whole(fds[0], LOCK_EX), 0);
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	alarm_soon();
	assert_int_equal(whole(fds[1], LOCK_EX), -EINTR);
	alarm_soon();
	assert_int_equal(range(fds[2], F_SETLK, F_WRLCK, 0, 0), 0);
	assert_int_equal(range(fds[1], F_SETLKW, F_WRLCK, 0, 0), -EINTR);
	/* It waits no more: who asks next has it at once. */
	assert_int_equal(whole(fds[0], LOCK_UN), 0);
	assert_int_equal(whole(fds[2], LOCK_EX | LOCK_NB), 0);
	/* Killed while it waits. */
	int pid = fork();
	if (pid == 0) {
		whole(fds[1], LOCK_EX);
		_exit(0);
	}
	struct timespec pause = {.tv_nsec = 200000000};
	nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	int status;
	assert_true(run_wait(pid, 5000, &status));
	assert_int_equal(status, 128 + SIGKILL);
	close_all(fds);
}

/* flock(1), as scripts use it; the lock file is made by whoever comes first. */
static void mutex(struct cluster *c, const char *counter)
{
	int pids[6], each = rounds(15);
	assert_int_equal(file_write(path("%s/%s", c->nodes[0].mount, counter), "0"), 0);
	for (int i = 0; i < 6; i++) {
		const char *m = c->nodes[i % 3].mount;
		const char *script =
			path("for i in $(seq %d); do flock %s/%s.lock sh -c 'n=$(cat %s/%s) && echo $((n+1)) >%s/%s' || exit 1; done", each,
			     m, counter, m, counter, m, counter);
		const char *const argv[] = {"sh", "-c", script, NULL};
		pids[i] = run_spawn(argv, path("%s/contender%d", c->dir, i));
		assert_true(pids[i] > 0);
	}
	for (int i = 0; i < 6; i++) {
		int status = -1;
		if (!run_wait(pids[i], 2 * CLUSTER_WAIT_MS, &status) || status != 0)
			cluster_fail("contender %d ended with %d: %s", i, status,
				     file_load(path("%s/contender%d", c->dir, i), &(size_t){0}));
	}
	assert_int_equal(whole(open_on(c, 1, path("%s.lock", counter), O_RDWR), LOCK_EX), 0);
	if (!file_is(path("%s/%s", c->nodes[1].mount, counter), path("%d\n", 6 * each)))
		cluster_fail("%d increments came to %s", 6 * each, file_load(path("%s/%s", c->nodes[1].mount, counter), &(size_t){0}));
}

static void flock_1_is_a_mutex_on_all_nodes(void **state)
{
	(void)state;
	mutex(cluster_up(3, NULL), "counter");
}

/* Through one descriptor, opened before all of it: a child for each node. */
static int count_up(const char *file, int times)
{
	char text[32];
	int fd = open(file, O_RDWR | O_CLOEXEC);
	for (int i = 0; i < times; i++) {
		if (fd < 0 || range(fd, F_SETLKW, F_WRLCK, 0, 0))
			return 1;
		ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
		if (got <= 0)
			return 2;
		text[got] = '\0';
		int size = snprintf(text, sizeof(text), "%d\n", (int)strtol(text, NULL, 10) + 1);
		if (pwrite(fd, text, (size_t)size, 0) != size || range(fd, F_SETLK, F_UNLCK, 0, 0))
			return 3;
	}
	return close(fd) ? 4 : 0;
}

static void flock_1_is_a_mutex_on_serial_mounts(void **state)
{
	(void)state;
	mutex(cluster_up(3, "consistency=serial"), "counter");
}

/* Many at once make the same lock file: whoever finds it made meanwhile opens it. */
static void whoever_comes_second_opens_the_lock_file_that_the_first_one_made(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *script =
		path("cd %s && for i in $(seq %d); do for k in 1 2 3 4 5 6; do flock l$i true || echo no >>%s/no & done; wait; done",
		     c->nodes[0].mount, rounds(40), c->dir);
	struct run_result r;
	run_shell(&r, "%s", script);
	assert_int_equal(r.status, 0);
	if (r.err_size > 0 || access(path("%s/no", c->dir), F_OK) == 0)
		cluster_fail("%s", r.err);
	run_done(&r);
}

static void what_the_one_before_wrote_is_there_through_an_old_descriptor(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "consistency=serial");
	int pids[3], each = rounds(60);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "0\n"), 0);
	cluster_agree(c);
	for (int i = 0; i < 3; i++) {
		const char *file = path("%s/f", c->nodes[i].mount);
		if ((pids[i] = fork()) == 0)
			_exit(count_up(file, each));
	}
	for (int i = 0; i < 3; i++) {
		int status = -1;
		assert_true(run_wait(pids[i], 2 * CLUSTER_WAIT_MS, &status));
		assert_int_equal(status, 0);
	}
	cluster_agree(c);
	assert_true(file_is(path("%s/f", c->nodes[1].mount), path("%d\n", 3 * each)));
}

static void a_clean_end_gives_back_everything_at_once(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "lock_ttl=1h");
	struct waiter w;
	int fds[3];
	open_everywhere(c, "f", fds);
	assert_int_equal(whole(fds[0], LOCK_EX), 0);
	waiter_start(&w, fds[1], false);
	assert_int_equal(node_end(c, 0), 0);
	waiter_join(&w);
	assert_int_equal(w.result, 0);
	close_all(fds);
}

/* The holder's last renewal is at most a third of the time old. A new leader gives it all of its time again, once it leads. */
static double killed_holder(struct cluster *c, int round, double ttl)
{
	int leader = cluster_leader(c), holder = (leader + round) % 3;
	struct waiter w;
	int next = (holder + 1) % 3;
	bool leads = holder == leader;
	int held = open_on(c, holder, "f", O_RDWR | O_CREAT);
	int waits = open_on(c, next, "f", O_RDWR | O_CREAT);
	assert_int_equal(whole(held, LOCK_EX), 0);
	waiter_start(&w, waits, false);
	double killed = now_seconds();
	node_kill(c, holder);
	waiter_join(&w);
	assert_int_equal(w.result, 0);
	double took = w.at - killed;
	if (took < (leads ? ttl : ttl * 2 / 3) || took > ttl + (leads ? 2.5 : 0.5))
		cluster_fail("the lock of a dead holder (%s) was granted after %.2f s", leads ? "leader" : "follower", took);
	close(held);
	close(waits);
	node_start(c, holder);
	return took;
}

static void the_lock_of_a_dead_holder_is_free_when_its_time_is_over_and_no_sooner(void **state)
{
	(void)state;
	const char *long_run = getenv("LOCK_ROUNDS");
	int n = long_run ? (int)strtol(long_run, NULL, 10) : rounds(3);
	struct cluster *c = cluster_up(3, "lock_ttl=2s,heartbeat=40ms,election=200ms");
	double least = 1e9, most = 0, sum = 0;
	for (int i = 0; i < n; i++) {
		double took = killed_holder(c, i, 2);
		least = took < least ? took : least;
		most = took > most ? took : most;
		sum += took;
	}
	note("%d holders killed, lock_ttl=2s: the next had the lock after %.2f to %.2f s, %.2f on average", n, least, most, sum / n);
}

static bool is_lost(void *ctx)
{
	return pwrite(*(int *)ctx, "9", 1, 0) < 0;
}

/* Stopped for longer than its time, it holds nothing when it goes on, though it knows of nothing. */
static void what_a_holder_writes_that_was_away_never_lands(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "lock_ttl=2s");
	int holder = (cluster_leader(c) + 1) % 3, next = (holder + 1) % 3;
	int held = 0, other;
	assert_int_equal(file_write(path("%s/f", c->nodes[holder].mount), "0"), 0);
	held = open_on(c, holder, "f", O_RDWR);
	other = open_on(c, next, "f", O_RDWR);
	assert_int_equal(whole(held, LOCK_EX), 0);
	assert_int_equal(pwrite(held, "1", 1, 0), 1);
	node_stop(c, holder);
	assert_int_equal(whole(other, LOCK_EX), 0);
	assert_int_equal(pwrite(other, "2", 1, 0), 1);
	assert_int_equal(fsync(other), 0);
	node_continue(c, holder);
	/* Not even what was written in time, but published too late. */
	assert_int_equal(fsync(held) == 0 ? 0 : -errno, -EIO);
	assert_true(wait_until(is_lost, &held, 0));
	assert_int_equal(errno, EIO);
	assert_int_equal(whole(held, LOCK_EX | LOCK_NB), -EIO);
	assert_int_equal(whole(held, LOCK_UN), -EIO);
	assert_int_equal(range(held, F_SETLK, F_RDLCK, 0, 0), -EIO);
	assert_int_equal(close(held) == 0 ? 0 : -errno, -EIO);
	assert_true(file_is(path("%s/f", c->nodes[holder].mount), "2"));
	/* The next open is as good as new. */
	held = open_on(c, holder, "f", O_RDWR);
	assert_int_equal(whole(held, LOCK_EX | LOCK_NB), -EWOULDBLOCK);
	assert_int_equal(whole(other, LOCK_UN), 0);
	assert_int_equal(whole(held, LOCK_EX), 0);
	assert_int_equal(pwrite(held, "3", 1, 0), 1);
	assert_int_equal(close(held), 0);
	close(other);
	assert_true(file_is(path("%s/f", c->nodes[next].mount), "3"));
}

#define CLUSTER_TEST(name) cmocka_unit_test_teardown(name, cluster_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLUSTER_TEST(one_writer_or_many_readers_on_all_nodes),
		CLUSTER_TEST(ranges_belong_to_one_owner_each),
		CLUSTER_TEST(who_would_wait_for_himself_is_told),
		CLUSTER_TEST(waiters_get_it_in_the_order_of_asking),
		CLUSTER_TEST(a_waiter_can_be_interrupted),
		CLUSTER_TEST(flock_1_is_a_mutex_on_all_nodes),
		CLUSTER_TEST(flock_1_is_a_mutex_on_serial_mounts),
		CLUSTER_TEST(whoever_comes_second_opens_the_lock_file_that_the_first_one_made),
		CLUSTER_TEST(what_the_one_before_wrote_is_there_through_an_old_descriptor),
		CLUSTER_TEST(a_clean_end_gives_back_everything_at_once),
		CLUSTER_TEST(the_lock_of_a_dead_holder_is_free_when_its_time_is_over_and_no_sooner),
		CLUSTER_TEST(what_a_holder_writes_that_was_away_never_lands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
