#include "store/client/balance.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

int balance_policy_parse(const char *text, enum balance_policy *out)
{
	static const char *const names[] = {"round_robin", "random", "least_connections", "weighted"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum balance_policy)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* splitmix64 */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t bit(unsigned i)
{
	return UINT64_C(1) << i;
}

static unsigned pick_in_turn(struct balance *b, uint64_t among)
{
	while (!(among & bit(b->cursor)))
		b->cursor = (b->cursor + 1) % b->count;
	unsigned picked = b->cursor;
	b->cursor = (b->cursor + 1) % b->count;
	return picked;
}

static unsigned pick_random(struct balance *b, uint64_t among)
{
	unsigned nth = (unsigned)(random_next(&b->random) % (unsigned)__builtin_popcountll(among));

	while (nth-- > 0)
		among &= among - 1;
	return (unsigned)__builtin_ctzll(among);
}

static unsigned pick_least(struct balance *b, uint64_t among)
{
	uint64_t least = 0;
	uint32_t fewest = UINT32_MAX;

	for (unsigned i = 0; i < b->count; i++) {
		if (!(among & bit(i)) || b->endpoints[i].outstanding > fewest)
			continue;
		if (b->endpoints[i].outstanding < fewest)
			least = 0;
		fewest = b->endpoints[i].outstanding;
		least |= bit(i);
	}
	return pick_in_turn(b, least);
}

static unsigned pick_weighted(struct balance *b, uint64_t among)
{
	int64_t total = 0;
	int best = -1;

	for (unsigned i = 0; i < b->count; i++) {
		if (!(among & bit(i)))
			continue;
		struct balance_endpoint *e = &b->endpoints[i];
		e->credit += e->weight;
		total += e->weight;
		if (best < 0 || e->credit > b->endpoints[best].credit)
			best = (int)i;
	}
	assert(best >= 0);
	b->endpoints[best].credit -= total;
	return (unsigned)best;
}

static unsigned pick_among(struct balance *b, uint64_t among)
{
	assert(among);
	switch (b->policy) {
	case BALANCE_RANDOM:
		return pick_random(b, among);
	case BALANCE_LEAST_CONNECTIONS:
		return pick_least(b, among);
	case BALANCE_WEIGHTED:
		return pick_weighted(b, among);
	case BALANCE_ROUND_ROBIN:
		break;
	}
	return pick_in_turn(b, among);
}

/* The one whose back-off ends first; -1 if `among` is empty. */
static int pick_earliest(const struct balance *b, uint64_t among)
{
	int best = -1;

	for (unsigned i = 0; i < b->count; i++) {
		if ((among & bit(i)) && (best < 0 || b->endpoints[i].until_ns < b->endpoints[best].until_ns))
			best = (int)i;
	}
	return best;
}

void balance_init(struct balance *b, enum balance_policy policy, const uint32_t *weights, unsigned count, uint64_t seed)
{
	assert(count > 0 && count <= BALANCE_ENDPOINTS_MAX);
	*b = (struct balance){.policy = policy, .count = count, .cursor = (unsigned)(seed % count), .random = seed};
	uint64_t total = 0;
	for (unsigned i = 0; i < count; i++) {
		assert(weights[i] > 0);
		b->endpoints[i].weight = weights[i];
		total += weights[i];
	}
	if (policy != BALANCE_WEIGHTED)
		return;
	for (uint64_t turns = seed % total; turns > 0; turns--)
		balance_pick(b, 0, 0);
}

unsigned balance_pick(struct balance *b, uint64_t avoid, int64_t now_ns)
{
	uint64_t all = b->count == 64 ? UINT64_MAX : bit(b->count) - 1;
	uint64_t well = 0;

	for (unsigned i = 0; i < b->count; i++) {
		if (b->endpoints[i].failures == 0 || b->endpoints[i].until_ns <= now_ns)
			well |= bit(i);
	}
	if (well & ~avoid)
		return pick_among(b, well & ~avoid);
	int earliest = pick_earliest(b, all & ~avoid);
	if (earliest >= 0)
		return (unsigned)earliest;
	return well ? pick_among(b, well) : (unsigned)pick_earliest(b, all);
}

static int64_t backoff_ns(uint32_t failures)
{
	int64_t ns = BALANCE_BACKOFF_NS;

	for (uint32_t i = 1; i < failures && ns < BALANCE_BACKOFF_MAX_NS; i++)
		ns *= 2;
	return ns < BALANCE_BACKOFF_MAX_NS ? ns : BALANCE_BACKOFF_MAX_NS;
}

void balance_started(struct balance *b, unsigned i, int64_t now_ns)
{
	struct balance_endpoint *e = &b->endpoints[i];

	assert(i < b->count);
	e->outstanding++;
	/* The trial of a failed endpoint: the others wait for how it ends. */
	if (e->failures > 0) {
		e->trial = true;
		e->until_ns = now_ns + backoff_ns(e->failures);
	}
}

void balance_finished(struct balance *b, unsigned i)
{
	assert(i < b->count && b->endpoints[i].outstanding > 0);
	b->endpoints[i].outstanding--;
}

void balance_failed(struct balance *b, unsigned i, int64_t now_ns)
{
	struct balance_endpoint *e = &b->endpoints[i];

	assert(i < b->count);
	/* Requests that were out together and fail together are one failure. */
	if (e->failures > 0 && e->until_ns > now_ns && !e->trial)
		return;
	e->trial = false;
	e->failures++;
	e->until_ns = now_ns + backoff_ns(e->failures);
}

void balance_ok(struct balance *b, unsigned i)
{
	assert(i < b->count);
	b->endpoints[i].failures = 0;
	b->endpoints[i].trial = false;
}
