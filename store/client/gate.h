/* gate.h: who may ask over TCP. With a secret: those who have it, each request once; without one: everybody on this machine.
 *
 * Against repetition each client has a session with a number that only rises. Sessions are remembered up to GATE_SESSIONS, then the one longest unused is
 * forgotten; a request of a session that is not known (forgotten, or of an earlier boot) is never carried out. So neither time nor
 * memory decides what is taken twice: nothing is. One thread owns a gate. */
#ifndef TALLY_STORE_CLIENT_GATE_H
#define TALLY_STORE_CLIENT_GATE_H

#include "store/client/sealed.h"

#define GATE_SESSIONS 4096u

struct gate;

/* `secret` may be NULL; borrowed until gate_free. */
struct gate *gate_new(const struct secret *secret);
void gate_free(struct gate *g);

enum gate_verdict {
	GATE_PASS,    /* *body is the request; its answer goes through gate_seal with *asked */
	GATE_REPLY,   /* not a request: `reply` is to be sent back */
	GATE_REFUSED, /* counts as refused, and `reply` says so, unsealed */
	GATE_REPLAYED /* seen before: counted, not answered */
};

/* Looks at a message, and opens it where it lies. */
enum gate_verdict gate_pass(struct gate *g, uint8_t *message, size_t size, struct sealed_head *asked, struct span *body,
			    struct writer *reply);
/* The answer to what passed, as it is to be sent, in `out`. False: it is to be sent as it is. */
bool gate_seal(const struct gate *g, const struct sealed_head *asked, struct span head, struct span rest, struct writer *out);

#endif
