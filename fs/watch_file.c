#include "fs/watch_file.h"

#include "fs/entry.h"
#include "fs/stream.h"
#include "fs/view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

bool watch_file_is(const struct fs *fs, const struct node *n)
{
	return entry_parse(fs, n->parent, n->name).shape == PATH_WATCH;
}

/* The record of what is watched, which has to be there: DIR, or NAME. Who may read that may watch it. */
static int watched(struct fs *fs, const struct node *n, const char *key, int size, struct stat *st)
{
	struct record r = {0};

	if (size < 0)
		return size;
	int error = mvcc_get(fs->mvcc, (struct span){key, (size_t)size}, n->rev, &r);
	if (!error && n->segment_len == 0 && !S_ISDIR(r.mode))
		error = -ENOTDIR;
	if (!error) {
		view_stat_bare(n, S_IFREG | (r.mode & 0444), st);
		st->st_uid = r.uid;
		st->st_gid = r.gid;
	}
	record_done(&r);
	return error;
}

/* The same for a node that was looked up before: what its path leads to now. */
static int watched_now(struct fs *fs, struct node *n, char key[VIEW_KEY_SIZE], int *size, struct stat *st)
{
	int error = n->parent == &fs->nodes.root ? 0 : view_stands(fs, n->parent);

	*size = error ? error : view_key(fs, n, NULL, key);
	error = watched(fs, n, key, *size, st);
	return error == -ENOENT ? -ESTALE : error;
}

void watch_file_lookup(struct request *rq, int error)
{
	struct fs *fs = rq->fs;
	char base[NAME_MAX + 1], key[VIEW_KEY_SIZE];
	size_t base_len = entry_parse(fs, rq->node, rq->name).base_len;
	struct node_target target = {.kind = NODE_CONTROL, .rev = rq->node->rev, .mode = S_IFREG, .segment_len = base_len};
	struct stat st;

	memcpy(base, rq->name, base_len);
	base[base_len] = '\0';
	if (!error && rq->node != &fs->nodes.root)
		error = view_stands(fs, rq->node);
	if (!error) {
		struct node *n = nodes_enter(&fs->nodes, rq->node, rq->name, &target);
		error = watched(fs, n, key, view_key(fs, rq->node, base_len ? base : NULL, key), &st);
		if (!error) {
			entry_reply(rq, n, &st, VIEW_NAME_SECONDS, 0);
			return;
		}
		nodes_forget(&fs->nodes, n, 1);
	}
	request_error(rq, error);
}

void watch_file_getattr(struct request *rq)
{
	char key[VIEW_KEY_SIZE];
	struct stat st;
	int size;
	int error = watched_now(rq->fs, rq->node, key, &size, &st);

	if (error)
		request_error(rq, error);
	else
		request_attr(rq, &st, 0);
}

static int start(struct request *rq, struct stream **out)
{
	struct fs *fs = rq->fs;
	struct node *n = rq->node;
	char key[VIEW_KEY_SIZE];
	struct stat st;
	int size;
	int error = watched_now(fs, n, key, &size, &st);

	if (error)
		return error;
	return stream_open(fs->streams, (struct span){key, (size_t)size}, n->segment_len == 0, n->rev ? n->rev + 1 : 0, out);
}

static void open_now(struct request *rq, int error)
{
	struct stream *s = NULL;

	if (!error)
		error = start(rq, &s);
	if (error) {
		request_error(rq, error);
		return;
	}
	struct handle *h = handle_new(rq, rq->node, NULL, O_RDONLY);
	h->stream = s;
	handle_list(h);
	rq->file.fh = (uint64_t)(uintptr_t)h;
	rq->file.direct_io = 1;
	rq->file.nonseekable = 1;
	rq->file.noflush = 1;
	request_answers(rq, 0);
	if (fuse_reply_open(rq->req, &rq->file) == -ENOENT)
		handle_close(h);
	request_end(rq);
}

void watch_file_open(struct request *rq)
{
	if ((rq->file.flags & O_ACCMODE) != O_RDONLY || (rq->file.flags & O_TRUNC))
		request_error(rq, -EROFS);
	else if (rq->node->rev)
		open_now(rq, store_readable(rq->fs->store));
	else
		request_read(rq, open_now);
}
