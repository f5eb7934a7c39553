/* apply_lock.c: locks, and what is refused to those who have lost theirs. */
#include "store/apply_commands.h"
#include "store/lock.h"

#include <errno.h>

static bool is_over(struct plan *p, uint64_t session)
{
	uint32_t ttl_s;
	return leases_renewals(p->leases, session, &ttl_s) == 0;
}

int plan_check_fence(struct plan *p, const struct command *c)
{
	return (c->write_flags & WRITE_FENCED) && is_over(p, c->lease) ? -EIO : 0;
}

int apply_lock(struct plan *p, const struct command *c)
{
	if (is_over(p, c->lock.session))
		return -EIO;
	int waits = locks_check(p->locks, &c->lock, c->lock_flags & LOCK_WAITS);
	if (waits < 0)
		return waits;
	p->lock = c;
	p->done = !waits;
	return 0;
}

int apply_unlock(struct plan *p, const struct command *c)
{
	if (is_over(p, c->lock.session))
		return -EIO;
	p->lock = c;
	return c->lock_flags & LOCK_BY_HANDLE ? 0 : locks_check_release(p->locks, &c->lock);
}

int apply_lock_cancel(struct plan *p, const struct command *c)
{
	if (is_over(p, c->lock.session))
		return -EIO;
	p->lock = c;
	return 0;
}

void plan_commit_locks(struct plan *p)
{
	const struct command *c = p->lock;
	if (p->lease && p->lease->type == COMMAND_LEASE_REVOKE)
		locks_end_session(p->locks, p->m, p->lease->lease);
	if (!c)
		return;
	if (c->type == COMMAND_UNLOCK)
		p->done = locks_release(p->locks, p->m, &c->lock, c->lock_flags & LOCK_BY_HANDLE);
	else if (c->type == COMMAND_LOCK_CANCEL)
		p->done = locks_cancel(p->locks, p->m, &c->lock, c->lock_request);
	else if (p->done)
		locks_take(p->locks, p->m, &c->lock);
	else
		locks_wait(p->locks, p->m, &c->lock, c->lock_request);
}
