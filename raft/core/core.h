/* core.h: the state of one member and what the files of this folder ask of each other.
 *
 *   raft.c        life, the public calls, dispatch of messages
 *   ready.c       gathers effects; saves and their durability
 *   election.c    roles, pre-vote, votes, timers, hand-over
 *   append.c      the follower: accepting entries and heartbeats
 *   replicate.c   the leader: progress of each follower, commit, heartbeats
 *   read_index.c  reads, on the leader and on followers
 *   configuration.c  who is a member: the configurations of the log, changes, majorities; snapshot.c members whose entries are gone
 *   log_view.c    the log; quorum.c, members.c arithmetic of majorities and members; message.c, members.c the formats */
#ifndef TALLY_RAFT_CORE_CORE_H
#define TALLY_RAFT_CORE_CORE_H

#include "raft/core/log_view.h"
#include "raft/core/members.h"
#include "raft/core/quorum.h"
#include "raft/raft.h"

/* A member that is not in its own configuration has a place among the others all the same, and so have those that are just leaving. */
#define PLACES_MAX (2 * RAFT_MEMBERS_MAX + 1)
/* How long a leader tries to bring a member the word that it was removed. */
#define DEPARTURE_ELECTIONS_MAX 2
/* Rounds of heartbeats, or questions to the leader, that may be on their way at a time; later reads wait and share the next one. */
#define READ_ROUNDS_MAX 8

enum progress_state {
	PROGRESS_PROBE,     /* where the follower's log agrees is not known: one append at a time */
	PROGRESS_REPLICATE, /* it agrees up to `match`: appends are sent ahead of their acknowledgements */
	PROGRESS_SNAPSHOT   /* what it lacks has left the log: only heartbeats until it has a snapshot */
};

/* What a leader knows of a member, and what a candidate knows of its vote. */
struct progress {
	uint64_t id;
	bool voter;    /* of the configuration in force */
	bool outgoing; /* a voter of the one that a joint configuration leaves */
	/* No member any more: a leader sends it the entry that says so, for a while. It is not counted, and heard only on what it has stored. */
	bool departing;
	uint64_t departed_ms;
	enum quorum_vote vote;
	enum progress_state state;
	uint64_t match;       /* durable there up to this index */
	uint64_t next;        /* the next entry to send */
	uint64_t sent;        /* the last index that an append reached up to, since the last probe began */
	uint64_t sent_ms;     /* when the last append was sent */
	uint64_t commit_sent; /* the commit index that it was told */
	uint64_t heard_ms;    /* its last reply */
	bool paused;          /* the probe is sent and not answered */
	bool nudge;           /* an acknowledgement seems lost: ask with an empty append */
	bool snapshot_asked;  /* the driver was told, and has not said that it is over */
	bool fetching;        /* entries for it have been asked of the durable log */
	uint64_t fetch_due_ms;
	uint64_t *inflight; /* a ring of inflight_max: the last index of each append that is not acknowledged */
	uint32_t inflight_head;
	uint32_t inflight_count;
	/* A heartbeat that was sent behind all appends up to sample_sent: the reply to it tells whether these arrived. Round 0: none. */
	uint64_t sample_round;
	uint64_t sample_sent;
	uint64_t round_acked;
	uint64_t read_waiting; /* the highest ticket it asked for that no round serves yet; 0: none */
};

/* A round of heartbeats that proves leadership for the reads attached to it. */
struct read_round {
	uint64_t round;
	uint64_t index; /* the commit index when it began */
	struct {
		uint64_t id;
		uint64_t ticket; /* the highest of this member that the round serves */
	} askers[PLACES_MAX];
	uint32_t askers_count;
};

/* A configuration, and the entry that it is from. */
struct configuration {
	uint64_t index;
	struct raft_members members; /* its context is in `context` */
	struct writer context;
};

struct message_queue {
	struct raft_message *items;
	uint32_t count;
	uint32_t capacity;
};

/* A save that is not known to be durable. */
struct save {
	uint64_t number;
	uint64_t last; /* the last entry in it that has not been overwritten since; 0: none */
	uint64_t term;
	uint64_t vote;
	uint64_t listed_ms;
};

struct raft {
	uint64_t id;
	uint32_t self; /* this member's place in `members` */
	uint32_t members_count;
	struct progress members[PLACES_MAX];
	/* By rising index. The last is in force; the first is committed, and those above may be taken back with their entries. */
	struct configuration *configurations;
	size_t configurations_count;
	size_t configurations_capacity;
	bool members_changed;
	uint32_t election_ms;
	uint32_t heartbeat_ms;
	uint32_t inflight_max;
	uint64_t cache_bytes_max;
	uint64_t uncommitted_bytes_max;

	uint64_t random; /* state of the generator */
	uint64_t now_ms;
	uint64_t timeout_ms;       /* the election timeout of this turn */
	uint64_t election_due_ms;  /* a follower or candidate campaigns */
	uint64_t resend_due_ms;    /* a candidate asks again those who have not answered */
	uint64_t heard_ms;         /* a follower: the last word of its leader */
	uint64_t heartbeat_due_ms; /* a leader */
	uint64_t grace_ms;         /* a leader that slept does not judge its followers before this */

	enum raft_role role;
	uint64_t term;
	uint64_t vote;
	uint64_t leader;
	uint64_t known_leader; /* the last one that is counted, and its term */
	uint64_t known_term;
	struct raft_counters counters;
	bool hard_changed;
	bool transfer_campaign; /* this candidacy is a hand-over */
	uint64_t transfer_to;   /* a leader hands over to this member; 0: no */
	uint64_t transfer_due_ms;

	struct log_view log;
	uint64_t commit;
	uint64_t commit_hint; /* commit as recovered, until the log has been restored that far */
	uint64_t applied;     /* listed as committed up to here */
	uint64_t listed;      /* entries up to here are in a save */
	uint64_t stored;      /* entries up to here are durable */
	uint64_t everywhere;
	uint64_t uncommitted_bytes;
	bool install; /* the log begins anew, and no save says so yet */
	uint64_t install_index;
	uint64_t install_term;

	struct save *saves; /* not yet durable, oldest first */
	size_t saves_count;
	size_t saves_capacity;
	uint64_t save_number;
	uint64_t durable_term;
	uint64_t durable_vote;

	/* Reads of this member have tickets; all up to read_done are answered or forgotten. */
	uint64_t read_last;
	uint64_t read_done;
	uint64_t read_asked;            /* attached to a round, or asked of the leader */
	uint64_t asks[READ_ROUNDS_MAX]; /* a follower's unanswered questions */
	uint32_t asks_count;
	uint64_t ask_due_ms;
	uint64_t round; /* a leader's last round of this term */
	struct read_round rounds[READ_ROUNDS_MAX];
	uint32_t rounds_count;
	bool heartbeat_wanted;

	bool flush; /* something may have to be sent that only raft_ready works out */
	struct message_queue send;
	struct message_queue send_stored;
	struct message_queue listed_send; /* what the last raft_ready returned */
	struct message_queue listed_send_stored;
	struct raft_fetch fetch[RAFT_MEMBERS_MAX];
	uint32_t fetch_count;
	struct raft_fetch listed_fetch[RAFT_MEMBERS_MAX];
	uint64_t snapshot[RAFT_MEMBERS_MAX];
	uint32_t snapshot_count;
	uint64_t listed_snapshot[RAFT_MEMBERS_MAX];
	void **fetched; /* memory of fetched entries in `send`, and of those that raft_ready returned last */
	size_t fetched_count;
	void **listed_fetched;
	size_t listed_fetched_count;
	bool read_ready;
	uint64_t ready_ticket;
	uint64_t ready_index;
	struct raft_ready ready;
};

/* The member with this id; NULL for strangers. */
struct progress *core_member(struct raft *r, uint64_t id);
/* This member's vote counts. */
bool core_votes(const struct raft *r);
/* No other member's vote counts. */
bool core_only_voter(const struct raft *r);
/* A leader: heard from within the last election timeout. */
bool core_recent(const struct raft *r, const struct progress *p);
/* A leader: there is no room for a proposal of this size now. */
bool core_log_full(const struct raft *r, uint32_t size);

/* Counts it if it is news. */
void core_note_leader(struct raft *r);

/* --- ready.c --- */
/* Queues a message; `from` is filled in, and `term` unless it is set. Promises are held back until they are durable. */
void core_send(struct raft *r, struct raft_message m);
/* Entries from `from` on are about to be replaced: nothing is listed or stored there any more. */
void core_truncate(struct raft *r, uint64_t from);
/* The log was dropped: what the saves under way hold is no part of it, and acknowledgements that wait for them are withdrawn. */
void core_forget_saved(struct raft *r);
/* Keeps memory until the raft_ready after the next one. */
void core_keep_fetched(struct raft *r, void *memory);
void core_queues_free(struct raft *r);

/* --- election.c --- */
void core_become_follower(struct raft *r, uint64_t term, uint64_t leader);
/* A fresh random timeout, from now. */
void core_reset_election(struct raft *r);
void core_election_tick(struct raft *r);
/* A member that hears a leader, or is one, takes no part in elections (4.2.3, 6.4.1). */
bool core_in_lease(const struct raft *r);
/* The hard state became durable: a candidate may count its own vote. */
void core_vote_stored(struct raft *r);
void core_handle_vote(struct raft *r, const struct raft_message *m);
void core_handle_vote_reply(struct raft *r, struct progress *p, const struct raft_message *m);
void core_handle_timeout_now(struct raft *r);
/* A leader that hands over: the target is up to date, tell it to campaign. */
void core_transfer_go(struct raft *r, const struct progress *p);
/* A leader without a vote ends its term, and tells its heir to campaign. */
void core_retire(struct raft *r);

/* --- append.c --- */
void core_handle_append(struct raft *r, const struct raft_message *m);
void core_handle_heartbeat(struct raft *r, const struct raft_message *m);
void core_commit_to(struct raft *r, uint64_t commit);

/* --- replicate.c --- */
/* Begins a term as its leader: progress of all members afresh, and a no-op to commit. */
void core_lead(struct raft *r);
void core_leader_tick(struct raft *r, uint64_t slept_ms);
/* Sends what followers lack; called by raft_ready, so that a drain's proposals share their appends. */
void core_leader_flush(struct raft *r);
/* Counts copies; true if the commit index rose. */
bool core_advance_commit(struct raft *r);
void core_handle_append_reply(struct raft *r, struct progress *p, const struct raft_message *m);
void core_handle_heartbeat_reply(struct raft *r, struct progress *p, const struct raft_message *m);
/* The index that every member is known to have stored, as a leader knows it. */
uint64_t core_everywhere(const struct raft *r);
/* Asks anew where the logs agree, from `next` on; whatever is in flight counts as lost. */
void core_probe(struct progress *p, uint64_t next);

/* --- configuration.c --- */
/* Every change of the configuration derives `members` anew: no pointer into it survives these calls. */
/* The only configuration there is: at the start, or with a snapshot. */
void configuration_begin(struct raft *r, uint64_t index, const struct raft_members *m);
/* An entry that holds one was added to the log. */
void configuration_push(struct raft *r, uint64_t index, const struct raft_members *m);
/* Entries from `from` on are taken back. */
void configuration_truncate(struct raft *r, uint64_t from);
/* The commit index rose: what it has passed is for good. */
void configuration_settle(struct raft *r);
void configuration_free(struct raft *r);
/* The configuration in an entry of that type, borrowed from it; false if there is none, or nobody in it. */
bool configuration_decode(const struct raft_entry *e, struct raft_members *out);
/* This member may be elected: it votes, or the configuration that ends that is not known to be committed. The old majority may have no other
 * member with that entry, and those without it could not be elected (4.2.2, figure 4.6). It does not count itself. */
bool configuration_eligible(const struct raft *r);
/* The leader: adds an entry that holds `m`. */
void configuration_append(struct raft *r, const struct raft_members *m);
/* The leader: begins to leave a joint configuration that is committed. */
void configuration_leave_joint(struct raft *r);
/* The leader: those that were removed and know it, or cannot be reached, are forgotten. */
void configuration_dismiss(struct raft *r);
/* The leader has committed a configuration in which it has no vote. */
bool configuration_left_out(const struct raft *r);
/* The largest v that a majority has reached, of `values` by place in `members`; while it is joint, both majorities. */
uint64_t configuration_reached(const struct raft *r, const uint64_t *values);
/* Of the votes in `members`. */
enum quorum_outcome configuration_outcome(const struct raft *r);

/* --- snapshot.c --- */
/* The leader: what `p` lacks has left the log. */
void core_need_snapshot(struct raft *r, struct progress *p);

/* --- read_index.c --- */
/* The leader or the term changed: reads that are not answered must be asked again. */
void core_read_reset(struct raft *r);
void core_read_tick(struct raft *r);
/* The leader: begins a round if reads wait for one; true if heartbeats must carry it. */
bool core_read_begin_round(struct raft *r);
/* The leader: ends the rounds that a quorum has acknowledged. */
void core_read_confirm(struct raft *r);
/* A follower: asks its leader. */
void core_read_ask(struct raft *r);
void core_handle_read_index(struct raft *r, struct progress *p, const struct raft_message *m);
void core_handle_read_index_reply(struct raft *r, const struct raft_message *m);

#endif
