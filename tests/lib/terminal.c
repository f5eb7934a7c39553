#include "tests/lib/terminal.h"
#include "base/clock.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 5
#define PIECE 4096

static void become(const char *directory, const char *home, const char *const argv[])
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir(directory) != 0 || setenv("HOME", home, 1) != 0 || setenv("TERM", "vt100", 1) != 0)
		_exit(126);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

int terminal_start(struct terminal *t, const char *directory, const char *home, const char *const argv[])
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	*t = (struct terminal){.fd = -1};
	t->pid = forkpty(&t->fd, NULL, NULL, &size);
	if (t->pid == 0)
		become(directory, home, argv);
	if (t->pid < 0)
		return -errno;
	fcntl(t->fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

/* What has come, waiting a moment for more. False once the program's side is closed. */
static bool take(struct terminal *t)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};

	if (poll(&p, 1, LOOK_MS) <= 0)
		return true;
	if (t->capacity < t->size + PIECE + 1) {
		t->capacity = t->capacity * 2 + PIECE + 1;
		t->text = realloc(t->text, t->capacity);
		if (!t->text)
			abort();
	}
	ssize_t got = read(t->fd, t->text + t->size, PIECE);
	if (got > 0)
		t->size += (size_t)got;
	t->text[t->size] = '\0';
	return got > 0;
}

bool terminal_type(struct terminal *t, const char *keys)
{
	return write(t->fd, keys, strlen(keys)) == (ssize_t)strlen(keys);
}

bool terminal_until(struct terminal *t, bool (*condition)(void *ctx), void *ctx, int limit_ms)
{
	const struct timespec nap = {.tv_nsec = LOOK_MS * 1000000};
	int64_t end_ns = clock_mono_ns() + (int64_t)limit_ms * 1000000;
	bool met = condition(ctx);

	while (!met && clock_mono_ns() < end_ns) {
		if (!take(t))
			nanosleep(&nap, NULL);
		met = condition(ctx);
	}
	return met;
}

struct wanted {
	struct terminal *terminal;
	const char *text;
};

static bool is_shown(void *ctx)
{
	struct wanted *w = ctx;
	struct terminal *t = w->terminal;
	const char *at = t->size > t->seen ? memmem(t->text + t->seen, t->size - t->seen, w->text, strlen(w->text)) : NULL;

	if (at)
		t->seen = (size_t)(at - t->text) + strlen(w->text);
	return at != NULL;
}

bool terminal_shows(struct terminal *t, const char *text, int limit_ms)
{
	struct wanted w = {t, text};

	return terminal_until(t, is_shown, &w, limit_ms);
}

struct ending {
	int pid;
	int raw;
};

static bool has_ended(void *ctx)
{
	struct ending *e = ctx;

	return waitpid(e->pid, &e->raw, WNOHANG) == e->pid;
}

int terminal_end(struct terminal *t, int limit_ms)
{
	struct ending e = {.pid = t->pid};
	bool ended = terminal_until(t, has_ended, &e, limit_ms);

	if (!ended) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, &e.raw, 0);
	}
	close(t->fd);
	free(t->text);
	*t = (struct terminal){.fd = -1};
	if (!ended)
		return -1;
	return WIFSIGNALED(e.raw) ? 128 + WTERMSIG(e.raw) : WEXITSTATUS(e.raw);
}

void terminal_drop(struct terminal *t)
{
	if (t->pid > 0)
		terminal_end(t, 0);
}
