/* compact.h: deleting what no revision from the floor on shows. The backend thread alone.
 *
 * A pass goes over the records of LMDB in order of revision, up to the floor that is in LMDB. A record goes if its key has a later one at or below the
 * floor, or if it is a tombstone below it (one at the floor stays: the revision can be read, and what it shows has to have a cause). With it goes its
 * mark in the index, and with a key's last mark its node. Going in order has three merits: neighbours in LMDB go together, so few pages are
 * written; a node's marks go oldest first; and the records of a later revision are still there when an earlier one is judged.
 *
 * With a record of a large file go blocks. If its file lives on, of each block all but the newest at or below the floor; if its file came to an end,
 * all of them. A file ends where a key gets a tombstone, or the record of another file, and no record of the same command says that it lives on under
 * another key. Versions that are held (holds.h) keep their blocks; what was spared for them is looked at again when they are released.
 *
 * A step does a bounded amount of work. Blocks go first, in transactions of their own; the records that they belong to go last, together with the
 * place where the pass stands. So whenever it ends, in a crash too, it goes on from the last such place, and finds again what there is to do. */
#ifndef TALLY_STORE_MVCC_COMPACT_H
#define TALLY_STORE_MVCC_COMPACT_H

#include "store/mvcc/buffer.h"

#include <stdatomic.h>

struct index_node;

/* Blocks of one file to be deleted. */
struct prune {
	uint64_t ino;
	uint64_t bound; /* of each block the newest one up to here stays; UINT64_MAX: the file has ended, nothing stays */
};

struct prunes {
	struct prune *items;
	size_t count;
	size_t capacity;
};

/* A record to be deleted. */
struct victim {
	struct rev rev;
	struct index_node *node;
};

#define COMPACT_VICTIMS_MAX 1024u
#define COMPACT_PRUNED 256u

struct compaction {
	uint64_t committed; /* the floor in the last commit */
	uint64_t done;      /* the floor of the last pass that ended */
	uint64_t floor;     /* of the pass under way; 0: none is */
	struct rev at;      /* where it goes on */
	bool over;          /* it has seen all there is */
	bool changed;       /* something was deleted since its place was stored */
	uint64_t visited;   /* records that it looked at */
	uint64_t visited_last;
	struct victim victims[COMPACT_VICTIMS_MAX];
	size_t victims_count;
	struct prunes prunes; /* to be done before the victims go */
	size_t prune;         /* the one under way, and where in its file */
	struct block_id block;
	bool older_kept;                 /* of the block that comes next, for a reader */
	bool spared;                     /* a block of this file, for a reader */
	struct prunes deferred;          /* files with blocks that are held */
	atomic_bool released;            /* ... and some are no more */
	uint64_t pruned[COMPACT_PRUNED]; /* files pruned up to the floor in this pass */
	uint64_t moved_main;             /* files that have a record in this revision: */
	uint64_t *moved;
	size_t moved_count;
	size_t moved_capacity;
};

struct mvcc;

/* Where the last run stood. For opening, once the index is there. */
int compaction_load(struct mvcc *m);
void compaction_free(struct compaction *c);
/* A commit has put this floor into LMDB. */
void compaction_raise(struct compaction *c, uint64_t floor);
/* Is there anything to do? */
bool compaction_pending(const struct compaction *c);
/* Is a pass under way? */
bool compaction_runs(const struct compaction *c);
/* Does one step. */
int compaction_step(struct mvcc *m);

#endif
