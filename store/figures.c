#include "store/figures.h"

#include "store/node.h"

#include <stdio.h>

static void describe_peers(const struct raft_status *raft, const struct members *members, struct store_figures *out)
{
	for (uint32_t i = 0; i < raft->members_count && out->peers_count < STORE_MEMBERS_MAX; i++) {
		const struct raft_progress *p = &raft->members[i];
		const struct member *m = members_find(members, p->id);
		struct store_peer *peer = &out->peers[out->peers_count++];
		*peer = (struct store_peer){.voter = p->voter, .recent = p->recent, .match = p->match};
		snprintf(peer->name, sizeof(peer->name), "%s", m ? m->who.name : "?");
	}
}

static void describe_raft(struct store *s, struct store_figures *out)
{
	pthread_mutex_lock(&s->status_mutex);
	const struct raft_status raft = s->status;
	const struct members members = s->shown.members;
	pthread_mutex_unlock(&s->status_mutex);
	out->leads = raft.role == RAFT_LEADER;
	out->has_leader = raft.leader != 0;
	out->voter = raft.members_count > 0 && !raft.learner;
	out->elections_begun = raft.counters.elections;
	out->leaders_seen = raft.counters.leader_changes;
	out->read_rounds_begun = atomic_load(&s->counts.read_rounds);
	out->read_questions_asked = atomic_load(&s->counts.read_questions);
	describe_peers(&raft, &members, out);
}

static void describe_log(struct store *s, struct store_figures *out)
{
	struct wal_writer_stats wal = {0};
	if (atomic_load(&s->takes_part))
		wal_writer_stats(s->writer, &wal);
	out->saves_made = wal.saves;
	out->syncs_made = wal.syncs;
	out->log_writes = wal.durations;
}

static void describe_network(struct store *s, struct store_figures *out)
{
	struct peer_stats net = {0};
	if (s->net)
		peer_net_stats(s->net, &net);
	out->frames_sent = net.sent;
	out->frames_received = net.received;
	out->frames_dropped = net.dropped;
	out->frames_stale = net.stale;
}

void store_figures(struct store *s, struct store_figures *out)
{
	struct mvcc_stats mvcc;
	*out = (struct store_figures){.quota_bytes = s->config.quota};
	store_status(s, &out->status);
	describe_raft(s, out);
	describe_log(s, out);
	describe_network(s, out);
	mvcc_stats(s->mvcc, &mvcc);
	out->live_bytes = mvcc.live_bytes;
	mvcc_commit_durations(s->mvcc, &out->commits);
	histogram_read(&s->counts.applies, &out->applies);
	out->barriers_asked = atomic_load(&s->counts.barriers);
	out->commands_submitted = atomic_load(&s->counts.commands);
	pending_counts(s->pending, &out->reads_pending, &out->writes_pending);
	out->watchers = watch_count(s->watch);
}
