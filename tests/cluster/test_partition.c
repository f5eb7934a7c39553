/* Nodes that are cut off (stopped, not dead): they answer late or not at all, never with what has been overwritten since. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES 3
#define READERS 4
/* What an operation may take beyond timeout= until the caller has its answer, on a busy machine. */
#define SLACK_S 1.0

struct pending_read {
	char name[160];
	char text[64];
	ssize_t got;
};

static void *read_now(void *arg)
{
	struct pending_read *p = arg;
	p->got = file_read(p->name, p->text, sizeof(p->text));
	return NULL;
}

/* Stops the leader, lets the others overwrite f, asks the old leader's mount while it is still stopped, and continues it. */
static int depose_and_ask(struct cluster *c, int round)
{
	pthread_t threads[READERS];
	struct pending_read reads[READERS];
	char fresh[32];
	int old = cluster_leader(c);
	snprintf(fresh, sizeof(fresh), "new-%d", round);
	assert_int_equal(file_write(path("%s/f", c->nodes[old].mount), path("old-%d", round)), 0);
	assert_true(file_is(path("%s/f", c->nodes[old].mount), path("old-%d", round)));
	node_stop(c, old);
	int leader = cluster_leader(c);
	assert_int_not_equal(leader, old);
	assert_int_equal(file_write(path("%s/f", c->nodes[leader].mount), fresh), 0);
	for (int i = 0; i < READERS; i++) {
		snprintf(reads[i].name, sizeof(reads[i].name), "%s/f", c->nodes[old].mount);
		assert_int_equal(pthread_create(&threads[i], NULL, read_now, &reads[i]), 0);
	}
	/* The requests must be waiting in the old leader's queue when it goes on; opening takes far less than this. */
	const struct timespec moment = {.tv_nsec = 20000000};
	nanosleep(&moment, NULL);
	node_continue(c, old);
	struct pending_read at_once;
	snprintf(at_once.name, sizeof(at_once.name), "%s/f", c->nodes[old].mount);
	read_now(&at_once);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	int answered = 0;
	for (int i = -1; i < READERS; i++) {
		const struct pending_read *p = i < 0 ? &at_once : &reads[i];
		if (p->got >= 0 && strcmp(p->text, fresh) != 0)
			cluster_fail("round %d: the old leader answered %s after %s was written", round, p->text, fresh);
		if (p->got < 0 && p->got != -ETIMEDOUT)
			cluster_fail("round %d: the old leader's read said %s", round, strerror((int)-p->got));
		answered += p->got >= 0;
	}
	return answered;
}

static void a_deposed_leader_never_answers_a_stale_linearizable_read(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	int count = rounds(20);
	int answered = 0;
	for (int round = 0; round < count; round++)
		answered += depose_and_ask(c, round);
	note("deposed leader: %d reads answered with the new value in %d rounds, none stale", answered, count);
	assert_true(answered > 0);
}

static void a_read_in_flight_when_the_leader_stops_is_old_or_new_and_never_lost(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	for (int round = 0; round < rounds(5); round++) {
		pthread_t thread;
		struct pending_read p;
		int old = cluster_leader(c);
		assert_int_equal(file_write(path("%s/f", c->nodes[old].mount), path("old-%d", round)), 0);
		node_stop(c, old);
		snprintf(p.name, sizeof(p.name), "%s/f", c->nodes[old].mount);
		assert_int_equal(pthread_create(&thread, NULL, read_now, &p), 0);
		int leader = cluster_leader(c);
		assert_int_equal(file_write(path("%s/f", c->nodes[leader].mount), path("new-%d", round)), 0);
		node_continue(c, old);
		pthread_join(thread, NULL);
		if (p.got >= 0)
			assert_true(strcmp(p.text, path("old-%d", round)) == 0 || strcmp(p.text, path("new-%d", round)) == 0);
		else
			assert_int_equal(p.got, -ETIMEDOUT);
		assert_true(file_is(p.name, path("new-%d", round)));
	}
}

static void a_write_that_outlives_its_leader_takes_effect_exactly_once(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	int acked = 0;
	for (int round = 0; round < rounds(5); round++) {
		int old = cluster_leader(c);
		int writer = (old + 1) % NODES;
		node_stop(c, old);
		/* Forwarded to a leader that does not answer: the next one must take it over, once. */
		acked += file_append(path("%s/log", c->nodes[writer].mount), path("line %d\n", round)) == 0;
		node_continue(c, old);
		cluster_leader(c);
	}
	char text[4096];
	int lines = 0;
	assert_true(file_read(path("%s/log", c->nodes[0].mount), text, sizeof(text)) >= 0);
	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
		*end = '\0';
		for (char *other = end + 1, *stop; (stop = strchr(other, '\n')) != NULL; other = stop + 1)
			assert_false(strncmp(line, other, (size_t)(stop - other)) == 0 && strlen(line) == (size_t)(stop - other));
	}
	assert_int_equal(acked, rounds(5));
	assert_int_equal(lines, acked);
}

/* Runs one operation and expects ETIMEDOUT after at least 0.9 and at most 1 + SLACK_S times the limit of one second. */
static void expect_timeout(const char *what, int error, double seconds)
{
	if (error != -ETIMEDOUT || seconds < 0.9 || seconds > 1 + SLACK_S)
		cluster_fail("%s: %s after %.2f s", what, error ? strerror(-error) : "done", seconds);
}

static void stop_all_but(struct cluster *c, int node)
{
	for (int i = 0; i < c->count; i++)
		if (i != node)
			node_stop(c, i);
}

static void continue_all(struct cluster *c)
{
	for (int i = 0; i < c->count; i++)
		if (c->nodes[i].stopped)
			node_continue(c, i);
	cluster_leader(c);
}

static void expect_no_quorum_on_linearizable(struct cluster *c, int node)
{
	struct stat st;
	const char *m = c->nodes[node].mount;
	double begin = now_seconds();
	int error = try_open(path("%s/f", m), O_RDONLY);
	expect_timeout("linearizable open", error, now_seconds() - begin);
	begin = now_seconds();
	error = stat(path("%s/f", m), &st) < 0 ? -errno : 0;
	expect_timeout("linearizable stat", error, now_seconds() - begin);
	begin = now_seconds();
	error = mkdir(path("%s/newdir", m), 0755) < 0 ? -errno : 0;
	if (error != -ETIMEDOUT || now_seconds() - begin > 2 + 2 * SLACK_S)
		cluster_fail("mkdir: %s after %.2f s", strerror(-error), now_seconds() - begin);
	begin = now_seconds();
	char role[32];
	assert_true(node_field(c, node, "role", role, sizeof(role)));
	assert_true(now_seconds() - begin < 0.5);
}

/* Whether the line took effect cannot be known, so it is not written again; and nobody is told that it was. */
static void an_append_of_unknown_outcome_is_reported_by_every_fsync_and_close(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(NODES, "timeout=1s");
	cluster_start(c);
	const char *f = path("%s/log", c->nodes[0].mount);
	assert_int_equal(file_write(f, "one\n"), 0);
	int fd = open(f, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	stop_all_but(c, 0);
	assert_int_equal(write(fd, "two\n", 4), 4);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fsync(fd), -1);
		assert_int_equal(errno, ETIMEDOUT);
	}
	continue_all(c);
	assert_int_equal(fsync(fd), -1);
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, ETIMEDOUT);
}

static void without_a_quorum_linearizable_times_out_and_serial_answers(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(NODES, "timeout=1s");
	snprintf(c->nodes[2].options, sizeof(c->nodes[2].options), "consistency=serial");
	cluster_start(c);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "value"), 0);
	cluster_agree(c);

	stop_all_but(c, 0);
	expect_no_quorum_on_linearizable(c, 0);
	continue_all(c);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "value"));

	cluster_agree(c);
	stop_all_but(c, 2);
	for (int i = 0; i < 100; i++) {
		double begin = now_seconds();
		assert_true(file_is(path("%s/f", c->nodes[2].mount), "value"));
		assert_true(now_seconds() - begin < 0.5);
	}
	double begin = now_seconds();
	int error = file_write(path("%s/f", c->nodes[2].mount), "lost or late");
	expect_timeout("write on a serial mount", error, now_seconds() - begin);
	continue_all(c);
	assert_int_equal(file_write(path("%s/f", c->nodes[1].mount), "after"), 0);
	cluster_agree(c);
	for (int i = 0; i < NODES; i++)
		assert_true(file_is(path("%s/f", c->nodes[i].mount), "after"));
}

struct no_leader {
	struct cluster *c;
	int node;
};

static bool knows_no_leader(void *ctx)
{
	const struct no_leader *w = ctx;
	char leader[64];
	return node_field(w->c, w->node, "leader", leader, sizeof(leader)) && strcmp(leader, "none") == 0;
}

static double seconds_to_read(const char *name, const char *expected)
{
	char text[65536];
	double begin = now_seconds();
	ssize_t size = file_read(name, text, sizeof(text));
	if (size <= 0 || !strstr(text, expected))
		cluster_fail("%s: %s", name, size < 0 ? strerror((int)-size) : "not as expected");
	return now_seconds() - begin;
}

static void expect_control_files(struct cluster *c, int node)
{
	static const char *const files[][2] = {{"@status", "health: "}, {"@members", "voter"}, {"@metrics", "# TYPE"}};
	const char *m = c->nodes[node].mount;
	for (size_t i = 0; i < 3; i++) {
		double seconds = seconds_to_read(path("%s/%s", m, files[i][0]), files[i][1]);
		if (seconds > 0.5)
			cluster_fail("%s took %.2f s", files[i][0], seconds);
	}
}

static void control_files_never_wait_for_the_cluster(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, "timeout=3s");
	const char *m = c->nodes[1].mount;
	struct stat st;
	assert_int_equal(file_write(path("%s/f", m), "value"), 0);
	cluster_agree(c);
	stop_all_but(c, 1);
	expect_control_files(c, 1);
	/* And when it is known that nobody leads. */
	struct no_leader w = {c, 1};
	assert_true(wait_until(knows_no_leader, &w, CLUSTER_WAIT_MS));
	expect_control_files(c, 1);
	/* The root itself is another matter. */
	assert_int_equal(stat(m, &st), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(try_open(m, O_RDONLY | O_DIRECTORY), -ETIMEDOUT);
	assert_int_equal(try_open(path("%s/f", m), O_RDONLY), -ETIMEDOUT);
	continue_all(c);
	assert_true(file_is(path("%s/f", m), "value"));
}

static void two_of_three_ended_and_restarted_agree_again(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, "timeout=1s");
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "value"), 0);
	int stays = cluster_leader(c);
	for (int i = 0; i < NODES; i++)
		if (i != stays)
			assert_int_equal(node_end(c, i), 0);
	expect_no_quorum_on_linearizable(c, stays);
	for (int i = 0; i < NODES; i++)
		if (i != stays)
			node_start(c, i);
	cluster_leader(c);
	for (int i = 0; i < NODES; i++)
		assert_true(file_is(path("%s/f", c->nodes[i].mount), "value"));
	assert_int_equal(file_write(path("%s/f", c->nodes[stays].mount), "after"), 0);
	cluster_agree(c);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_deposed_leader_never_answers_a_stale_linearizable_read),
		STORY(a_read_in_flight_when_the_leader_stops_is_old_or_new_and_never_lost),
		STORY(a_write_that_outlives_its_leader_takes_effect_exactly_once),
		STORY(an_append_of_unknown_outcome_is_reported_by_every_fsync_and_close),
		STORY(without_a_quorum_linearizable_times_out_and_serial_answers),
		STORY(control_files_never_wait_for_the_cluster),
		STORY(two_of_three_ended_and_restarted_agree_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
