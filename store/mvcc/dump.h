/* dump.h: a store as a stream of chunks, and a store made of such a stream.
 *
 * A dump is a picture of the last commit to LMDB: a manifest, which says what it is, and chunks, which are read from a position on. Nothing is
 * kept between two chunks but LMDB's read transaction, which keeps LMDB from using pages again: no dump may be left open for long.
 * A load takes the chunks in order and fills a new store with them. Where it stands is committed together with what it took, so that
 * after any crash it goes on from its last commit. It believes nothing: every entry is checked, and the whole at the end.
 *
 * The formats stand as tables in chunk.c. One thread uses a struct mvcc_dump or mvcc_load at a time; a load belongs to the thread that opened it.
 * Errors as in mvcc.h; -EBADMSG: the stream is malformed. */
#ifndef TALLY_STORE_MVCC_DUMP_H
#define TALLY_STORE_MVCC_DUMP_H

#include "store/mvcc/mvcc.h"

/* A chunk ends before the entry that would take it past the first; only an entry that is itself larger does, and none is past the second. */
#define DUMP_CHUNK_BYTES (256u << 10)
#define DUMP_CHUNK_BYTES_MAX (464u << 10)
#define DUMP_KEY_MAX 511u
#define DUMP_MANIFEST_BYTES_MAX 512u
#define DUMP_POSITION_BYTES_MAX (3u + DUMP_KEY_MAX)
#define DUMP_DATABASES 4

/* The entry that a chunk begins behind. Zeroed: the start. */
struct dump_position {
	uint8_t database;
	uint16_t key_size;
	uint8_t key[DUMP_KEY_MAX];
};

void dump_position_encode(const struct dump_position *p, struct writer *w);
/* Fails the reader if it is malformed. */
void dump_position_decode(struct reader *r, struct dump_position *out);

struct dump_manifest {
	uint64_t cluster_id;
	uint64_t index; /* the last log entry that is in it, and its term */
	uint64_t term;
	uint64_t revision;
	uint64_t compact_revision;
	uint64_t hash; /* mvcc_hash */
	uint64_t entries[DUMP_DATABASES];
	uint64_t bytes; /* about, of the whole stream */
	struct span state;
};

/* -EBADMSG if malformed or of another format of the store. `state` is borrowed from `bytes`. */
int dump_manifest_decode(struct span bytes, struct dump_manifest *out);

struct mvcc_dump;

int mvcc_dump_open(struct mvcc *m, struct mvcc_dump **out);
void mvcc_dump_close(struct mvcc_dump *d);
/* Encoded; lives with the dump. */
struct span mvcc_dump_manifest(const struct mvcc_dump *d);
/* Appends the chunk behind *at to `out` and moves *at to its end. 1: there is more; 0: that was the last one, which may be empty. -EIO: the store is
 * damaged: something in it cannot be read or fails its checks, and whoever would get it would refuse it. */
int mvcc_dump_read(struct mvcc_dump *d, struct dump_position *at, struct writer *out);

/* How far a stream has been taken. */
struct load_progress {
	uint64_t chunks;
	uint64_t bytes;
	uint64_t entries[DUMP_DATABASES];
	uint32_t sum; /* CRC32C of all chunks one after the other */
	struct dump_position at;
};

/* Checks a chunk that follows `p` in the stream of that manifest, and adds it to `p`. -EBADMSG, and `p` untouched. */
int dump_chunk_check(const struct dump_manifest *m, struct span chunk, struct load_progress *p);
/* 0 if nothing is missing and the sum is right; else -EBADMSG. */
int dump_end_check(const struct dump_manifest *m, const struct load_progress *p, uint32_t sum);

/* Counts the keys that live at the stream's revision (the root not among them) from its chunks, which have been checked. Costs memory as the
 * index of a store does. */
struct dump_count;
struct dump_count *dump_count_new(void);
void dump_count_add(struct dump_count *c, struct span chunk);
uint64_t dump_count_keys(const struct dump_count *c);
/* NULL is fine. */
void dump_count_free(struct dump_count *c);

struct mvcc_load;

struct mvcc_load_config {
	const char *dir;     /* made if missing; borrowed for the call */
	uint64_t cluster_id; /* the dump must be of this cluster, but for `keep` */
	/* Not NULL: the store is to begin a cluster of its own, `cluster_id`. Metas for which it says no stay behind, and so do all stages. */
	bool (*keep)(struct span meta);
	uint64_t map_bytes;
	bool no_sync;
};

/* Begins to load a stream, or goes on with it if `dir` holds a part of it: the same manifest under the same name. What else `dir` holds is
 * removed. On failure one line in `why`. */
int mvcc_load_open(const struct mvcc_load_config *config, struct span name, struct span manifest, struct mvcc_load **out, char *why,
		   size_t why_size);
/* Where it stands: the next chunk is the one behind at. */
const struct load_progress *mvcc_load_progress(const struct mvcc_load *l);
/* It has been finished: nothing more is needed but mvcc_load_finish with its own sum. */
bool mvcc_load_is_complete(const struct mvcc_load *l);
/* The next chunk. -EBADMSG: refused, nothing has changed. */
int mvcc_load_chunk(struct mvcc_load *l, struct span chunk);
/* The stream is over, and `sum` is what its sender says: checks the whole, and makes it a store that mvcc_open opens, durably. May be called again. */
int mvcc_load_finish(struct mvcc_load *l, uint32_t sum);
/* Keeps what was taken. NULL is fine. */
void mvcc_load_close(struct mvcc_load *l);
/* Removes a store, or a part of one, with its folder. */
int mvcc_load_remove(const char *dir);

/* The term of the entry mvcc_applied. Of the apply thread, or before it starts. */
uint64_t mvcc_applied_term(const struct mvcc *m);
/* The log entry as of which this store was loaded from a snapshot; false if it was not. */
bool mvcc_origin(const struct mvcc *m, uint64_t *index, uint64_t *term);

#endif
