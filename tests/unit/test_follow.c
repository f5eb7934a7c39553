#include "tests/unit/test_apply_store.h"

#include "base/clock.h"
#include "fs/follow.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

struct followed {
	struct world w; /* first: setup and teardown of the world */
	struct watch_hub *h;
	struct follow *f;
	pthread_mutex_t lock;
	struct writer lines;
	sem_t seen; /* one for each event */
	sem_t lost;
	sem_t idle;
	atomic_bool held; /* the next event is not over before `go` */
	sem_t go;
	atomic_int again_ms; /* what is said to the next call of idle; -1 to all later ones */
	uint64_t lost_up_to;
};

static void note(void *ctx, const struct mvcc_event *e)
{
	struct followed *x = ctx;
	pthread_mutex_lock(&x->lock);
	if (e->created)
		writer_raw(&x->lines, "new ", 4);
	if (e->attributes)
		writer_raw(&x->lines, "attributes ", 11);
	watch_format_line(&x->lines, e);
	pthread_mutex_unlock(&x->lock);
	sem_post(&x->seen);
	if (atomic_exchange(&x->held, false))
		sem_wait(&x->go);
}

static int note_idle(void *ctx)
{
	struct followed *x = ctx;
	int again_ms = atomic_exchange(&x->again_ms, -1);
	sem_post(&x->idle);
	return again_ms;
}

static void note_lost(void *ctx, uint64_t revision)
{
	struct followed *x = ctx;
	x->lost_up_to = revision;
	sem_post(&x->lost);
}

static void wait_for(sem_t *sem, int count)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	while (count-- > 0)
		assert_int_equal(sem_timedwait(sem, &until), 0);
}

static int follow_setup(void **state)
{
	struct followed *x = calloc(1, sizeof(*x));
	assert_non_null(x);
	world_make(&x->w);
	x->h = watch_hub_new(x->w.m);
	pthread_mutex_init(&x->lock, NULL);
	sem_init(&x->seen, 0, 0);
	sem_init(&x->lost, 0, 0);
	sem_init(&x->idle, 0, 0);
	sem_init(&x->go, 0, 0);
	x->again_ms = -1;
	const struct follow_events events = {.ctx = x, .event = note, .idle = note_idle, .lost = note_lost};
	assert_int_equal(follow_start(x->h, "follow", &events, &x->f), 0);
	/* It has looked, and does so again only when it is told. */
	wait_for(&x->idle, 1);
	*state = x;
	return 0;
}

static int follow_teardown(void **state)
{
	struct followed *x = *state;
	follow_end(x->f);
	writer_free(&x->lines);
	watch_hub_free(x->h);
	return teardown(state);
}

static const char *seen(struct followed *x)
{
	pthread_mutex_lock(&x->lock);
	writer_u8(&x->lines, 0);
	pthread_mutex_unlock(&x->lock);
	return (const char *)x->lines.data;
}

static void each_change_is_handed_over_once_and_says_what_kind_it_is(void **state)
{
	struct followed *x = *state;
	struct world *w = &x->w;
	put(w, "d/k", "1");
	put(w, "d/k", "2");
	RUN(w, .type = COMMAND_SETATTR, .key = text("d/k"), .set_mask = SET_MODE, .mode = 0600);
	rename_flags(w, "d/k", "d/l", 0);
	RUN(w, .type = COMMAND_UNLINK, .key = text("d/l"));
	watch_hub_applied(x->h);
	wait_for(&x->seen, 6);
	assert_string_equal(seen(x),
			    "new 2\tput\td\nnew 2\tput\td/k\n3\tput\td/k\nattributes 4\tput\td/k\n5\trename\td/k\td/l\n6\tdelete\td/l\n");
}

static void nothing_is_handed_over_before_those_who_asked_for_it_were_told(void **state)
{
	struct followed *x = *state;
	struct timespec until;
	x->held = true;
	put(&x->w, "a", "1");
	watch_hub_applied(x->h);
	wait_for(&x->seen, 1);
	/* Applied, but apply has not come to the end of its batch. The follower, which looks for more once it is done with the first, finds it. */
	put(&x->w, "b", "1");
	sem_post(&x->go);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 50000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	assert_int_equal(sem_timedwait(&x->seen, &until), -1);
	watch_hub_applied(x->h);
	wait_for(&x->seen, 1);
	assert_string_equal(seen(x), "new 2\tput\ta\nnew 3\tput\tb\n");
}

static void who_wants_to_be_called_again_is(void **state)
{
	struct followed *x = *state;
	x->again_ms = 20;
	int64_t begin = clock_mono_ns();
	follow_stir(x->f);
	wait_for(&x->idle, 2);
	assert_true(clock_mono_ns() - begin >= 20000000);
}

static void who_falls_behind_compaction_is_told_and_goes_on_from_now(void **state)
{
	struct followed *x = *state;
	struct world *w = &x->w;
	for (int i = 0; i < 10; i++)
		put(w, "a", i % 2 ? "1" : "2");
	RUN(w, .type = COMMAND_COMPACT, .revision = 9);
	watch_hub_applied(x->h);
	wait_for(&x->lost, 1);
	assert_int_equal(x->lost_up_to, 11);
	put(w, "b", "1");
	watch_hub_applied(x->h);
	wait_for(&x->seen, 1);
	assert_string_equal(seen(x), "new 12\tput\tb\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_change_is_handed_over_once_and_says_what_kind_it_is, follow_setup, follow_teardown),
		cmocka_unit_test_setup_teardown(nothing_is_handed_over_before_those_who_asked_for_it_were_told, follow_setup,
						follow_teardown),
		cmocka_unit_test_setup_teardown(who_wants_to_be_called_again_is, follow_setup, follow_teardown),
		cmocka_unit_test_setup_teardown(who_falls_behind_compaction_is_told_and_goes_on_from_now, follow_setup, follow_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
