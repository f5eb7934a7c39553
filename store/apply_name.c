/* apply_name.c: names that come and go. */
#include "store/apply_commands.h"

#include <errno.h>

int name_free(struct plan *p, const struct command *c, struct change **parent, struct change **at)
{
	int err = plan_at(p, c->key, at);
	if (err < 0)
		return err;
	if ((*at)->live)
		return -EEXIST;
	if ((err = plan_parent(p, c->key, parent)) < 0)
		return err;
	return plan_reserved(p, c, c->key) ? -EEXIST : 0;
}

/* Makes a key that must not exist yet. */
static int make(struct plan *p, const struct command *c, uint32_t mode)
{
	struct change *at;
	struct change *parent;
	int err = name_free(p, c, &parent, &at);
	if (err < 0)
		return err;
	plan_create(p, c, parent, at, mode);
	p->target = at;
	return 0;
}

int apply_mkdir(struct plan *p, const struct command *c)
{
	return make(p, c, S_IFDIR | (c->mode & 07777));
}

int apply_symlink(struct plan *p, const struct command *c)
{
	int err = make(p, c, S_IFLNK | 0777);
	if (err < 0)
		return err;
	p->target->record.data = c->key2;
	p->target->record.size = c->key2.size;
	return 0;
}

int apply_mknod(struct plan *p, const struct command *c)
{
	uint32_t type = (c->mode & S_IFMT) ? c->mode & S_IFMT : S_IFREG;
	bool device = type == S_IFCHR || type == S_IFBLK;
	if (type == S_IFDIR)
		return -EPERM;
	if (!device && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return -EINVAL;
	int err = make(p, c, type | (c->mode & 07777));
	if (err < 0)
		return err;
	p->target->record.rdev = device ? c->rdev : 0;
	return 0;
}

/* The live key of the command, and its parent. */
static int existing(struct plan *p, const struct command *c, struct change **at, struct change **parent)
{
	int err = plan_at(p, c->key, at);
	if (err < 0)
		return err;
	return (*at)->live ? plan_parent(p, c->key, parent) : plan_absent(p, c->key);
}

int name_removable(const struct command *c, const struct change *parent, const struct change *at)
{
	bool sticky = parent->record.mode & S_ISVTX;
	return sticky && c->uid != 0 && c->uid != at->record.uid && c->uid != parent->record.uid ? -EPERM : 0;
}

int apply_rmdir(struct plan *p, const struct command *c)
{
	struct change *at;
	struct change *parent;
	int err = existing(p, c, &at, &parent);
	if (err < 0 || (err = name_removable(c, parent, at)) < 0)
		return err;
	if (!change_is_dir(at))
		return -ENOTDIR;
	if (mvcc_has_children(p->m, c->key))
		return -ENOTEMPTY;
	plan_delete(parent, at);
	return 0;
}

int apply_unlink(struct plan *p, const struct command *c)
{
	struct change *at;
	struct change *parent;
	int err = existing(p, c, &at, &parent);
	if (err < 0 || (err = name_removable(c, parent, at)) < 0)
		return err;
	if (change_is_dir(at))
		return -EISDIR;
	plan_delete(parent, at);
	return 0;
}

int apply_delete(struct plan *p, const struct command *c)
{
	struct change *at;
	struct change *parent;
	if (c->prefix)
		return plan_delete_prefix(p, c->key, &p->done);
	int err = existing(p, c, &at, &parent);
	if (err < 0)
		return err;
	if (change_is_dir(at) && mvcc_has_children(p->m, c->key))
		return -ENOTEMPTY;
	plan_delete(parent, at);
	p->done = 1;
	return 0;
}
