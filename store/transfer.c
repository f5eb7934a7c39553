/* The payload of a PEER_SNAPSHOT frame (little-endian; bytes: a u32 length, then so many bytes)
 *
 *	u8 kind, u64 id, then
 *	1 OFFER   bytes manifest (store/mvcc/chunk.c)
 *	2 PULL    u64 number, u64 until, u8 again (0, 1), position (store/mvcc/chunk.c)
 *	3 CHUNK   u64 number, u8 last (0, 1), u32 sum, bytes chunk
 *	4 OVER    u8 outcome (enum transfer_outcome)
 *
 * Valid: a known kind and outcome, lengths within their limits, flags 0 or 1, no byte left over. */
#include "store/transfer.h"

#include <errno.h>

void transfer_encode(struct writer *w, const struct transfer_frame *f)
{
	writer_u8(w, f->kind);
	writer_u64(w, f->id);
	switch (f->kind) {
	case TRANSFER_OFFER:
		writer_bytes(w, f->manifest.data, f->manifest.size);
		break;
	case TRANSFER_PULL:
		writer_u64(w, f->number);
		writer_u64(w, f->until);
		writer_u8(w, f->again);
		dump_position_encode(&f->at, w);
		break;
	case TRANSFER_CHUNK:
		writer_u64(w, f->number);
		writer_u8(w, f->last);
		writer_u32(w, f->sum);
		writer_bytes(w, f->chunk.data, f->chunk.size);
		break;
	default:
		writer_u8(w, f->outcome);
	}
}

static bool read_flag(struct reader *r)
{
	uint8_t flag = reader_u8(r);
	if (flag > 1)
		reader_fail(r);
	return flag == 1;
}

static void read_pull(struct reader *r, struct transfer_frame *f)
{
	f->number = reader_u64(r);
	f->until = reader_u64(r);
	f->again = read_flag(r);
	dump_position_decode(r, &f->at);
}

static void read_chunk(struct reader *r, struct transfer_frame *f)
{
	f->number = reader_u64(r);
	f->last = read_flag(r);
	f->sum = reader_u32(r);
	f->chunk = reader_bytes(r, DUMP_CHUNK_BYTES_MAX);
}

static void read_over(struct reader *r, struct transfer_frame *f)
{
	f->outcome = reader_u8(r);
	if (f->outcome < TRANSFER_TAKEN || f->outcome > TRANSFER_GONE)
		reader_fail(r);
}

int transfer_decode(struct span bytes, struct transfer_frame *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct transfer_frame f = {.kind = reader_u8(&r), .id = reader_u64(&r)};
	if (f.kind == TRANSFER_OFFER)
		f.manifest = reader_bytes(&r, DUMP_MANIFEST_BYTES_MAX);
	else if (f.kind == TRANSFER_PULL)
		read_pull(&r, &f);
	else if (f.kind == TRANSFER_CHUNK)
		read_chunk(&r, &f);
	else if (f.kind == TRANSFER_OVER)
		read_over(&r, &f);
	else
		reader_fail(&r);
	if (!reader_done(&r))
		return -EBADMSG;
	*out = f;
	return 0;
}
