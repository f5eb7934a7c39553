#include "base/clock.h"
#include "base/log.h"
#include "store/node.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FRAMES_AT_ONCE 256
#define HOUSEKEEPING_NS 1000000000
#define HISTORY_NS 100000000 /* near the quota it counts how soon that is seen */
#define FETCH_BYTES_MAX (440u << 10)
#define SLEEP_MS_MAX 1000

void loop_wake(struct store *s)
{
	uint64_t one = 1;
	if (!atomic_exchange(&s->woken, true) && write(s->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

/* --- the log writer's thread calls these --- */

static void on_stored(void *ctx, uint64_t ticket)
{
	struct store *s = ctx;
	atomic_store(&s->stored, ticket);
	loop_wake(s);
}

static void on_failed(void *ctx, int error)
{
	struct store *s = ctx;
	atomic_store(&s->disk_error, error);
	log_error("the log cannot be written: %s; this node takes no more part", strerror(-error));
	loop_wake(s);
}

static void on_apply_stopped(void *ctx, int error)
{
	struct store *s = ctx;
	int none = 0;
	if (atomic_compare_exchange_strong(&s->disk_error, &none, error))
		log_error("the store cannot be read: %s; this node takes no more part", strerror(-error));
	loop_wake(s);
}

static void on_applied(void *ctx)
{
	struct store *s = ctx;
	watch_hub_applied(s->watch);
	locks_applied(s->locks);
}

static void on_replaced(void *ctx)
{
	struct store *s = ctx;
	log_info("a snapshot is in place: revision %llu, entry %llu", (unsigned long long)mvcc_revision(s->mvcc),
		 (unsigned long long)mvcc_applied(s->mvcc));
	atomic_store(&s->damaged, false);
	snapshots_settled(s->snapshots, NULL);
}

struct applier_events loop_applier_events(struct store *s)
{
	return (struct applier_events){
		.ctx = s, .stopped = on_apply_stopped, .applied = on_applied, .replaced = on_replaced, .durations = &s->counts.applies};
}

static void on_fetched(void *ctx, uint64_t to, const struct raft_entry *entries, uint32_t count)
{
	struct store *s = ctx;
	size_t bytes = 0;
	for (uint32_t i = 0; i < count; i++)
		bytes += entries[i].size;
	struct fetched *f = malloc(sizeof(*f) + count * sizeof(*entries) + bytes);
	if (!f)
		abort();
	*f = (struct fetched){.to = to, .count = count, .entries = (struct raft_entry *)(f + 1)};
	uint8_t *data = (uint8_t *)(f->entries + count);
	for (uint32_t i = 0; i < count; i++) {
		f->entries[i] = entries[i];
		f->entries[i].data = memcpy(data, entries[i].data ? entries[i].data : "", entries[i].size);
		data += entries[i].size;
	}
	pthread_mutex_lock(&s->fetched_mutex);
	f->next = s->fetched;
	s->fetched = f;
	pthread_mutex_unlock(&s->fetched_mutex);
	loop_wake(s);
}

struct wal_writer_events loop_wal_events(struct store *s)
{
	return (struct wal_writer_events){
		.ctx = s, .stored = on_stored, .fetched = on_fetched, .failed = on_failed, .resetting = loop_switch_stores};
}

/* --- the replica's ports --- */

static void port_send(void *ctx, uint64_t to, enum peer_kind kind, struct span payload)
{
	struct store *s = ctx;
	if (s->net)
		peer_net_send(s->net, to, kind, payload);
}

static void port_save(void *ctx, uint64_t save, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count)
{
	struct store *s = ctx;
	wal_writer_save(s->writer, save, hard, entries, count);
}

static void port_fetch(void *ctx, uint64_t to, uint64_t lo, uint64_t hi)
{
	struct store *s = ctx;
	wal_writer_fetch(s->writer, to, lo, hi, FETCH_BYTES_MAX);
}

static void port_apply(void *ctx, const struct raft_entry *entries, uint32_t count)
{
	struct store *s = ctx;
	applier_add(s->applier, entries, count);
}

static void publish_counts(struct store *s)
{
	const struct raft_counters now = raft_counters(s->raft);
	atomic_store_explicit(&s->counts.read_rounds, now.read_rounds, memory_order_relaxed);
	atomic_store_explicit(&s->counts.read_questions, now.read_questions, memory_order_relaxed);
}

static void port_reads_confirmed(void *ctx)
{
	struct store *s = ctx;
	/* Before a reader goes on: whoever has read finds the round counted. */
	publish_counts(s);
	applier_wake(s->applier);
}

static bool port_apply_is_full(void *ctx)
{
	struct store *s = ctx;
	return applier_is_full(s->applier);
}

static void port_members(void *ctx, const struct raft_members *in_force)
{
	struct store *s = ctx;
	membership_changed(s->membership, in_force);
}

static void port_members_committed(void *ctx, const struct raft_members *committed)
{
	struct store *s = ctx;
	membership_committed(s->membership, committed);
}

/* --- the loop --- */

static void take_frames(struct store *s)
{
	struct peer_frame frame;
	for (int i = 0; s->net && i < FRAMES_AT_ONCE && peer_net_receive(s->net, &frame) == 1; i++) {
		if (frame.kind == PEER_JOIN || frame.kind == PEER_MEMBERS)
			membership_frame(s->membership, &frame);
		else if (frame.kind == PEER_SNAPSHOT && s->snapshots)
			snapshots_frame(s->snapshots, frame.from, frame.payload);
		else if (frame.kind == PEER_HASH)
			housekeeping_heard(s, frame.from, frame.payload);
		else if (s->replica)
			replica_frame(s->replica, frame.from, frame.kind, frame.payload);
		peer_frame_done(&frame);
	}
}

static void take_fetched(struct store *s)
{
	pthread_mutex_lock(&s->fetched_mutex);
	struct fetched *list = s->fetched;
	s->fetched = NULL;
	pthread_mutex_unlock(&s->fetched_mutex);
	while (list) {
		struct fetched *f = list;
		list = f->next;
		replica_fetched(s->replica, f->to, f->entries, f->count);
		free(f);
	}
}

static void publish_status(struct store *s, const struct raft_status *now)
{
	pthread_mutex_lock(&s->status_mutex);
	bool changed = now->role != s->status.role || now->leader != s->status.leader || now->term != s->status.term;
	s->status = *now;
	if (changed)
		pthread_cond_broadcast(&s->status_changed);
	pthread_mutex_unlock(&s->status_mutex);
	if (changed) {
		const struct member *leader = members_find(membership_now(s->membership), now->leader);
		log_info("%s in term %llu, leader %s, commit %llu", raft_role_name(now->role), (unsigned long long)now->term,
			 leader ? leader->who.name : "none", (unsigned long long)now->commit);
	}
}

static void keep_house(struct store *s, const struct raft_status *status, uint64_t *trimmed)
{
	struct mvcc_stats stats;
	mvcc_stats(s->mvcc, &stats);
	if (stats.error < 0 && atomic_exchange(&s->disk_error, stats.error) == 0)
		log_error("the store cannot be written: %s; this node takes no more part", strerror(-stats.error));
	loop_trim_log(s, status, trimmed);
	dumps_expire(s->dumps, clock_mono_ns());
	if (atomic_load(&s->disk_error) != 0)
		return;
	housekeeping_hashes(s);
}

static void wait_for_work(struct store *s)
{
	struct pollfd fds[2] = {{.fd = s->wake_fd, .events = POLLIN}, {.fd = s->net ? peer_net_fd(s->net) : -1, .events = POLLIN}};
	int64_t due_ns = membership_deadline_ns(s->membership);
	if (s->replica && replica_deadline_ns(s->replica) < due_ns)
		due_ns = replica_deadline_ns(s->replica);
	if (s->replica && expiry_deadline_ns(s) < due_ns)
		due_ns = expiry_deadline_ns(s);
	int64_t left_ns = due_ns - clock_mono_ns();
	int64_t left_ms = left_ns <= 0 ? 0 : left_ns / 1000000 + 1;

	poll(fds, 2, left_ms > SLEEP_MS_MAX ? SLEEP_MS_MAX : (int)left_ms);
	if (fds[0].revents & POLLIN) {
		uint64_t count;
		if (read(s->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			abort();
		atomic_store(&s->woken, false);
	}
}

/* What a turn of the loop has to remember. */
struct turns {
	struct raft_status status;
	uint64_t stored;
	uint64_t trimmed;
	int64_t house_ns;
	int64_t history_ns;
	bool failed;
	bool handed_over;
};

static void take_events(struct store *s, struct turns *t)
{
	uint64_t now_stored = atomic_load(&s->stored);
	take_fetched(s);
	if (now_stored > t->stored)
		replica_stored(s->replica, t->stored = now_stored);
	if (!t->failed && atomic_load(&s->disk_error) != 0) {
		replica_fail(s->replica);
		t->failed = true;
	}
	if (!t->handed_over && atomic_load(&s->closing)) {
		raft_transfer(s->raft, 0);
		t->handed_over = true;
	}
}

static void take_part(struct store *s, struct turns *t, int64_t now_ns)
{
	take_events(s, t);
	loop_take_snapshots(s);
	replica_run(s->replica);
	raft_status(s->raft, &t->status);
	snapshots_lead(s->snapshots, t->status.role == RAFT_LEADER);
	publish_status(s, &t->status);
	publish_counts(s);
	expiry_run(s, &t->status, now_ns);
	if (now_ns - t->house_ns >= HOUSEKEEPING_NS) {
		keep_house(s, &t->status, &t->trimmed);
		t->house_ns = now_ns;
	}
	if (now_ns - t->history_ns >= HISTORY_NS && t->status.role == RAFT_LEADER && !t->failed) {
		housekeeping_history(s);
		t->history_ns = now_ns;
	}
}

static void *loop_run(void *arg)
{
	struct store *s = arg;
	struct turns t = {0};

	while (!atomic_load(&s->stopping)) {
		int64_t now_ns = clock_mono_ns();
		if (s->replica)
			replica_tick(s->replica, now_ns);
		take_frames(s);
		standing_tick(s, now_ns);
		if (s->replica)
			take_part(s, &t, now_ns);
		else
			pending_finish(pending_take_overdue(s->pending, now_ns));
		wait_for_work(s);
	}
	return NULL;
}

void loop_make_replica(struct store *s)
{
	const struct replica_ports ports = {
		.ctx = s,
		.send = port_send,
		.save = port_save,
		.reset = loop_reset_log,
		.installed = loop_installed,
		.snapshot = loop_want_snapshot,
		.fetch = port_fetch,
		.apply = port_apply,
		.reads_confirmed = port_reads_confirmed,
		.members = port_members,
		.members_committed = port_members_committed,
		.apply_is_full = port_apply_is_full,
	};
	s->replica = replica_new(s->raft, s->pending, &ports);
}

int loop_start(struct store *s)
{
	if (pthread_create(&s->loop, NULL, loop_run, s) != 0)
		return -EAGAIN;
	pthread_setname_np(s->loop, "replica");
	s->loop_runs = true;
	return 0;
}

void loop_stop(struct store *s)
{
	if (s->loop_runs) {
		atomic_store(&s->stopping, true);
		loop_wake(s);
		pthread_join(s->loop, NULL);
		s->loop_runs = false;
	}
	replica_free(s->replica);
	s->replica = NULL;
}

void loop_drop_fetched(struct store *s)
{
	while (s->fetched) {
		struct fetched *f = s->fetched;
		s->fetched = f->next;
		free(f);
	}
}
