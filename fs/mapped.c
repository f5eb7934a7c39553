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
	}
	unlock(h->fs);
	pin_put(over);
}

static bool same_content(struct fs *fs, const struct record *mapped, const struct record *r)
{
	return mapped->stored.main == r->stored.main || (mapped->size == r->size && mvcc_extends(fs->mvcc, mapped, r) == 1);
}

/* A node without a name is parted already, and who comes to it comes by a descriptor. */
bool mapped_part(struct fs *fs, struct node *n, const struct record *r)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	struct pin *mapped = n->bound && !c->writers ? pin_hold(c->mapped) : NULL;
	unlock(fs);
	if (!mapped)
		return false;
	bool part = !same_content(fs, &mapped->record, r);
	pin_put(mapped);
	lock(fs);
	part = part && n->bound && !c->writers;
	if (part)
		nodes_part(&fs->nodes, n);
	unlock(fs);
	return part;
}
