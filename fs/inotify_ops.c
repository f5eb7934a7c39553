/* The operations, as the thread that repeats remote changes is answered. Its handles are 0, so that they are recognised whoever sends the last words about
 * them. */
#include "fs/inotify_scene.h"

#include "fs/cache.h"
#include "fs/entry.h"
#include "fs/ops.h"
#include "fs/view.h"

#include <errno.h>
#include <string.h>

static bool acts(fuse_req_t req)
{
	return inotify_acts(fs_of(req)->inotify, fuse_req_ctx(req)->pid);
}

/* The record of what had this inode number: under this key now, else at that revision. */
static int find_record(struct fs *fs, struct span key, uint64_t rev, uint64_t ino, struct record *r)
{
	int error = mvcc_get(fs->mvcc, key, rev, r);

	if (!error && r->ino != ino) {
		record_done(r);
		*r = (struct record){0};
		error = -ENOENT;
	}
	return error;
}

/* Its attributes; returns whether the key leads to it now. */
static bool stat_past(struct fs *fs, struct span key, uint64_t rev, uint64_t ino, uint32_t mode, struct stat *st)
{
	struct record r = {0};
	bool leads = find_record(fs, key, 0, ino, &r) == 0;

	if (leads || find_record(fs, key, rev, ino, &r) == 0)
		view_stat(&r, 0, st);
	else
		*st = (struct stat){.st_ino = ino, .st_mode = mode, .st_nlink = S_ISDIR(mode) ? 2 : 1};
	record_done(&r);
	return leads;
}

struct found {
	struct node *node;
	struct stat st;
	double name_seconds;
};

static struct found enter(struct fs *fs, struct node *parent, const struct scene_name *n, uint64_t rev, uint64_t ino, uint32_t mode)
{
	struct found f;
	struct node_target target = {.kind = NODE_LIVE, .ino = ino, .mode = mode, .segment_len = strlen(n->name)};
	bool leads = stat_past(fs, n->key, rev, ino, mode, &f.st);

	f.node = nodes_enter_past(&fs->nodes, parent, n->name, &target, leads);
	f.name_seconds = leads ? VIEW_NAME_SECONDS : 0;
	return f;
}

static bool is(struct fs *fs, const struct scene_name *n, fuse_ino_t parent, const char *name)
{
	return n->name && node_of(fs, parent)->ino == n->parent && strcmp(n->name, name) == 0;
}

/* The scene, if it is on, with its lock held; else the request is refused, and NULL. */
static struct scene *scene_of(fuse_req_t req)
{
	struct inotify *i = fs_of(req)->inotify;
	struct scene *s = inotify_scene(i);

	if (s->on)
		return s;
	inotify_scene_done(i);
	request_refuse(req, -ECANCELED);
	return NULL;
}

static void scene_over(fuse_req_t req)
{
	inotify_scene_done(fs_of(req)->inotify);
}

static void recognise_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);

	if (!acts(req)) {
		op_lookup(req, parent, name);
		return;
	}
	struct scene *s = inotify_scene(fs->inotify);
	struct scene_name *n = !s->on                            ? NULL
			       : is(fs, &s->name, parent, name)  ? &s->name
			       : is(fs, &s->name2, parent, name) ? &s->name2
								 : NULL;
	struct found f = {0};
	if (n) {
		n->looked_up = true;
		if (n->ino)
			f = enter(fs, node_of(fs, parent), n, s->before, n->ino, n->mode);
	}
	inotify_scene_done(fs->inotify);
	if (!n) {
		op_lookup(req, parent, name);
		return;
	}
	struct request *rq = request_new(fs, req);
	if (f.node)
		entry_reply(rq, f.node, &f.st, f.name_seconds, 0);
	else
		request_error(rq, -ENOENT);
}

/* What the scene makes under this name. node NULL: it makes nothing there, and the request was refused. */
static struct found make(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct found f = {0};
	struct scene *s = scene_of(req);

	if (!s)
		return f;
	if (is(fs, &s->name, parent, name) && !s->name.ino)
		f = enter(fs, node_of(fs, parent), &s->name, s->at, s->ino, s->mode);
	if (f.node)
		s->opened = true;
	scene_over(req);
	if (!f.node)
		request_refuse(req, -ECANCELED);
	return f;
}

static void make_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct found f = make(req, parent, name);

	if (f.node)
		entry_reply(request_new(fs_of(req), req), f.node, &f.st, f.name_seconds, 0);
}

static void recognise_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	acts(req) ? make_name(req, parent, name) : op_mkdir(req, parent, name, mode);
}

static void recognise_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	acts(req) ? make_name(req, parent, name) : op_mknod(req, parent, name, mode, rdev);
}

static void recognise_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	acts(req) ? make_name(req, parent, name) : op_symlink(req, target, parent, name);
}

static void describe(struct fuse_file_info *file)
{
	file->fh = 0;
	file->direct_io = 1;
	file->noflush = 1;
}

static void recognise_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);

	if (!acts(req)) {
		op_create(req, parent, name, mode, file);
		return;
	}
	struct found f = make(req, parent, name);
	if (!f.node)
		return;
	struct request *rq = request_new(fs, req);
	struct fuse_entry_param e = entry_param(fs, f.node, &f.st, f.name_seconds, 0);
	describe(file);
	request_answers(rq, 0);
	if (fuse_reply_create(req, &e, file) == -ENOENT)
		nodes_forget(&fs->nodes, f.node, 1);
	request_end(rq);
}

static void recognise_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);

	if (!acts(req)) {
		op_open(req, ino, file);
		return;
	}
	struct scene *s = scene_of(req);
	if (!s)
		return;
	bool right = node_of(fs, ino)->ino == s->ino;
	s->opened = right;
	scene_over(req);
	struct request *rq = request_new(fs, req);
	if (!right) {
		request_error(rq, -ESTALE);
		return;
	}
	describe(file);
	request_answers(rq, 0);
	fuse_reply_open(req, file);
	request_end(rq);
}

/* The kernel is told the attributes as they are now, for no time at all. */
static void recognise_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct fuse_file_info *file)
{
	struct fs *fs = fs_of(req);
	struct stat st;

	if (!acts(req)) {
		op_setattr(req, ino, attr, set, file);
		return;
	}
	struct scene *s = scene_of(req);
	if (!s)
		return;
	bool right = node_of(fs, ino)->ino == s->ino;
	if (right)
		stat_past(fs, s->name.key, s->at, s->ino, s->mode, &st);
	scene_over(req);
	struct request *rq = request_new(fs, req);
	if (right)
		cache_show(fs, node_of(fs, ino), &st);
	if (right)
		request_attr(rq, &st, 0);
	else
		request_error(rq, -ESTALE);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct scene *s = scene_of(req);
	int error = -ECANCELED;

	if (!s)
		return;
	if (is(fs, &s->name, parent, name))
		error = s->name.looked_up ? 0 : -ESTALE;
	if (!error)
		nodes_removed_elsewhere(&fs->nodes, node_of(fs, parent), name, s->name.ino);
	scene_over(req);
	request_refuse(req, error);
}

static void recognise_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	acts(req) ? remove_name(req, parent, name) : op_unlink(req, parent, name);
}

static void recognise_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	acts(req) ? remove_name(req, parent, name) : op_rmdir(req, parent, name);
}

/* The node that moves, as the lookup in this scene found it, under its new name. */
static void move_node(struct fs *fs, const struct scene *s, struct node *parent, struct node *parent2)
{
	struct found f = enter(fs, parent, &s->name, s->before, s->ino, s->mode);
	struct record r = {0};
	bool leads = find_record(fs, s->name2.key, 0, s->ino, &r) == 0;

	record_done(&r);
	nodes_renamed_elsewhere(&fs->nodes, f.node, parent2, s->name2.name, leads);
	nodes_forget(&fs->nodes, f.node, 1);
}

static void rename_names(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t parent2, const char *name2)
{
	struct fs *fs = fs_of(req);
	struct scene *s = scene_of(req);
	int error = -ECANCELED;

	if (!s)
		return;
	if (is(fs, &s->name, parent, name) && is(fs, &s->name2, parent2, name2))
		error = s->name.looked_up && s->name2.looked_up ? 0 : -ESTALE;
	if (!error)
		move_node(fs, s, node_of(fs, parent), node_of(fs, parent2));
	scene_over(req);
	request_refuse(req, error);
}

static void recognise_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t parent2, const char *name2, unsigned flags)
{
	acts(req) ? rename_names(req, parent, name, parent2, name2) : op_rename(req, parent, name, parent2, name2, flags);
}

static void recognise_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	file->fh ? op_flush(req, ino, file) : request_refuse(req, 0);
}

static void recognise_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	if (file->fh)
		op_release(req, ino, file);
	else
		request_refuse(req, 0);
}

static void recognise_statfs(fuse_req_t req, fuse_ino_t ino)
{
	if (acts(req))
		inotify_seen(fs_of(req)->inotify);
	op_statfs(req, ino);
}

void inotify_recognise(const struct fuse_lowlevel_ops *from, struct fuse_lowlevel_ops *to)
{
	*to = *from;
	to->lookup = recognise_lookup;
	to->mkdir = recognise_mkdir;
	to->mknod = recognise_mknod;
	to->symlink = recognise_symlink;
	to->create = recognise_create;
	to->open = recognise_open;
	to->setattr = recognise_setattr;
	to->unlink = recognise_unlink;
	to->rmdir = recognise_rmdir;
	to->rename = recognise_rename;
	to->flush = recognise_flush;
	to->release = recognise_release;
	to->statfs = recognise_statfs;
}
