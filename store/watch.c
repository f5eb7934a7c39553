#include "store/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_RECORDS 1024u
/* The ring follows the store when somebody reads. If nobody did for longer than this, it starts anew. */
#define FOLLOW_REVISIONS_MAX 65536u

struct kept {
	struct mvcc_event event; /* its spans in `bytes` */
	char *bytes;
};

struct watch_hub {
	struct mvcc *m;
	_Atomic uint64_t told; /* the revision that listeners know of */
	_Atomic uint64_t watches;
	pthread_mutex_t listeners_lock;
	struct watch_listener *listeners;
	pthread_rwlock_t lock; /* guards the ring */
	struct rev first;      /* the ring has all events from here... */
	struct rev next;       /* ... up to here */
	struct kept ring[WATCH_RING_EVENTS];
	size_t head; /* of the oldest */
	size_t count;
	size_t bytes;
};

static bool rev_less(struct rev a, struct rev b)
{
	return a.main < b.main || (a.main == b.main && a.sub < b.sub);
}

/* A rename takes two records. */
static struct rev after(struct rev rev, uint8_t type)
{
	return (struct rev){rev.main, rev.sub + (type == MVCC_EVENT_RENAME ? 2u : 1u)};
}

struct watch_hub *watch_hub_new(struct mvcc *m)
{
	struct watch_hub *h = calloc(1, sizeof(*h));
	if (!h)
		abort();
	h->m = m;
	h->told = mvcc_revision(m);
	h->first = h->next = (struct rev){mvcc_revision(m) + 1, 0};
	pthread_mutex_init(&h->listeners_lock, NULL);
	pthread_rwlock_init(&h->lock, NULL);
	return h;
}

static struct kept *ring_at(struct watch_hub *h, size_t i)
{
	return &h->ring[(h->head + i) % WATCH_RING_EVENTS];
}

static void ring_drop(struct watch_hub *h)
{
	struct kept *oldest = ring_at(h, 0);
	h->first = after(oldest->event.rev, oldest->event.type);
	h->bytes -= oldest->event.key.size + oldest->event.to.size;
	free(oldest->bytes);
	h->head = (h->head + 1) % WATCH_RING_EVENTS;
	h->count--;
}

static void ring_add(void *ctx, const struct mvcc_event *e)
{
	struct watch_hub *h = ctx;
	while (h->count == WATCH_RING_EVENTS || (h->count > 0 && h->bytes > WATCH_RING_BYTES))
		ring_drop(h);
	struct kept *k = ring_at(h, h->count++);
	k->bytes = malloc(e->key.size + e->to.size + 1);
	if (!k->bytes)
		abort();
	memcpy(k->bytes, e->key.data, e->key.size);
	if (e->to.size > 0)
		memcpy(k->bytes + e->key.size, e->to.data, e->to.size);
	k->event = *e;
	k->event.key.data = k->bytes;
	k->event.to.data = k->bytes + e->key.size;
	h->bytes += e->key.size + e->to.size;
}

static void ring_restart(struct watch_hub *h)
{
	while (h->count > 0)
		ring_drop(h);
	h->first = h->next = (struct rev){mvcc_revision(h->m) + 1, 0};
}

void watch_hub_free(struct watch_hub *h)
{
	if (!h)
		return;
	ring_restart(h);
	pthread_mutex_destroy(&h->listeners_lock);
	pthread_rwlock_destroy(&h->lock);
	free(h);
}

void watch_hub_applied(struct watch_hub *h)
{
	uint64_t revision = mvcc_revision(h->m);
	if (atomic_exchange(&h->told, revision) != revision)
		watch_hub_stir(h);
}

void watch_hub_stir(struct watch_hub *h)
{
	pthread_mutex_lock(&h->listeners_lock);
	for (struct watch_listener *l = h->listeners; l; l = l->next)
		l->wake(l);
	pthread_mutex_unlock(&h->listeners_lock);
}

void watch_listen(struct watch_hub *h, struct watch_listener *l)
{
	pthread_mutex_lock(&h->listeners_lock);
	l->next = h->listeners;
	h->listeners = l;
	pthread_mutex_unlock(&h->listeners_lock);
}

void watch_unlisten(struct watch_hub *h, struct watch_listener *l)
{
	pthread_mutex_lock(&h->listeners_lock);
	for (struct watch_listener **at = &h->listeners; *at; at = &(*at)->next) {
		if (*at != l)
			continue;
		*at = l->next;
		break;
	}
	pthread_mutex_unlock(&h->listeners_lock);
}

void watch_begin(struct watch_hub *h, struct watch *w, struct span key, bool prefix, uint64_t rev)
{
	/* Revision 1 is the empty store: no change was made by it, so none of it was ever compacted. */
	uint64_t from = rev == 0 ? mvcc_revision(h->m) + 1 : rev == 1 ? 2 : rev;
	*w = (struct watch){.next = {from, 0}, .prefix = prefix, .key_size = key.size, .hub = h};
	atomic_fetch_add(&h->watches, 1);
	w->key = malloc(key.size + 1);
	if (!w->key)
		abort();
	if (key.size > 0)
		memcpy(w->key, key.data, key.size);
	w->key[key.size] = '\0';
}

void watch_end(struct watch *w)
{
	if (w->hub)
		atomic_fetch_sub(&w->hub->watches, 1);
	free(w->key);
	*w = (struct watch){0};
}

uint64_t watch_count(const struct watch_hub *h)
{
	return atomic_load(&h->watches);
}

bool watch_ready(const struct watch_hub *h, const struct watch *w)
{
	return w->next.main <= mvcc_revision(h->m);
}

uint64_t watch_told(const struct watch_hub *h)
{
	return atomic_load(&h->told);
}

uint64_t watch_oldest(const struct watch_hub *h)
{
	return mvcc_compact_revision(h->m) + 1;
}

static bool key_matches(const struct watch *w, struct span key)
{
	if (key.size < w->key_size || (!w->prefix && key.size > w->key_size))
		return false;
	return w->key_size == 0 || memcmp(key.data, w->key, w->key_size) == 0;
}

/* One watch_read on its way. */
struct reading {
	const struct watch *w;
	struct watch_batch *b;
	uint64_t main; /* the revision that is being added... */
	size_t bytes;  /* ... and what stood before it */
	uint32_t events;
	bool full;
	struct rev resume; /* once it is full */
};

static void take(void *ctx, const struct mvcc_event *e)
{
	struct reading *r = ctx;
	struct watch_batch *b = r->b;
	if (r->full)
		return;
	if (e->rev.main != r->main) {
		r->main = e->rev.main;
		r->bytes = b->out.size;
		r->events = b->events;
	}
	if (!key_matches(r->w, e->key) && !(e->type == MVCC_EVENT_RENAME && key_matches(r->w, e->to)))
		return;
	b->format(&b->out, e);
	b->events++;
	if (b->out.size > b->bytes_soft && r->events > 0) {
		b->out.size = r->bytes;
		b->events = r->events;
		r->full = true;
		r->resume = (struct rev){e->rev.main, 0};
	} else if (b->out.size >= b->bytes_hard) {
		r->full = true;
		r->resume = after(e->rev, e->type);
	}
}

/* Brings the ring up to date, by a bounded step. With the lock held exclusively. */
static void follow(struct watch_hub *h)
{
	uint64_t revision = mvcc_revision(h->m);
	if (h->next.main > revision)
		return;
	if (revision - h->next.main > FOLLOW_REVISIONS_MAX || mvcc_events(h->m, &h->next, BATCH_RECORDS, ring_add, h) < 0)
		ring_restart(h);
}

static size_t ring_find(struct watch_hub *h, struct rev from)
{
	size_t low = 0;
	size_t high = h->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (rev_less(ring_at(h, middle)->event.rev, from))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* With the lock held shared; the watcher's position is in the ring. */
static void read_ring(struct watch_hub *h, struct watch *w, struct reading *r)
{
	for (size_t i = ring_find(h, w->next); i < h->count && !r->full; i++)
		take(r, &ring_at(h, i)->event);
	w->next = r->full ? r->resume : h->next;
}

static bool ring_has(struct watch_hub *h, struct rev from)
{
	return !rev_less(from, h->first) && rev_less(from, h->next);
}

int watch_read(struct watch_hub *h, struct watch *w, struct watch_batch *b)
{
	struct reading r = {.w = w, .b = b, .bytes = b->out.size, .events = b->events};
	if (!watch_ready(h, w))
		return 0;
	pthread_rwlock_rdlock(&h->lock);
	bool here = ring_has(h, w->next);
	bool behind = h->next.main <= mvcc_revision(h->m);
	if (!here && behind) {
		pthread_rwlock_unlock(&h->lock);
		pthread_rwlock_wrlock(&h->lock);
		follow(h);
		pthread_rwlock_unlock(&h->lock);
		pthread_rwlock_rdlock(&h->lock);
		here = ring_has(h, w->next);
	}
	/* In the ring even if compaction has removed it from the store: who sees it sees it whole. */
	if (here)
		read_ring(h, w, &r);
	bool to_come = !here && !rev_less(w->next, h->next);
	pthread_rwlock_unlock(&h->lock);
	if (here || to_come)
		return 0;
	struct rev next = w->next;
	int err = mvcc_events(h->m, &next, BATCH_RECORDS, take, &r);
	if (err == 0)
		w->next = r.full ? r.resume : next;
	return err;
}
