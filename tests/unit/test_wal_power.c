/* The log on a disk in memory: a process is killed, or the power cut, before each of its effects, and the power is cut again before each effect of the
 * recovery. Each time the log must open, with all that was promised. */
#include "raft/wal.h"
#include "tests/unit/wal_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <cmocka.h>

#define SEGMENT 12288u
#define LAST_MAX 512u

/* What the log must hold: the terms of its entries, and the hard state. */
struct promise {
	uint64_t terms[LAST_MAX];
	uint64_t last;
	uint64_t trimmed; /* entries below this one may be gone */
	struct raft_hard_state hard;
	uint64_t epoch;
};

static struct promise kept;      /* by saves that returned */
static struct promise attempted; /* with the one that did not, too */
static struct wal *w;
static char why[512];
static uint64_t dice;

/* An entry's data tells its index and term. */
static struct raft_entry entry_of(uint64_t index, uint64_t term, uint8_t *room)
{
	uint32_t size = (uint32_t)((index * 37 + term * 11) % 1500);
	for (uint32_t i = 0; i < size; i++)
		room[i] = (uint8_t)(index + term * 3 + i);
	return (struct raft_entry){.term = term, .index = index, .type = RAFT_ENTRY_COMMAND, .size = size, .data = room};
}

/* Saves `count` entries from `index` on, of `term`, with a hard state of that term. */
static bool save(uint64_t index, uint64_t term, uint32_t count)
{
	static uint8_t room[8][1500];
	struct raft_entry entries[8];
	attempted.hard = (struct raft_hard_state){.term = term, .vote = term % 3 + 1, .commit = kept.hard.commit};
	for (uint32_t i = 0; i < count; i++) {
		entries[i] = entry_of(index + i, term, room[i]);
		attempted.terms[index + i] = term;
	}
	if (count > 0)
		attempted.last = index + count - 1;
	if (wal_save(w, &attempted.hard, entries, count) != 0)
		return false;
	kept = attempted;
	return true;
}

static bool trim(uint64_t index)
{
	attempted.trimmed = kept.trimmed = index;
	return wal_trim(w, index) == 0;
}

static int check_entry(void *ctx, const struct raft_entry *e)
{
	static uint8_t room[1500];
	const struct promise *p = ctx;
	struct raft_entry expected = entry_of(e->index, p->terms[e->index], room);
	return e->term == expected.term && e->size == expected.size && memcmp(e->data, room, e->size) == 0 ? 0 : 1;
}

static bool holds(struct promise *p)
{
	struct raft_hard_state hard = wal_hard_state(w);
	if (wal_last(w) != p->last || hard.term != p->hard.term || hard.vote != p->hard.vote || wal_epoch(w) <= p->epoch)
		return false;
	if (wal_first(w) > p->trimmed + 1 && wal_first(w) > 1)
		return false;
	return p->last < wal_first(w) || wal_read(w, wal_first(w), p->last + 1, SIZE_MAX, check_entry, p) == 0;
}

/* A snapshot takes the place of the log up to `index`. */
static bool reset(uint64_t index, uint64_t term)
{
	attempted.last = attempted.trimmed = index;
	if (wal_reset(w, index, term) != 0)
		return false;
	kept = attempted;
	return true;
}

/* What is found is what was promised, or that and what was under way; from here on it is promised. */
static void adopt(const char *when, uint64_t first, uint64_t second)
{
	if (holds(&attempted))
		kept = attempted;
	else if (!holds(&kept))
		fail_msg("%s at effect %" PRIu64 ", then at %" PRIu64 ": entries to %" PRIu64 " where %" PRIu64 " were promised", when,
			 first, second, wal_last(w), kept.last);
	kept.epoch = wal_epoch(w);
	attempted = kept;
}

static bool open_log(void)
{
	struct wal_config config = {.dir = "wal", .cluster_id = 7, .node_id = 3, .segment_bytes = SEGMENT};
	return wal_open(&config, &w, why, sizeof(why)) == 0;
}

static void close_log(void)
{
	wal_close(w);
	w = NULL;
}

static void must_hold(const char *when, uint64_t first, uint64_t second)
{
	if (!open_log())
		fail_msg("%s at effect %" PRIu64 ", then at %" PRIu64 ": %s", when, first, second, why);
	adopt(when, first, second);
	close_log();
}

/* Some life of a log: a few segments, tails that are replaced, votes, a trim, a beginning anew. The first call that fails ends it. */
static void live(void)
{
	bool ok = open_log();
	uint64_t term = 1;
	for (uint32_t i = 0; ok && i < 24; i++) {
		term += i % 3 == 0;
		ok = i % 5 == 4 && kept.last > kept.trimmed + 3 ? save(kept.last - 1, term, 3) : save(kept.last + 1, term, 1 + i % 4);
		if (ok && i % 4 == 1)
			ok = save(0, ++term, 0);
		while (ok && wal_prepare(w) == 1)
			continue;
		if (ok && i == 11)
			ok = trim(kept.last / 2);
		if (ok && i == 17)
			ok = reset(kept.last + 7, term);
	}
	close_log();
}

static void recover(uint64_t first, uint64_t second)
{
	bool ok = open_log();
	if (ok)
		adopt("killed", first, second);
	ok = ok && save(kept.last + 1, kept.hard.term + 1, 2);
	ok = ok && save(kept.last, kept.hard.term + 1, 1);
	close_log();
}

static void begin_life(uint64_t dies_at)
{
	memory_format();
	memset(&kept, 0, sizeof(kept));
	attempted = kept;
	memory.dies_at = dies_at;
	live();
}

static uint64_t effects_of_a_life(void)
{
	begin_life(UINT64_MAX);
	return memory.effects;
}

static void a_power_cut_before_any_effect_keeps_what_was_promised(void **state)
{
	static const uint32_t percents[] = {0, 100, 50, 20, 80};
	(void)state;
	uint64_t effects = effects_of_a_life();
	assert_true(effects > 100);
	for (uint64_t at = 0; at <= effects; at++)
		for (uint32_t k = 0; k < 5; k++) {
			dice = at * 5 + k;
			begin_life(at);
			memory_cut(percents[k], &dice);
			must_hold("power cut", at, 0);
		}
}

/* What a killed process leaves in the page cache is seen by the next one, and gone after a power cut. */
static void a_kill_and_a_power_cut_in_the_recovery_keep_what_was_promised(void **state)
{
	(void)state;
	uint64_t effects = effects_of_a_life();
	for (uint64_t at = 0; at <= effects; at++)
		for (uint64_t second = 0, more = 1; more; second++) {
			dice = at * 1000 + second;
			begin_life(at);
			memory_kill();
			memory.dies_at = second;
			recover(at, second);
			more = memory.effects > second;
			memory_cut(second % 3 == 0 ? 0 : 50, &dice);
			must_hold("killed", at, second);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_cut_before_any_effect_keeps_what_was_promised),
		cmocka_unit_test(a_kill_and_a_power_cut_in_the_recovery_keep_what_was_promised),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
