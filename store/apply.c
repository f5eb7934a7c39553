#include "store/apply.h"
#include "store/apply_commands.h"
#include "store/reservation.h"
#include "raft/raft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct apply {
	struct mvcc *m;
	struct sessions sessions;
	struct reservations reservations;
	struct leases *own_leases; /* unless others look at them too */
	struct locks *own_locks;   /* likewise */
	struct plan plan;
	struct writer session_bytes;
	struct raft_members members; /* as applied, without its context; empty in a store from before it was kept */
};

static int (*const commands[])(struct plan *p, const struct command *c) = {
	[COMMAND_WRITE] = apply_write,
	[COMMAND_MKDIR] = apply_mkdir,
	[COMMAND_RMDIR] = apply_rmdir,
	[COMMAND_UNLINK] = apply_unlink,
	[COMMAND_RENAME] = apply_rename,
	[COMMAND_SYMLINK] = apply_symlink,
	[COMMAND_MKNOD] = apply_mknod,
	[COMMAND_SETATTR] = apply_setattr,
	[COMMAND_SETXATTR] = apply_setxattr,
	[COMMAND_REMOVEXATTR] = apply_removexattr,
	[COMMAND_PUT] = apply_put,
	[COMMAND_DELETE] = apply_delete,
	[COMMAND_LOAD] = apply_load,
	[COMMAND_RESERVE] = apply_reserve,
	[COMMAND_COMPACT] = apply_compact,
	[COMMAND_TXN] = apply_txn,
	[COMMAND_LEASE_GRANT] = apply_lease_grant,
	[COMMAND_LEASE_REVOKE] = apply_lease_revoke,
	[COMMAND_LEASE_KEEPALIVE] = apply_lease_keepalive,
	[COMMAND_LOCK] = apply_lock,
	[COMMAND_UNLOCK] = apply_unlock,
	[COMMAND_LOCK_CANCEL] = apply_lock_cancel,
	[COMMAND_NUMBERS] = apply_numbers,
};

static int load_members(struct apply *a)
{
	void *value;
	size_t size;
	int err = mvcc_get_meta(a->m, (struct span){APPLY_MEMBERS, strlen(APPLY_MEMBERS)}, &value, &size);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	err = raft_members_decode((struct span){value, size}, &a->members);
	free(value);
	return err;
}

static int load(struct apply *a)
{
	int err = sessions_load(&a->sessions, a->m);
	if (err == 0)
		err = reservations_load(&a->reservations, a->m);
	if (err == 0)
		err = load_members(a);
	if (err == 0)
		err = leases_load(a->plan.leases, a->m);
	if (err == 0)
		err = locks_load(a->plan.locks, a->m);
	return err;
}

int apply_reload(struct apply *a)
{
	reservations_done(&a->reservations);
	sessions_done(&a->sessions);
	a->members = (struct raft_members){0};
	int err = load(a);
	a->plan.broken |= err < 0;
	return err;
}

bool apply_has_seen(struct apply *a, uint64_t origin, uint64_t epoch, uint64_t sequence)
{
	const struct session *one = sessions_find(&a->sessions, origin);
	return one && session_has_seen(one, epoch, sequence);
}

int apply_open(struct mvcc *m, struct apply **out)
{
	struct apply *a = calloc(1, sizeof(*a));
	if (!a)
		abort();
	a->m = a->plan.m = m;
	a->plan.reservations = &a->reservations;
	a->plan.sessions = &a->sessions;
	a->plan.leases = a->own_leases = leases_new();
	a->plan.locks = a->own_locks = locks_new();
	int err = load(a);
	if (err < 0) {
		apply_close(a);
		return err;
	}
	*out = a;
	return 0;
}

void apply_close(struct apply *a)
{
	if (!a)
		return;
	plan_free(&a->plan);
	reservations_done(&a->reservations);
	sessions_done(&a->sessions);
	leases_free(a->own_leases);
	locks_free(a->own_locks);
	writer_free(&a->session_bytes);
	free(a);
}

int apply_share_leases(struct apply *a, struct leases *l)
{
	int err = leases_load(l, a->m);
	if (err < 0)
		return err;
	leases_free(a->own_leases);
	a->own_leases = NULL;
	a->plan.leases = l;
	return 0;
}

int apply_share_locks(struct apply *a, struct locks *l)
{
	int err = locks_load(l, a->m);
	if (err < 0)
		return err;
	locks_free(a->own_locks);
	a->own_locks = NULL;
	a->plan.locks = l;
	return 0;
}

/* One decoded command on its way through. */
struct step {
	struct apply *a;
	const struct command *c;
	struct session *session;
	bool fresh;
	bool moved; /* the session's floor or epoch did */
	int error;
};

/* A stage below the floor would never be dropped; one beyond the window belongs to no operation. */
static int check_stage(const struct session *s, const struct command *c)
{
	return c->stage < s->floor || c->stage - s->floor >= COMMAND_WINDOW ? -EINVAL : 0;
}

static void step_plan(struct step *s)
{
	struct plan *p = &s->a->plan;
	int64_t after_last = mvcc_last_time(s->a->m) + 1;
	s->session = sessions_of(&s->a->sessions, s->c->id.origin);
	s->fresh = session_admit(s->session, &s->c->id, &s->moved);
	if (!s->fresh)
		return;
	p->time_ns = s->c->time_ns > after_last ? s->c->time_ns : after_last;
	s->error = s->c->type == COMMAND_STAGE ? check_stage(s->session, s->c) : commands[s->c->type](p, s->c);
}

static void keep_stage(struct step *s)
{
	const struct stage_id id = {s->c->id.origin, s->c->id.epoch, s->c->stage};
	mvcc_stage_put(s->a->m, &id, s->c->stage_chunk, s->c->value);
	s->session->stages = true;
	if (s->session->stages_end <= id.number)
		s->session->stages_end = id.number + 1;
}

/* Drops the stages of operations that are over. */
static void drop_stages(struct step *s)
{
	struct session *session = s->session;
	const struct stage_id below = {session->origin, session->epoch, session->floor};
	mvcc_stage_drop(s->a->m, &below);
	session->stages = session->floor < session->stages_end;
}

/* Inode numbers change hands: some are given, or one is used. */
static void commit_numbers(struct step *s)
{
	struct plan *p = &s->a->plan;
	if (p->number > 0)
		session_use(s->session, p->number);
	if (s->c->type != COMMAND_NUMBERS)
		return;
	p->done = mvcc_next_ino(s->a->m);
	for (uint32_t i = 1; i < SESSION_NUMBERS; i++)
		mvcc_next_ino(s->a->m);
	session_give(s->session, p->done);
}

static void step_commit(struct step *s)
{
	struct apply *a = s->a;
	struct session *session = s->session;
	if (s->fresh && s->error == 0) {
		plan_commit(&a->plan);
		commit_numbers(s);
		if (s->c->type == COMMAND_STAGE)
			keep_stage(s);
	}
	if (s->moved && session->stages)
		drop_stages(s);
	if (s->fresh || s->moved) {
		writer_clear(&a->session_bytes);
		session_encode(session, &a->session_bytes);
		mvcc_put_meta(a->m, (struct span){session->name, strlen(session->name)},
			      (struct span){a->session_bytes.data, a->session_bytes.size});
	}
}

static void stop(struct apply_outcome *out)
{
	out->stopped = true;
	out->result = (struct command_result){.error = -EIO};
}

static void fill(const struct step *s, struct apply_outcome *out)
{
	struct plan *p = &s->a->plan;
	out->fresh = s->fresh;
	out->id = s->c->id;
	out->type = s->c->type;
	out->result.error = s->error;
	if (!s->fresh || s->error < 0)
		return;
	out->result.count = p->done;
	out->result.lease = s->c->lease;
	out->result.reply = p->reply;
	p->reply = (struct writer){0};
	if (p->target) {
		out->result.attr = p->target->record;
		out->result.attr.key = out->result.attr.xattrs = out->result.attr.data = (struct span){NULL, 0};
		out->result.attr.memory = NULL;
		out->result.attr.hold = NULL;
	}
}

/* Checks the command, then applies it; false if the disk failed before anything was put. */
static bool step_run(struct step *s, uint64_t index, uint64_t term, struct apply_outcome *out)
{
	struct plan *p = &s->a->plan;
	step_plan(s);
	if (p->broken)
		return false;
	mvcc_begin(s->a->m, index, term);
	bool changes = s->fresh && s->error == 0 && !plan_is_empty(p);
	step_commit(s);
	uint64_t revision = mvcc_end(s->a->m, changes ? p->time_ns : mvcc_last_time(s->a->m));
	fill(s, out);
	out->result.changed = changes;
	out->result.revision = revision;
	return true;
}

/* An entry that changes nothing. */
static void pass(struct apply *a, uint64_t index, uint64_t term, struct apply_outcome *out)
{
	mvcc_begin(a->m, index, term);
	out->result.revision = mvcc_end(a->m, mvcc_last_time(a->m));
}

bool apply_members(struct apply *a, uint64_t index, uint64_t term, struct span members)
{
	struct raft_members next;
	struct apply_outcome ignored;
	if (a->plan.broken)
		return false;
	if (raft_members_decode(members, &next) < 0) {
		pass(a, index, term, &ignored);
		return true;
	}
	mvcc_begin(a->m, index, term);
	mvcc_put_meta(a->m, (struct span){APPLY_MEMBERS, strlen(APPLY_MEMBERS)}, members);
	sessions_keep(&a->sessions, a->m, &next);
	mvcc_end(a->m, mvcc_last_time(a->m));
	a->members = next;
	a->members.context = NULL;
	a->members.context_size = 0;
	return true;
}

/* A copy of a command that is applied after its origin's session went could be applied twice. */
static bool is_strangers(const struct apply *a, const struct command *c)
{
	return a->members.voters_count > 0 && c->type != 0 && !raft_members_has(&a->members, c->id.origin);
}

void apply_entry(struct apply *a, uint64_t index, uint64_t term, struct span command, struct apply_outcome *out)
{
	struct command c = {0};
	struct step s = {.a = a, .c = &c};
	int err = command.size > 0 ? command_decode(command, &c) : 0;
	*out = (struct apply_outcome){.type = c.type, .result.error = err};
	out->fresh = command.size > 0 && command_peek_id(command, &out->id) == 0;
	if (!a->plan.broken && is_strangers(a, &c)) {
		pass(a, index, term, out);
		out->fresh = false;
	} else if (!a->plan.broken && c.type == 0)
		pass(a, index, term, out);
	else if (a->plan.broken || !step_run(&s, index, term, out))
		stop(out);
	plan_reset(&a->plan);
	command_done(&c);
}
