/* member_request.h: what users ask of the leader: members to be added, promoted, removed; leadership to be moved. Private to store/.
 *
 * A request is repeated, with the same number, until it is answered or its time is up, so each answer is a look at what is: done (the configuration in
 * force has it, and is committed), not yet, or why not. The leader remembers only which requests it has seen begin. */
#ifndef TALLY_STORE_MEMBER_REQUEST_H
#define TALLY_STORE_MEMBER_REQUEST_H

#include "store/members.h"

#define MEMBER_WHY_BYTES 240

enum member_request_type { MEMBER_ADD = 1, MEMBER_PROMOTE = 2, MEMBER_REMOVE = 3, MEMBER_MOVE_LEADER = 4 };

struct member_request {
	uint8_t type;
	bool votes;              /* ADD: to be promoted once it has caught up */
	uint64_t id;             /* ADD: a fresh one, drawn by who asks */
	char target[128];        /* the others: a name, or an id in hex */
	struct store_member who; /* ADD */
};

/* The table stands in member_request.c. */
void member_request_encode(const struct member_request *q, struct writer *w);
bool member_request_valid(const struct member_request *q);
int member_request_decode(struct reader *r, struct member_request *out); /* -EBADMSG; whatever follows is left */

struct member_asked {
	uint64_t from;
	uint64_t number;
	int64_t at_ns;
};
#define MEMBER_ASKED_MAX 16

/* The leader's view: what a request is judged by. */
struct member_judge {
	struct raft *raft;
	const struct raft_status *status;
	const struct members *now;
	bool committed; /* `now` is, and is not joint */
	int64_t now_ns;
	int64_t again_ns; /* a hand-over that came to nothing by then is begun again */
	struct member_asked asked[MEMBER_ASKED_MAX];
	uint32_t asked_next;
};

/* Carries the request on. `begun`: who asks was told -EINPROGRESS before, by this leader or an earlier one. 0: done; -EINPROGRESS: ask again; else one
 * line in `why`. */
int member_request_judge(struct member_judge *j, uint64_t from, uint64_t number, bool begun, const struct member_request *q,
			 char why[MEMBER_WHY_BYTES]);

#endif
