/* Reading entries back, from the page cache mostly: a window of the segment, and the frame in it that was checked last. */
#include "raft/wal_log.h"

#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define WINDOW_BYTES (64u << 10)

void wal_window_free(struct wal_window *v)
{
	wal_file_close(v->fd);
	free(v->data);
	writer_free(&v->plain);
	*v = (struct wal_window){.fd = -1};
}

void wal_window_forget(struct wal_window *v, uint32_t segment)
{
	if (v->fd >= 0 && v->segment == segment)
		wal_window_free(v);
}

static int enter_segment(struct wal *w, const struct wal_segment *s)
{
	struct wal_window *v = &w->window;

	if (v->fd >= 0 && v->segment == s->number)
		return 0;
	int fd = wal_disk_open_segment(&w->disk, s, O_RDONLY);
	if (fd < 0)
		return fd;
	wal_file_close(v->fd);
	v->fd = fd;
	v->segment = s->number;
	v->size = 0;
	v->checked = false;
	return 0;
}

/* Makes the window hold [offset, offset + size), and what lies behind it up to `end` as far as there is room. */
static int slide(struct wal_window *v, uint64_t offset, uint64_t size, uint64_t end)
{
	if (size > end - offset)
		return -EBADMSG;
	if (v->size > 0 && offset >= v->start && offset + size <= v->start + v->size)
		return 0;
	uint64_t want = size > WINDOW_BYTES ? size : WINDOW_BYTES;
	if (want > end - offset)
		want = end - offset;
	v->size = 0;
	/* A window that a huge frame has stretched shrinks again. */
	if (want > v->capacity || v->capacity > 16 * WINDOW_BYTES) {
		free(v->data);
		v->capacity = want > WINDOW_BYTES ? want : WINDOW_BYTES;
		v->data = malloc(v->capacity);
		if (!v->data)
			abort();
	}
	int rc = wal_file_read(v->fd, offset, v->data, want);
	if (rc != 0)
		return rc == -ENODATA ? -EBADMSG : rc;
	v->start = offset;
	v->size = want;
	return 0;
}

/* Makes v->payload the payload of the frame at `block` of segment `s`, checked and unmasked. */
static int read_frame(struct wal *w, const struct wal_segment *s, uint32_t block)
{
	struct wal_window *v = &w->window;
	struct wal_frame f;
	uint64_t offset = (uint64_t)block * WAL_BLOCK_BYTES;
	uint64_t end = s == wal_current(w) ? w->offset : s->bytes;

	int rc = enter_segment(w, s);
	if (rc != 0 || (v->checked && v->block == block))
		return rc;
	v->checked = false;
	rc = slide(v, offset, WAL_BLOCK_BYTES, end);
	if (rc != 0)
		return rc;
	if (!wal_frame_decode(s->seed, v->data + (offset - v->start), &f))
		return -EBADMSG;
	rc = slide(v, offset, wal_frame_extent(f.size), end);
	if (rc != 0)
		return rc;
	const uint8_t *payload = v->data + (offset - v->start) + WAL_FRAME_HEAD_BYTES;
	if (crc32c(0, payload, f.size) != f.check)
		return -EBADMSG;
	v->payload = (struct span){payload, f.size};
	if (f.mask != 0) {
		writer_clear(&v->plain);
		writer_raw(&v->plain, payload, f.size);
		wal_frame_mask(v->plain.data, f.size, f.mask);
		v->payload.data = v->plain.data;
	}
	v->block = block;
	v->checked = true;
	return 0;
}

static int read_entry(struct wal *w, uint64_t index, struct raft_entry *out)
{
	const struct wal_place *place = wal_index_find(&w->index, index);
	struct wal_record record;

	int rc = read_frame(w, &w->segments[place->segment - w->segments[0].number], place->block);
	if (rc != 0)
		return rc;
	struct reader r = reader_over(w->window.payload.data, w->window.payload.size);
	reader_raw(&r, place->record);
	if (!wal_record_next(&r, &record) || record.kind != WAL_RECORD_ENTRY || record.entry.index != index)
		return -EBADMSG;
	*out = record.entry;
	return 0;
}

int wal_read(struct wal *w, uint64_t lo, uint64_t hi, size_t bytes_max, wal_entry_fn *fn, void *ctx)
{
	struct raft_entry entry;
	uint64_t bytes = 0;

	if (!wal_index_find(&w->index, lo))
		return -ERANGE;
	if (hi > w->last + 1)
		hi = w->last + 1;
	for (uint64_t i = lo; i < hi; i++) {
		int rc = read_entry(w, i, &entry);
		if (rc != 0)
			return rc;
		bytes += entry.size;
		if (i > lo && bytes > bytes_max)
			return 0;
		rc = fn(ctx, &entry);
		if (rc != 0)
			return rc;
	}
	return 0;
}
