/* Opening: every segment is read once from start to end, and every frame checked against the chain. */
#include "raft/wal_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nothing is advised that could lose data: a member that started over under its name would have forgotten its votes and promises. */
#define REMEDY "restore this disk's content; while a majority of the other members runs, nothing is lost"

/* One segment in memory. */
struct image {
	char path[4400]; /* for the line of an error */
	uint8_t *data;
	uint64_t size;
	bool last;
};

int wal_refuse(struct wal_why why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why.text, why.size, format, args);
	va_end(args);
	return error;
}

static int damage_at(struct wal_why why, const struct image *m, uint64_t offset, const char *what)
{
	return wal_refuse(why, -EBADMSG, "%s is damaged at offset %" PRIu64 ": %s; " REMEDY, m->path, offset, what);
}

static int check_owner(const struct wal *w, const struct image *m, const struct wal_head *h, struct wal_why why)
{
	if (h->cluster_id != w->cluster_id)
		return wal_refuse(why, -EPERM,
				  "%s belongs to cluster %016" PRIx64 ", not to %016" PRIx64
				  ": check cluster= (it is as it was when the data folder was new), or use another data folder",
				  m->path, h->cluster_id, w->cluster_id);
	if (h->node_id != w->node_id)
		return wal_refuse(why, -EPERM,
				  "%s belongs to node %016" PRIx64 ", not to %016" PRIx64 ": check name=, or use another data folder",
				  m->path, h->node_id, w->node_id);
	return 0;
}

static int check_head(const struct wal *w, const struct image *m, const struct wal_segment *s, struct wal_head *h, struct wal_why why)
{
	if (m->size < WAL_HEAD_BYTES)
		return wal_refuse(why, -EBADMSG, "%s is %" PRIu64 " bytes long, too short for a segment: it was truncated; " REMEDY,
				  m->path, m->size);
	int rc = wal_head_decode(m->data, h);
	if (rc == -EPROTONOSUPPORT)
		return wal_refuse(why, rc,
				  "%s is of log format %" PRIu32 ", and this program knows format %u: use the version that wrote it",
				  m->path, h->number, WAL_FORMAT);
	if (rc != 0)
		return damage_at(why, m, 0, "the head fails its check");
	rc = check_owner(w, m, h, why);
	if (rc != 0)
		return rc;
	if (h->bytes != m->size)
		return wal_refuse(why, -EBADMSG, "%s is %" PRIu64 " bytes long where %" PRIu64 " were written; " REMEDY, m->path, m->size,
				  h->bytes);
	if (h->number != s->number || h->first != s->first)
		return wal_refuse(why, -EBADMSG, "%s was renamed: it is segment %" PRIx32 " with first index %" PRIx64 "; " REMEDY, m->path,
				  h->number, h->first);
	return 0;
}

static int check_follows(const struct wal *w, const struct image *m, const struct wal_head *h, struct wal_why why)
{
	if (h->seq != w->seq || h->prev != w->prev)
		return wal_refuse(why, -EBADMSG,
				  "%s does not follow the segment before it: frames %" PRIu64 " to %" PRIu64
				  " are missing or differ; " REMEDY,
				  m->path, w->seq, h->seq);
	if (!h->anew && (h->first != w->last + 1 || h->base_term != w->last_term))
		return wal_refuse(why, -EBADMSG,
				  "%s begins with entry %" PRIu64 ", and the segment before it ends with %" PRIu64 "; " REMEDY, m->path,
				  h->first, w->last);
	return 0;
}

/* The last segment's end: clean, or torn (then cut off durably), or damaged. */
static int settle_tail(struct wal *w, const struct image *m, uint64_t offset, struct wal_why why)
{
	if (m->last && offset > WAL_HEAD_BYTES) {
		enum wal_tail tail = wal_tail_judge(wal_current(w)->seed, m->data, m->size, offset, w->seq);
		if (tail == WAL_TAIL_DAMAGED)
			return damage_at(why, m, offset, "a frame that had been made durable fails its check");
		if (tail == WAL_TAIL_CLEAN)
			return 0;
		int rc = wal_file_zero(w->fd, offset, m->size);
		if (rc == 0)
			rc = wal_file_sync(w->fd);
		return rc == 0 ? 0 : wal_refuse(why, rc, "%s: cutting off the torn tail: %s", m->path, strerror(-rc));
	}
	if (offset == WAL_HEAD_BYTES)
		return damage_at(why, m, offset, "its first frame fails its check");
	if (!wal_all_zero(m->data + offset, m->size - offset))
		return damage_at(why, m, offset, "a frame fails its check and segments follow");
	return 0;
}

static int scan_frames(struct wal *w, struct image *m, struct wal_why why)
{
	struct wal_segment *s = wal_current(w);
	struct wal_frame f;
	uint64_t offset = WAL_HEAD_BYTES;

	while (offset < m->size && wal_frame_whole(s->seed, m->data, m->size, offset, &f)) {
		if (f.seq != w->seq || f.prev != w->prev)
			return damage_at(why, m, offset, "this frame does not follow the one before it");
		uint8_t *payload = m->data + offset + WAL_FRAME_HEAD_BYTES;
		wal_frame_mask(payload, f.size, f.mask);
		if (wal_take(w, s, offset, (struct span){payload, f.size}) != 0)
			return damage_at(why, m, offset, "this frame holds an entry that does not follow the ones before it");
		w->seq++;
		w->prev = f.crc;
		offset += wal_frame_extent(f.size);
	}
	w->offset = offset;
	return settle_tail(w, m, offset, why);
}

static int replay_segment(struct wal *w, struct image *m, const struct wal_segment *listed, struct wal_why why)
{
	struct wal_head h;
	struct wal_segment s = *listed;

	int rc = check_head(w, m, listed, &h, why);
	if (rc != 0)
		return rc;
	if (w->segments_count == 0) {
		w->seq = h.seq;
		w->prev = h.prev;
		wal_enter_base(w, h.first - 1, h.base_term);
	}
	rc = check_follows(w, m, &h, why);
	if (rc != 0)
		return rc;
	/* A crash in the middle of a removal, which goes from the oldest segment on, leaves some that cannot be understood without those that are
	 * gone. The one that is kept can, and so can all behind it: the log begins there. */
	s.anew = h.anew || w->severed;
	w->severed = false;
	if (s.anew)
		wal_enter_base(w, h.first - 1, h.base_term);
	s.seed = h.crc;
	s.bytes = h.bytes;
	s.base_term = h.base_term;
	wal_push_segment(w, &s);
	return scan_frames(w, m, why);
}

/* Reads the file into m->data, which grows as needed. */
static int load(struct wal *w, struct image *m, const struct wal_segment *s, int *fd, struct wal_why why)
{
	char name[WAL_NAME_BYTES];

	wal_segment_name(s, name);
	snprintf(m->path, sizeof(m->path), "%s/%s", w->disk.path, name);
	*fd = wal_disk_open_segment(&w->disk, s, O_RDWR);
	uint64_t size = 0;
	int rc = *fd < 0 ? *fd : wal_file_size(*fd, &size);
	if (rc == 0 && size > UINT32_MAX)
		return wal_refuse(why, -EBADMSG, "%s is %" PRIu64 " bytes long, which no segment is; " REMEDY, m->path, size);
	if (rc == 0 && size > m->size) {
		free(m->data);
		m->data = malloc(size);
		if (!m->data)
			rc = -ENOMEM;
	}
	m->size = size;
	if (rc == 0)
		rc = wal_file_read(*fd, 0, m->data, size);
	return rc == 0 ? 0 : wal_refuse(why, rc, "%s: %s", m->path, strerror(-rc));
}

static int check_names(const struct wal *w, const struct wal_segment *list, uint32_t count, struct wal_why why)
{
	for (uint32_t i = 1; i < count; i++)
		if (list[i].number != list[i - 1].number + 1)
			return wal_refuse(why, -EBADMSG,
					  "%s: segment %08" PRIx32 " is missing (or doubled) between %08" PRIx32 " and %08" PRIx32
					  "; " REMEDY,
					  w->disk.path, list[i - 1].number + 1, list[i - 1].number, list[i].number);
	return 0;
}

int wal_replay(struct wal *w, struct wal_why why)
{
	struct wal_segment *list = NULL;
	struct image m = {.data = NULL};
	uint32_t count = 0;

	int rc = wal_disk_list(&w->disk, &list, &count);
	if (rc != 0)
		return wal_refuse(why, rc, "%s: %s", w->disk.path, strerror(-rc));
	rc = check_names(w, list, count, why);
	for (uint32_t i = 0; rc == 0 && i < count; i++) {
		m.last = i == count - 1;
		wal_file_close(w->fd);
		rc = load(w, &m, &list[i], &w->fd, why);
		if (rc == 0)
			rc = replay_segment(w, &m, &list[i], why);
	}
	if (rc == 0 && w->severed)
		rc = wal_refuse(why, -EBADMSG, "%s: an entry was replaced that lay before the first segment: segments are missing; " REMEDY,
				w->disk.path);
	free(m.data);
	free(list);
	return rc;
}
