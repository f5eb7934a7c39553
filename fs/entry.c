#include "fs/entry.h"

#include "fs/cache.h"
#include "fs/rewalk.h"
#include "fs/view.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct path_name entry_parse(const struct fs *fs, const struct node *parent, const char *name)
{
	return path_parse(name, parent == &fs->nodes.root, fs->config.rev_mark);
}

int entry_admissible(struct fs *fs, struct node *parent, const char *name)
{
	if (parent->kind != NODE_LIVE)
		return -EROFS;
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	return entry_parse(fs, parent, name).shape == PATH_PLAIN ? 0 : -EINVAL;
}

struct fuse_entry_param entry_param(struct fs *fs, struct node *n, const struct stat *st, double name_seconds, double attr_seconds)
{
	struct fuse_entry_param e = {.ino = nodes_id(&fs->nodes, n),
				     .generation = 1,
				     .attr = *st,
				     .entry_timeout = n->fleeting ? 0 : name_seconds,
				     .attr_timeout = attr_seconds};

	cache_show(fs, n, &e.attr);
	return e;
}

void entry_reply(struct request *rq, struct node *n, const struct stat *st, double name_seconds, double attr_seconds)
{
	struct fuse_entry_param e = entry_param(rq->fs, n, st, name_seconds, attr_seconds);

	/* The kernel gave up on the request, so it won't forget the node either. */
	request_answers(rq, 0);
	if (fuse_reply_entry(rq->req, &e) == -ENOENT)
		nodes_forget(&rq->fs->nodes, n, 1);
	request_end(rq);
}

void entry_reply_record(struct request *rq, const struct record *r, uint64_t rev, size_t segment_len, double name_seconds)
{
	struct node_target target = view_target(r, rev, segment_len);
	struct node *n = nodes_enter(&rq->fs->nodes, rq->node, rq->name, &target);
	struct stat st;

	view_stat(r, rev, &st);
	entry_reply(rq, n, &st, name_seconds, rev ? VIEW_FOREVER_SECONDS : 0);
}

void entry_reply_found(struct request *rq, const struct record *r)
{
	if (S_ISDIR(r->mode)) {
		entry_reply_record(rq, r, 0, strlen(rq->name), VIEW_NAME_SECONDS);
		return;
	}
	struct node_target target = view_target(r, 0, strlen(rq->name));
	struct node *n = nodes_enter_found(&rq->fs->nodes, rq->node, rq->name, &target, r, rewalk_is(rq));
	struct stat st;
	view_stat(r, 0, &st);
	entry_reply(rq, n, &st, VIEW_NAME_SECONDS, 0);
}

bool entry_stat_provisional(struct fs *fs, struct node *n, struct stat *st)
{
	struct handle *h = handle_of_creator(fs, n);

	if (!h)
		return false;
	view_stat_bare(n, S_IFREG, st);
	pthread_mutex_lock(&h->lock);
	bool provisional = node_provisional(n);
	if (provisional)
		handle_stat(h, st);
	pthread_mutex_unlock(&h->lock);
	handle_put(h);
	return provisional;
}
