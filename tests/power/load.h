/* load.h: workers that use a mount, each in a directory of its own, and what must be found of their work after a power cut.
 *
 * A worker has one operation under way at a time. Before it and after its success it marks the journal. After a cut, its files are as its
 * operations that were done left them, or as the one that was under way left them then, and nothing else. All workers also append to one file:
 * each line that was done is there exactly once, one that was under way at most once. */
#ifndef TALLY_TESTS_POWER_LOAD_H
#define TALLY_TESTS_POWER_LOAD_H

#include "tests/power/gate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_WORKERS_MAX 64u
#define LOAD_OPS_MAX 2048u
#define LOAD_SLOTS 8u
#define LOAD_SHARED "shared"
#define LOAD_LINE_BYTES 16u

enum load_kind { LOAD_MKDIR, LOAD_WRITE, LOAD_FSYNC, LOAD_CREATE, LOAD_RENAME, LOAD_UNLINK, LOAD_APPEND };

struct load_op {
	enum load_kind kind;
	uint8_t slot;
	uint8_t slot2;
	uint32_t seed;
	uint32_t size;
};

struct load_worker {
	uint32_t number;
	uint32_t ops_count; /* planned */
	struct load_op ops[LOAD_OPS_MAX];
};

struct load {
	const char *mount;
	int log_fd;           /* of the journal */
	uint32_t large_every; /* one operation in so many writes a large file; 0: none */
	struct load_worker *workers[LOAD_WORKERS_MAX];
	uint32_t workers_count;
	uint32_t kill_after;    /* when so many operations of this run are done, ... */
	int kill_pid;           /* ... this process is killed, ... 0: none */
	pthread_rwlock_t *gate; /* ... through its gate */
};

/* Runs `count` new workers with `ops` operations each, until they are done or one fails (the daemon is gone). Returns how
 * many of their operations were done. */
uint32_t load_run(struct load *l, uint32_t count, uint32_t ops);
void load_free(struct load *l);

/* A worker's files, as its operations leave them. */
struct load_file {
	bool there;
	uint32_t seed;
	uint32_t size;
};
struct load_state {
	bool dir;
	struct load_file files[LOAD_SLOTS];
};
void load_apply(struct load_state *s, const struct load_op *op);
void load_content(uint32_t seed, uint8_t *out, size_t size);
void load_line(uint32_t worker, uint32_t op, char out[LOAD_LINE_BYTES + 1]);

#endif
