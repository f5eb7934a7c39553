/* ownership.h: who may change a file is checked by the kernel, by the owner, group and mode that it was told last. It asks for those of directories and
 * of files that are opened anew each time, but not for those of a file that is to be changed (chmod, chown, utimensat) or removed from a sticky
 * directory. So where another node may have changed them since:
 *
 *   - what the kernel allowed is checked again: here, against the file as it is (ownership_check), or in apply (sticky directories);
 *   - what it would refuse, it refuses without a word, until it is told (stale.h).
 */
#ifndef TALLY_FS_OWNERSHIP_H
#define TALLY_FS_OWNERSHIP_H

#include "fs/request.h"

/* May the caller change rq->to_set of the file, which is `r` now? -EPERM. */
int ownership_check(const struct request *rq, const struct record *r);
/* The caller was refused by apply as no owner. If he may act as if he owned all files, his request becomes one of root's, to be made again. */
bool ownership_takes_over(struct request *rq);

#endif
