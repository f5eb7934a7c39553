/* wal_log.h: the inside of struct wal, shared by the files that open, write and read it. Private to raft/wal*.c. */
#ifndef TALLY_RAFT_WAL_LOG_H
#define TALLY_RAFT_WAL_LOG_H

#include "raft/wal.h"
#include "raft/wal_frame.h"
#include "raft/wal_index.h"
#include "raft/wal_record.h"
#include "raft/wal_segment.h"

#include <stdbool.h>

/* The one line that an opening which failed gives. */
struct wal_why {
	char *text;
	size_t size;
};

/* The next segment, zero-filled from 0 to `filled`. */
struct wal_spare {
	int fd; /* -1: none */
	uint64_t filled;
	bool gave_up; /* the disk is full or failing: try again only when it is needed */
};

/* What was read last: a stretch of one segment, and the frame in it that was checked last. */
struct wal_window {
	int fd; /* -1: none */
	uint32_t segment;
	uint64_t start;
	size_t size;
	uint8_t *data;
	size_t capacity;
	bool checked;
	uint32_t block; /* the checked frame, in `segment` */
	struct span payload;
	struct writer plain; /* its payload, when it had to be unmasked */
};

struct wal {
	struct wal_disk disk;
	uint64_t cluster_id;
	uint64_t node_id;
	uint64_t segment_bytes;

	struct wal_segment *segments; /* by number, without gaps; the last one is written to */
	uint32_t segments_count;
	uint32_t segments_capacity;
	int fd;          /* of the last segment */
	uint64_t offset; /* of the next frame in it */
	uint64_t seq;    /* of the next frame */
	uint32_t prev;   /* the CRC of the last frame */
	struct wal_spare spare;

	struct raft_hard_state hard;
	uint64_t epoch;
	uint64_t last;
	uint64_t last_term;
	struct wal_index index; /* index.first is the first entry held */
	bool severed; /* while replaying: an entry was replaced that lay before the first segment, which thus belongs to what was being removed */

	struct wal_window window;
	struct writer scratch;
	uint64_t syncs; /* frames made durable */
	int error;      /* the disk failed: nothing more is saved */
};

static inline struct wal_segment *wal_current(const struct wal *w)
{
	return &w->segments[w->segments_count - 1];
}

/* wal_replay.c: reads the segments that there are. Leaves segments_count 0 when the log is new. */
int wal_replay(struct wal *w, struct wal_why why);
/* Formats the line (errors of the disk and damage alike) and gives back `error`. */
int wal_refuse(struct wal_why why, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* wal_append.c. Makes records durable, in frames of at most about 4 MiB; `records` is restored but may be changed meanwhile. */
int wal_append(struct wal *w, uint8_t *records, size_t size);
/* Takes in the records of a frame: the index, the hard state, the epoch. -EBADMSG when they make no sense. */
int wal_take(struct wal *w, struct wal_segment *s, uint64_t frame_offset, struct span payload);
void wal_push_segment(struct wal *w, const struct wal_segment *s);
/* Begins the first or next segment, with room for a frame of `extent` bytes. */
int wal_begin_segment(struct wal *w, uint64_t extent);
/* Begins one that makes void what was before it: the next entry is index + 1, the term of `index` is `term`. */
int wal_begin_anew(struct wal *w, uint64_t index, uint64_t term);
/* True when it is time to prepare: sooner if there is nothing else to do. */
bool wal_prepare_due(const struct wal *w, bool idle);

/* wal.c: removes the oldest segments, one after the other. */
int wal_drop_segments(struct wal *w, uint32_t count);

/* wal_reset.c: the log in memory holds nothing, and the last entry before it is (index, term). */
void wal_enter_base(struct wal *w, uint64_t index, uint64_t term);
/* Removes what lies before the segment that the log begins with. */
int wal_drop_void(struct wal *w);

/* wal_read.c */
void wal_window_free(struct wal_window *v);
/* A segment is about to be removed. */
void wal_window_forget(struct wal_window *v, uint32_t segment);

#endif
