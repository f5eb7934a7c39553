/* snapshot_file.h: a dump of the store in a file (tallyctl snapshot). The format stands as a table in snapshot_file.c.
 *
 * A file gets its name only when it is whole and durable. Reading checks everything: what was given is good, though more may still turn out bad.
 * Functions that fail give a negative errno (-EBADMSG for damage) and one line in `why`. */
#ifndef TALLY_STORE_SNAPSHOT_FILE_H
#define TALLY_STORE_SNAPSHOT_FILE_H

#include "store/mvcc/dump.h"

struct snapshot_file;

/* Begins PATH.tmp, which takes the place of what a broken attempt left. */
int snapshot_file_create(const char *path, struct span manifest, struct snapshot_file **out, char *why, size_t why_size);
/* Not empty, at most DUMP_CHUNK_BYTES_MAX. */
int snapshot_file_add(struct snapshot_file *f, struct span chunk, char *why, size_t why_size);
/* The end: makes it durable and gives it its name. `f` is freed in any case; on failure nothing is left. */
int snapshot_file_finish(struct snapshot_file *f, char *why, size_t why_size);
/* Removes PATH.tmp. NULL is fine. */
void snapshot_file_abandon(struct snapshot_file *f);

int snapshot_file_open(const char *path, struct snapshot_file **out, char *why, size_t why_size);
/* Lives with the file, and the chunk until the next call. */
const struct dump_manifest *snapshot_file_manifest(const struct snapshot_file *f);
struct span snapshot_file_manifest_bytes(const struct snapshot_file *f);
/* 1 and a chunk, whose entries have been checked too; 0 at the end, once the whole is known to be good. */
int snapshot_file_next(struct snapshot_file *f, struct span *chunk, char *why, size_t why_size);
/* What the chunks given so far have come to. */
const struct load_progress *snapshot_file_progress(const struct snapshot_file *f);
void snapshot_file_close(struct snapshot_file *f);

#endif
