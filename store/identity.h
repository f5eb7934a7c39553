/* identity.h: who this node is: the lock and the node file under DATA. Private to store/.
 *
 * DATA/lock is held (flock) by the one daemon that uses DATA. DATA/node is text, written once, when DATA is new:
 *
 *	tallyfs-node 1
 *	cluster 5f3a...        16 hex digits
 *	name n1
 *	member n1 10.0.0.1:7701
 *	member n2 10.0.0.2:7701
 *
 * What `tallyctl snapshot restore` made has a cluster and no more: its name, and that it is alone, are added when it first starts.
 *
 * All members derive the same cluster id from the same cluster= (a cluster of one draws it), and the same node ids from the names. */
#ifndef TALLY_STORE_IDENTITY_H
#define TALLY_STORE_IDENTITY_H

#include "store/store.h"

struct identity {
	int lock_fd; /* closing it gives the lock back */
	uint64_t cluster_id;
	uint64_t id; /* of this node */
	char name[STORE_NAME_MAX];
	struct store_member members[STORE_MEMBERS_MAX];
	uint64_t ids[STORE_MEMBERS_MAX];
	uint32_t members_count;
	bool fresh; /* DATA was new */
};

/* Makes DATA if it is missing, locks it, reads or writes DATA/node. config->name NULL: the name that DATA has, or the host name.
 * On failure a negative errno, one line in `why`, and nothing held. */
int identity_open(const struct store_config *config, struct identity *out, char *why, size_t why_size);
/* If DATA was new, removes what this start made in it: a start that failed must not fix a cluster= that the user may yet correct. */
void identity_withdraw(const struct identity *i, const char *data);
void identity_close(struct identity *i);
/* The number of a new cluster of one. */
uint64_t identity_draw(void);
/* Writes the node file of a restored DATA, durably. */
int identity_write_unnamed(const char *data, uint64_t cluster_id);
/* The member with this id, or NULL. */
const struct store_member *identity_member(const struct identity *i, uint64_t id);

#endif
