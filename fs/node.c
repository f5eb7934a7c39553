#include "fs/node.h"

#include "base/clock.h"
#include "store/mvcc/mvcc.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUCKETS_MIN 1024u
#define ROOT_ID 1u
#define AWAIT_NS 1000000000
#define FLEETING_NS INT64_C(1000000000)
#define FOUND_NS INT64_C(10000000000)

void nodes_init(struct nodes *t, uint64_t root_ino)
{
	*t = (struct nodes){.buckets_count = BUCKETS_MIN};
	pthread_mutex_init(&t->lock, NULL);
	t->buckets = calloc(t->buckets_count, sizeof(*t->buckets));
	t->remembered = calloc(NODES_REMEMBERED, sizeof(struct node *));
	if (!t->buckets || !t->remembered)
		abort();
	t->root.kind = NODE_LIVE;
	t->root.type = S_IFDIR;
	t->root.ino = root_ino;
	t->root.bound = true;
	t->root.refs = 1;
}

void nodes_done(struct nodes *t)
{
	for (struct node *n = t->all, *next; n; n = next) {
		next = n->all_next;
		free(n->found.key);
		free(n->name);
		free(n);
	}
	free(t->buckets);
	free(t->remembered);
	pthread_mutex_destroy(&t->lock);
}

struct node *nodes_from_id(struct nodes *t, uint64_t id)
{
	return id == ROOT_ID ? &t->root : (struct node *)(uintptr_t)id;
}

uint64_t nodes_id(const struct nodes *t, const struct node *n)
{
	return n == &t->root ? ROOT_ID : (uint64_t)(uintptr_t)n;
}

bool nodes_bound(struct nodes *t, const struct node *n)
{
	pthread_mutex_lock(&t->lock);
	bool bound = n->bound;
	pthread_mutex_unlock(&t->lock);
	return bound;
}

bool node_provisional(const struct node *n)
{
	return n->kind == NODE_LIVE && n->ino == 0;
}

void node_show_as(struct node *n, uint64_t number)
{
	uint64_t none = 0;

	if (atomic_compare_exchange_strong(&n->shown, &none, number))
		n->unused = number;
}

/* FNV-1a, begun from the parent's address. */
static uint64_t hash_of(const struct node *parent, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325u ^ ((uint64_t)(uintptr_t)parent >> 4);

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
	return hash ^ hash >> 32;
}

static size_t bucket_of(const struct nodes *t, const struct node *parent, const char *name)
{
	return (size_t)hash_of(parent, name) & (t->buckets_count - 1);
}

static void rehash(struct nodes *t)
{
	struct node **old = t->buckets;
	size_t old_count = t->buckets_count;

	t->buckets_count *= 2;
	t->buckets = calloc(t->buckets_count, sizeof(*t->buckets));
	if (!t->buckets)
		abort();
	for (size_t i = 0; i < old_count; i++) {
		for (struct node *n = old[i], *next; n; n = next) {
			next = n->next;
			size_t bucket = bucket_of(t, n->parent, n->name);
			n->next = t->buckets[bucket];
			t->buckets[bucket] = n;
		}
	}
	free(old);
}

static struct node *find(struct nodes *t, const struct node *parent, const char *name)
{
	struct node *n = t->buckets[bucket_of(t, parent, name)];

	while (n && (n->parent != parent || strcmp(n->name, name) != 0))
		n = n->next;
	return n;
}

static void loose_add(struct nodes *t, struct node *n)
{
	n->loose_next = t->loose;
	n->loose_at = &t->loose;
	if (t->loose)
		t->loose->loose_at = &n->loose_next;
	t->loose = n;
}

static void loose_remove(struct node *n)
{
	if (!n->loose_at)
		return;
	*n->loose_at = n->loose_next;
	if (n->loose_next)
		n->loose_next->loose_at = n->loose_at;
	n->loose_at = NULL;
}

static void bind(struct nodes *t, struct node *n)
{
	assert(!n->bound);
	loose_remove(n);
	if (t->bound_count == t->buckets_count)
		rehash(t);
	size_t bucket = bucket_of(t, n->parent, n->name);
	n->next = t->buckets[bucket];
	t->buckets[bucket] = n;
	n->bound = true;
	t->bound_count++;
}

static void loosen(struct nodes *t, struct node *n)
{
	if (!n || !n->bound || n == &t->root)
		return;
	struct node **at = &t->buckets[bucket_of(t, n->parent, n->name)];
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	n->bound = false;
	t->bound_count--;
	loose_add(t, n);
}

void nodes_forgotten(struct node *n)
{
	struct node_cache *c = &n->cache;

	if (!c->at)
		return;
	*c->at = c->next;
	if (c->next)
		c->next->cache.at = c->at;
	c->at = NULL;
}

void nodes_remember(struct nodes *t, struct node *n)
{
	struct node **list = &t->remembered[n->ino % NODES_REMEMBERED];

	/* Its inode number may be new. */
	nodes_forgotten(n);
	n->cache.next = *list;
	n->cache.at = list;
	if (*list)
		(*list)->cache.at = &n->cache.next;
	*list = n;
}

void nodes_freeze(struct nodes *t, struct node *n)
{
	if (n->cache.frozen)
		return;
	loosen(t, n);
	n->cache.frozen = true;
	t->frozen++;
}

void nodes_part(struct nodes *t, struct node *n)
{
	if (n->cache.readers)
		nodes_freeze(t, n);
	else
		loosen(t, n);
}

void nodes_await(struct nodes *t, const struct node *n)
{
	uint64_t hash = hash_of(n->parent, n->name);

	t->awaited[hash % NODES_AWAITED] = (struct node_awaited){hash, clock_mono_ns() + AWAIT_NS};
}

bool nodes_is_awaited(const struct nodes *t, const struct node *n)
{
	uint64_t hash = hash_of(n->parent, n->name);
	const struct node_awaited *a = &t->awaited[hash % NODES_AWAITED];

	return a->until_ns && a->hash == hash && clock_mono_ns() < a->until_ns;
}

uint64_t nodes_frozen(struct nodes *t)
{
	pthread_mutex_lock(&t->lock);
	uint64_t frozen = t->frozen;
	pthread_mutex_unlock(&t->lock);
	return frozen;
}

/* Frees the node if nothing needs it, and then perhaps its parents. */
static void drop_unused(struct nodes *t, struct node *n)
{
	while (n != &t->root && n->lookups == 0 && n->refs == 0) {
		struct node *parent = n->parent;
		loosen(t, n);
		loose_remove(n);
		nodes_forgotten(n);
		t->frozen -= n->cache.frozen;
		*n->all_at = n->all_next;
		if (n->all_next)
			n->all_next->all_at = n->all_at;
		free(n->found.key);
		free(n->name);
		free(n);
		parent->refs--;
		n = parent;
	}
}

static char *copy_name(const char *name)
{
	char *copy = strdup(name);
	if (!copy)
		abort();
	return copy;
}

/* Neither bound nor loose. */
static struct node *make_unbound(struct nodes *t, struct node *parent, const char *name, const struct node_target *target)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->kind = target->kind;
	n->rev = target->rev;
	n->type = target->mode & S_IFMT;
	n->ino = target->ino;
	n->number = ++t->numbered;
	n->parent = parent;
	n->name = copy_name(name);
	n->segment_len = target->segment_len;
	n->all_next = t->all;
	n->all_at = &t->all;
	if (t->all)
		t->all->all_at = &n->all_next;
	t->all = n;
	parent->refs++;
	return n;
}

static struct node *make(struct nodes *t, struct node *parent, const char *name, const struct node_target *target)
{
	struct node *n = make_unbound(t, parent, name, target);

	bind(t, n);
	return n;
}

/* Is it mapped with other content than somebody has come to open? With a writer there is one node. */
static bool is_parted(const struct node *n)
{
	return n->cache.parted && n->cache.mapped && !n->cache.writers;
}

/* What is bound to the name, if it stands for this and may be shown as it is; else NULL, and the name is free. */
static struct node *find_standing(struct nodes *t, struct node *parent, const char *name, const struct node_target *target)
{
	struct node *n = find(t, parent, name);

	if (n && (n->kind != target->kind || n->rev != target->rev || n->ino != target->ino || n->type != (target->mode & S_IFMT))) {
		loosen(t, n);
		n = NULL;
	}
	if (n && is_parted(n)) {
		loosen(t, n);
		n = NULL;
	}
	if (n && (n->cache.image || n->cache.readers) && nodes_is_awaited(t, n)) {
		nodes_part(t, n);
		n = NULL;
	}
	return n;
}

struct node *nodes_enter(struct nodes *t, struct node *parent, const char *name, const struct node_target *target)
{
	pthread_mutex_lock(&t->lock);
	struct node *n = find_standing(t, parent, name, target);
	if (!n)
		n = make(t, parent, name, target);
	n->lookups++;
	pthread_mutex_unlock(&t->lock);
	return n;
}

/* To an older LOOKUP that gets here last, what a later one has found is as good: it was there during that call, too. */
static void note_found(struct node *n, const struct record *r, int64_t now, bool again)
{
	struct node_found *f = &n->found;

	f->at_ns = now;
	if (again)
		f->again_ns = now;
	if (f->key && f->rev >= r->stored.main)
		return;
	free(f->key);
	f->key = malloc(r->key.size + 1);
	if (!f->key)
		abort();
	memcpy(f->key, r->key.data, r->key.size);
	f->key_size = r->key.size;
	f->rev = r->stored.main;
}

static void stay(struct node *n)
{
	n->fleeting = false;
	free(n->found.key);
	n->found = (struct node_found){0};
}

struct node *nodes_enter_found(struct nodes *t, struct node *parent, const char *name, const struct node_target *target,
			       const struct record *r, bool again)
{
	int64_t now = clock_mono_ns();

	pthread_mutex_lock(&t->lock);
	struct node *n = find_standing(t, parent, name, target);
	bool over = n && n->fleeting && !again && now - n->found.again_ns > FLEETING_NS;
	bool kept = n && !n->fleeting && again;
	/* Who has a file open goes on to share the node with those who come by the name: what was written and not published yet is seen there. */
	bool open = n && n->refs > 0;
	if (n && !open && (over || kept)) {
		nodes_part(t, n);
		n = NULL;
	} else if (over) {
		stay(n);
	}
	if (kept && open) {
		n = make_unbound(t, parent, name, target);
		loose_add(t, n);
	} else if (!n) {
		n = make(t, parent, name, target);
	}
	n->fleeting = n->fleeting || again;
	if (n->fleeting)
		note_found(n, r, now, again);
	n->lookups++;
	pthread_mutex_unlock(&t->lock);
	return n;
}

char *nodes_found(struct nodes *t, struct node *n, size_t *key_size, uint64_t *rev)
{
	struct node_found *f = &n->found;
	char *key = NULL;

	if (!n->fleeting)
		return NULL;
	pthread_mutex_lock(&t->lock);
	if (f->key && clock_mono_ns() - f->at_ns < FOUND_NS) {
		key = malloc(f->key_size + 1);
		if (!key)
			abort();
		memcpy(key, f->key, f->key_size);
		*key_size = f->key_size;
		*rev = f->rev;
	}
	pthread_mutex_unlock(&t->lock);
	return key;
}

void nodes_missing(struct nodes *t, struct node *parent, const char *name)
{
	pthread_mutex_lock(&t->lock);
	struct node *n = find(t, parent, name);
	if (n && !node_provisional(n))
		loosen(t, n);
	pthread_mutex_unlock(&t->lock);
}

/* The file has no name any more, by an operation of this mount. Who reads it through the kernel's pages goes on; the kernel counts its links by itself. */
static void unname(struct nodes *t, struct node *n)
{
	struct node_cache *c = &n->cache;

	c->st.st_nlink = 0;
	if (c->readers) {
		nodes_freeze(t, n);
		return;
	}
	c->unclean = c->unclean || c->image;
	c->image = 0;
}

/* The name of `n` now leads elsewhere, by an operation of this mount. */
static void displace(struct nodes *t, struct node *n)
{
	if (n && !n->cache.frozen)
		unname(t, n);
	if (n && node_provisional(n))
		n->cancelled = true;
	loosen(t, n);
}

void nodes_remove(struct nodes *t, struct node *parent, const char *name)
{
	pthread_mutex_lock(&t->lock);
	displace(t, find(t, parent, name));
	pthread_mutex_unlock(&t->lock);
}

static void rebind(struct nodes *t, struct node *n, struct node *parent, const char *name)
{
	struct node *old_parent = n->parent;

	loosen(t, n);
	free(n->name);
	n->name = copy_name(name);
	n->segment_len = strlen(name);
	n->parent = parent;
	parent->refs++;
	old_parent->refs--;
	bind(t, n);
	drop_unused(t, old_parent);
}

void nodes_rename(struct nodes *t, struct node *moved, struct node *parent, const char *name, struct node *parent2, const char *name2,
		  bool exchange)
{
	pthread_mutex_lock(&t->lock);
	struct node *from = find(t, parent, name);
	struct node *to = find(t, parent2, name2);
	if (from != to) {
		displace(t, from == moved ? NULL : from);
		if (moved && moved->cache.frozen)
			moved = NULL;
		loosen(t, moved);
		if (exchange && to)
			rebind(t, to, parent, name);
		else if (to != moved)
			displace(t, to);
		if (moved)
			rebind(t, moved, parent2, name2);
	}
	pthread_mutex_unlock(&t->lock);
}

struct node *nodes_find(struct nodes *t, struct node *parent, const char *name)
{
	pthread_mutex_lock(&t->lock);
	struct node *n = find(t, parent, name);
	if (n)
		n->refs++;
	pthread_mutex_unlock(&t->lock);
	return n;
}

/* The child of that name, which need not end with a NUL. */
static struct node *find_segment(struct nodes *t, const struct node *parent, const char *segment, size_t size)
{
	char name[NAME_MAX + 1];

	if (size > NAME_MAX)
		return NULL;
	memcpy(name, segment, size);
	name[size] = '\0';
	return find(t, parent, name);
}

struct node *nodes_walk(struct nodes *t, const char *path, size_t size)
{
	const char *end = path + size;
	struct node *n = &t->root;

	pthread_mutex_lock(&t->lock);
	while (n && path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t segment = (size_t)((slash ? slash : end) - path);
		n = find_segment(t, n, path, segment);
		path += segment + (slash != NULL);
	}
	if (n && (n->kind != NODE_LIVE || !n->ino))
		n = NULL;
	if (n)
		n->refs++;
	pthread_mutex_unlock(&t->lock);
	return n;
}

static bool stands_for(const struct node *n, uint64_t ino, mode_t mode)
{
	return n->kind == NODE_LIVE && n->ino == ino && n->type == (mode & S_IFMT) && !n->cache.frozen;
}

struct node *nodes_enter_past(struct nodes *t, struct node *parent, const char *name, const struct node_target *target, bool leads)
{
	pthread_mutex_lock(&t->lock);
	struct node *there = find(t, parent, name);
	struct node *n = there && stands_for(there, target->ino, target->mode) ? there : NULL;
	for (struct node *l = n ? NULL : t->loose; l && !n; l = l->loose_next)
		if (stands_for(l, target->ino, target->mode) && !is_parted(l))
			n = l;
	if (!n) {
		if (leads)
			loosen(t, there);
		n = make_unbound(t, parent, name, target);
		if (leads)
			bind(t, n);
		else
			loose_add(t, n);
	}
	n->lookups++;
	pthread_mutex_unlock(&t->lock);
	return n;
}

void nodes_removed_elsewhere(struct nodes *t, struct node *parent, const char *name, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	struct node *n = find(t, parent, name);
	if (n && n->ino == ino)
		loosen(t, n);
	pthread_mutex_unlock(&t->lock);
}

void nodes_renamed_elsewhere(struct nodes *t, struct node *moved, struct node *parent2, const char *name2, bool leads)
{
	pthread_mutex_lock(&t->lock);
	struct node *to = find(t, parent2, name2);
	if (to != moved && !moved->cache.frozen) {
		loosen(t, moved);
		if (leads && !(to && node_provisional(to))) {
			loosen(t, to);
			rebind(t, moved, parent2, name2);
		}
	}
	pthread_mutex_unlock(&t->lock);
}

void nodes_hold(struct nodes *t, struct node *n)
{
	pthread_mutex_lock(&t->lock);
	n->refs++;
	pthread_mutex_unlock(&t->lock);
}

void nodes_put(struct nodes *t, struct node *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&t->lock);
	assert(n->refs > 0);
	n->refs--;
	drop_unused(t, n);
	pthread_mutex_unlock(&t->lock);
}

void nodes_forget(struct nodes *t, struct node *n, uint64_t lookups)
{
	pthread_mutex_lock(&t->lock);
	if (n != &t->root) {
		assert(n->lookups >= lookups);
		n->lookups -= lookups;
		drop_unused(t, n);
	}
	pthread_mutex_unlock(&t->lock);
}

/* A path is built from its end, in a buffer with one byte more than a key needs, so that start 0 means that it did not fit. */
#define PATH_BUFFER (MVCC_KEY_MAX + 1)

/* Puts a segment before what stands at `start`. */
static size_t prepend(char *buffer, size_t start, const char *segment, size_t size)
{
	size_t slash = start < PATH_BUFFER;

	if (size == 0)
		return start;
	if (size + slash >= start)
		return 0;
	if (slash)
		buffer[--start] = '/';
	memcpy(buffer + start - size, segment, size);
	return start - size;
}

int nodes_path(struct nodes *t, const struct node *n, const char *name, char *key, uint64_t *anchor)
{
	char buffer[PATH_BUFFER];
	size_t start = PATH_BUFFER;

	*anchor = 0;
	if (name)
		start = prepend(buffer, start, name, strlen(name));
	pthread_mutex_lock(&t->lock);
	for (; n != &t->root && start; n = n->parent) {
		if (!n->bound && n->kind == NODE_LIVE && n->ino) {
			*anchor = n->ino;
			break;
		}
		start = prepend(buffer, start, n->name, n->segment_len);
	}
	pthread_mutex_unlock(&t->lock);
	if (!start)
		return -ENAMETOOLONG;
	size_t size = PATH_BUFFER - start;
	memcpy(key, buffer + start, size);
	key[size] = '\0';
	return (int)size;
}
