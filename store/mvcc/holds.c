#include "store/mvcc/holds.h"

#include <assert.h>
#include <stdlib.h>

struct hold {
	struct hold *next;
	struct holds *table;
	uint64_t ino;
	uint64_t main;
	uint32_t count;
	bool awaited;
	atomic_bool gone;
};

void holds_init(struct holds *t, void (*released)(void *ctx), void *ctx)
{
	*t = (struct holds){.released = released, .ctx = ctx};
	pthread_mutex_init(&t->lock, NULL);
}

void holds_done(struct holds *t)
{
	pthread_mutex_destroy(&t->lock);
}

static struct hold **bucket_of(struct holds *t, uint64_t ino)
{
	return &t->buckets[(ino * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

_Static_assert(HOLDS_BUCKETS == 1u << (64 - 54), "a bucket is ten bits of the hash");

struct hold *holds_take(struct holds *t, uint64_t ino, uint64_t main)
{
	pthread_mutex_lock(&t->lock);
	struct hold **bucket = bucket_of(t, ino);
	struct hold *h = *bucket;
	while (h && (h->ino != ino || h->main != main))
		h = h->next;
	if (!h) {
		h = malloc(sizeof *h);
		if (!h)
			abort();
		*h = (struct hold){.next = *bucket, .table = t, .ino = ino, .main = main};
		*bucket = h;
	}
	h->count++;
	pthread_mutex_unlock(&t->lock);
	return h;
}

void holds_judge(struct holds *t, bool (*gone)(void *ctx, uint64_t ino, uint64_t main), void *ctx)
{
	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < HOLDS_BUCKETS; i++)
		for (struct hold *h = t->buckets[i]; h; h = h->next)
			if (gone(ctx, h->ino, h->main))
				atomic_store(&h->gone, true);
	pthread_mutex_unlock(&t->lock);
}

bool hold_is_gone(const struct hold *h)
{
	return atomic_load(&h->gone);
}

void hold_release(struct hold *h)
{
	struct holds *t = h->table;
	bool awaited = false;
	pthread_mutex_lock(&t->lock);
	assert(h->count > 0);
	if (--h->count == 0) {
		struct hold **at = bucket_of(t, h->ino);
		while (*at != h)
			at = &(*at)->next;
		*at = h->next;
		awaited = h->awaited;
		free(h);
	}
	pthread_mutex_unlock(&t->lock);
	if (awaited)
		t->released(t->ctx);
}

bool holds_between(struct holds *t, uint64_t ino, uint64_t from, uint64_t end)
{
	bool held = false;
	pthread_mutex_lock(&t->lock);
	for (const struct hold *h = *bucket_of(t, ino); h && !held; h = h->next)
		held = h->ino == ino && h->main >= from && h->main < end;
	pthread_mutex_unlock(&t->lock);
	return held;
}

bool holds_await(struct holds *t, uint64_t ino)
{
	bool some = false;
	pthread_mutex_lock(&t->lock);
	for (struct hold *h = *bucket_of(t, ino); h; h = h->next) {
		if (h->ino == ino)
			some = h->awaited = true;
	}
	pthread_mutex_unlock(&t->lock);
	return some;
}
