/* peer_frame.h: one frame between members, sealed or not. Private to raft/peer*.c; the table stands in peer.c. */
#ifndef TALLY_RAFT_PEER_FRAME_H
#define TALLY_RAFT_PEER_FRAME_H

#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_FRAME_HEAD_BYTES 64u
#define PEER_FRAME_FORMAT 1u
#define PEER_SEAL_NONE 0u
#define PEER_SEAL_XCHACHA20_POLY1305 1u

struct peer_frame_head {
	uint8_t kind;
	uint32_t size; /* payload bytes */
	uint64_t cluster_id;
	uint64_t from;
	uint64_t to;
	uint64_t epoch;
	uint64_t seq;
};

/* `secret` NULL: not sealed. */
size_t peer_frame_bytes(const struct secret *secret, size_t payload_bytes);
/* Where the payload lies in a frame. */
size_t peer_frame_payload(const struct secret *secret);
/* Makes the frame of h->size bytes of payload that lie at their place already. */
void peer_frame_encode(const struct peer_frame_head *h, const struct secret *secret, uint8_t *frame);

enum peer_frame_verdict {
	PEER_FRAME_GOOD,
	PEER_FRAME_MALFORMED, /* not a whole frame of this format, or its CRC is wrong */
	PEER_FRAME_UNSEALED,  /* not sealed though this node has a secret, or sealed though it has none */
	PEER_FRAME_FORGED     /* the seal does not open: another secret, or altered */
};

/* Opens a sealed frame where it lies. *out is filled only for a good one. */
enum peer_frame_verdict peer_frame_decode(uint8_t *frame, size_t size, const struct secret *secret, struct peer_frame_head *out);

#endif
