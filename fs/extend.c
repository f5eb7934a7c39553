#include "fs/extend.h"

#include "fs/cache.h"
#include "fs/mapped.h"
#include "fs/view.h"

#include <stdlib.h>

/* Of a node that many have open, the first. */
#define READERS_MAX 16

static void lock(struct fs *fs)
{
	pthread_mutex_lock(&fs->nodes.lock);
}

static void unlock(struct fs *fs)
{
	pthread_mutex_unlock(&fs->nodes.lock);
}

/* h->lock is held. What is written to a handle is laid over one revision. */
static bool may_move(const struct handle *h)
{
	return h->pin && !h->publishing && dirty_empty(&h->dirty) && dirty_empty(&h->frozen);
}

bool extend_wanted(struct handle *h, off_t offset)
{
	if (h->cached || h->node->kind != NODE_LIVE || !h->node->ino || h->node->cancelled)
		return false;
	pthread_mutex_lock(&h->lock);
	bool wanted = h->ended && may_move(h) && (uint64_t)offset >= h->base_size;
	pthread_mutex_unlock(&h->lock);
	return wanted;
}

void extend_handle(struct handle *h, struct record *newest)
{
	pthread_mutex_lock(&h->lock);
	struct pin *from = may_move(h) ? pin_hold(h->pin) : NULL;
	pthread_mutex_unlock(&h->lock);
	bool extends = from && from->record.stored.main != newest->stored.main && mvcc_extends(h->fs->mvcc, &from->record, newest) == 1;
	struct pin *mapped = NULL;
	pthread_mutex_lock(&h->lock);
	if (extends && h->pin == from && may_move(h)) {
		handle_pin(h, newest);
		mapped = mapped_extend(h, from);
	}
	pthread_mutex_unlock(&h->lock);
	pin_put(mapped);
	pin_put(from);
	record_done(newest);
}

/* Those that only read, held. */
static size_t hold_readers(struct fs *fs, struct node *n, struct handle *readers[READERS_MAX])
{
	size_t count = 0;

	pthread_mutex_lock(&fs->handles_lock);
	for (struct handle *h = n->handles; h && count < READERS_MAX; h = h->next) {
		if (h->writable || h->cached)
			continue;
		handle_hold(h);
		readers[count++] = h;
	}
	pthread_mutex_unlock(&fs->handles_lock);
	return count;
}

void extend_show_size(struct fs *fs, struct node *n, pid_t thread, uint64_t size)
{
	struct handle *readers[READERS_MAX];
	size_t count = hold_readers(fs, n, readers);

	for (size_t i = 0; i < count; i++) {
		struct handle *h = readers[i];
		pthread_mutex_lock(&h->lock);
		bool shorter = h->pin && size < h->base_size;
		pthread_mutex_unlock(&h->lock);
		if (shorter && (h->opener == thread || holders_process(h->opener) == holders_process(thread))) {
			pthread_mutex_lock(&h->lock);
			h->cut = true;
			pthread_mutex_unlock(&h->lock);
		}
		handle_put(h);
	}
}

struct pin *extend_content(struct handle *h, bool reads)
{
	struct pin *p = NULL;

	if (h->cached) {
		struct node_cache *c = &h->node->cache;
		lock(h->fs);
		/* Before the kernel reads a page it has asked for the size, unless it knew it. */
		c->sized = c->sized || (reads && c->told_ns);
		p = pin_hold(c->extension);
		unlock(h->fs);
	}
	return p ? p : pin_hold(h->pin);
}

struct pin *extend_over(struct node *n)
{
	struct node_cache *c = &n->cache;

	if (c->readers || c->extending)
		return NULL;
	struct pin *p = c->extension;
	c->extension = NULL;
	return p;
}

/* What cached handles of the node read, held. NULL: there are none, or none is known yet. */
static struct pin *image_content(struct fs *fs, struct node *n)
{
	struct pin *p = NULL;

	pthread_mutex_lock(&fs->handles_lock);
	for (struct handle *h = n->handles; h && !p; h = h->next) {
		if (!h->cached)
			continue;
		pthread_mutex_lock(&h->lock);
		p = extend_content(h, false);
		pthread_mutex_unlock(&h->lock);
	}
	pthread_mutex_unlock(&fs->handles_lock);
	return p;
}

static bool begin(struct fs *fs, struct node *n, struct pin *to)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	bool begun = c->readers && c->image && c->sized;
	struct pin *before = begun ? c->extension : to;
	if (begun) {
		c->extension = to;
		c->extending = true;
	}
	unlock(fs);
	pin_put(before);
	return begun;
}

bool extend_begin(struct fs *fs, struct node *n, struct extension *x)
{
	struct pin *from = image_content(fs, n);
	struct record newest = {0};

	if (!from)
		return false;
	x->from = from->record.size;
	lock(fs);
	x->generation = n->cache.generation;
	unlock(fs);
	bool extends = view_record(fs, n, &newest) == 0 && mvcc_extends(fs->mvcc, &from->record, &newest) == 1;
	pin_put(from);
	if (extends)
		return begin(fs, n, pin_new(&newest));
	record_done(&newest);
	return false;
}

void extend_end(struct fs *fs, struct node *n, const struct extension *x)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	struct stat shown = c->st;
	if (c->image)
		cache_set_image(c, &c->extension->record);
	/* This mount has changed attributes meanwhile, and shown them. */
	if (c->image && c->generation != x->generation) {
		c->st.st_mode = shown.st_mode;
		c->st.st_uid = shown.st_uid;
		c->st.st_gid = shown.st_gid;
	}
	c->extending = false;
	struct pin *over = extend_over(n);
	unlock(fs);
	pin_put(over);
}
