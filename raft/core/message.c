/* message.c: the wire format of a raft message. Little-endian, as base/codec.h writes it.
 *
 *   u8   type         1..11
 *   u8   flags        bit 0 reject, bit 1 transfer; the others are 0
 *   u64  from         not 0
 *   u64  to           not 0
 *   u64  term
 *   u64  log_index
 *   u64  log_term
 *   u64  commit
 *   u64  round
 *   u64  hint_index
 *   u64  hint_term
 *   u32  entries      at most RAFT_APPEND_ENTRIES_MAX, and 0 unless the type is RAFT_APPEND
 *   then each entry:
 *     u64   term      not 0
 *     u8    type      0, 1 or 2 (enum raft_entry_type)
 *     bytes data      u32 length (at most RAFT_ENTRY_BYTES_MAX; 0 for a no-op), then the bytes
 *
 * Entries are numbered log_index + 1, + 2 and so on; the last must still be a number. Valid is what fits this and has not a byte more. */
#include "raft/raft.h"

#include <errno.h>

enum { FLAG_REJECT = 1, FLAG_TRANSFER = 2 };

void raft_message_encode(struct writer *w, const struct raft_message *m)
{
	writer_u8(w, m->type);
	writer_u8(w, (uint8_t)((m->reject ? FLAG_REJECT : 0) | (m->transfer ? FLAG_TRANSFER : 0)));
	writer_u64(w, m->from);
	writer_u64(w, m->to);
	writer_u64(w, m->term);
	writer_u64(w, m->log_index);
	writer_u64(w, m->log_term);
	writer_u64(w, m->commit);
	writer_u64(w, m->round);
	writer_u64(w, m->hint_index);
	writer_u64(w, m->hint_term);
	writer_u32(w, m->entries_count);
	for (uint32_t i = 0; i < m->entries_count; i++) {
		writer_u64(w, m->entries[i].term);
		writer_u8(w, m->entries[i].type);
		writer_bytes(w, m->entries[i].data, m->entries[i].size);
	}
}

static void decode_entry(struct reader *r, uint64_t index, struct raft_entry *e)
{
	e->index = index;
	e->term = reader_u64(r);
	e->type = reader_u8(r);
	struct span data = reader_bytes(r, RAFT_ENTRY_BYTES_MAX);
	e->size = (uint32_t)data.size;
	e->data = data.data;
	if (e->term == 0 || e->type > RAFT_ENTRY_CONFIG || (e->type == RAFT_ENTRY_NOOP && e->size > 0))
		reader_fail(r);
}

static void decode_fields(struct reader *r, struct raft_message *m)
{
	m->type = reader_u8(r);
	uint8_t flags = reader_u8(r);
	m->reject = flags & FLAG_REJECT;
	m->transfer = flags & FLAG_TRANSFER;
	m->from = reader_u64(r);
	m->to = reader_u64(r);
	m->term = reader_u64(r);
	m->log_index = reader_u64(r);
	m->log_term = reader_u64(r);
	m->commit = reader_u64(r);
	m->round = reader_u64(r);
	m->hint_index = reader_u64(r);
	m->hint_term = reader_u64(r);
	m->entries_count = reader_u32(r);
	if (m->type < RAFT_PREVOTE || m->type > RAFT_TIMEOUT_NOW || flags & ~(FLAG_REJECT | FLAG_TRANSFER) || m->from == 0 || m->to == 0)
		reader_fail(r);
	if (m->entries_count > RAFT_APPEND_ENTRIES_MAX || (m->entries_count > 0 && m->type != RAFT_APPEND))
		reader_fail(r);
	if (m->log_index > UINT64_MAX - RAFT_APPEND_ENTRIES_MAX - 1)
		reader_fail(r);
}

int raft_message_decode(struct span bytes, struct raft_entry *entries, struct raft_message *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct raft_message m = {0};
	decode_fields(&r, &m);
	for (uint32_t i = 0; !r.failed && i < m.entries_count; i++)
		decode_entry(&r, m.log_index + 1 + i, &entries[i]);
	if (!reader_done(&r))
		return -EBADMSG;
	m.entries = m.entries_count > 0 ? entries : NULL;
	*out = m;
	return 0;
}
