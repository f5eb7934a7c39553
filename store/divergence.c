/* The payload of a PEER_HASH frame (little-endian):
 *
 *	u32  points, 1 to DIVERGENCE_POINTS_MAX, then for each:
 *	  u64  index of a log entry, not 0
 *	  u64  hash as of that entry
 *
 * Valid if no byte is left over. */
#include "store/divergence.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define POINT_BYTES 16u

void divergence_encode(struct writer *w, const struct divergence_point *points, uint32_t count)
{
	writer_u32(w, count);
	for (uint32_t i = 0; i < count; i++) {
		writer_u64(w, points[i].index);
		writer_u64(w, points[i].hash);
	}
}

int divergence_decode(struct span frame, struct divergence_point points[DIVERGENCE_POINTS_MAX], uint32_t *count)
{
	struct reader r = reader_over(frame.data, frame.size);
	uint32_t n = reader_u32(&r);
	if (n == 0 || n > DIVERGENCE_POINTS_MAX || reader_left(&r) != n * POINT_BYTES)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		points[i].index = reader_u64(&r);
		points[i].hash = reader_u64(&r);
		if (points[i].index == 0)
			reader_fail(&r);
	}
	if (!reader_done(&r))
		return -EBADMSG;
	*count = n;
	return 0;
}

static struct divergence_member *member_of(struct divergence *d, uint64_t id)
{
	struct divergence_member *vacant = NULL;
	for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
		if (d->members[i].id == id)
			return &d->members[i];
		if (d->members[i].id == 0 && !vacant)
			vacant = &d->members[i];
	}
	if (vacant)
		*vacant = (struct divergence_member){.id = id};
	return vacant;
}

void divergence_hear(struct divergence *d, uint64_t from, const struct divergence_point *point)
{
	struct divergence_member *m = member_of(d, from);
	if (!m)
		return;
	for (uint32_t i = 0; i < DIVERGENCE_REMEMBERED; i++) {
		if (m->points[i].index == point->index) {
			m->points[i] = *point;
			return;
		}
	}
	m->points[m->next++ % DIVERGENCE_REMEMBERED] = *point;
}

static bool is_among(uint64_t id, const uint64_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

void divergence_keep(struct divergence *d, const uint64_t *ids, uint32_t count)
{
	for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
		if (!is_among(d->members[i].id, ids, count))
			d->members[i].id = 0;
}

static bool says(const struct divergence_member *m, const struct divergence_point *point)
{
	for (uint32_t i = 0; i < DIVERGENCE_REMEMBERED; i++)
		if (m->points[i].index == point->index)
			return m->points[i].hash == point->hash;
	return false;
}

static bool majority_says(const struct divergence *d, const uint64_t *voters, uint32_t voters_count, const struct divergence_point *point)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++)
		if (d->members[i].id != 0 && is_among(d->members[i].id, voters, voters_count) && says(&d->members[i], point))
			count++;
	return count > voters_count / 2;
}

uint64_t divergence_find(const struct divergence *d, const uint64_t *voters, uint32_t voters_count,
			 int (*own)(void *ctx, uint64_t index, uint64_t *hash), void *ctx)
{
	for (uint32_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
		for (uint32_t p = 0; d->members[i].id != 0 && p < DIVERGENCE_REMEMBERED; p++) {
			const struct divergence_point *point = &d->members[i].points[p];
			uint64_t mine;
			if (point->index == 0 || own(ctx, point->index, &mine) != 0 || mine == point->hash)
				continue;
			if (majority_says(d, voters, voters_count, point))
				return point->index;
		}
	}
	return 0;
}
