/* membership.h: this node's part in who belongs to the cluster. Private to store/.
 *
 * Before it has an identity it asks for one (join.h). With one it answers those who ask; as the leader it gives places to nodes that come back without
 * their data, promotes learners that have caught up, tells all members the configuration in force, and carries out requests (member_request.h).
 * A node that hears no leader asks whether it still belongs; one that was removed keeps quiet.
 *
 * No thread, no clock, no disk: one thread owns it (the replica loop), time comes in as a value, outputs go through struct membership_ports. That is
 * all that a simulator needs: it calls membership_tick and membership_frame as the loop does, and membership_submit for `tallyctl member`. */
#ifndef TALLY_STORE_MEMBERSHIP_H
#define TALLY_STORE_MEMBERSHIP_H

#include "raft/peer.h"
#include "store/identity.h"
#include "store/member_request.h"

struct membership_ports {
	void *ctx;
	/* To a member; best effort. */
	void (*send)(void *ctx, uint64_t to, enum peer_kind kind, struct span payload);
	/* A PEER_JOIN to whoever listens at an address; best effort. */
	void (*send_to)(void *ctx, const char *address, uint64_t to, struct span payload);
	/* Frames go to these, and are taken from these, from now on. */
	void (*links)(void *ctx, const struct peer_member *members, uint32_t count);
	/* Makes the identity durable before it returns. A negative errno: it is not, and nothing may come of it. */
	int (*keep)(void *ctx, const struct identity *identity);
	/* Somebody asked who does not belong here. */
	void (*foreign)(void *ctx);
};

struct membership;

/* `identity` is read and changed by the membership alone from now on; the caller frees it after the membership. `salt` is random. */
struct membership *membership_new(struct identity *identity, uint32_t election_ms, uint64_t salt, const struct membership_ports *ports);
/* Ends what is submitted with -ESHUTDOWN. */
void membership_free(struct membership *m);

/* The configuration to open raft with when the store holds none: that of the first members, or for a node that was let in the empty one. */
void membership_first(const struct identity *identity, struct members *out);
/* The node has its identity, and takes part with `raft`, which runs in the configuration in force. `committed`: what is known to be so. */
void membership_start(struct membership *m, struct raft *raft, const struct raft_members *committed);

/* Inputs. After any number of them: membership_tick. */
void membership_frame(struct membership *m, const struct peer_frame *f);
void membership_changed(struct membership *m, const struct raft_members *in_force);
void membership_committed(struct membership *m, const struct raft_members *committed);
/* A request of this node's users. op->bytes holds it, encoded; op->done is called with result.error and one line in result.reply. */
void membership_submit(struct membership *m, struct store_op *op);

/* Ends all that was submitted, with -EINTR. */
void membership_drop(struct membership *m);

/* Does whatever is due. */
void membership_tick(struct membership *m, int64_t now_ns);
/* When membership_tick should be called again if nothing else happens. */
int64_t membership_deadline_ns(const struct membership *m);

/* The configuration in force; empty while none is known. Lives until the next input. */
const struct members *membership_now(const struct membership *m);
/* Is the configuration in force committed, and not joint? */
bool membership_is_committed(const struct membership *m);
/* It was removed: it must not ask for votes. */
bool membership_is_removed(const struct membership *m);
/* One line if there is anything that keeps this node from taking part, or that its cluster suffers from; else an empty one. */
void membership_health(const struct membership *m, char *out, size_t size);

#endif
