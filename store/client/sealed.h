/* sealed.h: requests and answers over TCP when the cluster has a secret: encrypted, authenticated, and taken at most once.
 *
 * A client first says HELLO and is given a session, 16 random bytes of the endpoint's. Each REQUEST names its session and has a higher number than the one
 * before it, and the endpoint takes no number twice (gate.h). An answer is sealed together with the nonce of what it answers, so it can answer nothing else.
 * The table stands in sealed.c. */
#ifndef TALLY_STORE_CLIENT_SEALED_H
#define TALLY_STORE_CLIENT_SEALED_H

#include "base/secret.h"

#define SEALED_HEAD_BYTES 56u
#define SEALED_SESSION_BYTES 16u
#define SEALED_OVERHEAD_BYTES (SEALED_HEAD_BYTES + SECRET_TAG_BYTES)

enum sealed_kind {
	SEALED_HELLO = 1,   /* of a client: give me a session */
	SEALED_REQUEST = 2, /* of a client */
	SEALED_SESSION = 3, /* of an endpoint: here is a new session; if it answers a REQUEST, that one's session is not known */
	SEALED_ANSWER = 4   /* of an endpoint */
};

struct sealed_head {
	uint8_t kind;
	uint8_t nonce[SECRET_NONCE_BYTES];
	uint8_t session[SEALED_SESSION_BYTES];
	uint64_t seq;
};

/* Does it look like a sealed message? */
bool sealed_is(struct span message);
/* Makes a message of the pieces, which are copied; it replaces what `out` holds. Draws h->nonce. `asked`: the nonce of what an answer answers; NULL in a request. */
void sealed_encode(const struct secret *s, struct sealed_head *h, const uint8_t *asked, struct span body, struct span rest,
		   struct writer *out);
/* Opens a message where it lies. -EBADMSG: malformed; -EACCES: another secret, altered, or no answer to `asked`. */
int sealed_decode(const struct secret *s, uint8_t *message, size_t size, const uint8_t *asked, struct sealed_head *out, struct span *body);

#endif
