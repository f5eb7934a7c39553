/* Power loss: a real daemon is recorded while it works, is killed and starts again; then the power is cut after every event of interest, as often
 * as there are ways in which the disk could have kept what was not synced, and a node must start on what is left with all that was acknowledged.
 *
 * POWER_CUTS (moments), POWER_IMAGES (of each), POWER_OPS (of each worker) and POWER_SEED make longer runs and other ones; `make power` is one.
 * POWER_KEEP=1 keeps the directory of an image that failed. */
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"
#include "tests/power/trial.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 3u
#define TRIM_WAIT_MS 20000

struct recording {
	struct cluster *cluster;
	char root[160]; /* what is recorded: DATA lies in it */
	char log[160];
	char gate[160];
	struct load load;
	struct journal journal;
};

static uint32_t setting(const char *name, uint32_t normal)
{
	const char *text = getenv(name);
	return text && *text ? (uint32_t)strtoul(text, NULL, 10) : normal;
}

/* The daemon's DATA is made by the daemon. */
static void recording_new(struct recording *r, const char *name)
{
	struct cluster *c = r->cluster;
	snprintf(r->root, sizeof(r->root), "%s/%s", c->dir, name);
	snprintf(r->log, sizeof(r->log), "%s/%s.journal", c->dir, name);
	snprintf(r->gate, sizeof(r->gate), "%s/%s.gate", c->dir, name);
	snprintf(c->nodes[0].data, sizeof(c->nodes[0].data), "%s/%s/data", c->dir, name);
	assert_int_equal(mkdir(r->root, 0700), 0);
	r->load.mount = c->nodes[0].mount;
	r->load.log_fd = open(r->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	assert_true(r->load.log_fd >= 0);
}

static void start_recorded(struct recording *r)
{
	char library[PATH_MAX];
	const char *binary = tallyfs_binary(), *slash = strrchr(binary, '/');
	assert_non_null(slash);
	assert_non_null(realpath(path("%.*s/tests/power/record.so", (int)(slash - binary), binary), library));
	gate_free(r->load.gate);
	r->load.gate = gate_new(r->gate);
	setenv(RECORD_ENV_GATE, r->gate, 1);
	setenv(RECORD_ENV_ROOT, r->root, 1);
	setenv(RECORD_ENV_LOG, r->log, 1);
	setenv("LD_PRELOAD", library, 1);
	node_spawn(r->cluster, 0);
	unsetenv("LD_PRELOAD");
	node_wait(r->cluster, 0);
	cluster_leader(r->cluster);
}

static void kill_recorded(struct recording *r)
{
	gate_kill(r->load.gate, r->cluster->nodes[0].pid);
	node_kill(r->cluster, 0);
}

static void run_killed(struct recording *r, uint32_t ops)
{
	r->load.kill_pid = r->cluster->nodes[0].pid;
	r->load.kill_after = WORKERS * ops / 2;
	uint32_t done = load_run(&r->load, WORKERS, ops);
	r->load.kill_pid = 0;
	assert_in_range(done, WORKERS * ops / 2, WORKERS * ops - 1);
	node_kill(r->cluster, 0);
}

static bool first_segment_is_gone(void *ctx)
{
	char names[4096];
	const struct recording *r = ctx;
	dir_names(path("%s/wal", r->cluster->nodes[0].data), names, sizeof(names));
	return !strstr(names, "00000001-");
}

static void recording_end(struct recording *r)
{
	journal_load(&r->journal, r->log);
	close(r->load.log_fd);
	gate_free(r->load.gate);
	r->load.gate = NULL; /* the load goes on with another recording */
}

static void run_trial(const struct trial *t, const char *what)
{
	struct trial_result result;
	double begin = now_seconds();
	trial_run(t, &result);
	note("%s: %u events recorded, %u cuts, %u images (%u in part), %u failed, %.1f s", what, t->journal->count, result.cuts,
	     result.images, result.partial, result.failures, now_seconds() - begin);
	if (result.failures > 0)
		fail_msg("%u of %u images failed; %s", result.failures, result.images, result.first);
	assert_true(result.images > 0 && result.partial > 0);
}

static struct recording recorded;
static const struct progress nothing = {.load = &recorded.load};
static struct trial whole_life;

/* A first start, a kill in the middle of work, a start, the change of segments, the trim of the first, a clean end, one more start. */
static void record_whole_life(struct recording *r)
{
	uint32_t ops = setting("POWER_OPS", 56);
	r->load.large_every = 7;
	start_recorded(r);
	run_killed(r, 2 * ops);
	start_recorded(r);
	assert_int_equal(load_run(&r->load, WORKERS, ops), WORKERS * ops);
	if (!wait_until(first_segment_is_gone, r, TRIM_WAIT_MS))
		cluster_fail("the log was not trimmed");
	assert_int_equal(node_end(r->cluster, 0), 0);
	start_recorded(r);
	assert_int_equal(load_run(&r->load, WORKERS, 8), WORKERS * 8);
	kill_recorded(r);
	recording_end(r);
}

static void a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(void **state)
{
	(void)state;
	cluster_require();
	recorded.cluster = cluster_new(1, NULL);
	recording_new(&recorded, "disk");
	record_whole_life(&recorded);
	whole_life = (struct trial){.journal = &recorded.journal,
				    .data = "data",
				    .start = &nothing,
				    .cuts_max = setting("POWER_CUTS", 260),
				    .images = setting("POWER_IMAGES", 1),
				    .seed = setting("POWER_SEED", 1)};
	run_trial(&whole_life, "a node's life");
}

/* Its recovery is recorded, too, and cut. */
static void a_power_cut_during_the_recovery_from_another_loses_nothing(void **state)
{
	(void)state;
	struct recording again = {.load = recorded.load};
	struct progress at;

	cluster_require();
	assert_non_null(recorded.journal.events);
	again.cluster = cluster_new(1, NULL);
	recording_new(&again, "again");
	trial_image(&whole_life, 60, again.root, &at);
	struct trial t = whole_life;
	t.journal = &again.journal;
	t.base = disk_new(again.root);
	t.start = &at;
	t.cuts_max /= 3;
	start_recorded(&again);
	assert_int_equal(load_run(&again.load, 1, 12), 12);
	kill_recorded(&again);
	recording_end(&again);
	at.load = &again.load;
	run_trial(&t, "recovery");
	disk_free(t.base);
	journal_free(&again.journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged, cluster_teardown),
		cmocka_unit_test_teardown(a_power_cut_during_the_recovery_from_another_loses_nothing, cluster_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
