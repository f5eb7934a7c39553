#include "fs/notifier.h"

#include "base/clock.h"
#include "base/log.h"
#include "fs/cache.h"
#include "fs/extend.h"
#include "fs/follow.h"
#include "fs/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How soon the notifier comes back to nodes that are not settled; later, if they are many. */
#define PUT_OFF_MS 100

struct job {
	struct job *next;
	struct node *node; /* held; of a name: its directory */
	char *name;        /* or NULL */
	bool gone;         /* the node's file */
};

struct notifier {
	struct fs *fs;
	struct follow *follow;
	struct job *put_off; /* each node once */
	uint32_t put_off_count;
	int64_t looked_ns;    /* when they were looked at last */
	pthread_mutex_t lock; /* over what follows */
	struct job *first;
	struct job **last;
};

static const struct mvcc_event gone_event = {.type = MVCC_EVENT_DELETE};

static struct job *new_job(struct notifier *t, struct node *n)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		abort();
	j->node = n;
	nodes_hold(&t->fs->nodes, n);
	return j;
}

static void end_job(struct notifier *t, struct job *j)
{
	nodes_put(&t->fs->nodes, j->node);
	free(j->name);
	free(j);
}

static void forget_name(struct notifier *t, struct node *parent, const char *name)
{
	struct fs *fs = t->fs;

	/* That it does not know the name is as well. */
	fuse_lowlevel_notify_inval_entry(fs->session, nodes_id(&fs->nodes, parent), name, strlen(name));
}

/* offset -1: the attributes alone. */
static void forget_inode(struct notifier *t, struct node *n, off_t offset)
{
	fuse_lowlevel_notify_inval_inode(t->fs->session, nodes_id(&t->fs->nodes, n), offset, 0);
}

/* false: it has no cached handles any more. */
static bool freeze(struct notifier *t, struct node *n, bool gone)
{
	struct node *parent;
	char *name;
	bool frozen = cache_freeze(t->fs, n, &gone, &parent, &name);

	if (name)
		forget_name(t, parent, name);
	free(name);
	nodes_put(&t->fs->nodes, parent);
	if (gone)
		forget_inode(t, n, -1);
	return frozen;
}

/* READs are answered from the new version before the old one's last page is dropped, and its size is shown only after that: so no page with the old end in
 * it meets the new size. */
static bool extend(struct notifier *t, struct node *n)
{
	struct extension x;

	if (!extend_begin(t->fs, n, &x))
		return false;
	forget_inode(t, n, (off_t)x.from);
	extend_end(t->fs, n, &x);
	return true;
}

static void put_off(struct notifier *t, struct node *n, bool gone)
{
	struct job *j;

	if (!n->cache.put_off) {
		t->put_off_count++;
		j = new_job(t, n);
		j->next = t->put_off;
		t->put_off = j;
		n->cache.put_off = true;
	}
	for (j = t->put_off; gone && j; j = j->next)
		j->gone = j->gone || j->node == n;
}

/* The image is the newest version. What the kernel was told of it may have been another number of links, say, or another name's time. */
static void forget_attributes(struct notifier *t, struct node *n)
{
	if (cache_settled(t->fs, n))
		forget_inode(t, n, -1);
	else if (cache_told(t->fs, n))
		put_off(t, n, false);
}

/* Cached handles read the node's image: it stays, unless it is the newest version still, but for attributes, or for what was added at the end. Before it is settled none of that
 * can be told to those who have it open, but whoever comes along a path goes by, and the others are seen to later. */
static bool keep(struct notifier *t, struct node *n, const struct mvcc_event *e)
{
	struct record r = {0};
	int error = view_record(t->fs, n, &r);
	bool settled = cache_settled(t->fs, n), gone = e && e->type == MVCC_EVENT_DELETE, kept = true;

	if (!error && cache_shows(t->fs, n, &r)) {
		forget_attributes(t, n);
	} else if (!error && settled && e && e->attributes && e->rev.main == r.modified.main && cache_take_attributes(t->fs, n, &r)) {
		forget_inode(t, n, -1);
	} else if (error || !settled || !extend(t, n)) {
		kept = freeze(t, n, gone);
		if (kept && (!settled || !cache_settled(t->fs, n)))
			put_off(t, n, gone);
	}
	record_done(&r);
	return kept;
}

static bool forget_unread(struct notifier *t, struct node *n)
{
	uint64_t generation;

	if (!cache_forget(t->fs, n, &generation))
		return false;
	forget_inode(t, n, 0);
	cache_forgotten(t->fs, n, generation);
	return true;
}

/* Its last cached handle may go, and others come, while it is looked at: the old image must not outlast this, as nobody comes back to it. */
static void forget(struct notifier *t, struct node *n, const struct mvcc_event *e)
{
	while (!forget_unread(t, n) && !keep(t, n, e) && cache_has_image(t->fs, n))
		;
}

/* All nodes with this inode number; 0: all. */
static void forget_all(struct notifier *t, uint64_t ino, const struct mvcc_event *e)
{
	size_t count;
	struct node **nodes = cache_nodes(t->fs, ino, &count);

	for (size_t i = 0; i < count; i++) {
		if (!follow_stopping(t->follow))
			forget(t, nodes[i], e);
		nodes_put(&t->fs->nodes, nodes[i]);
	}
	free(nodes);
}

/* What a rename has replaced is told of by no event of its own. */
static void forget_replaced(struct notifier *t, const struct mvcc_event *e)
{
	struct record r = {0};
	int error = mvcc_get(t->fs->mvcc, e->to, e->rev.main - 1, &r);

	if (!error && r.ino != e->ino)
		forget_all(t, r.ino, &gone_event);
	else if (error == -ENODATA)
		forget_all(t, 0, NULL);
	record_done(&r);
}

static void on_event(void *ctx, const struct mvcc_event *e)
{
	struct notifier *t = ctx;

	forget_all(t, e->ino, e);
	if (e->type == MVCC_EVENT_RENAME)
		forget_replaced(t, e);
}

static void on_lost(void *ctx, uint64_t revision)
{
	(void)revision;
	forget_all(ctx, 0, NULL);
}

static struct job *next_job(struct notifier *t)
{
	pthread_mutex_lock(&t->lock);
	struct job *j = t->first;
	if (j)
		t->first = j->next;
	if (!t->first)
		t->last = &t->first;
	pthread_mutex_unlock(&t->lock);
	return j;
}

/* In how many milliseconds there is more to do; -1: there is nothing. */
static int do_put_off(struct notifier *t)
{
	int64_t wait_ns = (PUT_OFF_MS + t->put_off_count) * 1000000ll - (clock_mono_ns() - t->looked_ns);

	if (t->put_off && wait_ns > 0)
		return (int)(wait_ns / 1000000) + 1;
	struct job *due = t->put_off;
	t->put_off = NULL;
	t->put_off_count = 0;
	t->looked_ns = clock_mono_ns();
	while (due) {
		struct job *j = due;
		due = j->next;
		j->node->cache.put_off = false;
		if (!follow_stopping(t->follow))
			forget(t, j->node, j->gone ? &gone_event : NULL);
		end_job(t, j);
	}
	return t->put_off ? PUT_OFF_MS : -1;
}

static int on_idle(void *ctx)
{
	struct notifier *t = ctx;

	for (struct job *j = next_job(t); j; j = next_job(t)) {
		if (j->name && !follow_stopping(t->follow))
			forget_name(t, j->node, j->name);
		else if (!follow_stopping(t->follow))
			forget(t, j->node, NULL);
		end_job(t, j);
	}
	/* What cannot be read is not to be remembered either. */
	if (store_readable(t->fs->store))
		forget_all(t, 0, NULL);
	return do_put_off(t);
}

static void queue(struct notifier *t, struct node *n, const char *name)
{
	struct job *j = new_job(t, n);

	j->name = name ? strdup(name) : NULL;
	if (name && !j->name)
		abort();
	pthread_mutex_lock(&t->lock);
	*t->last = j;
	t->last = &j->next;
	pthread_mutex_unlock(&t->lock);
	follow_stir(t->follow);
}

void notifier_queue(struct notifier *t, struct node *n)
{
	queue(t, n, NULL);
}

void notifier_queue_name(struct notifier *t, struct node *parent, const char *name)
{
	queue(t, parent, name);
}

void notifier_start(struct fs *fs)
{
	struct notifier *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	t->fs = fs;
	t->last = &t->first;
	pthread_mutex_init(&t->lock, NULL);
	const struct follow_events events = {.ctx = t, .event = on_event, .idle = on_idle, .lost = on_lost};
	int error = follow_start(store_watch(fs->store), "notifier", &events, &t->follow);
	if (!error) {
		fs->notifier = t;
		return;
	}
	log_warn("the kernel caches nothing, as there is no thread to tell it of changes: error %d", -error);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void notifier_stop(struct notifier *t)
{
	if (t)
		follow_stop(t->follow);
}

void notifier_end(struct notifier *t)
{
	if (!t)
		return;
	follow_end(t->follow);
	for (struct job *j = next_job(t); j; j = next_job(t))
		end_job(t, j);
	while (t->put_off) {
		struct job *j = t->put_off;
		t->put_off = j->next;
		end_job(t, j);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}
