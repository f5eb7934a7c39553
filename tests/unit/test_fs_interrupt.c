#include "fs/interrupt.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A child that stands still with a signal pending: stopped before it can take it up. `blocked`, or handled by `handler`. */
static enum interrupt meaning(int sig, void (*handler)(int), bool blocked)
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
	enum interrupt answer = interrupt_of(child);
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

static void a_signal_that_ends_the_caller_lets_it_go_at_once(void **state)
{
	(void)state;
	assert_int_equal(meaning(SIGTERM, SIG_DFL, false), INTERRUPT_FATAL);
}

static void a_signal_that_is_caught_lets_it_finish_what_takes_no_longer_than_usual(void **state)
{
	(void)state;
	assert_int_equal(meaning(SIGUSR1, handle, false), INTERRUPT_CAUGHT);
	assert_int_equal(meaning(SIGCHLD, handle, false), INTERRUPT_CAUGHT);
}

static void a_signal_that_is_blocked_or_ignored_does_not_matter(void **state)
{
	(void)state;
	assert_int_equal(meaning(SIGTERM, SIG_DFL, true), INTERRUPT_IGNORED);
	assert_int_equal(meaning(SIGTERM, SIG_IGN, false), INTERRUPT_IGNORED);
	assert_int_equal(meaning(SIGCHLD, SIG_DFL, true), INTERRUPT_IGNORED);
}

static void a_caller_that_cannot_be_seen_is_let_go(void **state)
{
	(void)state;
	assert_int_equal(interrupt_of(0), INTERRUPT_FATAL);
	assert_int_equal(interrupt_of(0x7ffffff0), INTERRUPT_FATAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_that_ends_the_caller_lets_it_go_at_once),
		cmocka_unit_test(a_signal_that_is_caught_lets_it_finish_what_takes_no_longer_than_usual),
		cmocka_unit_test(a_signal_that_is_blocked_or_ignored_does_not_matter),
		cmocka_unit_test(a_caller_that_cannot_be_seen_is_let_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
