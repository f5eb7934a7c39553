/* One writer, many readers, and commits under way all the time. */
#include "test_mvcc.h"

#include <pthread.h>
#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define COMMANDS 3000
#else
#define COMMANDS 20000
#endif
#define PAIRS 50
#define READERS 3

struct race {
	struct fixture *f;
	atomic_bool over;
	atomic_int failures;
	_Atomic uint64_t reads;
};

static void fail_race(struct race *race, const char *what, uint64_t a, uint64_t b)
{
	if (atomic_fetch_add(&race->failures, 1) == 0)
		print_error("%s: %llu, %llu\n", what, (unsigned long long)a, (unsigned long long)b);
}

/* The number in a key's content, and the revision that wrote it. 0: no such key. */
static uint64_t number_in(struct race *race, const char *key, uint64_t rev, uint64_t *written)
{
	struct record r = {0};
	uint64_t number = 0;
	int error = mvcc_get(race->f->m, text(key), rev, &r);
	if (error == -ENOENT)
		return 0;
	if (error || mvcc_read(race->f->m, &r, 0, &number, sizeof number) != sizeof number)
		fail_race(race, "cannot be read", (uint64_t)-error, 0);
	*written = r.stored.main;
	record_done(&r);
	return number;
}

static int pair_in_range(void *ctx, const struct record *r)
{
	uint64_t *seen = ctx;
	memcpy(&seen[((const char *)r->key.data)[0] == 'b'], r->data.data, sizeof *seen);
	return 0;
}

static void *reader(void *arg)
{
	struct race *race = arg;
	uint64_t last[PAIRS] = {0};
	uint64_t revision = 0;
	for (unsigned i = 0; !atomic_load(&race->over); i++) {
		char a[16], b[16];
		unsigned k = i % PAIRS;
		uint64_t now = mvcc_revision(race->f->m), at = 0, at_b = 0;
		if (now < revision)
			fail_race(race, "the store went backwards", revision, now);
		revision = now;
		snprintf(a, sizeof a, "a%02u", k);
		snprintf(b, sizeof b, "b%02u", k);
		uint64_t number = number_in(race, a, 0, &at);
		if (number < last[k])
			fail_race(race, "a key went backwards", last[k], number);
		last[k] = number;
		if (number > 0 && number_in(race, b, at, &at_b) != number)
			fail_race(race, "half a command was seen", at, at_b);
		if (i % 64 == 0) {
			uint64_t seen[2] = {0};
			mvcc_range(race->f->m, text("a00"), text("a01"), now, 0, pair_in_range, seen);
			mvcc_range(race->f->m, text("b00"), text("b01"), now, 0, pair_in_range, seen);
			if (seen[0] != seen[1])
				fail_race(race, "a range saw half a command", seen[0], seen[1]);
		}
		atomic_fetch_add(&race->reads, 1);
	}
	return NULL;
}

static void *flusher(void *arg)
{
	struct race *race = arg;
	while (!atomic_load(&race->over)) {
		uint64_t applied = mvcc_applied(race->f->m);
		if (mvcc_flush(race->f->m))
			fail_race(race, "flush failed", 0, 0);
		if (mvcc_durable(race->f->m) < applied)
			fail_race(race, "flushed but not durable", applied, mvcc_durable(race->f->m));
		if (mvcc_durable(race->f->m) > mvcc_applied(race->f->m))
			fail_race(race, "durable before it was applied", 0, 0);
	}
	return NULL;
}

static void write_pair(struct fixture *f, uint64_t number)
{
	char a[16], b[16];
	snprintf(a, sizeof a, "a%02u", (unsigned)(number % PAIRS));
	snprintf(b, sizeof b, "b%02u", (unsigned)(number % PAIRS));
	begin(f);
	put(f, a, S_IFREG | 0600, &number, sizeof number);
	put(f, b, S_IFREG | 0600, &number, sizeof number);
	end(f);
}

/* All threads may be slow to begin, and the writer quick to end. */
static void wait_until(struct race *race, uint64_t reads, uint64_t commits)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct mvcc_stats s = {0};
	for (int i = 0; i < 30000; i++) {
		mvcc_stats(race->f->m, &s);
		if (atomic_load(&race->reads) >= reads && s.commits >= commits)
			return;
		nanosleep(&pause, NULL);
	}
	fail_msg("%llu reads, %llu commits", (unsigned long long)atomic_load(&race->reads), (unsigned long long)s.commits);
}

static void readers_see_whole_commands_that_only_go_forward_while_commits_run(void **state)
{
	struct race race = {.f = *state};
	pthread_t threads[READERS + 1];
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &race), 0);
	assert_int_equal(pthread_create(&threads[READERS], NULL, flusher, &race), 0);
	wait_until(&race, 1, 0);
	for (uint64_t n = 1; n <= COMMANDS; n++) {
		write_pair(race.f, n);
		if (n == COMMANDS / 2)
			wait_until(&race, 1, 1);
	}
	wait_until(&race, 1, 2);
	atomic_store(&race.over, true);
	for (int i = 0; i <= READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&race.failures), 0);
	store_restart(race.f);
	assert_int_equal(mvcc_revision(race.f->m), 1 + COMMANDS);
	for (unsigned k = 0; k < PAIRS; k++) {
		char a[16];
		uint64_t at;
		snprintf(a, sizeof a, "a%02u", k);
		assert_in_range(number_in(&race, a, 0, &at), COMMANDS - PAIRS + 1, COMMANDS);
	}
}

static void *block_reader(void *arg)
{
	struct race *race = arg;
	static const size_t size = 2 * MVCC_BLOCK_BYTES;
	uint8_t *data = malloc(size);
	while (!atomic_load(&race->over)) {
		struct record r = {0};
		if (mvcc_get(race->f->m, text("large"), 0, &r))
			continue;
		if (mvcc_read(race->f->m, &r, 0, data, size) != (ssize_t)size || memchr(data, 0, size))
			fail_race(race, "a block is missing", r.stored.main, 0);
		else if (data[0] != data[size - 1] || data[0] != 1 + r.stored.main % 200)
			fail_race(race, "a block of another version", data[0], r.stored.main);
		record_done(&r);
		atomic_fetch_add(&race->reads, 1);
	}
	free(data);
	return NULL;
}

static void write_large(struct fixture *f, uint64_t ino)
{
	static uint8_t data[MVCC_BLOCK_BYTES];
	begin(f);
	uint64_t rev = mvcc_next_revision(f->m);
	struct record r = {.ino = ino, .mode = S_IFREG | 0600, .nlink = 1, .version = 1, .key = text("large")};
	r.size = 2 * MVCC_BLOCK_BYTES;
	r.created.main = r.modified.main = rev;
	memset(data, (int)(1 + rev % 200), sizeof data);
	mvcc_put(f->m, &r);
	for (uint32_t block = 0; block < 2; block++)
		mvcc_put_block(f->m, ino, block, (struct span){data, sizeof data});
	end(f);
}

/* More than the buffer may hold passes through it here, so the writer has to wait for the disk now and then. */
static void a_large_file_is_never_torn_while_its_versions_are_committed(void **state)
{
	struct race race = {.f = *state};
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, block_reader, &race), 0);
	for (int i = 0; i < COMMANDS / 8; i++)
		write_large(race.f, 2);
	atomic_store(&race.over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&race.failures), 0);
	assert_int_equal(mvcc_flush(race.f->m), 0);
}

static void what_is_buffered_is_committed_without_being_asked(void **state)
{
	struct fixture *f = *state;
	struct mvcc_stats s = {0};
	put_file(f, "k", "v");
	const struct timespec pause = {.tv_nsec = 1000000};
	for (int i = 0; i < 5000 && s.commits == 0; i++) {
		nanosleep(&pause, NULL);
		mvcc_stats(f->m, &s);
	}
	assert_int_equal(s.commits, 1);
	assert_string_equal(content(f, "k", 0), "v");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		STORY(readers_see_whole_commands_that_only_go_forward_while_commits_run),
		STORY(a_large_file_is_never_torn_while_its_versions_are_committed),
		STORY(what_is_buffered_is_committed_without_being_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
