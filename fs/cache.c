#include "fs/cache.h"

#include "base/clock.h"
#include "fs/extend.h"
#include "fs/notifier.h"
#include "fs/view.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The image may change between two looks at it. */
#define OPEN_TRIES 3

/* Whoever asked for attributes, and was answered, has taken them by then. */
#define SETTLED_NS 1000000000

/* Has the node an image, or may it have one? Directories have none: what changes in them changes their attributes without a word of the store's. */
static bool may_remember(const struct fs *fs, const struct node *n)
{
	return fs->notifier && n->kind == NODE_LIVE && !S_ISDIR(n->type);
}

static int64_t changed_ns(const struct stat *st)
{
	return view_time_ns(st->st_ctim);
}

/* A file's ctime rises with each version of it (the times of revisions do). */
static bool is_image(const struct node_cache *c, const struct record *r)
{
	return c->image && changed_ns(&c->st) == r->ctime_ns;
}

static void lock(struct fs *fs)
{
	pthread_mutex_lock(&fs->nodes.lock);
}

static void unlock(struct fs *fs)
{
	pthread_mutex_unlock(&fs->nodes.lock);
}

static void saw(struct node_cache *c, const struct record *r)
{
	if (r->ctime_ns > c->seen_ns)
		c->seen_ns = r->ctime_ns;
}

void cache_set_image(struct node_cache *c, const struct record *r)
{
	c->image = r->modified.main;
	c->version = r->version;
	view_stat(r, 0, &c->st);
	saw(c, r);
}

/* Nobody was shown anything newer, no change is under way, and a change that comes now finds the node. */
static bool take_image(struct fs *fs, struct node *n, const struct record *r)
{
	struct node_cache *c = &n->cache;

	if (c->unclean || c->frozen || c->writers || !n->bound || n->fleeting || r->ctime_ns < c->seen_ns ||
	    nodes_is_awaited(&fs->nodes, n))
		return false;
	cache_set_image(c, r);
	c->told_ns = 0;
	c->sized = false;
	nodes_remember(&fs->nodes, n);
	return true;
}

/* The image that was taken may have been old by then, and its change told to nobody: it is to go again. */
static void check_image(struct fs *fs, struct node *n)
{
	struct record r = {0};
	int error = view_record(fs, n, &r);

	lock(fs);
	bool old = n->cache.image && (error || !is_image(&n->cache, &r));
	unlock(fs);
	record_done(&r);
	if (old)
		notifier_queue(fs->notifier, n);
}

/* The record of the image, or -ENODATA. */
static int load_image(struct fs *fs, struct node *n, uint64_t image, const struct stat *st, struct record *out)
{
	char key[VIEW_KEY_SIZE];
	struct record r = {0};
	int size = view_key(fs, n, NULL, key);

	if (size < 0)
		return size;
	int error = mvcc_get(fs->mvcc, (struct span){key, (size_t)size}, image, &r);
	if (error)
		return error;
	if (r.ino != n->ino || r.ctime_ns != changed_ns(st)) {
		record_done(&r);
		return -ENODATA;
	}
	*out = r;
	return 0;
}

int cache_record(struct fs *fs, struct node *n, struct record *out)
{
	struct record newest = {0};
	int error = view_record(fs, n, &newest);

	if (error || !may_remember(fs, n)) {
		if (!error)
			*out = newest;
		return error;
	}
	lock(fs);
	struct node_cache *c = &n->cache;
	uint64_t image = c->image && !is_image(c, &newest) ? c->image : 0;
	struct stat st = c->st;
	if (!image)
		saw(c, &newest);
	unlock(fs);
	if (image && load_image(fs, n, image, &st, out) == 0) {
		record_done(&newest);
		return 0;
	}
	*out = newest;
	return 0;
}

void cache_show(struct fs *fs, struct node *n, struct stat *st)
{
	if (!may_remember(fs, n))
		return;
	lock(fs);
	if (n->cache.image)
		*st = n->cache.st;
	unlock(fs);
}

bool cache_has_image(struct fs *fs, struct node *n)
{
	lock(fs);
	bool has = n->cache.image;
	unlock(fs);
	return has;
}

/* What there is of an image. */
static bool stat_image(struct fs *fs, struct node *n, struct stat *st, double *seconds)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	bool has = c->image;
	if (has) {
		*st = c->st;
		*seconds = c->unclean || c->extending || c->writers ? 0 : CACHE_SECONDS;
	}
	unlock(fs);
	return has;
}

int cache_stat(struct fs *fs, struct node *n, struct stat *st, double *seconds)
{
	struct record r = {0};

	*seconds = 0;
	if (may_remember(fs, n) && stat_image(fs, n, st, seconds))
		return 0;
	int error = view_record(fs, n, &r);
	if (error)
		return error;
	view_stat(&r, 0, st);
	if (may_remember(fs, n)) {
		lock(fs);
		bool taken = !n->cache.image && take_image(fs, n, &r);
		/* Another one was taken meanwhile: that is what the node shows. */
		if (n->cache.image)
			*st = n->cache.st;
		else
			saw(&n->cache, &r);
		unlock(fs);
		*seconds = taken ? CACHE_SECONDS : 0;
		if (taken)
			check_image(fs, n);
	}
	record_done(&r);
	return 0;
}

void cache_tells(struct fs *fs, struct node *n, const struct stat *st)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	if (c->image && !c->told_ns && changed_ns(&c->st) == changed_ns(st))
		c->told_ns = clock_mono_ns();
	unlock(fs);
}

/* A handle that reads `r` through the kernel's pages? */
static bool open_cached(struct fs *fs, struct node *n, const struct record *r, bool *taken)
{
	struct node_cache *c = &n->cache;

	*taken = false;
	if (c->unclean || c->frozen || c->others)
		return false;
	if (!c->image)
		*taken = take_image(fs, n, r);
	if (!is_image(c, r))
		return false;
	c->readers++;
	return true;
}

int cache_open(struct fs *fs, struct node *n, struct record *out, bool *cached)
{
	bool taken = false;

	bool clash = true;
	*cached = false;
	for (int tries = 0; clash && tries < OPEN_TRIES; tries++) {
		int error = cache_record(fs, n, out);
		if (error)
			return error;
		lock(fs);
		if (may_remember(fs, n) && S_ISREG(out->mode))
			*cached = open_cached(fs, n, out, &taken);
		/* Another version must not come into the pages that cached handles read. */
		clash = !*cached && n->cache.readers && !is_image(&n->cache, out);
		n->cache.others += !*cached && !clash;
		unlock(fs);
		if (clash)
			record_done(out);
	}
	if (taken)
		check_image(fs, n);
	return clash ? -ESTALE : 0;
}

int cache_open_past(struct fs *fs, struct node *n, const struct record *r)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	bool clash = c->readers && !is_image(c, r);
	c->others += !clash;
	unlock(fs);
	return clash ? -ESTALE : 0;
}

void cache_await(struct fs *fs, struct node *n)
{
	if (!may_remember(fs, n))
		return;
	lock(fs);
	nodes_await(&fs->nodes, n);
	unlock(fs);
}

int cache_open_writer(struct fs *fs, struct node *n, const struct record *newest)
{
	struct node_cache *c = &n->cache;
	int error = 0;

	lock(fs);
	/* Who writes sees the newest version, and so it must not meet the image of another one. */
	if (c->readers || c->frozen || (c->image && !(newest && is_image(c, newest)))) {
		nodes_await(&fs->nodes, n);
		nodes_part(&fs->nodes, n);
		error = -ESTALE;
	} else {
		c->others++;
		c->writers++;
	}
	unlock(fs);
	return error;
}

void cache_close(struct fs *fs, struct node *n, bool cached, bool writer, bool read)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	assert(cached ? c->readers > 0 : c->others > 0);
	c->readers -= cached;
	c->others -= !cached;
	c->writers -= writer;
	if (may_remember(fs, n) && read && !cached) {
		c->unclean = true;
		nodes_remember(&fs->nodes, n);
	}
	bool clean = c->unclean && !c->others && !c->frozen;
	struct pin *over = extend_over(n);
	unlock(fs);
	pin_put(over);
	if (clean)
		notifier_queue(fs->notifier, n);
}

void cache_changed(struct fs *fs, struct node *n, const struct record *now)
{
	struct node_cache *c = &n->cache;

	if (!may_remember(fs, n))
		return;
	lock(fs);
	assert(!c->readers || c->frozen);
	if (!c->frozen) {
		saw(c, now);
		c->image = 0;
		c->unclean = true;
		c->generation++;
		nodes_remember(&fs->nodes, n);
	}
	unlock(fs);
}

void cache_attributes_changed(struct fs *fs, struct node *n, const struct record *now, bool renamed, struct stat *st)
{
	struct node_cache *c = &n->cache;

	if (!may_remember(fs, n))
		return;
	lock(fs);
	bool readers = c->readers || c->frozen;
	struct stat newest;
	view_stat(now, 0, &newest);
	bool same = renamed ? newest.st_size == c->st.st_size && memcmp(&newest.st_mtim, &c->st.st_mtim, sizeof(newest.st_mtim)) == 0
			    : now->version == c->version + 1;
	if (readers && !c->frozen && same) {
		/* Nothing else happened to the file: the pages are those of this version, too. */
		cache_set_image(c, now);
	} else if (readers) {
		struct stat then = c->st;
		c->st = newest;
		c->st.st_size = then.st_size;
		c->st.st_blocks = then.st_blocks;
		c->st.st_ctim = then.st_ctim; /* which says what version the pages are of */
		c->generation++;
	} else {
		saw(c, now);
		c->image = 0;
		c->unclean = true;
		c->generation++;
		nodes_remember(&fs->nodes, n);
	}
	if (readers)
		*st = c->st;
	bool clean = c->unclean && !c->others && !c->frozen;
	unlock(fs);
	if (clean)
		notifier_queue(fs->notifier, n);
}

struct node **cache_nodes(struct fs *fs, uint64_t ino, size_t *count)
{
	struct node **found = NULL;
	size_t room = 0;

	*count = 0;
	lock(fs);
	for (size_t i = ino ? ino % NODES_REMEMBERED : 0; i < NODES_REMEMBERED; i = ino ? NODES_REMEMBERED : i + 1) {
		for (struct node *n = fs->nodes.remembered[i]; n; n = n->cache.next) {
			/* A frozen one may be extended. */
			if (ino ? n->ino != ino || (n->cache.frozen && !n->cache.readers) : n->cache.frozen)
				continue;
			if (*count == room) {
				room = room ? room * 2 : 4;
				found = realloc(found, room * sizeof(*found));
				if (!found)
					abort();
			}
			n->refs++;
			found[(*count)++] = n;
		}
	}
	unlock(fs);
	return found;
}

bool cache_forget(struct fs *fs, struct node *n, uint64_t *generation)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	bool forget = !c->readers && !c->frozen && c->at;
	if (forget) {
		c->unclean = true;
		*generation = c->generation;
	}
	unlock(fs);
	return forget;
}

void cache_forgotten(struct fs *fs, struct node *n, uint64_t generation)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	if (!c->frozen) {
		c->image = 0;
		c->unclean = c->others || c->generation != generation;
	}
	if (!c->unclean)
		nodes_forgotten(n);
	unlock(fs);
}

bool cache_shows(struct fs *fs, struct node *n, const struct record *newest)
{
	lock(fs);
	bool shows = is_image(&n->cache, newest);
	unlock(fs);
	return shows;
}

bool cache_settled(struct fs *fs, struct node *n)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	c->sized = c->sized || (c->told_ns && clock_mono_ns() - c->told_ns > SETTLED_NS);
	bool settled = c->sized || !c->readers;
	unlock(fs);
	return settled;
}

bool cache_told(struct fs *fs, struct node *n)
{
	lock(fs);
	bool told = n->cache.told_ns;
	unlock(fs);
	return told;
}

bool cache_take_attributes(struct fs *fs, struct node *n, const struct record *newest)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	bool same = c->image && c->sized && newest->version == c->version + 1;
	if (same)
		cache_set_image(c, newest);
	unlock(fs);
	return same;
}

bool cache_freeze(struct fs *fs, struct node *n, bool *gone, struct node **parent, char **name)
{
	struct node_cache *c = &n->cache;

	lock(fs);
	bool frozen = c->readers || c->frozen;
	*parent = NULL;
	*name = NULL;
	if (frozen && !c->frozen) {
		*parent = n->parent;
		(*parent)->refs++;
		*name = n->bound ? strdup(n->name) : NULL;
		if (n->bound && !*name)
			abort();
		nodes_freeze(&fs->nodes, n);
	}
	if (*gone && frozen)
		c->st.st_nlink = 0;
	*gone = *gone && frozen && c->sized;
	unlock(fs);
	return frozen;
}
