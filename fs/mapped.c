#include "fs/mapped.h"

#include <assert.h>

static void lock(struct fs *fs)
{
	pthread_mutex_lock(&fs->nodes.lock);
}

static void unlock(struct fs *fs)
{
	pthread_mutex_unlock(&fs->nodes.lock);
}

bool mapped_is(const struct handle *h)
{
	return h->counted && !h->cached && !h->writable && !h->changes;
}

struct pin *mapped_content(struct handle *h)
{
	struct node_cache *c = &h->node->cache;

	if (!h->mapped && h->pin) {
		h->mapped = pin_hold(h->pin);
		lock(h->fs);
		if (!c->mapped)
			c->mapped = pin_hold(h->pin);
		c->mappers++;
		unlock(h->fs);
	}
	return pin_hold(h->mapped);
}

void mapped_close(struct handle *h)
{
	struct node_cache *c = &h->node->cache;
	struct pin *over = NULL;

	if (!h->mapped)
		return;
	lock(h->fs);
	assert(c->mappers > 0);
	if (--c->mappers == 0) {
		over = c->mapped;
		c->mapped = NULL;
		c->parted = false;
	}
	unlock(h->fs);
	pin_put(over);
}

static bool same_content(struct fs *fs, const struct record *mapped, const struct record *r)
{
	return mapped->stored.main == r->stored.main || (mapped->size == r->size && mvcc_extends(fs->mvcc, mapped, r) == 1);
}

/* With the table's lock held: was this thread sent back from this file when it last opened one? It is not, twice. */
static bool was_sent_back(struct fs *fs, pid_t thread, uint64_t ino)
{
	struct mapped_visitor *v = &fs->mapped_visitors[(uint32_t)thread % MAPPED_VISITORS];
	bool was = v->thread == thread && v->ino == ino;

	if (v->thread == thread)
		*v = (struct mapped_visitor){0};
	return was;
}

bool mapped_part(struct request *rq, const struct record *r)
{
	struct fs *fs = rq->fs;
	struct node *n = rq->node;
	struct node_cache *c = &n->cache;

	lock(fs);
	bool again = was_sent_back(fs, rq->pid, n->ino);
	struct pin *mapped = again || c->writers ? NULL : pin_hold(c->mapped);
	unlock(fs);
	if (!mapped)
		return false;
	bool part = !same_content(fs, &mapped->record, r);
	pin_put(mapped);
	lock(fs);
	part = part && !c->writers;
	if (part) {
		c->parted = true;
		fs->mapped_visitors[(uint32_t)rq->pid % MAPPED_VISITORS] = (struct mapped_visitor){rq->pid, n->ino};
	}
	unlock(fs);
	return part;
}

struct pin *mapped_extend(struct handle *h, const struct pin *from)
{
	struct pin *before = h->mapped;

	if (!before || before != from)
		return NULL;
	h->mapped = pin_hold(h->pin);
	return before;
}
