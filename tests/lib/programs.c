/* programs.c: where the programs under test are, what runs, and which ports are free. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TALLYCTL_ARGS_MAX 24
#define TALLYCTL_LIMIT_MS 30000

/* $variable, or `name` three folders above the test program: BUILD/tests/cluster/test_x -> BUILD/name. */
static const char *find_program(const char *variable, const char *name, char *out)
{
	const char *given = getenv(variable);
	if (given && *given)
		return given;
	ssize_t length = readlink("/proc/self/exe", out, PATH_MAX - 1);
	if (length < 0)
		abort();
	out[length] = '\0';
	for (int up = 0; up < 3; up++) {
		char *slash = strrchr(out, '/');
		if (slash)
			*slash = '\0';
	}
	size_t at = strlen(out);
	snprintf(out + at, PATH_MAX - at, "/%s", name);
	return out;
}

const char *tallyfs_binary(void)
{
	static _Thread_local char out[PATH_MAX];
	return find_program("TALLYFS", "tallyfs", out);
}

const char *tallyctl_binary(void)
{
	static _Thread_local char out[PATH_MAX];
	return find_program("TALLYCTL", "tallyctl", out);
}

void tallyctl(const struct cluster *c, int i, struct run_result *r, ...)
{
	const char *argv[TALLYCTL_ARGS_MAX] = {tallyctl_binary(), "--endpoints", c->nodes[i].data};
	int k = 3;
	va_list args;
	va_start(args, r);
	while (k < TALLYCTL_ARGS_MAX - 1 && (argv[k] = va_arg(args, const char *)) != NULL)
		k++;
	va_end(args);
	argv[k] = NULL;
	run_command(r, argv, NULL, 0, TALLYCTL_LIMIT_MS);
}

int free_port(void)
{
	/* Below the range of outgoing connections: a peer that redials a dead node must not end up on the port that the node needs again. */
	static int next;
	if (next == 0)
		next = 20000 + (int)(getpid() * 37 % 10000);
	for (int tries = 0; tries < 5000; tries++) {
		int port = next++;
		if (next >= 32000)
			next = 20000;
		struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int free_now = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
		if (fd >= 0)
			close(fd);
		if (free_now)
			return port;
	}
	fail_msg("no free port");
	return 0;
}

/* Asks for the name first: the arguments of a process that waits for a file system in the middle of its start cannot be read. */
static bool is_tallyfs(const char *pid)
{
	char comm[32];
	const char *slash = strrchr(tallyfs_binary(), '/');
	const char *name = slash ? slash + 1 : tallyfs_binary();
	ssize_t got = file_read(path("/proc/%s/comm", pid), comm, sizeof(comm));
	return got > 1 && strncmp(comm, name, (size_t)got - 1) == 0;
}

static bool has_argument(const char *pid, const char *word)
{
	char text[8192];
	ssize_t got = file_read(path("/proc/%s/cmdline", pid), text, sizeof(text));
	for (ssize_t at = 0; at < got; at += (ssize_t)strlen(text + at) + 1)
		if (strncmp(text + at, word, strlen(word)) == 0)
			return true;
	return false;
}

int process_with(const char *word)
{
	int found = 0;
	DIR *d = opendir("/proc");
	for (struct dirent *e; d && found == 0 && (e = readdir(d)) != NULL;)
		if (isdigit((unsigned char)e->d_name[0]) && is_tallyfs(e->d_name) && has_argument(e->d_name, word))
			found = (int)strtoull(e->d_name, NULL, 10);
	if (d)
		closedir(d);
	return found;
}
