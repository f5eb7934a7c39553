#include "fs/counted.h"

#include "fs/metrics.h"

#define COUNTED(upper, lower, parameters, arguments)                                                                                       \
	static void count_##lower parameters                                                                                               \
	{                                                                                                                                  \
		struct fs *fs = fs_of(req);                                                                                                \
                                                                                                                                           \
		metrics_begin(fs->metrics, METRICS_##upper);                                                                               \
		fs->operations->lower arguments;                                                                                           \
		metrics_end();                                                                                                             \
	}

COUNTED(LOOKUP, lookup, (fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
COUNTED(FORGET, forget, (fuse_req_t req, fuse_ino_t ino, uint64_t lookups), (req, ino, lookups))
COUNTED(FORGET, forget_multi, (fuse_req_t req, size_t count, struct fuse_forget_data *forgets), (req, count, forgets))
COUNTED(GETATTR, getattr, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file), (req, ino, file))
COUNTED(SETATTR, setattr, (fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct fuse_file_info *file),
	(req, ino, attr, set, file))
COUNTED(READLINK, readlink, (fuse_req_t req, fuse_ino_t ino), (req, ino))
COUNTED(MKNOD, mknod, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev), (req, parent, name, mode, rdev))
COUNTED(MKDIR, mkdir, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode), (req, parent, name, mode))
COUNTED(UNLINK, unlink, (fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
COUNTED(RMDIR, rmdir, (fuse_req_t req, fuse_ino_t parent, const char *name), (req, parent, name))
COUNTED(SYMLINK, symlink, (fuse_req_t req, const char *target, fuse_ino_t parent, const char *name), (req, target, parent, name))
COUNTED(RENAME, rename, (fuse_req_t req, fuse_ino_t from, const char *name, fuse_ino_t to, const char *name2, unsigned flags),
	(req, from, name, to, name2, flags))
COUNTED(LINK, link, (fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name), (req, ino, parent, name))
COUNTED(OPEN, open, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file), (req, ino, file))
COUNTED(READ, read, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file),
	(req, ino, size, offset, file))
COUNTED(WRITE, write, (fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *file),
	(req, ino, data, size, offset, file))
COUNTED(FLUSH, flush, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file), (req, ino, file))
COUNTED(RELEASE, release, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file), (req, ino, file))
COUNTED(FSYNC, fsync, (fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *file), (req, ino, data_only, file))
COUNTED(OPENDIR, opendir, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file), (req, ino, file))
COUNTED(READDIR, readdir, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file),
	(req, ino, size, offset, file))
COUNTED(READDIRPLUS, readdirplus, (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file),
	(req, ino, size, offset, file))
COUNTED(RELEASEDIR, releasedir, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file), (req, ino, file))
COUNTED(FSYNCDIR, fsyncdir, (fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *file), (req, ino, data_only, file))
COUNTED(STATFS, statfs, (fuse_req_t req, fuse_ino_t ino), (req, ino))
COUNTED(SETXATTR, setxattr, (fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags),
	(req, ino, name, value, size, flags))
COUNTED(GETXATTR, getxattr, (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size), (req, ino, name, size))
COUNTED(LISTXATTR, listxattr, (fuse_req_t req, fuse_ino_t ino, size_t size), (req, ino, size))
COUNTED(REMOVEXATTR, removexattr, (fuse_req_t req, fuse_ino_t ino, const char *name), (req, ino, name))
COUNTED(ACCESS, access, (fuse_req_t req, fuse_ino_t ino, int mask), (req, ino, mask))
COUNTED(CREATE, create, (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file),
	(req, parent, name, mode, file))
COUNTED(GETLK, getlk, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, struct flock *lock), (req, ino, file, lock))
COUNTED(SETLK, setlk, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, struct flock *lock, int waits),
	(req, ino, file, lock, waits))
COUNTED(FLOCK, flock, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, int lock), (req, ino, file, lock))
COUNTED(IOCTL, ioctl,
	(fuse_req_t req, fuse_ino_t ino, unsigned number, void *argument, struct fuse_file_info *file, unsigned flags, const void *in,
	 size_t in_size, size_t out_size),
	(req, ino, number, argument, file, flags, in, in_size, out_size))
COUNTED(POLL, poll, (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, struct fuse_pollhandle *handle), (req, ino, file, handle))
COUNTED(FALLOCATE, fallocate, (fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t size, struct fuse_file_info *file),
	(req, ino, mode, offset, size, file))
COUNTED(LSEEK, lseek, (fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *file),
	(req, ino, offset, whence, file))
COUNTED(COPY_FILE_RANGE, copy_file_range,
	(fuse_req_t req, fuse_ino_t from, off_t from_offset, struct fuse_file_info *from_file, fuse_ino_t to, off_t to_offset,
	 struct fuse_file_info *to_file, size_t size, int flags),
	(req, from, from_offset, from_file, to, to_offset, to_file, size, flags))

struct fuse_lowlevel_ops counted_operations(const struct fuse_lowlevel_ops *operations)
{
	struct fuse_lowlevel_ops counted = *operations;

#define WRAP(upper, lower)                                                                                                                 \
	if (operations->lower)                                                                                                             \
		counted.lower = count_##lower;
	METRICS_OPERATIONS(WRAP)
	WRAP(FORGET, forget_multi)
#undef WRAP
	return counted;
}
