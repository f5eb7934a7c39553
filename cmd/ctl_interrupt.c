/* Commands that go on until a signal ends them. */
#include "cmd/ctl.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

/* How soon a signal is noticed that came just before a wait. */
#define SLICE_NS INT64_C(50000000)

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

void ctl_catch_interrupts(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

int ctl_interrupted(void)
{
	return interrupted;
}

int ctl_ask_interruptible(struct ctl *ctl, struct client_call *call, const struct request *r)
{
	int rc = client_submit(ctl->client, call, r);

	if (rc)
		return rc;
	do
		client_run(ctl->client, SLICE_NS);
	while (!call->finished && !interrupted);
	if (call->finished)
		return call->error;
	client_cancel(ctl->client, call);
	return -EINTR;
}

void ctl_pause(int64_t ms)
{
	if (!interrupted)
		poll(NULL, 0, ms < INT_MAX ? (int)ms : INT_MAX);
}
