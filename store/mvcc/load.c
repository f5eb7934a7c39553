/* The receiving side of a snapshot: a new store, filled chunk by chunk.
 *
 * Where it stands is the meta "lload", put in each transaction with what was taken:
 *
 *	u16    format     1
 *	bytes  name       of the stream, and its manifest: what a later load must give to go on
 *	bytes  manifest
 *	u8     complete   1: it is a store
 *	u64    chunks, bytes, then entries of records, blocks, metas, stages
 *	u32    sum
 *	       position   as in chunk.c
 *
 * A complete one has the meta "lorigin" besides the state: u64 index, u64 term of the log entry that it stands at. */
#include "base/durable.h"
#include "store/mvcc/backend_folder.h"
#include "store/mvcc/chunk.h"
#include "store/mvcc/inside.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOAD_FORMAT 1u
#define LOAD_META "lload"
#define ORIGIN_META "lorigin"
#define NAME_BYTES_MAX 64u
/* What a transaction takes before it is committed: a sync for each, and a crash loses no more. */
#define COMMIT_BYTES (2u << 20)

struct mvcc_load {
	struct backend backend;
	char *dir;
	uint64_t cluster_id;
	bool (*keep)(struct span meta);
	struct writer name;
	struct writer manifest_bytes;
	struct dump_manifest manifest; /* borrows from manifest_bytes */
	MDB_txn *txn;                  /* NULL: none is open */
	size_t uncommitted;
	struct load_progress progress;
	bool complete;
	int error; /* the disk failed */
};

static void progress_encode(const struct mvcc_load *l, struct writer *w)
{
	const struct load_progress *p = &l->progress;
	writer_u16(w, LOAD_FORMAT);
	writer_bytes(w, l->name.data, l->name.size);
	writer_bytes(w, l->manifest_bytes.data, l->manifest_bytes.size);
	writer_u8(w, l->complete);
	writer_u64(w, p->chunks);
	writer_u64(w, p->bytes);
	for (unsigned i = 0; i < DUMP_DATABASES; i++)
		writer_u64(w, p->entries[i]);
	writer_u32(w, p->sum);
	dump_position_encode(&p->at, w);
}

static bool same(struct span a, const struct writer *b)
{
	return a.size == b->size && (a.size == 0 || memcmp(a.data, b->data, a.size) == 0);
}

/* False if it is of another stream, or malformed. */
static bool progress_decode(struct mvcc_load *l, struct span bytes)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct load_progress p = {0};
	if (reader_u16(&r) != LOAD_FORMAT)
		reader_fail(&r);
	struct span name = reader_bytes(&r, NAME_BYTES_MAX);
	struct span manifest = reader_bytes(&r, DUMP_MANIFEST_BYTES_MAX);
	bool complete = reader_u8(&r) == 1;
	p.chunks = reader_u64(&r);
	p.bytes = reader_u64(&r);
	for (unsigned i = 0; i < DUMP_DATABASES; i++)
		p.entries[i] = reader_u64(&r);
	p.sum = reader_u32(&r);
	dump_position_decode(&r, &p.at);
	if (!reader_done(&r) || !same(name, &l->name) || !same(manifest, &l->manifest_bytes))
		return false;
	l->progress = p;
	l->complete = complete;
	return true;
}

static int put_progress(struct mvcc_load *l)
{
	struct writer w = {0};
	progress_encode(l, &w);
	int error = backend_fill_own(&l->backend, l->txn, LOAD_META, (struct span){w.data, w.size});
	writer_free(&w);
	return error;
}

/* What was taken, and that it was. */
static int commit(struct mvcc_load *l)
{
	if (!l->txn)
		return 0;
	int error = put_progress(l);
	if (error)
		backend_fill_abort(l->txn);
	else
		error = backend_fill_commit(l->txn);
	l->txn = NULL;
	l->uncommitted = 0;
	return error;
}

int mvcc_load_remove(const char *dir)
{
	static const char *const files[] = {"data.mdb", "lock.mdb"};
	char path[PATH_MAX];
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		if (unlink(path) && errno != ENOENT && errno != ENOTDIR)
			return -errno;
	}
	return rmdir(dir) && errno != ENOENT ? -errno : 0;
}

/* Goes on with what is there. -ENOENT: it is nothing to go on with. */
static int resume(struct mvcc_load *l)
{
	MDB_txn *txn;
	struct span stored;
	int error = backend_begin(&l->backend, &txn);
	if (error)
		return error;
	error = backend_find_own(&l->backend, txn, LOAD_META, &stored);
	if (!error && !progress_decode(l, stored))
		error = -ENOENT;
	backend_end(&l->backend, txn);
	return error;
}

static int begin(struct mvcc_load *l, const struct backend_config *config, char *why, size_t why_size)
{
	int error = backend_open_filling(&l->backend, config, why, why_size);
	if (!error)
		error = resume(l);
	if (!error)
		return 0;
	/* Whatever it is, it is a part of a snapshot that can be had again. */
	backend_close(&l->backend);
	error = mvcc_load_remove(config->dir);
	if (error) {
		snprintf(why, why_size, "%s: cannot be removed: %s", config->dir, strerror(-error));
		return error;
	}
	error = backend_open_filling(&l->backend, config, why, why_size);
	if (!error)
		error = backend_fill_begin(&l->backend, &l->txn);
	return error ? error : commit(l);
}

static void load_free(struct mvcc_load *l)
{
	backend_close(&l->backend);
	writer_free(&l->name);
	writer_free(&l->manifest_bytes);
	free(l->dir);
	free(l);
}

int mvcc_load_open(const struct mvcc_load_config *config, struct span name, struct span manifest, struct mvcc_load **out, char *why,
		   size_t why_size)
{
	struct backend_config backend = {config->dir, config->map_bytes, config->cluster_id, config->no_sync};
	struct dump_manifest m;
	if (name.size > NAME_BYTES_MAX || dump_manifest_decode(manifest, &m) || (!config->keep && m.cluster_id != config->cluster_id)) {
		snprintf(why, why_size, "not a snapshot of this cluster in a format that this tallyfs knows");
		return -EBADMSG;
	}
	struct mvcc_load *l = calloc(1, sizeof *l);
	if (!l)
		abort();
	l->dir = strdup(config->dir);
	if (!l->dir)
		abort();
	l->cluster_id = config->cluster_id;
	l->keep = config->keep;
	writer_raw(&l->name, name.data, name.size);
	writer_raw(&l->manifest_bytes, manifest.data, manifest.size);
	dump_manifest_decode((struct span){l->manifest_bytes.data, l->manifest_bytes.size}, &l->manifest);
	snprintf(why, why_size, "%s: cannot be written", config->dir);
	int error = begin(l, &backend, why, why_size);
	if (error) {
		load_free(l);
		return error;
	}
	why[0] = '\0';
	*out = l;
	return 0;
}

const struct load_progress *mvcc_load_progress(const struct mvcc_load *l)
{
	return &l->progress;
}

bool mvcc_load_is_complete(const struct mvcc_load *l)
{
	return l->complete;
}

static int append(void *ctx, uint8_t database, struct span key, struct span value)
{
	struct mvcc_load *l = ctx;
	const char *name = key.data;
	if (l->keep && database == BACKEND_STAGES)
		return 0;
	if (l->keep && database == BACKEND_METAS && !l->keep((struct span){name + 1, key.size - 1}))
		return 0;
	return backend_fill_append(&l->backend, l->txn, database, key, value);
}

/* What has been checked goes in whole, or the disk failed. */
static int take(struct mvcc_load *l, struct span chunk)
{
	int error = l->txn ? 0 : backend_fill_begin(&l->backend, &l->txn);
	if (!error)
		error = chunk_each(chunk, append, l);
	l->uncommitted += chunk.size;
	if (!error && l->uncommitted >= COMMIT_BYTES)
		error = commit(l);
	return error;
}

int mvcc_load_chunk(struct mvcc_load *l, struct span chunk)
{
	if (l->error)
		return l->error;
	if (l->complete || dump_chunk_check(&l->manifest, chunk, &l->progress))
		return -EBADMSG;
	l->error = take(l, chunk);
	return l->error;
}

static int put_state(struct mvcc_load *l)
{
	struct writer w = {0};
	struct state state;
	int error = state_decode(l->manifest.state, &state);
	state.cluster_id = l->cluster_id;
	state_encode(&state, &w);
	if (!error)
		error = backend_fill_own(&l->backend, l->txn, META_STATE, (struct span){w.data, w.size});
	writer_clear(&w);
	writer_u64(&w, l->manifest.index);
	writer_u64(&w, l->manifest.term);
	if (!error)
		error = backend_fill_own(&l->backend, l->txn, ORIGIN_META, (struct span){w.data, w.size});
	writer_free(&w);
	return error;
}

static int complete(struct mvcc_load *l)
{
	int error = l->txn ? 0 : backend_fill_begin(&l->backend, &l->txn);
	if (!error)
		error = put_state(l);
	l->complete = !error;
	if (!error)
		error = commit(l);
	if (!error)
		error = backend_sync(&l->backend);
	/* The names in it, too: the folder is about to be the store. */
	return error || l->backend.no_sync ? error : durable_names(l->dir);
}

int mvcc_load_finish(struct mvcc_load *l, uint32_t sum)
{
	if (l->error)
		return l->error;
	if (dump_end_check(&l->manifest, &l->progress, sum))
		return -EBADMSG;
	if (!l->complete)
		l->error = complete(l);
	return l->error;
}

void mvcc_load_close(struct mvcc_load *l)
{
	if (!l)
		return;
	if (l->error && l->txn)
		backend_fill_abort(l->txn);
	else
		commit(l);
	load_free(l);
}

uint64_t mvcc_applied_term(const struct mvcc *m)
{
	return m->state.term;
}

bool mvcc_origin(const struct mvcc *m, uint64_t *index, uint64_t *term)
{
	if (m->origin_index == 0)
		return false;
	*index = m->origin_index;
	*term = m->origin_term;
	return true;
}

int load_find_origin(struct mvcc *m)
{
	MDB_txn *txn;
	struct span stored;
	int error = backend_begin(m->backend, &txn);
	if (error)
		return error;
	error = backend_find_own(m->backend, txn, ORIGIN_META, &stored);
	if (!error) {
		struct reader r = reader_over(stored.data, stored.size);
		m->origin_index = reader_u64(&r);
		m->origin_term = reader_u64(&r);
		error = reader_done(&r) ? 0 : -EIO;
	}
	backend_end(m->backend, txn);
	return error == -ENOENT ? 0 : error;
}
