#include "tests/lib/bench_guard.h"
#include "base/clock.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SWEEP_MS_MAX 10000
#define MOUNTS_MAX 64

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st;
	(void)flag;
	(void)at;
	remove(path);
	return 0;
}

/* Unmounts the last one found below `root`, so that those on top go first. False when there is none. */
static bool unmount_one(const char *root)
{
	char line[4096], path[4096], found[4096] = "";
	FILE *f = fopen("/proc/self/mountinfo", "r");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %*s %*s %4095s", path) == 1 && strncmp(path, root, strlen(root)) == 0)
			snprintf(found, sizeof(found), "%s", path);
	fclose(f);
	return *found && umount2(found, MNT_DETACH) == 0;
}

/* Kills the children of this process. */
static void kill_children(void)
{
	char path[64];
	int pid;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(path, "r");
	if (!f)
		return;
	while (fscanf(f, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(f);
}

/* Those whose parent died since the last look are found by the next one. */
static void sweep_processes(void)
{
	const struct timespec nap = {.tv_nsec = 10000000};
	for (int ms = 0; ms < SWEEP_MS_MAX; ms += 10) {
		kill_children();
		pid_t pid;
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return;
		nanosleep(&nap, NULL);
	}
	fprintf(stderr, "bench: a process could not be ended\n");
}

static void sweep_files(const char *root)
{
	for (int i = 0; i < MOUNTS_MAX && unmount_one(root); i++)
		;
	nftw(root, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static _Noreturn void run_child(int (*work)(const char *root), const char *root, const sigset_t *mask)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* Mounts then vanish with the processes, even when the parent is killed too. Not allowed everywhere, and not needed. */
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	setenv("TMPDIR", root, 1);
	int rc = work(root);
	fflush(stdout);
	_exit(rc);
}

/* Waits for `child`, for a signal that asks to stop, or for the end of the time. */
static int watch(pid_t child, const sigset_t *signals, unsigned seconds_max)
{
	int64_t deadline = clock_mono_ns() + (int64_t)seconds_max * 1000000000;
	for (;;) {
		int status;
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
		int64_t left = deadline - clock_mono_ns();
		if (left <= 0) {
			fprintf(stderr, "bench: took longer than %u s\n", seconds_max);
			return 124;
		}
		struct timespec wait = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
		int got = sigtimedwait(signals, NULL, &wait);
		if (got == SIGINT || got == SIGTERM || got == SIGHUP)
			return BENCH_GUARD_INTERRUPTED;
	}
}

int bench_guard_run(int (*work)(const char *root), unsigned seconds_max)
{
	char root[256];
	const char *tmp = getenv("TMPDIR");
	snprintf(root, sizeof(root), "%s/tallybench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(root)) {
		fprintf(stderr, "bench: %s: %s\n", root, strerror(errno));
		return 125;
	}
	sigset_t signals, before;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &before);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t child = fork();
	if (child == 0)
		run_child(work, root, &before);
	int rc = child < 0 ? 125 : watch(child, &signals, seconds_max);
	sweep_processes();
	sweep_files(root);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return rc;
}
