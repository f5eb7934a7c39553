#include "raft/peer_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_BYTES 256

static bool split(const char *address, char host[HOST_BYTES], uint16_t *port)
{
	const char *colon = strrchr(address, ':');
	if (!colon || colon == address || (size_t)(colon - address) >= HOST_BYTES)
		return false;
	const char *digits = colon + 1;
	size_t length = strlen(digits);
	if (length == 0 || length > 5 || strspn(digits, "0123456789") != length)
		return false;
	unsigned long value = strtoul(digits, NULL, 10);
	if (value == 0 || value > UINT16_MAX)
		return false;
	memcpy(host, address, (size_t)(colon - address));
	host[colon - address] = '\0';
	if (strpbrk(host, ":/; \t"))
		return false;
	*port = (uint16_t)value;
	return true;
}

bool peer_address_connect_url(const char *address, char url[PEER_URL_BYTES])
{
	char host[HOST_BYTES];
	uint16_t port;

	if (!split(address, host, &port))
		return false;
	snprintf(url, PEER_URL_BYTES, "tcp://%s:%u", host, port);
	return true;
}

int peer_address_bind_url(const char *address, char url[PEER_URL_BYTES])
{
	char host[HOST_BYTES];
	char numeric[INET_ADDRSTRLEN];
	uint16_t port;
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;

	if (!split(address, host, &port))
		return -EINVAL;
	if (strcmp(host, "*") == 0) {
		snprintf(url, PEER_URL_BYTES, "tcp://*:%u", port);
		return 0;
	}
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return -ENOENT;
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)found->ai_addr;
	inet_ntop(AF_INET, &in->sin_addr, numeric, sizeof(numeric));
	freeaddrinfo(found);
	snprintf(url, PEER_URL_BYTES, "tcp://%s:%u", numeric, port);
	return 0;
}
