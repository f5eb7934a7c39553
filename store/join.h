/* join.h: how a node whose DATA is new comes to an identity: as one of the first members of a new cluster, or by being let into one that runs.
 *
 * A node that lost its data must not act under its old id: it has forgotten its votes and what it had acknowledged. So a node with new DATA draws an
 * incarnation, a random number, makes it durable, and asks the others before it takes any part:
 *
 *   - Each of the first members notes, durably, the first incarnation of each other name that it hears of, and refuses a second one.
 *   - All that answer are new themselves: with a majority (itself counted) that noted it, and all others heard or given time to answer, the
 *     cluster begins. Those that it counted are its founders, and are told so: each of them takes part, too, once a majority has noted it.
 *   - The others run already, and a majority of them, itself not counted, noted it and heard of no other incarnation: it never took part, so
 *     it comes late to its first id.
 *   - In all other cases only the leader can give it a place (membership.h): its incarnation becomes its id, that of a learner.
 *
 * Why that is safe stands in ARCHITECTURE.md. Pure: no clock, no disk, no network. */
#ifndef TALLY_STORE_JOIN_H
#define TALLY_STORE_JOIN_H

#include "store/members.h"

enum join_verdict {
	JOIN_NOTED = 1,    /* no other incarnation of the name was heard of here */
	JOIN_FOUNDED = 2,  /* the answerer's cluster was founded with this incarnation */
	JOIN_TAKEN = 3,    /* another incarnation of that name took part: only the leader can help */
	JOIN_WAIT = 4,     /* a place is to be given, but not yet */
	JOIN_GRANTED = 5,  /* a member, under its incarnation as the id */
	JOIN_STRANGER = 6, /* there is no member of this name */
	JOIN_ALIVE = 7,    /* a member of this name is alive */
	JOIN_DIFFERS = 8,  /* new as well, but of another cluster= */
	JOIN_RUNS = 9,     /* the cluster runs already, and who answers cannot know who took part: only the leader can help */
	JOIN_LAST = 9
};

/* A question, repeated until it is answered. A node that has its identity asks, too, when it hears no leader: whether it is a member still. */
struct join_ask {
	uint64_t incarnation;
	uint64_t origin;     /* what its cluster= amounts to (identity.h) */
	uint64_t cluster_id; /* 0: none yet */
	uint64_t id;         /* 0: none yet */
	uint64_t challenge;  /* as the leader gave it; a question without it, or one recorded earlier, moves nothing */
	bool wants_place;    /* it will not take its first id any more */
	struct store_member who;
};

struct join_answer {
	uint64_t asked;       /* the incarnation that asked */
	uint64_t incarnation; /* the answerer's */
	uint64_t cluster_id;  /* 0: it is new itself */
	uint64_t challenge;   /* 0: only the leader gives one */
	uint8_t verdict;      /* enum join_verdict */
	char name[STORE_NAME_MAX];
	struct span members; /* an encoded struct raft_members, or nothing */
};

/* The payloads of PEER_JOIN begin with a u8 that tells them apart; the tables stand in join.c. */
enum join_kind { JOIN_ASK = 1, JOIN_ANSWER = 2 };
void join_ask_encode(const struct join_ask *a, struct writer *w);
int join_ask_decode(struct span bytes, struct join_ask *out); /* -EBADMSG */
void join_answer_encode(const struct join_answer *a, struct writer *w);
int join_answer_decode(struct span bytes, struct join_answer *out); /* -EBADMSG; members borrowed */

/* --- what the first members note of each other --- */

struct join_note {
	char name[STORE_NAME_MAX];
	uint64_t incarnation;
	bool founder;
};
struct join_notes {
	struct join_note of[STORE_MEMBERS_MAX];
	uint32_t count;
	bool lost; /* of a node from before there were notes: it knows of nobody what it should */
};
/* JOIN_NOTED, JOIN_FOUNDED or JOIN_TAKEN. *added: it is a new note, to be made durable before the answer goes out. */
enum join_verdict join_notes_take(struct join_notes *n, const char *name, uint64_t incarnation, bool *added);
/* The founders of the cluster that begins here. */
void join_notes_found(struct join_notes *n, const char *name, uint64_t incarnation);

/* --- the asker --- */

struct join_heard {
	char name[STORE_NAME_MAX];
	uint64_t incarnation;
	bool answered;
	bool noted;
	bool founded; /* its cluster was founded with this incarnation */
	bool runs;    /* it has an identity */
};

struct join {
	struct store_member self;
	uint64_t incarnation;
	uint64_t origin;
	uint64_t challenge;
	struct join_heard others[STORE_MEMBERS_MAX]; /* the first members but this one */
	uint32_t others_count;
	uint32_t majority;
	bool wants_place;
	enum join_verdict last; /* of the last word that was not JOIN_NOTED; 0: none */
	char last_name[STORE_NAME_MAX];
};

enum join_outcome { JOIN_GO_ON, JOIN_FIRST, JOIN_PLACE };

void join_begin(struct join *j, const struct store_member *list, uint32_t count, const char *name, uint64_t incarnation, uint64_t origin);
void join_question(const struct join *j, struct join_ask *out);
/* Takes an answer. JOIN_FIRST: take the first id, in the cluster `origin`. JOIN_PLACE: take the incarnation as the id, in the answer's cluster. `waited`:
 * the others had their time to answer. */
enum join_outcome join_take(struct join *j, const struct join_answer *a, bool waited);
/* The same without an answer: time went by. */
enum join_outcome join_look(const struct join *j, bool waited);
/* The founders, once join_take or join_look said JOIN_FIRST. */
void join_found(const struct join *j, struct join_notes *notes);
/* One line: what it waits for. */
void join_waits_for(const struct join *j, char *out, size_t size);

#endif
