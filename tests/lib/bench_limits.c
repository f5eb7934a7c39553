#include "tests/lib/bench_limits.h"
#include "base/clock.h"
#include "tests/lib/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define APPEND_BYTES 4096
#define ECHO_BYTES 64
#define ECHO_TIMEOUT_MS 5000
#define READY_TIMEOUT_MS 10000

int bench_limit_sync(const char *dir, unsigned count, struct bench_result *r)
{
	static const char block[APPEND_BYTES];
	char path[512];
	snprintf(path, sizeof(path), "%s/sync-XXXXXX", dir);
	int fd = mkstemp(path);
	if (fd < 0)
		return -errno;
	unlink(path);
	int error = 0;
	int64_t begin = clock_mono_ns(), last = begin;
	for (unsigned i = 0; i < count && !error; i++) {
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block) || fdatasync(fd) != 0)
			error = errno ? -errno : -EIO;
		int64_t now = clock_mono_ns();
		bench_result_record(r, now - last);
		last = now;
	}
	r->seconds += (double)(last - begin) / 1e9;
	close(fd);
	return error;
}

/* One side of the pair: a bound PULL and a connected PUSH. */
static int join(int port_in, int port_out, int *pull, int *push)
{
	char address[64];
	int yes = 1, timeout = ECHO_TIMEOUT_MS;
	*pull = nn_socket(AF_SP, NN_PULL);
	*push = nn_socket(AF_SP, NN_PUSH);
	if (*pull < 0 || *push < 0)
		return -EIO;
	nn_setsockopt(*pull, NN_SOL_SOCKET, NN_RCVTIMEO, &timeout, sizeof(timeout));
	nn_setsockopt(*push, NN_SOL_SOCKET, NN_SNDTIMEO, &timeout, sizeof(timeout));
	nn_setsockopt(*push, NN_TCP, NN_TCP_NODELAY, &yes, sizeof(yes));
	nn_setsockopt(*pull, NN_TCP, NN_TCP_NODELAY, &yes, sizeof(yes));
	snprintf(address, sizeof(address), "tcp://127.0.0.1:%d", port_in);
	if (nn_bind(*pull, address) < 0)
		return -EADDRINUSE;
	snprintf(address, sizeof(address), "tcp://127.0.0.1:%d", port_out);
	return nn_connect(*push, address) < 0 ? -EIO : 0;
}

/* Waits without end for the next message: it ends with the process that asks. */
static _Noreturn void echo_main(int port_in, int port_out)
{
	int pull = -1, push = -1, forever = -1;
	char message[ECHO_BYTES];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (join(port_in, port_out, &pull, &push) != 0)
		_exit(1);
	nn_setsockopt(pull, NN_SOL_SOCKET, NN_RCVTIMEO, &forever, sizeof(forever));
	for (;;) {
		int n = nn_recv(pull, message, sizeof(message), 0);
		if (n < 0 || nn_send(push, message, (size_t)n, 0) < 0)
			_exit(1);
	}
}

int bench_echo_start(struct bench_echo *e)
{
	*e = (struct bench_echo){.pid = -1, .push = -1, .pull = -1};
	int here = free_port(), there = free_port();
	e->pid = fork();
	if (e->pid < 0)
		return -errno;
	if (e->pid == 0)
		echo_main(there, here);
	int error = join(here, there, &e->pull, &e->push);
	if (error)
		bench_echo_stop(e);
	return error;
}

int bench_limit_round_trip(struct bench_echo *e, unsigned count, struct bench_result *r)
{
	char message[ECHO_BYTES] = {0};
	int64_t begin = clock_mono_ns();
	for (unsigned i = 0; i < count; i++) {
		int64_t start = clock_mono_ns();
		if (nn_send(e->push, message, sizeof(message), 0) < 0 || nn_recv(e->pull, message, sizeof(message), 0) < 0)
			return -EIO;
		bench_result_record(r, clock_mono_ns() - start);
	}
	r->seconds += (double)(clock_mono_ns() - begin) / 1e9;
	return 0;
}

static void end_process(pid_t *pid, int signal_number)
{
	if (*pid > 0) {
		kill(*pid, signal_number);
		waitpid(*pid, NULL, 0);
	}
	*pid = -1;
}

void bench_echo_stop(struct bench_echo *e)
{
	if (e->pid <= 0)
		return;
	end_process(&e->pid, SIGKILL);
	if (e->push >= 0)
		nn_close(e->push);
	if (e->pull >= 0)
		nn_close(e->pull);
	e->push = e->pull = -1;
}

static _Noreturn void empty_main(const char *program, const char *mount_point, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(out, STDOUT_FILENO);
	execl(program, program, mount_point, (char *)NULL);
	fprintf(stderr, "bench: %s: %s\n", program, strerror(errno));
	_exit(127);
}

int bench_empty_start(const char *program, const char *mount_point, struct bench_empty *e)
{
	int ready[2];
	char line[6];
	*e = (struct bench_empty){.pid = -1};
	snprintf(e->mount, sizeof(e->mount), "%s", mount_point);
	if (mkdir(mount_point, 0755) != 0 && errno != EEXIST)
		return -errno;
	if (pipe2(ready, O_CLOEXEC) != 0)
		return -errno;
	e->pid = fork();
	if (e->pid == 0)
		empty_main(program, mount_point, ready[1]);
	int error = e->pid < 0 ? -errno : 0;
	close(ready[1]);
	struct pollfd p = {.fd = ready[0], .events = POLLIN};
	if (!error && (poll(&p, 1, READY_TIMEOUT_MS) != 1 || read(ready[0], line, sizeof(line)) <= 0))
		error = -EIO;
	close(ready[0]);
	if (error)
		bench_empty_stop(e);
	return error;
}

/* Unmounting first ends it cleanly, and leaves nothing when it was killed. */
void bench_empty_stop(struct bench_empty *e)
{
	if (e->pid <= 0)
		return;
	umount2(e->mount, MNT_DETACH);
	end_process(&e->pid, SIGTERM);
}
