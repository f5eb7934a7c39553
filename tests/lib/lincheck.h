/* lincheck.h: is a recorded history of operations on files linearizable?
 *
 * After Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's just-in-time linearization and cache of configurations
 * ("Testing for linearizability", 2017). Keys are checked one by one (linearizability is local); keys joined by a rename are checked together.
 *
 * Contents are sequences of ids: a write makes the sequence of its one id, an append adds its id, a read saw a sequence. Ids should be unique:
 * an id carried by one operation alone lets the checker date an operation of unknown outcome by the first read that saw it. Id 0 as a write's
 * value is the empty file.
 *
 * The search is bounded by its limits. What they do not suffice for is LIN_GAVE_UP, which is no success.
 * Not thread-safe: whoever records from several threads locks, or gathers first and adds afterwards, in any order. */
#ifndef TALLY_TESTS_LIB_LINCHECK_H
#define TALLY_TESTS_LIB_LINCHECK_H

#include <stddef.h>
#include <stdint.h>

enum lin_kind {
	LIN_READ,   /* OK: the file held `seen`, or was not there (LIN_ABSENT) */
	LIN_WRITE,  /* the file now holds `value`, made if need be */
	LIN_APPEND, /* `value` added, the file made if need be. REFUSED: there was no file */
	LIN_CREATE, /* exclusive: made with `value`. REFUSED: there was one already */
	LIN_DELETE, /* REFUSED: there was no file */
	LIN_RENAME, /* `key` to `other`, whatever was there. REFUSED: there was no `key` */
	LIN_SWAP /* compare and set: held `seen` (never LIN_ABSENT: that is LIN_CREATE), now holds `value`. REFUSED: it held something else, or nothing */
};

enum lin_outcome {
	LIN_OK,
	LIN_REFUSED, /* answered, and without effect, because of what was there */
	LIN_UNKNOWN, /* it may take effect at any time after its call, or never */
	LIN_FAILED   /* surely without effect, and it tells nothing */
};

#define LIN_ABSENT UINT32_MAX

struct lin_op {
	enum lin_kind kind;
	enum lin_outcome outcome;
	uint32_t client; /* for reports only */
	uint64_t key;
	uint64_t other;       /* LIN_RENAME only */
	uint64_t value;       /* LIN_WRITE, LIN_APPEND, LIN_CREATE, LIN_SWAP */
	const uint64_t *seen; /* LIN_READ, LIN_SWAP; borrowed for the call */
	uint32_t seen_count;
	int64_t called;   /* any clock that all clients share. Operations that touch in one instant count as concurrent. */
	int64_t returned; /* not used when unknown or failed */
};

struct lin_history;

struct lin_history *lin_new(void);
void lin_free(struct lin_history *h);
/* Returns the operation's number: they count up from 0. Memory that runs out ends the process. */
uint32_t lin_add(struct lin_history *h, const struct lin_op *op);
uint32_t lin_count(const struct lin_history *h);

/* Defaults that are good for tens of thousands of operations, in seconds. */
#define LIN_STEPS_MAX (20u << 20)
#define LIN_BYTES_MAX ((size_t)256 << 20)

struct lin_limits {
	uint64_t steps_max; /* operations tried, of all keys together; 0: LIN_STEPS_MAX */
	size_t bytes_max;   /* of the cache, for one key at a time; 0: LIN_BYTES_MAX */
};

enum lin_verdict { LIN_GOOD, LIN_BAD, LIN_GAVE_UP };

struct lin_result {
	enum lin_verdict verdict; /* LIN_BAD if any key is, else LIN_GAVE_UP if any key was too much */
	uint64_t steps;
	uint32_t keys;     /* checked separately */
	uint64_t key;      /* unless LIN_GOOD: that of the culprit. All before its return can be explained, but not with it. */
	uint32_t op;       /* the culprit's number */
	int64_t from;      /* the window: from the first call of what was under way with it ... */
	int64_t to;        /* ... to its return */
	char report[4096]; /* the same in words, a line an operation; "" if LIN_GOOD */
};

/* The file of each key is absent at the beginning. `limits` may be NULL. */
void lin_check(const struct lin_history *h, const struct lin_limits *limits, struct lin_result *out);

#endif
