#include "tests/lib/mixed_load.h"

#include "base/clock.h"
#include "tests/lib/files.h"
#include "tests/lib/mixed_actor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_shared_files(struct mixed_load *l)
{
	const char *dir = path("%s/r%d", l->cluster->nodes[0].mount, l->round);

	assert_int_equal(mkdir(dir, 0755), 0);
	for (int i = 0; i < MIXED_SHARED; i++) {
		assert_int_equal(file_write(path("%s/a%d", dir, i), ""), 0);
		assert_int_equal(file_write(path("%s/w%d", dir, i), ""), 0);
	}
}

struct mixed_load *mixed_begin(struct cluster *c, const struct mixed_config *config, int round)
{
	struct mixed_load *l = calloc(1, sizeof(*l));
	assert_non_null(l);
	l->cluster = c;
	l->config = *config;
	l->round = round;
	l->count = c->count * config->threads_per_node;
	assert_in_range(l->count, 1, MIXED_ACTORS_MAX);
	l->actors = calloc((size_t)l->count, sizeof(*l->actors));
	assert_non_null(l->actors);
	l->begin_ns = clock_mono_ns();
	make_shared_files(l);
	atomic_store(&l->acknowledged_ns, clock_mono_ns());
	for (int i = 0; i < l->count; i++) {
		struct actor *a = &l->actors[i];
		*a = (struct actor){.load = l, .number = i, .node = i % c->count, .exclusive = i < c->count, .dir_fd = -1};
		a->random = (config->seed + 1) * 2654435761u ^ (uint32_t)(i + 1 + 100 * round) * 40503u;
		a->random = a->random ? a->random : 1;
		assert_int_equal(pthread_create(&a->thread, NULL, actor_run, a), 0);
	}
	return l;
}

void mixed_node_restarted(struct mixed_load *l, int node)
{
	atomic_fetch_add(&l->boots[node], 1);
}

uint64_t mixed_acknowledged(const struct mixed_load *l)
{
	uint64_t sum = 0;
	for (int i = 0; i < l->count; i++)
		sum += atomic_load(&l->actors[i].writes);
	return sum;
}

void mixed_stop(struct mixed_load *l)
{
	atomic_store(&l->stop, true);
	for (int i = 0; i < l->count; i++)
		pthread_join(l->actors[i].thread, NULL);
}

/* --- checking --- */

struct check {
	struct mixed_load *l;
	struct mixed_result *out;
	struct lin_history *history;
	int node; /* through whose mount */
	int dir_fd;
	uint64_t *ids;
};

static void complain(struct check *k, uint64_t *counter, const char *what, const char *name)
{
	++*counter;
	if (!k->out->first[0])
		snprintf(k->out->first, sizeof(k->out->first), "%s: %s in round %d, on n%d", what, name, k->l->round, k->node + 1);
}

/* The final content of a file, as one more read of the history. */
static int read_back(struct check *k, uint64_t key, const char *name)
{
	struct lin_op op = {.kind = LIN_READ, .outcome = LIN_OK, .client = 1000, .key = key, .called = clock_mono_ns()};
	int count = mixed_read(k->dir_fd, name, k->ids);

	if (count < 0 && count != -ENOENT) {
		complain(k, &k->out->lost, strerror(-count), name);
		return count;
	}
	op.seen = k->ids;
	op.seen_count = count == -ENOENT ? LIN_ABSENT : (uint32_t)count;
	op.returned = clock_mono_ns();
	lin_add(k->history, &op);
	return count;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Each acknowledged line is there, and no line twice. */
static void check_log(struct check *k, int number)
{
	char name[MIXED_NAME_MAX];
	snprintf(name, sizeof(name), "a%d", number);
	uint64_t key = MIXED_KEY('a', number, 0);
	int count = read_back(k, key, name);
	if (count < 0)
		return;
	qsort(k->ids, (size_t)count, sizeof(*k->ids), by_value);
	for (int i = 1; i < count; i++)
		if (k->ids[i] == k->ids[i - 1])
			complain(k, &k->out->duplicated, "a line is there twice", name);
	for (int i = 0; i < k->l->count; i++) {
		const struct actor *a = &k->l->actors[i];
		for (uint32_t n = 0; n < a->ops_count; n++) {
			const struct lin_op *op = &a->ops[n];
			if (op->kind == LIN_APPEND && op->key == key && op->outcome == LIN_OK &&
			    !bsearch(&op->value, k->ids, (size_t)count, sizeof(*k->ids), by_value))
				complain(k, &k->out->lost, "an acknowledged line is lost", name);
		}
	}
}

static void check_counter(struct check *k, const struct actor *a)
{
	char name[MIXED_NAME_MAX];
	if (a->counted == 0)
		return;
	snprintf(name, sizeof(name), "c%d-%u", a->number, a->generation);
	int count = read_back(k, MIXED_KEY('c', a->number, a->generation), name);
	if (count != 1 || k->ids[0] != a->counted)
		complain(k, &k->out->lost, "an acknowledged value is lost", name);
}

static void check_uniques(struct check *k, const struct actor *a)
{
	char name[MIXED_NAME_MAX];
	for (uint32_t i = 0; i < a->uniques_count; i++) {
		if (!a->uniques[i].acked)
			continue;
		snprintf(name, sizeof(name), "u%d-%" PRIu64, a->number, a->uniques[i].id);
		if (mixed_read(k->dir_fd, name, k->ids) != 1 || k->ids[0] != a->uniques[i].id)
			complain(k, &k->out->lost, "an acknowledged file is lost", name);
	}
}

static void check_through(struct check *k, int node)
{
	char name[MIXED_NAME_MAX];
	k->node = node;
	k->dir_fd = open(path("%s/r%d", k->l->cluster->nodes[node].mount, k->l->round), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->dir_fd < 0) {
		complain(k, &k->out->lost, strerror(errno), "the folder");
		return;
	}
	for (int i = 0; i < MIXED_SHARED; i++) {
		static const char kinds[] = {'w', 'x', 'y'};
		check_log(k, i);
		for (size_t n = 0; n < sizeof(kinds); n++) {
			snprintf(name, sizeof(name), "%c%d", kinds[n], i);
			read_back(k, MIXED_KEY(kinds[n], i, 0), name);
		}
	}
	for (int i = 0; i < k->l->count; i++) {
		check_counter(k, &k->l->actors[i]);
		/* The store is the same on all nodes: that is compared elsewhere. Each file is looked up on one of them. */
		if (i % k->l->cluster->count == node)
			check_uniques(k, &k->l->actors[i]);
	}
	close(k->dir_fd);
}

static void add_up(struct mixed_result *out, const struct actor *a)
{
	out->writes += atomic_load(&a->writes);
	out->reads += a->reads;
	out->serial_reads += a->serial_reads;
	out->unknown += a->unknown;
	out->failed += a->failed;
	out->stale += a->stale;
	out->serial_broken += a->serial_broken;
	if (a->first[0] && !out->first[0])
		snprintf(out->first, sizeof(out->first), "%s", a->first);
}

/* The shared files were there, and empty, when the load began. */
static void add_beginnings(struct check *k)
{
	for (int i = 0; i < MIXED_SHARED; i++)
		for (int n = 0; n < 2; n++)
			lin_add(k->history, &(struct lin_op){.kind = LIN_WRITE,
							     .outcome = LIN_OK,
							     .client = 1000,
							     .key = MIXED_KEY(n ? 'a' : 'w', i, 0),
							     .called = k->l->begin_ns,
							     .returned = k->l->begin_ns + 1});
}

static void check_history(struct check *k)
{
	static struct lin_result verdict;
	for (int i = 0; i < k->l->count; i++)
		for (uint32_t n = 0; n < k->l->actors[i].ops_count; n++)
			lin_add(k->history, &k->l->actors[i].ops[n]);
	lin_check(k->history, NULL, &verdict);
	k->out->linearizable = verdict.verdict == LIN_GOOD;
	if (verdict.verdict == LIN_GAVE_UP)
		snprintf(k->out->report, sizeof(k->out->report), "the checker gave up after %" PRIu64 " steps: %.4000s", verdict.steps,
			 verdict.report);
	else
		snprintf(k->out->report, sizeof(k->out->report), "%s", verdict.report);
}

static void load_free(struct mixed_load *l)
{
	for (int i = 0; i < l->count; i++) {
		struct actor *a = &l->actors[i];
		for (uint32_t n = 0; n < a->ops_count; n++)
			free((void *)a->ops[n].seen);
		free(a->ops);
		free(a->uniques);
	}
	free(l->actors);
	free(l);
}

void mixed_check(struct mixed_load *l, struct mixed_result *out)
{
	struct check k = {.l = l, .out = out, .history = lin_new(), .ids = malloc(MIXED_IDS_MAX * sizeof(uint64_t))};
	assert_non_null(k.ids);
	memset(out, 0, sizeof(*out));
	out->longest_gap_ms = (uint64_t)(atomic_load(&l->longest_gap_ns) / 1000000);
	for (int i = 0; i < l->count; i++)
		add_up(out, &l->actors[i]);
	add_beginnings(&k);
	for (int i = 0; i < l->cluster->count; i++)
		if (l->cluster->nodes[i].pid > 0 && !l->cluster->nodes[i].stopped)
			check_through(&k, i);
	check_history(&k);
	lin_free(k.history);
	free(k.ids);
	load_free(l);
}
