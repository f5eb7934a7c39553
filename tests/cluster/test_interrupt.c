/* Signals that come while a call is under way: programs that catch them notice nothing as long as the cluster answers, and are let go when it does not. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROMPT_MS 3000

static volatile sig_atomic_t alarms;

static void count(int sig)
{
	(void)sig;
	alarms++;
}

/* As git shows its progress: a timer whose handler restarts calls. */
static void set_timer(int first_us, int every_us)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
	const struct itimerval timer = {{0, every_us}, {0, first_us}};
	alarms = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* What a child can do in a loop of its own, as its exit status: 0, or the line that failed. */
#define MUST(call)                                                                                                                         \
	do {                                                                                                                               \
		if (!(call))                                                                                                               \
			_exit(__LINE__);                                                                                                   \
	} while (0)

static void work(const char *dir, int round)
{
	char a[256], b[256];
	struct stat st;
	snprintf(a, sizeof(a), "%s/a%d", dir, round);
	snprintf(b, sizeof(b), "%s/b%d", dir, round);
	MUST(mkdir(a, 0755) == 0 && rename(a, b) == 0 && chmod(b, 0700) == 0 && rmdir(b) == 0);
	MUST(file_write(a, "one") == 0 && file_append(a, "two") == 0 && file_is(a, "onetwo"));
	MUST(symlink(a, b) == 0 && unlink(b) == 0 && truncate(a, 3) == 0 && stat(a, &st) == 0 && st.st_size == 3);
	MUST(file_put(b, O_EXCL, "x", 1) == 0 && rename(b, a) == 0 && unlink(a) == 0);
}

static void a_timer_fails_no_call(void **state)
{
	static const char *const modes[] = {"consistency=linearizable", "consistency=serial"};
	(void)state;
	for (size_t mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++) {
		struct cluster *c = cluster_up(3, modes[mode]);
		int on = (cluster_leader(c) + 1) % 3, status = -1;
		int pid = fork();
		if (pid == 0) {
			set_timer(500, 500);
			for (int round = 0; round < 25; round++)
				work(c->nodes[on].mount, round);
			_exit(alarms < 25);
		}
		assert_true(run_wait(pid, CLUSTER_WAIT_MS, &status));
		assert_int_equal(status, 0);
		assert_int_equal(cluster_teardown(NULL), 0);
	}
}

static void without_a_majority_a_signal_ends_the_wait(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=20s");
	const char *name = path("%s/f", c->nodes[0].mount);
	int status = -1;
	node_stop(c, 1);
	node_stop(c, 2);
	double begin = now_seconds();
	int pid = fork();
	if (pid == 0) {
		set_timer(100000, 0);
		_exit(try_open(name, O_WRONLY | O_CREAT) == -EINTR && alarms == 1 ? 0 : 1);
	}
	assert_true(run_wait(pid, PROMPT_MS, &status));
	assert_int_equal(status, 0);
	assert_true(now_seconds() - begin > 1.0);
	/* One that it does not survive lets it go at once. */
	begin = now_seconds();
	pid = fork();
	if (pid == 0) {
		const struct itimerval timer = {{0, 0}, {0, 100000}};
		setitimer(ITIMER_REAL, &timer, NULL);
		_exit(try_open(name, O_WRONLY | O_CREAT) == 0);
	}
	assert_true(run_wait(pid, PROMPT_MS, &status));
	assert_int_equal(status, 128 + SIGALRM);
	assert_true(now_seconds() - begin < 1.0);
	node_continue(c, 1);
	node_continue(c, 2);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_timer_fails_no_call),
		STORY(without_a_majority_a_signal_ends_the_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
