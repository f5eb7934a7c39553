#include "raft/wal_record.h"

#include <string.h>

#define ENTRY_BODY_BYTES 16

static void record_head(struct writer *w, enum wal_record_kind kind, uint8_t type, uint32_t size)
{
	uint8_t *p = writer_reserve(w, 8);
	memset(p, 0, 8);
	p[0] = (uint8_t)kind;
	p[1] = type;
	memcpy(p + 4, &size, 4);
}

void wal_record_hard(struct writer *w, const struct raft_hard_state *hard)
{
	record_head(w, WAL_RECORD_HARD, 0, 24);
	writer_u64(w, hard->term);
	writer_u64(w, hard->vote);
	writer_u64(w, hard->commit);
}

void wal_record_entry(struct writer *w, const struct raft_entry *entry)
{
	record_head(w, WAL_RECORD_ENTRY, entry->type, ENTRY_BODY_BYTES + entry->size);
	writer_u64(w, entry->index);
	writer_u64(w, entry->term);
	writer_raw(w, entry->data, entry->size);
}

void wal_record_epoch(struct writer *w, uint64_t epoch)
{
	record_head(w, WAL_RECORD_EPOCH, 0, 8);
	writer_u64(w, epoch);
}

void wal_record_save(struct writer *w, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count)
{
	if (hard)
		wal_record_hard(w, hard);
	for (uint32_t i = 0; i < count; i++)
		wal_record_entry(w, &entries[i]);
}

static void read_hard(struct reader *r, struct raft_hard_state *out)
{
	out->term = reader_u64(r);
	out->vote = reader_u64(r);
	out->commit = reader_u64(r);
}

static void read_entry(struct reader *r, uint8_t type, uint32_t size, struct raft_entry *out)
{
	if (size < ENTRY_BODY_BYTES) {
		reader_fail(r);
		return;
	}
	out->type = type;
	out->index = reader_u64(r);
	out->term = reader_u64(r);
	out->size = size - ENTRY_BODY_BYTES;
	out->data = reader_raw(r, out->size).data;
}

bool wal_record_next(struct reader *r, struct wal_record *out)
{
	if (reader_left(r) == 0)
		return false;
	*out = (struct wal_record){.offset = (uint32_t)r->offset};
	out->kind = reader_u8(r);
	uint8_t type = reader_u8(r);
	reader_u16(r);
	uint32_t size = reader_u32(r);
	if (out->kind == WAL_RECORD_HARD && size == 24)
		read_hard(r, &out->hard);
	else if (out->kind == WAL_RECORD_EPOCH && size == 8)
		out->epoch = reader_u64(r);
	else if (out->kind == WAL_RECORD_ENTRY)
		read_entry(r, type, size, &out->entry);
	else
		reader_fail(r);
	return !r->failed;
}
