/* counted.h: the operations, each counted on its way in (metrics.h). */
#ifndef TALLY_FS_COUNTED_H
#define TALLY_FS_COUNTED_H

#include "fs/mount.h"

/* Wrappers of those that are there; they find what they wrap in fs->operations. */
struct fuse_lowlevel_ops counted_operations(const struct fuse_lowlevel_ops *operations);

#endif
