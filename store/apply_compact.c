/* apply_compact.c: history is given up. The floor rises here, at this entry, on every node; deleting is each node's own affair, later. */
#include "store/apply_commands.h"

#include <errno.h>

int apply_compact(struct plan *p, const struct command *c)
{
	if (c->revision > mvcc_revision(p->m))
		return -ENOENT;
	if (c->revision <= mvcc_compact_revision(p->m))
		return -ENODATA;
	p->floor = c->revision;
	return 0;
}
