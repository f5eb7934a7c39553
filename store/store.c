#include "base/clock.h"
#include "base/log.h"
#include "store/folders.h"
#include "store/node.h"
#include "store/recover.h"
#include "store/txn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_CACHE_BYTES (16u << 20)
#define UNCOMMITTED_BYTES_MAX (64u << 20)
#define INFLIGHT_APPENDS_MAX 64
#define EPOCH_SHIFT 40 /* read tickets: the boot epoch above, a count below */
#define HAND_OVER_NS 1000000000

static const char *keep_string(struct store *s, int slot, const char *text)
{
	s->strings[slot] = text ? strdup(text) : NULL;
	return s->strings[slot];
}

static void keep_config(struct store *s, const struct store_config *config)
{
	s->config = *config;
	s->config.data = keep_string(s, 0, config->data);
	s->config.name = keep_string(s, 1, config->name);
	s->config.listen = keep_string(s, 2, config->listen);
}

static int open_log(struct store *s, char *why, size_t why_size)
{
	char dir[4200];
	snprintf(dir, sizeof(dir), "%s/wal", s->config.data);
	struct wal_config config = {.dir = dir, .cluster_id = s->identity.cluster_id, .node_id = s->identity.id};
	int rc = wal_open(&config, &s->wal, why, why_size);
	if (rc == 0)
		s->epoch = wal_epoch(s->wal);
	return rc;
}

static int open_mvcc(struct store *s, char *why, size_t why_size)
{
	char dir[FOLDER_PATH_BYTES];
	int rc = folders_settle(s->config.data);
	if (rc < 0) {
		snprintf(why, why_size, "%s: cannot put the store in its place: %s", s->config.data, strerror(-rc));
		return rc;
	}
	folder_path(s->config.data, FOLDER_STORE, dir);
	struct mvcc_config config = {.dir = dir, .cluster_id = s->identity.cluster_id};
	rc = mvcc_open(&config, &s->mvcc, why, why_size);
	if (rc < 0)
		return rc;
	s->dumps = dumps_new(s->mvcc, (uint64_t)clock_wall_ns());
	s->watch = watch_hub_new(s->mvcc);
	rc = apply_open(s->mvcc, &s->apply);
	if (rc == 0)
		rc = apply_share_leases(s->apply, s->leases);
	return rc < 0 ? rc : apply_share_locks(s->apply, s->locks);
}

static int restore_entry(void *ctx, const struct raft_entry *entry)
{
	return raft_restore(ctx, entry);
}

static int open_raft(struct store *s, const struct raft_members *members, char *why, size_t why_size)
{
	struct raft_config config = {
		.id = s->identity.id,
		.members = members,
		.election_ms = s->config.election_ms,
		.heartbeat_ms = s->config.heartbeat_ms,
		.seed = s->identity.id ^ (uint64_t)clock_wall_ns(),
		.now_ms = (uint64_t)(clock_mono_ns() / 1000000),
		.ticket_base = s->epoch << EPOCH_SHIFT,
		.hard = wal_hard_state(s->wal),
		.log_first = wal_first(s->wal),
		.log_base_term = wal_base_term(s->wal),
		.applied = mvcc_applied(s->mvcc),
		.cache_bytes_max = LOG_CACHE_BYTES,
		.inflight_max = INFLIGHT_APPENDS_MAX,
		.uncommitted_bytes_max = UNCOMMITTED_BYTES_MAX,
	};
	int rc = raft_new(&config, &s->raft);
	if (rc == 0 && wal_last(s->wal) >= wal_first(s->wal))
		rc = wal_read(s->wal, wal_first(s->wal), wal_last(s->wal) + 1, SIZE_MAX, restore_entry, s->raft);
	if (rc < 0) {
		snprintf(why, why_size, "%s/wal: the log cannot be replayed: %s", s->config.data, strerror(-rc));
		return rc;
	}
	pthread_mutex_lock(&s->status_mutex);
	raft_status(s->raft, &s->status);
	pthread_mutex_unlock(&s->status_mutex);
	return 0;
}

/* The links come with the membership. */
static int open_net(struct store *s, char *why, size_t why_size)
{
	const struct identity *me = &s->identity;
	if (!me->address[0] && !s->config.listen)
		return 0;
	struct peer_config config = {.cluster_id = me->cluster_id,
				     .self = me->id ? me->id : me->incarnation,
				     .epoch = s->epoch,
				     .listen = s->config.listen ? s->config.listen : me->address,
				     .secret = s->config.secret};
	return peer_net_open(&config, &s->net, why, why_size);
}

/* What it knows of the cluster comes from the store, and from the log behind that. */
static int open_part(struct store *s, char *why, size_t why_size)
{
	struct writer bytes = {0};
	struct raft_members members;
	int rc = open_log(s, why, why_size);
	if (rc == 0)
		rc = recover_log(s->wal, s->mvcc, s->config.data, why, why_size);
	if (rc == 0 && (rc = standing_members(s, &bytes, &members)) < 0)
		snprintf(why, why_size, "%s/store: the members cannot be read: %s", s->config.data, strerror(-rc));
	if (rc == 0)
		rc = open_raft(s, &members, why, why_size);
	if (rc == 0) {
		membership_start(s->membership, s->raft, &members);
		s->alone = members.voters_count == 1 && members.outgoing_count == 0 && members.voters[0] == s->identity.id;
	}
	writer_free(&bytes);
	return rc;
}

static void wake(void *ctx)
{
	loop_wake(ctx);
}

int store_take_part(struct store *s, char *why, size_t why_size)
{
	struct wal_writer_events events = loop_wal_events(s);
	struct applier_events applier_events = loop_applier_events(s);
	int rc = open_part(s, why, why_size);
	if (rc == 0 && s->net)
		peer_net_become(s->net, s->identity.cluster_id, s->identity.id, s->epoch);
	if (rc == 0 && (rc = wal_writer_start(s->wal, &events, &s->writer)) < 0)
		snprintf(why, why_size, "cannot start threads: %s", strerror(-rc));
	if (rc < 0)
		return rc;
	pending_adopt(s->pending, s->identity.id, s->epoch);
	s->snapshots = snapshots_start(&(struct snapshots_config){
		.mvcc = s->mvcc, .data = s->config.data, .cluster_id = s->identity.cluster_id, .epoch = s->epoch, .ctx = s, .wake = wake});
	s->applier = applier_start(s->mvcc, s->apply, s->pending, s->identity.id, s->epoch, &applier_events);
	loop_make_replica(s);
	atomic_store(&s->takes_part, true);
	return 0;
}

/* Ends whatever was begun, in the order in which the threads feed each other. */
static void end_threads(struct store *s)
{
	loop_stop(s);
	snapshots_stop(s->snapshots);
	if (s->pending)
		pending_finish(pending_take_all(s->pending, -ESHUTDOWN));
	if (s->writer)
		wal_writer_stop(s->writer);
	loop_drop_fetched(s);
	applier_stop(s->applier);
	if (s->pending)
		pending_finish(pending_take_all(s->pending, -ESHUTDOWN));
	if (s->membership)
		standing_close(s);
	s->ended = true;
}

static void teardown(struct store *s)
{
	if (!s->ended)
		end_threads(s);
	snapshots_free(s->snapshots);
	if (s->incoming)
		mvcc_close(s->incoming);
	if (s->net)
		peer_net_close(s->net);
	if (s->raft)
		raft_free(s->raft);
	if (s->apply)
		apply_close(s->apply);
	leases_free(s->leases);
	locks_free(s->locks);
	dumps_free(s->dumps);
	watch_hub_free(s->watch);
	if (s->mvcc)
		mvcc_close(s->mvcc);
	wal_close(s->wal);
	pending_free(s->pending);
	identity_close(&s->identity);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	pthread_mutex_destroy(&s->fetched_mutex);
	pthread_mutex_destroy(&s->status_mutex);
	pthread_mutex_destroy(&s->requests_mutex);
	pthread_cond_destroy(&s->status_changed);
	for (size_t i = 0; i < sizeof(s->strings) / sizeof(s->strings[0]); i++)
		free(s->strings[i]);
	free(s);
}

static struct store *store_new(const struct store_config *config)
{
	pthread_condattr_t attr;
	struct store *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	keep_config(s, config);
	s->identity.lock_fd = -1;
	s->leases = leases_new();
	s->locks = locks_new();
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&s->fetched_mutex, NULL);
	pthread_mutex_init(&s->status_mutex, NULL);
	pthread_mutex_init(&s->requests_mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->status_changed, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

int store_open(const struct store_config *config, struct store **out, char *why, size_t why_size)
{
	struct store *s = store_new(config);
	int rc = identity_open(config, &s->identity, why, why_size);
	if (rc == 0)
		rc = open_mvcc(s, why, why_size);
	if (rc == 0)
		rc = open_net(s, why, why_size);
	if (rc == 0) {
		s->pending = pending_new(0, 0, config->timeout_ns, stage_admitted);
		standing_open(s);
		if (s->identity.id != 0)
			rc = store_take_part(s, why, why_size);
	}
	if (rc == 0 && (rc = loop_start(s)) < 0)
		snprintf(why, why_size, "cannot start threads: %s", strerror(-rc));
	if (rc < 0) {
		struct identity identity = s->identity;
		char *data = strdup(config->data);
		teardown(s);
		identity_withdraw(&identity, data);
		free(data);
		return rc;
	}
	*out = s;
	return 0;
}

struct settling {
	struct store_op op;
	pthread_mutex_t mutex;
	pthread_cond_t over;
	bool done;
};

static void settled(struct store_op *op)
{
	struct settling *w = (struct settling *)((char *)op - offsetof(struct settling, op));
	pthread_mutex_lock(&w->mutex);
	w->done = true;
	pthread_cond_signal(&w->over);
	pthread_mutex_unlock(&w->mutex);
}

void store_settle(struct store *s)
{
	struct settling w = {.op.done = settled, .mutex = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};
	if (!s->alone)
		return;
	store_barrier(s, &w.op);
	pthread_mutex_lock(&w.mutex);
	while (!w.done)
		pthread_cond_wait(&w.over, &w.mutex);
	pthread_mutex_unlock(&w.mutex);
	pthread_cond_destroy(&w.over);
	pthread_mutex_destroy(&w.mutex);
}

/* A leader that stops hands over first, so that nobody waits for an election; bounded, since the others may be gone. */
static void hand_over(struct store *s)
{
	struct timespec until;
	int64_t until_ns = clock_mono_ns() + HAND_OVER_NS;
	until.tv_sec = until_ns / 1000000000;
	until.tv_nsec = until_ns % 1000000000;
	atomic_store(&s->closing, true);
	loop_wake(s);
	pthread_mutex_lock(&s->status_mutex);
	while (s->shown.members.raft.voters_count > 1 && s->status.role == RAFT_LEADER)
		if (pthread_cond_timedwait(&s->status_changed, &s->status_mutex, &until) != 0)
			break;
	pthread_mutex_unlock(&s->status_mutex);
}

void store_stop(struct store *s)
{
	hand_over(s);
	end_threads(s);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (!s->ended)
		store_stop(s);
	teardown(s);
}

void store_barrier(struct store *s, struct store_op *op)
{
	atomic_fetch_add_explicit(&s->counts.barriers, 1, memory_order_relaxed);
	pending_add_read(s->pending, op, clock_mono_ns());
	loop_wake(s);
}

/* What makes the store larger is refused at the quota; what was written to a handle has been admitted at its write(2). */
static int admit(struct store *s, const struct command *c)
{
	switch (c->type) {
	case COMMAND_PUT:
		return c->value.size > s->config.max_file ? -EFBIG : store_admit_value(s, c->key, c->value.size);
	case COMMAND_TXN:
		return c->value.size > TXN_BYTES_MAX ? -EMSGSIZE : 0;
	case COMMAND_LOAD:
		return c->value.size > RAFT_ENTRY_BYTES_MAX - 4096 ? -EMSGSIZE : store_admit(s, c->value.size);
	case COMMAND_MKDIR:
	case COMMAND_SYMLINK:
	case COMMAND_MKNOD:
	case COMMAND_RESERVE:
		return c->reservation ? 0 : store_admit(s, MVCC_KEY_COST);
	default:
		return 0;
	}
}

void store_submit(struct store *s, const struct command *c, struct store_op *op)
{
	int error = admit(s, c);
	op->bytes = (struct writer){0};
	atomic_fetch_add_explicit(&s->counts.commands, 1, memory_order_relaxed);
	if (error < 0) {
		pending_add_failed(s->pending, op, error);
	} else if (!stage_submit(s, c, op)) {
		struct command stamped = *c;
		stamped.time_ns = clock_wall_ns();
		command_encode(&op->bytes, &stamped);
		pending_add_write(s->pending, op, clock_mono_ns());
	}
	loop_wake(s);
}

void store_cancel(struct store *s, struct store_op *op)
{
	/* Those of members are cancelled by the end of the endpoint alone, which wants all of them gone. */
	if (op->kind == OP_MEMBERS)
		atomic_store(&s->requests_dropped, true);
	else
		pending_cancel(s->pending, op);
	loop_wake(s);
}

void store_interrupt(struct store *s, struct store_op *op, int64_t at_ns)
{
	pending_interrupt(s->pending, op, at_ns);
	loop_wake(s);
}

struct mvcc *store_mvcc(struct store *s)
{
	return s->mvcc;
}

struct dumps *store_dumps(struct store *s)
{
	return s->dumps;
}

struct leases *store_leases(struct store *s)
{
	return s->leases;
}

struct locks *store_locks(struct store *s)
{
	return s->locks;
}

struct watch_hub *store_watch(struct store *s)
{
	return s->watch;
}

const struct store_config *store_settings(const struct store *s)
{
	return &s->config;
}
