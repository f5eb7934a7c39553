/* members.h: a configuration as a value: its rules, without a word about how it came about. */
#ifndef TALLY_RAFT_CORE_MEMBERS_H
#define TALLY_RAFT_CORE_MEMBERS_H

#include "raft/raft.h"

/* The rules of struct raft_members. */
bool members_valid(const struct raft_members *m);
bool members_votes(const struct raft_members *m, uint64_t id);
bool members_learns(const struct raft_members *m, uint64_t id);
static inline bool members_joint(const struct raft_members *m)
{
	return m->outgoing_count > 0;
}
/* The same voters and learners, in whatever order, and the same context; neither is joint. */
bool members_same(const struct raft_members *a, const struct raft_members *b);
/* All distinct ids; returns how many. `out` is room for 3 * RAFT_MEMBERS_MAX. */
uint32_t members_ids(const struct raft_members *m, uint64_t *out);
/* How many voters the one has and the other has not, in both directions. */
uint32_t members_voters_changed(const struct raft_members *a, const struct raft_members *b);

#endif
