#include "store/mvcc/inodes.h"

#include "store/mvcc/index.h"

#include <stdlib.h>

#define INODES_BITS_MIN 6

static size_t home(const struct inodes *t, uint64_t ino)
{
	return (size_t)((ino * 0x9e3779b97f4a7c15u) >> (64 - t->bits));
}

/* The slot of `ino`, or the free one where it would go. */
static size_t slot_of(const struct inodes *t, uint64_t ino)
{
	size_t mask = ((size_t)1 << t->bits) - 1;
	size_t i = home(t, ino);
	while (t->slots[i] && t->slots[i]->ino != ino)
		i = (i + 1) & mask;
	return i;
}

struct index_node *inodes_find(const struct inodes *t, uint64_t ino)
{
	return t->slots ? t->slots[slot_of(t, ino)] : NULL;
}

static void grow(struct inodes *t)
{
	struct inodes bigger = {.bits = t->slots ? t->bits + 1 : INODES_BITS_MIN, .count = t->count};
	bigger.slots = calloc((size_t)1 << bigger.bits, sizeof *bigger.slots);
	if (!bigger.slots)
		abort();
	for (size_t i = 0; t->slots && i < (size_t)1 << t->bits; i++)
		if (t->slots[i])
			bigger.slots[slot_of(&bigger, t->slots[i]->ino)] = t->slots[i];
	free(t->slots);
	*t = bigger;
}

void inodes_set(struct inodes *t, struct index_node *node)
{
	if (!t->slots || t->count >= ((size_t)1 << t->bits) / 4 * 3)
		grow(t);
	size_t i = slot_of(t, node->ino);
	if (!t->slots[i])
		t->count++;
	t->slots[i] = node;
}

/* Closes the gap at `i` by moving back whatever was pushed past it (Knuth 6.4, algorithm R). */
static void close_gap(struct inodes *t, size_t i)
{
	size_t mask = ((size_t)1 << t->bits) - 1;
	for (size_t j = (i + 1) & mask; t->slots[j]; j = (j + 1) & mask) {
		size_t from = home(t, t->slots[j]->ino);
		if (((j - from) & mask) < ((j - i) & mask))
			continue;
		t->slots[i] = t->slots[j];
		i = j;
	}
	t->slots[i] = NULL;
}

void inodes_remove(struct inodes *t, const struct index_node *node)
{
	if (!t->slots)
		return;
	size_t i = slot_of(t, node->ino);
	if (t->slots[i] != node)
		return;
	t->count--;
	close_gap(t, i);
}

void inodes_free(struct inodes *t)
{
	free(t->slots);
	*t = (struct inodes){0};
}
