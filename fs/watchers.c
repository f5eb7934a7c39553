#include "fs/watchers.h"

#include <stdint.h>
#include <string.h>

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static uint64_t mix(uint64_t hash, char c)
{
	return (hash ^ (uint8_t)c) * FNV_PRIME;
}

/* `hash` is that of the key, by FNV-1a, so that a walk along a path has those of all directories on it. */
static struct watcher **bucket_of(struct watchers *t, uint64_t hash, bool below)
{
	hash ^= below;
	return &t->buckets[(hash ^ hash >> 32) % WATCHERS_BUCKETS];
}

void watchers_add(struct watchers *t, struct watcher *w)
{
	const char *key = w->key.data;
	uint64_t hash = FNV_BASIS;

	for (size_t i = 0; i < w->key.size; i++)
		hash = mix(hash, key[i]);
	struct watcher **bucket = bucket_of(t, hash, w->below);
	w->next = *bucket;
	w->at = bucket;
	if (w->next)
		w->next->at = &w->next;
	*bucket = w;
}

void watchers_remove(struct watcher *w)
{
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
}

/* One look for those who watch a key in one of the two ways. */
struct look {
	struct watchers *t;
	void (*fn)(void *ctx, struct watcher *w);
	void *ctx;
};

static void look_at(const struct look *l, const char *key, size_t size, uint64_t hash, bool below)
{
	for (struct watcher *w = *bucket_of(l->t, hash, below); w; w = w->next)
		if (w->below == below && w->key.size == size && (size == 0 || memcmp(w->key.data, key, size) == 0))
			l->fn(l->ctx, w);
}

void watchers_match(struct watchers *t, struct span changed, void (*fn)(void *ctx, struct watcher *w), void *ctx)
{
	const struct look l = {t, fn, ctx};
	const char *key = changed.data;
	uint64_t hash = FNV_BASIS;

	look_at(&l, key, 0, hash, true);
	for (size_t i = 0; i < changed.size; i++) {
		if (key[i] == '/')
			look_at(&l, key, i, hash, true);
		hash = mix(hash, key[i]);
	}
	look_at(&l, key, changed.size, hash, false);
}

void watchers_each(struct watchers *t, void (*fn)(void *ctx, struct watcher *w), void *ctx)
{
	for (size_t i = 0; i < WATCHERS_BUCKETS; i++)
		for (struct watcher *w = t->buckets[i]; w; w = w->next)
			fn(ctx, w);
}
