/* apply.h: the deterministic state machine: (store, command) -> (store, result), the same on every node.
 *
 * It validates inside apply, never before (etcd #18667), reads no clock and no configuration, and makes at most one revision. Its rules for
 * errors are those of the system calls behind the commands. One thread (apply) owns a struct apply. */
#ifndef TALLY_STORE_APPLY_H
#define TALLY_STORE_APPLY_H

#include "store/command.h"
#include "store/lease.h"

struct apply;

struct apply_outcome {
	bool fresh; /* false: applied before, or of an older boot of its origin; the result means nothing */
	struct command_id id;
	uint8_t type; /* enum command_type; 0 if the bytes are no command (result.error is -EBADMSG then, and id what could be read of it) */
	/* This node's own disk failed or is corrupt, which other nodes do not share: this entry was not applied, mvcc_applied stays where it
	 * was, and so it goes for all entries from now on. result.error is -EIO. */
	bool stopped;
	struct command_result result; /* its reply is the caller's to free */
};

/* Loads the sessions, the reservations, the leases and the locks from the store. */
int apply_open(struct mvcc *m, struct apply **out);
void apply_close(struct apply *a);
/* Another store has taken the place of the one that it works on (mvcc_replace): what it keeps of it is read anew. On an error nothing is
 * applied any more. */
int apply_reload(struct apply *a);
/* Was this operation applied, or given up by its origin? */
bool apply_has_seen(struct apply *a, uint64_t origin, uint64_t epoch, uint64_t sequence);
/* From now on the leases are kept in `l`, which is the caller's, outlives `a` and is for other threads to look at: what it holds is forgotten, and read from the store.
 * Errors as of apply_open. */
int apply_share_leases(struct apply *a, struct leases *l);
/* The same for the locks. */
int apply_share_locks(struct apply *a, struct locks *l);
/* Applies log entry (index, term) that holds a configuration, encoded: it is kept as the meta APPLY_MEMBERS, and what is remembered of operations of
 * nodes that are no members any more goes. From then on their commands change nothing. False: the disk failed, as `stopped` above. */
bool apply_members(struct apply *a, uint64_t index, uint64_t term, struct span members);
#define APPLY_MEMBERS "members"
/* Applies log entry (index, term). `command` is empty for an entry without one (a new leader's first): only the applied index moves.
 * Bytes that do not decode change nothing but the applied index (every node sees the same bytes). */
void apply_entry(struct apply *a, uint64_t index, uint64_t term, struct span command, struct apply_outcome *out);

#endif
