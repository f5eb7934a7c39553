/* What the loop looks after now and then besides raft: how much history there is, and whether this node still holds what the others do. */
#include "base/clock.h"
#include "base/log.h"
#include "store/node.h"

#include <errno.h>
#include <stdlib.h>

#define POINTS_OF_A_KIND 4u

/* --- history --- */

static void compacted(struct store_op *op)
{
	struct store *s = (struct store *)((char *)op - offsetof(struct store, compact_op));
	int error = op->result.error;
	/* Somebody else was quicker, or leads now: the next look tells. */
	if (error < 0 && error != -ENODATA && error != -ETIMEDOUT && error != -ESHUTDOWN && error != -EIO)
		log_warn("compaction by itself was refused: %d", error);
	writer_free(&op->result.reply);
	atomic_store(&s->compacting, false);
}

static void propose(struct store *s, uint64_t revision)
{
	struct command c = {.type = COMMAND_COMPACT, .truncate_to = COMMAND_NO_TRUNCATE, .revision = revision};
	atomic_store(&s->compacting, true);
	s->compact_op = (struct store_op){.done = compacted};
	store_submit(s, &c, &s->compact_op);
}

void housekeeping_history(struct store *s)
{
	struct mvcc_stats stats;
	if (atomic_load(&s->compacting))
		return;
	mvcc_stats(s->mvcc, &stats);
	const struct store_config *config = &s->config;
	const struct retention_rules rules = {config->retain_ns, config->retain_revisions, config->quota};
	const struct retention_view view = {
		.now_ns = clock_mono_ns(),
		.revision = mvcc_revision(s->mvcc),
		.floor = mvcc_compact_revision(s->mvcc),
		.compacted = stats.compacted,
		.by_age = rules.retain_ns > 0 ? mvcc_revision_by(s->mvcc, clock_wall_ns() - rules.retain_ns) : 0,
		.used_bytes = stats.used_bytes,
	};
	uint64_t upto = retention_due(&s->retention, &rules, &view);
	if (upto > 0)
		propose(s, upto);
}

/* --- divergence --- */

static int own_hash(void *ctx, uint64_t index, uint64_t *hash)
{
	struct store *s = ctx;
	return mvcc_hash_at(s->mvcc, index, hash);
}

/* The last few multiples of `step` that are known. */
static uint32_t add_points(struct store *s, uint64_t applied, uint64_t step, struct divergence_point *points, uint32_t count)
{
	uint64_t index = applied - applied % step;
	for (uint32_t i = 0; i < POINTS_OF_A_KIND && index > 0; i++, index -= step) {
		points[count].index = index;
		if (mvcc_hash_at(s->mvcc, index, &points[count].hash) == 0)
			count++;
	}
	return count;
}

/* Where it stands now, which others share while nothing is written, and places that others pass too, whatever the pace. */
static uint32_t own_points(struct store *s, struct divergence_point points[DIVERGENCE_POINTS_MAX])
{
	struct mvcc_hash now;
	uint32_t count = 0;
	mvcc_hash_now(s->mvcc, &now);
	if (now.index > 0)
		points[count++] = (struct divergence_point){now.index, now.hash};
	count = add_points(s, now.index, MVCC_HASH_STEP, points, count);
	return add_points(s, now.index, MVCC_HASH_STRIDE, points, count);
}

static void tell_hashes(struct store *s, const struct raft_members *members)
{
	struct divergence_point points[DIVERGENCE_POINTS_MAX];
	struct writer w = {0};
	uint32_t count = own_points(s, points);
	if (count == 0)
		return;
	divergence_encode(&w, points, count);
	for (uint32_t i = 0; i < members->voters_count + members->learners_count; i++) {
		uint64_t id = i < members->voters_count ? members->voters[i] : members->learners[i - members->voters_count];
		if (id != s->identity.id)
			peer_net_send(s->net, id, PEER_HASH, (struct span){w.data, w.size});
	}
	writer_free(&w);
}

void housekeeping_heard(struct store *s, uint64_t from, struct span payload)
{
	struct divergence_point points[DIVERGENCE_POINTS_MAX];
	uint32_t count;
	if (divergence_decode(payload, points, &count) < 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		divergence_hear(&s->divergence, from, &points[i]);
}

void housekeeping_hashes(struct store *s)
{
	const struct raft_members *members = raft_members_now(s->raft);
	if (!s->net || atomic_load(&s->diverged) != 0)
		return;
	divergence_keep(&s->divergence, members->voters, members->voters_count);
	tell_hashes(s, members);
	uint64_t index = divergence_find(&s->divergence, members->voters, members->voters_count, own_hash, s);
	if (index == 0)
		return;
	atomic_store(&s->diverged, index);
	int none = 0;
	atomic_compare_exchange_strong(&s->disk_error, &none, -EIO);
	watch_hub_stir(s->watch);
	log_error("diverged at index %llu: a majority of the members agrees on what was applied up to there, and this node holds something "
		  "else; it "
		  "takes no more part",
		  (unsigned long long)index);
}

/* --- quota --- */

static bool fits(struct store *s, uint64_t bytes)
{
	struct mvcc_stats stats;
	mvcc_stats(s->mvcc, &stats);
	return s->config.quota == 0 || (stats.live_bytes <= s->config.quota && bytes <= s->config.quota - stats.live_bytes);
}

int store_admit(struct store *s, uint64_t bytes)
{
	if (fits(s, bytes))
		return 0;
	/* One file that is far too large says little about the others. */
	uint64_t most = s->config.quota / 8;
	atomic_store(&s->refused_bytes, bytes < most ? bytes : most);
	return -ENOSPC;
}

int store_admit_value(struct store *s, struct span key, uint64_t size)
{
	struct record r = {0};
	if (fits(s, size))
		return 0;
	int error = mvcc_get(s->mvcc, key, 0, &r);
	uint64_t was = error ? 0 : r.size;
	record_done(&r);
	return !error && size <= was ? 0 : store_admit(s, size - was);
}

bool housekeeping_quota_reached(struct store *s, const struct mvcc_stats *stats)
{
	/* What was last refused would be refused again. */
	return s->config.quota > 0 && stats->live_bytes + atomic_load(&s->refused_bytes) > s->config.quota;
}

int store_readable(struct store *s)
{
	return atomic_load(&s->diverged) != 0 ? -EIO : 0;
}
