/* apply_attr.c: modes, owners, times, sizes and user attributes. */
#include "store/apply_commands.h"
#include "store/apply_content.h"

#include <errno.h>

#define XATTR_NAME_BYTES_MAX 255u

static void set_owner(const struct command *c, struct record *r)
{
	if (!(c->set_mask & (SET_UID | SET_GID)))
		return;
	if (c->set_mask & SET_UID)
		r->uid = c->set_uid;
	if (c->set_mask & SET_GID)
		r->gid = c->set_gid;
	/* Root is treated like others, as on Linux's own file systems. */
	if (S_ISDIR(r->mode))
		return;
	r->mode &= ~(uint32_t)S_ISUID;
	if (r->mode & S_IXGRP)
		r->mode &= ~(uint32_t)S_ISGID;
}

void attr_set(struct plan *p, const struct command *c, struct record *r)
{
	set_owner(c, r);
	if (c->set_mask & SET_MODE)
		r->mode = (r->mode & S_IFMT) | (c->mode & 07777);
	if (c->set_mask & SET_ATIME)
		r->atime_ns = c->atime_ns;
	if (c->set_mask & SET_ATIME_NOW)
		r->atime_ns = p->time_ns;
	if (c->set_mask & SET_MTIME)
		r->mtime_ns = c->mtime_ns;
	if (c->set_mask & SET_MTIME_NOW)
		r->mtime_ns = p->time_ns;
}

static int set_size(struct plan *p, const struct command *c, struct change *at, bool *resized)
{
	struct edit e = {.truncate_to = c->size, .extend_to = c->size};
	int err = regular_only(&at->record);
	return err < 0 ? err : content_edit(p, at, &e, resized);
}

int apply_setattr(struct plan *p, const struct command *c)
{
	struct change *at;
	bool resized = false;
	int err = plan_target(p, c, &at);
	if (err < 0)
		return err;
	if ((c->set_mask & SET_SIZE) && (err = set_size(p, c, at, &resized)) < 0)
		return err;
	p->target = at;
	if (c->set_mask == 0)
		return 0;
	plan_update(p, at);
	at->attributes = !resized;
	/* truncate(2) sets the times even where it leaves the size. */
	if (c->set_mask & SET_SIZE)
		content_changed(p, c, &at->record);
	attr_set(p, c, &at->record);
	return 0;
}

static void put_xattrs(struct plan *p, struct change *at)
{
	plan_update(p, at);
	at->attributes = true;
	at->record.xattrs = (struct span){p->xattrs.data, p->xattrs.size};
	p->target = at;
}

int apply_setxattr(struct plan *p, const struct command *c)
{
	struct change *at;
	if (c->key2.size > XATTR_NAME_BYTES_MAX)
		return -ERANGE;
	int err = plan_target(p, c, &at);
	if (err < 0 || (err = xattrs_set(at->record.xattrs, c->key2, c->value, c->xattr_flags, &p->xattrs)) < 0)
		return err;
	put_xattrs(p, at);
	return 0;
}

int apply_removexattr(struct plan *p, const struct command *c)
{
	struct change *at;
	int err = plan_target(p, c, &at);
	if (err < 0 || (err = xattrs_remove(at->record.xattrs, c->key2, &p->xattrs)) < 0)
		return err;
	put_xattrs(p, at);
	return 0;
}
