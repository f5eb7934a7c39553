#include "tests/power/trial.h"
#include "base/log.h"

#include <ftw.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_EVENTS 120u /* a node's first start */
#define NEXT_TO 3u
#define FAILURES_MAX 20u
#define WORKERS_MAX 4u
#define SMALL_WRITE 512u /* within one sector, and so never torn */

/* Shared by the processes. */
struct board {
	atomic_uint images;
	atomic_uint partial;
	atomic_uint failures;
	atomic_flag taken;
	char first[1024];
	char current[WORKERS_MAX][512]; /* what a process tries now */
};

static const char *const kinds[] = {"",          "create", "mkdir",  "write", "zeros",           "truncate",      "sync begins",
				    "sync done", "rename", "unlink", "link",  "operation begun", "operation done"};
static const char *const parts[] = {"none", "all", "the first", "sectors", "pages"};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* --- which moments --- */

static bool names_change(const struct event *e)
{
	return e->kind == RECORD_CREATE || e->kind == RECORD_MKDIR || e->kind == RECORD_RENAME || e->kind == RECORD_UNLINK ||
	       e->kind == RECORD_LINK;
}

static uint32_t mark(bool *chosen, uint32_t i, uint32_t count)
{
	bool fresh = i < count && !chosen[i];
	if (fresh)
		chosen[i] = true;
	return fresh;
}

static bool is_moment(const struct event *e)
{
	return e->kind != RECORD_BEGUN && e->kind != RECORD_ZEROS;
}

/* The moments right after these events. What is left of cuts_max is spread evenly over the rest. */
static bool *choose_cuts(const struct trial *t, uint32_t *count)
{
	const struct journal *j = t->journal;
	bool *chosen = calloc(j->count + 1, sizeof(*chosen));
	uint32_t rest = 0, step = 1, seen = 0;
	if (!chosen)
		abort();
	*count = 0;
	for (uint32_t i = 0; i < j->count && i < FIRST_EVENTS; i++)
		*count += mark(chosen, i, j->count);
	for (uint32_t i = 0; i < j->count; i++)
		for (uint32_t k = i < NEXT_TO ? 0 : i - NEXT_TO; names_change(&j->events[i]) && k <= i + NEXT_TO; k++)
			*count += mark(chosen, k, j->count);
	for (uint32_t i = 0; i < j->count; i++)
		rest += is_moment(&j->events[i]) && !chosen[i];
	if (t->cuts_max > *count && rest > t->cuts_max - *count)
		step = rest / (t->cuts_max - *count) + 1;
	for (uint32_t i = 0; i < j->count && t->cuts_max > *count; i++)
		if (is_moment(&j->events[i]) && !chosen[i] && (seen++ + t->seed) % step == 0)
			*count += mark(chosen, i, j->count);
	return chosen;
}

/* --- one image --- */

/* Number 0: nothing of what is uncertain; 1: all; the others: something. */
static struct disk_choice choice_of(const struct trial *t, uint32_t event, uint32_t number)
{
	static const enum disk_part writes[] = {DISK_SECTORS, DISK_FIRST, DISK_PAGES, DISK_SECTORS, DISK_ALL, DISK_NONE};
	static const enum disk_part names[] = {DISK_SECTORS, DISK_FIRST, DISK_ALL, DISK_NONE, DISK_SECTORS, DISK_SECTORS};
	static const uint32_t percents[] = {50, 10, 90};
	uint64_t seed = mix(t->seed * 1000003 + event * UINT64_C(64) + number);
	if (number < 2)
		return (struct disk_choice){.writes = number ? DISK_ALL : DISK_NONE, .names = number ? DISK_ALL : DISK_NONE};
	uint64_t k = (seed >> 8) % 6;
	return (struct disk_choice){
		.writes = writes[k], .names = names[k], .percent = percents[seed >> 32 & 1 ? 0 : (seed >> 33) % 3], .seed = seed};
}

static void describe(const struct trial *t, uint32_t event, const struct disk_choice *c, char *out, size_t size)
{
	const struct event *e = &t->journal->events[event];
	snprintf(out, size,
		 "cut after event %" PRIu32 " (%s %s %s, file %" PRIu64 " at %" PRIu64 "), writes: %s, names: %s, %" PRIu32
		 "%%, seed %" PRIu64,
		 event, kinds[e->kind], e->name, e->name2, e->ino, e->offset, parts[c->writes], parts[c->names], c->percent, c->seed);
}

static void fail(struct board *b, const char *what, const char *why)
{
	atomic_fetch_add(&b->failures, 1);
	if (!atomic_flag_test_and_set(&b->taken))
		snprintf(b->first, sizeof(b->first), "%s: %s", what, why);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

/* Not by a child: to fork would copy the page tables of all that was recorded. */
static void remove_image(const char *dir)
{
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		abort();
}

struct worker {
	const struct trial *trial;
	struct board *board;
	uint32_t number;
	char dir[96];
	struct progress progress;
};

static void try_image(struct worker *w, const struct disk *d, uint32_t event, const struct disk_choice *c)
{
	char *what = w->board->current[w->number];
	char why[1024] = "";
	char data[256];

	describe(w->trial, event, c, what, sizeof(w->board->current[0]));
	if (mkdir(w->dir, 0700) != 0)
		abort();
	disk_image(d, c, w->dir);
	snprintf(data, sizeof(data), "%s/%s", w->dir, w->trial->data);
	bool ok = verify_image(&w->progress, data, why, sizeof(why));
	atomic_fetch_add(&w->board->images, 1);
	if (c->writes > DISK_ALL || c->names > DISK_ALL || c->writes != c->names)
		atomic_fetch_add(&w->board->partial, 1);
	if (!ok)
		fail(w->board, what, why);
	if (ok || !getenv("POWER_KEEP"))
		remove_image(w->dir);
	else
		abort();
}

/* Images are dealt out to the workers in turn. */
static void work(struct worker *w, const bool *chosen, uint32_t workers)
{
	const struct trial *t = w->trial;
	struct disk *d = t->base ? t->base : disk_new(NULL);
	uint32_t turn = 0;

	w->progress = *t->start;
	for (uint32_t i = 0; i < t->journal->count && atomic_load(&w->board->failures) < FAILURES_MAX; i++) {
		disk_feed(d, &t->journal->events[i], i);
		progress_feed(&w->progress, &t->journal->events[i]);
		uint32_t images = disk_uncertain(d) > 0 ? 2 + t->images : 1;
		for (uint32_t k = 0; chosen[i] && k < images; k++) {
			struct disk_choice c = choice_of(t, i, k);
			if (turn++ % workers == w->number)
				try_image(w, d, i, &c);
		}
	}
	disk_free(d);
}

/* Memory holds the images, if there is such a place: a sync costs nothing there, and cuts are our own. */
static void place(struct worker *w)
{
	const char *tmp = getenv("TMPDIR");
	const char *top = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : tmp ? tmp : "/tmp";
	snprintf(w->dir, sizeof(w->dir), "%s/tally-power-%d-%u", top, (int)getpid(), w->number);
}

static pid_t start_worker(const struct trial *t, struct board *b, const bool *chosen, uint32_t number, uint32_t workers)
{
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct worker *w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->trial = t;
	w->board = b;
	w->number = number;
	log_setup("image", LOG_LEVEL_ERROR, false);
	/* Segments are read into memory again and again: it is not given back in between. */
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	mallopt(M_TRIM_THRESHOLD, 512 << 20);
	place(w);
	work(w, chosen, workers);
	_exit(0);
}

static void wait_for_worker(struct board *b, pid_t pid, uint32_t number)
{
	int status;
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail(b, b->current[number], "the node crashed");
}

void trial_run(const struct trial *t, struct trial_result *out)
{
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t workers = processors < 1 ? 1 : processors > (long)WORKERS_MAX ? WORKERS_MAX : (uint32_t)processors;
	pid_t pids[WORKERS_MAX];

	if (b == MAP_FAILED)
		abort();
	*out = (struct trial_result){.cuts = 0};
	bool *chosen = choose_cuts(t, &out->cuts);
	fflush(stdout);
	for (uint32_t i = 0; i < workers; i++)
		pids[i] = start_worker(t, b, chosen, i, workers);
	for (uint32_t i = 0; i < workers; i++)
		wait_for_worker(b, pids[i], i);
	out->images = atomic_load(&b->images);
	out->partial = atomic_load(&b->partial);
	out->failures = atomic_load(&b->failures);
	memcpy(out->first, b->first, sizeof(out->first));
	munmap(b, sizeof(*b));
	free(chosen);
}

void trial_image(const struct trial *t, uint32_t percent, const char *dir, struct progress *out)
{
	struct disk *d = disk_new(NULL);
	uint32_t end = (uint32_t)((uint64_t)t->journal->count * percent / 100);

	*out = *t->start;
	for (uint32_t i = 0; i < t->journal->count; i++) {
		const struct event *e = &t->journal->events[i];
		disk_feed(d, e, i);
		progress_feed(out, e);
		if (i >= end && e->kind == RECORD_WRITE && e->size > SMALL_WRITE)
			break;
	}
	struct disk_choice c = {.writes = DISK_SECTORS, .names = DISK_SECTORS, .percent = 50, .seed = mix(t->seed + percent)};
	disk_image(d, &c, dir);
	disk_free(d);
}
