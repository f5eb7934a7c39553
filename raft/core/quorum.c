#include "raft/core/quorum.h"

#include "raft/raft.h"

#include <assert.h>
#include <string.h>

uint32_t quorum_size(uint32_t count)
{
	return count / 2 + 1;
}

uint64_t quorum_reached(const uint64_t *values, uint32_t count)
{
	uint64_t sorted[RAFT_MEMBERS_MAX];
	assert(count >= 1 && count <= RAFT_MEMBERS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = i;
		for (; at > 0 && sorted[at - 1] < values[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = values[i];
	}
	return sorted[quorum_size(count) - 1];
}

enum quorum_outcome quorum_count_votes(const enum quorum_vote *votes, uint32_t count)
{
	uint32_t granted = 0, rejected = 0;
	for (uint32_t i = 0; i < count; i++) {
		granted += votes[i] == VOTE_GRANTED;
		rejected += votes[i] == VOTE_REJECTED;
	}
	if (granted >= quorum_size(count))
		return QUORUM_WON;
	return count - rejected < quorum_size(count) ? QUORUM_LOST : QUORUM_PENDING;
}
