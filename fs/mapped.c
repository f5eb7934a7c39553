#include "fs/mapped.h"

#include "base/clock.h"
#include "fs/rewalk.h"

#include <assert.h>

/* A second walk is over by then. */
#define VISITOR_NS 5000000000ll

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

bool mapped_sent_back(struct request *rq)
{
	struct mapped_visitor *v = &rq->fs->mapped_visitors[(uint32_t)rq->pid % MAPPED_VISITORS];
	bool was = false;

	lock(rq->fs);
	if (v->thread == rq->pid) {
		was = v->ino == rq->node->ino && clock_mono_ns() - v->at_ns < VISITOR_NS;
		v->thread = 0;
	}
	unlock(rq->fs);
	return was || rewalk_again(rq);
}

bool mapped_part(struct request *rq, const struct record *r)
{
	struct fs *fs = rq->fs;
	struct node_cache *c = &rq->node->cache;

	lock(fs);
	struct pin *mapped = c->writers || !rq->pid ? NULL : pin_hold(c->mapped);
	unlock(fs);
	if (!mapped)
		return false;
	bool part = !same_content(fs, &mapped->record, r);
	pin_put(mapped);
	lock(fs);
	part = part && c->mapped && !c->writers;
	if (part) {
		c->parted = true;
		fs->mapped_visitors[(uint32_t)rq->pid % MAPPED_VISITORS] = (struct mapped_visitor){rq->pid, rq->node->ino, clock_mono_ns()};
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
