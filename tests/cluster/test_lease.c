/* Leases, locks and elections through tallyctl: they end in time and not before, whoever leads, and hold one at a time. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The id, which lives until the next call. */
static const char *grant(const struct cluster *c, int node, const char *ttl)
{
	static char id[32];
	struct run_result r;
	tallyctl(c, node, &r, "lease", "grant", ttl, NULL);
	if (r.status != 0 || sscanf(r.out, "lease %31s granted", id) != 1)
		cluster_fail("lease grant: %s%s", r.out, r.err);
	run_done(&r);
	return id;
}

static void put_with(const struct cluster *c, int node, const char *key, const char *lease)
{
	struct run_result r;
	tallyctl(c, node, &r, "put", key, "v", "--lease", lease, NULL);
	if (r.status != 0)
		cluster_fail("put: %s", r.err);
	run_done(&r);
}

static bool is_gone(void *ctx)
{
	return try_open(ctx, O_RDONLY) == -ENOENT;
}

static bool is_there(void *ctx)
{
	return try_open(ctx, O_RDONLY) == 0;
}

static void a_key_goes_with_its_lease_and_not_before(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	const char *key = path("%s/dir/k", c->nodes[2].mount);
	const char *kept = path("%s/kept", c->nodes[2].mount);
	double granted = now_seconds();
	put_with(c, 1, "dir/k", grant(c, 0, "2"));
	const char *lease = grant(c, 1, "2");
	put_with(c, 1, "kept", lease);
	const char *const keepalive[] = {tallyctl_binary(), "--endpoints", c->nodes[0].data, "lease", "keepalive", lease, NULL};
	int pid = run_spawn(keepalive, path("%s/keepalive", c->dir));
	assert_true(pid > 0);
	assert_true(is_there((void *)key));
	assert_true(wait_until(is_gone, (void *)key, CLUSTER_WAIT_MS));
	double lived = now_seconds() - granted;
	if (lived < 2)
		cluster_fail("the key of a lease of 2 s lived for %.2f s", lived);
	assert_true(is_there((void *)kept));
	int status;
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_true(run_wait(pid, CLUSTER_WAIT_MS, &status));
	assert_int_equal(status, 0);
	assert_true(wait_until(is_gone, (void *)kept, CLUSTER_WAIT_MS));
	note("a lease of 2 s ended after %.2f s", lived);
}

static void a_new_leader_gives_a_lease_its_whole_time(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int leader = cluster_leader(c);
	int other = (leader + 1) % 3;
	const char *key = path("%s/k", c->nodes[other].mount);
	const char *lease = grant(c, other, "3");
	put_with(c, other, "k", lease);
	/* Most of its time passes before the leader dies. */
	assert_false(wait_until(is_gone, (void *)key, 2000));
	node_kill(c, leader);
	double killed = now_seconds();
	assert_true(wait_until(is_gone, (void *)key, CLUSTER_WAIT_MS));
	double lived = now_seconds() - killed;
	if (lived < 3)
		cluster_fail("a lease of 3 s ended %.2f s after the death of its leader", lived);
	note("a lease of 3 s ended %.2f s after the death of its leader", lived);
}

#define CONTENDERS 20

/* Nobody but who holds the lock may read and write the counter in between. */
static void twenty_contenders_on_three_nodes_hold_a_lock_one_at_a_time(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int pids[CONTENDERS];
	int each = rounds(3);
	assert_int_equal(file_write(path("%s/counter", c->nodes[0].mount), "0"), 0);
	for (int i = 0; i < CONTENDERS; i++) {
		const struct cluster_node *n = &c->nodes[i % 3];
		const char *counter = path("%s/counter", n->mount);
		const char *script =
			path("for i in $(seq %d); do %s --endpoints %s --timeout 20s lock locks/one sh -c 'n=$(cat %s) && echo "
			     "$((n+1)) >%s' || exit 1; done",
			     each, tallyctl_binary(), n->data, counter, counter);
		const char *const argv[] = {"sh", "-c", script, NULL};
		pids[i] = run_spawn(argv, path("%s/contender%d", c->dir, i));
		assert_true(pids[i] > 0);
	}
	for (int i = 0; i < CONTENDERS; i++) {
		int status = -1;
		if (!run_wait(pids[i], 2 * CLUSTER_WAIT_MS, &status) || status != 0)
			cluster_fail("contender %d ended with %d: %s", i, status,
				     file_load(path("%s/contender%d", c->dir, i), &(size_t){0}));
	}
	assert_true(file_is(path("%s/counter", c->nodes[1].mount), path("%d\n", CONTENDERS * each)));
	/* All of them have given it back. */
	char names[256];
	dir_names(path("%s/locks/one", c->nodes[2].mount), names, sizeof(names));
	assert_string_equal(names, "");
}

static bool has_said_it(void *ctx)
{
	char text[64] = "";
	return file_read(ctx, text, sizeof(text)) > 0 && strchr(text, '\n');
}

static void a_lock_whose_holder_died_is_free_after_its_time(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	struct run_result r;
	const char *log = path("%s/holder", c->dir);
	const char *const holder[] = {tallyctl_binary(), "--endpoints", c->nodes[0].data, "lock", "l", "--ttl", "2", NULL};
	int pid = run_spawn(holder, log);
	assert_true(pid > 0);
	assert_true(wait_until(has_said_it, (void *)log, CLUSTER_WAIT_MS));
	assert_int_equal(kill(pid, SIGKILL), 0);
	double killed = now_seconds();
	tallyctl(c, 0, &r, "lock", "l", "sh", "-c", "exit 5", NULL);
	assert_int_equal(r.status, 5);
	assert_true(now_seconds() - killed > 1);
	run_done(&r);
}

struct election {
	const struct cluster *cluster;
	bool over[3];
	int winner;
};

static bool somebody_won(void *ctx)
{
	struct election *e = ctx;
	for (e->winner = 0; e->winner < 3; e->winner++)
		if (!e->over[e->winner] && has_said_it((void *)path("%s/elect%d", e->cluster->dir, e->winner)))
			return true;
	return false;
}

static void elections_have_one_winner_and_then_the_next(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int pids[3];
	struct election e = {.cluster = c};
	for (int i = 0; i < 3; i++) {
		const char *const argv[] = {tallyctl_binary(),      "--endpoints", c->nodes[i].data, "elect", "boss",
					    path("candidate%d", i), NULL};
		pids[i] = run_spawn(argv, path("%s/elect%d", c->dir, i));
		assert_true(pids[i] > 0);
	}
	for (int turn = 0; turn < 3; turn++) {
		int status;
		assert_true(wait_until(somebody_won, &e, CLUSTER_WAIT_MS));
		for (int i = 0; i < 3; i++)
			assert_true(i == e.winner || e.over[i] || file_is(path("%s/elect%d", c->dir, i), ""));
		e.over[e.winner] = true;
		assert_int_equal(kill(pids[e.winner], SIGTERM), 0);
		assert_true(run_wait(pids[e.winner], CLUSTER_WAIT_MS, &status));
		assert_int_equal(status, 0);
	}
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_key_goes_with_its_lease_and_not_before),
		STORY(a_new_leader_gives_a_lease_its_whole_time),
		STORY(twenty_contenders_on_three_nodes_hold_a_lock_one_at_a_time),
		STORY(a_lock_whose_holder_died_is_free_after_its_time),
		STORY(elections_have_one_winner_and_then_the_next),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
