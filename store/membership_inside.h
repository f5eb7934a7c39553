/* membership_inside.h: struct membership, for the files of membership*.c alone. */
#ifndef TALLY_STORE_MEMBERSHIP_INSIDE_H
#define TALLY_STORE_MEMBERSHIP_INSIDE_H

#include "store/membership.h"

#define MS INT64_C(1000000)
#define ASK_YOUNG_NS (25 * MS) /* while connections come up */
#define ASK_NS (200 * MS)
#define YOUNG_NS (2000 * MS)
#define GOSSIP_NS (1000 * MS)
#define RESEND_NS (100 * MS)
#define DEPARTED_NS (10000 * MS)
#define DEPARTED_MAX 8u
#define WIPED_NS (2000 * MS)

enum { GOSSIP = 1, REQUEST = 2, RESULT = 3, CHALLENGE = 4 };

/* A member that left, still told so for a while. */
struct departed {
	struct member who;
	int64_t until_ns;
};

/* Who asked for a place of a member that lost its data, lately. */
struct wiped {
	char name[STORE_NAME_MAX];
	int64_t at_ns;
};

struct membership {
	struct identity *identity;
	struct membership_ports ports;
	int64_t election_ns;
	uint64_t salt;
	int64_t now_ns;
	int64_t began_ns;
	int64_t ask_ns;    /* when to ask next */
	int64_t lively_ns; /* when another new node was last heard of for the first time in a while, or this one began */
	int64_t gossip_ns; /* when to tell next */
	int64_t leader_ns; /* when a leader was last known */
	struct join join;
	struct raft *raft; /* NULL: no part taken yet */
	struct members now;
	struct members committed;
	struct members book; /* gossip that is ahead of `now` */
	struct departed departed[DEPARTED_MAX];
	struct wiped wiped[STORE_MEMBERS_MAX];
	bool removed;
	struct member_judge judge;
	struct store_op *ops;
	uint64_t number;
	int keep_error;
	struct writer payload;
	struct writer context;
};

/* The leader: raft_change. */
int membership_propose(struct membership *m, const struct members *next);

/* --- membership_links.c --- */
void membership_set_links(struct membership *m);
/* It left: it is told so for a while. */
void membership_note_departed(struct membership *m, const struct member *who);
bool membership_read(struct span bytes, struct members *out);
/* Where to find members, from those who know more. */
void membership_learn(struct membership *m, const struct members *t);
void membership_gossip(struct membership *m);
void membership_take_gossip(struct membership *m, bool committed, struct span bytes);

/* --- membership_join.c --- */
void membership_ask_all(struct membership *m);
/* Of a node without an identity: whatever is due. */
void membership_tick_fresh(struct membership *m);
void membership_take_ask(struct membership *m, const struct join_ask *a);
void membership_take_answer(struct membership *m, const struct join_answer *a);
/* What whoever asks anything of this leader has to say, as long as the configuration in force stays. Never 0. */
uint64_t membership_challenge(const struct membership *m, uint64_t who);

/* --- membership_requests.c --- */
void membership_end_requests(struct membership *m, int error, const char *why);
void membership_take_request(struct membership *m, uint64_t from, struct reader *r);
void membership_take_result(struct membership *m, struct reader *r);
void membership_take_challenge(struct membership *m, struct reader *r);
/* `status` may be NULL before raft is there. */
void membership_run_requests(struct membership *m, const struct raft_status *status);

/* --- membership_health.c --- */
/* A node asks for the place of a member that lost its data. */
void membership_note_wiped(struct membership *m, const char *name);

#endif
