/* What the replica loop has to do with snapshots: frames to and from their thread, a new one into raft, and the log trimmed as far as they allow. */
#include "base/clock.h"
#include "base/log.h"
#include "store/folders.h"
#include "store/node.h"
#include "store/trim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void send_frame(void *ctx, uint64_t to, struct span payload)
{
	struct store *s = ctx;
	if (s->net)
		peer_net_send(s->net, to, PEER_SNAPSHOT, payload);
}

static void is_over(void *ctx, uint64_t to)
{
	struct store *s = ctx;
	replica_snapshot_over(s->replica, to);
}

/* Two that are both damaged do not give the lead to each other all the time. */
#define GIVE_WAY_AGAIN_NS INT64_C(10000000000)

/* It goes on for what can be read. But a member that needs a snapshot needs another leader; until there is one this is tried again. */
static void is_damaged(void *ctx)
{
	struct store *s = ctx;
	if (!atomic_exchange(&s->damaged, true))
		log_error("the store in %s is damaged: " STORE_DAMAGED_ADVICE, s->config.data);
	int64_t now_ns = clock_mono_ns();
	if (s->gave_way_ns && now_ns - s->gave_way_ns < GIVE_WAY_AGAIN_NS)
		return;
	if (raft_transfer(s->raft, 0) == 0)
		s->gave_way_ns = now_ns;
}

/* The configuration as of the snapshot; one from before it was kept in the store has that of now. */
static int members_of(struct store *s, struct mvcc *m, void **bytes, struct raft_members *out)
{
	size_t size = 0;
	int rc = mvcc_get_meta(m, (struct span){APPLY_MEMBERS, strlen(APPLY_MEMBERS)}, bytes, &size);
	if (rc == 0)
		return raft_members_decode((struct span){*bytes, size}, out);
	if (rc == -ENOENT)
		*out = *raft_members_now(s->raft);
	return rc == -ENOENT ? 0 : rc;
}

static void is_ready(void *ctx, struct mvcc *store, uint64_t index, uint64_t term)
{
	struct store *s = ctx;
	struct raft_members members;
	void *bytes = NULL;
	int rc = members_of(s, store, &bytes, &members);
	if (rc == 0)
		rc = replica_install(s->replica, index, term, &members);
	free(bytes);
	if (rc == 0) {
		s->incoming = store;
		return;
	}
	log_info("a snapshot as of entry %llu is not used: %s", (unsigned long long)index,
		 rc == -EALREADY ? "the log has as much by now" : strerror(-rc));
	snapshots_settled(s->snapshots, store);
}

void loop_take_snapshots(struct store *s)
{
	const struct snapshots_events events = {s, send_frame, is_over, is_damaged, is_ready};
	snapshots_deliver(s->snapshots, &events);
}

/* --- ports --- */

void loop_reset_log(void *ctx, uint64_t index, uint64_t term)
{
	struct store *s = ctx;
	wal_writer_reset(s->writer, index, term);
}

void loop_installed(void *ctx)
{
	struct store *s = ctx;
	struct mvcc *store = s->incoming;
	s->incoming = NULL;
	applier_replace(s->applier, store);
}

void loop_want_snapshot(void *ctx, uint64_t to)
{
	struct store *s = ctx;
	snapshots_want(s->snapshots, to);
}

int loop_switch_stores(void *ctx, uint64_t index, uint64_t term)
{
	struct store *s = ctx;
	(void)index, (void)term;
	return folders_switch(s->config.data);
}

/* Who has what would be kept without them needs nothing held back. */
static void note_caught_up(struct store *s, const struct raft_status *status, struct trim_facts facts)
{
	if (facts.held == UINT64_MAX || status->role != RAFT_LEADER)
		return;
	facts.held = UINT64_MAX;
	uint64_t point = trim_point(&facts);
	for (uint32_t i = 0; i < status->members_count; i++)
		if (status->members[i].match >= point && !status->members[i].snapshot)
			snapshots_caught_up(s->snapshots, status->members[i].id);
}

void loop_trim_log(struct store *s, const struct raft_status *status, uint64_t *trimmed)
{
	struct wal_writer_stats stats;
	wal_writer_stats(s->writer, &stats);
	const struct trim_facts facts = {.last = status->log_last,
					 .durable = mvcc_durable(s->mvcc),
					 .everywhere = status->everywhere,
					 .recent = stats.recent,
					 .held = snapshots_floor(s->snapshots),
					 .bytes = stats.bytes};
	uint64_t point = trim_point(&facts);
	note_caught_up(s, status, facts);
	if (stats.first > status->log_first)
		replica_trimmed(s->replica, stats.first);
	if (point > *trimmed) {
		wal_writer_trim(s->writer, point);
		*trimmed = point;
	}
}
