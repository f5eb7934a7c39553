/* SIGKILL of any node under load: nothing whose close() returned 0 is ever lost, and the others go on. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NODES 3
#define FILES_MAX 2000     /* of one writer in one round */
#define BEFORE_KILL 15     /* acknowledged writes of each writer before the kill ... */
#define AFTER_KILL 15      /* ... and of a survivor after it */
#define SURVIVE_SECONDS 20 /* how long a survivor may take for them */

/* Writes a file of its own each time, and one file over and over. */
struct writer_state {
	struct cluster *c;
	int node;
	int round;
	atomic_int acked; /* files whose close() said 0; they are numbered, and failed ones leave gaps in `done` */
	atomic_int after_kill;
	atomic_bool *killed;
	atomic_bool *over;
	_Atomic double first_after_kill; /* when the first write that began after the kill was acknowledged */
	bool done[FILES_MAX];
	int written;
	int hot_acked; /* the last value of the hot file that was acknowledged; writing it ends at the first failure */
	int hot_tried;
	bool hot_ended;
};

static struct writer_state writers[NODES];

static void file_name(const struct writer_state *w, int number, char *out, size_t size)
{
	snprintf(out, size, "r%d/w%d-%d", w->round, w->node, number);
}

static void write_once(struct writer_state *w)
{
	char name[64];
	const char *mount = w->c->nodes[w->node].mount;
	bool after = atomic_load(w->killed);
	int number = w->written++;
	file_name(w, number, name, sizeof(name));
	w->done[number] = file_write(path("%s/%s", mount, name), name) == 0;
	if (w->done[number]) {
		atomic_fetch_add(&w->acked, 1);
		if (after && atomic_fetch_add(&w->after_kill, 1) == 0)
			atomic_store(&w->first_after_kill, now_seconds());
	}
	if (!w->hot_ended) {
		w->hot_tried++;
		if (file_write(path("%s/r%d/hot%d", mount, w->round, w->node), path("%d", w->hot_tried)) == 0)
			w->hot_acked = w->hot_tried;
		else
			w->hot_ended = true;
	}
}

static void *keep_writing(void *arg)
{
	struct writer_state *w = arg;
	while (!atomic_load(w->over) && w->written < FILES_MAX)
		write_once(w);
	return NULL;
}

struct progress {
	int victim; /* -1: before the kill */
};

static bool enough_written(void *ctx)
{
	const struct progress *p = ctx;
	for (int i = 0; i < NODES; i++) {
		if (i == p->victim)
			continue;
		if (p->victim < 0 ? atomic_load(&writers[i].acked) < BEFORE_KILL : atomic_load(&writers[i].after_kill) < AFTER_KILL)
			return false;
	}
	return true;
}

/* All that was acknowledged in this round, as seen through one mount. */
static void verify_through(const struct cluster *c, int node)
{
	for (int i = 0; i < NODES; i++) {
		const struct writer_state *w = &writers[i];
		char name[64];
		char text[64];
		for (int n = 0; n < w->written; n++) {
			file_name(w, n, name, sizeof(name));
			if (w->done[n] && !file_is(path("%s/%s", c->nodes[node].mount, name), name))
				cluster_fail("%s was acknowledged and is not there on n%d", name, node + 1);
		}
		if (w->hot_acked == 0)
			continue;
		ssize_t got = file_read(path("%s/r%d/hot%d", c->nodes[node].mount, w->round, i), text, sizeof(text));
		int value = got > 0 ? (int)strtoull(text, NULL, 10) : -1;
		if (value < w->hot_acked || value > w->hot_tried)
			cluster_fail("hot%d of round %d is %d (%zd) on n%d: acknowledged %d, tried %d", i, w->round, value, got, node + 1,
				     w->hot_acked, w->hot_tried);
	}
}

/* One round; returns the seconds from the kill to the first write acknowledged after it. */
static double kill_under_load(struct cluster *c, int round, int victim)
{
	pthread_t threads[NODES];
	atomic_bool killed = false;
	atomic_bool over = false;
	struct progress p = {.victim = -1};
	assert_int_equal(mkdir(path("%s/r%d", c->nodes[round % NODES].mount, round), 0755), 0);
	memset(writers, 0, sizeof(writers));
	for (int i = 0; i < NODES; i++) {
		writers[i].c = c;
		writers[i].node = i;
		writers[i].round = round;
		writers[i].killed = &killed;
		writers[i].over = &over;
		assert_int_equal(pthread_create(&threads[i], NULL, keep_writing, &writers[i]), 0);
	}
	bool before = wait_until(enough_written, &p, CLUSTER_WAIT_MS);
	double at = now_seconds();
	node_kill(c, victim);
	atomic_store(&killed, true);
	p.victim = victim;
	bool after = before && wait_until(enough_written, &p, SURVIVE_SECONDS * 1000);
	atomic_store(&over, true);
	for (int i = 0; i < NODES; i++)
		pthread_join(threads[i], NULL);
	if (!before || !after)
		cluster_fail("round %d: the writers got stuck %s n%d was killed", round, before ? "after" : "before", victim + 1);
	double first = 1e18;
	for (int i = 0; i < NODES; i++)
		if (i != victim && atomic_load(&writers[i].first_after_kill) < first)
			first = atomic_load(&writers[i].first_after_kill);
	return first - at;
}

static void a_kill_of_any_node_under_load_loses_nothing_acknowledged(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	int count = rounds(50);
	int acked = 0;
	int leaders = 0;
	double worst = 0;
	double sum = 0;
	for (int round = 0; round < count; round++) {
		int leader = cluster_leader(c);
		int victim = round % 2 == 0 ? leader : round / 2 % NODES;
		double gap = kill_under_load(c, round, victim);
		if (victim == leader) {
			leaders++;
			sum += gap;
			worst = gap > worst ? gap : worst;
		}
		node_start(c, victim);
		for (int i = 0; i < NODES; i++) {
			verify_through(c, i);
			acked += atomic_load(&writers[i].acked) + writers[i].hot_acked;
		}
	}
	cluster_agree(c);
	note("SIGKILL under load: %d rounds, %d writes acknowledged, none lost", count, acked);
	note("killed leader: %d times; the next write was done after %.2f s on average, %.2f s at most", leaders, sum / leaders, worst);
}

static void all_three_killed_at_once_lose_nothing_acknowledged(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(NODES, NULL);
	for (int round = 0; round < rounds(5); round++) {
		for (int n = 0; n < 50; n++)
			assert_int_equal(file_write(path("%s/r%d-%d", c->nodes[n % NODES].mount, round, n), path("%d", n)), 0);
		for (int i = 0; i < NODES; i++)
			node_kill(c, i);
		cluster_start(c);
		for (int n = 0; n < 50; n++)
			for (int i = 0; i < NODES; i++)
				if (!file_is(path("%s/r%d-%d", c->nodes[i].mount, round, n), path("%d", n)))
					cluster_fail("round %d: file %d is lost on n%d", round, n, i + 1);
	}
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_kill_of_any_node_under_load_loses_nothing_acknowledged),
		STORY(all_three_killed_at_once_lose_nothing_acknowledged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
