#include "base/crc32c.h"
#include "store/mvcc/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The root directory of a new store, the same on every node. */
static void make_root(struct buffer *b)
{
	struct record root = {
		.modified = {1, 0},
		.created = {1, 0},
		.version = 1,
		.ino = MVCC_ROOT_INO,
		.mode = S_IFDIR | 0755,
		.nlink = 2,
	};
	void *bytes = buffer_add_record(b, root.modified, record_bytes(&root));
	record_encode(&root, bytes);
	b->records[0].crc = crc32c(0, bytes, record_bytes(&root));
}

static int open_backend(struct mvcc *m, const struct mvcc_config *config, char *why, size_t why_size)
{
	struct backend_config backend = {config->dir, config->map_bytes, config->cluster_id, config->no_sync};
	struct state fresh = {.format = MVCC_FORMAT, .cluster_id = config->cluster_id, .revision = 1, .next_ino = MVCC_ROOT_INO + 1};
	struct buffer first = {0};
	make_root(&first);
	int error = backend_open(m->backend, &backend, &fresh, &first, &m->state, why, why_size);
	buffer_free(&first);
	return error;
}

static int index_record(void *ctx, struct rev rev, struct span bytes)
{
	struct mvcc *m = ctx;
	struct record_outline r;
	if (rev.main > m->state.revision || rev.sub > MARK_SUB || record_peek(bytes, &r))
		return -EIO;
	struct mark mark = {rev.main, rev.sub};
	if (r.flags & RECORD_TOMBSTONE)
		mark.sub |= MARK_TOMBSTONE;
	if (r.flags & RECORD_TOUCH)
		mark.sub |= MARK_TOUCH;
	index_put(&m->index, r.key, mark, &(struct index_put){r.ino, r.size, r.mode});
	times_add(&m->times, rev.main, r.time_ns);
	return 0;
}

static void note_stage(void *ctx, const struct stage_id *id, uint32_t chunk)
{
	stage_note(ctx, id, chunk);
}

static int pass_meta(void *ctx, struct span name, struct span value)
{
	(void)ctx, (void)name, (void)value;
	return 0;
}

/* Checks them all, so that a damaged one is told here, and not by whoever needs it. */
static int check_metas(struct mvcc *m)
{
	MDB_txn *txn;
	int error = backend_begin(m->backend, &txn);
	if (error)
		return error;
	error = backend_each_meta(m->backend, txn, pass_meta, NULL);
	backend_end(m->backend, txn);
	return error;
}

static int rebuild(struct mvcc *m)
{
	int error = backend_each_record(m->backend, index_record, m);
	if (!error)
		error = check_metas(m);
	if (!error)
		error = backend_each_stage(m->backend, note_stage, m);
	if (!error)
		error = load_find_origin(m);
	if (!error)
		error = compaction_load(m);
	times_drop(&m->times, m->state.compact_revision);
	hash_points_add(&m->hashes, (struct hash_point){m->state.applied, m->state.hash});
	return error == -EIO ? -EBADMSG : error;
}

static void lock_init(struct mvcc *m)
{
	pthread_rwlockattr_t attr;
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&m->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static void mvcc_free(struct mvcc *m)
{
	backend_close(m->backend);
	free(m->backend);
	index_free(&m->index);
	buffer_free(&m->generations[0]);
	buffer_free(&m->generations[1]);
	compaction_free(&m->committer.compaction);
	holds_done(&m->holds);
	free(m->stages);
	pthread_rwlock_destroy(&m->lock);
	free(m);
}

int mvcc_open(const struct mvcc_config *config, struct mvcc **out, char *why, size_t why_size)
{
	struct mvcc *m = calloc(1, sizeof *m);
	if (!m || !(m->backend = calloc(1, sizeof *m->backend)))
		abort();
	lock_init(m);
	holds_init(&m->holds, committer_released, m);
	m->active = &m->generations[0];
	int error = open_backend(m, config, why, why_size);
	if (error)
		goto out;
	error = rebuild(m);
	if (error) {
		snprintf(why, why_size,
			 "%s/data.mdb: cannot be read: %s; restore this disk's content; while a majority of the other members runs, "
			 "nothing is lost",
			 config->dir, error == -EBADMSG ? "a record is damaged" : strerror(-error));
		goto out;
	}
	mvcc_publish(m);
	atomic_store(&m->durable, m->state.applied);
	error = committer_start(m);
	if (error) {
		snprintf(why, why_size, "%s: cannot start the thread that commits: %s", config->dir, strerror(-error));
		goto out;
	}
	*out = m;
	m = NULL;
out:
	if (m)
		mvcc_free(m);
	return error;
}

void mvcc_adopt(struct mvcc *m, uint64_t cluster_id)
{
	pthread_rwlock_wrlock(&m->lock);
	assert(m->state.cluster_id == cluster_id || (m->state.cluster_id == 0 && m->state.applied == 0));
	m->state.cluster_id = cluster_id;
	pthread_rwlock_unlock(&m->lock);
}

void mvcc_close(struct mvcc *m)
{
	mvcc_flush(m);
	committer_stop(m);
	mvcc_free(m);
}
