#include "fs/ops.h"

#include "fs/cache.h"
#include "fs/control.h"
#include "fs/descriptor.h"
#include "fs/entry.h"
#include "fs/extend.h"
#include "fs/locks.h"
#include "fs/ownership.h"
#include "fs/publish.h"
#include "fs/rewalk.h"
#include "fs/view.h"
#include "fs/watch_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/statvfs.h>

#define STATFS_BLOCK 4096u

/* A removed directory that somebody still sits in. */
static int stat_removed(const struct node *n, struct stat *st)
{
	view_stat_bare(n, S_IFDIR, st);
	st->st_ino = n->ino;
	st->st_nlink = 0;
	return 0;
}

/* What was removed while the caller had it open: what that handle holds, without a name. To who came by the name, and was overtaken on the way, it is to be
 * looked up again. */
static int stat_unlinked(struct request *rq, struct stat *st)
{
	struct fs *fs = rq->fs;
	struct node *n = rq->node;
	int error = -ESTALE;

	if (n->type == S_IFDIR)
		return stat_removed(n, st);
	struct holders_file file = handle_file(fs, n);
	if (!holders_has(rq->pid, &file, true))
		return error;
	struct handle *h = handle_with_changes(fs, n);
	if (!h)
		return error;
	pthread_mutex_lock(&h->lock);
	if (h->pin) {
		view_stat(&h->pin->record, 0, st);
		handle_stat(h, st);
		st->st_nlink = 0;
		error = 0;
	}
	pthread_mutex_unlock(&h->lock);
	handle_put(h);
	return error;
}

/* What has left its name: it may have another one. */
static int stat_moved(struct request *rq, struct stat *st)
{
	struct record r = {0};
	int error = view_record_by_ino(rq->fs, rq->node, &r);

	if (error)
		return error == -ESTALE ? stat_unlinked(rq, st) : error;
	view_stat(&r, 0, st);
	record_done(&r);
	return 0;
}

/* Does the caller hold what it asks about, rather than come along a path? The kernel would walk a path again, but has nothing else to do with a descriptor. */
static bool by_descriptor(struct request *rq)
{
	if (rq->node->type != S_IFDIR && !handle_any(rq->fs, rq->node))
		return false;
	struct holders_file file = handle_file(rq->fs, rq->node);
	return descriptor_names(rq->pid, &file);
}

/* The name was replaced since this call has looked it up. */
static int stat_overtaken(struct request *rq, struct stat *st)
{
	struct record r = {0};
	int error = rewalk_found_record(rq, &r);

	if (!error)
		view_stat(&r, 0, st);
	record_done(&r);
	return error;
}

/* After an -ESTALE. A name that leads elsewhere now must be walked again. Once it was, only those who have the file open ask about this node. */
static int stat_stale(struct request *rq, struct stat *st)
{
	int error = !nodes_bound(&rq->fs->nodes, rq->node) || by_descriptor(rq) ? stat_moved(rq, st) : -ESTALE;

	return error == -ESTALE ? stat_overtaken(rq, st) : error;
}

/* What a live node shows to a caller whose own open handle is rq->held_handle (or NULL), and for how long the kernel may keep it. */
static int stat_live(struct request *rq, struct stat *st, double *seconds)
{
	int error = cache_stat(rq->fs, rq->node, st, seconds);

	if (error == -ESTALE)
		return stat_stale(rq, st);
	if (error)
		return error;
	struct handle *h = rq->held_handle;
	if (h) {
		pthread_mutex_lock(&h->lock);
		if (handle_pending(h) || h->publishing)
			handle_stat(h, st);
		*seconds = 0;
		pthread_mutex_unlock(&h->lock);
	}
	return 0;
}

static void getattr_live(struct request *rq, int error)
{
	struct stat st;
	double seconds = 0;

	if (!error)
		error = stat_live(rq, &st, &seconds);
	if (!error && S_ISREG(st.st_mode))
		extend_show_size(rq->fs, rq->node, rq->pid, (uint64_t)st.st_size);
	if (!error && seconds > 0)
		cache_tells(rq->fs, rq->node, &st);
	if (error)
		request_error(rq, error);
	else
		request_attr(rq, &st, seconds);
}

/* A file that is not published yet is there for those who have it open. For all others the name is to be looked up again, in vain. */
static void getattr_provisional(struct request *rq)
{
	struct stat st;

	if (handle_caller_holds(rq->fs, rq->node, rq->pid) && entry_stat_provisional(rq->fs, rq->node, &st))
		request_attr(rq, &st, 0);
	else
		request_error(rq, -ESTALE);
}

static void getattr_past(struct request *rq)
{
	struct record r = {0};
	struct stat st;
	int error = view_record(rq->fs, rq->node, &r);

	if (error) {
		request_error(rq, error);
		return;
	}
	view_stat(&r, rq->node->rev, &st);
	record_done(&r);
	request_attr(rq, &st, VIEW_FOREVER_SECONDS);
}

/* Asked only where the kernel checks no permissions by itself: a mount of root's for root alone, who may do anything but execute a file that
 * nobody may. */
static void access_live(struct request *rq, int error)
{
	struct stat st = {0};
	double seconds;

	if (!error && node_provisional(rq->node))
		error = entry_stat_provisional(rq->fs, rq->node, &st) ? 0 : -ESTALE;
	else if (!error)
		error = stat_live(rq, &st, &seconds);
	if (!error && rq->flags & X_OK && S_ISREG(st.st_mode) && !(st.st_mode & 0111))
		error = -EACCES;
	request_error(rq, error);
}

void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	rq->node = node_of(fs, ino);
	rq->flags = (unsigned)mask;
	if (rq->node->kind == NODE_LIVE) {
		rq->held_handle = handle_of_caller(fs, rq->node, rq->pid);
		request_read(rq, access_live);
	} else {
		request_error(rq, mask & W_OK ? -EROFS : 0);
	}
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);
	struct stat st;

	(void)file;
	rq->node = node_of(fs, ino);
	switch (rq->node->kind) {
	case NODE_LIVE:
		if (node_provisional(rq->node)) {
			getattr_provisional(rq);
			return;
		}
		rq->held_handle = handle_of_caller(fs, rq->node, rq->pid);
		request_read(rq, getattr_live);
		break;
	case NODE_REVISION:
		getattr_past(rq);
		break;
	case NODE_VERSIONS:
		view_stat_bare(rq->node, S_IFDIR | 0555, &st);
		request_attr(rq, &st, 0);
		break;
	case NODE_CONTROL:
		if (watch_file_is(fs, rq->node)) {
			watch_file_getattr(rq);
			return;
		}
		control_stat(rq->node, &st);
		request_attr(rq, &st, VIEW_FOREVER_SECONDS);
		break;
	}
}

/* Replaced right after it was changed: so the change is nowhere to be seen, but for the caller. */
static void setattr_shown(const struct request *rq, struct stat *st)
{
	struct handle_attr a = handle_attr_from(&rq->attr, rq->to_set);

	if (a.mask & SET_MODE)
		st->st_mode = (st->st_mode & S_IFMT) | (a.mode & 07777);
	if (a.mask & SET_UID)
		st->st_uid = a.uid;
	if (a.mask & SET_GID)
		st->st_gid = a.gid;
	if (a.mask & SET_ATIME)
		st->st_atim = view_time(a.atime_ns);
	if (a.mask & SET_MTIME)
		st->st_mtim = view_time(a.mtime_ns);
	if (rq->to_set & FUSE_SET_ATTR_SIZE)
		st->st_size = rq->attr.st_size;
}

static void setattr_done(struct request *rq, int error)
{
	bool resizes = rq->to_set & FUSE_SET_ATTR_SIZE;
	struct record *now = &rq->op.result.attr;
	struct stat st;

	if (!error && resizes)
		cache_changed(rq->fs, rq->node, now);
	if (resizes)
		cache_close(rq->fs, rq->node, false, true, false);
	if (error == -ESTALE && stat_overtaken(rq, &st) == 0) {
		setattr_shown(rq, &st);
		request_attr(rq, &st, 0);
		return;
	}
	if (error) {
		request_error(rq, error);
		return;
	}
	view_stat(now, 0, &st);
	if (!resizes)
		cache_attributes_changed(rq->fs, rq->node, now, false, &st);
	request_attr(rq, &st, 0);
}

/* Is the file that was asked for still there, under the name that led to it (or did when it was looked up within this call) or, if no name did, wherever? */
static int setattr_record(struct request *rq, struct record *r)
{
	int error = view_record(rq->fs, rq->node, r);

	if (error == -ESTALE && by_descriptor(rq))
		error = view_record_by_ino(rq->fs, rq->node, r);
	return error == -ESTALE ? rewalk_found_record(rq, r) : error;
}

/* The kernel's cached name was right as of now, so the command goes to that file. */
static void setattr_submit(struct request *rq, int error)
{
	struct record r = {0};

	if (!error)
		error = setattr_record(rq, &r);
	if (error == -ESTALE)
		cache_await(rq->fs, rq->node);
	if (!error)
		error = ownership_check(rq, &r);
	if (!error && rq->to_set & FUSE_SET_ATTR_SIZE && (uint64_t)rq->attr.st_size > r.size)
		error = store_admit(rq->fs->store, (uint64_t)rq->attr.st_size - r.size);
	if (!error && rq->to_set & FUSE_SET_ATTR_SIZE)
		error = cache_open_writer(rq->fs, rq->node, &r);
	record_done(&r);
	if (error) {
		request_error(rq, error);
		return;
	}
	struct command c = request_command(rq, COMMAND_SETATTR);
	struct handle_attr a = handle_attr_from(&rq->attr, rq->to_set);
	c.ino = rq->node->ino;
	c.set_mask = a.mask;
	c.mode = a.mode;
	c.set_uid = a.uid;
	c.set_gid = a.gid;
	c.atime_ns = a.atime_ns;
	c.mtime_ns = a.mtime_ns;
	if (rq->to_set & FUSE_SET_ATTR_SIZE) {
		c.set_mask |= SET_SIZE;
		c.size = (uint64_t)rq->attr.st_size;
	}
	request_submit(rq, &c, setattr_done);
}

/* May the caller set the attributes of a file that he has open? As far as this node knows; one who makes it may. */
static int pending_check(struct request *rq, struct handle *h)
{
	struct record r = {0};

	if (rq->to_set & FUSE_SET_ATTR_SIZE || node_provisional(rq->node) || view_record_by_ino(rq->fs, rq->node, &r) != 0)
		return 0;
	pthread_mutex_lock(&h->lock);
	if (h->frozen_attr.mask & SET_UID)
		r.uid = h->frozen_attr.uid;
	if (h->attr.mask & SET_UID)
		r.uid = h->attr.uid;
	pthread_mutex_unlock(&h->lock);
	int error = ownership_check(rq, &r);
	record_done(&r);
	return error;
}

/* On a handle with unpublished changes: the size is one more of them, and attributes go along, as cp -p and touch mean it. */
static void setattr_pending(struct request *rq, struct handle *h)
{
	int error = pending_check(rq, h);

	pthread_mutex_lock(&h->lock);
	if (rq->to_set & FUSE_SET_ATTR_SIZE && locks_lost(h))
		error = -EIO;
	else if (rq->to_set & FUSE_SET_ATTR_SIZE)
		error = handle_truncate(h, (uint64_t)rq->attr.st_size);
	else if (!error)
		handle_set_attr(h, &rq->attr, rq->to_set);
	if (!error && rq->to_set & FUSE_SET_ATTR_SIZE)
		handle_written_by(h, rq->uid);
	pthread_mutex_unlock(&h->lock);
	struct stat st;
	double seconds;
	if (!error && node_provisional(rq->node))
		error = entry_stat_provisional(rq->fs, rq->node, &st) ? 0 : -ESTALE;
	else if (!error)
		error = stat_live(rq, &st, &seconds);
	if (error == -ESTALE)
		error = stat_unlinked(rq, &st);
	if (error)
		request_error(rq, error);
	else
		request_attr(rq, &st, 0);
}

/* The caller's own handle, if what is asked should wait for its publication. */
static struct handle *pending_handle(struct request *rq)
{
	if (node_provisional(rq->node))
		return handle_of_creator(rq->fs, rq->node);
	struct handle *h = handle_of_caller(rq->fs, rq->node, rq->pid);
	if (!h)
		return NULL;
	pthread_mutex_lock(&h->lock);
	bool pending = handle_pending(h) || h->publishing;
	pthread_mutex_unlock(&h->lock);
	if (pending)
		return h;
	handle_put(h);
	return NULL;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	rq->node = node_of(fs, ino);
	rq->attr = *attr;
	rq->to_set = to_set;
	if (rq->node->kind != NODE_LIVE) {
		request_error(rq, -EROFS);
		return;
	}
	if ((to_set & FUSE_SET_ATTR_SIZE) && (uint64_t)attr->st_size > fs->settings->max_file) {
		request_error(rq, -EFBIG);
		return;
	}
	if (file && (to_set & FUSE_SET_ATTR_SIZE)) {
		rq->held_handle = handle_of(file);
		handle_hold(rq->held_handle);
	} else if (!(to_set & FUSE_SET_ATTR_SIZE) || node_provisional(rq->node)) {
		rq->held_handle = pending_handle(rq);
	}
	if (rq->held_handle)
		setattr_pending(rq, rq->held_handle);
	else
		request_read(rq, setattr_submit);
}

static void readlink_now(struct request *rq, int error)
{
	char target[PATH_MAX];
	struct record r = {0};

	if (!error)
		error = rewalk_record(rq, &r);
	if (!error && !S_ISLNK(r.mode))
		error = -EINVAL;
	if (error) {
		record_done(&r);
		request_error(rq, error);
		return;
	}
	size_t size = r.data.size < sizeof(target) ? r.data.size : sizeof(target) - 1;
	memcpy(target, r.data.data, size);
	target[size] = '\0';
	record_done(&r);
	request_answers(rq, 0);
	fuse_reply_readlink(rq->req, target);
	request_end(rq);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	rq->node = node_of(fs, ino);
	if (rq->node->kind == NODE_LIVE)
		request_read(rq, readlink_now);
	else
		readlink_now(rq, 0);
}

/* Local, so that df never waits for the cluster. */
void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct mvcc_stats stats;
	uint64_t quota = fs->settings->quota;

	(void)ino;
	mvcc_stats(fs->mvcc, &stats);
	uint64_t left = stats.live_bytes < quota ? quota - stats.live_bytes : 0;
	struct statvfs st = {
		.f_bsize = STATFS_BLOCK,
		.f_frsize = STATFS_BLOCK,
		.f_blocks = quota / STATFS_BLOCK,
		.f_bfree = left / STATFS_BLOCK,
		.f_bavail = left / STATFS_BLOCK,
		.f_files = stats.keys + left / STATFS_BLOCK,
		.f_ffree = left / STATFS_BLOCK,
		.f_favail = left / STATFS_BLOCK,
		.f_namemax = NAME_MAX,
	};
	fuse_reply_statfs(req, &st);
}
