#include "fs/ops.h"

#include "fs/cache.h"
#include "fs/entry.h"
#include "fs/exclusive.h"
#include "fs/notifier.h"
#include "fs/ownership.h"
#include "fs/publish.h"
#include "fs/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A command that makes rq->name was applied: its target is a node now. */
static void made(struct request *rq, int error)
{
	if (error)
		request_error(rq, error);
	else
		entry_reply_record(rq, &rq->op.result.attr, 0, strlen(rq->name), VIEW_NAME_SECONDS);
}

/* Submits `c` for rq->name in rq->node. */
static void submit_named(struct request *rq, struct command *c, request_step *next)
{
	char text[VIEW_KEY_SIZE];
	int size = view_child_key(rq->fs, rq->node, rq->name, text);

	if (size < 0) {
		request_error(rq, size);
		return;
	}
	c->key = (struct span){text, (size_t)size};
	request_submit(rq, c, next);
}

static struct request *named_request(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	request_name(rq, node_of(fs, parent), name);
	return rq;
}

static void make(struct request *rq, struct command *c)
{
	int error = entry_admissible(rq->fs, rq->node, rq->name);

	if (error)
		request_error(rq, error);
	else
		submit_named(rq, c, made);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct request *rq = named_request(req, parent, name);
	struct command c = request_command(rq, COMMAND_MKDIR);

	c.mode = S_IFDIR | (mode & 07777);
	make(rq, &c);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct request *rq = named_request(req, parent, name);
	struct command c = request_command(rq, COMMAND_SYMLINK);

	c.key2 = (struct span){target, strlen(target)};
	make(rq, &c);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct request *rq = named_request(req, parent, name);
	struct command c = request_command(rq, COMMAND_MKNOD);

	c.mode = mode & S_IFMT ? mode : mode | S_IFREG;
	c.rdev = rdev;
	make(rq, &c);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	request_refuse(req, -EPERM);
}

/* May a name that exists be removed or moved away? */
static int removable(struct fs *fs, struct node *parent, const char *name)
{
	if (parent->kind != NODE_LIVE || entry_parse(fs, parent, name).shape != PATH_PLAIN)
		return -EROFS;
	return 0;
}

static void removed(struct request *rq, int error);

/* rq->flags: the command. */
static void remove_name(struct request *rq)
{
	struct command c = request_command(rq, (enum command_type)rq->flags);

	submit_named(rq, &c, removed);
}

static void removed(struct request *rq, int error)
{
	if (error == -EPERM && ownership_takes_over(rq)) {
		remove_name(rq);
		return;
	}
	if (!error)
		nodes_remove(&rq->fs->nodes, rq->node, rq->name);
	request_error(rq, error);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request *rq = named_request(req, parent, name);
	int error = removable(rq->fs, rq->node, name);

	rq->flags = COMMAND_RMDIR;
	if (error)
		request_error(rq, error);
	else
		remove_name(rq);
}

/* That a file which was never published is not in the store is no failure. */
static void removed_provisional(struct request *rq, int error)
{
	request_error(rq, error == -ENOENT ? 0 : error);
}

/* What has the name in the store, if anything has: the file was published after all, or somebody else made one. */
static void remove_published(struct request *rq)
{
	struct command c = request_command(rq, COMMAND_UNLINK);

	submit_named(rq, &c, removed_provisional);
}

static void reservation_cancelled(struct request *rq, int error)
{
	if (error == -ENOENT)
		remove_published(rq);
	else
		request_error(rq, error);
}

/* No publication is under way any more. */
static void remove_provisional(struct request *rq, int error)
{
	(void)error;
	handle_put(rq->held_handle);
	rq->held_handle = rq->handle = exclusive_holder(rq->fs, rq->held);
	if (rq->handle)
		exclusive_cancel(rq, reservation_cancelled);
	else
		remove_published(rq);
}

/* The name leads to a file that is not published yet, and now never will be. */
static void unlink_provisional(struct request *rq)
{
	nodes_remove(&rq->fs->nodes, rq->node, rq->name);
	rq->held_handle = rq->handle = handle_of_creator(rq->fs, rq->held);
	if (rq->handle)
		publish_start(rq, remove_provisional);
	else
		remove_published(rq);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request *rq = named_request(req, parent, name);
	int error = removable(rq->fs, rq->node, name);

	rq->flags = COMMAND_UNLINK;
	if (error) {
		request_error(rq, error);
		return;
	}
	rq->held = nodes_find(&rq->fs->nodes, rq->node, name);
	if (rq->held && node_provisional(rq->held))
		unlink_provisional(rq);
	else
		remove_name(rq);
}

/* What the kernel has renamed may be a node that has no name here any more. */
static void forget_frozen(struct request *rq)
{
	struct fs *fs = rq->fs;

	if (!nodes_frozen(&fs->nodes))
		return;
	notifier_queue_name(fs->notifier, rq->node2, rq->name2);
	if (rq->flags & RENAME_EXCHANGE)
		notifier_queue_name(fs->notifier, rq->node, rq->name);
}

static void rename_submit(struct request *rq, int error);

static void renamed(struct request *rq, int error)
{
	struct record r = {0};
	struct stat st;

	if (error == -EPERM && ownership_takes_over(rq)) {
		rename_submit(rq, 0);
		return;
	}
	if (!error) {
		nodes_rename(&rq->fs->nodes, rq->held, rq->node, rq->name, rq->node2, rq->name2, rq->flags & RENAME_EXCHANGE);
		if (rq->held && view_record(rq->fs, rq->held, &r) == 0)
			cache_attributes_changed(rq->fs, rq->held, &r, true, &st);
		record_done(&r);
		forget_frozen(rq);
	}
	request_error(rq, error);
}

static void rename_submit(struct request *rq, int error)
{
	char text[VIEW_KEY_SIZE], text2[VIEW_KEY_SIZE];
	struct command c = request_command(rq, COMMAND_RENAME);
	int size = view_child_key(rq->fs, rq->node, rq->name, text);
	int size2 = view_child_key(rq->fs, rq->node2, rq->name2, text2);

	if (!error && (size < 0 || size2 < 0))
		error = size < 0 ? size : size2;
	if (error) {
		request_error(rq, error);
		return;
	}
	c.key = (struct span){text, (size_t)size};
	c.key2 = (struct span){text2, (size_t)size2};
	c.rename_flags = rq->flags;
	request_submit(rq, &c, renamed);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t parent2, const char *name2, unsigned flags)
{
	struct request *rq = named_request(req, parent, name);
	struct fs *fs = rq->fs;
	int error = removable(fs, rq->node, name);

	rq->node2 = node_of(fs, parent2);
	rq->name2 = strdup(name2);
	if (!rq->name2)
		abort();
	rq->flags = flags;
	if (!error)
		error = entry_admissible(fs, rq->node2, name2);
	if (!error && flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		error = -EINVAL;
	if (error) {
		request_error(rq, error);
		return;
	}
	rq->held = nodes_find(&fs->nodes, rq->node, name);
	/* A file that is not published yet is published first: the cluster can rename only what it has. */
	if (rq->held && node_provisional(rq->held) && handle_caller_holds(fs, rq->held, rq->pid))
		rq->held_handle = rq->handle = handle_of_creator(fs, rq->held);
	if (rq->handle)
		publish_start(rq, rename_submit);
	else
		rename_submit(rq, 0);
}
