/* quorum.h: the arithmetic of majorities: pure functions over small arrays. */
#ifndef TALLY_RAFT_CORE_QUORUM_H
#define TALLY_RAFT_CORE_QUORUM_H

#include <stdint.h>

enum quorum_vote { VOTE_NONE = 0, VOTE_GRANTED, VOTE_REJECTED };
enum quorum_outcome { QUORUM_PENDING = 0, QUORUM_WON, QUORUM_LOST };

/* How many of `count` members are a majority. */
uint32_t quorum_size(uint32_t count);
/* The largest v such that a majority of the values is at least v. 1 <= count <= RAFT_MEMBERS_MAX. */
uint64_t quorum_reached(const uint64_t *values, uint32_t count);
/* An election is won by a majority of grants, and lost once so many refuse that there can be none. */
enum quorum_outcome quorum_count_votes(const enum quorum_vote *votes, uint32_t count);

#endif
