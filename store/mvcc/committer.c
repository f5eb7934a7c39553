/* The backend thread: takes the active generation of the buffer, commits it, drops it; and in between does a step of compaction, if there is
 * anything to compact, and then lets twice as much time pass as the step took, so that others have the disk too. Else it sleeps. */
#include "base/clock.h"
#include "store/mvcc/inside.h"

#include <errno.h>

#define COMMIT_LAZY_MS 1000
#define USED_PAUSES 20
/* A pass over a large store that has little to delete may wait until a share of what it goes over is worth it, or time has passed. */
#define PASS_SHARE 8u
#define STEP_PAUSES 2
#define PASS_PAUSES 20

static void timed_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ns)
{
	struct timespec ts = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
	pthread_cond_timedwait(cond, lock, &ts);
}

/* Is there something to do now? With the mutex. */
static bool due(struct mvcc *m, int urgency)
{
	struct committer *c = &m->committer;
	if (c->flush_wanted != c->flush_done)
		return true;
	if (urgency == COMMIT_IDLE || atomic_load(&m->error))
		return false;
	return urgency == COMMIT_NOW || clock_mono_ns() >= c->deadline_ns;
}

/* When compaction may go on; INT64_MAX: it has nothing to do. */
static int64_t compaction_ns(const struct mvcc *m)
{
	const struct committer *c = &m->committer;
	const struct compaction *work = &c->compaction;
	if (!compaction_pending(work) || atomic_load(&m->error))
		return INT64_MAX;
	if (!compaction_runs(work) && (work->committed - work->done) * PASS_SHARE >= work->visited_last)
		return 0;
	return c->compact_ns;
}

enum work { WORK_STOP, WORK_COMMIT, WORK_COMPACT };

/* Waits for work. */
static enum work await(struct mvcc *m, uint64_t *flush)
{
	struct committer *c = &m->committer;
	enum work work = WORK_STOP;
	pthread_mutex_lock(&c->lock);
	while (!c->stop && work == WORK_STOP) {
		int urgency = atomic_load(&c->urgency);
		int64_t compact_ns = compaction_ns(m);
		bool idle = urgency == COMMIT_IDLE || atomic_load(&m->error);
		if (c->paused)
			pthread_cond_wait(&c->wake, &c->lock);
		else if (due(m, urgency))
			work = WORK_COMMIT;
		else if (compact_ns <= clock_mono_ns())
			work = WORK_COMPACT;
		else if (idle && compact_ns == INT64_MAX)
			pthread_cond_wait(&c->wake, &c->lock);
		else
			timed_wait(&c->wake, &c->lock, idle || compact_ns < c->deadline_ns ? compact_ns : c->deadline_ns);
	}
	if (work == WORK_COMMIT)
		atomic_store(&c->urgency, COMMIT_IDLE);
	*flush = c->flush_wanted;
	c->busy = work != WORK_STOP;
	pthread_mutex_unlock(&c->lock);
	return work;
}

/* Makes the active generation the one to be committed. False: nothing is in it. */
static bool take(struct mvcc *m, struct state *state)
{
	pthread_rwlock_wrlock(&m->lock);
	bool some = m->active->commands > 0;
	if (some) {
		m->committing = m->active;
		m->active = m->active == &m->generations[0] ? &m->generations[1] : &m->generations[0];
		*state = m->state;
	}
	pthread_rwlock_unlock(&m->lock);
	return some;
}

static void drop(struct mvcc *m)
{
	pthread_rwlock_wrlock(&m->lock);
	struct buffer old = *m->committing;
	*m->committing = (struct buffer){0};
	m->committing = NULL;
	pthread_rwlock_unlock(&m->lock);
	buffer_free(&old);
}

/* LMDB runs without syncing its meta page, so a power cut may undo the last commit, but not the one before it. */
static int commit(struct mvcc *m)
{
	struct state state;
	if (!take(m, &state))
		return 0;
	int64_t began_ns = clock_mono_ns();
	int error = backend_commit(m->backend, m->committing, &state);
	if (error)
		return error;
	histogram_add(&m->commit_durations, clock_mono_ns() - began_ns);
	drop(m);
	atomic_store(&m->durable, m->committer.committed);
	m->committer.committed = state.applied;
	compaction_raise(&m->committer.compaction, state.compact_revision);
	atomic_fetch_add(&m->commits, 1);
	return 0;
}

/* What is in use is counted after a commit, but not so often that it takes more than a small share of the time: the list of what is free may be
 * long. */
static int count_used(struct mvcc *m)
{
	struct committer *c = &m->committer;
	uint64_t used = 0;
	int64_t now_ns = clock_mono_ns();
	if (now_ns < c->used_ns)
		return 0;
	int error = backend_used_bytes(m->backend, &used);
	if (!error)
		atomic_store(&m->used_bytes, used);
	int64_t after_ns = clock_mono_ns();
	c->used_ns = after_ns + USED_PAUSES * (after_ns - now_ns);
	return error;
}

static int sync_all(struct mvcc *m)
{
	int error = backend_sync(m->backend);
	if (!error)
		atomic_store(&m->durable, m->committer.committed);
	return error;
}

/* Once something failed, nothing is tried again: what LMDB then holds on disk is not known. */
static void cycle(struct mvcc *m, uint64_t flush)
{
	struct committer *c = &m->committer;
	int error = atomic_load(&m->error);
	if (!error)
		error = commit(m);
	if (!error && flush != c->flush_done)
		error = sync_all(m);
	if (!error)
		error = count_used(m);
	atomic_store(&m->error, error);
	pthread_mutex_lock(&c->lock);
	c->cycles++;
	c->flush_done = flush;
	pthread_cond_broadcast(&c->done);
	pthread_mutex_unlock(&c->lock);
}

static void compact(struct mvcc *m)
{
	struct committer *c = &m->committer;
	int64_t began_ns = clock_mono_ns();
	int error = compaction_step(m);
	int64_t now_ns = clock_mono_ns();
	c->compact_ns = now_ns + STEP_PAUSES * (now_ns - began_ns);
	c->compacted_ns += now_ns - began_ns;
	if (error) {
		atomic_store(&m->error, error);
	} else if (!compaction_runs(&c->compaction)) {
		c->compact_ns = now_ns + PASS_PAUSES * c->compacted_ns;
		c->compacted_ns = 0;
		c->used_ns = 0;
		count_used(m);
	}
}

static void rest(struct committer *c)
{
	pthread_mutex_lock(&c->lock);
	c->busy = false;
	pthread_cond_broadcast(&c->done);
	pthread_mutex_unlock(&c->lock);
}

static void *run(void *arg)
{
	struct mvcc *m = arg;
	uint64_t flush;
	for (enum work work; (work = await(m, &flush)) != WORK_STOP;) {
		if (work == WORK_COMMIT)
			cycle(m, flush);
		else
			compact(m);
		rest(&m->committer);
	}
	return NULL;
}

void committer_pause(struct mvcc *m)
{
	struct committer *c = &m->committer;
	pthread_mutex_lock(&c->lock);
	c->paused = true;
	while (c->busy)
		pthread_cond_wait(&c->done, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void committer_resume(struct mvcc *m)
{
	struct committer *c = &m->committer;
	pthread_mutex_lock(&c->lock);
	c->paused = false;
	c->committed = m->state.applied;
	c->compact_ns = c->used_ns = 0;
	atomic_store(&c->urgency, COMMIT_IDLE);
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

void committer_released(void *ctx)
{
	struct mvcc *m = ctx;
	atomic_store(&m->committer.compaction.released, true);
	pthread_mutex_lock(&m->committer.lock);
	pthread_cond_signal(&m->committer.wake);
	pthread_mutex_unlock(&m->committer.lock);
}

void committer_notice(struct mvcc *m, enum commit_urgency urgency)
{
	struct committer *c = &m->committer;
	if (atomic_load(&c->urgency) >= (int)urgency)
		return;
	int64_t deadline_ns = clock_mono_ns() + (urgency == COMMIT_LAZY ? COMMIT_LAZY_MS : MVCC_COMMIT_MS) * (int64_t)1000000;
	pthread_mutex_lock(&c->lock);
	if (atomic_load(&c->urgency) < (int)urgency) {
		if (atomic_load(&c->urgency) == COMMIT_IDLE || deadline_ns < c->deadline_ns)
			c->deadline_ns = deadline_ns;
		atomic_store(&c->urgency, urgency);
		pthread_cond_signal(&c->wake);
	}
	pthread_mutex_unlock(&c->lock);
}

void committer_wait_locked(struct mvcc *m)
{
	struct committer *c = &m->committer;
	pthread_mutex_lock(&c->lock);
	uint64_t cycles = c->cycles;
	pthread_rwlock_unlock(&m->lock);
	while (c->cycles == cycles)
		pthread_cond_wait(&c->done, &c->lock);
	pthread_mutex_unlock(&c->lock);
	pthread_rwlock_wrlock(&m->lock);
}

int mvcc_flush(struct mvcc *m)
{
	struct committer *c = &m->committer;
	pthread_mutex_lock(&c->lock);
	uint64_t wanted = ++c->flush_wanted;
	pthread_cond_signal(&c->wake);
	while (c->flush_done < wanted)
		pthread_cond_wait(&c->done, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return atomic_load(&m->error);
}

int committer_start(struct mvcc *m)
{
	struct committer *c = &m->committer;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_cond_init(&c->done, NULL);
	pthread_condattr_destroy(&monotonic);
	c->committed = m->state.applied;
	count_used(m);
	int rc = pthread_create(&c->thread, NULL, run, m);
	if (rc) {
		pthread_cond_destroy(&c->done);
		pthread_cond_destroy(&c->wake);
		pthread_mutex_destroy(&c->lock);
	}
	return -rc;
}

void committer_stop(struct mvcc *m)
{
	struct committer *c = &m->committer;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->done);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
}
