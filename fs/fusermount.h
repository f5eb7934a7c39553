/* fusermount.h: mounting for a user, which fusermount3(1) does: it complains on the standard error of its caller. Private to fs/. */
#ifndef TALLY_FS_FUSERMOUNT_H
#define TALLY_FS_FUSERMOUNT_H

#include <fuse_lowlevel.h>
#include <stddef.h>

/* fuse_session_mount. What fusermount3 said meanwhile comes into `said`, which is left alone if it said nothing; whatever else came to standard
 * error goes on to where it was going. */
int fusermount(struct fuse_session *session, const char *mountpoint, char *said, size_t said_size);

#endif
