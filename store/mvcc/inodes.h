/* inodes.h: which index node lives under an inode number: an open-addressing table of pointers, eight to sixteen bytes a live key. */
#ifndef TALLY_STORE_MVCC_INODES_H
#define TALLY_STORE_MVCC_INODES_H

#include <stddef.h>
#include <stdint.h>

struct index_node;

/* A zeroed table is empty and ready. A node's ino must not change while it is in the table. */
struct inodes {
	struct index_node **slots;
	unsigned bits; /* the table has 1 << bits slots, or none */
	size_t count;
};

/* NULL if there is none. */
struct index_node *inodes_find(const struct inodes *t, uint64_t ino);
/* Enters node under node->ino, in place of another one that is there. */
void inodes_set(struct inodes *t, struct index_node *node);
/* Takes the node out if it is there itself. */
void inodes_remove(struct inodes *t, const struct index_node *node);
void inodes_free(struct inodes *t);

#endif
