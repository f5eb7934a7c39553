/* lmdb_file.h: what the simulated LMDB (lmdb.c) keeps on a disk: ordered maps whose keys have versions by transaction. Private to tests/sim/lmdb*.c. */
#ifndef TALLY_SIM_LMDB_FILE_H
#define TALLY_SIM_LMDB_FILE_H

#include "tests/sim/disk.h"

#include <lmdb.h>

#define PAGE 4096u
#define MAPS_MAX 8u
#define FIRST_DBI 2u
#define FOLDERS_MAX 16u
#define RENAMES_MAX 16u
#define NAME_MAX_BYTES 32u
#define PATH_BYTES 64u

struct version {
	struct version *older;
	uint64_t txn;
	bool deleted;
	size_t size;
	uint8_t data[];
};

struct cell {
	struct version *newest;
	size_t key_size;
	uint8_t key[];
};

struct map {
	char name[NAME_MAX_BYTES];
	uint64_t made_by; /* transaction */
	struct cell **cells;
	size_t count;
	size_t capacity;
};

/* What is on the disk. */
struct file {
	char path[PATH_BYTES];
	struct map maps[MAPS_MAX];
	uint32_t maps_count;
	uint64_t last;   /* committed transaction */
	uint64_t synced; /* it survives a power cut: last or last - 1 */
	uint64_t bytes;
	struct MDB_txn *readers;
	bool writing;
	bool open;
	bool begun; /* data.mdb is there */
};

struct MDB_env {
	struct machine *machine;
	struct file *file;
};

struct MDB_txn {
	struct MDB_env *env;
	uint64_t sees;
	bool writes;
	bool active;
	struct MDB_txn *next; /* of the file's readers */
	struct touched *touched;
	size_t touched_count;
	size_t touched_capacity;
};

struct touched {
	struct map *map;
	struct cell *cell;
};

struct MDB_cursor {
	struct MDB_txn *txn;
	struct map *map;
	struct cell *at;
};

struct renamed {
	struct file *file;
	char from[PATH_BYTES];
};

/* Below 0, 0 or above, as the cell's key is to the other. */
int lmdb_compare(const struct cell *c, const MDB_val *key);
/* The first cell that is not below the key. */
size_t lmdb_find_place(const struct map *m, const MDB_val *key);
struct cell *lmdb_find_cell(const struct map *m, const MDB_val *key);
struct cell *lmdb_make_cell(struct map *m, const MDB_val *key);
/* NULL: the transaction sees nothing there. */
const struct version *lmdb_seen(const struct cell *c, const struct MDB_txn *txn);
void lmdb_free_versions(struct file *f, struct version *v);
/* Versions that nobody can see any more go: a power cut may bring back the last commit but one, and readers see what they began with. */
void lmdb_prune(struct file *f, struct cell *c);
/* Cells without a version go, and those whose last one says that they are deleted; while nobody looks at them. */
void lmdb_sweep(struct file *f);
/* Takes back what transactions after `txn` did. */
void lmdb_undo(struct file *f, uint64_t txn);
/* Where the machine's folder of that path is kept, or is to be. */
struct file **lmdb_file_place(struct machine *m, const char *path);

#endif
