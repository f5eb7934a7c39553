/* The thread that makes saves durable. Saves are encoded straight into the pending buffer; the thread swaps it for an empty one and writes
 * all of it as one frame, so the more saves wait for a sync, the fewer syncs they cost each. */
#include "base/clock.h"
#include "raft/wal_log.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BUFFER_KEEP_BYTES (4u << 20) /* a buffer that a burst has stretched further is given back */

struct fetch {
	uint64_t to;
	uint64_t lo;
	uint64_t hi;
	size_t bytes_max;
};

/* What waits for the thread. */
struct batch {
	struct writer records;
	uint64_t saves;
	uint64_t ticket; /* of the last of them */
	bool reset;      /* behind `reset_at` bytes of records the log begins anew */
	size_t reset_at;
	uint64_t reset_index;
	uint64_t reset_term;
};

struct wal_writer {
	struct wal *wal; /* the thread's own until it ends */
	struct wal_writer_events events;
	pthread_t thread;

	pthread_mutex_t lock; /* guards the four that follow */
	pthread_cond_t work;
	struct batch pending;
	struct fetch fetches[RAFT_MEMBERS_MAX];
	uint32_t fetches_count;
	uint64_t trim_below;
	bool stop;

	struct batch taken; /* the thread's own, like what follows */
	struct raft_entry *entries;
	uint32_t entries_count;
	struct writer entries_data;
	bool failed;

	_Atomic uint64_t bytes;
	_Atomic uint64_t saves;
	_Atomic uint64_t syncs;
	_Atomic uint64_t first;
	_Atomic uint64_t recent;
	struct histogram durations;
};

static void publish_figures(struct wal_writer *t)
{
	atomic_store_explicit(&t->bytes, wal_bytes(t->wal), memory_order_relaxed);
	atomic_store_explicit(&t->syncs, t->wal->syncs, memory_order_relaxed);
	atomic_store_explicit(&t->first, wal_first(t->wal), memory_order_relaxed);
	atomic_store_explicit(&t->recent, wal_within(t->wal, WAL_KEEP_BYTES), memory_order_relaxed);
}

static void fail_once(struct wal_writer *t, int error)
{
	if (t->failed)
		return;
	t->failed = true;
	t->events.failed(t->events.ctx, error);
}

static int append_batch(struct wal_writer *t, const struct batch *b)
{
	if (t->failed)
		return -EIO;
	if (!b->reset)
		return wal_append(t->wal, b->records.data, b->records.size);
	int rc = wal_append(t->wal, b->records.data, b->reset_at);
	if (rc == 0)
		rc = t->events.resetting(t->events.ctx, b->reset_index, b->reset_term);
	if (rc == 0)
		rc = wal_reset(t->wal, b->reset_index, b->reset_term);
	if (rc == 0)
		rc = wal_append(t->wal, b->records.data + b->reset_at, b->records.size - b->reset_at);
	return rc;
}

static void store_batch(struct wal_writer *t)
{
	struct batch *b = &t->taken;

	int64_t began_ns = clock_mono_ns();
	int rc = append_batch(t, b);
	if (rc == 0) {
		histogram_add(&t->durations, clock_mono_ns() - began_ns);
		atomic_fetch_add_explicit(&t->saves, b->saves, memory_order_relaxed);
		publish_figures(t);
		t->events.stored(t->events.ctx, b->ticket);
	} else {
		fail_once(t, rc);
	}
	b->saves = 0;
	b->reset = false;
	writer_clear(&b->records);
	if (b->records.capacity > BUFFER_KEEP_BYTES)
		writer_free(&b->records);
	/* Under steady load the thread is never idle: the next segment must get ready all the same. */
	if (wal_prepare_due(t->wal, false))
		wal_prepare(t->wal);
}

/* Its data is copied one after the other; the pointer is set once that memory has stopped moving. */
static int collect(void *ctx, const struct raft_entry *entry)
{
	struct wal_writer *t = ctx;

	t->entries[t->entries_count++] = *entry;
	writer_raw(&t->entries_data, entry->data, entry->size);
	return t->entries_count == RAFT_APPEND_ENTRIES_MAX;
}

static void answer_fetch(struct wal_writer *t, const struct fetch *f)
{
	size_t offset = 0;

	t->entries_count = 0;
	writer_clear(&t->entries_data);
	int rc = wal_read(t->wal, f->lo, f->hi, f->bytes_max, collect, t);
	if (rc < 0 && rc != -ERANGE)
		fail_once(t, rc);
	for (uint32_t i = 0; i < t->entries_count; i++) {
		t->entries[i].data = t->entries_data.data + offset;
		offset += t->entries[i].size;
	}
	t->events.fetched(t->events.ctx, f->to, t->entries, t->entries_count);
}

static void trim(struct wal_writer *t, uint64_t below)
{
	int rc = wal_trim(t->wal, below);
	if (rc != 0)
		fail_once(t, rc);
	publish_figures(t);
}

/* With the lock held: waits until there is work; false when there will be none any more. */
static bool wait_for_work(struct wal_writer *t)
{
	while (t->pending.saves == 0 && t->fetches_count == 0 && t->trim_below == 0) {
		if (t->stop)
			return false;
		if (wal_prepare_due(t->wal, true)) {
			pthread_mutex_unlock(&t->lock);
			wal_prepare(t->wal);
			publish_figures(t);
			pthread_mutex_lock(&t->lock);
			continue;
		}
		pthread_cond_wait(&t->work, &t->lock);
	}
	return true;
}

/* With the lock held, which is let go while the work is done: saves first, then one fetch or trim. */
static void work_once(struct wal_writer *t)
{
	if (t->pending.saves > 0) {
		struct batch empty = t->taken;
		t->taken = t->pending;
		t->pending = empty;
		pthread_mutex_unlock(&t->lock);
		store_batch(t);
	} else if (t->fetches_count > 0) {
		struct fetch f = t->fetches[0];
		t->fetches_count--;
		for (uint32_t i = 0; i < t->fetches_count; i++)
			t->fetches[i] = t->fetches[i + 1];
		pthread_mutex_unlock(&t->lock);
		answer_fetch(t, &f);
	} else {
		uint64_t below = t->trim_below;
		t->trim_below = 0;
		pthread_mutex_unlock(&t->lock);
		trim(t, below);
	}
	pthread_mutex_lock(&t->lock);
}

static void *writer_main(void *arg)
{
	struct wal_writer *t = arg;

	pthread_mutex_lock(&t->lock);
	while (wait_for_work(t))
		work_once(t);
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void writer_release(struct wal_writer *t)
{
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->work);
	writer_free(&t->pending.records);
	writer_free(&t->taken.records);
	writer_free(&t->entries_data);
	free(t->entries);
	free(t);
}

/* Signals are for the main thread. */
static int start_thread(struct wal_writer *t)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&t->thread, NULL, writer_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		pthread_setname_np(t->thread, "wal");
	return -rc;
}

int wal_writer_start(struct wal *w, const struct wal_writer_events *events, struct wal_writer **out)
{
	struct wal_writer *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	t->wal = w;
	t->events = *events;
	t->entries = calloc(RAFT_APPEND_ENTRIES_MAX, sizeof(*t->entries));
	if (!t->entries)
		abort();
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	publish_figures(t);
	int rc = start_thread(t);
	if (rc != 0) {
		writer_release(t);
		return rc;
	}
	*out = t;
	return 0;
}

void wal_writer_save(struct wal_writer *t, uint64_t ticket, const struct raft_hard_state *hard, const struct raft_entry *entries,
		     uint32_t count)
{
	pthread_mutex_lock(&t->lock);
	assert(!t->stop);
	wal_record_save(&t->pending.records, hard, entries, count);
	t->pending.ticket = ticket;
	t->pending.saves++;
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->lock);
}

void wal_writer_reset(struct wal_writer *t, uint64_t index, uint64_t term)
{
	pthread_mutex_lock(&t->lock);
	assert(!t->pending.reset);
	t->pending.reset = true;
	t->pending.reset_at = t->pending.records.size;
	t->pending.reset_index = index;
	t->pending.reset_term = term;
	pthread_mutex_unlock(&t->lock);
}

void wal_writer_fetch(struct wal_writer *t, uint64_t to, uint64_t lo, uint64_t hi, size_t bytes_max)
{
	uint32_t i = 0;

	pthread_mutex_lock(&t->lock);
	while (i < t->fetches_count && t->fetches[i].to != to)
		i++;
	if (i < RAFT_MEMBERS_MAX) {
		t->fetches[i] = (struct fetch){to, lo, hi, bytes_max};
		t->fetches_count += i == t->fetches_count;
		pthread_cond_signal(&t->work);
	}
	pthread_mutex_unlock(&t->lock);
}

void wal_writer_trim(struct wal_writer *t, uint64_t index)
{
	pthread_mutex_lock(&t->lock);
	if (index > t->trim_below)
		t->trim_below = index;
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->lock);
}

void wal_writer_stats(struct wal_writer *t, struct wal_writer_stats *out)
{
	out->bytes = atomic_load_explicit(&t->bytes, memory_order_relaxed);
	out->saves = atomic_load_explicit(&t->saves, memory_order_relaxed);
	out->syncs = atomic_load_explicit(&t->syncs, memory_order_relaxed);
	out->first = atomic_load_explicit(&t->first, memory_order_relaxed);
	out->recent = atomic_load_explicit(&t->recent, memory_order_relaxed);
	histogram_read(&t->durations, &out->durations);
}

void wal_writer_stop(struct wal_writer *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	writer_release(t);
}
