/* reservation.h: keys that an open(2) with O_CREAT|O_EXCL has taken and that are not files yet.
 *
 * They are part of the replicated state, the same on every node: made, ended and judged by commands alone. A reservation is live while its
 * origin runs the same boot and RESERVATION_NS have not passed since it was made, by the times of the commands; a dead one counts for
 * nothing, and goes when somebody meets it. There are at most RESERVATIONS_MAX, dead ones that nobody has met included.
 *
 * Private to store/. The apply thread alone. */
#ifndef TALLY_STORE_RESERVATION_H
#define TALLY_STORE_RESERVATION_H

#include "store/session.h"

#define RESERVATION_NS INT64_C(60000000000)
#define RESERVATIONS_MAX 4096u

struct reservation {
	uint64_t origin; /* who holds it: the operation that made it */
	uint64_t epoch;
	uint64_t sequence;
	int64_t time_ns;
	uint32_t hash;
	struct span key; /* its own memory; NULL: the slot is free */
};

struct reservations {
	uint32_t count;
	uint32_t end; /* no slot from here on is taken */
	struct reservation slots[RESERVATIONS_MAX];
};

/* Reads what was kept into `r`, which is zeroed. -EBADMSG if it is malformed, or an error of mvcc.h; to be ended either way. */
int reservations_load(struct reservations *r, struct mvcc *m);
void reservations_done(struct reservations *r);

/* The first slot from `from` on whose reservation has this key; RESERVATIONS_MAX if there is none. */
uint32_t reservations_find(const struct reservations *r, struct span key, uint32_t from);
/* Is it the one that the command's issuer holds and names in c->reservation? */
bool reservation_is_own(const struct reservation *r, const struct command *c);
bool reservation_is_live(const struct reservation *r, const struct sessions *sessions, int64_t now_ns);

/* Between mvcc_begin and mvcc_end: */
/* One that the operation `id` holds; there must be room. */
void reservations_add(struct reservations *r, struct mvcc *m, const struct command_id *id, int64_t time_ns, struct span key);
/* Both do nothing if the slot is free. */
void reservations_move(struct reservations *r, struct mvcc *m, uint32_t slot, struct span key);
void reservations_drop(struct reservations *r, struct mvcc *m, uint32_t slot);

#endif
