/* peer_frame.h: the header of a frame between members. Private to raft/peer*.c; the table stands in peer.c. */
#ifndef TALLY_RAFT_PEER_FRAME_H
#define TALLY_RAFT_PEER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_FRAME_HEAD_BYTES 64u
#define PEER_FRAME_FORMAT 1u
#define PEER_SEAL_NONE 0u

struct peer_frame_head {
	uint8_t kind;
	uint32_t size; /* payload bytes */
	uint64_t cluster_id;
	uint64_t from;
	uint64_t to;
	uint64_t epoch;
	uint64_t seq;
};

/* Fills the first PEER_FRAME_HEAD_BYTES of `frame`; h->size bytes of payload already follow them. */
void peer_frame_encode(const struct peer_frame_head *h, uint8_t *frame);
/* False when these bytes are not a whole, undamaged frame of this format. */
bool peer_frame_decode(const uint8_t *frame, size_t size, struct peer_frame_head *out);

#endif
