/* Locks, as apply decides them. */
#include "tests/unit/test_apply_store.h"

#include "store/lock.h"

#include <stdint.h>

#define SESSIONS 3u

struct locked {
	struct world w; /* first: setup and teardown of the world */
	struct locks *l;
};

static void share(struct locked *x)
{
	x->l = locks_new();
	assert_int_equal(apply_share_locks(x->w.a, x->l), 0);
}

static void begin(struct locked *x)
{
	world_make(&x->w);
	share(x);
	for (uint64_t id = 1; id <= SESSIONS; id++)
		assert_int_equal(RUN(&x->w, .type = COMMAND_LEASE_GRANT, .lease = id, .ttl_s = 10), 0);
}

static int lock_setup(void **state)
{
	struct locked *x = calloc(1, sizeof(*x));
	assert_non_null(x);
	begin(x);
	*state = x;
	return 0;
}

static int lock_teardown(void **state)
{
	struct locked *x = *state;
	locks_free(x->l);
	return teardown(state);
}

static void restart(struct locked *x)
{
	struct locks *was = x->l;
	world_restart(&x->w);
	share(x);
	locks_free(was);
}

static struct lock posix(uint64_t session, uint64_t owner, bool exclusive, uint64_t start, uint64_t end)
{
	return (struct lock){.session = session,
			     .ino = 50,
			     .owner = owner,
			     .handle = owner,
			     .start = start,
			     .end = end,
			     .pid = (uint32_t)(100 * session + owner),
			     .kind = LOCK_KIND_POSIX,
			     .exclusive = exclusive};
}

static struct lock whole(uint64_t session, bool exclusive)
{
	struct lock l = posix(session, 1, exclusive, 0, UINT64_MAX);
	l.kind = LOCK_KIND_FLOCK;
	return l;
}

#define WAITS (-1000)

/* 0: granted; WAITS; or the error. */
static int get(struct locked *x, struct lock l, uint64_t request)
{
	int err = RUN(&x->w, .type = COMMAND_LOCK, .lock = l, .lock_flags = request ? LOCK_WAITS : 0, .lock_request = request);
	return err < 0 ? err : x->w.out.result.count ? 0 : WAITS;
}

/* How many are left, or the error. */
static int give(struct locked *x, struct lock l)
{
	int err = RUN(&x->w, .type = COMMAND_UNLOCK, .lock = l);
	return err < 0 ? err : (int)x->w.out.result.count;
}

static int drop_handle(struct locked *x, struct lock l)
{
	int err = RUN(&x->w, .type = COMMAND_UNLOCK, .lock = l, .lock_flags = LOCK_BY_HANDLE);
	return err < 0 ? err : (int)x->w.out.result.count;
}

/* 1: it is held all the same; 0: it is not. */
static int cancel(struct locked *x, struct lock l, uint64_t request)
{
	int err = RUN(&x->w, .type = COMMAND_LOCK_CANCEL, .lock = l, .lock_request = request);
	return err < 0 ? err : (int)x->w.out.result.count;
}

static int end_session(struct locked *x, uint64_t id)
{
	return RUN(&x->w, .type = COMMAND_LEASE_REVOKE, .lease = id);
}

static void assert_counts(struct locked *x, uint32_t held, uint32_t waiting)
{
	uint32_t h, w;
	locks_counts(x->l, &h, &w);
	assert_int_equal(h, held);
	assert_int_equal(w, waiting);
}

static bool holds(struct locked *x, struct lock l)
{
	return locks_holds(x->l, &l);
}

static void one_writer_or_many_readers(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, whole(1, false), 0), 0);
	assert_int_equal(get(x, whole(2, false), 0), 0);
	assert_int_equal(get(x, whole(3, true), 0), -EAGAIN);
	assert_int_equal(give(x, whole(1, false)), 0);
	assert_int_equal(get(x, whole(3, true), 0), -EAGAIN);
	assert_int_equal(give(x, whole(2, false)), 0);
	assert_int_equal(get(x, whole(3, true), 0), 0);
	assert_int_equal(get(x, whole(1, false), 0), -EAGAIN);
	/* Those of fcntl are another kind. */
	assert_int_equal(get(x, posix(1, 1, true, 0, 5), 0), 0);
	assert_int_equal(mvcc_revision(x->w.m), 1);
}

static void waiters_are_granted_in_the_order_in_which_they_came(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, whole(1, true), 1), 0);
	assert_int_equal(get(x, whole(2, true), 7), WAITS);
	assert_int_equal(get(x, whole(3, true), 7), WAITS);
	assert_int_equal(give(x, whole(1, true)), 0);
	assert_true(holds(x, whole(2, true)) && !holds(x, whole(3, true)));
	assert_false(locks_waits(x->l, 50, 2, 7));
	assert_true(locks_waits(x->l, 50, 3, 7));
	restart(x);
	assert_int_equal(get(x, whole(1, true), 2), WAITS);
	assert_int_equal(give(x, whole(2, true)), 0);
	assert_true(holds(x, whole(3, true)) && !holds(x, whole(1, true)));
	assert_int_equal(give(x, whole(3, true)), 0);
	assert_true(holds(x, whole(1, true)));
	assert_counts(x, 1, 0);
}

static void nobody_overtakes_a_waiter_that_conflicts(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, posix(1, 1, false, 0, 9), 1), 0);
	assert_int_equal(get(x, posix(2, 1, true, 0, 4), 1), WAITS);
	assert_int_equal(get(x, posix(3, 1, false, 0, 9), 0), -EAGAIN);
	assert_int_equal(get(x, posix(3, 1, false, 0, 9), 1), WAITS);
	assert_int_equal(get(x, posix(3, 2, false, 5, 9), 0), 0);
	assert_int_equal(give(x, posix(1, 1, false, 0, 9)), 0);
	assert_true(holds(x, posix(2, 1, true, 0, 4)) && !holds(x, posix(3, 1, false, 0, 9)));
	assert_int_equal(give(x, posix(2, 1, true, 0, 4)), 0);
	assert_true(holds(x, posix(3, 1, false, 0, 9)));
}

static void who_holds_a_part_does_not_stand_behind_those_who_wait_for_it(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, posix(1, 1, false, 0, 9), 1), 0);
	assert_int_equal(get(x, posix(2, 1, true, 0, 9), 1), WAITS);
	assert_int_equal(get(x, posix(1, 1, true, 0, 9), 0), 0);
	assert_true(locks_waits(x->l, 50, 2, 1));
}

static void ranges_are_split_joined_and_replaced(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, posix(1, 1, true, 0, UINT64_MAX), 0), 0);
	assert_int_equal(give(x, posix(1, 1, true, 10, 19)), 2);
	assert_int_equal(get(x, posix(2, 1, true, 10, 19), 0), 0);
	assert_int_equal(get(x, posix(2, 1, true, 9, 9), 0), -EAGAIN);
	assert_int_equal(get(x, posix(2, 1, true, 20, 20), 0), -EAGAIN);
	assert_int_equal(give(x, posix(2, 1, true, 0, UINT64_MAX)), 0);
	assert_int_equal(get(x, posix(1, 1, true, 10, 19), 0), 0);
	assert_counts(x, 1, 0);
	assert_true(holds(x, posix(1, 1, true, 0, UINT64_MAX)));
	/* A part becomes shared. */
	assert_int_equal(get(x, posix(1, 1, false, 100, 199), 0), 0);
	assert_counts(x, 3, 0);
	assert_int_equal(get(x, posix(2, 1, false, 100, 199), 0), 0);
	assert_int_equal(get(x, posix(2, 1, false, 99, 100), 0), -EAGAIN);
	struct lock found, want = posix(3, 1, true, 150, 160);
	assert_true(locks_conflict(x->l, &want, &found));
	assert_int_equal(found.start, 100);
	assert_int_equal(found.pid, 101);
}

static void a_downgrade_lets_readers_in(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, whole(1, true), 1), 0);
	assert_int_equal(get(x, whole(2, false), 1), WAITS);
	assert_int_equal(get(x, whole(1, false), 0), 0);
	assert_true(holds(x, whole(1, false)) && holds(x, whole(2, false)));
	assert_int_equal(give(x, whole(2, false)), 0);
	/* Whoever waits for it does not keep it from becoming less. */
	assert_int_equal(get(x, whole(1, true), 0), 0);
	assert_int_equal(get(x, whole(2, true), 2), WAITS);
	assert_int_equal(get(x, whole(1, false), 3), 0);
	assert_true(locks_waits(x->l, 50, 2, 2));
}

/* Both give up the shared lock to wait for the exclusive one: flock(2) has no deadlock here. */
static void two_flocks_can_be_upgraded_one_after_the_other(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, whole(1, false), 0), 0);
	assert_int_equal(get(x, whole(2, false), 0), 0);
	assert_int_equal(get(x, whole(1, true), 0), -EAGAIN);
	assert_true(holds(x, whole(1, false)));
	assert_int_equal(get(x, whole(1, true), 1), WAITS);
	assert_int_equal(get(x, whole(2, true), 1), WAITS);
	assert_true(holds(x, whole(1, true)));
	assert_int_equal(give(x, whole(1, true)), 0);
	assert_true(holds(x, whole(2, true)));
}

static void a_circle_of_waiting_is_a_deadlock(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, posix(1, 1, true, 0, 0), 1), 0);
	assert_int_equal(get(x, posix(2, 1, true, 1, 1), 1), 0);
	assert_int_equal(get(x, posix(3, 1, true, 2, 2), 1), 0);
	assert_int_equal(get(x, posix(1, 1, true, 1, 1), 2), WAITS);
	assert_int_equal(get(x, posix(2, 1, true, 2, 2), 2), WAITS);
	assert_int_equal(get(x, posix(3, 1, true, 0, 0), 0), -EAGAIN);
	assert_int_equal(get(x, posix(3, 1, true, 0, 0), 2), -EDEADLK);
	assert_counts(x, 3, 2);
	/* Another owner of that session closes no circle. */
	assert_int_equal(get(x, posix(3, 2, true, 0, 0), 2), WAITS);
	/* Two readers who both want to write. */
	struct lock a = posix(1, 5, false, 9, 9), b = posix(2, 5, false, 9, 9);
	assert_int_equal(get(x, a, 0), 0);
	assert_int_equal(get(x, b, 0), 0);
	a.exclusive = b.exclusive = true;
	assert_int_equal(get(x, a, 3), WAITS);
	assert_int_equal(get(x, b, 3), -EDEADLK);
}

static void who_is_interrupted_waits_no_more_or_has_it_already(void **state)
{
	struct locked *x = *state;
	assert_int_equal(get(x, whole(1, true), 1), 0);
	assert_int_equal(get(x, whole(2, true), 1), WAITS);
	assert_int_equal(get(x, whole(3, false), 1), WAITS);
	assert_int_equal(cancel(x, whole(2, true), 1), 0);
	assert_int_equal(give(x, whole(1, true)), 0);
	assert_true(holds(x, whole(3, false)) && !holds(x, whole(2, true)));
	assert_int_equal(cancel(x, whole(3, false), 1), 1);
	assert_int_equal(cancel(x, whole(2, true), 1), 0);
	/* One that goes lets those behind it pass. */
	assert_int_equal(get(x, whole(1, true), 2), WAITS);
	assert_int_equal(get(x, whole(2, false), 2), WAITS);
	assert_int_equal(cancel(x, whole(1, true), 2), 0);
	assert_true(holds(x, whole(2, false)));
}

static void a_session_takes_all_its_locks_with_it_and_the_next_get_theirs(void **state)
{
	struct locked *x = *state;
	struct lock other = whole(1, true);
	other.ino = 51;
	assert_int_equal(get(x, whole(1, true), 1), 0);
	assert_int_equal(get(x, other, 2), 0);
	assert_int_equal(get(x, posix(1, 4, true, 0, 9), 3), 0);
	assert_int_equal(get(x, posix(2, 1, true, 5, 5), 1), WAITS);
	assert_int_equal(get(x, posix(1, 5, true, 5, 5), 4), WAITS);
	assert_int_equal(get(x, whole(2, true), 2), WAITS);
	other.session = 3;
	assert_int_equal(get(x, other, 1), WAITS);
	restart(x);
	assert_int_equal(end_session(x, 1), 0);
	assert_true(holds(x, posix(2, 1, true, 5, 5)) && holds(x, whole(2, true)) && holds(x, other));
	assert_counts(x, 3, 0);
	assert_int_equal(get(x, whole(1, true), 0), -EIO);
	assert_int_equal(give(x, whole(1, true)), -EIO);
	assert_int_equal(cancel(x, whole(1, true), 1), -EIO);
}

static void the_last_close_takes_what_was_set_through_its_handle(void **state)
{
	struct locked *x = *state;
	struct lock through_other = posix(1, 1, true, 5, 9);
	through_other.handle = 77;
	assert_int_equal(get(x, whole(1, false), 0), 0);
	assert_int_equal(get(x, posix(1, 1, true, 0, 9), 0), 0);
	assert_int_equal(get(x, through_other, 0), 0);
	assert_int_equal(drop_handle(x, posix(1, 1, false, 0, 0)), 0);
	assert_counts(x, 1, 0);
	assert_true(holds(x, posix(1, 1, true, 5, 9)));
}

static int fenced_write(struct locked *x, uint64_t session)
{
	struct command_range range = {0, text("x")};
	return RUN(&x->w, .type = COMMAND_WRITE, .key = text("f"), .mode = 0644, .write_flags = WRITE_CREATE | WRITE_FENCED,
		   .lease = session, .ranges = &range, .ranges_count = 1);
}

static void what_was_written_under_a_session_that_is_over_never_lands(void **state)
{
	struct locked *x = *state;
	assert_int_equal(fenced_write(x, 9), -EIO);
	assert_false(is_there(&x->w, "f"));
	assert_int_equal(fenced_write(x, 1), 0);
	uint64_t revision = mvcc_revision(x->w.m);
	assert_int_equal(end_session(x, 1), 0);
	assert_int_equal(fenced_write(x, 1), -EIO);
	assert_int_equal(mvcc_revision(x->w.m), revision);
	assert_int_equal(fenced_write(x, 2), 0);
}

static void locks_are_bounded(void **state)
{
	struct locked *x = *state;
	for (uint64_t i = 0; i < LOCKS_PER_SESSION_MAX - 1; i++)
		assert_int_equal(get(x, posix(1, 1, true, 4 * i, 4 * i + 2), 0), 0);
	assert_int_equal(get(x, posix(1, 1, true, UINT32_MAX, UINT32_MAX), 0), -ENOLCK);
	assert_int_equal(get(x, posix(2, 1, true, UINT32_MAX, UINT32_MAX), 0), 0);
	/* A hole makes two of one. */
	assert_int_equal(give(x, posix(1, 1, true, 1, 1)), LOCKS_PER_SESSION_MAX);
	assert_int_equal(give(x, posix(1, 1, true, 5, 5)), -ENOLCK);
	assert_int_equal(give(x, posix(1, 1, true, 0, UINT32_MAX)), 0);
	assert_int_equal(get(x, posix(1, 1, true, UINT32_MAX - 1, UINT32_MAX - 1), 0), 0);
}

/* --- against a model that thinks in bytes --- */

#define BYTES 8
#define OWNERS 6

enum { FREE, SHARED, EXCLUSIVE };

struct model_waiter {
	int owner;
	bool exclusive;
	int start, end;
	uint64_t request;
};

struct model {
	int has[OWNERS][BYTES];
	struct model_waiter waiters[64];
	int count;
};

static bool model_blocked(const struct model *m, const struct model_waiter *w, int upto)
{
	bool own = false;
	for (int b = w->start; b <= w->end; b++) {
		own |= m->has[w->owner][b] != FREE;
		for (int o = 0; o < OWNERS; o++)
			if (o != w->owner && (m->has[o][b] == EXCLUSIVE || (m->has[o][b] == SHARED && w->exclusive)))
				return true;
	}
	for (int i = 0; i < upto && !own; i++) {
		const struct model_waiter *e = &m->waiters[i];
		if (e->owner != w->owner && (e->exclusive || w->exclusive) && e->start <= w->end && w->start <= e->end)
			return true;
	}
	return false;
}

static void model_set(struct model *m, const struct model_waiter *w, int to)
{
	for (int b = w->start; b <= w->end; b++)
		m->has[w->owner][b] = to;
}

static void model_remove(struct model *m, int i)
{
	memmove(&m->waiters[i], &m->waiters[i + 1], (size_t)(m->count - i - 1) * sizeof(m->waiters[0]));
	m->count--;
}

static void model_turn(struct model *m)
{
	for (int i = 0; i < m->count; i++) {
		struct model_waiter w = m->waiters[i];
		if (model_blocked(m, &w, i))
			continue;
		model_remove(m, i);
		model_set(m, &w, w.exclusive ? EXCLUSIVE : SHARED);
		i = -1;
	}
}

static struct lock lock_of(const struct model_waiter *w)
{
	return posix(1 + (uint64_t)w->owner % SESSIONS, (uint64_t)w->owner, w->exclusive, (uint64_t)w->start, (uint64_t)w->end);
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % below;
}

static void assert_like_model(struct locked *x, const struct model *m)
{
	for (int o = 0; o < OWNERS; o++) {
		for (int b = 0; b < BYTES; b++) {
			struct model_waiter byte = {.owner = o, .start = b, .end = b, .exclusive = m->has[o][b] == EXCLUSIVE};
			struct lock l = lock_of(&byte);
			assert_int_equal(locks_holds(x->l, &l), m->has[o][b] != FREE);
		}
	}
	for (int i = 0; i < m->count; i++)
		assert_true(locks_waits(x->l, 50, lock_of(&m->waiters[i]).session, m->waiters[i].request));
	uint32_t held, waiting;
	locks_counts(x->l, &held, &waiting);
	assert_int_equal(waiting, m->count);
}

static void model_get(struct locked *x, struct model *m, struct model_waiter w)
{
	int rc = get(x, lock_of(&w), w.request);
	if (rc == 0) {
		assert_false(model_blocked(m, &w, m->count));
		model_set(m, &w, w.exclusive ? EXCLUSIVE : SHARED);
	} else {
		assert_true(model_blocked(m, &w, m->count));
		assert_int_equal(rc == WAITS || rc == -EDEADLK, w.request != 0);
	}
	if (rc == WAITS)
		m->waiters[m->count++] = w;
	model_turn(m);
}

static void model_end_session(struct locked *x, struct model *m, uint64_t id)
{
	assert_int_equal(end_session(x, id), 0);
	assert_int_equal(RUN(&x->w, .type = COMMAND_LEASE_GRANT, .lease = id, .ttl_s = 10), 0);
	for (int o = (int)id - 1; o < OWNERS; o += SESSIONS)
		memset(m->has[o], 0, sizeof(m->has[o]));
	for (int i = m->count; i-- > 0;)
		if (1 + (uint64_t)m->waiters[i].owner % SESSIONS == id)
			model_remove(m, i);
	model_turn(m);
}

static void model_step(struct locked *x, struct model *m, uint32_t *seed, uint64_t request)
{
	struct model_waiter w = {.owner = (int)draw(seed, OWNERS), .exclusive = draw(seed, 2), .start = (int)draw(seed, BYTES)};
	uint32_t what = draw(seed, 20);
	w.end = w.start + (int)draw(seed, (uint32_t)(BYTES - w.start));
	w.request = draw(seed, 3) && m->count < 60 ? request : 0;
	if (what < 10) {
		model_get(x, m, w);
	} else if (what < 16) {
		assert_true(give(x, lock_of(&w)) >= 0);
		model_set(m, &w, FREE);
		model_turn(m);
	} else if (what < 19 && m->count > 0) {
		int i = (int)draw(seed, (uint32_t)m->count);
		assert_int_equal(cancel(x, lock_of(&m->waiters[i]), m->waiters[i].request), 0);
		model_remove(m, i);
		model_turn(m);
	} else if (what == 19) {
		model_end_session(x, m, 1 + draw(seed, SESSIONS));
	}
}

/* A second store is loaded anew now and then: what it comes to must be the same, to the last byte that is kept. */
static void random_locks_are_those_of_a_model_and_the_same_after_a_restart(void **state)
{
	struct locked *x = *state;
	struct locked other = {0};
	begin(&other);
	for (uint32_t round = 0; round < 40; round++) {
		struct model m = {0}, again = {0};
		uint32_t seed = round, same = round, restarts = round;
		for (uint64_t request = 1; request <= 150; request++) {
			model_step(x, &m, &seed, request);
			model_step(&other, &again, &same, request);
			assert_like_model(x, &m);
			if (draw(&restarts, 30) == 0)
				restart(&other);
			uint64_t a, b;
			assert_int_equal(mvcc_hash_at(x->w.m, x->w.index, &a), 0);
			assert_int_equal(mvcc_hash_at(other.w.m, other.w.index, &b), 0);
			assert_true(a == b);
		}
		for (uint64_t id = 1; id <= SESSIONS; id++) {
			model_end_session(x, &m, id);
			model_end_session(&other, &again, id);
		}
		assert_counts(x, 0, 0);
	}
	locks_free(other.l);
	world_end(&other.w);
}

#define LOCK_TEST(name) cmocka_unit_test_setup_teardown(name, lock_setup, lock_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOCK_TEST(one_writer_or_many_readers),
		LOCK_TEST(waiters_are_granted_in_the_order_in_which_they_came),
		LOCK_TEST(nobody_overtakes_a_waiter_that_conflicts),
		LOCK_TEST(who_holds_a_part_does_not_stand_behind_those_who_wait_for_it),
		LOCK_TEST(ranges_are_split_joined_and_replaced),
		LOCK_TEST(a_downgrade_lets_readers_in),
		LOCK_TEST(two_flocks_can_be_upgraded_one_after_the_other),
		LOCK_TEST(a_circle_of_waiting_is_a_deadlock),
		LOCK_TEST(who_is_interrupted_waits_no_more_or_has_it_already),
		LOCK_TEST(a_session_takes_all_its_locks_with_it_and_the_next_get_theirs),
		LOCK_TEST(the_last_close_takes_what_was_set_through_its_handle),
		LOCK_TEST(what_was_written_under_a_session_that_is_over_never_lands),
		LOCK_TEST(locks_are_bounded),
		LOCK_TEST(random_locks_are_those_of_a_model_and_the_same_after_a_restart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
