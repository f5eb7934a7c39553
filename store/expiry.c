/* expiry.c: the leader ends the leases that have run out (lease.h). A write like any other, but that nobody waits for. */
#include "base/log.h"
#include "store/node.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_NS INT64_C(100000000)
/* In a tick, and on their way: a thousand leases that end at once hold nothing else up. */
#define AT_ONCE 64u
#define ON_THEIR_WAY_MAX 256u

struct ending {
	struct store_op op; /* first: done() casts back */
	struct store *store;
	uint64_t id;
};

static void on_ended(struct store_op *op)
{
	struct ending *e = (struct ending *)op;
	if (op->result.error == 0)
		log_info("lease %016llx has run out: %llu keys deleted", (unsigned long long)e->id, (unsigned long long)op->result.count);
	atomic_fetch_sub(&e->store->endings, 1);
	free(e);
}

static void end(struct store *s, const struct lease_due *due)
{
	struct command c = {.type = COMMAND_LEASE_REVOKE, .truncate_to = COMMAND_NO_TRUNCATE, .lease = due->id, .renewals = due->renewals};
	struct ending *e = calloc(1, sizeof(*e));
	if (!e)
		abort();
	e->store = s;
	e->id = due->id;
	e->op.done = on_ended;
	atomic_fetch_add(&s->endings, 1);
	store_submit(s, &c, &e->op);
}

void expiry_run(struct store *s, const struct raft_status *status, int64_t now_ns)
{
	struct lease_due due[AT_ONCE];
	if (now_ns < s->expiry_ns)
		return;
	s->expiry_ns = now_ns + TICK_NS;
	uint32_t on_their_way = atomic_load(&s->endings);
	uint32_t room = on_their_way < ON_THEIR_WAY_MAX ? ON_THEIR_WAY_MAX - on_their_way : 0;
	uint32_t count = leases_tick(s->leases, now_ns, status->term, status->role == RAFT_LEADER, due, room < AT_ONCE ? room : AT_ONCE);
	for (uint32_t i = 0; i < count; i++)
		end(s, &due[i]);
}

int64_t expiry_deadline_ns(struct store *s)
{
	return leases_any(s->leases) ? s->expiry_ns : INT64_MAX;
}
