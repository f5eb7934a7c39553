#include "store/client/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIX_PATH_MAX 107u
#define HOST_MAX 256

/* A decimal number of 1..max that fills `text` to its end. */
static bool number_parse(const char *text, size_t size, unsigned long max, unsigned long *out)
{
	unsigned long n = 0;

	if (size == 0 || size > 5)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (unsigned long)(text[i] - '0');
	}
	*out = n;
	return n >= 1 && n <= max;
}

/* HOST:PORT into its parts. */
static int host_port_split(const char *text, char host[HOST_MAX], char port[8])
{
	const char *colon = strrchr(text, ':');
	unsigned long number;

	if (!colon || !number_parse(colon + 1, strlen(colon + 1), 65535, &number))
		return -EINVAL;
	size_t size = (size_t)(colon - text);
	if (size == 0 || size >= HOST_MAX || memchr(text, ':', size))
		return -EINVAL;
	snprintf(host, HOST_MAX, "%.*s", (int)size, text);
	snprintf(port, 8, "%lu", number);
	return 0;
}

int address_tcp_url(const char *host_port, bool listening, char *url)
{
	char host[HOST_MAX];
	char port[8];
	char numeric[NI_MAXHOST];
	struct addrinfo hints = {
		.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (listening ? AI_PASSIVE : 0)};
	struct addrinfo *found = NULL;

	if (host_port_split(host_port, host, port))
		return -EINVAL;
	if (listening && strcmp(host, "*") == 0) {
		snprintf(url, ADDRESS_URL_MAX, "tcp://*:%s", port);
		return 0;
	}
	if (getaddrinfo(host, port, &hints, &found) != 0 || !found)
		return -EHOSTUNREACH;
	int rc = getnameinfo(found->ai_addr, found->ai_addrlen, numeric, sizeof(numeric), NULL, 0, NI_NUMERICHOST);
	freeaddrinfo(found);
	if (rc != 0)
		return -EHOSTUNREACH;
	int size = snprintf(url, ADDRESS_URL_MAX, "tcp://%s:%s", numeric, port);
	return size < ADDRESS_URL_MAX ? 0 : -EINVAL;
}

int address_ipc_url(const char *data, char *url, int *dir_fd)
{
	if (strlen(data) + strlen("/ctl") <= UNIX_PATH_MAX) {
		*dir_fd = -1;
		snprintf(url, ADDRESS_URL_MAX, "ipc://%s/ctl", data);
		return 0;
	}
	int fd = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*dir_fd = fd;
	snprintf(url, ADDRESS_URL_MAX, "ipc:///proc/self/fd/%d/ctl", fd);
	return 0;
}

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_local(const char *text)
{
	return strchr(text, '/') || is_directory(text);
}

/* Takes *WEIGHT off the end. */
static int weight_take(char *text, uint32_t *weight)
{
	char *star = strrchr(text, '*');
	unsigned long number;

	*weight = 1;
	if (!star || is_directory(text))
		return 0;
	if (!number_parse(star + 1, strlen(star + 1), ADDRESS_WEIGHT_MAX, &number))
		return -EINVAL;
	*star = '\0';
	*weight = (uint32_t)number;
	return 0;
}

int address_parse(const char *text, size_t size, struct address *out, char *why, size_t why_size)
{
	char host[HOST_MAX];
	char port[8];
	struct address a = {.text = strndup(text, size), .dir_fd = -1};

	if (!a.text)
		abort();
	int rc = weight_take(a.text, &a.weight);
	if (rc == 0) {
		a.local = is_local(a.text);
		if (!a.local)
			rc = host_port_split(a.text, host, port);
	}
	if (rc) {
		snprintf(why, why_size, "endpoint \"%.*s\" is neither HOST:PORT, HOST:PORT*WEIGHT nor a data directory", (int)size, text);
		free(a.text);
		return rc;
	}
	*out = a;
	return 0;
}

void address_done(struct address *a)
{
	if (a->dir_fd >= 0)
		close(a->dir_fd);
	free(a->text);
	*a = (struct address){.dir_fd = -1};
}

int address_url(struct address *a, char *url)
{
	if (!a->local)
		return address_tcp_url(a->text, false, url);
	if (a->dir_fd < 0)
		return address_ipc_url(a->text, url, &a->dir_fd);
	snprintf(url, ADDRESS_URL_MAX, "ipc:///proc/self/fd/%d/ctl", a->dir_fd);
	return 0;
}
