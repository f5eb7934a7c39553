#include "store/node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void describe_health(struct store *s, const struct raft_status *raft, const struct standing *shown, const struct mvcc_stats *mvcc,
			    struct store_status *out)
{
	int error = atomic_load(&s->disk_error);
	uint64_t diverged = atomic_load(&s->diverged);
	if (diverged != 0)
		snprintf(out->health, sizeof(out->health),
			 "diverged at index %" PRIu64 ": this node holds something else than the majority; it takes no more part",
			 diverged);
	else if (error == -ENOSPC || error == -EDQUOT)
		snprintf(out->health, sizeof(out->health),
			 "this node's disk is full; it takes no more part until there is room and it is started anew");
	else if (error < 0)
		snprintf(out->health, sizeof(out->health), "this node's disk failed: %s; it takes no more part", strerror(-error));
	else if (shown->health[0])
		snprintf(out->health, sizeof(out->health), "%s", shown->health);
	else if (atomic_load(&s->damaged))
		snprintf(out->health, sizeof(out->health), "this node's store is damaged: " STORE_DAMAGED_ADVICE);
	else if (raft->leader == 0)
		snprintf(out->health, sizeof(out->health), "no leader: a majority of the %u members does not answer",
			 shown->members.raft.voters_count);
	else if (housekeeping_quota_reached(s, mvcc))
		snprintf(out->health, sizeof(out->health),
			 "quota reached: %" PRIu64 " bytes of live data, quota=%" PRIu64 "; deleting works", mvcc->live_bytes,
			 s->config.quota);
	else
		snprintf(out->health, sizeof(out->health), "ok");
}

static const char *role_name(const struct raft_status *raft)
{
	if (raft->role == RAFT_FOLLOWER && raft->learner)
		return "learner";
	return raft->role == RAFT_PRECANDIDATE ? "candidate" : raft_role_name(raft->role);
}

void store_status(struct store *s, struct store_status *out)
{
	struct raft_status raft;
	struct mvcc_stats mvcc;
	struct wal_writer_stats wal = {0};
	struct peer_stats net = {0};
	struct standing shown;

	pthread_mutex_lock(&s->status_mutex);
	raft = s->status;
	shown = s->shown;
	pthread_mutex_unlock(&s->status_mutex);
	mvcc_stats(s->mvcc, &mvcc);
	if (atomic_load(&s->takes_part))
		wal_writer_stats(s->writer, &wal);
	if (s->net)
		peer_net_stats(s->net, &net);
	const struct member *leader = members_find(&shown.members, raft.leader);
	*out = (struct store_status){
		.id = shown.id,
		.term = raft.term,
		.revision = mvcc_revision(s->mvcc),
		.compact_revision = mvcc_compact_revision(s->mvcc),
		.raft_index = raft.log_last,
		.commit_index = raft.commit,
		.applied_index = mvcc_applied(s->mvcc),
		.keys = mvcc.keys,
		.db_bytes = mvcc.db_bytes,
		.used_bytes = mvcc.used_bytes,
		.deleted_revision = mvcc.compacted,
		.wal_bytes = wal.bytes,
		.cluster_id = shown.cluster_id,
		.frames_foreign = net.foreign,
		.frames_malformed = net.malformed,
		.frames_unsealed = net.unsealed,
		.frames_forged = net.forged,
		.frames_replayed = net.replayed,
		.requests_refused = atomic_load(&s->requests_refused),
		.requests_replayed = atomic_load(&s->requests_replayed),
	};
	memcpy(out->name, shown.name, sizeof(out->name));
	snprintf(out->role, sizeof(out->role), "%s", role_name(&raft));
	snprintf(out->leader, sizeof(out->leader), "%s", leader ? leader->who.name : "none");
	describe_health(s, &raft, &shown, &mvcc, out);
}

void store_count_refused(struct store *s, bool replayed)
{
	atomic_fetch_add(replayed ? &s->requests_replayed : &s->requests_refused, 1);
}

void store_status_text(struct store *s, const char *consistency, struct writer *out)
{
	struct store_status t;
	store_status(s, &t);
	writer_line(out, "name: %s", t.name);
	writer_line(out, "id: %016" PRIx64, t.id);
	writer_line(out, "role: %s", t.role);
	writer_line(out, "leader: %s", t.leader);
	writer_line(out, "term: %" PRIu64, t.term);
	writer_line(out, "revision: %" PRIu64, t.revision);
	writer_line(out, "compact_revision: %" PRIu64, t.compact_revision);
	writer_line(out, "raft_index: %" PRIu64, t.raft_index);
	writer_line(out, "commit_index: %" PRIu64, t.commit_index);
	writer_line(out, "applied_index: %" PRIu64, t.applied_index);
	writer_line(out, "keys: %" PRIu64, t.keys);
	writer_line(out, "db_bytes: %" PRIu64, t.db_bytes);
	writer_line(out, "wal_bytes: %" PRIu64, t.wal_bytes);
	writer_line(out, "consistency: %s", consistency);
	writer_line(out, "cluster_id: %016" PRIx64, t.cluster_id);
	writer_line(out, "version: %s", TALLYFS_VERSION);
	writer_line(out, "health: %s", t.health);
	writer_line(out, "used_bytes: %" PRIu64, t.used_bytes);
	writer_line(out, "deleted_revision: %" PRIu64, t.deleted_revision);
	writer_line(out, "frames_foreign: %" PRIu64, t.frames_foreign);
	writer_line(out, "frames_malformed: %" PRIu64, t.frames_malformed);
	writer_line(out, "frames_unsealed: %" PRIu64, t.frames_unsealed);
	writer_line(out, "frames_forged: %" PRIu64, t.frames_forged);
	writer_line(out, "frames_replayed: %" PRIu64, t.frames_replayed);
	writer_line(out, "requests_refused: %" PRIu64, t.requests_refused);
	writer_line(out, "requests_replayed: %" PRIu64, t.requests_replayed);
}
