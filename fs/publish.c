#include "fs/publish.h"

#include "base/log.h"
#include "fs/cache.h"
#include "fs/exclusive.h"
#include "fs/locks.h"
#include "fs/view.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Everything pending becomes frozen. h->lock is held. */
static void freeze(struct handle *h)
{
	assert(!h->publishing);
	h->publishing = true;
	h->put_off = false;
	h->frozen = h->dirty;
	h->frozen_session = h->lock_session;
	h->frozen_writer = h->writer;
	dirty_init(&h->dirty);
	h->frozen_attr = h->attr;
	h->attr = (struct handle_attr){0};
}

/* The outcome of an append that was not confirmed is unknown. */
static bool outcome_unknown(int error)
{
	return error == -ETIMEDOUT || error == -EINTR || error == -ESHUTDOWN;
}

/* The frozen layer back under what was written since. */
static void thaw(struct handle *h)
{
	struct handle_attr attr = h->frozen_attr;

	if (dirty_merge(&h->frozen, h->base_size, &h->dirty))
		log_warn("an open file has too many separate unpublished ranges; some are lost");
	h->dirty = h->frozen;
	dirty_init(&h->frozen);
	handle_attr_merge(&attr, &h->attr);
	h->attr = attr;
}

static void settle_failed(struct handle *h, int error)
{
	if (h->frozen.tail.size && outcome_unknown(error)) {
		dirty_done(&h->frozen);
		h->lost = error;
	}
	thaw(h);
	h->failed = true;
}

/* What was published is pinned at once, so that this handle reads it even if the file is unlinked next. */
static void settle_published(struct handle *h, const struct record *published)
{
	struct record r = {0};

	if (node_provisional(h->node))
		h->node->ino = published->ino;
	int error = view_record_by_ino(h->fs, h->node, &r);
	if (error) {
		thaw(h);
		h->node->cancelled = h->node->cancelled || error == -ESTALE;
		return;
	}
	cache_changed(h->fs, h->node, &r);
	handle_pin(h, &r);
	dirty_done(&h->frozen);
}

static void settle(struct handle *h, int error, const struct record *published)
{
	h->failed = false;
	if (error == -ESTALE) {
		/* The file was deleted while it was open. What is written to it stays with its handles (unlink(2)), and that is no error. */
		thaw(h);
		h->node->cancelled = true;
	} else if (error) {
		settle_failed(h, error);
	} else {
		settle_published(h, published);
		if (dirty_empty(&h->dirty))
			h->writer = 0;
		h->reservation = 0;
	}
	h->frozen_attr = (struct handle_attr){0};
	h->publishing = false;
}

static void published(struct request *rq, int error)
{
	struct handle *h = rq->handle;

	pthread_mutex_lock(&h->lock);
	settle(h, error, &rq->op.result.attr);
	struct request *waiting = h->waiting;
	h->waiting = NULL;
	pthread_mutex_unlock(&h->lock);
	/* The reply may end the handle; those who wait hold it, so there are none then. */
	rq->after(rq, error == -ESTALE ? 0 : error);
	while (waiting) {
		struct request *next = waiting->queued;
		waiting->queued = NULL;
		if (error == -ESHUTDOWN)
			waiting->after(waiting, error);
		else
			publish_start(waiting, waiting->after);
		waiting = next;
	}
}

/* The ranges of the frozen layer, malloc'ed. */
static struct command_range *list_ranges(const struct dirty *d, struct command *c)
{
	uint32_t count = d->tail.size ? 1 : d->count;
	struct command_range *ranges = calloc(count ? count : 1, sizeof(*ranges));

	if (!ranges)
		abort();
	if (d->tail.size) {
		c->write_flags |= WRITE_APPEND;
		ranges[0].data = (struct span){d->tail.data, d->tail.size};
	}
	for (uint32_t i = 0; i < count && !d->tail.size; i++)
		ranges[i] = (struct command_range){d->ranges[i].offset, {d->ranges[i].data, d->ranges[i].size}};
	c->ranges = ranges;
	c->ranges_count = count;
	return ranges;
}

static int submit(struct request *rq)
{
	struct handle *h = rq->handle;
	struct command c = request_command(rq, COMMAND_WRITE);
	char key[VIEW_KEY_SIZE];

	c.ino = h->node->ino;
	if (!c.ino) {
		int size = view_key(rq->fs, h->node, NULL, key);
		if (size < 0)
			return size == -ESTALE ? -ENOENT : size;
		c.key = (struct span){key, (size_t)size};
		c.write_flags = WRITE_CREATE;
		/* Once: after a failure nobody knows whether it is used. */
		c.ino = atomic_exchange(&h->node->unused, 0);
		c.write_flags |= c.ino ? WRITE_NUMBERED : 0;
		c.mode = S_IFREG | (h->create_mode & 07777);
		c.uid = h->create_uid;
		c.gid = h->create_gid;
	} else if (!c.uid) {
		c.uid = h->frozen_writer;
	}
	c.reservation = h->reservation;
	if (h->frozen_session) {
		c.write_flags |= WRITE_FENCED;
		c.lease = h->frozen_session;
	}
	const struct handle_attr *a = &h->frozen_attr;
	c.set_mask = a->mask;
	c.set_uid = a->uid;
	c.set_gid = a->gid;
	c.atime_ns = a->atime_ns;
	c.mtime_ns = a->mtime_ns;
	if (a->mask & SET_MODE)
		c.mode = S_IFREG | a->mode;
	c.truncate_to = h->frozen.truncate_to;
	c.extend_to = h->frozen.extend_to;
	/* The frozen layer is this request's alone until published() is called. */
	struct command_range *ranges = list_ranges(&h->frozen, &c);
	request_submit(rq, &c, published);
	free(ranges);
	return 0;
}

void publish_start(struct request *rq, request_step *after)
{
	struct handle *h = rq->handle;

	rq->after = after;
	pthread_mutex_lock(&h->lock);
	if (h->publishing) {
		rq->queued = h->waiting;
		h->waiting = rq;
		pthread_mutex_unlock(&h->lock);
		return;
	}
	if (h->lost || !handle_pending(h)) {
		int lost = h->lost;
		pthread_mutex_unlock(&h->lock);
		after(rq, lost);
		return;
	}
	if (locks_lost(h)) {
		h->failed = true;
		pthread_mutex_unlock(&h->lock);
		after(rq, -EIO);
		return;
	}
	freeze(h);
	pthread_mutex_unlock(&h->lock);
	int error = submit(rq);
	if (error)
		published(rq, error);
}

static void closed_published(struct request *rq, int error)
{
	if (error)
		log_error("what was written to a file and closed is lost, as the file system ended before it could be published: error %d",
			  -error);
	request_end(rq);
}

static bool was_closed(struct handle *h)
{
	pthread_mutex_lock(&h->lock);
	bool closed = h->put_off && handle_pending(h) && !h->failed && !h->lost;
	pthread_mutex_unlock(&h->lock);
	return closed;
}

void publish_closed(struct fs *fs)
{
	for (struct node *n = fs->nodes.all; n; n = n->all_next) {
		for (struct handle *h = n->handles; h; h = h->next) {
			if (!was_closed(h)) {
				exclusive_give_back(h);
				continue;
			}
			struct request *rq = request_new(fs, NULL);
			rq->node = n;
			rq->handle = h;
			publish_start(rq, closed_published);
		}
	}
}
