#include "store/mvcc/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FANOUT 64u
#define FEW (FANOUT / 4) /* with fewer, what is left is joined with its neighbour, or takes from it */
#define HEIGHT_MAX 12u

struct index_leaf {
	struct index_leaf *next;
	unsigned count;
	struct index_node *nodes[FANOUT];
};

/* Child i holds the keys from least[i] on, up to least[i + 1]. least[0] is NULL: the first child takes all that is smaller. All other nodes
 * that are named here are in the tree. */
struct branch {
	unsigned count;
	struct index_node *least[FANOUT];
	void *children[FANOUT];
};

/* The way from the root down to a leaf. */
struct path {
	struct branch *branches[HEIGHT_MAX];
	unsigned slots[HEIGHT_MAX];
};

/* The first slot in [low, high) whose key is > key, or >= key if `equal`. */
static unsigned search(struct index_node *const *nodes, unsigned low, unsigned high, struct span key, bool equal)
{
	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = key_compare(index_node_key(nodes[middle]), key);
		if (order > 0 || (equal && order == 0))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static struct index_leaf *leaf_of(const struct index *x, struct span key, struct path *path)
{
	void *at = x->root;
	for (unsigned level = 0; level < x->height; level++) {
		struct branch *b = at;
		unsigned slot = search(b->least, 1, b->count, key, false) - 1;
		if (path) {
			path->branches[level] = b;
			path->slots[level] = slot;
		}
		at = b->children[slot];
	}
	return at;
}

static void *zeroed(size_t size)
{
	void *p = calloc(1, size);
	if (!p)
		abort();
	return p;
}

static void new_root(struct index *x, struct index_node *least_right, void *right)
{
	assert(x->height < HEIGHT_MAX);
	struct branch *b = zeroed(sizeof *b);
	b->count = 2;
	b->least[1] = least_right;
	b->children[0] = x->root;
	b->children[1] = right;
	x->root = b;
	x->height++;
}

static void branch_insert(struct branch *b, unsigned slot, struct index_node *least, void *child)
{
	memmove(&b->least[slot + 1], &b->least[slot], (b->count - slot) * sizeof b->least[0]);
	memmove(&b->children[slot + 1], &b->children[slot], (b->count - slot) * sizeof b->children[0]);
	b->least[slot] = least;
	b->children[slot] = child;
	b->count++;
}

/* Moves the upper part of a full branch to a new one. Keys that come in order leave the lower part full. */
static struct branch *branch_split(struct branch *b, unsigned keep)
{
	struct branch *right = zeroed(sizeof *right);
	right->count = b->count - keep;
	memcpy(right->least, &b->least[keep], right->count * sizeof b->least[0]);
	memcpy(right->children, &b->children[keep], right->count * sizeof b->children[0]);
	b->count = keep;
	return right;
}

/* A child on the path was split: enters its new right half in the branches above, splitting those that are full. */
static void path_insert(struct index *x, const struct path *path, struct index_node *least, void *right)
{
	for (unsigned level = x->height; level-- > 0;) {
		struct branch *b = path->branches[level];
		unsigned slot = path->slots[level] + 1;
		if (b->count < FANOUT) {
			branch_insert(b, slot, least, right);
			return;
		}
		unsigned keep = slot == FANOUT ? FANOUT - 1 : FANOUT / 2;
		struct branch *other = branch_split(b, keep);
		if (slot <= keep)
			branch_insert(b, slot, least, right);
		else
			branch_insert(other, slot - keep, least, right);
		least = other->least[0];
		other->least[0] = NULL;
		right = other;
	}
	new_root(x, least, right);
}

static void leaf_insert(struct index *x, struct index_leaf *leaf, unsigned slot, struct index_node *n)
{
	memmove(&leaf->nodes[slot + 1], &leaf->nodes[slot], (leaf->count - slot) * sizeof leaf->nodes[0]);
	leaf->nodes[slot] = n;
	leaf->count++;
	x->hint = leaf;
}

static void leaf_split_insert(struct index *x, struct index_leaf *leaf, unsigned slot, struct index_node *n, const struct path *path)
{
	unsigned keep = slot == FANOUT ? FANOUT : FANOUT / 2;
	struct index_leaf *right = zeroed(sizeof *right);
	right->count = leaf->count - keep;
	memcpy(right->nodes, &leaf->nodes[keep], right->count * sizeof leaf->nodes[0]);
	leaf->count = keep;
	right->next = leaf->next;
	leaf->next = right;
	if (slot < keep)
		leaf_insert(x, leaf, slot, n);
	else
		leaf_insert(x, right, slot - keep, n);
	path_insert(x, path, right->nodes[0], right);
}

/* May the key be nowhere but in this leaf? */
static bool leaf_bounds(const struct index_leaf *leaf, struct span key)
{
	return key_compare(index_node_key(leaf->nodes[0]), key) <= 0 &&
	       (!leaf->next || key_compare(index_node_key(leaf->next->nodes[0]), key) > 0);
}

/* Where keys come in order, this is all of the search. */
static unsigned leaf_slot(const struct index_leaf *leaf, struct span key)
{
	if (leaf->count > 0 && key_compare(index_node_key(leaf->nodes[leaf->count - 1]), key) < 0)
		return leaf->count;
	return search(leaf->nodes, 0, leaf->count, key, true);
}

void index_put(struct index *x, struct span key, struct mark mark, const struct index_put *put)
{
	if (!x->root)
		x->root = x->first = zeroed(sizeof *x->first);
	struct path path;
	bool hinted = x->hint && leaf_bounds(x->hint, key);
	struct index_leaf *leaf = hinted ? x->hint : leaf_of(x, key, &path);
	unsigned slot = leaf_slot(leaf, key);
	struct index_node *n = NULL;
	if (slot < leaf->count && key_compare(index_node_key(leaf->nodes[slot]), key) == 0)
		n = leaf->nodes[slot];
	struct index_node *after = index_node_put(x, n, key, mark, put);
	if (n)
		return;
	if (leaf->count < FANOUT) {
		leaf_insert(x, leaf, slot, after);
		return;
	}
	if (hinted)
		leaf_of(x, key, &path);
	leaf_split_insert(x, leaf, slot, after, &path);
}

/* Of two neighbours with `a` and `b` entries that are to be joined or evened out: how many the left one gets. */
static unsigned share_of_left(unsigned a, unsigned b)
{
	return a + b <= FANOUT ? a + b : (a + b) / 2;
}

static void leaf_share(struct index_leaf *left, struct index_leaf *right)
{
	unsigned a = left->count, b = right->count, share = share_of_left(a, b);
	struct index_node *all[2 * FANOUT];
	memcpy(all, left->nodes, a * sizeof all[0]);
	memcpy(all + a, right->nodes, b * sizeof all[0]);
	memcpy(left->nodes, all, share * sizeof all[0]);
	memcpy(right->nodes, all + share, (a + b - share) * sizeof all[0]);
	left->count = share;
	right->count = a + b - share;
}

/* `least` is the least node of the right one before, and returned is that after. */
static struct index_node *branch_share(struct branch *left, struct branch *right, struct index_node *least)
{
	unsigned a = left->count, b = right->count, share = share_of_left(a, b);
	struct branch *both[2] = {left, right};
	struct index_node *leasts[2 * FANOUT];
	void *children[2 * FANOUT];
	right->least[0] = least;
	for (unsigned i = 0, at = 0; i < 2; at += both[i++]->count) {
		memcpy(leasts + at, both[i]->least, both[i]->count * sizeof leasts[0]);
		memcpy(children + at, both[i]->children, both[i]->count * sizeof children[0]);
	}
	left->count = share;
	right->count = a + b - share;
	for (unsigned i = 0, at = 0; i < 2; at += both[i++]->count) {
		memcpy(both[i]->least, leasts + at, both[i]->count * sizeof leasts[0]);
		memcpy(both[i]->children, children + at, both[i]->count * sizeof children[0]);
	}
	right->least[0] = NULL;
	return share < a + b ? leasts[share] : NULL;
}

static void branch_remove(struct branch *b, unsigned slot)
{
	b->count--;
	memmove(&b->least[slot], &b->least[slot + 1], (b->count - slot) * sizeof b->least[0]);
	memmove(&b->children[slot], &b->children[slot + 1], (b->count - slot) * sizeof b->children[0]);
}

/* Child `slot` of `b` has few entries: it is joined or evened out with a neighbour. `leaves`: the children are leaves. */
static void rebalance(struct index *x, struct branch *b, unsigned slot, bool leaves)
{
	unsigned right = slot > 0 ? slot : 1;
	void *l = b->children[right - 1];
	void *r = b->children[right];
	bool joined;
	if (leaves) {
		struct index_leaf *left = l, *other = r;
		leaf_share(left, other);
		joined = other->count == 0;
		if (joined)
			left->next = other->next;
		if (joined && x->hint == other)
			x->hint = NULL;
		b->least[right] = other->nodes[0];
	} else {
		b->least[right] = branch_share(l, r, b->least[right]);
		joined = ((struct branch *)r)->count == 0;
	}
	if (joined) {
		free(r);
		branch_remove(b, right);
	}
}

/* The root has a single entry, or none: one level less. */
static void lower_root(struct index *x)
{
	struct index_leaf *leaf = x->root;
	struct branch *b = x->root;
	if (x->height > 0 && b->count == 1) {
		x->root = b->children[0];
		x->height--;
		free(b);
	} else if (x->height == 0 && leaf->count == 0) {
		x->root = x->first = x->hint = NULL;
		free(leaf);
	}
}

/* `n`, just taken out of `leaf`, may be what a branch names as the least of a child: the only one is the deepest whose child is not its first,
 * since to be the least there it has to be the first of all below. */
static void replace_least(struct index *x, const struct path *path, const struct index_leaf *leaf, const struct index_node *n)
{
	for (unsigned level = x->height; level-- > 0;) {
		struct branch *b = path->branches[level];
		unsigned slot = path->slots[level];
		if (slot == 0)
			continue;
		/* An empty leaf is about to be joined with its neighbour: the left one if it is not the first child, and then its least goes. */
		if (b->least[slot] == n)
			b->least[slot] = leaf->count > 0 ? leaf->nodes[0] : leaf->next ? leaf->next->nodes[0] : NULL;
		return;
	}
}

static unsigned entries(const void *at, bool is_leaf)
{
	return is_leaf ? ((const struct index_leaf *)at)->count : ((const struct branch *)at)->count;
}

static void remove_node(struct index *x, struct index_node *n)
{
	struct path path;
	struct index_leaf *leaf = leaf_of(x, index_node_key(n), &path);
	unsigned slot = search(leaf->nodes, 0, leaf->count, index_node_key(n), true);
	assert(slot < leaf->count && leaf->nodes[slot] == n);
	leaf->count--;
	memmove(&leaf->nodes[slot], &leaf->nodes[slot + 1], (leaf->count - slot) * sizeof leaf->nodes[0]);
	replace_least(x, &path, leaf, n);
	for (unsigned level = x->height; level-- > 0;) {
		struct branch *b = path.branches[level];
		bool leaves = level + 1 == x->height;
		if (entries(b->children[path.slots[level]], leaves) >= FEW)
			break;
		rebalance(x, b, path.slots[level], leaves);
	}
	lower_root(x);
}

void index_forget(struct index *x, struct index_node *n)
{
	if (!index_node_forget(n))
		return;
	assert(!index_node_live(n));
	remove_node(x, n);
	index_node_free(x, n);
}

struct index_node *index_find(const struct index *x, struct span key)
{
	struct index_cursor c = index_seek(x, key);
	struct index_node *n = index_at(&c);
	return n && key_compare(index_node_key(n), key) == 0 ? n : NULL;
}

struct index_cursor index_seek(const struct index *x, struct span key)
{
	struct index_cursor c = {0};
	if (!x->root)
		return c;
	c.leaf = leaf_of(x, key, NULL);
	c.slot = search(c.leaf->nodes, 0, c.leaf->count, key, true);
	return c;
}

void index_seek_forward(const struct index *x, struct index_cursor *c, struct span key)
{
	if (!c->leaf)
		return;
	if (key_compare(index_node_key(c->leaf->nodes[c->leaf->count - 1]), key) >= 0)
		c->slot = search(c->leaf->nodes, c->slot, c->leaf->count, key, true);
	else
		*c = index_seek(x, key);
}

struct index_node *index_at(struct index_cursor *c)
{
	while (c->leaf && c->slot >= c->leaf->count) {
		c->leaf = c->leaf->next;
		c->slot = 0;
	}
	return c->leaf ? c->leaf->nodes[c->slot] : NULL;
}

void index_next(struct index_cursor *c)
{
	c->slot++;
}

void index_children(const struct index *x, struct span dir, bool (*fn)(void *ctx, const struct index_node *n, struct span name), void *ctx)
{
	char key[MVCC_KEY_MAX + 3];
	if (dir.size > MVCC_KEY_MAX)
		return;
	size_t prefix = 0;
	if (dir.size > 0) {
		memcpy(key, dir.data, dir.size);
		key[dir.size] = '/';
		prefix = dir.size + 1;
	}
	struct index_cursor c = index_seek(x, (struct span){key, prefix});
	struct index_node *n;
	while ((n = index_at(&c)) && n->key_size >= prefix && memcmp(n->key, key, prefix) == 0) {
		struct span name = {n->key + prefix, n->key_size - prefix};
		const char *slash = memchr(name.data, '/', name.size);
		if (slash) {
			/* Below a child: on to the first key that is not, '0' being the byte after '/'. */
			size_t skip = (size_t)(slash - n->key);
			memcpy(key + prefix, n->key + prefix, skip - prefix);
			key[skip] = '/' + 1;
			index_seek_forward(x, &c, (struct span){key, skip + 1});
			continue;
		}
		if (name.size > 0 && fn(ctx, n, name))
			return;
		index_next(&c);
	}
}

static void free_marks(struct index *x)
{
	for (struct index_cursor c = {x->first, 0}; index_at(&c); index_next(&c)) {
		struct index_node *n = index_at(&c);
		if (n->bits & NODE_MANY)
			free(n->many);
	}
}

static void free_tree(void *at, unsigned height)
{
	if (height > 0) {
		struct branch *b = at;
		for (unsigned i = 0; i < b->count; i++)
			free_tree(b->children[i], height - 1);
	}
	free(at);
}

void index_free(struct index *x)
{
	free_marks(x);
	free_tree(x->root, x->height);
	inodes_free(&x->inodes);
	pool_free(&x->nodes);
	*x = (struct index){0};
}
