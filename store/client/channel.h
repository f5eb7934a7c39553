/* channel.h: one connection to one endpoint, with at most one request on its way.
 *
 * A raw REQ socket, because a cooked one sends a request again by itself when its connection breaks, and a write must never be sent twice.
 * One request at a time, because an endpoint drops a reply that it cannot put at once onto a connection still busy with another one.
 * With a secret a channel first says HELLO and is given a session; its requests and their answers are sealed in it (sealed.h). Until then it counts as not
 * connected. A session idle for CHANNEL_IDLE_NS is not used again, since the endpoint may have forgotten it: the next request begins with a HELLO.
 * One thread owns a channel. */
#ifndef TALLY_STORE_CLIENT_CHANNEL_H
#define TALLY_STORE_CLIENT_CHANNEL_H

#include "store/client/sealed.h"

#include <stdbool.h>
#include <stdint.h>

#define CHANNEL_IDLE_NS INT64_C(10000000000)

enum channel_seal {
	CHANNEL_PLAIN = 0,
	CHANNEL_NEW,     /* HELLO is still to be sent */
	CHANNEL_GREETED, /* HELLO is sent */
	CHANNEL_OPEN,    /* has a session */
	CHANNEL_DENIED   /* HELLO was answered by a refusal */
};

struct channel {
	int socket;
	int send_fd; /* readable when a request can be sent */
	int receive_fd;
	uint32_t id; /* of the last request */
	enum channel_seal seal;
	const struct secret *secret;
	struct sealed_head last; /* what was sealed last; its session is the channel's */
	struct writer sealed;
	int64_t used_ns;      /* when something was sealed last */
	struct channel *next; /* for the owner */
};

/* Begins to connect; does not wait. `secret` NULL: nothing is sealed; else borrowed until close. NULL with a negative errno in *error if nanomsg refuses. */
struct channel *channel_open(const char *url, const struct secret *secret, int *error);
void channel_close(struct channel *c);
/* Hands a request over, copying it. 0; -EAGAIN: not connected (yet), and surely not sent. */
int channel_send(struct channel *c, struct span bytes);
/* What is readable when a request that could not be sent should be tried again. */
int channel_ready_fd(const struct channel *c);
/* 1: the reply, in memory that channel_message_free ends; 0: none yet; -ECONNRESET: the endpoint does not know the session (any more): whether it carried the
 * request out before is not known, and the channel begins with a HELLO again. */
int channel_receive(struct channel *c, void **message, struct span *body);
void channel_message_free(void *message);
/* The endpoint does not take what this channel's secret seals; nothing was sent but the HELLO. */
bool channel_denied(const struct channel *c);
/* It never was connected, and an attempt was refused. */
bool channel_refused(const struct channel *c);
/* The connection is gone: what was sent and not answered will not be. (nanomsg may have made a new one meanwhile; close the channel.) */
bool channel_broken(const struct channel *c);
/* Handshake done. */
bool channel_connected(const struct channel *c);

#endif
