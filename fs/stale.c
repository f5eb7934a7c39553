#include "fs/stale.h"

#include "base/log.h"
#include "fs/follow.h"
#include "fs/view.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stale {
	struct fs *fs;
	struct follow *follow;
	bool names; /* inotify does not do on the mount what was done elsewhere */
	bool hands; /* the kernel checks permissions */
};

static bool changed_hands(const struct fs *fs, const struct mvcc_event *e)
{
	struct record now = {0}, before = {0};
	bool changed = mvcc_get(fs->mvcc, e->key, e->rev.main, &now) == 0 && mvcc_get(fs->mvcc, e->key, e->rev.main - 1, &before) == 0 &&
		       now.ino == before.ino && (now.uid != before.uid || now.gid != before.gid || now.mode != before.mode);

	record_done(&now);
	record_done(&before);
	return changed;
}

/* Does the name lead to something else than the node by now? */
static bool leads_elsewhere(const struct fs *fs, const struct node *n, struct span key)
{
	struct record now = {0};
	uint64_t ino = n->ino;
	int error = mvcc_get(fs->mvcc, key, 0, &now);
	bool elsewhere = ino && (error == -ENOENT || (!error && now.ino != ino));

	record_done(&now);
	return elsewhere;
}

static void look_up_again(struct stale *s, struct span key)
{
	struct fs *fs = s->fs;
	const char *slash = memrchr(key.data, '/', key.size);
	const char *segment = slash ? slash + 1 : key.data;
	size_t above = slash ? (size_t)(slash - (const char *)key.data) : 0, size = key.size - (size_t)(segment - (const char *)key.data);
	struct node *parent = nodes_walk(&fs->nodes, key.data, above);
	char name[NAME_MAX + 1] = "";

	if (!parent || follow_stopping(s->follow)) {
		nodes_put(&fs->nodes, parent);
		return;
	}
	uint64_t id = nodes_id(&fs->nodes, parent);
	memcpy(name, segment, size <= NAME_MAX ? size : NAME_MAX);
	/* Kernels before 6.2 can only forget it. */
	if (fuse_lowlevel_notify_expire_entry(fs->session, id, name, size, FUSE_LL_EXPIRE_ONLY) == -ENOSYS)
		fuse_lowlevel_notify_inval_entry(fs->session, id, name, size);
	nodes_put(&fs->nodes, parent);
}

static void check_name(struct stale *s, const struct mvcc_event *e, struct span key)
{
	struct nodes *nodes = &s->fs->nodes;
	struct node *n = nodes_walk(nodes, key.data, key.size);
	bool same = n && e->type == MVCC_EVENT_PUT && e->ino == n->ino;

	if (n && (same ? s->hands && changed_hands(s->fs, e) : s->names && leads_elsewhere(s->fs, n, key)))
		look_up_again(s, key);
	nodes_put(nodes, n);
}

static void on_event(void *ctx, const struct mvcc_event *e)
{
	if (e->key.size)
		check_name(ctx, e, e->key);
	if (e->type == MVCC_EVENT_RENAME)
		check_name(ctx, e, e->to);
}

static void on_lost(void *ctx, uint64_t revision)
{
	(void)ctx;
	log_warn("changes up to revision %" PRIu64 " were missed: the kernel may refuse by what it knew before, until it looks", revision);
}

void stale_start(struct fs *fs, struct stale **out)
{
	struct stale *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	*out = NULL;
	s->fs = fs;
	s->names = !fs->inotify;
	s->hands = fs->kernel_checks;
	const struct follow_events events = {.ctx = s, .event = on_event, .lost = on_lost};
	int error = follow_start(store_watch(fs->store), "stale", &events, &s->follow);
	if (!error) {
		*out = s;
		return;
	}
	log_warn("the kernel is not told of names that change elsewhere: error %d", -error);
	free(s);
}

void stale_stop(struct stale *s)
{
	if (s)
		follow_stop(s->follow);
}

void stale_end(struct stale *s)
{
	if (!s)
		return;
	follow_end(s->follow);
	free(s);
}
