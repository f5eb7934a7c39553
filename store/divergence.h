/* divergence.h: does this node hold what the others hold? Members tell each other the hash of all that they have put as of some log entries
 * (mvcc_hash_at). Whoever finds that a majority of the voters agrees on another one than its own for the same entry has diverged: a bug, or memory
 * or a disk that changed what it held. It must not serve any more.
 *
 * Pure logic; the format of a PEER_HASH frame stands in divergence.c. Private to store/. */
#ifndef TALLY_STORE_DIVERGENCE_H
#define TALLY_STORE_DIVERGENCE_H

#include "base/codec.h"
#include "raft/raft.h"

/* Of a frame; and what is remembered of each member. */
#define DIVERGENCE_POINTS_MAX 16u
#define DIVERGENCE_REMEMBERED 64u

struct divergence_point {
	uint64_t index; /* of the log entry; not 0 */
	uint64_t hash;
};

struct divergence_member {
	uint64_t id; /* 0: the place is free */
	uint32_t next;
	struct divergence_point points[DIVERGENCE_REMEMBERED];
};

/* What the others said. A zeroed one is empty and ready. */
struct divergence {
	struct divergence_member members[RAFT_MEMBERS_MAX];
};

void divergence_encode(struct writer *w, const struct divergence_point *points, uint32_t count);
/* -EBADMSG if malformed. */
int divergence_decode(struct span frame, struct divergence_point points[DIVERGENCE_POINTS_MAX], uint32_t *count);

/* A member said this. */
void divergence_hear(struct divergence *d, uint64_t from, const struct divergence_point *point);
/* What is heard of others than these is forgotten. */
void divergence_keep(struct divergence *d, const uint64_t *ids, uint32_t count);
/* An entry about which a majority of the voters agrees on another hash than `own` gives (0 for what it knows); 0: there is none. */
uint64_t divergence_find(const struct divergence *d, const uint64_t *voters, uint32_t voters_count,
			 int (*own)(void *ctx, uint64_t index, uint64_t *hash), void *ctx);

#endif
