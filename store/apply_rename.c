/* apply_rename.c: rename(2) and renameat2(2), of a directory with all that is below it, in one revision. */
#include "store/apply_commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct rename {
	struct change *from;
	struct change *from_parent;
	struct change *to;
	struct change *to_parent;
};

/* Puts `moved` where `at` was. */
static void settle(struct plan *p, struct change *at, const struct record *moved)
{
	at->record = *moved;
	at->record.ctime_ns = p->time_ns;
	at->live = at->created = true;
	plan_unreserve(p, at->key);
	plan_put(p, at);
}

static void replace(struct plan *p, struct rename *r)
{
	bool dir = change_is_dir(r->from);
	bool replaces_dir = r->to->live && change_is_dir(r->to);
	plan_delete(r->from_parent, r->from);
	record_done(&r->to->record);
	settle(p, r->to, &r->from->record);
	memset(&r->from->record, 0, sizeof(r->from->record));
	plan_touch(r->to_parent, (int32_t)dir - (int32_t)replaces_dir);
}

static void exchange(struct plan *p, struct rename *r)
{
	int32_t links = (int32_t)change_is_dir(r->from) - (int32_t)change_is_dir(r->to);
	struct record old = r->to->record;
	settle(p, r->to, &r->from->record);
	settle(p, r->from, &old);
	plan_touch(r->from_parent, -links);
	plan_touch(r->to_parent, links);
}

struct moving {
	struct plan *p;
	struct span from;
	struct span to;
	int err;
};

static int move_one(void *ctx, const struct record *r)
{
	struct moving *m = ctx;
	struct writer *moves = &m->p->moves;
	size_t rest = r->key.size - m->from.size;
	if (m->to.size + rest > MVCC_KEY_MAX) {
		m->err = -ENAMETOOLONG;
		return 1;
	}
	writer_bytes(moves, r->key.data, r->key.size);
	writer_u32(moves, (uint32_t)(m->to.size + rest));
	writer_raw(moves, m->to.data, m->to.size);
	writer_raw(moves, (const char *)r->key.data + m->from.size, rest);
	return 0;
}

/* Plans the moves of all that is below `from` to below `to`. */
static int move_below(struct plan *p, struct span from, struct span to)
{
	char start[MVCC_KEY_MAX + 1];
	char end[MVCC_KEY_MAX + 1];
	const struct span first = {start, from.size + 1};
	const struct span last = {end, from.size + 1};
	struct moving m = {.p = p, .from = from, .to = to};
	memcpy(start, from.data, from.size);
	memcpy(end, from.data, from.size);
	start[from.size] = '/';
	end[from.size] = '/' + 1;
	int err = plan_checked(p, mvcc_range(p->m, first, last, 0, 0, move_one, &m));
	return err < 0 ? err : m.err;
}

static int check_flags(uint32_t flags)
{
	if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	return flags == (RENAME_NOREPLACE | RENAME_EXCHANGE) ? -EINVAL : 0;
}

static int find_both(struct plan *p, const struct command *c, struct rename *r)
{
	int err;
	if ((err = plan_parent(p, c->key, &r->from_parent)) < 0 || (err = plan_parent(p, c->key2, &r->to_parent)) < 0 ||
	    (err = plan_at(p, c->key, &r->from)) < 0 || (err = plan_at(p, c->key2, &r->to)) < 0)
		return err;
	if (!r->from->live)
		return -ENOENT;
	if (r->to->live && (c->rename_flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!r->to->live && (c->rename_flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (!r->to->live && plan_reserved(p, c, c->key2)) {
		if (c->rename_flags & RENAME_NOREPLACE)
			return -EEXIST;
		return change_is_dir(r->from) ? -ENOTDIR : 0; /* what is reserved will be a file */
	}
	return 0;
}

static int check_replace(struct plan *p, const struct rename *r)
{
	if (!r->to->live)
		return 0;
	if (change_is_dir(r->from) && !change_is_dir(r->to))
		return -ENOTDIR;
	if (!change_is_dir(r->from) && change_is_dir(r->to))
		return -EISDIR;
	return change_is_dir(r->to) && mvcc_has_children(p->m, r->to->key) ? -ENOTEMPTY : 0;
}

int apply_rename(struct plan *p, const struct command *c)
{
	struct rename r = {0};
	bool swap = c->rename_flags & RENAME_EXCHANGE;
	int err;
	if ((err = check_flags(c->rename_flags)) < 0 || (err = find_both(p, c, &r)) < 0)
		return err;
	p->target = r.to;
	if (r.from == r.to)
		return 0;
	if ((err = name_removable(c, r.from_parent, r.from)) < 0 || (r.to->live && (err = name_removable(c, r.to_parent, r.to)) < 0))
		return err;
	if (key_is_below(c->key2, c->key))
		return -EINVAL;
	if (key_is_below(c->key, c->key2))
		return swap ? -EINVAL : -ENOTEMPTY;
	if (!swap && (err = check_replace(p, &r)) < 0)
		return err;
	if (change_is_dir(r.from) && (err = move_below(p, c->key, c->key2)) < 0)
		return err;
	if (swap && change_is_dir(r.to) && (err = move_below(p, c->key2, c->key)) < 0)
		return err;
	p->swap = swap;
	if (change_is_dir(r.from) || (swap && change_is_dir(r.to)))
		plan_move_reserved(p, c->key, c->key2);
	if (swap)
		exchange(p, &r);
	else
		replace(p, &r);
	return 0;
}
