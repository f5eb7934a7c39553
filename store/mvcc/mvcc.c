/* The writer's side, and the numbers that anybody may ask for. */
#include "base/crc32c.h"
#include "store/mvcc/inside.h"

#include <assert.h>
#include <errno.h>

/* Of the active generation while the other one is being committed. Twice that is the most memory that both take, a larger command aside, and
 * LMDB keeps as much again for the pages of its largest transaction. */
#define BUFFER_FULL_BYTES MVCC_COMMIT_BYTES

/* The store in which this thread is within a command. */
static _Thread_local const struct mvcc *writer_in;

bool mvcc_is_writer(const struct mvcc *m)
{
	return writer_in == m;
}

void mvcc_lock_shared(struct mvcc *m)
{
	if (!mvcc_is_writer(m))
		pthread_rwlock_rdlock(&m->lock);
}

void mvcc_unlock_shared(struct mvcc *m)
{
	if (!mvcc_is_writer(m))
		pthread_rwlock_unlock(&m->lock);
}

void mvcc_publish(struct mvcc *m)
{
	atomic_store(&m->revision, m->state.revision);
	atomic_store(&m->compact_revision, m->state.compact_revision);
	atomic_store(&m->applied, m->state.applied);
	atomic_store(&m->last_time_ns, m->state.last_time_ns);
}

static bool buffer_is_full(struct mvcc *m)
{
	return m->active->bytes > BUFFER_FULL_BYTES && m->committing && !atomic_load(&m->error);
}

void mvcc_begin(struct mvcc *m, uint64_t index, uint64_t term)
{
	assert(!writer_in);
	pthread_rwlock_wrlock(&m->lock);
	while (buffer_is_full(m))
		committer_wait_locked(m);
	writer_in = m;
	m->writing = (struct writing){.index = index, .term = term, .records_first = m->active->records_count};
}

uint64_t mvcc_next_revision(const struct mvcc *m)
{
	assert(mvcc_is_writer(m));
	return m->state.revision + 1;
}

uint64_t mvcc_next_ino(struct mvcc *m)
{
	assert(mvcc_is_writer(m));
	return m->state.next_ino++;
}

static void store_record(struct mvcc *m, struct record *r)
{
	assert(m->writing.sub <= MARK_SUB);
	r->stored = (struct rev){mvcc_next_revision(m), m->writing.sub++};
	/* A caller cannot know its sub-revision beforehand. */
	if (!(r->flags & RECORD_TOUCH) && r->modified.main == r->stored.main)
		r->modified = r->stored;
	if (r->created.main == r->stored.main)
		r->created = r->stored;
	record_encode(r, buffer_add_record(m->active, r->stored, record_bytes(r)));
	struct mark mark = {r->stored.main, r->stored.sub};
	if (r->flags & RECORD_TOMBSTONE)
		mark.sub |= MARK_TOMBSTONE;
	if (r->flags & RECORD_TOUCH)
		mark.sub |= MARK_TOUCH;
	index_put(&m->index, r->key, mark, &(struct index_put){r->ino, r->size, r->mode});
}

void mvcc_put(struct mvcc *m, struct record *r)
{
	assert(mvcc_is_writer(m) && !(r->flags & RECORD_TOMBSTONE) && r->key.size <= MVCC_KEY_MAX);
	store_record(m, r);
}

void mvcc_tombstone(struct mvcc *m, struct span key)
{
	assert(mvcc_is_writer(m));
	const struct index_node *n = index_find(&m->index, key);
	assert(n && index_node_live(n));
	struct record r = {.flags = RECORD_TOMBSTONE, .key = key, .ino = n->ino, .modified = {mvcc_next_revision(m), 0}};
	store_record(m, &r);
}

static enum commit_urgency urgency_of(const struct buffer *b)
{
	if (b->commands >= MVCC_COMMIT_COMMANDS || b->bytes >= MVCC_COMMIT_BYTES)
		return COMMIT_NOW;
	return buffer_has_changes(b) ? COMMIT_SOON : COMMIT_LAZY;
}

/* The command's records are as they will stay. */
static void seal_records(struct mvcc *m, int64_t time_ns)
{
	struct buffer *b = m->active;
	for (size_t i = m->writing.records_first; i < b->records_count; i++) {
		struct buffer_record *r = &b->records[i];
		record_stamp((void *)r->bytes.data, time_ns);
		r->crc = crc32c(0, r->bytes.data, r->bytes.size);
		m->state.hash = hash_record(m->state.hash, r);
	}
}

void mvcc_compact(struct mvcc *m, uint64_t revision)
{
	assert(mvcc_is_writer(m) && revision > m->state.compact_revision && revision <= m->state.revision);
	m->state.compact_revision = revision;
	m->state.hash = hash_floor(m->state.hash, revision);
	times_drop(&m->times, revision);
	m->writing.urgent = true;
}

uint64_t mvcc_end(struct mvcc *m, int64_t time_ns)
{
	assert(mvcc_is_writer(m));
	struct buffer *b = m->active;
	struct state *s = &m->state;
	seal_records(m, time_ns);
	if (m->writing.sub > 0) {
		s->revision++;
		s->last_time_ns = time_ns > s->last_time_ns ? time_ns : s->last_time_ns;
		times_add(&m->times, s->revision, s->last_time_ns);
	}
	s->applied = m->writing.index;
	s->term = m->writing.term;
	hash_points_add(&m->hashes, (struct hash_point){s->applied, s->hash});
	b->commands++;
	uint64_t revision = s->revision;
	enum commit_urgency urgency = urgency_of(b);
	if (m->writing.urgent && urgency < COMMIT_SOON)
		urgency = COMMIT_SOON;
	mvcc_publish(m);
	writer_in = NULL;
	pthread_rwlock_unlock(&m->lock);
	committer_notice(m, urgency);
	return revision;
}

uint64_t mvcc_revision(const struct mvcc *m)
{
	return atomic_load(&m->revision);
}

uint64_t mvcc_compact_revision(const struct mvcc *m)
{
	return atomic_load(&m->compact_revision);
}

uint64_t mvcc_applied(const struct mvcc *m)
{
	return atomic_load(&m->applied);
}

uint64_t mvcc_durable(const struct mvcc *m)
{
	return atomic_load(&m->durable);
}

int64_t mvcc_last_time(const struct mvcc *m)
{
	return atomic_load(&m->last_time_ns);
}

uint64_t mvcc_revision_by(struct mvcc *m, int64_t time_ns)
{
	mvcc_lock_shared(m);
	uint64_t revision = times_find(&m->times, time_ns);
	mvcc_unlock_shared(m);
	return revision;
}

void mvcc_hash_now(struct mvcc *m, struct mvcc_hash *out)
{
	mvcc_lock_shared(m);
	*out = (struct mvcc_hash){m->state.applied, m->state.revision, m->state.hash};
	mvcc_unlock_shared(m);
}

int mvcc_hash_at(struct mvcc *m, uint64_t index, uint64_t *out)
{
	mvcc_lock_shared(m);
	int error = hash_points_find(&m->hashes, index, out);
	mvcc_unlock_shared(m);
	return error;
}

void mvcc_commit_durations(struct mvcc *m, struct histogram_figures *out)
{
	histogram_read(&m->commit_durations, out);
}

void mvcc_stats(struct mvcc *m, struct mvcc_stats *out)
{
	mvcc_lock_shared(m);
	uint64_t keys = m->index.live > 0 ? m->index.live - 1 : 0;
	uint64_t live_bytes = m->index.live_bytes + keys * MVCC_KEY_COST;
	uint64_t db_bytes = backend_file_bytes(m->backend);
	mvcc_unlock_shared(m);
	*out = (struct mvcc_stats){
		.keys = keys,
		.db_bytes = db_bytes,
		.used_bytes = atomic_load(&m->used_bytes),
		.live_bytes = live_bytes,
		.commits = atomic_load(&m->commits),
		.compacted = atomic_load(&m->compacted),
		.error = atomic_load(&m->error),
	};
}
