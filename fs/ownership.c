#include "fs/ownership.h"

#include "base/log.h"
#include "fs/follow.h"
#include "fs/view.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ownership {
	struct fs *fs;
	struct follow *follow;
};

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

static bool changed_hands(const struct fs *fs, const struct mvcc_event *e)
{
	struct record now = {0}, before = {0};
	bool changed = mvcc_get(fs->mvcc, e->key, e->rev.main, &now) == 0 && mvcc_get(fs->mvcc, e->key, e->rev.main - 1, &before) == 0 &&
		       now.ino == before.ino && (now.uid != before.uid || now.gid != before.gid || now.mode != before.mode);

	record_done(&now);
	record_done(&before);
	return changed;
}

static void look_up_again(struct fs *fs, struct node *parent, const char *segment, size_t size)
{
	uint64_t id = nodes_id(&fs->nodes, parent);
	char name[NAME_MAX + 1] = "";

	memcpy(name, segment, size <= NAME_MAX ? size : NAME_MAX);
	/* Kernels before 6.2 can only forget it. */
	if (fuse_lowlevel_notify_expire_entry(fs->session, id, name, size, FUSE_LL_EXPIRE_ONLY) == -ENOSYS)
		fuse_lowlevel_notify_inval_entry(fs->session, id, name, size);
}

static void on_event(void *ctx, const struct mvcc_event *e)
{
	struct ownership *o = ctx;
	const char *slash = memrchr(e->key.data, '/', e->key.size);
	size_t above = slash ? (size_t)(slash - (const char *)e->key.data) : 0;
	const char *name = slash ? slash + 1 : e->key.data;
	struct nodes *nodes = &o->fs->nodes;

	if (e->type != MVCC_EVENT_PUT || e->key.size == 0)
		return;
	struct node *known = nodes_walk(nodes, e->key.data, e->key.size);
	struct node *parent = known ? nodes_walk(nodes, e->key.data, above) : NULL;
	if (parent && changed_hands(o->fs, e) && !follow_stopping(o->follow))
		look_up_again(o->fs, parent, name, e->key.size - (size_t)(name - (const char *)e->key.data));
	nodes_put(nodes, parent);
	nodes_put(nodes, known);
}

static void on_lost(void *ctx, uint64_t revision)
{
	(void)ctx;
	log_warn("changes of owners up to revision %" PRIu64 " were missed: the kernel may refuse their new owners until it looks",
		 revision);
}

void ownership_start(struct fs *fs, struct ownership **out)
{
	*out = NULL;
	if (!fs->config.allow_other && geteuid() == 0)
		return;
	struct ownership *o = calloc(1, sizeof(*o));
	if (!o)
		abort();
	o->fs = fs;
	const struct follow_events events = {.ctx = o, .event = on_event, .lost = on_lost};
	int error = follow_start(store_watch(fs->store), "ownership", &events, &o->follow);
	if (!error) {
		*out = o;
		return;
	}
	log_warn("the kernel is not told of owners that change elsewhere: error %d", -error);
	free(o);
}

void ownership_stop(struct ownership *o)
{
	if (o)
		follow_stop(o->follow);
}

void ownership_end(struct ownership *o)
{
	if (!o)
		return;
	follow_end(o->follow);
	free(o);
}
