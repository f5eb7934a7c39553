#include "cmd/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY "\n"

static void send_line(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t sent = write(fd, text, size);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return;
		text += sent;
		size -= (size_t)sent;
	}
}

/* The child sends a bare newline, or the line that says what is wrong, or dies without a word. */
static void wait_for_child(int fd)
{
	char line[3 * PATH_MAX];
	size_t size = 0;

	for (;;) {
		ssize_t got = read(fd, line + size, sizeof(line) - 1 - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size += (size_t)got;
	}
	line[size] = '\0';
	if (strcmp(line, READY) == 0)
		_exit(0);
	fprintf(stderr, "tallyfs: %s%s", size ? line : "the daemon ended before it was ready", size && line[size - 1] == '\n' ? "" : "\n");
	_exit(1);
}

void daemonize_start(struct daemonize *d, bool foreground)
{
	int ends[2];

	d->pipe = -1;
	if (foreground)
		return;
	if (pipe2(ends, O_CLOEXEC) != 0) {
		fprintf(stderr, "tallyfs: cannot make a pipe: %s\n", strerror(errno));
		exit(1);
	}
	pid_t child = fork();
	if (child < 0) {
		fprintf(stderr, "tallyfs: cannot fork: %s\n", strerror(errno));
		exit(1);
	}
	if (child > 0) {
		close(ends[1]);
		wait_for_child(ends[0]);
	}
	close(ends[0]);
	d->pipe = ends[1];
	setsid();
	if (chdir("/") != 0)
		daemonize_failed(d, "cannot enter /");
}

void daemonize_ready(struct daemonize *d)
{
	if (d->pipe < 0)
		return;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	send_line(d->pipe, READY, 1);
	close(d->pipe);
	d->pipe = -1;
}

void daemonize_failed(struct daemonize *d, const char *line)
{
	if (d->pipe < 0) {
		fprintf(stderr, "tallyfs: %s\n", line);
		return;
	}
	send_line(d->pipe, line, strlen(line));
	close(d->pipe);
	d->pipe = -1;
}
