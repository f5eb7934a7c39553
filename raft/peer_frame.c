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

void peer_frame_encode(const struct peer_frame_head *h, uint8_t *frame)
{
	struct image i = {
		.magic = MAGIC,
		.format = PEER_FRAME_FORMAT,
		.seal = PEER_SEAL_NONE,
		.kind = h->kind,
		.size = h->size,
		.cluster_id = h->cluster_id,
		.from = h->from,
		.to = h->to,
		.epoch = h->epoch,
		.seq = h->seq,
	};
	i.crc = frame_crc(&i, frame + PEER_FRAME_HEAD_BYTES);
	memcpy(frame, &i, sizeof(i));
}

static bool is_known(const struct image *i)
{
	return i->magic == MAGIC && i->format == PEER_FRAME_FORMAT && i->seal == PEER_SEAL_NONE &&
	       (i->kind == PEER_RAFT || i->kind == PEER_PROPOSE) && i->reserved0 == 0 && i->reserved1 == 0 && i->reserved2 == 0;
}

bool peer_frame_decode(const uint8_t *frame, size_t size, struct peer_frame_head *out)
{
	struct image i;

	if (size < sizeof(i) || size - sizeof(i) > PEER_PAYLOAD_MAX)
		return false;
	memcpy(&i, frame, sizeof(i));
	if (!is_known(&i) || i.size != size - sizeof(i) || i.crc != frame_crc(&i, frame + sizeof(i)))
		return false;
	*out = (struct peer_frame_head){
		.kind = i.kind,
		.size = i.size,
		.cluster_id = i.cluster_id,
		.from = i.from,
		.to = i.to,
		.epoch = i.epoch,
		.seq = i.seq,
	};
	return true;
}
