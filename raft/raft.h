/* raft.h: consensus as a pure state machine: events in, effects out.
 *
 * Follows Ongaro's dissertation ("Consensus: Bridging Theory and Practice", 2014; section numbers below are its own)
 * and the shape of etcd-io/raft's Ready. No clock, no I/O, no threads, no logging, no globals: time, randomness and the
 * durable log come in as values. Not thread-safe: one thread owns a struct raft (in the daemon, the replica loop).
 *
 * The driver's loop:   raft_tick with the time of now (it is the only clock that the core has, so it comes before the events that it
 * dates), then the other events (raft_step, raft_propose, raft_read, raft_stored, ...), then raft_ready once; carry out what it lists,
 * in the order in which the fields stand:
 *   1. if `save` is not 0: hand `install` (if set), `hard` (if hard_changed) and `entries` to the log writer as one save of that number;
 *   2. tell the transport of `members`, if not NULL; send `send` at once, in its order;
 *   3. send `send_stored` only once the save of step 1, and every earlier save, is durable (with none outstanding: at once);
 *   4. apply `committed`;
 *   5. read `fetch` from the log and answer each with raft_fetched;
 *   6. release the reads up to `read_ticket` once `read_index` has been applied;
 *   7. send a snapshot to each of `snapshot`.
 * When saves are durable the driver calls raft_stored with the number of the last. They become durable in the order of their numbers.
 *
 * Memory: what is passed in is borrowed for the call. What raft_ready returns lives until the next call on the same struct raft.
 * Nobody frees across that line. Memory that runs out ends the process. */
#ifndef TALLY_RAFT_RAFT_H
#define TALLY_RAFT_RAFT_H

#include "base/codec.h"

#include <stdbool.h>
#include <stdint.h>

/* Distinct ids in one configuration, voters, outgoing and learners together. */
#define RAFT_MEMBERS_MAX 16
#define RAFT_CONTEXT_BYTES_MAX 8192u
/* An entry's data, and the entries of one append together: under the transport's limit (raft/peer.h). */
#define RAFT_ENTRY_BYTES_MAX (448u << 10)
#define RAFT_APPEND_ENTRIES_MAX 4096u
/* A learner that lacks no more entries than this may become a voter. */
#define RAFT_CAUGHT_UP_ENTRIES 1000u

enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

/* RAFT_ENTRY_CONFIG: an encoded struct raft_members, which is in force from when the entry is in a log, committed or not (4.1). */
enum raft_entry_type { RAFT_ENTRY_NOOP = 0, RAFT_ENTRY_COMMAND = 1, RAFT_ENTRY_CONFIG = 2 };

/* A configuration: who votes, and who only receives the log (a learner: 4.2.1). While `outgoing` is not empty it is joint (4.3): to be
 * elected, to commit and to confirm a read take a majority of `voters` and one of `outgoing`.
 * Valid: no id is 0 or listed twice in one of the three; none is in both `voters` and `learners` (`outgoing` may overlap with either: a
 * voter that becomes a learner is in both until the joint configuration is left); at most RAFT_MEMBERS_MAX distinct ids; without voters
 * there is nobody at all: that is the empty configuration, of a member that waits for its first one. */
struct raft_members {
	uint64_t voters[RAFT_MEMBERS_MAX];
	uint64_t outgoing[RAFT_MEMBERS_MAX];
	uint64_t learners[RAFT_MEMBERS_MAX];
	uint32_t voters_count;
	uint32_t outgoing_count;
	uint32_t learners_count;
	const void *context; /* the driver's own (names, addresses), opaque here; borrowed */
	uint32_t context_size;
};

struct raft_entry {
	uint64_t term;
	uint64_t index; /* the first entry of a log is 1 */
	uint8_t type;   /* enum raft_entry_type */
	uint32_t size;
	const void *data;
};

/* What must survive a crash besides the entries. `commit` is a hint that saves work after a restart; it need not be fresh. */
struct raft_hard_state {
	uint64_t term;
	uint64_t vote; /* the member voted for in `term`; 0 is nobody */
	uint64_t commit;
};

/* The number is part of the wire format. */
enum raft_message_type {
	RAFT_PREVOTE = 1,       /* term: the one that the candidate would campaign in; log_index, log_term: its last entry; transfer */
	RAFT_PREVOTE_REPLY = 2, /* term: as asked if granted, else the replier's own; reject */
	RAFT_VOTE = 3,          /* like RAFT_PREVOTE, in earnest */
	RAFT_VOTE_REPLY = 4,
	RAFT_APPEND = 5, /* log_index, log_term: the entry before `entries`; commit */
	RAFT_APPEND_REPLY =
		6, /* log_index: last index known to match (durable here); if reject: the log_index that was refused, and hint_* */
	/* round (0: only tells a new commit index, and is not answered); commit: min(commit, match of the receiver); hint_index: the index
	 * that every member has stored */
	RAFT_HEARTBEAT = 7,
	RAFT_HEARTBEAT_REPLY = 8,   /* round, echoed; log_index: the replier's last index */
	RAFT_READ_INDEX = 9,        /* round: the asker's ticket */
	RAFT_READ_INDEX_REPLY = 10, /* round: the ticket, echoed; log_index: the read index */
	RAFT_TIMEOUT_NOW = 11       /* leadership is handed to the receiver: campaign at once (3.10) */
};

struct raft_message {
	uint8_t type;
	bool reject;
	bool transfer; /* a vote asked for by a hand-over: members grant it although they hear a leader */
	uint64_t from;
	uint64_t to;
	uint64_t term;
	uint64_t log_index;
	uint64_t log_term;
	uint64_t commit;
	uint64_t round;
	uint64_t hint_index; /* where a refused append may match at most ... */
	uint64_t hint_term;  /* ... and the term that the replier has there (back-off by term, as etcd-io/raft does it) */
	const struct raft_entry *entries;
	uint32_t entries_count;
};

struct raft_config {
	uint64_t id; /* this member; never 0 */
	/* The configuration as of `applied`; borrowed for the call. In a new cluster: the one that it starts with, the same on all of its members.
	 * Empty: this member has none yet. It never campaigns and grants no vote, but takes entries and snapshots from whoever leads, and its
	 * configuration from them. `id` need not be in it: it may be a learner, join later, or have been removed. */
	const struct raft_members *members;
	uint32_t election_ms;           /* a follower campaigns after a random time in [election_ms, 2 * election_ms) without a leader */
	uint32_t heartbeat_ms;          /* less than election_ms */
	uint64_t seed;                  /* of the random election times */
	uint64_t now_ms;                /* the driver's monotonic clock */
	uint64_t ticket_base;           /* read tickets count up from here: must be higher than any ticket of an earlier run of this member
	                          (a boot epoch in the high bits), so that a late reply can never confirm a new read */
	struct raft_hard_state hard;    /* as recovered; zeros when new */
	uint64_t log_first;             /* index of the first entry still in the durable log (1 when new) */
	uint64_t log_base_term;         /* term of entry log_first - 1; 0 when log_first is 1 */
	uint64_t applied;               /* the driver has applied this far (at least log_first - 1): not listed as committed again */
	uint64_t cache_bytes_max;       /* memory for entries kept at hand; older ones are asked for through `fetch` */
	uint32_t inflight_max;          /* unacknowledged appends per follower */
	uint64_t uncommitted_bytes_max; /* proposals beyond this are refused until some commit */
};

struct raft_fetch {
	uint64_t to; /* the follower that waits for these entries */
	uint64_t lo; /* first index */
	uint64_t hi; /* one past the last; the driver may return fewer, but at least one */
};

struct raft_ready {
	uint64_t save; /* the number of this save: one more than the last; 0 when there is nothing to save */
	bool install;  /* before its entries: the log is emptied and begins anew behind install_index (raft_install) */
	uint64_t install_index;
	uint64_t install_term;
	bool hard_changed;                /* term or vote changed (a new commit index alone does not ask for a save) */
	struct raft_hard_state hard;      /* as it is now, changed or not */
	const struct raft_entry *entries; /* contiguous; if the first index is not past the log's end, it replaces the tail from there */
	uint32_t entries_count;
	/* The configuration in force, if it is another since the last call; NULL: it is not. It may yet be taken back, with its entry. Who is no
	 * longer in it may still be sent messages, of the removal and in reply: the transport keeps an address for some election timeouts. */
	const struct raft_members *members;
	const struct raft_message *send;
	uint32_t send_count;
	const struct raft_message *send_stored; /* votes asked for and granted, appends acknowledged: promises of durability */
	uint32_t send_stored_count;
	/* To apply, in order; each is already durable here. RAFT_ENTRY_CONFIG among them: with the applied index the driver keeps the members. */
	const struct raft_entry *committed;
	uint32_t committed_count;
	const struct raft_fetch *fetch;
	uint32_t fetch_count;
	bool read_ready;
	uint64_t read_ticket; /* every read with a ticket up to this one ... */
	uint64_t read_index;  /* ... may be served once this index has been applied */
	/* Members heard from lately that need a snapshot: what they lack has left the log. Each is listed once, until raft_snapshot_over
	 * (but anew in a new term, or when it was removed and added again: then the driver may have an attempt under way already). */
	const uint64_t *snapshot;
	uint32_t snapshot_count;
};

struct raft_progress {
	uint64_t id;
	uint64_t match; /* highest index known to be stored there (on a follower: 0 for the others) */
	bool recent;    /* heard from within the last election timeout (leader only) */
	bool voter;     /* its vote counts now: in voters or outgoing */
	bool snapshot;  /* it needs a snapshot, or is being sent one (leader only) */
};

/* What has happened on this member since it was opened. */
struct raft_counters {
	uint64_t elections;      /* terms that it began, to become their leader */
	uint64_t leader_changes; /* leaders that it came to know: another one, or one in another term; itself counts too */
	uint64_t read_rounds;    /* rounds of heartbeats that it began as the leader, for reads */
	uint64_t read_questions; /* asked of the leader, for reads */
};

struct raft_status {
	uint64_t id;
	uint64_t leader; /* 0 when unknown */
	uint64_t term;
	enum raft_role role;
	uint64_t commit;
	uint64_t log_first;
	uint64_t log_last;
	uint64_t stored; /* durable here up to this index */
	/* Stored on every member of the configuration in force up to this index (it falls when a member is added). Trimmed further, members may
	 * come to need a snapshot: how much is kept for those that are away is the driver's decision. */
	uint64_t everywhere;
	bool learner; /* this member's vote does not count: a learner, not in the configuration, or without one */
	bool joint;   /* two majorities are needed */
	struct raft_counters counters;
	uint32_t members_count; /* those in the configuration in force; this member is among them if it is in it */
	struct raft_progress members[RAFT_MEMBERS_MAX];
};

struct raft;

/* A member that starts or restarts, as a follower (the only voter campaigns at its first tick). The first leader of a new cluster begins
 * the log with a RAFT_ENTRY_CONFIG in place of its no-op, so that whoever replays the log from 1 has the configuration.
 * Errors: -EINVAL for a configuration that breaks a rule above. */
int raft_new(const struct raft_config *config, struct raft **out);
void raft_free(struct raft *r);
/* Start only, in order from log_first: an entry that the durable log holds. A RAFT_ENTRY_CONFIG above `applied` takes effect. -EINVAL if it
 * does not follow the one before, or holds no configuration though it should. */
int raft_restore(struct raft *r, const struct raft_entry *entry);

/* Time passed. `now_ms` never goes backwards. Elections, heartbeats, retries and check-quorum happen here. */
void raft_tick(struct raft *r, uint64_t now_ms);
/* The time at which raft_tick has something to do (an hour away if nothing is due); it may be called earlier. Any event may move it. */
uint64_t raft_deadline_ms(const struct raft *r);

/* A message of another member. Messages that make no sense are dropped: the network may lose, repeat, delay and reorder anything.
 * Appends, heartbeats and requests for votes are considered whoever sent them, since this member may be behind on the configuration (4.1);
 * answers and questions of strangers are not, except those of the leader that is followed. */
void raft_step(struct raft *r, const struct raft_message *m);

/* Appends a command to the leader's log. Errors: -EAGAIN not the leader, or handing leadership over; -ENOBUFS over
 * uncommitted_bytes_max, or this member's own disk lags behind by as much; -EMSGSIZE over RAFT_ENTRY_BYTES_MAX. Success promises nothing: the entry may be lost with its leader. */
int raft_propose(struct raft *r, const void *data, uint32_t size);

/* Asks for a read index (6.4) and returns its ticket. Tickets rise. The core retries lost rounds and changed leaders by itself,
 * for as long as it takes: whoever waits keeps the deadline. Reads of one drain share one round. */
uint64_t raft_read(struct raft *r);
/* No read up to this ticket is waited for any more: nothing is retried for their sake. */
void raft_read_forget(struct raft *r, uint64_t ticket);

/* The saves up to this number (raft_ready's `save`) are durable, entries and hard state. The core knows what each held, and what of it
 * has been overwritten since. */
void raft_stored(struct raft *r, uint64_t save);
/* The answer to a fetch: entries [lo, lo + count) for member `to`; count 0 if they cannot be read now (it is asked again later). Asked
 * again, too, if no answer comes within an election timeout; answers that are late or no longer fit are ignored. */
void raft_fetched(struct raft *r, uint64_t to, const struct raft_entry *entries, uint32_t count);
/* The driver trimmed the durable log: entries below `first` are gone. Never past what is applied here. */
void raft_trimmed(struct raft *r, uint64_t first);

/* Changes the configuration to `next` (borrowed; its outgoing_count is 0; a context alone may change, too). At most one voter more or less
 * takes effect at once (4.1). More at a time go through a joint configuration (4.3), which whoever leads leaves by itself once it is
 * committed; the change is done when a RAFT_ENTRY_CONFIG with those members and nobody outgoing is committed. It may be lost with its
 * leader, like a proposal. A leader that is no voter in the new configuration leads until that is committed, and then hands over (4.2.2).
 * Those that are removed are sent the entry that says so, without being counted, until they know that it is committed or two election
 * timeouts have passed. One that was away then never learns it here: it goes on asking for votes that nobody grants.
 * The errors, in the order in which they are looked for:
 *   -EAGAIN   not the leader, or handing over, or nothing of its term is committed yet (without this rule two changes by leaders that did
 *             not know of each other could have disjoint majorities: Ongaro, raft-dev, 2015)
 *   -EBUSY    a change is under way: not yet committed, or joint
 *   -EINVAL   it breaks a rule of struct raft_members, alone or joined with the present one, leaves no voter, or changes nothing
 *   -ESTALE   a learner that is to become a voter has not caught up: it was not heard from within an election timeout, or lacks more than
 *             RAFT_CAUGHT_UP_ENTRIES. (A voter that was no learner before is taken at its word. Until it has the log nothing may commit, and
 *             until it has a configuration it grants no vote: add it as a learner first.)
 *   -ENOBUFS  as raft_propose */
int raft_change(struct raft *r, const struct raft_members *next);
/* The configuration in force; never NULL; lives until the next call that changes `r`. */
const struct raft_members *raft_members_now(const struct raft *r);

/* The leader: the attempt to give `to` a snapshot is over, with success or without. Its log is probed again; if it still lacks what is
 * gone, it is listed again. Does nothing if no snapshot was asked for. (A member whose log reaches the leader's by itself is sent entries
 * at once, without waiting for this: etcd-io/raft #110.) */
void raft_snapshot_over(struct raft *r, uint64_t to);
/* A snapshot of the applied state at (index, term), with the configuration as of then, is held whole and verified by the driver.
 * 0: it is taken. The log is dropped; commit, applied and stored stand at `index`; `members` is the configuration; the next raft_ready has
 * `install`. The driver makes the snapshot, and the log that begins behind it, durable as part of that save; only then is the leader told,
 * by an append reply that is held for it. Saves and fetches that were under way mean nothing for the new log.
 * Errors: -EALREADY it is not needed: the log has (index, term), which is then known to be committed, or more is committed, or this member
 * leads; -EINVAL index or term is 0, or `members` are not valid or have no voter. */
int raft_install(struct raft *r, uint64_t index, uint64_t term, const struct raft_members *members);

/* Hands leadership to `to`, or with 0 to the most caught-up voter heard from lately. -EAGAIN not the leader; -ENOENT nobody to hand it
 * to (no such voter, or this member). It is given up after an election timeout without success. */
int raft_transfer(struct raft *r, uint64_t to);
/* A leader becomes a follower of nobody (its disk failed). */
void raft_step_down(struct raft *r);

/* The effects since the last call; never NULL. */
const struct raft_ready *raft_ready(struct raft *r);
/* True when raft_ready has anything to list. */
bool raft_has_ready(const struct raft *r);
void raft_status(const struct raft *r, struct raft_status *out);
struct raft_counters raft_counters(const struct raft *r);
/* The term of a log entry; 0 if the log does not reach there any more, or yet. */
uint64_t raft_term_at(const struct raft *r, uint64_t index);
const char *raft_role_name(enum raft_role role);

/* A configuration as bytes (its table stands in core/members.c): the data of a RAFT_ENTRY_CONFIG. `m` must be valid. */
void raft_members_encode(struct writer *w, const struct raft_members *m);
/* -EBADMSG if malformed or not valid; then `out` is as it was. The context is borrowed from `bytes`. */
int raft_members_decode(struct span bytes, struct raft_members *out);
/* In any of the three. */
bool raft_members_has(const struct raft_members *m, uint64_t id);

/* The wire format of a message (its table stands in core/message.c). */
void raft_message_encode(struct writer *w, const struct raft_message *m);
/* `entries` is room for RAFT_APPEND_ENTRIES_MAX entries, used by out->entries; data is borrowed from `bytes`. -EBADMSG if malformed. */
int raft_message_decode(struct span bytes, struct raft_entry *entries, struct raft_message *out);

#endif
