/* Writing: frames, and the segments that they go to. */
#include "raft/wal_log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define FRAME_PAYLOAD_MAX (4u << 20)
#define PREPARE_SLICE_BYTES (256u << 10)

void wal_push_segment(struct wal *w, const struct wal_segment *s)
{
	if (w->segments_count == w->segments_capacity) {
		w->segments_capacity = w->segments_capacity ? w->segments_capacity * 2 : 8;
		w->segments = reallocarray(w->segments, w->segments_capacity, sizeof(*w->segments));
		if (!w->segments)
			abort();
	}
	w->segments[w->segments_count++] = *s;
}

static int take_entry(struct wal *w, struct wal_segment *s, uint64_t frame_offset, const struct wal_record *record)
{
	const struct raft_entry *e = &record->entry;
	if (e->index == 0 || e->index > w->last + 1)
		return -EBADMSG;
	w->severed |= e->index < w->index.first;
	if (!w->severed)
		wal_index_put(&w->index, e->index,
			      (struct wal_place){s->number, (uint32_t)(frame_offset / WAL_BLOCK_BYTES), record->offset});
	w->last = e->index;
	w->last_term = e->term;
	if (e->index < s->low)
		s->low = e->index;
	return 0;
}

int wal_take(struct wal *w, struct wal_segment *s, uint64_t frame_offset, struct span payload)
{
	struct reader r = reader_over(payload.data, payload.size);
	struct wal_record record;

	while (wal_record_next(&r, &record)) {
		if (record.kind == WAL_RECORD_HARD)
			w->hard = record.hard;
		else if (record.kind == WAL_RECORD_EPOCH)
			w->epoch = record.epoch;
		else if (take_entry(w, s, frame_offset, &record) != 0)
			return -EBADMSG;
	}
	return reader_done(&r) ? 0 : -EBADMSG;
}

bool wal_prepare_due(const struct wal *w, bool idle)
{
	if (w->error != 0 || w->spare.gave_up || w->spare.filled >= w->segment_bytes)
		return false;
	uint64_t bytes = wal_current(w)->bytes;
	return w->offset > bytes / 4 * (idle ? 2 : 3);
}

/* Fills the spare up to `bytes`. */
static int fill_spare(struct wal *w, uint64_t bytes)
{
	if (w->spare.fd < 0) {
		int fd = wal_disk_open_temporary(&w->disk);
		if (fd < 0)
			return fd;
		w->spare = (struct wal_spare){.fd = fd};
	}
	if (w->spare.filled >= bytes)
		return 0;
	int rc = wal_file_zero(w->spare.fd, w->spare.filled, bytes);
	if (rc == 0)
		w->spare.filled = bytes;
	return rc;
}

int wal_prepare(struct wal *w)
{
	uint64_t from = w->spare.filled;
	uint64_t target = from + PREPARE_SLICE_BYTES < w->segment_bytes ? from + PREPARE_SLICE_BYTES : w->segment_bytes;

	int rc = w->error;
	if (rc == 0 && from < target)
		rc = fill_spare(w, target);
	if (rc == 0 && from < target)
		wal_file_start_writing(w->spare.fd, from, target);
	if (rc == 0 && target == w->segment_bytes)
		rc = wal_file_sync(w->spare.fd);
	if (rc != 0) {
		w->spare.gave_up = true;
		return rc;
	}
	return w->spare.filled < w->segment_bytes;
}

/* Every segment begins with the hard state and the epoch, so that the ones before it can go. */
static void state_records(const struct wal *w, struct writer *out)
{
	wal_record_hard(out, &w->hard);
	wal_record_epoch(out, w->epoch);
}

static int write_head(struct wal *w, struct wal_segment *s, struct wal_sealed *sealed, struct writer *state)
{
	uint8_t head[WAL_HEAD_BYTES];
	struct wal_head h = {
		.anew = s->anew,
		.number = s->number,
		.prev = w->prev,
		.cluster_id = w->cluster_id,
		.node_id = w->node_id,
		.bytes = s->bytes,
		.first = s->first,
		.base_term = s->base_term,
		.seq = w->seq,
	};
	wal_head_encode(&h, head);
	s->seed = h.crc;
	wal_frame_seal(s->seed, w->seq, w->prev, state->data, (uint32_t)state->size, sealed);
	struct iovec iov[] = {
		{head, sizeof(head)}, {sealed->head, sizeof(sealed->head)}, {state->data, state->size}, {sealed->tail, sealed->tail_size}};
	int rc = wal_file_write(w->spare.fd, 0, iov, 4);
	if (rc == 0)
		rc = wal_file_sync(w->spare.fd);
	return rc;
}

static int begin_segment(struct wal *w, struct wal_segment s, uint64_t extent)
{
	struct writer state = {0};
	struct wal_sealed sealed;

	s.number = w->segments_count > 0 ? wal_current(w)->number + 1 : 1;
	s.low = UINT64_MAX;
	s.bytes = w->segment_bytes;

	state_records(w, &state);
	uint64_t used = WAL_HEAD_BYTES + wal_frame_extent(state.size);
	if (s.bytes < used + extent)
		s.bytes = (used + extent + WAL_HEAD_BYTES - 1) / WAL_HEAD_BYTES * WAL_HEAD_BYTES;
	int rc = fill_spare(w, s.bytes);
	if (rc == 0)
		rc = write_head(w, &s, &sealed, &state);
	if (rc == 0)
		rc = wal_disk_publish(&w->disk, &s);
	if (rc != 0)
		goto out;
	wal_file_close(w->fd);
	w->fd = w->spare.fd;
	w->spare = (struct wal_spare){.fd = -1};
	wal_push_segment(w, &s);
	w->offset = used;
	w->seq++;
	w->prev = sealed.frame.crc;
	w->syncs++;
out:
	writer_free(&state);
	return rc;
}

int wal_begin_segment(struct wal *w, uint64_t extent)
{
	return begin_segment(w, (struct wal_segment){.first = w->last + 1, .base_term = w->last_term}, extent);
}

int wal_begin_anew(struct wal *w, uint64_t index, uint64_t term)
{
	return begin_segment(w, (struct wal_segment){.anew = true, .first = index + 1, .base_term = term}, 0);
}

static int append_frame(struct wal *w, uint8_t *payload, uint32_t size)
{
	struct wal_sealed sealed;
	uint64_t extent = wal_frame_extent(size);
	int rc = 0;

	if (w->offset + extent > wal_current(w)->bytes)
		rc = wal_begin_segment(w, extent);
	if (rc != 0)
		return rc;
	struct wal_segment *s = wal_current(w);
	wal_frame_seal(s->seed, w->seq, w->prev, payload, size, &sealed);
	struct iovec iov[] = {{sealed.head, sizeof(sealed.head)}, {payload, size}, {sealed.tail, sealed.tail_size}};
	rc = wal_file_write(w->fd, w->offset, iov, 3);
	if (rc == 0)
		rc = wal_file_sync(w->fd);
	wal_frame_mask(payload, size, sealed.frame.mask);
	if (rc != 0)
		return rc;
	w->syncs++;
	w->seq++;
	w->prev = sealed.frame.crc;
	rc = wal_take(w, s, w->offset, (struct span){payload, size});
	assert(rc == 0);
	w->offset += extent;
	return rc;
}

/* The bytes of the records that go to the next frame: at least one record. Entries must follow each other: what would not
 * open again is never written. */
static size_t cut_frame(const struct wal *w, const uint8_t *records, size_t size)
{
	struct reader r = reader_over(records, size);
	struct wal_record record;
	uint64_t last = w->last;
	size_t end = 0;

	while (wal_record_next(&r, &record)) {
		if (end > 0 && r.offset > FRAME_PAYLOAD_MAX)
			return end;
		end = r.offset;
		if (record.kind != WAL_RECORD_ENTRY)
			continue;
		assert(record.entry.index >= w->index.first && record.entry.index <= last + 1);
		last = record.entry.index;
	}
	assert(!r.failed && end == size);
	return end;
}

int wal_append(struct wal *w, uint8_t *records, size_t size)
{
	while (size > 0 && w->error == 0) {
		size_t n = cut_frame(w, records, size);
		w->error = append_frame(w, records, (uint32_t)n);
		records += n;
		size -= n;
	}
	return w->error;
}
