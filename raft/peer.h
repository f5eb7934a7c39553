/* peer.h: frames between members, over nanomsg: one bound PULL here, one connected PUSH for each other member.
 *
 * Delivery is best effort by design: a frame that cannot be queued at once is dropped and counted, because raft sends again.
 * Every frame carries cluster, sender, receiver, the sender's boot epoch and a sequence number. With a secret each frame is sealed (encrypted and
 * authenticated, header included) and taken at most once; without one it has a CRC32C: the table stands in peer.c. A node with a secret takes only
 * sealed frames, one without only unsealed ones. A frame from another cluster, for another node, of an unknown format, damaged, wrongly
 * sealed, or seen before, is dropped and counted, never answered.
 *
 * One thread owns a struct peer_net (the replica loop), except for peer_net_stats. Create it after the daemon's last fork:
 * nanomsg has threads of its own. */
#ifndef TALLY_RAFT_PEER_H
#define TALLY_RAFT_PEER_H

#include "base/codec.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stdint.h>

/* The largest payload; a whole frame stays well under nanomsg's 1 MiB receive limit, which drops silently. */
#define PEER_PAYLOAD_MAX (512u << 10)

/* Links at a time: those of the members in force, and of some that are about to be. */
#define PEER_MEMBERS_MAX 32
#define PEER_ADDRESS_BYTES 128

/* PEER_JOIN is taken from anybody and wherever it was meant to go; PEER_MEMBERS from anybody of this cluster. All others are taken only
 * from senders that there is a link to. */
enum peer_kind { PEER_RAFT = 1, PEER_PROPOSE = 2, PEER_SNAPSHOT = 3, PEER_MEMBERS = 4, PEER_JOIN = 5, PEER_HASH = 6 };

struct peer_member {
	uint64_t id;         /* never 0 */
	const char *address; /* HOST:PORT */
};

struct peer_config {
	uint64_t cluster_id;
	uint64_t self;
	uint64_t epoch;                    /* this boot (wal_epoch) */
	const char *listen;                /* HOST:PORT to bind */
	const struct peer_member *members; /* the others, or all: `self` is skipped. Borrowed for the call */
	uint32_t members_count;
	const struct secret *secret; /* NULL: no seal, and loopback addresses only. Borrowed until close */
};

struct peer_frame {
	uint64_t from;
	uint64_t epoch; /* the sender's boot */
	uint8_t kind;   /* enum peer_kind */
	bool known;     /* there is a link to its sender; only PEER_JOIN and PEER_MEMBERS come from others */
	struct span payload;
	void *memory; /* private */
};

struct peer_stats {
	uint64_t sent;
	uint64_t received;
	uint64_t dropped;   /* no connection, or its queue was full */
	uint64_t foreign;   /* of another cluster or for another node, or from no member */
	uint64_t malformed; /* unknown format or failed CRC */
	uint64_t stale;     /* of an older boot of its sender */
	uint64_t unsealed;  /* not sealed though this node has a secret, or sealed though it has none */
	uint64_t forged;    /* whose seal does not open: another secret, or altered on the way */
	uint64_t replayed;  /* sealed rightly, and seen before */
};

struct peer_net;

/* On failure a negative errno (-EADDRINUSE: the port is taken; -EACCES: an address beyond this machine, and no secret) and one line in `why`. */
int peer_net_open(const struct peer_config *config, struct peer_net **out, char *why, size_t why_size);
void peer_net_close(struct peer_net *n);
/* Readable when peer_net_receive has something to do (it also sends on what waits for a busy connection). Valid until close. */
int peer_net_fd(const struct peer_net *n);
/* The links are to these from now on: others are closed, a changed address is connected to anew, `self` is skipped. An address that cannot be
 * used is left out, and the first such error returned: the rest is done. */
int peer_net_set_members(struct peer_net *n, const struct peer_member *members, uint32_t members_count);
/* A node that waited for its identity has got it: what is sent from now on, and what is taken, carries these. Links stay. */
void peer_net_become(struct peer_net *n, uint64_t cluster_id, uint64_t self, uint64_t epoch);
/* To whoever listens at an address, member or not: `to` is only what the frame says. The first frames to a stranger's address are dropped (-EAGAIN)
 * until the connection stands; a few such connections are kept. -EINVAL for an address that cannot be used. */
int peer_net_send_to(struct peer_net *n, const char *address, uint64_t to, enum peer_kind kind, struct span payload);
/* A PEER_JOIN turned out to be none of ours. */
void peer_net_count_foreign(struct peer_net *n);
/* Copies the payload. 0, -EAGAIN dropped, -ENOENT no such member, -EMSGSIZE too large. */
int peer_net_send(struct peer_net *n, uint64_t to, enum peer_kind kind, struct span payload);
/* 1 and a frame, which peer_frame_done must end; 0 when there is none now. Call it until it gives 0 whenever the fd is readable. */
int peer_net_receive(struct peer_net *n, struct peer_frame *out);
void peer_frame_done(struct peer_frame *f);
/* Any thread. */
void peer_net_stats(const struct peer_net *n, struct peer_stats *out);

#endif
