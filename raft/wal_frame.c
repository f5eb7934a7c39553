#include "raft/wal_frame.h"

#include "base/crc32c.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define HEAD_MAGIC 0x6c6177796c6c6174u /* "tallywal" */
#define FRAME_MAGIC 0x4d524677u        /* "wFRM" */
#define FRAME_END 0xa5444e4557594c54u  /* its last byte on disk is never zero */
#define HEAD_ANEW 1u                   /* flags */
#define MASK_STEP 0x9e3779b97f4a7c15u

/* The fields of a segment's head as they lie on disk. */
struct head_image {
	uint64_t magic;
	uint16_t format;
	uint16_t flags;
	uint32_t number;
	uint64_t cluster_id;
	uint64_t node_id;
	uint64_t bytes;
	uint64_t first;
	uint64_t base_term;
	uint64_t seq;
	uint32_t prev;
	uint32_t crc;
};
_Static_assert(sizeof(struct head_image) == 72, "the head of a segment is written as it lies in memory");

struct frame_image {
	uint32_t magic;
	uint32_t size;
	uint64_t seq;
	uint64_t mask;
	uint32_t prev;
	uint32_t check;
	uint32_t reserved;
	uint32_t crc;
};
_Static_assert(sizeof(struct frame_image) == WAL_FRAME_HEAD_BYTES, "the head of a frame is written as it lies in memory");

void wal_head_encode(struct wal_head *head, uint8_t *out)
{
	struct head_image image = {
		.magic = HEAD_MAGIC,
		.format = WAL_FORMAT,
		.flags = head->anew ? HEAD_ANEW : 0,
		.number = head->number,
		.cluster_id = head->cluster_id,
		.node_id = head->node_id,
		.bytes = head->bytes,
		.first = head->first,
		.base_term = head->base_term,
		.seq = head->seq,
		.prev = head->prev,
	};
	image.crc = crc32c(0, &image, offsetof(struct head_image, crc));
	head->crc = image.crc;
	memset(out, 0, WAL_HEAD_BYTES);
	memcpy(out, &image, sizeof(image));
}

int wal_head_decode(const uint8_t *bytes, struct wal_head *out)
{
	struct head_image image;

	memcpy(&image, bytes, sizeof(image));
	if (image.magic != HEAD_MAGIC)
		return -EBADMSG;
	if (image.format != WAL_FORMAT || (image.flags & ~HEAD_ANEW)) {
		out->number = image.format | (uint32_t)image.flags << 16;
		return -EPROTONOSUPPORT;
	}
	if (image.crc != crc32c(0, &image, offsetof(struct head_image, crc)))
		return -EBADMSG;
	if (!wal_all_zero(bytes + sizeof(image), WAL_HEAD_BYTES - sizeof(image)))
		return -EBADMSG;
	*out = (struct wal_head){
		.anew = image.flags & HEAD_ANEW,
		.number = image.number,
		.prev = image.prev,
		.cluster_id = image.cluster_id,
		.node_id = image.node_id,
		.bytes = image.bytes,
		.first = image.first,
		.base_term = image.base_term,
		.seq = image.seq,
		.crc = image.crc,
	};
	return 0;
}

uint64_t wal_frame_extent(uint64_t payload_size)
{
	uint64_t bytes = WAL_FRAME_HEAD_BYTES + payload_size + WAL_FRAME_TAIL_BYTES;
	return (bytes + WAL_BLOCK_BYTES - 1) / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
}

bool wal_all_zero(const uint8_t *p, uint64_t size)
{
	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

/* Whether zeros might fill a whole sector. Where they do, they also fill 128 bytes at a multiple of 128, wherever sectors begin. */
static bool has_long_zeros(const uint8_t *payload, size_t size)
{
	for (size_t i = 0; i + 128 <= size; i += 128)
		if (payload[i] == 0 && payload[i + 127] == 0 && wal_all_zero(payload + i, 128))
			return true;
	return false;
}

void wal_frame_mask(uint8_t *payload, size_t size, uint64_t mask)
{
	if (mask == 0)
		return;
	size_t i = 0;
	for (; i + 8 <= size; i += 8) {
		uint64_t word;
		memcpy(&word, payload + i, 8);
		word ^= mask;
		memcpy(payload + i, &word, 8);
	}
	for (; i < size; i++)
		payload[i] ^= (uint8_t)(mask >> i % 8 * 8);
}

/* Each mask turns into zeros only what repeats that very mask, and a payload has room for fewer repetitions than there are masks. */
static uint64_t choose_mask(uint8_t *payload, size_t size)
{
	uint64_t mask = 0;
	while (has_long_zeros(payload, size)) {
		wal_frame_mask(payload, size, mask);
		mask += MASK_STEP;
		wal_frame_mask(payload, size, mask);
	}
	return mask;
}

void wal_frame_seal(uint32_t seed, uint64_t seq, uint32_t prev, uint8_t *payload, uint32_t size, struct wal_sealed *out)
{
	struct frame_image image = {.magic = FRAME_MAGIC, .size = size, .seq = seq, .prev = prev};
	const uint64_t end = FRAME_END;

	image.mask = choose_mask(payload, size);
	image.check = crc32c(0, payload, size);
	image.crc = crc32c(seed, &image, offsetof(struct frame_image, crc));
	memcpy(out->head, &image, sizeof(image));
	out->tail_size = wal_frame_extent(size) - WAL_FRAME_HEAD_BYTES - size;
	assert(out->tail_size >= sizeof(end) && out->tail_size <= sizeof(out->tail));
	memset(out->tail, 0, sizeof(out->tail));
	memcpy(out->tail + out->tail_size - sizeof(end), &end, sizeof(end));
	bool good = wal_frame_decode(seed, out->head, &out->frame);
	assert(good);
	(void)good;
}

bool wal_frame_decode(uint32_t seed, const uint8_t *bytes, struct wal_frame *out)
{
	struct frame_image image;

	memcpy(&image, bytes, sizeof(image));
	if (image.magic != FRAME_MAGIC || image.crc != crc32c(seed, &image, offsetof(struct frame_image, crc)))
		return false;
	*out = (struct wal_frame){
		.size = image.size, .seq = image.seq, .mask = image.mask, .prev = image.prev, .check = image.check, .crc = image.crc};
	return true;
}

/* No CRC covers what fills a frame up; so that no byte of the log can change unseen, it must be just what was written. */
static bool tail_is_whole(const uint8_t *tail, const uint8_t *end)
{
	const uint64_t mark = FRAME_END;
	const uint8_t *at = end - sizeof(mark);
	return memcmp(at, &mark, sizeof(mark)) == 0 && wal_all_zero(tail, (uint64_t)(at - tail));
}

bool wal_frame_whole(uint32_t seed, const uint8_t *segment, uint64_t bytes, uint64_t offset, struct wal_frame *out)
{
	if (bytes - offset < WAL_BLOCK_BYTES || !wal_frame_decode(seed, segment + offset, out))
		return false;
	if (wal_frame_extent(out->size) > bytes - offset)
		return false;
	const uint8_t *payload = segment + offset + WAL_FRAME_HEAD_BYTES;
	return crc32c(0, payload, out->size) == out->check &&
	       tail_is_whole(payload + out->size, segment + offset + wal_frame_extent(out->size));
}

/* A whole frame after `seq` proves that `seq` had been made durable: frames are written one at a time. */
static bool later_frame_exists(uint32_t seed, const uint8_t *segment, uint64_t bytes, uint64_t offset, uint64_t seq)
{
	struct wal_frame frame;

	for (offset += WAL_BLOCK_BYTES; offset < bytes; offset += WAL_BLOCK_BYTES)
		if (wal_frame_whole(seed, segment, bytes, offset, &frame) && frame.seq > seq)
			return true;
	return false;
}

/* True when part of [offset, end) never reached the disk. A written frame has no all-zero sector (it is masked if need be) and its last
 * byte is not zero; an unwritten sector is still all zeros. */
static bool partly_unwritten(const uint8_t *segment, uint64_t offset, uint64_t end)
{
	if (segment[end - 1] == 0)
		return true;
	while (offset < end) {
		uint64_t next = (offset / WAL_SECTOR_BYTES + 1) * WAL_SECTOR_BYTES;
		if (next > end)
			next = end;
		if (wal_all_zero(segment + offset, next - offset))
			return true;
		offset = next;
	}
	return false;
}

enum wal_tail wal_tail_judge(uint32_t seed, const uint8_t *segment, uint64_t bytes, uint64_t offset, uint64_t seq)
{
	struct wal_frame frame;

	if (wal_all_zero(segment + offset, bytes - offset))
		return WAL_TAIL_CLEAN;
	if (bytes - offset < WAL_BLOCK_BYTES || later_frame_exists(seed, segment, bytes, offset, seq))
		return WAL_TAIL_DAMAGED;
	if (wal_frame_decode(seed, segment + offset, &frame)) {
		uint64_t extent = wal_frame_extent(frame.size);
		if (frame.seq != seq || extent > bytes - offset || !wal_all_zero(segment + offset + extent, bytes - offset - extent))
			return WAL_TAIL_DAMAGED;
		return partly_unwritten(segment, offset, offset + extent) ? WAL_TAIL_TORN : WAL_TAIL_DAMAGED;
	}
	/* The head lies in one sector. It is missing with that sector, or the write ended within it; else it was written and is damaged. */
	uint64_t sector_end = (offset / WAL_SECTOR_BYTES + 1) * WAL_SECTOR_BYTES;
	if (wal_all_zero(segment + offset, (sector_end < bytes ? sector_end : bytes) - offset))
		return WAL_TAIL_TORN;
	if (wal_all_zero(segment + offset + WAL_FRAME_HEAD_BYTES, bytes - offset - WAL_FRAME_HEAD_BYTES))
		return WAL_TAIL_TORN;
	return WAL_TAIL_DAMAGED;
}
