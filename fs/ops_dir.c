#include "fs/ops.h"

#include "fs/cache.h"
#include "fs/directory.h"
#include "fs/entry.h"
#include "fs/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void open_reply(struct request *rq)
{
	struct directory *d = directory_open(rq->fs, rq->node);

	rq->file.fh = (uint64_t)(uintptr_t)d;
	/* The past does not change. */
	rq->file.cache_readdir = rq->file.keep_cache = rq->node->kind == NODE_REVISION;
	request_answers(rq, 0);
	if (fuse_reply_open(rq->req, &rq->file) == -ENOENT)
		directory_close(rq->fs, d);
	request_end(rq);
}

static void opendir_now(struct request *rq, int error)
{
	struct record r = {0};

	if (!error)
		error = view_record(rq->fs, rq->node, &r);
	if (!error && !S_ISDIR(r.mode))
		error = -ENOTDIR;
	record_done(&r);
	if (error)
		request_error(rq, error);
	else
		open_reply(rq);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	rq->node = node_of(fs, ino);
	rq->file = *file;
	switch (rq->node->kind) {
	case NODE_LIVE:
		request_read(rq, opendir_now);
		break;
	case NODE_REVISION:
		opendir_now(rq, 0);
		break;
	case NODE_VERSIONS:
		open_reply(rq);
		break;
	case NODE_CONTROL:
		request_error(rq, -ENOTDIR);
		break;
	}
}

/* One entry at `at`; its size, which is more than `left` if it does not fit. */
static size_t add_plain(struct request *rq, char *at, size_t left, const char *name, const struct stat *st, off_t next)
{
	return fuse_add_direntry(rq->req, at, left, name, st, next);
}

/* The kernel has the attributes of what the name leads to, and an entry with attributes would only have them expire. */
static bool is_known(struct request *rq, const char *name)
{
	struct node *n = nodes_find(&rq->fs->nodes, rq->node, name);
	bool known = n && cache_has_image(rq->fs, n);

	nodes_put(&rq->fs->nodes, n);
	return known;
}

/* The same with the attributes, which counts as a lookup. A name that is gone again is listed without. */
static size_t add_plus(struct request *rq, char *at, size_t left, const char *name, const struct stat *st, off_t next)
{
	struct node *n = NULL;
	char key[VIEW_KEY_SIZE];
	struct record r = {0};
	struct fuse_entry_param e = {.attr = *st};
	bool plain = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || rq->node->kind == NODE_VERSIONS || is_known(rq, name);
	int size = plain ? -1 : view_key(rq->fs, rq->node, name, key);
	uint64_t rev = rq->node->rev;

	if (size >= 0 && mvcc_get(rq->fs->mvcc, (struct span){key, (size_t)size}, rev, &r) == 0) {
		struct node_target target = view_target(&r, rev, strlen(name));
		struct stat full;
		n = nodes_enter(&rq->fs->nodes, rq->node, name, &target);
		view_stat(&r, rev, &full);
		e = entry_param(rq->fs, n, &full, rev ? VIEW_FOREVER_SECONDS : VIEW_NAME_SECONDS, rev ? VIEW_FOREVER_SECONDS : 0);
		record_done(&r);
	}
	size_t used = fuse_add_direntry_plus(rq->req, at, left, name, &e, next);
	if (n && used > left)
		nodes_forget(&rq->fs->nodes, n, 1);
	return used;
}

/* As many entries from rq->offset on as fit. The directory's lock is held. */
static size_t gather(struct request *rq, char *buffer)
{
	size_t used = 0;
	char text[32];
	const char *name;
	struct stat st;

	for (size_t i = (size_t)rq->offset; directory_entry(rq->fs, rq->directory, i, text, &name, &st); i++) {
		size_t left = rq->size - used;
		size_t size = rq->flags ? add_plus(rq, buffer + used, left, name, &st, (off_t)i + 1)
					: add_plain(rq, buffer + used, left, name, &st, (off_t)i + 1);
		if (size > left)
			break;
		used += size;
	}
	return used;
}

static void readdir_now(struct request *rq, int error)
{
	struct directory *d = rq->directory;
	char *buffer = malloc(rq->size);

	if (!buffer)
		abort();
	pthread_mutex_lock(&d->lock);
	if (!error && (rq->offset == 0 || !d->filled))
		error = directory_fill(rq->fs, d);
	size_t used = error ? 0 : gather(rq, buffer);
	pthread_mutex_unlock(&d->lock);
	/* Removed since it was opened: it has no names any more. */
	if (error == -ESTALE || error == -ENOENT)
		error = 0;
	if (error)
		request_error(rq, error);
	else
		request_data(rq, buffer, used);
	free(buffer);
}

static void read_directory(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file, bool plus)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);
	struct directory *d = directory_of(file);

	rq->node = node_of(fs, ino);
	rq->directory = d;
	rq->size = size;
	rq->offset = offset;
	rq->flags = plus;
	pthread_mutex_lock(&d->lock);
	bool again = offset == 0 && d->filled;
	pthread_mutex_unlock(&d->lock);
	/* OPENDIR passed the barrier for the first time; rewinddir(3) is to see what is there now. */
	if (again && rq->node->kind != NODE_REVISION)
		request_read(rq, readdir_now);
	else
		readdir_now(rq, 0);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	read_directory(req, ino, size, offset, file, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
	read_directory(req, ino, size, offset, file, true);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	directory_close(fs_of(req), directory_of(file));
	fuse_reply_err(req, 0);
}
