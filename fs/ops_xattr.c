#include "fs/ops.h"

#include "fs/cache.h"
#include "fs/publish.h"
#include "fs/rewalk.h"
#include "fs/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_PREFIX "user.tallyfs."

/* Only user.*: the kernel asks for security.* with many calls, and is told at once, without a barrier, that there is none. */
static int name_supported(const char *name)
{
	return strncmp(name, "user.", 5) == 0 && name[5] ? 0 : -EOPNOTSUPP;
}

static void reply_sized(struct request *rq, const void *data, size_t size)
{
	if (rq->size == 0) {
		request_answers(rq, 0);
		fuse_reply_xattr(rq->req, size);
		request_end(rq);
	} else if (size > rq->size) {
		request_error(rq, -ERANGE);
	} else {
		request_data(rq, data, size);
	}
}

/* user.tallyfs.*: what the store knows about the key. */
static int own_value(const struct record *r, const char *name, char text[32])
{
	uint64_t number;

	if (strcmp(name, OWN_PREFIX "mod_revision") == 0)
		number = r->modified.main;
	else if (strcmp(name, OWN_PREFIX "create_revision") == 0)
		number = r->created.main;
	else if (strcmp(name, OWN_PREFIX "version") == 0)
		number = r->version;
	else
		return -ENODATA;
	return snprintf(text, 32, "%" PRIu64, number);
}

/* Replies from the node's record or, if the file has lost its name, from that of one of those who have it open. */
static void reply_from_record(struct request *rq, int error, void (*reply)(struct request *rq, const struct record *r))
{
	struct record r = {0};
	struct handle *h = NULL;

	if (!error)
		error = view_record(rq->fs, rq->node, &r);
	if (error == -ESTALE && !nodes_bound(&rq->fs->nodes, rq->node))
		h = handle_with_changes(rq->fs, rq->node);
	if (h) {
		pthread_mutex_lock(&h->lock);
		if (h->pin)
			reply(rq, &h->pin->record);
		else
			request_error(rq, error);
		pthread_mutex_unlock(&h->lock);
		handle_put(h);
	} else if (error && (error != -ESTALE || rewalk_found_record(rq, &r) != 0)) {
		request_error(rq, error);
	} else {
		reply(rq, &r);
	}
	record_done(&r);
}

static void reply_value(struct request *rq, const struct record *r)
{
	char text[32];
	struct span value = {0};
	int error;

	if (strncmp(rq->name, OWN_PREFIX, sizeof(OWN_PREFIX) - 1) == 0) {
		int size = own_value(r, rq->name, text);
		error = size < 0 ? size : 0;
		value = (struct span){text, size < 0 ? 0 : (size_t)size};
	} else {
		error = xattrs_find(r->xattrs, (struct span){rq->name, strlen(rq->name)}, &value);
	}
	if (error)
		request_error(rq, error);
	else
		reply_sized(rq, value.data, value.size);
}

static void getxattr_now(struct request *rq, int error)
{
	reply_from_record(rq, error, reply_value);
}

/* Has this node attributes at all? */
static bool has_record(const struct node *n)
{
	return (n->kind == NODE_LIVE && !node_provisional(n)) || n->kind == NODE_REVISION;
}

static void read_record(struct request *rq, request_step *next)
{
	if (rq->node->kind == NODE_LIVE)
		request_read(rq, next);
	else
		next(rq, 0);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = fs_of(req);
	int error = name_supported(name);

	if (!error && !has_record(node_of(fs, ino)))
		error = -ENODATA;
	if (error) {
		request_refuse(req, error);
		return;
	}
	struct request *rq = request_new(fs, req);
	request_name(rq, node_of(fs, ino), name);
	rq->size = size;
	read_record(rq, getxattr_now);
}

static int gather_name(void *ctx, struct span name, struct span value)
{
	struct writer *w = ctx;

	(void)value;
	writer_raw(w, name.data, name.size);
	writer_u8(w, 0);
	return 0;
}

static void reply_names(struct request *rq, const struct record *r)
{
	int error = r->xattrs.size ? xattrs_each(r->xattrs, gather_name, &rq->value) : 0;

	if (error)
		request_error(rq, error == -EBADMSG ? -EIO : error);
	else
		reply_sized(rq, rq->value.data, rq->value.size);
}

static void listxattr_now(struct request *rq, int error)
{
	reply_from_record(rq, error, reply_names);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	rq->node = node_of(fs, ino);
	rq->size = size;
	if (has_record(rq->node))
		read_record(rq, listxattr_now);
	else
		reply_sized(rq, NULL, 0);
}

static void changed(struct request *rq, int error)
{
	struct record r = {0};
	struct stat st;

	if (!error && view_record(rq->fs, rq->node, &r) == 0)
		cache_attributes_changed(rq->fs, rq->node, &r, false, &st);
	record_done(&r);
	request_error(rq, error);
}

static void change_submit(struct request *rq, int error)
{
	if (!error)
		error = view_stands(rq->fs, rq->node);
	if (error) {
		request_error(rq, error);
		return;
	}
	struct command c = request_command(rq, rq->to_set ? COMMAND_SETXATTR : COMMAND_REMOVEXATTR);
	c.ino = rq->node->ino;
	c.key2 = (struct span){rq->name, strlen(rq->name)};
	c.value = (struct span){rq->value.data, rq->value.size};
	c.xattr_flags = rq->flags;
	request_submit(rq, &c, changed);
}

/* rq->to_set: set it, else remove it. */
static void change(struct request *rq)
{
	int error = name_supported(rq->name);

	if (!error && rq->node->kind != NODE_LIVE)
		error = -EROFS;
	if (!error && strncmp(rq->name, OWN_PREFIX, sizeof(OWN_PREFIX) - 1) == 0)
		error = -EPERM;
	if (error) {
		request_error(rq, error);
		return;
	}
	/* The cluster can change only what it has. */
	if (node_provisional(rq->node) && handle_caller_holds(rq->fs, rq->node, rq->pid))
		rq->held_handle = rq->handle = handle_of_creator(rq->fs, rq->node);
	if (rq->handle)
		publish_start(rq, change_submit);
	else
		request_read(rq, change_submit);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	request_name(rq, node_of(fs, ino), name);
	writer_raw(&rq->value, value, size);
	rq->flags = (unsigned)flags;
	rq->to_set = 1;
	change(rq);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct fs *fs = fs_of(req);
	struct request *rq = request_new(fs, req);

	request_name(rq, node_of(fs, ino), name);
	change(rq);
}
