/* Three hosts, cut off from each other in turn, that count up one number under a lock: two sides of a partition never both hold it. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/netns.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TTL_S 2
#define HOLD_MS 60
#define NUMBERS_MAX 1000000u

static void pass_time(int ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	nanosleep(&t, NULL);
}

static bool range(int fd, int command, short type)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET};
	return fcntl(fd, command, &l) == 0;
}

/* Shared with the children: who is between reading and writing, 1 to 3, and how often somebody began that. */
static struct {
	atomic_int holder;
	atomic_uint turns;
} * shown;

/* Reads, adds one, writes, syncs; 0 if any of it failed. What it returns was acknowledged. */
static uint64_t count_up(int fd, int host)
{
	char text[32];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	uint64_t next = strtoull(text, NULL, 10) + 1;
	shown->holder = host + 1;
	shown->turns++;
	pass_time(HOLD_MS);
	int size = snprintf(text, sizeof(text), "%020" PRIu64 "\n", next);
	return pwrite(fd, text, (size_t)size, 0) == size && fsync(fd) == 0 ? next : 0;
}

/* Until it is killed. A line for each number that was acknowledged; a descriptor that fails is closed, as after a lost lock nothing else helps. */
static void counter(const char *file, const char *acknowledged, int host)
{
	FILE *log = fopen(acknowledged, "ae");
	for (;;) {
		int fd = open(file, O_RDWR | O_CLOEXEC);
		while (fd >= 0 && range(fd, F_SETLKW, F_WRLCK)) {
			uint64_t number = count_up(fd, host);
			if (!number)
				break;
			fprintf(log, "%" PRIu64 "\n", number);
			fflush(log);
			if (!range(fd, F_SETLK, F_UNLCK))
				break;
		}
		if (fd >= 0)
			close(fd);
		else
			pass_time(10);
	}
}

/* Marks the numbers of one host; how many. Each was acknowledged once, whoever did it. */
static uint32_t gather(const struct cluster *c, int host, uint8_t *seen)
{
	uint64_t number;
	uint32_t count = 0;
	FILE *log = fopen(path("%s/acknowledged%d", c->dir, host), "re");
	assert_non_null(log);
	for (; fscanf(log, "%" SCNu64, &number) == 1; count++) {
		assert_in_range(number, 1, NUMBERS_MAX - 1);
		if (seen[number])
			cluster_fail("n%d and n%d both counted up to %" PRIu64, seen[number], host + 1, number);
		seen[number] = (uint8_t)(host + 1);
	}
	fclose(log);
	return count;
}

static uint32_t lines_of(const struct cluster *c, int host)
{
	uint64_t number;
	uint32_t count = 0;
	FILE *log = fopen(path("%s/acknowledged%d", c->dir, host), "re");
	for (; log && fscanf(log, "%" SCNu64, &number) == 1; count++)
		;
	if (log)
		fclose(log);
	return count;
}

struct progress {
	const struct cluster *c;
	int cut; /* a host that is not asked; -1: none */
	uint32_t from[3];
};

static bool all_go_on(void *ctx)
{
	const struct progress *p = ctx;
	for (int i = 0; i < 3; i++)
		if (i != p->cut && lines_of(p->c, i) <= p->from[i])
			return false;
	return true;
}

static void expect_progress(const struct cluster *c, int cut)
{
	struct progress p = {.c = c, .cut = cut};
	for (int i = 0; i < 3; i++)
		p.from[i] = lines_of(c, i);
	if (!wait_until(all_go_on, &p, CLUSTER_WAIT_MS))
		cluster_fail("somebody waits for a lock for ever");
}

static bool turned(void *ctx)
{
	return shown->turns != *(unsigned *)ctx;
}

/* Who has just begun: it will be cut off before it has written. */
static int holder_now(void)
{
	unsigned turns = shown->turns;
	assert_true(wait_until(turned, &turns, CLUSTER_WAIT_MS));
	return shown->holder - 1;
}

static struct cluster *hosts_up(void)
{
	cluster_require();
	const char *why = netns_missing();
	if (why) {
		printf("# skip: %s\n", why);
		skip();
	}
	struct cluster *c = cluster_new(3, NULL);
	const char *secret = path("%s/secret", c->dir);
	assert_int_equal(file_write(secret, "what all of these hosts know"), 0);
	assert_int_equal(chmod(secret, 0600), 0);
	snprintf(c->options, sizeof(c->options), "secret=%s,lock_ttl=%ds,timeout=10s,heartbeat=40ms,election=200ms", secret, TTL_S);
	netns_up(c);
	cluster_start(c);
	return c;
}

static void two_sides_of_a_partition_never_both_hold_a_lock(void **state)
{
	static uint8_t seen[NUMBERS_MAX];
	(void)state;
	struct cluster *c = hosts_up();
	const char *long_run = getenv("LOCK_ROUNDS");
	int pids[3], cuts = long_run ? (int)strtol(long_run, NULL, 10) / 10 + 1 : rounds(2);
	shown = mmap(NULL, sizeof(*shown), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shown != MAP_FAILED);
	assert_int_equal(file_write(path("%s/n", c->nodes[0].mount), "00000000000000000000\n"), 0);
	for (int i = 0; i < 3; i++) {
		const char *file = path("%s/n", c->nodes[i].mount), *log = path("%s/acknowledged%d", c->dir, i);
		if ((pids[i] = fork()) == 0)
			counter(file, log, i);
	}
	expect_progress(c, -1);
	for (int i = 0; i < cuts; i++) {
		int host = holder_now();
		netns_link(host, false);
		/* The others go on, if not before the lock of the one that is away has run out. */
		expect_progress(c, host);
		pass_time(TTL_S * 1000);
		netns_link(host, true);
		expect_progress(c, -1);
	}
	uint32_t total = 0;
	for (int i = 0; i < 3; i++) {
		int status;
		kill(pids[i], SIGKILL);
		assert_true(run_wait(pids[i], CLUSTER_WAIT_MS, &status));
	}
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < 3; i++)
		total += gather(c, i, seen);
	char text[32];
	assert_true(file_read(path("%s/n", c->nodes[1].mount), text, sizeof(text)) > 0);
	uint64_t end = strtoull(text, NULL, 10);
	/* Some may have landed without an answer: one for each cut and each of the three at the end. */
	if (end < total || end > total + 3u * (uint32_t)cuts + 3)
		cluster_fail("%u were acknowledged, and it came to %" PRIu64, total, end);
	note("%d cuts, %u numbers acknowledged by three hosts, none twice; it came to %" PRIu64, cuts, total, end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(two_sides_of_a_partition_never_both_hold_a_lock, cluster_teardown)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
