/* apply_lease.c: leases that come, go on and go, and the keys that are attached to them. */
#include "store/apply_commands.h"
#include "store/lease.h"

#include <errno.h>

int apply_lease_grant(struct plan *p, const struct command *c)
{
	uint32_t ttl_s;
	if (c->lease == 0 || c->ttl_s == 0 || c->ttl_s > LEASE_TTL_S_MAX)
		return -EINVAL;
	if (leases_renewals(p->leases, c->lease, &ttl_s) > 0)
		return -EEXIST;
	if (leases_full(p->leases))
		return -ENOSPC;
	p->lease = c;
	p->done = c->ttl_s;
	return 0;
}

int apply_lease_keepalive(struct plan *p, const struct command *c)
{
	uint32_t ttl_s;
	if (leases_renewals(p->leases, c->lease, &ttl_s) == 0)
		return -ENOENT;
	p->lease = c;
	p->done = ttl_s;
	return 0;
}

/* What is attached is a file that is there: deleting it, or moving it, would have detached it. */
static int delete_attached(void *ctx, struct span key)
{
	struct plan *p = ctx;
	struct change *at;
	struct change *parent;
	int err = plan_at(p, key, &at);
	if (err < 0 || !at->live || change_is_dir(at))
		return err;
	if ((err = plan_parent(p, key, &parent)) < 0)
		return err;
	plan_delete(parent, at);
	p->done++;
	return 0;
}

int apply_lease_revoke(struct plan *p, const struct command *c)
{
	uint32_t ttl_s;
	uint64_t renewals = leases_renewals(p->leases, c->lease, &ttl_s);
	if (renewals == 0)
		return -ENOENT;
	if (c->renewals != 0 && c->renewals != renewals)
		return -ESTALE;
	p->lease = c;
	return leases_each_key(p->leases, c->lease, delete_attached, p);
}

int plan_check_lease(struct plan *p, uint64_t id)
{
	uint32_t ttl_s;
	return id == 0 || leases_renewals(p->leases, id, &ttl_s) > 0 ? 0 : -ENOENT;
}

static void detach_all(struct plan *p, const struct writer *keys)
{
	struct reader in = reader_over(keys->data, keys->size);
	while (reader_left(&in) > 0)
		leases_detach(p->leases, p->m, reader_bytes(&in, MVCC_KEY_MAX));
}

void plan_commit_lease(struct plan *p, const struct change *at)
{
	if (at->action == CHANGE_PUT && at->lease != 0)
		leases_attach(p->leases, p->m, at->lease, at->key);
	else if (at->action == CHANGE_DELETE || (at->action == CHANGE_PUT && (at->created || at->replaced)))
		leases_detach(p->leases, p->m, at->key);
}

/* The keys that a revoked lease takes with it are its own memory, in which the plan's changes have theirs: it comes last, and needs nothing else. */
void plan_commit_leases(struct plan *p)
{
	const struct command *c = p->lease;
	detach_all(p, &p->doomed);
	detach_all(p, &p->moves);
	if (c && c->type == COMMAND_LEASE_GRANT)
		leases_grant(p->leases, p->m, c->lease, c->ttl_s);
	else if (c && c->type == COMMAND_LEASE_KEEPALIVE)
		leases_renew(p->leases, p->m, c->lease);
	else if (c)
		leases_revoke(p->leases, p->m, c->lease);
}
