/* A snapshot on its way through the replica: in its place in the order of saves, and in use only once it is durable. */
#include "store/replica.h"
#include "store/trim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

struct world {
	struct raft *raft;
	struct pending *pending;
	struct replica *replica;
	char told[512]; /* what the ports were told, in order */
	uint64_t saves;
	int sent;
};

static void tell(struct world *w, const char *format, uint64_t a, uint64_t b)
{
	size_t at = strlen(w->told);
	snprintf(w->told + at, sizeof(w->told) - at, format, (unsigned long long)a, (unsigned long long)b);
}

static void port_send(void *ctx, uint64_t to, enum peer_kind kind, struct span payload)
{
	struct world *w = ctx;
	(void)to, (void)kind, (void)payload;
	w->sent++;
}

static void port_save(void *ctx, uint64_t save, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count)
{
	struct world *w = ctx;
	(void)hard, (void)entries;
	w->saves = save;
	tell(w, "save %llu ", count, 0);
}

static void port_reset(void *ctx, uint64_t index, uint64_t term)
{
	tell(ctx, "reset %llu,%llu ", index, term);
}

static void port_installed(void *ctx)
{
	tell(ctx, "installed ", 0, 0);
}

static void port_apply(void *ctx, const struct raft_entry *entries, uint32_t count)
{
	tell(ctx, "apply %llu+%llu ", entries[0].index, count);
}

static void port_members(void *ctx, const struct raft_members *m)
{
	(void)ctx, (void)m;
}

static void port_nothing(void *ctx)
{
	(void)ctx;
}

static bool port_never_full(void *ctx)
{
	(void)ctx;
	return false;
}

static const struct raft_members three = {.voters = {1, 2, 3}, .voters_count = 3};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct raft_config config = {.id = 1,
					   .members = &three,
					   .election_ms = 1000,
					   .heartbeat_ms = 100,
					   .seed = 1,
					   .log_first = 1,
					   .cache_bytes_max = 1 << 20,
					   .inflight_max = 8,
					   .uncommitted_bytes_max = 1 << 20};
	const struct replica_ports ports = {
		.ctx = w,
		.send = port_send,
		.save = port_save,
		.reset = port_reset,
		.installed = port_installed,
		.apply = port_apply,
		.reads_confirmed = port_nothing,
		.members = port_members,
		.members_committed = port_members,
		.apply_is_full = port_never_full,
	};
	assert_int_equal(raft_new(&config, &w->raft), 0);
	w->pending = pending_new(1, 1, 5 * SECOND, NULL);
	w->replica = replica_new(w->raft, w->pending, &ports);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	replica_free(w->replica);
	raft_free(w->raft);
	pending_free(w->pending);
	free(w);
	return 0;
}

/* Entries from..to of term 4, and the news that `commit` is committed, from leader 2. */
static void leader_appends(struct world *w, uint64_t from, uint64_t to, uint64_t before_term, uint64_t commit)
{
	struct raft_entry entries[16];
	struct writer bytes = {0};
	for (uint64_t i = from; i <= to; i++)
		entries[i - from] = (struct raft_entry){.term = 4, .index = i};
	struct raft_message m = {.type = RAFT_APPEND,
				 .from = 2,
				 .to = 1,
				 .term = 4,
				 .log_index = from - 1,
				 .log_term = before_term,
				 .commit = commit,
				 .entries = entries,
				 .entries_count = (uint32_t)(to + 1 - from)};
	raft_message_encode(&bytes, &m);
	replica_frame(w->replica, 2, PEER_RAFT, (struct span){bytes.data, bytes.size});
	writer_free(&bytes);
	replica_run(w->replica);
}

static void it_begins_a_save_and_is_in_use_once_that_is_durable(void **state)
{
	struct world *w = *state;
	replica_tick(w->replica, SECOND / 10);
	leader_appends(w, 1, 3, 0, 2);
	replica_stored(w->replica, w->saves);
	replica_run(w->replica);
	assert_string_equal(w->told, "save 3 apply 1+2 ");
	w->told[0] = 0;
	assert_int_equal(replica_install(w->replica, 100, 4, &three), 0);
	assert_int_equal(replica_install(w->replica, 200, 4, &three), -EBUSY);
	replica_run(w->replica);
	assert_string_equal(w->told, "reset 100,4 save 0 ");
	assert_int_equal(replica_install(w->replica, 200, 4, &three), -EBUSY);
	/* Entries behind it come before it is durable: they are applied after it, all the same. */
	leader_appends(w, 101, 102, 4, 102);
	assert_string_equal(w->told, "reset 100,4 save 0 save 2 ");
	int before = w->sent;
	replica_stored(w->replica, w->saves - 1);
	replica_run(w->replica);
	assert_string_equal(w->told, "reset 100,4 save 0 save 2 installed ");
	assert_true(w->sent > before);
	replica_stored(w->replica, w->saves);
	replica_run(w->replica);
	assert_string_equal(w->told, "reset 100,4 save 0 save 2 installed apply 101+2 ");
	assert_int_equal(replica_install(w->replica, 90, 4, &three), -EALREADY);
	assert_int_equal(replica_install(w->replica, 200, 4, &three), 0);
}

static void a_leader_is_not_told_of_it_before_it_is_durable(void **state)
{
	struct world *w = *state;
	replica_tick(w->replica, SECOND / 10);
	leader_appends(w, 1, 1, 0, 0);
	replica_stored(w->replica, w->saves);
	replica_run(w->replica);
	int before = w->sent;
	assert_int_equal(replica_install(w->replica, 100, 4, &three), 0);
	replica_run(w->replica);
	assert_int_equal(w->sent, before);
	replica_stored(w->replica, w->saves);
	assert_int_equal(w->sent, before + 1);
}

static void a_node_whose_disk_failed_takes_none(void **state)
{
	struct world *w = *state;
	replica_fail(w->replica);
	assert_int_equal(replica_install(w->replica, 100, 4, &three), -EBUSY);
}

static void the_log_is_trimmed_to_what_somebody_may_yet_need(void **state)
{
	(void)state;
	struct trim_facts f = {.last = 50000, .durable = 49000, .everywhere = 48000, .recent = 100, .held = UINT64_MAX, .bytes = 1 << 20};
	assert_int_equal(trim_point(&f), 48000);
	/* A member is away: ten thousand entries are kept for it ... */
	f.everywhere = 7;
	assert_int_equal(trim_point(&f), 40000);
	/* ... if they are no more than 64 MiB. */
	f.recent = 47000;
	assert_int_equal(trim_point(&f), 47000);
	/* A snapshot on its way holds what is behind it, unless the log is very large by now. */
	f.held = 20000;
	assert_int_equal(trim_point(&f), 20000);
	f.bytes = TRIM_HELD_BYTES_MAX + 1;
	assert_int_equal(trim_point(&f), 47000);
	/* What the store would lose in a power cut is kept in any case. */
	f.durable = 1000;
	assert_int_equal(trim_point(&f), 1000);
	f = (struct trim_facts){.last = 500, .durable = 400, .everywhere = 0, .recent = 1, .held = UINT64_MAX};
	assert_int_equal(trim_point(&f), 1);
}

#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(it_begins_a_save_and_is_in_use_once_that_is_durable),
		story(a_leader_is_not_told_of_it_before_it_is_durable),
		story(a_node_whose_disk_failed_takes_none),
		cmocka_unit_test(the_log_is_trimmed_to_what_somebody_may_yet_need),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
