/* Clusters that grow, shrink, lose machines for good, and get back machines that have forgotten everything. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The nodes from the first on, `count` of them, as node i's cluster=. */
static void list_for(struct cluster *c, int i, int count)
{
	char *list = c->nodes[i].cluster;
	size_t at = 0;
	for (int m = 0; m < count; m++)
		at += (size_t)snprintf(list + at, sizeof(c->nodes[i].cluster) - at, "%s%s=127.0.0.1:%d", m ? "/" : "", c->nodes[m].name,
				       c->nodes[m].port);
}

static const char *address(const struct cluster *c, int i)
{
	return path("127.0.0.1:%d", c->nodes[i].port);
}

/* tallyctl against node i, with an expected exit status; a refusal must name `word` on its one line. */
#define expect(c, i, status_wanted, word, ...)                                                                                             \
	do {                                                                                                                               \
		struct run_result r_;                                                                                                      \
		tallyctl(c, i, &r_, __VA_ARGS__, NULL);                                                                                    \
		check(&r_, __LINE__, status_wanted, word);                                                                                 \
	} while (0)

static void check(struct run_result *r, int line, int status, const char *word)
{
	const char *end = strchr(r->err, '\n');
	bool one_line = end && end[1] == '\0';
	if (r->status != status || (status != 0 && (!one_line || !strstr(r->err, word))))
		cluster_fail("line %d: status %d, said: %s, and on stderr: %s", line, r->status, r->out, r->err);
	run_done(r);
}

/* --- what @members and @status say --- */

struct sight {
	const struct cluster *c;
	int viewer;
	const char *name;
	const char *what;
};

/* The words of `name`'s line in the viewer's @members; false if there is none. */
static bool member_line(const struct cluster *c, int viewer, const char *name, char id[32], char role[16])
{
	char text[4096], of[64];
	if (file_read(path("%s/@members", c->nodes[viewer].mount), text, sizeof(text)) < 0)
		return false;
	for (char *line = text, *rest; (line = strtok_r(line, "\n", &rest)); line = NULL)
		if (sscanf(line, "%31s %63s %*s %15s", id, of, role) == 3 && strcmp(of, name) == 0)
			return true;
	return false;
}

static bool has_role(void *ctx)
{
	const struct sight *s = ctx;
	char id[32], role[16];
	bool listed = member_line(s->c, s->viewer, s->name, id, role);
	return strcmp(listed ? role : "none", s->what) == 0;
}

/* Waits until the viewer sees `name` as a "voter", a "learner" or not at all ("none"). */
static void await_role(const struct cluster *c, int viewer, const char *name, const char *role)
{
	struct sight s = {c, viewer, name, role};
	if (!wait_until(has_role, &s, CLUSTER_WAIT_MS))
		cluster_fail("%s does not become %s in the eyes of %s", name, role, c->nodes[viewer].name);
}

static bool health_says(void *ctx)
{
	const struct sight *s = ctx;
	char text[400];
	return node_field(s->c, s->viewer, "health", text, sizeof(text)) && strstr(text, s->what);
}

static void await_health(const struct cluster *c, int i, const char *word)
{
	struct sight s = {.c = c, .viewer = i, .what = word};
	if (!wait_until(health_says, &s, CLUSTER_WAIT_MS)) {
		char text[400] = "";
		node_field(c, i, "health", text, sizeof(text));
		cluster_fail("the health of %s does not say \"%s\": %s", c->nodes[i].name, word, text);
	}
}

static void wipe(struct cluster *c, int i)
{
	dir_remove(c->nodes[i].data);
	assert_int_equal(mkdir(c->nodes[i].data, 0700), 0);
}

/* --- a load that must never notice --- */

struct load {
	struct cluster *c;
	pthread_t thread;
	atomic_bool stop;
	int error;
	int written;
};

static void *write_on(void *arg)
{
	struct load *l = arg;
	while (!atomic_load(&l->stop) && l->error == 0) {
		l->error = file_write(path("%s/load-%d", l->c->nodes[0].mount, l->written), path("%d", l->written));
		l->written += l->error == 0;
	}
	return NULL;
}

static void load_begin(struct load *l, struct cluster *c)
{
	*l = (struct load){.c = c};
	assert_int_equal(pthread_create(&l->thread, NULL, write_on, l), 0);
}

static void load_end(struct load *l)
{
	atomic_store(&l->stop, true);
	pthread_join(l->thread, NULL);
	if (l->error)
		cluster_fail("write number %d failed: %s", l->written, strerror(-l->error));
}

static void check_load(const struct load *l, int node)
{
	for (int i = 0; i < l->written; i++)
		if (!file_is(path("%s/load-%d", l->c->nodes[node].mount, i), path("%d", i)))
			cluster_fail("%s has lost load-%d of %d", l->c->nodes[node].name, i, l->written);
}

/* Node i is asked for as a member, and started; the cluster is then one of i + 1. */
static void grow(struct cluster *c, int i)
{
	list_for(c, i, i + 1);
	expect(c, 0, 0, "", "member", "add", c->nodes[i].name, address(c, i));
	node_start(c, i);
	await_role(c, 0, c->nodes[i].name, "voter");
	await_role(c, i, c->nodes[i].name, "voter");
}

static void a_cluster_grows_from_one_to_five_and_shrinks_again_under_load(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(5, NULL);
	struct load l;
	list_for(c, 0, 1);
	node_start(c, 0);
	cluster_leader(c);
	load_begin(&l, c);
	for (int i = 1; i < 5; i++)
		grow(c, i);
	load_end(&l);
	for (int i = 0; i < 5; i++)
		check_load(&l, i);
	load_begin(&l, c);
	for (int i = 4; i > 0; i--) {
		expect(c, i % 2, 0, "", "member", "remove", c->nodes[i].name);
		await_role(c, 0, c->nodes[i].name, "none");
		await_health(c, i, "removed");
		assert_int_equal(node_end(c, i), 0);
	}
	load_end(&l);
	check_load(&l, 0);
	expect(c, 0, 1, "last voter", "member", "remove", "n1");
}

static void a_dead_member_is_replaced_with_one_command_each(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(4, NULL);
	for (int i = 0; i < 3; i++) {
		list_for(c, i, 3);
		node_spawn(c, i);
	}
	for (int i = 0; i < 3; i++)
		node_wait(c, i);
	int leader = cluster_leader(c), dead = leader == 2 ? 1 : 2;
	int other = 3 - leader - dead;
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "kept"), 0);
	cluster_agree(c);
	node_kill(c, dead);
	expect(c, other, 0, "", "member", "remove", c->nodes[dead].name);
	expect(c, other, 0, "", "member", "add", "n4", address(c, 3));
	/* Started with a list of its own: the members that it knows of, and itself. */
	snprintf(c->nodes[3].cluster, sizeof(c->nodes[3].cluster), "%s=%s/n4=%s", c->nodes[other].name, address(c, other), address(c, 3));
	node_start(c, 3);
	await_role(c, other, "n4", "voter");
	assert_true(file_is(path("%s/f", c->nodes[3].mount), "kept"));
	/* It counts: with it alone the other one goes on. */
	node_kill(c, leader);
	cluster_leader(c);
	assert_int_equal(file_write(path("%s/g", c->nodes[3].mount), "goes on"), 0);
	assert_true(file_is(path("%s/g", c->nodes[other].mount), "goes on"));
}

static void a_follower_that_lost_its_data_comes_back_by_itself(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	char before[32], id[32], role[16];
	int lost = (cluster_leader(c) + 1) % 3, other = (lost + 1) % 3;
	for (int i = 0; i < 20; i++)
		assert_int_equal(file_write(path("%s/f%d", c->nodes[0].mount, i), path("%d", i)), 0);
	assert_true(member_line(c, other, c->nodes[lost].name, before, role));
	/* Twice: the second life is no more to be believed than the first. */
	for (int round = 0; round < 2; round++) {
		node_kill(c, lost);
		wipe(c, lost);
		node_start(c, lost);
		await_role(c, lost, c->nodes[lost].name, "voter");
		await_role(c, other, c->nodes[lost].name, "voter");
		assert_true(member_line(c, other, c->nodes[lost].name, id, role));
		assert_string_not_equal(id, before);
		memcpy(before, id, sizeof(before));
		for (int i = 0; i < 20; i++)
			assert_true(file_is(path("%s/f%d", c->nodes[lost].mount, i), path("%d", i)));
	}
	await_health(c, lost, "ok");
	/* It is a member like any other: it survives a restart, and one of the others. */
	assert_int_equal(node_end(c, lost), 0);
	node_start(c, lost);
	node_kill(c, other);
	cluster_leader(c);
	assert_int_equal(file_write(path("%s/again", c->nodes[lost].mount), "yes"), 0);
}

struct lost {
	const struct cluster *c;
	int lost, keeper;
	bool known; /* to the one that answers */
};

/* Who began with a first id was noted by a majority, so by one of the others at least. If that is only the one that is away, its word is waited for. */
static bool waits_without_its_data(void *ctx)
{
	struct lost *l = ctx;
	char text[400];
	if (!node_field(l->c, l->lost, "health", text, sizeof(text)))
		return false;
	l->known = strstr(text, "took part before");
	return l->known || strcmp(text, path("new: waits for the other members to answer: %s", l->c->nodes[l->keeper].name)) == 0;
}

/* The entry is on n1 and n3 alone. n3 forgets it, and n1 is away: n2 and n3 are two of three, and must not go on without it. */
static void a_node_without_its_data_cannot_cause_a_lost_write(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "timeout=2s");
	cluster_agree(c);
	int keeper = cluster_leader(c), behind = (keeper + 1) % 3, lost = (keeper + 2) % 3;
	node_stop(c, behind);
	assert_int_equal(file_write(path("%s/precious", c->nodes[keeper].mount), "acknowledged"), 0);
	node_kill(c, lost);
	node_kill(c, keeper);
	wipe(c, lost);
	node_continue(c, behind);
	node_start(c, lost);
	struct lost l = {.c = c, .lost = lost, .keeper = keeper};
	assert_true(wait_until(waits_without_its_data, &l, CLUSTER_WAIT_MS));
	if (l.known)
		await_health(c, behind, "lost its data");
	assert_int_equal(file_write(path("%s/f", c->nodes[behind].mount), "x"), -ETIMEDOUT);
	char leader[32];
	assert_true(node_field(c, behind, "leader", leader, sizeof(leader)));
	assert_string_equal(leader, "none");
	/* With the keeper back everything is there, on all three. */
	node_start(c, keeper);
	await_role(c, keeper, c->nodes[lost].name, "voter");
	for (int i = 0; i < 3; i++)
		assert_true(file_is(path("%s/precious", c->nodes[i].mount), "acknowledged"));
}

static void a_removed_node_learns_it_and_disturbs_nobody(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int leader = cluster_leader(c), gone = (leader + 1) % 3, other = (leader + 2) % 3;
	assert_int_equal(file_write(path("%s/f", c->nodes[gone].mount), "before"), 0);
	/* Removed while it is down, so that only others can tell it. (It ends well: what it had applied it will still have.) */
	assert_int_equal(node_end(c, gone), 0);
	expect(c, other, 0, "", "member", "remove", c->nodes[gone].name);
	uint64_t term = node_number(c, leader, "term");
	node_start(c, gone);
	await_health(c, gone, "removed from the cluster");
	assert_int_equal(file_write(path("%s/f", c->nodes[leader].mount), "after"), 0);
	assert_int_equal(node_number(c, leader, "term"), term);
	assert_int_equal(node_number(c, other, "term"), term);
	struct run_result r;
	tallyctl(c, gone, &r, "get", "f", "--consistency", "serial", NULL);
	assert_int_equal(r.status, 0);
	assert_string_equal(r.out, "before");
	run_done(&r);
	assert_int_equal(node_end(c, gone), 0);
}

static void leadership_moves_and_a_leader_that_is_removed_hands_over_first(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	int leader = cluster_leader(c), next = (leader + 1) % 3, third = (leader + 2) % 3;
	char id[32], role[16];
	expect(c, third, 0, "", "move-leader", c->nodes[next].name);
	assert_int_equal(cluster_leader(c), next);
	assert_true(member_line(c, third, c->nodes[third].name, id, role));
	expect(c, next, 0, "", "move-leader", id);
	assert_int_equal(cluster_leader(c), third);
	expect(c, third, 0, "", "member", "remove", c->nodes[third].name);
	assert_int_equal(node_end(c, third), 0);
	cluster_leader(c);
	assert_int_equal(file_write(path("%s/f", c->nodes[next].mount), "x"), 0);
}

static void what_cannot_be_done_is_refused_with_the_reason(void **state)
{
	(void)state;
	cluster_require();
	struct cluster *c = cluster_new(4, "timeout=4s");
	for (int i = 0; i < 3; i++) {
		list_for(c, i, 3);
		node_spawn(c, i);
	}
	for (int i = 0; i < 3; i++)
		node_wait(c, i);
	int leader = cluster_leader(c), a = (leader + 1) % 3, b = (leader + 2) % 3;
	expect(c, a, 1, "no such member", "member", "remove", "n9");
	expect(c, a, 1, "member already", "member", "add", "n1", "127.0.0.1:1");
	expect(c, a, 1, "address of", "member", "add", "n8", address(c, 0));
	expect(c, a, 1, "votes already", "member", "promote", "n2");
	expect(c, a, 2, "HOST:PORT", "member", "add", "n8", "nowhere");
	expect(c, a, 0, "", "member", "add", "n4", address(c, 3), "--learner");
	expect(c, a, 1, "has not caught up", "member", "promote", "n4");
	expect(c, a, 1, "learner", "move-leader", "n4");
	/* It learns, and does not count. */
	list_for(c, 3, 4);
	node_start(c, 3);
	assert_int_equal(file_write(path("%s/f", c->nodes[a].mount), "x"), 0);
	assert_true(file_is(path("%s/f", c->nodes[3].mount), "x"));
	await_role(c, 3, "n4", "learner");
	assert_true(node_field(c, 3, "role", (char[16]){0}, 16));
	node_kill(c, b);
	/* The leader takes it for alive for an election timeout. */
	const struct timespec timeout = {.tv_sec = 1};
	nanosleep(&timeout, NULL);
	expect(c, a, 1, "no majority", "member", "remove", c->nodes[a].name);
	node_kill(c, a);
	assert_int_equal(file_write(path("%s/f", c->nodes[leader].mount), "y"), -ETIMEDOUT);
	node_start(c, a);
	cluster_leader(c);
	expect(c, a, 0, "", "member", "promote", "n4");
	await_role(c, a, "n4", "voter");
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_cluster_grows_from_one_to_five_and_shrinks_again_under_load),
		STORY(a_dead_member_is_replaced_with_one_command_each),
		STORY(a_follower_that_lost_its_data_comes_back_by_itself),
		STORY(a_node_without_its_data_cannot_cause_a_lost_write),
		STORY(a_removed_node_learns_it_and_disturbs_nobody),
		STORY(leadership_moves_and_a_leader_that_is_removed_hands_over_first),
		STORY(what_cannot_be_done_is_refused_with_the_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
