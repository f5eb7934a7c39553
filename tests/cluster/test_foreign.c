/* Frames that are none of a cluster's business are counted and ignored; the cluster goes on. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <fcntl.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct counted {
	const struct cluster *c;
	const char *field;
	uint64_t at_least;
};

static bool has_counted(void *ctx)
{
	const struct counted *w = ctx;
	char text[32];
	return node_field(w->c, 0, w->field, text, sizeof(text)) && strtoull(text, NULL, 10) >= w->at_least;
}

static void frames_that_are_garbage_are_counted_and_ignored(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	unsigned char junk[4096];
	int sock = nn_socket(AF_SP, NN_PUSH);
	int limit_ms = 5000;
	assert_true(sock >= 0);
	nn_setsockopt(sock, NN_SOL_SOCKET, NN_SNDTIMEO, &limit_ms, sizeof(limit_ms));
	assert_true(nn_connect(sock, path("tcp://127.0.0.1:%d", c->nodes[0].port)) >= 0);
	srandom(1);
	for (int i = 0; i < 200; i++) {
		size_t size = (size_t)random() % sizeof(junk);
		for (size_t k = 0; k < size; k++)
			junk[k] = (unsigned char)random();
		assert_int_equal(nn_send(sock, junk, size, 0), (int)size);
	}
	struct counted w = {c, "frames_malformed", 200};
	if (!wait_until(has_counted, &w, CLUSTER_WAIT_MS))
		cluster_fail("200 frames of garbage were not counted");
	nn_close(sock);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "well"), 0);
	assert_true(file_is(path("%s/f", c->nodes[1].mount), "well"));
}

static void frames_of_another_cluster_are_counted_and_ignored(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	assert_int_equal(file_write(path("%s/f", c->nodes[0].mount), "ours"), 0);
	char term[32];
	assert_true(node_field(c, 0, "term", term, sizeof(term)));
	/* A node of a cluster of two that takes our first node for its other member. */
	const char *data = path("%s/stranger", c->dir);
	const char *options =
		path("nomount,name=x,cluster=x=127.0.0.1:%d/n1=127.0.0.1:%d,election=100ms,heartbeat=20ms", free_port(), c->nodes[0].port);
	const char *const argv[] = {tallyfs_binary(), data, "-f", "-o", options, NULL};
	int pid = run_spawn(argv, path("%s/stranger.log", c->dir));
	assert_true(pid > 0);
	struct counted w = {c, "frames_foreign", 5};
	bool seen = wait_until(has_counted, &w, CLUSTER_WAIT_MS);
	int status = -1;
	kill(pid, SIGTERM);
	bool ended = run_wait(pid, CLUSTER_END_MS, &status);
	if (!ended)
		kill(pid, SIGKILL);
	if (!seen)
		cluster_fail("frames of another cluster were not counted");
	assert_true(ended);
	assert_int_equal(status, 0);
	char now[32];
	assert_true(node_field(c, 0, "term", now, sizeof(now)));
	assert_string_equal(now, term);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "ours"));
	assert_int_equal(file_write(path("%s/f", c->nodes[1].mount), "still"), 0);
	assert_true(file_is(path("%s/f", c->nodes[0].mount), "still"));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(frames_that_are_garbage_are_counted_and_ignored),
		STORY(frames_of_another_cluster_are_counted_and_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
