/* channel.h: one connection to one endpoint, with at most one request on its way.
 *
 * A raw REQ socket, because a cooked one sends a request again by itself when its connection breaks, and a write must never be sent twice.
 * One request at a time, because an endpoint drops a reply that it cannot put at once onto a connection still busy with another one.
 * One thread owns a channel. */
#ifndef TALLY_STORE_CLIENT_CHANNEL_H
#define TALLY_STORE_CLIENT_CHANNEL_H

#include "base/codec.h"

#include <stdbool.h>
#include <stdint.h>

struct channel {
	int socket;
	int send_fd; /* readable when a request can be sent */
	int receive_fd;
	uint32_t id;          /* of the last request */
	struct channel *next; /* for the owner */
};

/* Begins to connect; does not wait. NULL with a negative errno in *error if nanomsg refuses. */
struct channel *channel_open(const char *url, int *error);
void channel_close(struct channel *c);
/* Hands a request over, copying it. 0; -EAGAIN: not connected (yet), and surely not sent. */
int channel_send(struct channel *c, struct span bytes);
/* 1: the reply, in memory that channel_message_free ends; 0: none yet. */
int channel_receive(struct channel *c, void **message, size_t *size);
void channel_message_free(void *message);
/* It never was connected, and an attempt was refused. */
bool channel_refused(const struct channel *c);
/* The connection is gone: what was sent and not answered will not be. (nanomsg may have made a new one meanwhile; close the channel.) */
bool channel_broken(const struct channel *c);
/* Handshake done. */
bool channel_connected(const struct channel *c);

#endif
