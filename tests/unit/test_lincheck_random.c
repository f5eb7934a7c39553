/* Histories made by a real sequential object with random overlaps, whole and spoilt; small ones are also judged by trying every order. */
#include "tests/lib/run.h"
#include "tests/unit/lincheck_object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define OPS_MAX 6000
#define CLIENTS_MAX 64
#define STEPS_FEW 4000000u /* about a second of one core */

/* How a history is made. */
struct shape {
	uint32_t ops;
	uint32_t clients;
	uint32_t keys;
	uint32_t unknown_percent;
	bool renames;
};

struct made {
	struct lin_op op;
	int64_t effect; /* when it takes effect; INT64_MAX: never */
	uint64_t *seen;
};

static struct made made[OPS_MAX];
static uint32_t made_count;
static uint64_t random_state;

static uint64_t below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % n;
}

static int by_effect(const void *a, const void *b)
{
	const struct made *x = *(struct made *const *)a, *y = *(struct made *const *)b;
	return (x->effect > y->effect) - (x->effect < y->effect);
}

static enum lin_kind draw_kind(const struct shape *s)
{
	static const enum lin_kind kinds[] = {LIN_READ,   LIN_READ,   LIN_READ,   LIN_WRITE, LIN_APPEND,
					      LIN_APPEND, LIN_CREATE, LIN_DELETE, LIN_SWAP,  LIN_RENAME};
	return kinds[below(s->renames ? 10 : 9)];
}

static void draw(const struct shape *s, uint32_t i, int64_t *client_time)
{
	uint32_t client = (uint32_t)below(s->clients);
	struct made *m = &made[i];

	*m = (struct made){.op = {.kind = draw_kind(s), .client = client, .key = below(s->keys), .value = i + 1}};
	m->op.called = client_time[client] + (int64_t)below(10);
	m->effect = m->op.called + (int64_t)below(50);
	m->op.returned = m->effect + (int64_t)below(50);
	client_time[client] = m->op.returned + 1;
	m->op.other = below(s->keys);
	if (below(100) < s->unknown_percent) {
		m->op.outcome = LIN_UNKNOWN;
		m->effect = below(2) == 0 ? INT64_MAX : m->effect + (int64_t)below(500);
	}
}

static void remember_content(struct made *m, const struct content *c)
{
	m->op.seen_count = c->count;
	uint32_t count = c->count == LIN_ABSENT ? 0 : c->count;
	m->seen = malloc((count + 1) * sizeof(*m->seen));
	assert_non_null(m->seen);
	memcpy(m->seen, c->ids, count * sizeof(*m->seen));
	m->op.seen = m->seen;
}

/* A file that has grown long is written anew. */
static void run_one(struct object *o, struct made *m)
{
	struct content *c = &o->keys[m->op.key];
	if (m->op.kind == LIN_APPEND && c->count != LIN_ABSENT && c->count >= OBJECT_IDS_MAX - 1)
		m->op.kind = LIN_WRITE;
	if (m->op.kind == LIN_SWAP && (c->count == LIN_ABSENT || m->op.outcome == LIN_UNKNOWN))
		m->op.kind = LIN_CREATE;
	if (m->op.kind == LIN_READ || m->op.kind == LIN_SWAP)
		remember_content(m, c);
	bool ok = m->effect == INT64_MAX ? true : object_run(o, &m->op);
	if (!ok && m->op.outcome != LIN_UNKNOWN)
		m->op.outcome = LIN_REFUSED;
}

static void make_history(const struct shape *s)
{
	static struct object o;
	static struct made *order[OPS_MAX];
	int64_t client_time[CLIENTS_MAX] = {0};

	object_init(&o);
	made_count = s->ops;
	for (uint32_t i = 0; i < s->ops; i++) {
		draw(s, i, client_time);
		order[i] = &made[i];
	}
	qsort(order, s->ops, sizeof(order[0]), by_effect);
	for (uint32_t i = 0; i < s->ops; i++)
		run_one(&o, order[i]);
}

static void drop_history(void)
{
	for (uint32_t i = 0; i < made_count; i++)
		free(made[i].seen);
}

static enum lin_verdict judge(struct lin_result *result)
{
	struct lin_history *h = lin_new();
	for (uint32_t i = 0; i < made_count; i++)
		lin_add(h, &made[i].op);
	lin_check(h, NULL, result);
	lin_free(h);
	return result->verdict;
}

/* Makes one operation tell something else than it did. */
static void spoil(void)
{
	struct made *m = &made[below(made_count)];
	static uint64_t id;

	if (m->op.kind == LIN_READ && m->op.outcome == LIN_OK) {
		id = below(made_count) + 1;
		m->op.seen = &id;
		m->op.seen_count = below(4) == 0 ? LIN_ABSENT : 1;
	} else if (m->op.outcome == LIN_REFUSED) {
		m->op.outcome = LIN_OK;
	} else if (m->op.outcome == LIN_OK && m->op.kind != LIN_WRITE && m->op.kind != LIN_APPEND) {
		m->op.outcome = LIN_REFUSED;
	} else {
		m->op.called += 500;
		m->op.returned += 500;
	}
}

static void real_histories_are_good(void **state)
{
	(void)state;
	struct lin_result result;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		random_state = seed * 0x9e3779b97f4a7c15u;
		struct shape s = {.ops = 20 + (uint32_t)below(300),
				  .clients = 1 + (uint32_t)below(12),
				  .keys = 1 + (uint32_t)below(OBJECT_KEYS),
				  .unknown_percent = (uint32_t)below(3) * 5,
				  .renames = below(2) == 0};
		make_history(&s);
		if (judge(&result) != LIN_GOOD)
			fail_msg("seed %llu: %s", (unsigned long long)seed, result.report);
		drop_history();
	}
}

/* The judge that tries every order has the last word, both ways. */
static void small_histories_are_judged_as_by_trying_every_order(void **state)
{
	(void)state;
	struct lin_result result;
	struct lin_op ops[BRUTE_OPS_MAX];
	static struct object o;
	uint32_t good = 0, bad = 0;

	for (uint64_t seed = 1; seed <= 6000; seed++) {
		random_state = seed * 0x9e3779b97f4a7c15u;
		struct shape s = {.ops = 3 + (uint32_t)below(6), .clients = 4, .keys = 1 + (uint32_t)below(2), .renames = below(2) == 0};
		s.unknown_percent = (uint32_t)below(2) * 30;
		make_history(&s);
		for (uint64_t i = below(3); i > 0; i--)
			spoil();
		for (uint32_t i = 0; i < made_count; i++)
			ops[i] = made[i].op;
		object_init(&o);
		bool is_good = brute_force(ops, made_count, 0, &o);
		if (judge(&result) != (is_good ? LIN_GOOD : LIN_BAD))
			fail_msg("seed %llu: tried all orders: %s; %s", (unsigned long long)seed, is_good ? "good" : "bad", result.report);
		*(is_good ? &good : &bad) += 1;
		drop_history();
	}
	assert_true(good > 1000 && bad > 1000);
}

static void spoilt_histories_are_mostly_bad(void **state)
{
	(void)state;
	struct lin_result result;
	uint32_t bad = 0;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		random_state = seed * 0x9e3779b97f4a7c15u;
		struct shape s = {.ops = 200, .clients = 5, .keys = 2, .unknown_percent = 2};
		make_history(&s);
		for (unsigned i = 0; i < 3; i++)
			spoil();
		enum lin_verdict verdict = judge(&result);
		assert_int_not_equal(verdict, LIN_GAVE_UP);
		bad += verdict == LIN_BAD;
		drop_history();
	}
	assert_true(bad >= 180);
}

static void a_long_history_takes_few_steps(const struct shape *s, bool spoilt)
{
	struct lin_result result;
	random_state = 0x1234567;
	make_history(s);
	if (spoilt) {
		struct made *m = &made[made_count - 1];
		m->op = (struct lin_op){
			.kind = LIN_READ, .seen_count = 1, .called = m->op.called, .returned = m->op.returned, .key = m->op.key};
		static const uint64_t nobodys = UINT64_MAX;
		m->op.seen = &nobodys;
	}
	double start = now_seconds();
	enum lin_verdict verdict = judge(&result);
	double took = now_seconds() - start;
	note("%u operations of %u clients on %u keys%s: %.3f s, %llu steps", s->ops, s->clients, s->keys,
	     spoilt ? ", spoilt at the end" : "", took, (unsigned long long)result.steps);
	drop_history();
	assert_int_equal(verdict, spoilt ? LIN_BAD : LIN_GOOD);
	assert_true(result.steps < STEPS_FEW);
}

static void long_histories_take_few_steps(void **state)
{
	(void)state;
	const struct shape few = {.ops = 6000, .clients = 8, .keys = 3};
	const struct shape many = {.ops = 6000, .clients = 24, .keys = 3, .unknown_percent = 1};
	const struct shape joined = {.ops = 5000, .clients = 6, .keys = 3, .unknown_percent = 2, .renames = true};
	a_long_history_takes_few_steps(&few, false);
	a_long_history_takes_few_steps(&many, false);
	a_long_history_takes_few_steps(&joined, false);
	a_long_history_takes_few_steps(&few, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_histories_are_good),
		cmocka_unit_test(small_histories_are_judged_as_by_trying_every_order),
		cmocka_unit_test(spoilt_histories_are_mostly_bad),
		cmocka_unit_test(long_histories_take_few_steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
