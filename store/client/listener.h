/* listener.h: the server's end of channels: a bound raw REP socket. Raw, so that many requests can be answered in any order.
 * One thread owns a listener. */
#ifndef TALLY_STORE_CLIENT_LISTENER_H
#define TALLY_STORE_CLIENT_LISTENER_H

#include "base/codec.h"

#include <stddef.h>

/* Where a reply goes: nanomsg's header of the request. */
#define LISTENER_ROUTE_MAX 64
struct listener_route {
	unsigned char bytes[LISTENER_ROUTE_MAX];
	size_t size;
};

struct listener {
	int socket; /* -1: closed */
	int receive_fd;
};

/* Binds. -EADDRINUSE: the port is taken. */
int listener_open(const char *url, struct listener *out);
void listener_close(struct listener *l);
/* 1: a request, its body in memory that listener_message_free ends; 0: none now. */
int listener_receive(struct listener *l, struct listener_route *route, void **body, size_t *size);
void listener_message_free(void *body);
/* Sends the pieces as one message; never waits. A client that is gone, or does not read, gets nothing. */
void listener_reply(struct listener *l, const struct listener_route *route, struct span head, struct span rest);

#endif
