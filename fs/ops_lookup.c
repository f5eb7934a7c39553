#include "fs/ops.h"

#include "fs/control.h"
#include "fs/entry.h"
#include "fs/revision.h"
#include "fs/view.h"
#include "fs/watch_file.h"

#include <errno.h>
#include <string.h>

/* The name is not in the store. The process that is about to publish it sees it nevertheless. */
static void lookup_missing(struct request *rq)
{
	struct node *n = rq->held;
	struct stat st;

	if (rq->flags && entry_stat_provisional(rq->fs, n, &st)) {
		struct node_target target = {.kind = NODE_LIVE, .mode = S_IFREG, .segment_len = strlen(rq->name)};
		n = nodes_enter(&rq->fs->nodes, rq->node, rq->name, &target);
		entry_reply(rq, n, &st, VIEW_NAME_SECONDS, 0);
		return;
	}
	nodes_missing(&rq->fs->nodes, rq->node, rq->name);
	/* Not a reply that the kernel would remember. */
	request_error(rq, -ENOENT);
}

static void lookup_live(struct request *rq, int error)
{
	char text[VIEW_KEY_SIZE];
	struct record r = {0};
	int size = view_child_key(rq->fs, rq->node, rq->name, text);

	if (!error && size < 0)
		error = size;
	if (!error)
		error = mvcc_get(rq->fs->mvcc, (struct span){text, (size_t)size}, 0, &r);
	if (error == -ENOENT)
		lookup_missing(rq);
	else if (error)
		request_error(rq, error);
	else
		entry_reply_found(rq, &r);
	record_done(&r);
}

static void lookup_plain(struct request *rq)
{
	rq->held = nodes_find(&rq->fs->nodes, rq->node, rq->name);
	rq->flags = rq->held && node_provisional(rq->held) && handle_caller_holds(rq->fs, rq->held, rq->pid);
	request_read(rq, lookup_live);
}

static void lookup_in_live(struct request *rq)
{
	struct path_name p = entry_parse(rq->fs, rq->node, rq->name);

	switch (p.shape) {
	case PATH_PLAIN:
		lookup_plain(rq);
		break;
	case PATH_REVISION:
	case PATH_TIME:
		if (revision_reached(rq->fs, &p))
			revision_lookup(rq, store_readable(rq->fs->store));
		else
			request_read(rq, revision_lookup);
		break;
	case PATH_BACK:
	case PATH_VERSIONS:
		request_read(rq, revision_lookup);
		break;
	case PATH_STATUS:
	case PATH_MEMBERS:
	case PATH_METRICS:
		control_lookup(rq);
		break;
	case PATH_WATCH:
		request_read(rq, watch_file_lookup);
		break;
	}
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	if (strlen(name) > NAME_MAX) {
		request_error(rq, -ENAMETOOLONG);
		return;
	}
	request_name(rq, node_of(fs, parent), name);
	switch (rq->node->kind) {
	case NODE_LIVE:
		lookup_in_live(rq);
		break;
	case NODE_REVISION:
		if (entry_parse(fs, rq->node, name).shape == PATH_WATCH)
			watch_file_lookup(rq, store_readable(fs->store));
		else
			revision_lookup_below(rq);
		break;
	case NODE_VERSIONS:
		revision_lookup_version(rq);
		break;
	case NODE_CONTROL:
		request_error(rq, -ENOTDIR);
		break;
	}
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	struct fs *fs = fs_of(req);

	nodes_forget(&fs->nodes, node_of(fs, ino), lookups);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fs *fs = fs_of(req);

	for (size_t i = 0; i < count; i++)
		nodes_forget(&fs->nodes, node_of(fs, forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}
