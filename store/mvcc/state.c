/* The state: u32 format, then (in format 2) u64 cluster id, applied, term, revision, compact revision, next ino, last time, hash, and a u32 CRC32C
 * of all that. Whatever the format, it begins with its number. */
#include "store/mvcc/state.h"

#include "base/crc32c.h"
#include "store/mvcc/mvcc.h"

#include <errno.h>

void state_encode(const struct state *s, struct writer *w)
{
	size_t from = w->size;
	writer_u32(w, s->format);
	writer_u64(w, s->cluster_id);
	writer_u64(w, s->applied);
	writer_u64(w, s->term);
	writer_u64(w, s->revision);
	writer_u64(w, s->compact_revision);
	writer_u64(w, s->next_ino);
	writer_u64(w, (uint64_t)s->last_time_ns);
	writer_u64(w, s->hash);
	writer_u32(w, crc32c(0, w->data + from, w->size - from));
}

int state_decode(struct span bytes, struct state *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct state s = {.format = reader_u32(&r)};
	if (s.format == MVCC_FORMAT) {
		s.cluster_id = reader_u64(&r);
		s.applied = reader_u64(&r);
		s.term = reader_u64(&r);
		s.revision = reader_u64(&r);
		s.compact_revision = reader_u64(&r);
		s.next_ino = reader_u64(&r);
		s.last_time_ns = (int64_t)reader_u64(&r);
		s.hash = reader_u64(&r);
		if (reader_u32(&r) != crc32c(0, bytes.data, bytes.size < 4 ? 0 : bytes.size - 4) || !reader_done(&r))
			return -EBADMSG;
	}
	if (r.failed)
		return -EBADMSG;
	*out = s;
	return 0;
}
