/* identity.h: who this node is: the lock and the node file under DATA. Private to store/.
 *
 * DATA/lock is held (flock) by the one daemon that uses DATA. DATA/node is text:
 *
 *	tallyfs-node 2
 *	cluster 5f3a...                16 hex digits; missing while the node has no identity yet
 *	id 81c0...                     likewise
 *	name n1
 *	incarnation 93ab...            drawn when DATA was new (join.h)
 *	member n1 10.0.0.1:7701        the first members, from cluster=; the configuration until the store holds one
 *	peer 77de... n2 10.0.0.2:7701  of a node that was let in: the members then, so that it finds them
 *	noted n2 4be1... founder       what join.h notes of the others; "founder" may be missing
 *
 * What `tallyctl snapshot restore` made has a cluster and no more: its name, and that it is alone, are added when it first starts.
 *
 * It is written anew, and synced, when the node gets its identity and for each new note. Format 1 had neither id nor incarnation nor notes: the id is
 * that of the name, and other nodes' incarnations are not known.
 *
 * All first members derive the same cluster id from the same cluster= (a cluster of one draws it), and the same first ids from the names. */
#ifndef TALLY_STORE_IDENTITY_H
#define TALLY_STORE_IDENTITY_H

#include "store/join.h"
#include "store/store.h"

struct identity_peer {
	uint64_t id;
	struct store_member who;
};

struct identity {
	int lock_fd;         /* closing it gives the lock back */
	uint64_t cluster_id; /* 0: this node has no identity yet */
	uint64_t id;         /* likewise */
	uint64_t incarnation;
	uint64_t origin; /* the cluster id that the first members amount to */
	char name[STORE_NAME_MAX];
	char address[128]; /* where the others reach this node, from cluster= or, of a node alone, from listen=; empty: nowhere */
	struct store_member first[STORE_MEMBERS_MAX]; /* sorted by name */
	uint32_t first_count;
	struct identity_peer peers[STORE_MEMBERS_MAX];
	uint32_t peers_count;
	struct join_notes notes;
	bool fresh; /* DATA was new */
};

/* Makes DATA if it is missing, locks it, reads or writes DATA/node. config->name NULL: the name that DATA has, or the host name.
 * On failure a negative errno, one line in `why`, and nothing held. */
int identity_open(const struct store_config *config, struct identity *out, char *why, size_t why_size);
/* If DATA was new, removes what this start made in it: a start that failed must not fix a cluster= that the user may yet correct. */
void identity_withdraw(const struct identity *i, const char *data);
void identity_close(struct identity *i);
/* The number of a new cluster of one, or of a node. */
uint64_t identity_draw(void);
/* Writes the node file of a restored DATA, durably. */
int identity_write_unnamed(const char *data, uint64_t cluster_id);
/* Writes DATA/node anew; durable when it returns. */
int identity_keep(const struct identity *i, const char *data);
/* Does this node act under its name's first id, in the cluster of its first members? */
bool identity_is_first(const struct identity *i);

#endif
