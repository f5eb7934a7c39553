#include "store/retention.h"

/* Each compaction is a log entry and a pass over the store: one is made when it has something to do, or now and then. */
#define STEP_REVISIONS 1000u
#define STEP_SHARE 100u
#define PATIENCE_NS INT64_C(5000000000)
/* From 7/8 of the quota on, an eighth of the history goes at a time; above the quota, half of it. */
#define TIGHT(quota) ((quota) - (quota) / 8)
#define TIGHT_SHARE 8u
#define OVER_SHARE 2u

static uint64_t aged(const struct retention_rules *rules, const struct retention_view *v)
{
	uint64_t by_number = 0;
	if (rules->retain_revisions > 0 && v->revision > rules->retain_revisions)
		by_number = v->revision - rules->retain_revisions;
	uint64_t by_age = rules->retain_ns > 0 ? v->by_age : 0;
	return by_number > by_age ? by_number : by_age;
}

bool retention_is_tight(const struct retention_rules *rules, const struct retention_view *v)
{
	return rules->quota > 0 && v->used_bytes > TIGHT(rules->quota);
}

/* What was given up before has to be gone first, or it would be counted again. */
static uint64_t crowded_out(const struct retention_rules *rules, const struct retention_view *v)
{
	uint64_t window = v->revision - v->floor;
	if (!retention_is_tight(rules, v) || v->compacted < v->floor)
		return 0;
	uint64_t step = window / (v->used_bytes > rules->quota ? OVER_SHARE : TIGHT_SHARE);
	return v->floor + (step > 0 ? step : window > 0);
}

static bool worth_it(const struct retention *r, const struct retention_view *v, uint64_t upto)
{
	uint64_t gain = upto - v->floor;
	uint64_t share = (v->revision - v->floor) / STEP_SHARE;
	return gain >= (share > STEP_REVISIONS ? share : STEP_REVISIONS) || r->last_ns == 0 || v->now_ns - r->last_ns >= PATIENCE_NS;
}

uint64_t retention_due(struct retention *r, const struct retention_rules *rules, const struct retention_view *v)
{
	uint64_t upto = crowded_out(rules, v);
	uint64_t old = aged(rules, v);
	bool due = upto > v->floor;
	if (old > upto) {
		upto = old;
		due = due || (old > v->floor && worth_it(r, v, old));
	}
	if (!due)
		return 0;
	r->last_ns = v->now_ns;
	return upto;
}
