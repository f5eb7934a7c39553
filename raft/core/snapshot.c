#include "raft/core/core.h"

#include <errno.h>

/* A transfer that the driver has under way is not asked for a second time, even if the need for it ended and came back. */
void core_need_snapshot(struct raft *r, struct progress *p)
{
	/* A member that does not answer would not take it either. */
	if (!core_recent(r, p))
		return;
	core_probe(p, r->log.last + 1);
	p->state = PROGRESS_SNAPSHOT;
	if (p->snapshot_asked)
		return;
	p->snapshot_asked = true;
	r->snapshot[r->snapshot_count++] = p->id;
}

void raft_snapshot_over(struct raft *r, uint64_t to)
{
	struct progress *p = core_member(r, to);
	if (r->role != RAFT_LEADER || !p || !p->snapshot_asked)
		return;
	p->snapshot_asked = false;
	if (p->state != PROGRESS_SNAPSHOT)
		return;
	core_probe(p, r->log.last + 1);
	r->flush = true;
}

static bool needs_install(const struct raft *r, uint64_t index, uint64_t term)
{
	return r->role != RAFT_LEADER && index > r->commit && (index > r->log.last || log_view_term(&r->log, index) != term);
}

/* The log is that of the snapshot now: what was listed, or is being stored, of the old one says nothing about it. */
static void begin_log(struct raft *r, uint64_t index, uint64_t term)
{
	log_view_free(&r->log);
	log_view_init(&r->log, index + 1, term);
	core_forget_saved(r);
	r->commit = r->applied = r->listed = r->stored = index;
	r->install = true;
	r->install_index = index;
	r->install_term = term;
}

int raft_install(struct raft *r, uint64_t index, uint64_t term, const struct raft_members *members)
{
	if (index == 0 || term == 0 || !members_valid(members) || members->voters_count == 0)
		return -EINVAL;
	if (!needs_install(r, index, term)) {
		if (r->role != RAFT_LEADER && index > r->commit)
			core_commit_to(r, index);
		return -EALREADY;
	}
	if (term > r->term)
		core_become_follower(r, term, 0);
	else if (r->role != RAFT_FOLLOWER)
		core_become_follower(r, r->term, 0);
	begin_log(r, index, term);
	configuration_begin(r, index, members);
	if (r->leader != 0)
		core_send(r, (struct raft_message){.type = RAFT_APPEND_REPLY, .to = r->leader, .log_index = index});
	return 0;
}
