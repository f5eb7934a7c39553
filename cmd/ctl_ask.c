/* Asking the cluster, and saying what went wrong. */
#include "cmd/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void ctl_say(const char *format, ...)
{
	char text[CLIENT_WHY_MAX + 256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++) {
		if (*c == '\n')
			*c = ' ';
	}
	fprintf(stderr, "tallyctl: %s\n", text);
}

int ctl_say_refused(struct ctl *ctl, const struct client_call *call)
{
	if (call->error == -EACCES) {
		ctl_say("%s", call->why);
		return CTL_REFUSED;
	}
	if (call->error) {
		ctl_say("no answer within %.3g s: %s%s", (double)ctl->options->timeout_ns / 1e9, call->why,
			call->may_have_applied && !strstr(call->why, "may have been") ? "; the write may have been applied" : "");
		return CTL_NO_ANSWER;
	}
	ctl_say("%.*s", (int)call->response.text.size, call->response.text.data ? (const char *)call->response.text.data : "");
	return call->response.error == -ETIMEDOUT || call->response.error == -ESHUTDOWN ? CTL_NO_ANSWER : CTL_REFUSED;
}

int ctl_ask(struct ctl *ctl, struct client_call *call, const struct request *r)
{
	int rc = client_call(ctl->client, call, r);

	return rc == 0 && call->response.error == 0 ? CTL_DONE : ctl_say_refused(ctl, call);
}

int ctl_connect(const struct ctl *ctl, struct client **out, char *why, size_t why_size)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	/* Each run begins its turns elsewhere, or all the runs of a script would go to the first endpoint. */
	const struct client_config config = {.endpoints = ctl->options->endpoints,
					     .policy = ctl->options->policy,
					     .timeout_ns = ctl->options->timeout_ns,
					     .seed = (uint64_t)now.tv_nsec / 64 * 2654435761u + (uint64_t)getpid(),
					     .secret = ctl->secret};
	return client_open(&config, out, why, why_size);
}
