#include "store/mvcc/index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TRAIL_MAX 8

_Static_assert(offsetof(struct index_node, key) == 31, "a node with a key of 32 bytes fills 64");

int key_compare(struct span a, struct span b)
{
	size_t shared = a.size < b.size ? a.size : b.size;
	int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;
	return order ? order : (a.size > b.size) - (a.size < b.size);
}

const struct mark *index_marks(const struct index_node *n, struct mark *one, size_t *count)
{
	if (n->bits & NODE_MANY) {
		*count = n->many->count;
		return n->many->items + n->many->first;
	}
	*one = (struct mark){n->main, n->sub};
	*count = 1;
	return one;
}

static struct mark last_mark(const struct index_node *n)
{
	if (n->bits & NODE_MANY)
		return n->many->items[n->many->first + n->many->count - 1];
	return (struct mark){n->main, n->sub};
}

bool index_node_live(const struct index_node *n)
{
	return !(last_mark(n).sub & MARK_TOMBSTONE);
}

/* The number of marks whose main revision is at most `bound`. */
static size_t marks_until(const struct mark *marks, size_t count, uint64_t bound)
{
	if (marks[count - 1].main <= bound)
		return count;
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (marks[middle].main <= bound)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool index_view_at(const struct index_node *n, uint64_t bound, struct index_view *out)
{
	struct mark one;
	size_t count;
	const struct mark *marks = index_marks(n, &one, &count);
	size_t until = marks_until(marks, count, bound);
	if (until == 0 || marks[until - 1].sub & MARK_TOMBSTONE)
		return false;
	out->mark = marks[until - 1];
	/* The node keeps what the last put said: that is this mark, or else only tombstones and touches may have followed. A directory
	 * has very many of those; reading its record is cheaper then. */
	out->known = count - until <= TRAIL_MAX;
	for (size_t i = until; i < count && out->known; i++)
		out->known = marks[i].sub & (MARK_TOMBSTONE | MARK_TOUCH);
	out->type = (uint32_t)(n->bits & NODE_TYPE) << 12;
	out->ino = n->ino;
	return true;
}

static struct marks *marks_resize(struct marks *list, uint32_t capacity)
{
	struct marks *resized = realloc(list, sizeof *resized + capacity * sizeof resized->items[0]);
	if (!resized)
		abort();
	resized->capacity = capacity;
	return resized;
}

/* A list of the one mark that the node has. */
static struct marks *marks_begin(const struct index_node *n)
{
	struct marks *list = marks_resize(NULL, 2);
	list->items[0] = (struct mark){n->main, n->sub};
	list->count = 1;
	list->first = 0;
	return list;
}

/* Closes the gap that forgotten marks have left. */
static void marks_close(struct marks *list)
{
	memmove(list->items, list->items + list->first, list->count * sizeof list->items[0]);
	list->first = 0;
}

static void marks_append(struct index_node *n, struct mark mark)
{
	struct marks *list = n->bits & NODE_MANY ? n->many : marks_begin(n);
	n->bits |= NODE_MANY;
	if (list->first + list->count == list->capacity && list->first > list->capacity / 2)
		marks_close(list);
	else if (list->first + list->count == list->capacity)
		list = marks_resize(list, list->capacity + list->capacity / 2);
	list->items[list->first + list->count++] = mark;
	n->many = list;
}

/* Half of the room may be gaps before it is worth a copy, so that forgetting many marks one by one costs little for each. */
static void marks_forget(struct index_node *n)
{
	struct marks *list = n->many;
	list->first++;
	list->count--;
	if (list->count == 1) {
		struct mark last = list->items[list->first];
		free(list);
		n->bits &= (uint8_t)~NODE_MANY;
		n->main = last.main;
		n->sub = last.sub;
	} else if (list->first > list->capacity / 2) {
		marks_close(list);
		n->many = marks_resize(list, list->count + list->count / 2);
	}
}

bool index_node_forget(struct index_node *n)
{
	if (!(n->bits & NODE_MANY))
		return true;
	marks_forget(n);
	return false;
}

static size_t node_bytes(size_t key_size)
{
	return offsetof(struct index_node, key) + key_size;
}

void index_node_free(struct index *x, struct index_node *n)
{
	pool_return(&x->nodes, n, node_bytes(n->key_size));
}

static struct index_node *node_new(struct index *x, struct span key)
{
	struct index_node *n = pool_alloc(&x->nodes, node_bytes(key.size));
	n->ino = 0;
	n->size = 0;
	n->bits = 0;
	n->key_size = (uint16_t)key.size;
	if (key.size > 0)
		memcpy(n->key, key.data, key.size);
	return n;
}

static void node_dies(struct index *x, struct index_node *n)
{
	inodes_remove(&x->inodes, n);
	x->live--;
	x->live_bytes -= n->size;
}

static void node_lives(struct index *x, struct index_node *n, uint64_t ino, uint32_t mode, uint64_t size)
{
	n->ino = ino;
	n->size = S_ISREG(mode) ? size : 0;
	n->bits = (uint8_t)((n->bits & NODE_MANY) | ((mode & S_IFMT) >> 12));
	inodes_set(&x->inodes, n);
	x->live++;
	x->live_bytes += n->size;
}

struct index_node *index_node_put(struct index *x, struct index_node *n, struct span key, struct mark mark, const struct index_put *put)
{
	if (n) {
		if (index_node_live(n))
			node_dies(x, n);
		marks_append(n, mark);
	} else {
		n = node_new(x, key);
		n->main = mark.main;
		n->sub = mark.sub;
	}
	if (!(mark.sub & MARK_TOMBSTONE))
		node_lives(x, n, put->ino, put->mode, put->size);
	return n;
}
