#include "base/clock.h"
#include "store/node.h"

#include <stdlib.h>
#include <string.h>

/* An item of the queue that is no entry: a pointer to the store that takes the place of the present one. */
#define REPLACE 0xff

/* Entries wait encoded in one buffer: struct raft_entry, then its data, padded to 8. The thread swaps the buffer out and works on it without
 * the mutex. */
struct applier {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t work;
	struct writer queue;
	size_t in_work; /* bytes swapped out and not applied yet */
	bool reads;
	bool stop;
	struct mvcc *mvcc;
	struct apply *apply;
	struct pending *pending;
	uint64_t self;
	uint64_t epoch;
	struct applier_events events;
	bool stopped; /* the disk failed */
};

static void apply_one(struct applier *a, const struct raft_entry *e)
{
	struct apply_outcome outcome = {0};
	int64_t began_ns = clock_mono_ns();
	struct span command = {e->data, e->type == RAFT_ENTRY_COMMAND ? e->size : 0};

	if (e->type == RAFT_ENTRY_CONFIG && apply_members(a->apply, e->index, e->term, (struct span){e->data, e->size}))
		return;
	apply_entry(a->apply, e->index, e->term, command, &outcome);
	histogram_add(a->events.durations, clock_mono_ns() - began_ns);
	if (outcome.stopped && !a->stopped) {
		a->stopped = true;
		a->events.stopped(a->events.ctx, outcome.result.error);
	}
	bool own = outcome.fresh && outcome.id.origin == a->self && outcome.id.epoch == a->epoch;
	struct store_op *op = own ? pending_take_write(a->pending, outcome.id.sequence) : NULL;
	if (!op) {
		writer_free(&outcome.result.reply);
		return;
	}
	op->result = outcome.result;
	pending_finish(op);
}

static bool was_applied(void *ctx, uint64_t sequence)
{
	struct applier *a = ctx;
	return apply_has_seen(a->apply, a->self, a->epoch, sequence);
}

/* What is pending here may have been applied in the entries that were skipped; the rest is sent again, as ever. */
static void replace(struct applier *a, struct mvcc *with)
{
	mvcc_replace(a->mvcc, with);
	int error = apply_reload(a->apply);
	if (error < 0 && !a->stopped) {
		a->stopped = true;
		a->events.stopped(a->events.ctx, error);
	}
	if (!a->stopped)
		pending_finish(pending_take_passed(a->pending, was_applied, a));
	a->events.replaced(a->events.ctx);
}

static void take_one(struct applier *a, const struct raft_entry *e)
{
	struct mvcc *with;
	if (e->type != REPLACE) {
		apply_one(a, e);
		return;
	}
	memcpy(&with, e->data, sizeof(with));
	replace(a, with);
}

static void apply_all(struct applier *a, const struct writer *batch)
{
	for (size_t at = 0; at < batch->size;) {
		struct raft_entry *e = (struct raft_entry *)(batch->data + at);
		e->data = batch->data + at + sizeof(*e);
		take_one(a, e);
		at += sizeof(*e) + (e->size + 7u) / 8 * 8;
	}
}

static void *applier_run(void *arg)
{
	struct applier *a = arg;
	struct writer batch = {0};

	pthread_mutex_lock(&a->mutex);
	for (;;) {
		while (a->queue.size == 0 && !a->reads && !a->stop)
			pthread_cond_wait(&a->work, &a->mutex);
		if (a->queue.size == 0 && !a->reads)
			break;
		struct writer full = a->queue;
		a->queue = batch;
		a->in_work = full.size;
		a->reads = false;
		pthread_mutex_unlock(&a->mutex);
		apply_all(a, &full);
		a->events.applied(a->events.ctx);
		pending_finish(pending_take_reads(a->pending, mvcc_applied(a->mvcc)));
		batch = full;
		writer_clear(&batch);
		if (batch.capacity > MVCC_COMMIT_BYTES)
			writer_free(&batch);
		pthread_mutex_lock(&a->mutex);
		a->in_work = 0;
	}
	pthread_mutex_unlock(&a->mutex);
	writer_free(&batch);
	return NULL;
}

struct applier *applier_start(struct mvcc *m, struct apply *apply, struct pending *p, uint64_t self, uint64_t epoch,
			      const struct applier_events *events)
{
	struct applier *a = calloc(1, sizeof(*a));
	if (!a)
		abort();
	a->mvcc = m;
	a->apply = apply;
	a->pending = p;
	a->self = self;
	a->epoch = epoch;
	a->events = *events;
	pthread_mutex_init(&a->mutex, NULL);
	pthread_cond_init(&a->work, NULL);
	if (pthread_create(&a->thread, NULL, applier_run, a) != 0)
		abort();
	pthread_setname_np(a->thread, "apply");
	return a;
}

void applier_add(struct applier *a, const struct raft_entry *entries, uint32_t count)
{
	static const uint8_t padding[8];
	pthread_mutex_lock(&a->mutex);
	for (uint32_t i = 0; i < count; i++) {
		writer_raw(&a->queue, &entries[i], sizeof(entries[i]));
		writer_raw(&a->queue, entries[i].data, entries[i].size);
		writer_raw(&a->queue, padding, (8 - entries[i].size % 8) % 8);
	}
	pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->mutex);
}

void applier_replace(struct applier *a, struct mvcc *with)
{
	applier_add(a, &(struct raft_entry){.type = REPLACE, .size = sizeof(with), .data = &with}, 1);
}

void applier_wake(struct applier *a)
{
	pthread_mutex_lock(&a->mutex);
	a->reads = true;
	pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->mutex);
}

bool applier_is_full(struct applier *a)
{
	pthread_mutex_lock(&a->mutex);
	bool full = a->queue.size + a->in_work > APPLIER_BYTES_MAX;
	pthread_mutex_unlock(&a->mutex);
	return full;
}

void applier_stop(struct applier *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->mutex);
	a->stop = true;
	pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->mutex);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->work);
	pthread_mutex_destroy(&a->mutex);
	writer_free(&a->queue);
	free(a);
}
