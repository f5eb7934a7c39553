/* wal_frame.h: the bytes of a segment: its head, its frames, and the judgement of what a crash left at its end. Pure functions over memory.
 * Private to raft/wal*.c. The table stands in wal.c. */
#ifndef TALLY_RAFT_WAL_FRAME_H
#define TALLY_RAFT_WAL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAL_FORMAT 1u
#define WAL_HEAD_BYTES 4096u
#define WAL_SECTOR_BYTES 512u
#define WAL_BLOCK_BYTES 64u /* frames begin at multiples of it, so that the head of a frame never crosses a sector */
#define WAL_FRAME_HEAD_BYTES 40u
#define WAL_FRAME_TAIL_BYTES 8u

struct wal_head {
	bool anew; /* the log begins with this segment, whatever was before it */
	uint32_t number;
	uint32_t prev; /* the CRC of the last frame before this segment */
	uint64_t cluster_id;
	uint64_t node_id;
	uint64_t bytes;
	uint64_t first;     /* index of the entry that comes next when the segment begins */
	uint64_t base_term; /* term of entry first - 1 */
	uint64_t seq;       /* of its first frame */
	uint32_t crc;       /* of the head; also what the CRCs of its frames' heads start from */
};

/* Fills WAL_HEAD_BYTES at `out` and sets head->crc. */
void wal_head_encode(struct wal_head *head, uint8_t *out);
/* -EBADMSG for damage; -EPROTONOSUPPORT for another format, whose number is then in out->number. */
int wal_head_decode(const uint8_t *bytes, struct wal_head *out);

struct wal_frame {
	uint32_t size; /* payload bytes */
	uint64_t seq;
	uint64_t mask;
	uint32_t prev;
	uint32_t check; /* CRC of the payload as it lies on disk */
	uint32_t crc;   /* of the head, from the segment's: covers all of the frame through `check` and all frames before through `prev` */
};

/* Bytes on disk of a frame with that payload. */
uint64_t wal_frame_extent(uint64_t payload_size);

/* A frame ready to be written: head, payload and tail follow each other. */
struct wal_sealed {
	struct wal_frame frame;
	uint8_t head[WAL_FRAME_HEAD_BYTES];
	uint8_t tail[WAL_BLOCK_BYTES + WAL_FRAME_TAIL_BYTES];
	size_t tail_size;
};

/* Seals `payload` behind the head. It may be masked in place: wal_frame_mask with frame.mask restores it. */
void wal_frame_seal(uint32_t seed, uint64_t seq, uint32_t prev, uint8_t *payload, uint32_t size, struct wal_sealed *out);
/* XORs the mask over the payload; 0 changes nothing. */
void wal_frame_mask(uint8_t *payload, size_t size, uint64_t mask);
/* True when the head at `bytes` passes its check. */
bool wal_frame_decode(uint32_t seed, const uint8_t *bytes, struct wal_frame *out);
/* True when the frame that begins at `offset` of the segment in memory is whole, its end mark and padding included. */
bool wal_frame_whole(uint32_t seed, const uint8_t *segment, uint64_t bytes, uint64_t offset, struct wal_frame *out);

enum wal_tail { WAL_TAIL_CLEAN, WAL_TAIL_TORN, WAL_TAIL_DAMAGED };

/* What the bytes from `offset` to the end of the last segment are, given that no whole frame `seq` begins there. */
enum wal_tail wal_tail_judge(uint32_t seed, const uint8_t *segment, uint64_t bytes, uint64_t offset, uint64_t seq);
bool wal_all_zero(const uint8_t *p, uint64_t size);

#endif
