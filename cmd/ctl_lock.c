/* tallyctl lock and elect. */
#include "cmd/claim.h"
#include "cmd/ctl.h"
#include "cmd/ctl_json.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TTL_S 60
#define LOOK_MS 50
/* As a shell says it. */
#define NOT_FOUND 127
#define BY_SIGNAL 128

extern char **environ;

static uint64_t ttl_of(const struct ctl *ctl)
{
	return ctl->options->ttl_s ? ctl->options->ttl_s : TTL_S;
}

/* Until a signal comes. The lease's loss ends it too. */
static int hold(struct claim *c, const char *name)
{
	while (!ctl_interrupted() && !keeper_lost(c->keeper))
		ctl_pause(LOOK_MS);
	if (!keeper_lost(c->keeper))
		return CTL_DONE;
	ctl_say("%s: lost: its lease was not renewed in time", name);
	return CTL_REFUSED;
}

/* Passes signals on, and ends the command if the lock is lost: another one may hold it by then. */
static int wait_for_command(struct claim *c, pid_t pid, const char *name)
{
	int status = 0;
	int passed = 0;
	bool lost = false;
	int fd = pidfd_open(pid, 0);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct pollfd ended = {.fd = fd, .events = POLLIN};
		poll(&ended, 1, LOOK_MS);
		if (ctl_interrupted() != passed)
			kill(pid, passed = ctl_interrupted());
		if (keeper_lost(c->keeper) && !lost) {
			lost = true;
			ctl_say("%s: lost: its lease was not renewed in time; the command is ended", name);
			kill(pid, SIGTERM);
		}
	}
	if (fd >= 0)
		close(fd);
	if (lost)
		return CTL_REFUSED;
	return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_command(struct ctl *ctl, struct claim *c)
{
	char revision[24];
	pid_t pid;
	snprintf(revision, sizeof(revision), "%" PRIu64, c->revision);
	setenv("TALLYCTL_LOCK_KEY", c->key, 1);
	setenv("TALLYCTL_LOCK_REV", revision, 1);
	int rc = posix_spawnp(&pid, ctl->args[1], NULL, NULL, &ctl->args[1], environ);
	if (rc) {
		ctl_say("%s: %s", ctl->args[1], strerror(rc));
		return NOT_FOUND;
	}
	return wait_for_command(c, pid, ctl->args[0]);
}

static void print(const struct ctl *ctl, const struct claim *c, const char *value)
{
	if (ctl->options->json) {
		printf("{\"key\":");
		json_string((struct span){c->key, strlen(c->key)});
		printf(",\"revision\":%" PRIu64, c->revision);
		if (value) {
			putchar(',');
			json_bytes("value", (struct span){value, strlen(value)});
		}
		printf("}\n");
	} else {
		printf("%s\n", c->key);
		if (value)
			printf("%s\n", value);
	}
	fflush(stdout);
}

int ctl_lock(struct ctl *ctl)
{
	struct claim c;

	ctl_catch_interrupts();
	int status = claim_begin(ctl, ctl->args[0], "", ttl_of(ctl), &c);
	if (status != CTL_DONE)
		return status;
	if (ctl->args_count > 1) {
		status = run_command(ctl, &c);
	} else {
		print(ctl, &c, NULL);
		status = hold(&c, ctl->args[0]);
	}
	claim_end(&c);
	return status;
}

int ctl_elect(struct ctl *ctl)
{
	struct claim c;

	ctl_catch_interrupts();
	int status = claim_begin(ctl, ctl->args[0], ctl->args[1], ttl_of(ctl), &c);
	if (status != CTL_DONE)
		return status;
	print(ctl, &c, ctl->args[1]);
	status = hold(&c, ctl->args[0]);
	claim_end(&c);
	return status;
}
