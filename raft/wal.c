/* The format. Integers are little-endian. A folder holds segments NNNNNNNN-FFFFFFFFFFFFFFFF.wal (number and first index, in hexadecimal);
 * numbers rise by 1 without gaps. next.tmp is the segment being prepared: it holds nothing yet and is removed at open.
 *
 *   segment:  head (4096 bytes) | frame | frame | ... | zeros up to its size
 *   head:      0 u64 magic "tallywal"     8 u16 format (1)       10 u16 flags (1: anew)   12 u32 segment number   16 u64 cluster id  24 u64 node id
 *             32 u64 bytes of the segment 40 u64 first index     48 u64 term of the entry before it               56 u64 seq of its first frame
 *             64 u32 crc of the last frame before it             68 u32 crc of bytes 0..67                        then zeros
 *   frame:    begins at a multiple of 64 bytes, so that its head never crosses a 512-byte sector
 *              0 u32 magic "wFRM"  4 u32 payload bytes           8 u64 seq, rises by 1 a frame over the log's life  16 u64 mask
 *             24 u32 crc of the frame before (the chain)        28 u32 crc of the payload as it lies there          32 u32 zero
 *             36 u32 crc of bytes 0..35, continued from the crc of the segment's head: a frame of another segment never passes
 *             40 payload | zeros | end mark (8 bytes, the last one not zero) up to a multiple of 64
 *   payload:  records, XORed with the mask (repeated every 8 bytes); the mask is 0 unless some sector would be all zeros without it
 *   record:    0 u8 kind  1 u8 entry type  2 u16 zero  4 u32 bytes that follow
 *             kind 1, hard state:  8 u64 term  16 u64 vote  24 u64 commit
 *             kind 2, entry:       8 u64 index 16 u64 term  24 data. It replaces an entry of that index and all after it
 *             kind 3, boot epoch:  8 u64 epoch
 *
 * A segment marked `anew` begins the log (wal_reset.c): what the segments before it held is void, and they go. So do those that a removal, which
 * takes one segment after the other, left when it was cut short: they replace an entry that lay before them, in one that is gone.
 *
 * The first frame of a segment repeats the hard state and the epoch, so that older segments can go. A segment gets its name only when its head
 * and first frame are durable. A save larger than 4 MiB is cut into several frames, each made durable before the next is written.
 *
 * After a crash each sector of the frame that was being written is either still zeros or as written. So where no whole frame begins:
 *   - nothing but zeros up to the end of the last segment: the log ends here;
 *   - in the last segment, no later frame is whole, and the head is missing with the rest of its sector, or ends in zeros with nothing behind it,
 *     or is whole while some sector of the frame (or its last byte) is still zero: the torn tail. Zeroed, and synced, before anything is added;
 *   - else something that had been promised is damaged: refused. */
#include "raft/wal_log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_BYTES_MIN (2 * WAL_HEAD_BYTES)

static int open_disk(struct wal *w, const char *dir, struct wal_why why)
{
	int rc = wal_disk_open(&w->disk, dir);
	if (rc == -EBUSY)
		return wal_refuse(why, rc, "%s is in use by another process", dir);
	return rc == 0 ? 0 : wal_refuse(why, rc, "%s: %s", dir, strerror(-rc));
}

/* Counts this boot: in a new log's first segment, else in a frame of its own, which also makes all that was found durable. */
static int count_boot(struct wal *w, struct wal_why why)
{
	int rc;

	if (w->segments_count == 0) {
		w->epoch = 1;
		w->seq = 1;
		wal_index_reset(&w->index, 1);
		rc = wal_begin_segment(w, 0);
	} else {
		writer_clear(&w->scratch);
		wal_record_epoch(&w->scratch, w->epoch + 1);
		rc = wal_append(w, w->scratch.data, w->scratch.size);
	}
	return rc == 0 ? 0 : wal_refuse(why, rc, "%s: writing the log: %s", w->disk.path, strerror(-rc));
}

/* What was found may have been in the page cache alone, left by a process that died before its sync: both the last frames and the name of the
 * last segment. It is about to be promised on. */
static int settle_found(struct wal *w, struct wal_why why)
{
	if (w->segments_count == 0)
		return 0;
	int rc = wal_file_sync(w->fd);
	if (rc == 0)
		rc = wal_file_sync(w->disk.dir_fd);
	if (rc == 0)
		rc = wal_drop_void(w);
	return rc == 0 ? 0 : wal_refuse(why, rc, "%s: syncing the log: %s", w->disk.path, strerror(-rc));
}

int wal_open(const struct wal_config *config, struct wal **out, char *why_text, size_t why_size)
{
	struct wal_why why = {why_text, why_size};
	struct wal *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->disk.dir_fd = w->fd = w->spare.fd = w->window.fd = -1;
	w->cluster_id = config->cluster_id;
	w->node_id = config->node_id;
	w->segment_bytes = config->segment_bytes ? config->segment_bytes : WAL_SEGMENT_BYTES;
	w->segment_bytes = (w->segment_bytes + WAL_HEAD_BYTES - 1) / WAL_HEAD_BYTES * WAL_HEAD_BYTES;
	if (w->segment_bytes < SEGMENT_BYTES_MIN)
		w->segment_bytes = SEGMENT_BYTES_MIN;

	int rc = open_disk(w, config->dir, why);
	if (rc == 0)
		rc = wal_replay(w, why);
	if (rc == 0)
		rc = settle_found(w, why);
	if (rc == 0)
		rc = count_boot(w, why);
	if (rc != 0) {
		wal_close(w);
		return rc;
	}
	/* The hint may have outlived entries that were torn off; what was trimmed had been committed. */
	if (w->hard.commit > w->last)
		w->hard.commit = w->last;
	if (w->hard.commit < w->index.first - 1)
		w->hard.commit = w->index.first - 1;
	*out = w;
	return 0;
}

void wal_close(struct wal *w)
{
	if (!w)
		return;
	wal_file_close(w->fd);
	if (w->spare.fd >= 0) {
		wal_file_close(w->spare.fd);
		wal_disk_remove_temporary(&w->disk);
	}
	wal_window_free(&w->window);
	wal_index_free(&w->index);
	writer_free(&w->scratch);
	wal_disk_close(&w->disk);
	free(w->segments);
	free(w);
}

struct raft_hard_state wal_hard_state(const struct wal *w)
{
	return w->hard;
}

uint64_t wal_epoch(const struct wal *w)
{
	return w->epoch;
}

uint64_t wal_first(const struct wal *w)
{
	return w->index.first;
}

uint64_t wal_last(const struct wal *w)
{
	return w->last;
}

uint64_t wal_base_term(const struct wal *w)
{
	return w->segments[0].base_term;
}

uint64_t wal_last_term(const struct wal *w)
{
	return w->last_term;
}

uint64_t wal_bytes(const struct wal *w)
{
	uint64_t sum = w->spare.filled;
	for (uint32_t i = 0; i < w->segments_count; i++)
		sum += w->segments[i].bytes;
	return sum;
}

uint64_t wal_within(const struct wal *w, uint64_t bytes)
{
	uint32_t i = w->segments_count - 1;
	uint64_t sum = w->segments[i].bytes;

	while (i > 0 && w->segments[i - 1].bytes <= bytes && sum <= bytes - w->segments[i - 1].bytes)
		sum += w->segments[--i].bytes;
	return w->segments[i].first;
}

int wal_save(struct wal *w, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count)
{
	if (w->error != 0)
		return w->error;
	writer_clear(&w->scratch);
	wal_record_save(&w->scratch, hard, entries, count);
	return wal_append(w, w->scratch.data, w->scratch.size);
}

/* The segment that the log can begin with so that every entry below `index` that may go is gone: no segment from there on may replace
 * an entry below its first one, whose term the log would then not know. */
static uint32_t first_to_keep(const struct wal *w, uint64_t index)
{
	uint32_t keep = 0;
	uint64_t low = UINT64_MAX;

	for (uint32_t i = w->segments_count; i-- > 0;) {
		if (w->segments[i].low < low)
			low = w->segments[i].low;
		if (w->segments[i].first <= index && low >= w->segments[i].first) {
			keep = i;
			break;
		}
	}
	return keep;
}

int wal_drop_segments(struct wal *w, uint32_t count)
{
	uint32_t gone = 0;
	int rc = 0;

	for (; gone < count; gone++) {
		wal_window_forget(&w->window, w->segments[gone].number);
		rc = wal_disk_remove(&w->disk, &w->segments[gone]);
		if (rc != 0)
			break;
	}
	if (gone > 0)
		memmove(w->segments, w->segments + gone, (w->segments_count - gone) * sizeof(*w->segments));
	w->segments_count -= gone;
	return rc;
}

int wal_trim(struct wal *w, uint64_t index)
{
	int rc = w->error;

	if (rc == 0)
		rc = wal_drop_segments(w, first_to_keep(w, index));
	if (w->segments[0].first > w->index.first)
		wal_index_trim(&w->index, w->segments[0].first);
	return rc;
}
