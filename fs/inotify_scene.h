/* inotify_scene.h: what is being repeated, as its thread and the operations share it. Private to inotify*.c.
 *
 * The thread fills it in, makes one system call, and sees afterwards what came of it; the operations of that call read it on other threads. The kernel believes names that it
 * knows, which may stand for something newer or older. So operations that only give a name are refused (ESTALE) until the name was looked up within the scene: the
 * kernel then walks again, asking for each name. */
#ifndef TALLY_FS_INOTIFY_SCENE_H
#define TALLY_FS_INOTIFY_SCENE_H

#include "fs/inotify.h"

#include <sys/stat.h>

/* A name in a directory, before the scene. */
struct scene_name {
	uint64_t parent; /* inode number of the directory */
	struct span key;
	const char *name;
	uint64_t ino; /* 0: it is not there */
	uint32_t mode;
	bool looked_up;
};

struct scene {
	bool on;
	uint64_t before; /* the revision at which the names stood so */
	uint64_t at;     /* the revision that is repeated */
	struct scene_name name;
	struct scene_name name2; /* of a rename */
	uint64_t ino;            /* what is made, opened, changed, moved */
	uint32_t mode;
	bool opened; /* the file is open, by a handle that writes nothing */
};

/* The scene's lock, held by whoever looks at it. */
struct scene *inotify_scene(struct inotify *i);
void inotify_scene_done(struct inotify *i);
/* A request that always reaches the daemon came from the thread. */
void inotify_seen(struct inotify *i);
/* Fills `to` with the operations of `from`, the thread recognised in them. */
void inotify_recognise(const struct fuse_lowlevel_ops *from, struct fuse_lowlevel_ops *to);

#endif
