/* apply_put.c: whole files by key, one or many in one revision. */
#include "store/apply_commands.h"
#include "store/apply_content.h"

#include <errno.h>

int put_whole(struct plan *p, const struct command *c, struct span key, struct span value, uint64_t lease)
{
	struct change *at;
	struct change *parent;
	bool changed;
	int err = plan_check_lease(p, lease);
	if (err < 0 || (err = plan_at(p, key, &at)) < 0)
		return err;
	bool first = at->action == CHANGE_NONE;
	if (!at->live) {
		if ((err = plan_make_parent(p, c, key, &parent)) < 0)
			return err;
		plan_create(p, c, parent, at, S_IFREG | 0644);
	}
	const struct command_range range = {.offset = 0, .data = value};
	const struct edit e = {.truncate_to = 0, .ranges = &range, .count = 1};
	if ((err = regular_only(&at->record)) < 0 || (err = content_edit(p, at, &e, &changed)) < 0)
		return err;
	plan_update(p, at);
	at->whole = value;
	at->replaced = true;
	at->lease = lease;
	content_changed(p, c, &at->record);
	p->target = at;
	p->done += first;
	return 0;
}

int apply_put(struct plan *p, const struct command *c)
{
	if (!(c->write_flags & WRITE_STAGED))
		return put_whole(p, c, c->key, c->value, c->lease);
	int err = staged_join(p, c);
	return err < 0 ? err : put_whole(p, c, c->key, (struct span){p->staged.data, p->staged.size}, c->lease);
}

int apply_load(struct plan *p, const struct command *c)
{
	struct reader pairs = reader_over(c->value.data, c->value.size);
	while (reader_left(&pairs) > 0) {
		struct span key = reader_bytes(&pairs, MVCC_KEY_MAX);
		struct span value = reader_bytes(&pairs, UINT32_MAX);
		int err = put_whole(p, c, key, value, 0);
		if (err < 0)
			return err;
	}
	p->target = NULL;
	return 0;
}
