/* session.h: which operations of each origin have been applied, so that each is applied once (dissertation, 6.3).
 *
 * Private to store/. The apply thread alone. */
#ifndef TALLY_STORE_SESSION_H
#define TALLY_STORE_SESSION_H

#include "store/command.h"

#include <stdbool.h>

/* One word more than the window needs, so that the floor may stand anywhere in its word. */
#define SESSION_WORDS (COMMAND_WINDOW / 64u + 1u)
#define SESSION_NAME_BYTES 32

/* Inode numbers that an origin has been given for what it is going to make: from `first` on, SESSION_NUMBERS of them. */
#define SESSION_NUMBERS COMMAND_NUMBERS_COUNT
#define SESSION_RANGES 2u
struct session_numbers {
	uint64_t first; /* 0: none */
	uint64_t used[SESSION_NUMBERS / 64u];
};

struct session {
	uint64_t origin;
	uint64_t epoch;
	uint64_t floor;                                 /* everything below has been applied or given up */
	uint64_t end;                                   /* nothing at or above has been applied */
	uint64_t seen[SESSION_WORDS];                   /* a ring: sequence s is bit s % 64 of word s / 64 % SESSION_WORDS */
	struct session_numbers numbers[SESSION_RANGES]; /* of this epoch, the newest first */
	bool stages;                                    /* it may have stages */
	uint64_t stages_end;                            /* of this epoch, none with this number or a higher one */
	char name[SESSION_NAME_BYTES];
};

struct sessions {
	struct session **items;
	size_t count;
};

/* Reads all that was kept. -EBADMSG if one is malformed, or an error of mvcc.h. */
int sessions_load(struct sessions *s, struct mvcc *m);
void sessions_done(struct sessions *s);
/* The session of an origin, made if it is new; owned by `s`. */
struct session *sessions_of(struct sessions *s, uint64_t origin);
/* The same, but NULL if there is none: a question leaves no session behind, which other nodes would not have. */
struct session *sessions_find(const struct sessions *s, uint64_t origin);

/* Forgets, in the store too, those whose origin is no member, with their stages. Within a command. */
struct raft_members;
void sessions_keep(struct sessions *s, struct mvcc *m, const struct raft_members *members);

/* True if the operation has not been applied yet; now it counts as applied. False: applied before, or given up by its origin. In both cases
 * the floor rises to what the origin says; *moved: it did, or the epoch did. */
bool session_admit(struct session *s, const struct command_id *id, bool *moved);
/* The same without changing anything: was it applied, or given up by its origin? */
bool session_has_seen(const struct session *s, uint64_t epoch, uint64_t sequence);
/* The origin may use these numbers, each once, while this epoch lasts; those that it was given before the last time lapse. */
void session_give(struct session *s, uint64_t first);
bool session_may_use(const struct session *s, uint64_t ino);
void session_use(struct session *s, uint64_t ino);
/* What is kept of a session: its size grows with the operations in flight, not with the window. */
void session_encode(const struct session *s, struct writer *w);
int session_decode(struct span bytes, struct session *s);

#endif
