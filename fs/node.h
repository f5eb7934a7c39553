/* node.h: the node table: what the kernel's node numbers stand for.
 *
 * A live node is bound to a path: (parent node, name), and remembers the inode number that was found there. Its key is the chain of
 * names up to the root, so renaming a directory moves all below it by changing one node. LOOKUP alone decides that a name now stands
 * for something else: the old node is then loose: no name leads to it, and it is found by its inode number as long as somebody has it
 * open or sits in it. Nodes of past revisions are bound to (path, revision) the same way.
 *
 * The kernel's number of a node is its address (the root's is FUSE_ROOT_ID); the kernel counts its lookups, and a node lives until they are
 * forgotten and nobody here holds it. Any thread. */
#ifndef TALLY_FS_NODE_H
#define TALLY_FS_NODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum node_kind {
	NODE_LIVE,     /* a key as it is now */
	NODE_REVISION, /* a key as it was at `rev` */
	NODE_VERSIONS, /* NAME@ */
	NODE_CONTROL   /* @status */
};

/* What a name was found to be. */
struct node_target {
	enum node_kind kind;
	uint64_t rev; /* of a NODE_REVISION */
	uint64_t ino; /* of the record; 0: made here and not published yet */
	mode_t mode;
	size_t segment_len; /* how much of the name, from its start, belongs to the key */
};

/* What the kernel may remember of a file (cache.h), under the table's lock. */
struct node_cache {
	struct node *next; /* among those with such an inode number */
	struct node **at;  /* NULL: it is not among them */
	uint64_t image;    /* the revision of the node's image; 0: it has none */
	struct stat st;    /* the image's attributes */
	uint32_t version;  /* and its number among the file's versions */
	int64_t seen_ns;   /* the newest change that was shown */
	uint64_t generation;
	uint32_t readers;      /* cached handles */
	uint32_t others;       /* all other handles, and changes under way */
	uint32_t writers;      /* of those, the ones that may change the file */
	struct pin *extension; /* extend.h: what READs of cached handles are answered from; NULL: from what they pinned */
	bool extending;        /* and it is not the image yet */
	struct pin *mapped;    /* mapped.h: what the pages of its mappings are of, as long as there are */
	uint32_t mappers;      /* handles that fill them */
	bool parted;           /* while it is mapped its name is to lead to another node, once it is looked up */
	int64_t told_ns;       /* when the kernel was first told the image's attributes, to keep; 0: not yet */
	bool sized;            /* ... and has taken them: it reads pages with the size that goes with them */
	bool put_off;          /* the notifier's alone: it comes back to the node */
	bool unclean;          /* the kernel may have pages that are not of the image */
	bool frozen;
};

/* Of a fleeting node (rewalk.h), under the table's lock: what the newest of its LOOKUPs found, and when. */
struct node_found {
	char *key; /* malloc'ed */
	size_t key_size;
	uint64_t rev;
	int64_t at_ns;
	int64_t again_ns; /* when the name was last looked up after ESTALE */
};

struct node {
	enum node_kind kind; /* these do not change */
	uint64_t rev;
	mode_t type;             /* S_IFMT */
	uint64_t number;         /* counts nodes: the inode number shown where there is no record's */
	_Atomic uint64_t ino;    /* 0 until a provisional file is published */
	_Atomic uint64_t shown;  /* of a file that is made here: the inode number that it is shown with until it is published; or 0 */
	_Atomic uint64_t unused; /* the same until a publication has asked for it */
	atomic_bool cancelled;   /* unlinked: nothing written to it is published any more */
	atomic_uint writers;     /* open handles that may write */
	atomic_bool fleeting;    /* the kernel keeps no name of it; never set later than at its beginning */
	struct handle *handles;  /* all open handles; handle.c locks it */
	struct node *parent;     /* the rest belongs to the table */
	struct node *next;       /* in its bucket */
	struct node *all_next;
	struct node **all_at;
	struct node *loose_next; /* among those that no name leads to */
	struct node **loose_at;  /* NULL: it is not among them */
	struct node_cache cache;
	struct node_found found;
	char *name;
	size_t segment_len;
	uint64_t lookups;
	uint64_t refs; /* children and holders */
	bool bound;
};

#define NODES_REMEMBERED 4096u
#define NODES_AWAITED 1024u

/* A name that somebody looks up again, to change what it leads to. */
struct node_awaited {
	uint64_t hash;
	int64_t until_ns;
};

struct nodes {
	pthread_mutex_t lock;
	struct node *all;
	struct node *loose;
	struct node **remembered; /* by inode number, NODES_REMEMBERED lists */
	uint64_t frozen;          /* how many there are */
	struct node_awaited awaited[NODES_AWAITED];
	struct node **buckets;
	size_t buckets_count; /* a power of two */
	size_t bound_count;
	uint64_t numbered;
	struct node root;
};

void nodes_init(struct nodes *t, uint64_t root_ino);
/* Frees all nodes; nothing may use the table any more. */
void nodes_done(struct nodes *t);

struct node *nodes_from_id(struct nodes *t, uint64_t id);
uint64_t nodes_id(const struct nodes *t, const struct node *n);
/* Does a name lead to it? */
bool nodes_bound(struct nodes *t, const struct node *n);
/* Made here, not published yet. */
bool node_provisional(const struct node *n);
/* The file that is made here is to have this inode number, unless it has one already. */
void node_show_as(struct node *n, uint64_t number);

/* The node for what was found under a name, with one more lookup; a node bound there that stood for something else becomes loose. */
struct node *nodes_enter(struct nodes *t, struct node *parent, const char *name, const struct node_target *target);
/* The same for a LOOKUP that found this record, no directory's; `again`: made because ESTALE was answered. The node is a fleeting one then, and so it stays
 * for those who look the name up within the next second. */
struct record;
struct node *nodes_enter_found(struct nodes *t, struct node *parent, const char *name, const struct node_target *target,
			       const struct record *r, bool again);
/* What was found of a fleeting node not long ago: its key (malloc'ed; NULL: nothing) and the revision. */
char *nodes_found(struct nodes *t, struct node *n, size_t *key_size, uint64_t *rev);
/* The name was looked up and is not there: its node, unless provisional, becomes loose. */
void nodes_missing(struct nodes *t, struct node *parent, const char *name);
/* The name was removed here: its node becomes loose; a provisional one is cancelled. */
void nodes_remove(struct nodes *t, struct node *parent, const char *name);
/* The name was renamed here. `moved` is what it led to when the rename began, or NULL; it is bound anew even if it became loose meanwhile. */
void nodes_rename(struct nodes *t, struct node *moved, struct node *parent, const char *name, struct node *parent2, const char *name2,
		  bool exchange);
/* The node bound to a name, held (nodes_put), or NULL. */
struct node *nodes_find(struct nodes *t, struct node *parent, const char *name);
/* The live node bound to a path ("" is the root), held, or NULL. */
struct node *nodes_walk(struct nodes *t, const char *path, size_t size);
/* For those who tell the kernel of what happened elsewhere, and happened already (inotify.h). The node that stands for this inode number, with one more
 * lookup: the one bound to the name, else a loose one, else a new one, which is bound only if the name `leads` to it now. */
struct node *nodes_enter_past(struct nodes *t, struct node *parent, const char *name, const struct node_target *target, bool leads);
/* The name does not lead to this inode number any more; what else it may lead to by now stays. */
void nodes_removed_elsewhere(struct nodes *t, struct node *parent, const char *name, uint64_t ino);
/* The node has left its name, and is bound to the new one if that `leads` to it now and to no file that is being made here. */
void nodes_renamed_elsewhere(struct nodes *t, struct node *moved, struct node *parent2, const char *name2, bool leads);
/* With the lock held. The kernel may remember something of the node from now on; and no more. */
void nodes_remember(struct nodes *t, struct node *n);
void nodes_forgotten(struct node *n);
/* With the lock held. For a second, lookups of the node's name lead to a node that has no image, nor gets one. */
void nodes_await(struct nodes *t, const struct node *n);
bool nodes_is_awaited(const struct nodes *t, const struct node *n);
/* With the lock held: its name is to lead to another node, though it stands for the same file. It is frozen if it has cached handles. */
void nodes_part(struct nodes *t, struct node *n);
/* How many nodes are frozen. */
uint64_t nodes_frozen(struct nodes *t);
/* With the lock held: its name leads elsewhere from now on, and it never has one again. */
void nodes_freeze(struct nodes *t, struct node *n);
void nodes_hold(struct nodes *t, struct node *n);
void nodes_put(struct nodes *t, struct node *n);
void nodes_forget(struct nodes *t, struct node *n, uint64_t lookups);

/* The path of `name` (NULL: of the node itself) into `key` (MVCC_KEY_MAX + 1 bytes, NUL-terminated); returns its length. It begins at the
 * root if *anchor is 0, else below the file or directory with that inode number, found where it now is. -ENAMETOOLONG. */
int nodes_path(struct nodes *t, const struct node *n, const char *name, char *key, uint64_t *anchor);

#endif
