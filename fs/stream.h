/* stream.h: open @watch files: lines about what changes, read as they come.
 *
 * A stream is a position and a filter (store/watch.h), and nothing is queued for it but the lines that its reader is about to take. Readers that wait are
 * parked requests: no thread waits for them. One thread, made with the first stream, follows the store's events, finds by watchers.h to whom they matter,
 * answers their parked reads and wakes up who polls. A stream of which it has found nothing is at its own position, so compaction passes only those
 * that do not read what is there for them: these are told ENODATA, from then on.
 *
 * Locks: a stream's, then libfuse's of a request, then that of the streams. */
#ifndef TALLY_FS_STREAM_H
#define TALLY_FS_STREAM_H

#include "fs/request.h"

#define STREAMS_MAX 4096u /* open at a time on a mount: ENFILE */
#define STREAM_BYTES 32768u
#define STREAM_BYTES_HARD 262144u /* of one revision; one that changes more is taken in pieces */

struct stream;
struct streams;

struct streams *streams_new(struct store *s);
/* Reads that wait, and all later ones, fail with ESHUTDOWN. No other thread of the file system is left to make any. NULL is fine. */
void streams_end(struct streams *t);
/* After all streams are gone. NULL is fine. */
void streams_free(struct streams *t);

/* The changes of `key`, or of all `below` it, by revisions from `rev` on; 0: after now. */
int stream_open(struct streams *t, struct span key, bool below, uint64_t rev, struct stream **out);
/* Nobody reads it any more. NULL is fine. */
void stream_close(struct stream *s);
/* Answers the request once there is something: as many whole lines as fit into `size` bytes, or a piece of one that does not; at once with EAGAIN if it is
 * not to wait. Ends it. */
void stream_read(struct stream *s, struct request *rq, size_t size, bool wait);
/* What poll(2) shows. `handle` (or NULL), which is taken over, is notified when that changes. */
unsigned stream_poll(struct stream *s, struct fuse_pollhandle *handle);

/* How many of the `left` bytes of lines a read of `size` bytes gets. Pure. */
size_t stream_cut(const char *lines, size_t left, size_t size);

#endif
