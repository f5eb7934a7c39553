/* A cluster with a secret: who has it is in, who has not stays out, and the counters tell. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A secret's file in the cluster's folder. */
static const char *write_secret(struct cluster *c, const char *name, const char *content)
{
	const char *file = path("%s/%s", c->dir, name);
	assert_int_equal(file_write(file, content), 0);
	assert_int_equal(chmod(file, 0600), 0);
	return file;
}

static struct cluster *sealed_cluster(int count)
{
	cluster_require();
	struct cluster *c = cluster_new(count, NULL);
	snprintf(c->options, sizeof(c->options), "secret=%s", write_secret(c, "secret", "what all of us know\n"));
	return c;
}

struct counted {
	const struct cluster *c;
	int node;
	const char *field;
	uint64_t at_least;
};

static bool has_counted(void *ctx)
{
	const struct counted *w = ctx;
	char text[32];
	return node_field(w->c, w->node, w->field, text, sizeof(text)) && strtoull(text, NULL, 10) >= w->at_least;
}

static void wait_counted(const struct cluster *c, int node, const char *field)
{
	struct counted w = {c, node, field, 3};
	if (!wait_until(has_counted, &w, CLUSTER_WAIT_MS))
		cluster_fail("%s of n%d does not rise", field, node + 1);
}

static void expect_working(struct cluster *c, int writer, int reader, const char *text)
{
	assert_int_equal(file_write(path("%s/f", c->nodes[writer].mount), text), 0);
	assert_true(file_is(path("%s/f", c->nodes[reader].mount), text));
}

static void members_with_the_same_secret_are_a_cluster(void **state)
{
	(void)state;
	struct cluster *c = sealed_cluster(3);
	cluster_start(c);
	for (int i = 0; i < 3; i++)
		expect_working(c, i, (i + 1) % 3, path("by n%d", i + 1));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(node_number(c, i, "frames_unsealed"), 0);
		assert_int_equal(node_number(c, i, "frames_forged"), 0);
		assert_int_equal(node_number(c, i, "frames_replayed"), 0);
	}
}

/* Starts the third one of three with other options, and expects that it has no part in the cluster and that both sides count its frames under `field`. */
static void expect_outsider(const char *options, const char *content, const char *field)
{
	struct cluster *c = sealed_cluster(3);
	char ours[128];
	snprintf(ours, sizeof(ours), "%s/secret", c->dir);
	c->options[0] = '\0';
	for (int i = 0; i < 2; i++)
		snprintf(c->nodes[i].options, sizeof(c->nodes[i].options), "secret=%s", ours);
	if (content)
		snprintf(c->nodes[2].options, sizeof(c->nodes[2].options), "secret=%s,%s", write_secret(c, "other", content), options);
	else
		snprintf(c->nodes[2].options, sizeof(c->nodes[2].options), "%s", options);
	for (int i = 0; i < 3; i++)
		node_start(c, i);
	wait_counted(c, 0, field);
	wait_counted(c, 1, field);
	wait_counted(c, 2, field);
	char leader[64];
	assert_true(node_field(c, 2, "leader", leader, sizeof(leader)));
	assert_string_equal(leader, "none");
	expect_working(c, 0, 1, "without it");
	assert_int_equal(try_open(path("%s/f", c->nodes[2].mount), O_RDONLY), -ETIMEDOUT);
	/* Once it is given the secret, it is one of them. */
	assert_int_equal(node_end(c, 2), 0);
	snprintf(c->nodes[2].options, sizeof(c->nodes[2].options), "secret=%s", ours);
	node_start(c, 2);
	cluster_leader(c);
	assert_true(file_is(path("%s/f", c->nodes[2].mount), "without it"));
}

static void a_node_with_another_secret_cannot_join(void **state)
{
	(void)state;
	expect_outsider("timeout=1s", "what only one of us knows", "frames_forged");
}

static void a_node_without_a_secret_cannot_join(void **state)
{
	(void)state;
	expect_outsider("timeout=1s", NULL, "frames_unsealed");
}

static void expect_ctl(const char *endpoint, const char *secret, int status, const char *out, const char *says)
{
	struct run_result r;
	const char *with[] = {tallyctl_binary(), "--endpoints", endpoint, "--secret", secret, "get", "f", NULL};
	const char *without[] = {tallyctl_binary(), "--endpoints", endpoint, "get", "f", NULL};
	run_command(&r, secret ? with : without, NULL, 0, CLUSTER_WAIT_MS);
	if (r.status != status || strcmp(r.out, out) != 0 || !strstr(r.err, says))
		cluster_fail("tallyctl with %s: status %d, said: %s%s", secret ? secret : "no secret", r.status, r.out, r.err);
	run_done(&r);
}

static void tallyctl_needs_the_secret_over_tcp(void **state)
{
	(void)state;
	struct cluster *c = sealed_cluster(1);
	c->nodes[0].client_port = free_port();
	cluster_start(c);
	const char *ours = path("%s/secret", c->dir), *other = write_secret(c, "other", "what only one of us knows");
	const char *tcp = path("127.0.0.1:%d", c->nodes[0].client_port);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "value"), 0);
	expect_ctl(tcp, ours, 0, "value", "");
	expect_ctl(tcp, NULL, 1, "", "--secret");
	expect_ctl(tcp, other, 1, "", "did not accept the secret");
	assert_int_equal(node_number(c, 0, "requests_refused"), 2);
	expect_ctl(c->nodes[0].data, NULL, 0, "value", "");
	/* From the environment, and refused by name when others can read it. */
	setenv("TALLYCTL_SECRET", ours, 1);
	expect_ctl(tcp, NULL, 0, "value", "");
	assert_int_equal(chmod(ours, 0640), 0);
	expect_ctl(tcp, NULL, 2, "", ours);
	unsetenv("TALLYCTL_SECRET");
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(members_with_the_same_secret_are_a_cluster),
		STORY(a_node_with_another_secret_cannot_join),
		STORY(a_node_without_a_secret_cannot_join),
		STORY(tallyctl_needs_the_secret_over_tcp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
