/* index.h: the tree index: every key that has a retained revision, in byte order, with the revisions that touched it.
 *
 * A B+ tree in memory whose leaves point to nodes, one a key. A node never moves, so a pointer to it is good until the key's last mark is
 * forgotten. A million keys of 32 bytes cost about 64 MB of nodes, 8 to 12 MB of tree and 8 to 16 MB of inode numbers.
 * One writer, any number of readers; the caller keeps them apart. Memory that runs out ends the process. */
#ifndef TALLY_STORE_MVCC_INDEX_H
#define TALLY_STORE_MVCC_INDEX_H

#include "store/mvcc/inodes.h"
#include "store/mvcc/mvcc.h"
#include "store/mvcc/pool.h"

#define MARK_TOMBSTONE 0x80000000u
#define MARK_TOUCH 0x40000000u
#define MARK_SUB 0x3fffffffu

/* A revision in a key's list. */
struct mark {
	uint64_t main;
	uint32_t sub; /* and MARK_TOMBSTONE, MARK_TOUCH */
};

/* Those from items[first] on; what was before them is forgotten. */
struct marks {
	uint32_t count;
	uint32_t capacity;
	uint32_t first;
	struct mark items[];
};

#define NODE_TYPE 0x0fu /* S_IFMT >> 12 */
#define NODE_MANY 0x10u /* more than one mark: `many` instead of `main` and `sub` */

struct index_node {
	uint64_t ino;  /* as the last put that was no tombstone left it, like the two below */
	uint64_t size; /* of a regular file, else 0 */
	union {
		uint64_t main;
		struct marks *many;
	};
	uint32_t sub;
	uint16_t key_size;
	uint8_t bits;
	char key[];
};

struct index_leaf;

/* A zeroed index is empty and ready. */
struct index {
	struct pool nodes;
	struct inodes inodes;
	void *root;
	unsigned height; /* branches above the leaves */
	struct index_leaf *first;
	struct index_leaf *hint; /* where the last key was put: the next one is often its neighbour */
	uint64_t live;           /* keys whose last mark is no tombstone */
	uint64_t live_bytes;     /* their sizes */
};

void index_free(struct index *x);

/* What a put leaves in the node; does not matter for a tombstone. */
struct index_put {
	uint64_t ino;
	uint64_t size;
	uint32_t mode;
};
/* Adds a mark, later than all others of the key. */
void index_put(struct index *x, struct span key, struct mark mark, const struct index_put *put);
/* The same for a key whose node is known; NULL makes a new node, which is not in the tree yet. For index.c. */
struct index_node *index_node_put(struct index *x, struct index_node *n, struct span key, struct mark mark, const struct index_put *put);
/* Forgets the oldest mark of a node. With the last one, which must be a tombstone, the node goes. */
void index_forget(struct index *x, struct index_node *n);
/* The same short of the last; true if that is to go now. For index.c, like the next. */
bool index_node_forget(struct index_node *n);
void index_node_free(struct index *x, struct index_node *n);
/* NULL if there is no such key. */
struct index_node *index_find(const struct index *x, struct span key);

static inline struct span index_node_key(const struct index_node *n)
{
	return (struct span){n->key, n->key_size};
}

/* Its marks, oldest first. `one` is room for the list of a node that has a single one. */
const struct mark *index_marks(const struct index_node *n, struct mark *one, size_t *count);
bool index_node_live(const struct index_node *n);

/* A key as a revision saw it. */
struct index_view {
	struct mark mark;
	bool known;    /* ino and type are known without reading the record */
	uint32_t type; /* S_IFMT bits */
	uint64_t ino;
};
/* The last mark whose main revision is at most `bound`; false if there is none or it is a tombstone. */
bool index_view_at(const struct index_node *n, uint64_t bound, struct index_view *out);

/* A place among the keys, good until the next index_put or index_forget. */
struct index_cursor {
	struct index_leaf *leaf;
	unsigned slot;
};
/* At the first key >= `key`. */
struct index_cursor index_seek(const struct index *x, struct span key);
/* The same from a place before it; cheap if it is not far. */
void index_seek_forward(const struct index *x, struct index_cursor *c, struct span key);
/* NULL at the end. */
struct index_node *index_at(struct index_cursor *c);
void index_next(struct index_cursor *c);

/* Calls fn for each direct child of a directory, dead ones too, jumping over whatever lies below them. fn returns true to stop. */
void index_children(const struct index *x, struct span dir, bool (*fn)(void *ctx, const struct index_node *n, struct span name), void *ctx);

int key_compare(struct span a, struct span b);

#endif
