#include "fs/follow.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of events that are copied at a time. */
#define BATCH_BYTES 65536u

struct follow {
	struct watch_listener listener;
	struct watch_hub *hub;
	struct watch watch;
	struct watch_batch batch;
	struct follow_events events;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool woken; /* with the lock */
	atomic_bool stop;
};

static void wake(struct follow *f)
{
	pthread_mutex_lock(&f->lock);
	f->woken = true;
	pthread_cond_signal(&f->moved);
	pthread_mutex_unlock(&f->lock);
}

static void on_moved(struct watch_listener *l)
{
	wake((struct follow *)((char *)l - offsetof(struct follow, listener)));
}

/* The hub's events are lent while it is locked: a copy goes into the batch, the struct first and then its keys. */
static void copy(struct writer *out, const struct mvcc_event *e)
{
	writer_raw(out, e, sizeof(*e));
	writer_raw(out, e->key.data, e->key.size);
	if (e->to.size > 0)
		writer_raw(out, e->to.data, e->to.size);
}

static struct mvcc_event take(struct reader *in)
{
	struct mvcc_event e;
	struct span bytes = reader_raw(in, sizeof(e));

	assert(bytes.size == sizeof(e));
	memcpy(&e, bytes.data, sizeof(e));
	e.key = reader_raw(in, e.key.size);
	e.to = reader_raw(in, e.to.size);
	return e;
}

/* Until listeners were told of this revision; false if it is to end. */
static bool wait_told(struct follow *f, uint64_t revision)
{
	pthread_mutex_lock(&f->lock);
	while (!f->stop && watch_told(f->hub) < revision) {
		if (!f->woken)
			pthread_cond_wait(&f->moved, &f->lock);
		f->woken = false;
	}
	pthread_mutex_unlock(&f->lock);
	return !f->stop;
}

static void hand_over(struct follow *f)
{
	struct reader in = reader_over(f->batch.out.data, f->batch.out.size);

	while (reader_left(&in) > 0) {
		struct mvcc_event e = take(&in);
		if (!wait_told(f, e.rev.main))
			return;
		f->events.event(f->events.ctx, &e);
	}
}

/* Compaction has removed what comes next. */
static void go_on_from_now(struct follow *f)
{
	uint64_t revision = watch_told(f->hub);

	f->watch.next = (struct rev){revision + 1, 0};
	f->events.lost(f->events.ctx, revision);
}

static void step(struct follow *f)
{
	writer_clear(&f->batch.out);
	f->batch.events = 0;
	int error = watch_read(f->hub, &f->watch, &f->batch);
	hand_over(f);
	if (error)
		go_on_from_now(f);
}

/* For up to so many milliseconds; -1: for ever. */
static void wait_moved(struct follow *f, int wait_ms)
{
	int64_t until_ns = clock_mono_ns() + wait_ms * 1000000ll;
	const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
	int error = 0;

	pthread_mutex_lock(&f->lock);
	while (!f->stop && !f->woken && error != ETIMEDOUT)
		error = wait_ms < 0 ? pthread_cond_wait(&f->moved, &f->lock) : pthread_cond_timedwait(&f->moved, &f->lock, &until);
	f->woken = false;
	pthread_mutex_unlock(&f->lock);
}

static void *run(void *arg)
{
	struct follow *f = arg;

	if (f->events.begun)
		f->events.begun(f->events.ctx);
	while (!f->stop) {
		while (!f->stop && watch_ready(f->hub, &f->watch))
			step(f);
		int wait_ms = !f->stop && f->events.idle ? f->events.idle(f->events.ctx) : -1;
		wait_moved(f, wait_ms);
	}
	return NULL;
}

static void dispose(struct follow *f)
{
	watch_unlisten(f->hub, &f->listener);
	watch_end(&f->watch);
	writer_free(&f->batch.out);
	pthread_cond_destroy(&f->moved);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

int follow_start(struct watch_hub *hub, const char *name, const struct follow_events *events, struct follow **out)
{
	struct follow *f = calloc(1, sizeof(*f));
	pthread_condattr_t monotonic;
	sigset_t all, before;

	if (!f)
		abort();
	f->hub = hub;
	f->events = *events;
	f->listener.wake = on_moved;
	f->batch = (struct watch_batch){.format = copy, .bytes_soft = BATCH_BYTES, .bytes_hard = 16 * BATCH_BYTES};
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&f->moved, &monotonic);
	pthread_condattr_destroy(&monotonic);
	watch_begin(hub, &f->watch, (struct span){"", 0}, true, 0);
	watch_listen(hub, &f->listener);
	*out = f;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&f->thread, NULL, run, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		*out = NULL;
		dispose(f);
		return -error;
	}
	pthread_setname_np(f->thread, name);
	return 0;
}

void follow_stir(struct follow *f)
{
	if (f)
		wake(f);
}

void follow_stop(struct follow *f)
{
	if (!f)
		return;
	f->stop = true;
	wake(f);
}

bool follow_stopping(const struct follow *f)
{
	return f->stop;
}

void follow_end(struct follow *f)
{
	if (!f)
		return;
	follow_stop(f);
	pthread_join(f->thread, NULL);
	dispose(f);
}
