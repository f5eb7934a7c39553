/* A sealed message, as a client and an endpoint exchange them over TCP; integers are little-endian.
 *
 *    0 u32 magic "tlyS"     4 u8 format (1)     5 u8 kind (enum sealed_kind)     6 u16 zero
 *    8 nonce, 24 bytes: random
 *   32 session, 16 bytes: zeros in a HELLO; the new one in a SESSION; else the one it belongs to
 *   48 u64 seq: of a REQUEST, 1 and up, and of its ANSWER; else 0
 *   56 body: a request or response (protocol.c), encrypted; empty in a HELLO and a SESSION
 *   .. tag, 16 bytes: over the body and the whole header, and in a SESSION or ANSWER also over the nonce of the message that it answers
 *
 * HELLO and REQUEST are sealed with the key for requests, the others with the one for answers (base/secret.h). */
#include "store/client/sealed.h"

#include <errno.h>
#include <string.h>

#define MAGIC 0x53796c74u /* "tlyS" */
#define FORMAT 1u

struct image {
	uint32_t magic;
	uint8_t format;
	uint8_t kind;
	uint16_t reserved;
	uint8_t nonce[SECRET_NONCE_BYTES];
	uint8_t session[SEALED_SESSION_BYTES];
	uint64_t seq;
};
_Static_assert(sizeof(struct image) == SEALED_HEAD_BYTES, "the header is sent as it lies in memory");

/* What the tag covers besides the body. */
struct covered {
	uint8_t bytes[SEALED_HEAD_BYTES + SECRET_NONCE_BYTES];
	size_t size;
};

static struct covered cover(const struct image *i, const uint8_t *asked)
{
	struct covered c = {.size = sizeof(*i)};

	memcpy(c.bytes, i, sizeof(*i));
	if (asked) {
		memcpy(c.bytes + c.size, asked, SECRET_NONCE_BYTES);
		c.size += SECRET_NONCE_BYTES;
	}
	return c;
}

static bool is_of_client(uint8_t kind)
{
	return kind == SEALED_HELLO || kind == SEALED_REQUEST;
}

bool sealed_is(struct span message)
{
	uint32_t magic;

	if (message.size < SEALED_OVERHEAD_BYTES)
		return false;
	memcpy(&magic, message.data, sizeof(magic));
	return magic == MAGIC;
}

void sealed_encode(const struct secret *s, struct sealed_head *h, const uint8_t *asked, struct span body, struct span rest,
		   struct writer *out)
{
	struct image i = {.magic = MAGIC, .format = FORMAT, .kind = h->kind, .seq = h->seq};

	secret_random(h->nonce, sizeof(h->nonce));
	memcpy(i.nonce, h->nonce, sizeof(i.nonce));
	memcpy(i.session, h->session, sizeof(i.session));
	writer_clear(out);
	writer_raw(out, &i, sizeof(i));
	writer_raw(out, body.data, body.size);
	writer_raw(out, rest.data, rest.size);
	writer_reserve(out, SECRET_TAG_BYTES);
	const struct covered c = cover(&i, asked);
	secret_seal(s, is_of_client(h->kind) ? SECRET_REQUEST : SECRET_ANSWER, i.nonce, (struct span){c.bytes, c.size},
		    out->data + sizeof(i), body.size + rest.size);
}

int sealed_decode(const struct secret *s, uint8_t *message, size_t size, const uint8_t *asked, struct sealed_head *out, struct span *body)
{
	struct image i;

	if (!sealed_is((struct span){message, size}))
		return -EBADMSG;
	memcpy(&i, message, sizeof(i));
	if (i.format != FORMAT || i.kind < SEALED_HELLO || i.kind > SEALED_ANSWER || i.reserved != 0 ||
	    is_of_client(i.kind) != (asked == NULL))
		return -EBADMSG;
	uint8_t *text = message + sizeof(i);
	size_t text_size = size - SEALED_OVERHEAD_BYTES;
	const struct covered c = cover(&i, asked);
	if (!secret_open(s, asked ? SECRET_ANSWER : SECRET_REQUEST, i.nonce, (struct span){c.bytes, c.size}, text, text_size))
		return -EACCES;
	out->kind = i.kind;
	out->seq = i.seq;
	memcpy(out->nonce, i.nonce, sizeof(out->nonce));
	memcpy(out->session, i.session, sizeof(out->session));
	*body = (struct span){text, text_size};
	return 0;
}
