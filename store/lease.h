/* lease.h: keys that live as long as somebody says so.
 *
 * A lease has a time to live. Keys are attached to it by the put that names it, and are deleted together, in one revision, when it is revoked or runs out. Which leases
 * there are, how often each was renewed, and what is attached is replicated state: commands alone change it. Time is not: every node counts from when it saw a
 * lease granted or renewed, and only the leader acts on it. A new leader gives every lease its whole time again, so none ends early; it proposes the end together with
 * the number of renewals that it knows of, and apply lets it pass if there was another one meanwhile.
 *
 * No clock is read here: time is a value. Apply changes the table, between mvcc_begin and mvcc_end; everybody may look at it. */
#ifndef TALLY_STORE_LEASE_H
#define TALLY_STORE_LEASE_H

#include "store/mvcc/mvcc.h"

#define LEASES_MAX 65536u
#define LEASE_TTL_S_MAX (365u * 86400u)
/* How long the leader waits for the end of a lease that it has proposed, before it does so again. */
#define LEASE_AGAIN_NS INT64_C(2000000000)

struct leases;

struct leases *leases_new(void);
void leases_free(struct leases *l);
/* Forgets what it holds and reads what the store keeps. -EBADMSG malformed, or an error of mvcc.h. */
int leases_load(struct leases *l, struct mvcc *m);

/* --- the thread of apply --- */

/* The lease's renewals, its granting being the first; 0: there is none. */
uint64_t leases_renewals(struct leases *l, uint64_t id, uint32_t *ttl_s);
bool leases_full(struct leases *l);
/* Calls fn for each key of a lease. The keys live until it is revoked or they are detached. */
int leases_each_key(struct leases *l, uint64_t id, int (*fn)(void *ctx, struct span key), void *ctx);

/* Changes, kept in the store as well. The lease must be there, or of leases_grant must not. */
void leases_grant(struct leases *l, struct mvcc *m, uint64_t id, uint32_t ttl_s);
void leases_renew(struct leases *l, struct mvcc *m, uint64_t id);
void leases_revoke(struct leases *l, struct mvcc *m, uint64_t id);
/* A key is attached to one lease at most. */
void leases_attach(struct leases *l, struct mvcc *m, uint64_t id, struct span key);
void leases_detach(struct leases *l, struct mvcc *m, struct span key);

/* --- time --- */

struct lease_due {
	uint64_t id;
	uint64_t renewals;
};
/* To be called often, on every node: notes what was granted or renewed since the last time. `term`: the current one; with another one, each lease begins its time anew.
 * Of a leader, gives up to `max` leases that have run out; returns how many. */
uint32_t leases_tick(struct leases *l, int64_t now_ns, uint64_t term, bool leads, struct lease_due *due, uint32_t max);

/* --- anybody --- */

bool leases_any(struct leases *l);

/* -ENOENT. What remains is as this node sees it, 0 if the lease is about to end. Its keys go to `keys`, each as bytes, if that is not NULL. */
int leases_look(struct leases *l, uint64_t id, int64_t now_ns, uint32_t *ttl_s, int64_t *remaining_ns, struct writer *keys);
/* The id of each, as a u64. */
void leases_list(struct leases *l, struct writer *ids);

#endif
