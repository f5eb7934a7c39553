#include "tests/sim/campaign.h"
#include "tests/sim/simulation.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64u

/* One process's part, in memory that all share. */
struct part {
	uint64_t seed; /* at work */
	uint64_t runs;
	uint64_t failed;
	uint64_t counts[HAPPENINGS_COUNT];
};

static double seconds_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_signal(int signal)
{
	violated("signal %d", signal);
	_exit(2);
}

static void work(struct part *p, uint64_t from, uint64_t runs, uint32_t job, uint32_t jobs)
{
	signal(SIGABRT, on_signal);
	signal(SIGSEGV, on_signal);
	for (uint64_t i = job; i < runs && p->failed == 0; i += jobs) {
		p->seed = from + i;
		p->failed = 1; /* unless it ends */
		if (simulation_run(p->seed, false))
			p->failed = 0;
		p->runs++;
		for (uint32_t k = 0; k < HAPPENINGS_COUNT; k++)
			p->counts[k] += world_count((enum happening)k);
	}
	fflush(stdout);
	_exit(p->failed ? 1 : 0);
}

static void add_up(struct campaign *c, const struct part *parts)
{
	for (uint32_t j = 0; j < c->jobs; j++) {
		c->runs += parts[j].runs;
		c->failed += parts[j].failed;
		if (parts[j].failed && (c->first_failed == 0 || parts[j].seed < c->first_failed))
			c->first_failed = parts[j].seed;
		for (uint32_t k = 0; k < HAPPENINGS_COUNT; k++)
			c->counts[k] += parts[j].counts[k];
	}
}

void campaign_run(struct campaign *c, uint64_t from, uint64_t runs, uint32_t jobs)
{
	double begin = seconds_now();
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	*c = (struct campaign){.jobs = jobs ? jobs : processors > 0 ? (uint32_t)processors : 1};
	if (c->jobs > JOBS_MAX)
		c->jobs = JOBS_MAX;
	struct part *parts = mmap(NULL, JOBS_MAX * sizeof(*parts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (parts == MAP_FAILED)
		abort();
	fflush(stdout);
	for (uint32_t j = 0; j < c->jobs; j++) {
		pid_t pid = fork();
		if (pid < 0)
			abort();
		if (pid == 0)
			work(&parts[j], from, runs, j, c->jobs);
	}
	while (wait(NULL) > 0)
		continue;
	add_up(c, parts);
	munmap(parts, JOBS_MAX * sizeof(*parts));
	c->seconds = seconds_now() - begin;
}

void campaign_print(const struct campaign *c, FILE *out)
{
	uint32_t column = 0;
	fprintf(out, "%llu schedules in %.1f s, %.1f a second on %u processors; exercised:\n", (unsigned long long)c->runs, c->seconds,
		(double)c->runs / c->seconds, c->jobs);
	for (uint32_t k = 0; k < HAPPENINGS_COUNT; k++) {
		if (!happening_name((enum happening)k))
			continue;
		fprintf(out, "  %-16s %10llu%s", happening_name((enum happening)k), (unsigned long long)c->counts[k],
			++column % 4 == 0 ? "\n" : "");
	}
	fprintf(out, "%s", column % 4 == 0 ? "" : "\n");
	if (c->failed)
		fprintf(out, "FAILED: see SEED=%llu\n", (unsigned long long)c->first_failed);
	else
		fprintf(out, "nothing was violated\n");
}
