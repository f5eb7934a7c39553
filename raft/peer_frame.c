#include "raft/peer_frame.h"

#include "base/crc32c.h"
#include "raft/peer.h"

#include <string.h>

#define MAGIC 0x50796c74u /* "tlyP" */

struct image {
	uint32_t magic;
	uint8_t format;
	uint8_t seal;
	uint8_t kind;
	uint8_t reserved0;
	uint32_t size;
	uint32_t reserved1;
	uint64_t cluster_id;
	uint64_t from;
	uint64_t to;
	uint64_t epoch;
	uint64_t seq;
	uint32_t reserved2;
	uint32_t crc;
};
_Static_assert(sizeof(struct image) == PEER_FRAME_HEAD_BYTES, "the header is sent as it lies in memory");

static uint32_t frame_crc(const struct image *i, const uint8_t *payload)
{
	return crc32c(crc32c(0, i, offsetof(struct image, crc)), payload, i->size);
}

size_t peer_frame_payload(const struct secret *secret)
{
	return PEER_FRAME_HEAD_BYTES + (secret ? SECRET_NONCE_BYTES : 0);
}

size_t peer_frame_bytes(const struct secret *secret, size_t payload_bytes)
{
	return peer_frame_payload(secret) + payload_bytes + (secret ? SECRET_TAG_BYTES : 0);
}

void peer_frame_encode(const struct peer_frame_head *h, const struct secret *secret, uint8_t *frame)
{
	struct image i = {
		.magic = MAGIC,
		.format = PEER_FRAME_FORMAT,
		.seal = secret ? PEER_SEAL_XCHACHA20_POLY1305 : PEER_SEAL_NONE,
		.kind = h->kind,
		.size = h->size,
		.cluster_id = h->cluster_id,
		.from = h->from,
		.to = h->to,
		.epoch = h->epoch,
		.seq = h->seq,
	};
	uint8_t *payload = frame + peer_frame_payload(secret);
	uint8_t *nonce = frame + sizeof(i);

	if (!secret)
		i.crc = frame_crc(&i, payload);
	memcpy(frame, &i, sizeof(i));
	if (!secret)
		return;
	secret_random(nonce, SECRET_NONCE_BYTES);
	secret_seal(secret, SECRET_PEER, nonce, (struct span){frame, sizeof(i)}, payload, i.size);
}

static bool is_known(const struct image *i)
{
	return i->magic == MAGIC && i->format == PEER_FRAME_FORMAT &&
	       (i->seal == PEER_SEAL_NONE || i->seal == PEER_SEAL_XCHACHA20_POLY1305);
}

static bool is_regular(const struct image *i)
{
	return i->kind >= PEER_RAFT && i->kind <= PEER_HASH && i->reserved0 == 0 && i->reserved1 == 0 && i->reserved2 == 0;
}

/* Nothing in the header is believed before its seal was opened, or its CRC compared. */
static enum peer_frame_verdict verify(const struct image *i, uint8_t *frame, const struct secret *secret)
{
	const uint8_t *nonce = frame + sizeof(*i);
	uint8_t *payload = frame + peer_frame_payload(secret);

	if (!secret)
		return i->crc == frame_crc(i, payload) ? PEER_FRAME_GOOD : PEER_FRAME_MALFORMED;
	if (!secret_open(secret, SECRET_PEER, nonce, (struct span){frame, sizeof(*i)}, payload, i->size))
		return PEER_FRAME_FORGED;
	return i->crc == 0 ? PEER_FRAME_GOOD : PEER_FRAME_MALFORMED;
}

enum peer_frame_verdict peer_frame_decode(uint8_t *frame, size_t size, const struct secret *secret, struct peer_frame_head *out)
{
	struct image i;

	if (size < sizeof(i))
		return PEER_FRAME_MALFORMED;
	memcpy(&i, frame, sizeof(i));
	if (!is_known(&i))
		return PEER_FRAME_MALFORMED;
	if ((i.seal == PEER_SEAL_NONE) != (secret == NULL))
		return PEER_FRAME_UNSEALED;
	if (i.size > PEER_PAYLOAD_MAX || size != peer_frame_bytes(secret, i.size))
		return PEER_FRAME_MALFORMED;
	enum peer_frame_verdict verdict = verify(&i, frame, secret);
	if (verdict != PEER_FRAME_GOOD)
		return verdict;
	if (!is_regular(&i))
		return PEER_FRAME_MALFORMED;
	*out = (struct peer_frame_head){
		.kind = i.kind,
		.size = i.size,
		.cluster_id = i.cluster_id,
		.from = i.from,
		.to = i.to,
		.epoch = i.epoch,
		.seq = i.seq,
	};
	return PEER_FRAME_GOOD;
}
