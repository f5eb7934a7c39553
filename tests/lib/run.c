#include "tests/lib/run.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL_LIMIT_MS 30000

double now_seconds(void)
{
	return (double)clock_mono_ns() / 1e9;
}

void note(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("# note: ");
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
}

bool wait_until(bool (*condition)(void *ctx), void *ctx, int limit_ms)
{
	const struct timespec nap = {.tv_nsec = 3000000};
	int64_t end_ns = clock_mono_ns() + (int64_t)limit_ms * 1000000;
	bool over;
	do {
		over = clock_mono_ns() > end_ns;
		if (condition(ctx))
			return true;
		nanosleep(&nap, NULL);
	} while (!over);
	return false;
}

/* In the child: nothing here may allocate, other threads of the parent may have held the allocator's lock. */
static void become(const char *const argv[], int in, int out, int err)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(126);
	execvp(argv[0], (char *const *)argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

int run_spawn(const char *const argv[], const char *log)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int pid = in < 0 || out < 0 ? -1 : fork();
	if (pid == 0)
		become(argv, in, out, out);
	if (pid < 0)
		pid = -errno;
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return pid;
}

struct child {
	int pid;
	int status;
};

static bool child_ended(void *ctx)
{
	struct child *c = ctx;
	int raw;
	int got = waitpid(c->pid, &raw, WNOHANG);
	if (got != c->pid)
		return got < 0 && errno == ECHILD;
	c->status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
	return true;
}

bool run_wait(int pid, int limit_ms, int *status)
{
	struct child c = {.pid = pid, .status = -1};
	bool ended = wait_until(child_ended, &c, limit_ms);
	if (ended)
		*status = c.status;
	return ended;
}

/* All of an anonymous file, NUL-terminated. */
static char *take(int fd, size_t *size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char *text = malloc((size_t)end + 1);
	ssize_t got = text ? pread(fd, text, (size_t)end, 0) : -1;
	if (got < 0)
		abort();
	text[got] = '\0';
	*size = (size_t)got;
	close(fd);
	return text;
}

void run_command(struct run_result *r, const char *const argv[], const void *input, size_t input_size, int limit_ms)
{
	int in = memfd_create("in", MFD_CLOEXEC);
	int out = memfd_create("out", MFD_CLOEXEC);
	int err = memfd_create("err", MFD_CLOEXEC);
	if (in < 0 || out < 0 || err < 0)
		abort();
	if (input_size > 0 && pwrite(in, input, input_size, 0) != (ssize_t)input_size)
		abort();
	memset(r, 0, sizeof(*r));
	double begin = now_seconds();
	int pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0)
		become(argv, in, out, err);
	if (!run_wait(pid, limit_ms, &r->status)) {
		int ignored;
		kill(pid, SIGKILL);
		run_wait(pid, limit_ms, &ignored);
		r->status = -1;
	}
	r->seconds = now_seconds() - begin;
	close(in);
	r->out = take(out, &r->out_size);
	r->err = take(err, &r->err_size);
}

void run_shell(struct run_result *r, const char *format, ...)
{
	char *script = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&script, format, args) < 0)
		abort();
	va_end(args);
	const char *const argv[] = {"sh", "-c", script, NULL};
	run_command(r, argv, NULL, 0, SHELL_LIMIT_MS);
	free(script);
}

void run_done(struct run_result *r)
{
	free(r->out);
	free(r->err);
	memset(r, 0, sizeof(*r));
}
