/* members.h: who belongs to the cluster: the table that travels as the context of raft's configurations, and the changes that may be made to it.
 *
 * Pure values: no clock, no disk, no network, so that a simulator can make the same changes: take the configuration in force
 * (raft_members_now) with members_decode, make the next one with one of the changes below, encode its context with members_raft, and hand that to
 * raft_change on the leader; or leave all of it to struct membership (membership.h), which does it on request and by itself.
 *
 * A member is a name and an incarnation: a node that lost its data comes back under the same name and another id, since what it had promised
 * under the old one is forgotten. */
#ifndef TALLY_STORE_MEMBERS_H
#define TALLY_STORE_MEMBERS_H

#include "raft/raft.h"
#include "store/store.h"

_Static_assert(STORE_MEMBERS_MAX == RAFT_MEMBERS_MAX, "a list of members fits a configuration");

enum member_flag {
	MEMBER_VOTES = 1 /* it votes, or is to vote as soon as it has caught up */
};

struct member {
	uint64_t id;
	uint64_t added; /* the id under which the name came in; kept when a lost node is replaced by itself */
	uint8_t flags;  /* enum member_flag */
	struct store_member who;
};

struct members {
	uint64_t version;         /* rises with each change; 0: the one that a cluster begins with */
	struct raft_members raft; /* its context is not set */
	struct member table[STORE_MEMBERS_MAX];
	uint32_t count;
};

/* The id of a member of this name that was there when the cluster began (identity.c, like all that makes ids). */
uint64_t members_first_id(const char *name);
/* The configuration that a new cluster begins with. The same list in any order gives the same. */
void members_first(const struct store_member *list, uint32_t count, struct members *out);

/* -EBADMSG: the context is not one of ours. An empty configuration is an empty table. */
int members_decode(const struct raft_members *raft, struct members *out);
/* The configuration for raft, its context encoded into `context`, which it borrows. */
struct raft_members members_raft(const struct members *m, struct writer *context);

/* NULL unless it is in the configuration. */
const struct member *members_find(const struct members *m, uint64_t id);
const struct member *members_named(const struct members *m, const char *name);
/* By name, or by id in 16 hex digits. */
const struct member *members_called(const struct members *m, const char *text);
bool members_is_voter(const struct members *m, uint64_t id);

/* Each makes the configuration that follows `now`. Errors: -EBUSY `now` is joint; -EEXIST such a member is there already; -ENOENT it is not;
 * -ENOSPC no room for another; -EINVAL it is the last voter. *next is untouched then. */
int members_add(const struct members *now, uint64_t id, const struct store_member *who, bool votes, struct members *next);
int members_promote(const struct members *now, uint64_t id, struct members *next);
int members_remove(const struct members *now, uint64_t id, struct members *next);
/* The node behind `old` has lost its data and comes back as `id`, a learner until it has caught up. */
int members_replace(const struct members *now, uint64_t old, uint64_t id, const char *address, struct members *next);

/* A member that had no address, because it was alone, gets one. */
int members_locate(const struct members *now, uint64_t id, const char *address, struct members *next);

/* Would those voters that answer now be a majority without this member? */
bool members_stand_without(const struct members *m, uint64_t id, const struct raft_status *status);
/* The change that the leader should make by itself: a learner that is to vote, and has caught up, votes. False: none. */
bool members_due(const struct members *m, const struct raft_status *status, struct members *next);
/* A line a member, in order of their names: id, name, address, voter or learner, and on the leader the match index. */
void members_text(const struct members *m, const struct raft_status *status, struct writer *out);

#endif
