/* @metrics: the text format of Prometheus, version 0.0.4: for each family its help and type, then its samples. Names begin with tallyfs_, units are
 * seconds and bytes, what only rises ends in _total. */
#include "fs/metrics_inside.h"

#include "fs/mount.h"
#include "store/client/endpoint.h"
#include "store/figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Histograms begin at 8 us: what is faster is not told apart. */
#define FIRST_BUCKET 3u

static void family(struct writer *out, const char *name, const char *type, const char *help)
{
	writer_line(out, "# HELP tallyfs_%s %s", name, help);
	writer_line(out, "# TYPE tallyfs_%s %s", name, type);
}

static void gauge(struct writer *out, const char *name, uint64_t value, const char *help)
{
	family(out, name, "gauge", help);
	writer_line(out, "tallyfs_%s %" PRIu64, name, value);
}

static void counter(struct writer *out, const char *name, uint64_t value, const char *help)
{
	family(out, name, "counter", help);
	writer_line(out, "tallyfs_%s %" PRIu64, name, value);
}

/* Of what is labelled so (without braces; empty: not at all). */
static void histogram(struct writer *out, const char *name, const char *label, const struct histogram_figures *h)
{
	const char *comma = *label ? "," : "", *open = *label ? "{" : "", *close = *label ? "}" : "";
	uint64_t count = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		count += h->buckets[i];
		if (i >= FIRST_BUCKET)
			writer_line(out, "tallyfs_%s_bucket{%s%sle=\"%.10g\"} %" PRIu64, name, label, comma, (double)(1u << i) / 1e6,
				    count);
	}
	count += h->buckets[HISTOGRAM_BUCKETS - 1];
	writer_line(out, "tallyfs_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64, name, label, comma, count);
	writer_line(out, "tallyfs_%s_sum%s%s%s %.9f", name, open, label, close, (double)h->sum_ns / 1e9);
	writer_line(out, "tallyfs_%s_count%s%s%s %" PRIu64, name, open, label, close, count);
}

static void tell_node(const struct fs *fs, const struct store_figures *f, struct writer *out)
{
	static const char *const roles[] = {"leader", "follower", "candidate", "learner"};

	family(out, "info", "gauge", "What this node is; always 1.");
	writer_line(out, "tallyfs_info{name=\"%s\",version=\"%s\",consistency=\"%s\"} 1", f->status.name, TALLYFS_VERSION,
		    fs->config.linearizable ? "linearizable" : "serial");
	gauge(out, "healthy", strcmp(f->status.health, "ok") == 0, "1 if @status says that the health is ok.");
	family(out, "raft_role", "gauge", "1 for the role that this node has.");
	for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++)
		writer_line(out, "tallyfs_raft_role{role=\"%s\"} %d", roles[i], strcmp(roles[i], f->status.role) == 0);
	gauge(out, "raft_has_leader", f->has_leader, "1 if this node knows a leader.");
	gauge(out, "raft_voter", f->voter, "1 if this node's vote counts.");
}

static void tell_raft(const struct store_figures *f, struct writer *out)
{
	gauge(out, "raft_term", f->status.term, "The term of Raft.");
	gauge(out, "raft_last_index", f->status.raft_index, "The last entry of this node's log.");
	gauge(out, "raft_commit_index", f->status.commit_index, "The last entry that is known to be committed.");
	gauge(out, "raft_applied_index", f->status.applied_index, "The last entry that this node has applied.");
	counter(out, "raft_elections_total", f->elections_begun, "Elections that this node stood in.");
	counter(out, "raft_leader_changes_total", f->leaders_seen, "Leaders that this node came to know, each new term counted.");
	counter(out, "raft_read_rounds_total", f->read_rounds_begun, "Rounds of heartbeats that this node began as the leader, for reads.");
	counter(out, "raft_read_questions_total", f->read_questions_asked, "Read indices that this node asked the leader for.");
	counter(out, "read_barriers_total", f->barriers_asked, "Reads that asked the cluster.");
	counter(out, "commands_total", f->commands_submitted, "Commands that were submitted on this node.");
	gauge(out, "pending_reads", f->reads_pending, "Reads that wait for the cluster.");
	gauge(out, "pending_commands", f->writes_pending, "Commands that wait for the cluster.");
}

static void tell_peers(const struct store_figures *f, struct writer *out)
{
	gauge(out, "raft_members", f->peers_count, "Members of the configuration in force.");
	if (!f->leads)
		return;
	family(out, "raft_peer_match_index", "gauge", "On the leader: the last entry that a member is known to have stored.");
	for (uint32_t i = 0; i < f->peers_count; i++)
		writer_line(out, "tallyfs_raft_peer_match_index{peer=\"%s\"} %" PRIu64, f->peers[i].name, f->peers[i].match);
	family(out, "raft_peer_heard", "gauge", "On the leader: 1 if a member was heard from within the election timeout.");
	for (uint32_t i = 0; i < f->peers_count; i++)
		writer_line(out, "tallyfs_raft_peer_heard{peer=\"%s\"} %d", f->peers[i].name, f->peers[i].recent);
}

static void tell_network(const struct store_figures *f, struct writer *out)
{
	const struct store_status *t = &f->status;
	const struct {
		const char *reason;
		uint64_t count;
	} refused[] = {{"foreign", t->frames_foreign},   {"malformed", t->frames_malformed}, {"stale", f->frames_stale},
		       {"unsealed", t->frames_unsealed}, {"forged", t->frames_forged},       {"replayed", t->frames_replayed}};

	counter(out, "peer_frames_sent_total", f->frames_sent, "Frames sent to other members.");
	counter(out, "peer_frames_received_total", f->frames_received, "Frames received from other members.");
	counter(out, "peer_frames_dropped_total", f->frames_dropped, "Frames not sent: no connection, or its queue was full.");
	family(out, "peer_frames_refused_total", "counter", "Frames received and not taken.");
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		writer_line(out, "tallyfs_peer_frames_refused_total{reason=\"%s\"} %" PRIu64, refused[i].reason, refused[i].count);
}

static void tell_store(const struct store_figures *f, struct writer *out)
{
	gauge(out, "wal_size_bytes", f->status.wal_bytes, "The log on disk.");
	counter(out, "wal_saves_total", f->saves_made, "Saves that the log has taken.");
	counter(out, "wal_syncs_total", f->syncs_made, "Syncs of the log.");
	family(out, "wal_sync_duration_seconds", "histogram", "How long a batch of saves took to be written and synced.");
	histogram(out, "wal_sync_duration_seconds", "", &f->log_writes);
	gauge(out, "store_revision", f->status.revision, "The newest revision.");
	gauge(out, "store_compact_revision", f->status.compact_revision, "The oldest revision that can be read; 0: all can.");
	gauge(out, "store_deleted_revision", f->status.deleted_revision, "What was below this revision has been deleted.");
	gauge(out, "store_keys", f->status.keys, "Keys that are there now.");
	gauge(out, "store_live_bytes", f->live_bytes, "What the live keys take of the quota.");
	gauge(out, "store_quota_bytes", f->quota_bytes, "The quota.");
	gauge(out, "store_db_size_bytes", f->status.db_bytes, "The file of the store.");
	gauge(out, "store_db_used_bytes", f->status.used_bytes, "What of that file is in use.");
	gauge(out, "store_watchers", f->watchers, "Watchers of this node.");
	family(out, "store_apply_duration_seconds", "histogram", "How long an entry took to be applied.");
	histogram(out, "store_apply_duration_seconds", "", &f->applies);
	family(out, "store_commit_duration_seconds", "histogram", "How long a commit to the store's file took.");
	histogram(out, "store_commit_duration_seconds", "", &f->commits);
}

/* What a kind of request has come to. */
struct kind {
	char label[64];
	uint64_t requests;
	uint64_t errors;
	struct histogram_figures durations;
};

/* Requests, errors and durations of each kind; a histogram of what has happened at all. */
static void tell_kinds(struct writer *out, const char *prefix, const char *who, const struct kind *kinds, size_t count)
{
	char name[64], help[128];

	snprintf(name, sizeof(name), "%s_requests_total", prefix);
	snprintf(help, sizeof(help), "Requests of %s.", who);
	family(out, name, "counter", help);
	for (size_t i = 0; i < count; i++)
		writer_line(out, "tallyfs_%s{%s} %" PRIu64, name, kinds[i].label, kinds[i].requests);
	snprintf(name, sizeof(name), "%s_errors_total", prefix);
	snprintf(help, sizeof(help), "Requests of %s that were answered with an error, a name that is not there among them.", who);
	family(out, name, "counter", help);
	for (size_t i = 0; i < count; i++)
		writer_line(out, "tallyfs_%s{%s} %" PRIu64, name, kinds[i].label, kinds[i].errors);
	snprintf(name, sizeof(name), "%s_request_duration_seconds", prefix);
	snprintf(help, sizeof(help), "How long requests of %s took to be answered.", who);
	family(out, name, "histogram", help);
	for (size_t i = 0; i < count; i++) {
		if (kinds[i].requests)
			histogram(out, name, kinds[i].label, &kinds[i].durations);
	}
}

static void tell_fuse(struct metrics *m, struct writer *out)
{
#define METRICS_NAME(upper, lower) #lower,
	static const char *const names[] = {METRICS_OPERATIONS(METRICS_NAME)};
#undef METRICS_NAME
	struct kind kinds[METRICS_COUNT];

	for (size_t i = 0; i < METRICS_COUNT; i++) {
		struct metrics_operation_counts *c = &m->operations[i];
		snprintf(kinds[i].label, sizeof(kinds[i].label), "op=\"%s\"", names[i]);
		histogram_read(&c->durations, &kinds[i].durations);
		kinds[i].errors = atomic_load_explicit(&c->errors, memory_order_relaxed);
		kinds[i].requests = atomic_load_explicit(&c->requests, memory_order_relaxed);
	}
	tell_kinds(out, "fuse", "the kernel", kinds, METRICS_COUNT);
}

static void tell_clients(const struct endpoint *e, const struct store_status *t, struct writer *out)
{
	struct kind kinds[REQUEST_TYPES];
	struct endpoint_figures f;
	size_t count = 0;

	for (unsigned type = 0; endpoint_figures(e, type, &f); type++) {
		/* Numbers without a name: they are counted as malformed. */
		if (type > 0 && strcmp(f.type, request_type_name(0)) == 0)
			continue;
		struct kind *k = &kinds[count++];
		snprintf(k->label, sizeof(k->label), "type=\"%s\"", f.type);
		k->requests = f.requests;
		k->errors = f.errors;
		k->durations = f.durations;
	}
	tell_kinds(out, "client", "clients", kinds, count);
	counter(out, "client_refused_total", t->requests_refused, "Requests of clients over TCP that were refused for their seal.");
	counter(out, "client_replayed_total", t->requests_replayed, "Requests of clients over TCP that were dropped as seen before.");
}

void metrics_text(struct fs *fs, struct writer *out)
{
	struct store_figures f;

	store_figures(fs->store, &f);
	tell_node(fs, &f, out);
	tell_raft(&f, out);
	tell_peers(&f, out);
	tell_network(&f, out);
	tell_store(&f, out);
	tell_fuse(fs->metrics, out);
	pthread_mutex_lock(&fs->idle_lock);
	uint64_t under_way = fs->under_way;
	pthread_mutex_unlock(&fs->idle_lock);
	gauge(out, "fuse_requests_under_way", under_way, "Requests of the kernel that are being answered.");
	if (fs->clients)
		tell_clients(fs->clients, &f.status, out);
}
