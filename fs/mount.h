/* mount.h: one mounted file system, as the files of this folder share it. */
#ifndef TALLY_FS_MOUNT_H
#define TALLY_FS_MOUNT_H

#include "fs/fs.h"
#include "fs/node.h"

#include <fuse_lowlevel.h>
#include <sys/types.h>

#define REWALKS 256u
#define MAPPED_VISITORS 256u

/* Of mapped.h: a thread that was sent back from a file; under the lock of the node table. */
struct mapped_visitor {
	pid_t thread; /* 0: nobody */
	uint64_t ino;
	int64_t at_ns;
};

struct fs {
	struct store *store;
	struct mvcc *mvcc;
	struct fs_config config;
	bool kernel_checks; /* permissions, by default_permissions */
	const struct store_config *settings;
	const struct fuse_lowlevel_ops *operations; /* as they are, uncounted */
	struct metrics *metrics;
	struct inotify *inotify;   /* NULL: off */
	struct notifier *notifier; /* NULL: the kernel caches no files */
	struct stale *stale;
	struct streams *streams; /* open @watch files */
	struct lock_session *lock_session;
	struct lock_waits *lock_waits;
	const struct endpoint *clients; /* for metrics_text; NULL: none */
	struct nodes nodes;
	pthread_mutex_t numbers_lock; /* of numbers.h */
	uint64_t numbers_next;
	uint64_t numbers_end;
	pthread_mutex_t handles_lock; /* the lists of open handles in nodes, and of directories */
	struct directory *directories;
	struct fuse_session *session;
	_Atomic long mount_id; /* as holders.h has it; 0: not asked for yet */
	dev_t device;          /* of the mount; 0: not known */
	bool mounted;
	atomic_bool ready_told;
	pthread_mutex_t idle_lock;
	pthread_cond_t idle; /* no request under way */
	uint64_t under_way;
	_Atomic uint64_t rewalks[REWALKS]; /* of rewalk.h */
	struct mapped_visitor mapped_visitors[MAPPED_VISITORS];
};

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct node *node_of(struct fs *fs, fuse_ino_t id)
{
	return nodes_from_id(&fs->nodes, id);
}

#endif
