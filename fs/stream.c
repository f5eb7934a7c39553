#include "fs/stream.h"

#include "fs/follow.h"
#include "fs/interrupt.h"
#include "fs/watchers.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Batches that one look may take, so that a long search through the past holds nobody up: then the thread goes on with it, in turn. */
#define LOOKS_MAX 16
/* Events after which the thread answers whom it has found, though more are there. */
#define ANSWER_EVENTS 256u
/* A buffer that grew larger than this is not kept when it is empty. */
#define KEEP_BYTES 4096u

/* A read that waits. */
struct waiter {
	struct request *rq;
	struct stream *stream;
	size_t size;
	atomic_bool interrupted;
	struct waiter *next;
};

struct stream {
	struct watcher watcher; /* its key is that of `watch` */
	struct streams *streams;
	atomic_uint refs;

	/* under the lock of the streams */
	struct stream *next_queued;
	bool queued;
	bool found; /* something for it is there, not before `from` */
	struct rev from;

	pthread_mutex_t lock; /* over what follows */
	struct watch watch;
	bool behind; /* there may be something at its position; else the thread looks out for it */
	int error;   /* once and for all */
	struct watch_batch lines;
	size_t taken; /* of them */
	struct waiter *waiting;
	struct fuse_pollhandle *poll;
};

struct streams {
	struct store *store;
	struct watch_hub *hub;
	pthread_mutex_t lock; /* over what follows */
	struct watchers watchers;
	struct follow *follow; /* from the first stream on */
	struct stream *queue;  /* to be looked after by the thread; holds them */
	struct rev seen;       /* the thread has found all before this */
	uint32_t count;
	int over; /* the error for all, once there is one */
	uint32_t events;
};

static bool rev_less(struct rev a, struct rev b)
{
	return a.main < b.main || (a.main == b.main && a.sub < b.sub);
}

size_t stream_cut(const char *lines, size_t left, size_t size)
{
	/* The kernel splits a large read, and goes on waiting after a part that came back full. */
	if (size >= 4096)
		size--;
	if (left <= size)
		return left;
	const char *end = memrchr(lines, '\n', size);
	return end ? (size_t)(end - lines) + 1 : size;
}

static void put(struct stream *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	assert(!s->waiting);
	if (s->poll)
		fuse_pollhandle_destroy(s->poll);
	watch_end(&s->watch);
	writer_free(&s->lines.out);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* t->lock is held. */
static void enqueue(struct stream *s)
{
	struct streams *t = s->streams;

	if (s->queued)
		return;
	s->queued = true;
	atomic_fetch_add(&s->refs, 1);
	s->next_queued = t->queue;
	t->queue = s;
}

/* The thread is to look after it soon. */
static void hand_over(struct stream *s)
{
	struct streams *t = s->streams;

	pthread_mutex_lock(&t->lock);
	enqueue(s);
	follow_stir(t->follow);
	pthread_mutex_unlock(&t->lock);
}

/* --- with the stream's lock --- */

static bool has_lines(const struct stream *s)
{
	return s->taken < s->lines.out.size;
}

static void empty(struct stream *s)
{
	s->taken = 0;
	s->lines.events = 0;
	writer_clear(&s->lines.out);
}

/* Where it goes on: where it was, unless the thread knows that nothing is there up to what it found, or has seen. */
static void catch_up(struct stream *s)
{
	struct streams *t = s->streams;

	pthread_mutex_lock(&t->lock);
	struct rev next = s->found ? s->from : t->seen;
	if (!s->behind && rev_less(s->watch.next, next))
		s->watch.next = next;
	s->behind = true;
	s->found = false;
	int over = t->over;
	pthread_mutex_unlock(&t->lock);
	if (!over)
		over = store_readable(t->store);
	if (over && !s->error) {
		empty(s);
		s->error = over;
	}
}

/* Has it lines, or an error? Bounded work: s->behind may be left. */
static bool look(struct stream *s)
{
	struct watch_hub *hub = s->streams->hub;

	catch_up(s);
	for (int i = 0; i < LOOKS_MAX && s->behind && !s->error && !has_lines(s); i++) {
		s->behind = watch_ready(hub, &s->watch);
		empty(s);
		if (s->behind)
			s->error = watch_read(hub, &s->watch, &s->lines);
	}
	return has_lines(s) || s->error;
}

static void give(struct stream *s, struct request *rq, size_t size)
{
	const char *lines = (const char *)s->lines.out.data + s->taken;
	size_t count = stream_cut(lines, s->lines.out.size - s->taken, size);

	request_data(rq, lines, count);
	s->taken += count;
	if (has_lines(s))
		return;
	if (s->taken > KEEP_BYTES)
		writer_free(&s->lines.out);
	empty(s);
}

static void answer(struct stream *s, struct waiter *w, int error)
{
	/* From here on `interrupted` is not called any more. */
	fuse_req_interrupt_func(w->rq->req, NULL, NULL);
	if (error)
		request_error(w->rq, error);
	else
		give(s, w->rq, w->size);
	free(w);
}

/* Those who can be answered are; what is taken may make room for more. */
static void answer_waiting(struct stream *s)
{
	struct waiter **at = &s->waiting;

	while (*at) {
		struct waiter *w = *at;
		bool ready = look(s);
		if (!ready && !w->interrupted) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		answer(s, w, has_lines(s) ? 0 : s->error ? s->error : -EINTR);
	}
}

/* Somebody waits for what has not been found yet, though there is more to be looked through. */
static bool unfinished(const struct stream *s)
{
	return s->behind && !s->error && !has_lines(s) && (s->waiting || s->poll);
}

/* --- the thread --- */

static void look_after(struct stream *s)
{
	struct fuse_pollhandle *due = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->waiting)
		answer_waiting(s);
	if (s->poll && look(s)) {
		due = s->poll;
		s->poll = NULL;
	}
	bool again = unfinished(s);
	pthread_mutex_unlock(&s->lock);
	if (due) {
		fuse_lowlevel_notify_poll(due);
		fuse_pollhandle_destroy(due);
	}
	if (again)
		hand_over(s);
}

static void look_after_queue(struct streams *t)
{
	pthread_mutex_lock(&t->lock);
	struct stream *s = t->queue;
	t->queue = NULL;
	t->events = 0;
	while (s) {
		struct stream *next = s->next_queued;
		s->queued = false;
		pthread_mutex_unlock(&t->lock);
		look_after(s);
		put(s);
		pthread_mutex_lock(&t->lock);
		s = next;
	}
	pthread_mutex_unlock(&t->lock);
}

static void found(void *ctx, struct watcher *w)
{
	struct stream *s = (struct stream *)((char *)w - offsetof(struct stream, watcher));
	const struct rev *from = ctx;

	if (!s->found)
		s->from = *from;
	s->found = true;
	enqueue(s);
}

static void on_event(void *ctx, const struct mvcc_event *e)
{
	struct streams *t = ctx;
	struct rev rev = e->rev;
	bool rename = e->type == MVCC_EVENT_RENAME;

	pthread_mutex_lock(&t->lock);
	watchers_match(&t->watchers, e->key, found, &rev);
	if (rename)
		watchers_match(&t->watchers, e->to, found, &rev);
	/* A rename takes two records. */
	t->seen = (struct rev){rev.main, rev.sub + (rename ? 2u : 1u)};
	bool enough = ++t->events >= ANSWER_EVENTS;
	pthread_mutex_unlock(&t->lock);
	if (enough)
		look_after_queue(t);
}

static void on_lost(void *ctx, uint64_t revision)
{
	struct streams *t = ctx;

	pthread_mutex_lock(&t->lock);
	struct rev from = t->seen;
	watchers_each(&t->watchers, found, &from);
	t->seen = (struct rev){revision + 1, 0};
	pthread_mutex_unlock(&t->lock);
}

static int on_idle(void *ctx)
{
	struct streams *t = ctx;

	pthread_mutex_lock(&t->lock);
	if (!t->over && store_readable(t->store)) {
		struct rev from = t->seen;
		t->over = store_readable(t->store);
		watchers_each(&t->watchers, found, &from);
	}
	pthread_mutex_unlock(&t->lock);
	look_after_queue(t);
	return -1;
}

/* --- */

struct streams *streams_new(struct store *store)
{
	struct streams *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->store = store;
	t->hub = store_watch(store);
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void streams_end(struct streams *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	struct follow *follow = t->follow;
	t->follow = NULL;
	t->over = -ESHUTDOWN;
	pthread_mutex_unlock(&t->lock);
	/* It looks at no event any more: the rest is done here. */
	follow_end(follow);
	pthread_mutex_lock(&t->lock);
	struct rev from = t->seen;
	watchers_each(&t->watchers, found, &from);
	pthread_mutex_unlock(&t->lock);
	look_after_queue(t);
}

void streams_free(struct streams *t)
{
	if (!t)
		return;
	assert(t->count == 0 && !t->queue);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* t->lock is held. */
static int admit(struct streams *t)
{
	const struct follow_events events = {.ctx = t, .event = on_event, .idle = on_idle, .lost = on_lost};

	if (t->over)
		return t->over;
	if (t->count == STREAMS_MAX)
		return -ENFILE;
	return t->follow ? 0 : follow_start(t->hub, "tally-watch", &events, &t->follow);
}

/* From here on the thread finds what is for it; what was there before is found by its position. */
static int list(struct streams *t, struct stream *s)
{
	pthread_mutex_lock(&t->lock);
	int error = admit(t);
	if (!error) {
		t->count++;
		watchers_add(&t->watchers, &s->watcher);
	}
	pthread_mutex_unlock(&t->lock);
	return error;
}

int stream_open(struct streams *t, struct span key, bool below, uint64_t rev, struct stream **out)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct writer prefix = {0};

	if (!s)
		abort();
	writer_raw(&prefix, key.data, key.size);
	if (below && key.size)
		writer_u8(&prefix, '/');
	s->streams = t;
	s->refs = 1;
	pthread_mutex_init(&s->lock, NULL);
	s->behind = true;
	s->lines = (struct watch_batch){.format = watch_format_line, .bytes_soft = STREAM_BYTES, .bytes_hard = STREAM_BYTES_HARD};
	watch_begin(t->hub, &s->watch, (struct span){prefix.data, prefix.size}, below, rev);
	writer_free(&prefix);
	s->watcher.key = (struct span){s->watch.key, key.size};
	s->watcher.below = below;
	int error = list(t, s);
	if (error) {
		put(s);
		return error;
	}
	/* If nothing is there for it, it has no position that could be passed. */
	pthread_mutex_lock(&s->lock);
	look(s);
	pthread_mutex_unlock(&s->lock);
	*out = s;
	return 0;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->streams->lock);
	watchers_remove(&s->watcher);
	s->streams->count--;
	pthread_mutex_unlock(&s->streams->lock);
	put(s);
}

/* libfuse calls it with a lock of `req` held, so the answer is the thread's to give. */
static void interrupted(fuse_req_t req, void *data)
{
	struct waiter *w = data;

	if (interrupt_of(fuse_req_ctx(req)->pid) == INTERRUPT_IGNORED)
		return;
	w->interrupted = true;
	hand_over(w->stream);
}

static void park(struct stream *s, struct waiter *w)
{
	struct waiter **at = &s->waiting;

	/* How long it waits tells nothing about how fast this is. */
	request_answers(w->rq, 0);
	while (*at)
		at = &(*at)->next;
	*at = w;
	fuse_req_interrupt_func(w->rq->req, interrupted, w);
}

void stream_read(struct stream *s, struct request *rq, size_t size, bool wait)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	*w = (struct waiter){.rq = rq, .stream = s, .size = size};
	/* Whoever is answered may close it before this is over. */
	atomic_fetch_add(&s->refs, 1);
	pthread_mutex_lock(&s->lock);
	if (look(s))
		answer(s, w, has_lines(s) ? 0 : s->error);
	else if (wait)
		park(s, w);
	else
		answer(s, w, -EAGAIN);
	bool again = unfinished(s);
	pthread_mutex_unlock(&s->lock);
	if (again)
		hand_over(s);
	put(s);
}

unsigned stream_poll(struct stream *s, struct fuse_pollhandle *handle)
{
	unsigned events = 0;

	pthread_mutex_lock(&s->lock);
	if (handle) {
		if (s->poll)
			fuse_pollhandle_destroy(s->poll);
		s->poll = handle;
	}
	if (look(s))
		events = POLLIN | POLLRDNORM | (has_lines(s) ? 0 : POLLERR);
	bool again = unfinished(s);
	pthread_mutex_unlock(&s->lock);
	if (again)
		hand_over(s);
	return events;
}
