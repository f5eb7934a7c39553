/* apply_write.c: what a handle wrote becomes the file's next version. */
#include "store/apply_commands.h"
#include "store/apply_content.h"

#include <errno.h>

int regular_only(const struct record *r)
{
	if (S_ISREG(r->mode))
		return 0;
	return S_ISDIR(r->mode) ? -EISDIR : -EINVAL;
}

void content_changed(struct plan *p, const struct command *c, struct record *r)
{
	r->mtime_ns = r->ctime_ns = p->time_ns;
	if (c->uid == 0)
		return;
	r->mode &= ~(uint32_t)S_ISUID;
	if (r->mode & S_IXGRP)
		r->mode &= ~(uint32_t)S_ISGID;
}

struct joined {
	struct writer *out;
	uint32_t chunks;
};

static int join(void *ctx, struct span chunk)
{
	struct joined *j = ctx;
	writer_raw(j->out, chunk.data, chunk.size);
	j->chunks++;
	return 0;
}

int staged_join(struct plan *p, const struct command *c)
{
	struct joined j = {.out = &p->staged};
	struct stage_id id = {c->id.origin, c->id.epoch, c->stage};
	int err = plan_checked(p, mvcc_stage_read(p->m, &id, join, &j));
	if (err < 0 || (c->stage_chunk != 0 && c->stage_chunk != j.chunks))
		return -EIO;
	return 0;
}

static int ranges_of(struct plan *p, const struct command *c, struct edit *e)
{
	e->ranges = c->ranges;
	e->count = c->ranges_count;
	if (!(c->write_flags & WRITE_STAGED))
		return 0;
	int err = staged_join(p, c);
	if (err < 0)
		return err;
	struct reader r = reader_over(p->staged.data, p->staged.size);
	if (command_ranges_decode(&r, &p->ranges, &e->count) < 0 || !reader_done(&r))
		return -EIO;
	e->ranges = p->ranges;
	return e->append && e->count > 1 ? -EINVAL : 0;
}

/* The number that the issuer wants it to have, if it may. */
static void take_number(struct plan *p, const struct command *c, struct change *at)
{
	const struct session *s = sessions_find(p->sessions, c->id.origin);
	if (!(c->write_flags & WRITE_NUMBERED) || !s || !session_may_use(s, c->ino))
		return;
	at->record.ino = p->number = c->ino;
}

int apply_numbers(struct plan *p, const struct command *c)
{
	(void)p;
	(void)c;
	return 0;
}

static int make_target(struct plan *p, const struct command *c, struct change *at)
{
	struct change *parent;
	if (!S_ISREG(c->mode) && (c->mode & S_IFMT) != 0)
		return -EINVAL;
	int err = plan_parent(p, c->key, &parent);
	if (err < 0)
		return err;
	plan_create(p, c, parent, at, S_IFREG | (c->mode & 07777));
	take_number(p, c, at);
	return 0;
}

static int write_target(struct plan *p, const struct command *c, struct change **out)
{
	if (c->ino != 0 && !(c->write_flags & WRITE_NUMBERED))
		return plan_target(p, c, out);
	int err = plan_at(p, c->key, out);
	if (err < 0)
		return err;
	if ((*out)->live || ((c->write_flags & WRITE_EXCL) && plan_reserved(p, c, c->key)))
		return (c->write_flags & WRITE_EXCL) ? -EEXIST : 0;
	return (c->write_flags & WRITE_CREATE) ? make_target(p, c, *out) : plan_absent(p, c->key);
}

int apply_write(struct plan *p, const struct command *c)
{
	struct edit e = {.truncate_to = c->truncate_to, .extend_to = c->extend_to, .append = c->write_flags & WRITE_APPEND};
	struct change *at;
	bool wrote;
	int err = plan_check_fence(p, c);
	if (err < 0)
		return err;
	err = write_target(p, c, &at);
	if (err < 0 || (err = regular_only(&at->record)) < 0 || (err = ranges_of(p, c, &e)) < 0 ||
	    (err = content_edit(p, at, &e, &wrote)) < 0)
		return err;
	p->target = at;
	plan_unreserve_own(p, c);
	uint32_t set = c->set_mask & ~(uint32_t)SET_SIZE;
	if (!wrote && set == 0)
		return 0;
	plan_update(p, at);
	at->replaced = wrote;
	at->attributes = !wrote;
	if (wrote)
		content_changed(p, c, &at->record);
	attr_set(p, c, &at->record);
	return 0;
}
