/* address.h: how an endpoint is named, and what nanomsg is told.
 *
 *   HOST:PORT         a node's client= address, IPv4: nanomsg 1.1.5 aborts the process when an IPv6-enabled socket connects a second time
 *   HOST:PORT*WEIGHT  with a weight for balancing, 1 to 1000
 *   DATA              the data directory of a node on this machine: it has a slash in it, or is a directory */
#ifndef TALLY_STORE_CLIENT_ADDRESS_H
#define TALLY_STORE_CLIENT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_URL_MAX 128 /* NN_SOCKADDR_MAX */
#define ADDRESS_WEIGHT_MAX 1000u

struct address {
	char *text; /* as given, without the weight; owned */
	uint32_t weight;
	bool local; /* text is a data directory */
	int dir_fd; /* that directory, if its path is too long for a socket's; else -1 */
};

/* -EINVAL and a line in `why` for what is neither. Looks nothing up. */
int address_parse(const char *text, size_t size, struct address *out, char *why, size_t why_size);
void address_done(struct address *a);
/* What to connect to, into url[ADDRESS_URL_MAX]; the url is good as long as the address lives. May ask the resolver when HOST is a name.
 * -ENOENT: no such directory; -EHOSTUNREACH: no such host. */
int address_url(struct address *a, char *url);

/* The url of DATA/ctl. A path over the 107 bytes of a unix socket goes through a descriptor of DATA, put into *dir_fd (else -1), which the
 * caller closes when the socket is closed. */
int address_ipc_url(const char *data, char *url, int *dir_fd);
/* The url of HOST:PORT, numeric. `listening`: an address to bind. -EINVAL malformed, -EHOSTUNREACH unknown host. */
int address_tcp_url(const char *host_port, bool listening, char *url);

#endif
