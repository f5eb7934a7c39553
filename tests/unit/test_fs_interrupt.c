#include "fs/interrupt.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A child that stands still with a signal pending: stopped before it can take it up. `blocked`, or handled by `handler`. */
static bool matters(int sig, void (*handler)(int), bool blocked)
{
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		sigset_t set;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&set);
		sigaddset(&set, sig);
		signal(sig, handler);
		if (blocked)
			sigprocmask(SIG_BLOCK, &set, NULL);
		if (write(ready[1], "r", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	int status;
	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_int_equal(kill(child, sig), 0);
	bool answer = interrupt_matters(child);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	close(ready[0]);
	close(ready[1]);
	return answer;
}

static void handle(int sig)
{
	(void)sig;
}

static void a_signal_that_ends_the_caller_or_is_caught_matters(void **state)
{
	(void)state;
	assert_true(matters(SIGTERM, SIG_DFL, false));
	assert_true(matters(SIGUSR1, handle, false));
	assert_true(matters(SIGCHLD, handle, false));
}

static void a_signal_that_is_blocked_or_ignored_does_not(void **state)
{
	(void)state;
	assert_false(matters(SIGTERM, SIG_DFL, true));
	assert_false(matters(SIGTERM, SIG_IGN, false));
	assert_false(matters(SIGCHLD, SIG_DFL, true));
}

static void a_caller_that_cannot_be_seen_is_let_go(void **state)
{
	(void)state;
	assert_true(interrupt_matters(0));
	assert_true(interrupt_matters(0x7ffffff0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_that_ends_the_caller_or_is_caught_matters),
		cmocka_unit_test(a_signal_that_is_blocked_or_ignored_does_not),
		cmocka_unit_test(a_caller_that_cannot_be_seen_is_let_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
