#include "fs/ownership.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>

/* Only asked about a user who does not own what the kernel let him change: seldom enough for /proc. */
static bool has_capability(const struct request *rq, unsigned number)
{
	char name[64], line[128];
	uint64_t effective = 0;

	if (rq->uid == 0)
		return true;
	snprintf(name, sizeof(name), "/proc/%d/status", (int)rq->pid);
	FILE *f = rq->pid > 0 ? fopen(name, "re") : NULL;
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f) && sscanf(line, "CapEff: %" SCNx64, &effective) != 1)
		;
	fclose(f);
	return effective >> number & 1;
}

bool ownership_takes_over(struct request *rq)
{
	if (rq->uid == 0 || !has_capability(rq, CAP_FOWNER))
		return false;
	rq->uid = 0;
	return true;
}

/* Is it more than the loss of set-user-ID and set-group-ID that comes with a write by whoever may write? */
static bool sets_mode(const struct request *rq, const struct record *r)
{
	uint32_t differs = (rq->attr.st_mode ^ r->mode) & 07777, lost = r->mode & (S_ISUID | S_ISGID);

	return rq->to_set & FUSE_SET_ATTR_MODE && !(rq->to_set & FUSE_SET_ATTR_SIZE) && differs & ~lost;
}

static bool sets_given_times(const struct request *rq)
{
	return (rq->to_set & FUSE_SET_ATTR_ATIME && !(rq->to_set & FUSE_SET_ATTR_ATIME_NOW)) ||
	       (rq->to_set & FUSE_SET_ATTR_MTIME && !(rq->to_set & FUSE_SET_ATTR_MTIME_NOW));
}

int ownership_check(const struct request *rq, const struct record *r)
{
	bool may = true;

	if (rq->uid == 0 || rq->uid == r->uid)
		return 0;
	if (rq->to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		may = has_capability(rq, CAP_CHOWN);
	if (may && (sets_mode(rq, r) || sets_given_times(rq)))
		may = has_capability(rq, CAP_FOWNER);
	return may ? 0 : -EPERM;
}
