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
		return n->many->items;
	}
	*one = (struct mark){n->main, n->sub};
	*count = 1;
	return one;
}

static struct mark last_mark(const struct index_node *n)
{
	if (n->bits & NODE_MANY)
		return n->many->items[n->many->count - 1];
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

static void marks_append(struct index_node *n, struct mark mark)
{
	struct marks *list = n->bits & NODE_MANY ? n->many : NULL;
	if (!list || list->count == list->capacity) {
		uint32_t capacity = list ? list->capacity + list->capacity / 2 : 2;
		struct marks *grown = realloc(list, sizeof *grown + capacity * sizeof grown->items[0]);
		if (!grown)
			abort();
		if (!list) {
			grown->items[0] = (struct mark){n->main, n->sub};
			grown->count = 1;
		}
		grown->capacity = capacity;
		n->many = list = grown;
		n->bits |= NODE_MANY;
	}
	list->items[list->count++] = mark;
}

static struct index_node *node_new(struct index *x, struct span key)
{
	struct index_node *n = arena_alloc(&x->nodes, offsetof(struct index_node, key) + key.size);
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
