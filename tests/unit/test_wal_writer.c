/* The thread around the log: order, group commit, fetches, failure. */
#include "tests/unit/wal_fixture.h"

#include "base/clock.h"

#include <pthread.h>

#define WAIT_S 10

/* What the writer's events told. */
struct told {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t stored;
	uint64_t stored_calls;
	bool out_of_order;
	uint64_t fetched_to;
	uint64_t fetched_calls;
	struct expected fetched;
	uint32_t fetched_count;
	int failed;
	int failed_calls;
	uint64_t reset_index;
	uint64_t stored_at_reset;
	int refuse_reset;
};

static void on_stored(void *ctx, uint64_t ticket)
{
	struct told *t = ctx;
	pthread_mutex_lock(&t->lock);
	t->out_of_order |= ticket <= t->stored;
	t->stored = ticket;
	t->stored_calls++;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void on_fetched(void *ctx, uint64_t to, const struct raft_entry *entries, uint32_t count)
{
	struct told *t = ctx;
	pthread_mutex_lock(&t->lock);
	if (count > 0)
		t->fetched.next = entries[0].index;
	for (uint32_t i = 0; i < count; i++)
		fixture_check_entry(&t->fetched, &entries[i]);
	t->fetched_to = to;
	t->fetched_count = count;
	t->fetched_calls++;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void on_failed(void *ctx, int error)
{
	struct told *t = ctx;
	pthread_mutex_lock(&t->lock);
	t->failed = error;
	t->failed_calls++;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static int on_resetting(void *ctx, uint64_t index, uint64_t term)
{
	struct told *t = ctx;
	(void)term;
	pthread_mutex_lock(&t->lock);
	t->reset_index = index;
	t->stored_at_reset = t->stored;
	pthread_mutex_unlock(&t->lock);
	return t->refuse_reset;
}

static struct wal_writer *start(struct fixture *f, struct told *t)
{
	struct wal_writer *w = NULL;
	struct wal_writer_events events = {
		.ctx = t, .stored = on_stored, .fetched = on_fetched, .failed = on_failed, .resetting = on_resetting};
	pthread_condattr_t attr;
	*t = (struct told){.lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	assert_int_equal(wal_writer_start(f->wal, &events, &w), 0);
	return w;
}

/* Waits, with a bound, until *field has reached `value`. */
static void wait_for(struct told *t, const uint64_t *field, uint64_t value)
{
	struct timespec until;
	int rc = 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	pthread_mutex_lock(&t->lock);
	while (*field < value && rc == 0)
		rc = pthread_cond_timedwait(&t->changed, &t->lock, &until);
	uint64_t seen = *field;
	pthread_mutex_unlock(&t->lock);
	if (seen < value)
		fail_msg("%" PRIu64 " after %d s, not %" PRIu64, seen, WAIT_S, value);
}

static void queue_entry(struct wal_writer *w, uint64_t ticket, uint64_t index, uint64_t term, uint32_t size)
{
	uint8_t *room = malloc(size + 1);
	struct raft_entry e = fixture_entry(index, term, room, size);
	wal_writer_save(w, ticket, NULL, &e, 1);
	memset(room, 0xee, size);
	free(room);
}

static void a_save_is_told_when_it_is_durable(void **state)
{
	struct fixture *f = *state;
	struct told t;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	wal_writer_save(w, 1, &(struct raft_hard_state){.term = 4, .vote = 1}, NULL, 0);
	wait_for(&t, &t.stored, 1);
	queue_entry(w, 2, 1, 4, 100);
	wait_for(&t, &t.stored, 2);
	wal_writer_stop(w);
	assert_int_equal(t.stored_calls, 2);
	fixture_reopen(f);
	assert_int_equal(wal_hard_state(f->wal).term, 4);
	fixture_must_read(f, 1, 2, 4);
}

static void saves_are_durable_in_order_and_share_syncs_under_load(void **state)
{
	struct fixture *f = *state;
	struct told t;
	struct wal_writer_stats before, after;
	enum { COUNT = 5000 };
	f->segment_bytes = 1 << 20;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	wal_writer_stats(w, &before);
	for (uint64_t i = 1; i <= COUNT; i++)
		queue_entry(w, i, i, 1, 300);
	wait_for(&t, &t.stored, COUNT);
	wal_writer_stats(w, &after);
	assert_int_equal(after.saves - before.saves, COUNT);
	assert_in_range(after.syncs - before.syncs, 1, COUNT / 4);
	assert_false(t.out_of_order);
	assert_true(after.bytes > before.bytes);
	wal_writer_stop(w);
	fixture_must_read(f, 1, COUNT + 1, 1);
	fixture_reopen(f);
	fixture_must_read(f, 1, COUNT + 1, 1);
}

static void replaced_tails_keep_their_order_when_saves_are_merged(void **state)
{
	struct fixture *f = *state;
	struct told t;
	uint64_t ticket = 0;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	for (uint64_t term = 1; term <= 50; term++)
		for (uint64_t i = 1; i <= 20 - term % 3; i++)
			queue_entry(w, ++ticket, i, term, 20);
	wal_writer_stop(w);
	assert_int_equal(t.stored, ticket);
	fixture_reopen(f);
	assert_int_equal(wal_last(f->wal), 18);
	assert_int_equal(wal_last_term(f->wal), 50);
	fixture_must_read(f, 1, 19, 50);
}

static void stopping_stores_what_is_queued(void **state)
{
	struct fixture *f = *state;
	struct told t;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	for (uint64_t i = 1; i <= 100; i++)
		queue_entry(w, i, i, 1, 1000);
	wal_writer_stop(w);
	assert_int_equal(t.stored, 100);
	assert_int_equal(wal_last(f->wal), 100);
	fixture_must_read(f, 1, 101, 1);
}

static void a_fetch_sees_the_saves_before_it(void **state)
{
	struct fixture *f = *state;
	struct told t;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	for (uint64_t i = 1; i <= 60; i++)
		queue_entry(w, i, i, 1, 500);
	wal_writer_fetch(w, 9, 31, 61, 5000);
	wait_for(&t, &t.fetched_calls, 1);
	assert_int_equal(t.fetched_to, 9);
	assert_int_equal(t.fetched_count, 10);
	assert_int_equal(t.fetched.next, 41);
	wal_writer_fetch(w, 8, 61, 70, 5000);
	wait_for(&t, &t.fetched_calls, 2);
	assert_int_equal(t.fetched_to, 8);
	assert_int_equal(t.fetched_count, 0);
	wal_writer_stop(w);
	assert_int_equal(t.failed_calls, 0);
}

/* Members come and go while a disk hangs. The core asks again for what is not answered. */
static void a_fetch_for_one_member_too_many_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct told t;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	pthread_mutex_lock(&t.lock);
	queue_entry(w, 1, 1, 1, 500); /* the thread cannot tell that it is stored */
	for (uint64_t to = 1; to <= 2 * RAFT_MEMBERS_MAX; to++)
		wal_writer_fetch(w, to, 1, 2, 5000);
	pthread_mutex_unlock(&t.lock);
	wait_for(&t, &t.stored_calls, 1);
	wal_writer_stop(w);
	assert_in_range(t.fetched_calls, RAFT_MEMBERS_MAX, 2 * RAFT_MEMBERS_MAX);
	assert_int_equal(t.failed_calls, 0);
}

static void a_fetch_gives_at_most_one_append_of_entries(void **state)
{
	struct fixture *f = *state;
	struct told t;
	f->segment_bytes = 1 << 20;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	for (uint64_t i = 1; i <= RAFT_APPEND_ENTRIES_MAX + 10; i++)
		queue_entry(w, i, i, 1, 3);
	wal_writer_fetch(w, 2, 1, RAFT_APPEND_ENTRIES_MAX + 11, SIZE_MAX);
	wait_for(&t, &t.fetched_calls, 1);
	assert_int_equal(t.fetched_count, RAFT_APPEND_ENTRIES_MAX);
	wal_writer_stop(w);
}

static void trimming_shows_in_the_figures(void **state)
{
	struct fixture *f = *state;
	struct told t;
	struct wal_writer_stats s;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	for (uint64_t i = 1; i <= 100; i++) {
		queue_entry(w, i, i, 1, 1000);
		/* Saves that are merged would fill one huge segment. */
		if (i % 5 == 0)
			wait_for(&t, &t.stored, i);
	}
	wal_writer_trim(w, 90);
	int64_t until = clock_mono_ns() + WAIT_S * INT64_C(1000000000);
	do {
		wal_writer_stats(w, &s);
		sched_yield();
	} while (s.first == 1 && clock_mono_ns() < until);
	assert_in_range(s.first, 2, 90);
	wal_writer_stop(w);
	assert_int_equal(wal_first(f->wal), s.first);
	fixture_must_read(f, s.first, 101, 1);
}

static void the_next_segment_is_ready_before_it_is_needed(void **state)
{
	struct fixture *f = *state;
	struct told t;
	struct wal_writer_stats s;
	f->segment_bytes = 2 << 20;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	queue_entry(w, 1, 1, 1, 440 << 10);
	queue_entry(w, 2, 2, 1, 440 << 10);
	queue_entry(w, 3, 3, 1, 440 << 10);
	int64_t until = clock_mono_ns() + WAIT_S * INT64_C(1000000000);
	do {
		wal_writer_stats(w, &s);
		sched_yield();
	} while (s.bytes < 4 << 20 && clock_mono_ns() < until);
	assert_int_equal(s.bytes, 4 << 20);
	wal_writer_stop(w);
}

static void a_failing_disk_is_told_once_and_nothing_is_stored_after(void **state)
{
	struct fixture *f = *state;
	struct told t;
	char taken[400];
	fixture_must_open(f);
	/* The next segment cannot be made: its temporary name is taken by a folder. */
	snprintf(taken, sizeof(taken), "%s/next.tmp", f->dir);
	assert_int_equal(mkdir(taken, 0700), 0);
	struct wal_writer *w = start(f, &t);
	for (uint64_t i = 1; i <= 40; i++)
		queue_entry(w, i, i, 1, 1000);
	wal_writer_stop(w);
	assert_int_equal(t.failed_calls, 1);
	assert_int_equal(t.failed, -EISDIR);
	uint64_t stored = t.stored;
	assert_true(stored < 40);
	assert_int_equal(wal_save(f->wal, &(struct raft_hard_state){.term = 9}, NULL, 0), -EISDIR);
	assert_int_equal(rmdir(taken), 0);
	fixture_reopen(f);
	assert_true(wal_last(f->wal) >= stored);
}

static void a_reset_comes_between_the_saves_around_it(void **state)
{
	struct fixture *f = *state;
	struct told t;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	for (uint64_t i = 1; i <= 10; i++)
		queue_entry(w, i, i, 1, 1000);
	wal_writer_save(w, 11, &(struct raft_hard_state){.term = 3, .vote = 2}, NULL, 0);
	wal_writer_reset(w, 500, 2);
	queue_entry(w, 12, 501, 3, 1000);
	queue_entry(w, 13, 502, 3, 1000);
	wait_for(&t, &t.stored, 13);
	assert_int_equal(t.reset_index, 500);
	assert_in_range(t.stored_at_reset, 0, 11);
	wal_writer_stop(w);
	fixture_reopen(f);
	assert_int_equal(wal_first(f->wal), 501);
	assert_int_equal(wal_base_term(f->wal), 2);
	assert_int_equal(wal_hard_state(f->wal).vote, 2);
	fixture_must_read(f, 501, 503, 3);
}

static void a_snapshot_that_cannot_be_made_durable_leaves_the_log_and_stops_it(void **state)
{
	struct fixture *f = *state;
	struct told t;
	fixture_must_open(f);
	struct wal_writer *w = start(f, &t);
	queue_entry(w, 1, 1, 1, 100);
	wait_for(&t, &t.stored, 1);
	t.refuse_reset = -EIO;
	wal_writer_reset(w, 500, 2);
	wal_writer_save(w, 2, &(struct raft_hard_state){.term = 3}, NULL, 0);
	wal_writer_stop(w);
	assert_int_equal(t.failed, -EIO);
	assert_int_equal(t.stored, 1);
	fixture_reopen(f);
	fixture_must_read(f, 1, 2, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_save_is_told_when_it_is_durable),
		TEST(saves_are_durable_in_order_and_share_syncs_under_load),
		TEST(replaced_tails_keep_their_order_when_saves_are_merged),
		TEST(stopping_stores_what_is_queued),
		TEST(a_fetch_sees_the_saves_before_it),
		TEST(a_fetch_for_one_member_too_many_is_dropped),
		TEST(a_fetch_gives_at_most_one_append_of_entries),
		TEST(trimming_shows_in_the_figures),
		TEST(the_next_segment_is_ready_before_it_is_needed),
		TEST(a_reset_comes_between_the_saves_around_it),
		TEST(a_snapshot_that_cannot_be_made_durable_leaves_the_log_and_stops_it),
		TEST(a_failing_disk_is_told_once_and_nothing_is_stored_after),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
