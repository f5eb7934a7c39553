#include "fs/ops.h"

#include "base/clock.h"
#include "fs/cache.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/exclusive.h"
#include "fs/mapped.h"
#include "fs/numbers.h"
#include "fs/publish.h"
#include "fs/rewalk.h"
#include "fs/view.h"
#include "fs/watch_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* Other live files than those of cache.h bypass the page cache: a read goes to the pinned revision, and no size remembered by the kernel can cut it. */
static void describe(struct fuse_file_info *file, struct handle *h)
{
	bool cached = h->cached || h->node->kind == NODE_REVISION;

	file->fh = (uint64_t)(uintptr_t)h;
	file->direct_io = !cached;
	file->keep_cache = cached;
	file->noflush = !h->writable;
}

static int count_reader(struct request *rq, struct record *r, bool *cached)
{
	bool sent_back = mapped_sent_back(rq);
	int error = cache_open(rq->fs, rq->node, r, cached);

	if (!error && !*cached && !sent_back && mapped_part(rq, r)) {
		cache_close(rq->fs, rq->node, false, false, false);
		record_done(r);
		return -ESTALE;
	}
	if (error != -ESTALE)
		return error;
	error = rewalk_found_record(rq, r);
	return error ? error : cache_open_past(rq->fs, rq->node, r);
}

/* What is opened, in *r. A program that runs is the kernel's to refuse, but with O_TRUNC and for reading it asks here first, and then takes the file
 * for empty, pages of the program and all. Counted by cache.h unless it is of the past. */
static int count_open(struct request *rq, struct record *r, bool *cached)
{
	struct fs *fs = rq->fs;

	if (rq->node->kind != NODE_LIVE)
		return view_record(fs, rq->node, r);
	if (!writing(rq->file.flags))
		return count_reader(rq, r, cached);
	if ((rq->file.flags & O_ACCMODE) == O_RDONLY && handle_runs(fs, rq->node))
		return -ETXTBSY;
	int error = rewalk_record(rq, r);
	if (error == -ESTALE)
		cache_await(fs, rq->node);
	return error ? error : cache_open_writer(fs, rq->node, r);
}

static void open_counted(struct request *rq, struct record *r, bool cached)
{
	struct handle *h = handle_new(rq, rq->node, r, rq->file.flags);

	h->counted = rq->node->kind == NODE_LIVE;
	h->cached = cached;
	h->changes = h->counted && writing(rq->file.flags);
	if (rq->file.flags & O_TRUNC) {
		handle_truncate(h, 0);
		handle_written_by(h, rq->uid);
	}
	handle_list(h);
	describe(&rq->file, h);
	request_answers(rq, 0);
	if (fuse_reply_open(rq->req, &rq->file) == -ENOENT)
		handle_close(h);
	request_end(rq);
}

static void open_now(struct request *rq, int error)
{
	struct record r = {0};
	bool cached = false;

	if (!error)
		error = count_open(rq, &r, &cached);
	if (!error && !S_ISREG(r.mode)) {
		if (rq->node->kind == NODE_LIVE)
			cache_close(rq->fs, rq->node, cached, writing(rq->file.flags), false);
		error = S_ISDIR(r.mode) ? -EISDIR : -EINVAL;
	}
	if (error) {
		record_done(&r);
		request_error(rq, error);
		return;
	}
	open_counted(rq, &r, cached);
}

/* Not published yet: its own process sees it, published for that; to all others the name is not there. */
static void open_provisional(struct request *rq)
{
	if (handle_caller_holds(rq->fs, rq->node, rq->pid))
		rq->held_handle = handle_of_creator(rq->fs, rq->node);
	rq->handle = rq->held_handle;
	if (rq->handle)
		publish_start(rq, open_now);
	else
		request_error(rq, -ESTALE);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	rq->node = node_of(fs, ino);
	rq->file = *file;
	if (rq->node->kind == NODE_CONTROL && watch_file_is(fs, rq->node))
		watch_file_open(rq);
	else if (rq->node->kind == NODE_CONTROL)
		control_open(rq);
	else if (rq->node->kind != NODE_LIVE)
		writing(file->flags) ? request_error(rq, -EROFS) : open_now(rq, store_readable(fs->store));
	else if (node_provisional(rq->node))
		open_provisional(rq);
	else if (writing(file->flags))
		/* On any mount: refused early without a quorum, because few look at what close() says. */
		request_barrier(rq, open_now);
	else
		request_read(rq, open_now);
}

static void create_reply(struct request *rq, struct node *n, struct handle *h, const struct stat *st)
{
	struct fuse_entry_param e = entry_param(rq->fs, n, st, VIEW_NAME_SECONDS, 0);

	describe(&rq->file, h);
	request_answers(rq, 0);
	if (fuse_reply_create(rq->req, &e, &rq->file) == -ENOENT) {
		handle_close(h);
		nodes_forget(&rq->fs->nodes, n, 1);
	}
	request_end(rq);
}

/* As far as the caller's own ids tell; who is not the owner must pass as one of the group and as any other. */
static bool may_open(const struct request *rq, const struct record *r)
{
	unsigned need = (rq->file.flags & O_ACCMODE) == O_RDONLY ? R_OK : (rq->file.flags & O_ACCMODE) == O_WRONLY ? W_OK : R_OK | W_OK;
	unsigned bits = rq->uid == r->uid ? r->mode >> 6 : r->mode >> 3 & r->mode;

	if (rq->file.flags & O_TRUNC)
		need |= W_OK;
	return rq->uid == 0 || (bits & need) == need;
}

/* What the name stands for, in *r: -ENOENT if it is free. */
static int check_create(struct request *rq, struct record *r)
{
	char text[VIEW_KEY_SIZE];
	int error = view_record(rq->fs, rq->node, r);

	if (!error && !S_ISDIR(r->mode))
		error = -ENOTDIR;
	record_done(r);
	if (error)
		return error;
	int size = view_key(rq->fs, rq->node, rq->name, text);
	return size < 0 ? size : mvcc_get(rq->fs->mvcc, (struct span){text, (size_t)size}, 0, r);
}

/* The file exists for its maker alone until it is published, at its close: so nobody sees it empty. */
static void create_provisional(struct request *rq, uint64_t reservation)
{
	struct node_target target = {.kind = NODE_LIVE, .mode = S_IFREG, .segment_len = strlen(rq->name)};
	struct stat st;
	struct node *n = nodes_enter(&rq->fs->nodes, rq->node, rq->name, &target);
	struct handle *h = handle_new(rq, n, NULL, O_RDWR);

	h->counted = h->changes = cache_open_writer(rq->fs, n, NULL) == 0;
	node_show_as(n, rq->number);
	h->creates = true;
	h->reservation = reservation;
	h->create_mode = rq->mode & 07777;
	h->create_uid = rq->uid;
	h->create_gid = rq->gid;
	h->touched_ns = clock_wall_ns();
	if (rq->file.flags & O_TRUNC)
		h->dirty.truncate_to = 0; /* should somebody else make it first */
	view_stat_bare(n, S_IFREG, &st);
	handle_stat(h, &st);
	handle_list(h);
	create_reply(rq, n, h, &st);
}

/* It has appeared since the lookup: a file to open. The kernel would look it up again, but once only: if it had to already, because the file was not
 * published then, the open would fail. It is asked to all the same where it knows better who may open what. */
static void create_found(struct request *rq, struct record *r)
{
	struct node_target target = view_target(r, 0, strlen(rq->name));
	struct stat st;

	if (!S_ISREG(r->mode) || !may_open(rq, r)) {
		record_done(r);
		request_error(rq, -ESTALE);
		return;
	}
	struct node *n = nodes_enter(&rq->fs->nodes, rq->node, rq->name, &target);
	while (cache_open_writer(rq->fs, n, r)) {
		/* It is frozen, and the name free for another node. */
		nodes_forget(&rq->fs->nodes, n, 1);
		n = nodes_enter(&rq->fs->nodes, rq->node, rq->name, &target);
	}
	view_stat(r, 0, &st);
	struct handle *h = handle_new(rq, n, r, rq->file.flags);
	h->counted = h->changes = true;
	if (rq->file.flags & O_TRUNC) {
		handle_truncate(h, 0);
		handle_written_by(h, rq->uid);
	}
	handle_list(h);
	create_reply(rq, n, h, &st);
}

static void create_deferred(struct request *rq, int error)
{
	struct record r = {0};

	if (!error)
		error = check_create(rq, &r);
	if (!error)
		create_found(rq, &r);
	else if (error == -ENOENT)
		create_provisional(rq, 0);
	else
		request_error(rq, error);
}

/* O_EXCL: the cluster decided that this open makes the file. */
static void create_reserved(struct request *rq, int error)
{
	if (!error) {
		create_provisional(rq, rq->op.sequence);
		return;
	}
	exclusive_failed(rq, error);
	request_error(rq, error);
}

static void create_numbered(struct request *rq, int error)
{
	if (error)
		request_error(rq, error);
	else if (rq->file.flags & O_EXCL)
		exclusive_reserve(rq, create_reserved);
	else if (rq->fs->config.linearizable)
		/* The kernel never remembers that a name is missing, so a LOOKUP within this same open(2) has just passed a barrier:
		 * there is a quorum, and this node has all that was there before the call. */
		create_deferred(rq, 0);
	else
		request_barrier(rq, create_deferred);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	request_name(rq, node_of(fs, parent), name);
	rq->file = *file;
	rq->mode = mode;
	int error = entry_admissible(fs, rq->node, name);
	if (error)
		request_error(rq, error);
	else
		numbers_take(rq, create_numbered);
}
