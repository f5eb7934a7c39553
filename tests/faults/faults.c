/* make faults: three hosts under 2,000 writes a second through their mounts take FAULTS random faults (30), one after another, drawn by SEED, each for DURING ms (1000 to 6000 at random, every sixth 18000). Prints what each did;
 * fails if anything acknowledged is lost, a read is stale, a line is there twice, a history is not linearizable, or the nodes are not equal within 10 s. */
#include "tests/lib/fault_run.h"
#include "tests/lib/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FAULTS 30
#define WRITES_PER_SECOND 2000
#define THREADS_PER_NODE 8
#define DURING_MIN_MS 1000
#define DURING_MAX_MS 6000
/* Now and then so long that the log does not reach who was away any more, and it needs a snapshot. */
#define LONG_EVERY 6u
#define DURING_LONG_MS 18000

static uint32_t setting(const char *name, uint32_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

/* xorshift: the same seed chooses the same faults. */
static uint32_t draw(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void nothing_is_lost_by_many_faults(void **state)
{
	(void)state;
	uint32_t faults = setting("FAULTS", FAULTS), seed = setting("SEED", (uint32_t)time(NULL)), random = seed * 2654435761u | 1;
	uint32_t possible = 0;
	enum fault_kind kinds[FAULT_KINDS];
	struct fault_run run = {.load = {.threads_per_node = THREADS_PER_NODE, .writes_per_second = WRITES_PER_SECOND, .seed = seed},
				.before_ms = 1000,
				.after_ms = 1000};
	fault_run_up(&run, 3);
	for (int kind = 0; kind < FAULT_KINDS; kind++) {
		const char *why = fault_missing(run.cluster, (enum fault_kind)kind);
		if (why)
			note("%s: left out: %s", fault_name((enum fault_kind)kind), why);
		else
			kinds[possible++] = (enum fault_kind)kind;
	}
	note("FAULTS=%u SEED=%u", faults, seed);
	/* Each kind once in every so many, in a random order. */
	for (uint32_t i = 0; i < faults; i++) {
		uint32_t at = i % possible, pick = at + draw(&random) % (possible - at);
		enum fault_kind kind = kinds[pick];
		kinds[pick] = kinds[at];
		kinds[at] = kind;
		uint32_t during_ms = DURING_MIN_MS + draw(&random) % (DURING_MAX_MS - DURING_MIN_MS);
		run.during_ms = (int)setting("DURING", i % LONG_EVERY == LONG_EVERY - 1 ? DURING_LONG_MS : during_ms);
		fault_run_round(&run, kind, draw(&random));
	}
	note("%u faults: %" PRIu64 " writes acknowledged (%.0f a second under load), %" PRIu64 " of unknown outcome; %" PRIu64
	     " linearizable reads, %" PRIu64 " serial ones",
	     faults, run.writes, (double)run.writes / run.load_seconds, run.unknown, run.reads, run.serial_reads);
	note("lost %" PRIu64 ", stale %" PRIu64 ", duplicated %" PRIu64 "; equal after %.1f s at most", run.lost, run.stale, run.duplicated,
	     run.longest_convergence);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(nothing_is_lost_by_many_faults, cluster_teardown)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
