#include "store/client/gate.h"

#include "store/client/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A session's name begins with its place in the table. */
struct gate_session {
	uint8_t name[SEALED_SESSION_BYTES];
	uint64_t seq;  /* of its last request */
	uint64_t used; /* when, in messages that came; 0: never given out */
};

struct gate {
	const struct secret *secret;
	uint64_t messages;
	struct gate_session sessions[GATE_SESSIONS];
};

struct gate *gate_new(const struct secret *secret)
{
	struct gate *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	g->secret = secret;
	return g;
}

void gate_free(struct gate *g)
{
	free(g);
}

static struct gate_session *find_session(struct gate *g, const uint8_t *name)
{
	uint32_t place;

	memcpy(&place, name, sizeof(place));
	if (place >= GATE_SESSIONS)
		return NULL;
	struct gate_session *s = &g->sessions[place];
	return s->used > 0 && secret_equal(s->name, name, SEALED_SESSION_BYTES) ? s : NULL;
}

static struct gate_session *new_session(struct gate *g)
{
	uint32_t oldest = 0;

	for (uint32_t i = 1; i < GATE_SESSIONS && g->sessions[oldest].used > 0; i++)
		if (g->sessions[i].used < g->sessions[oldest].used)
			oldest = i;
	struct gate_session *s = &g->sessions[oldest];
	*s = (struct gate_session){.used = g->messages};
	secret_random(s->name, sizeof(s->name));
	memcpy(s->name, &oldest, sizeof(oldest));
	return s;
}

/* Unsealed, since whoever gets it could not open it otherwise; a client believes it before its first request only (channel.h). */
static enum gate_verdict refuse(struct writer *reply, const char *text)
{
	writer_clear(reply);
	response_encode_head(reply, &(struct response){.error = -EACCES, .text = {text, strlen(text)}});
	return GATE_REFUSED;
}

static enum gate_verdict give_session(struct gate *g, const struct sealed_head *asked, struct writer *reply)
{
	struct sealed_head h = {.kind = SEALED_SESSION};

	memcpy(h.session, new_session(g)->name, sizeof(h.session));
	sealed_encode(g->secret, &h, asked->nonce, (struct span){NULL, 0}, (struct span){NULL, 0}, reply);
	return GATE_REPLY;
}

static enum gate_verdict take_request(struct gate *g, const struct sealed_head *asked, struct writer *reply)
{
	struct gate_session *s = find_session(g, asked->session);

	if (!s)
		return give_session(g, asked, reply);
	if (asked->seq <= s->seq)
		return GATE_REPLAYED;
	s->seq = asked->seq;
	s->used = g->messages;
	return GATE_PASS;
}

enum gate_verdict gate_pass(struct gate *g, uint8_t *message, size_t size, struct sealed_head *asked, struct span *body,
			    struct writer *reply)
{
	bool sealed = sealed_is((struct span){message, size});

	*asked = (struct sealed_head){0};
	if (!g->secret && sealed)
		return refuse(reply, "this node has no secret=, and the request is sealed with one");
	if (!g->secret) {
		*body = (struct span){message, size};
		return GATE_PASS;
	}
	if (!sealed)
		return refuse(reply, "this node answers only requests that are sealed with the cluster's secret (--secret FILE)");
	g->messages++;
	if (sealed_decode(g->secret, message, size, NULL, asked, body))
		return refuse(reply, "the request is sealed with another secret, or was altered");
	return asked->kind == SEALED_HELLO ? give_session(g, asked, reply) : take_request(g, asked, reply);
}

bool gate_seal(const struct gate *g, const struct sealed_head *asked, struct span head, struct span rest, struct writer *out)
{
	struct sealed_head h = {.kind = SEALED_ANSWER, .seq = asked->seq};

	if (asked->kind == 0)
		return false;
	memcpy(h.session, asked->session, sizeof(h.session));
	sealed_encode(g->secret, &h, asked->nonce, head, rest, out);
	return true;
}
