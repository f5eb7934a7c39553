#include "base/loopback.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

bool is_loopback(const char *address)
{
	char host[INET_ADDRSTRLEN];
	struct in_addr in;
	const char *colon = strrchr(address, ':');
	size_t size = colon ? (size_t)(colon - address) : 0;

	if (strncmp(address, "localhost:", 10) == 0 || strncmp(address, "[::1]:", 6) == 0)
		return true;
	if (size == 0 || size >= sizeof(host))
		return false;
	memcpy(host, address, size);
	host[size] = '\0';
	return inet_pton(AF_INET, host, &in) == 1 && ntohl(in.s_addr) >> 24 == 127;
}
