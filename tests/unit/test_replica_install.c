/* What a replica tells of the members when it takes a snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/replica.h"

struct told {
	uint32_t in_force; /* how many voters */
	uint32_t committed;
	uint64_t reset;
};

static void port_send(void *ctx, uint64_t to, enum peer_kind kind, struct span payload)
{
	(void)ctx, (void)to, (void)kind, (void)payload;
}

static void port_save(void *ctx, uint64_t save, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count)
{
	(void)ctx, (void)save, (void)hard, (void)entries, (void)count;
}

static void port_reset(void *ctx, uint64_t index, uint64_t term)
{
	(void)term;
	((struct told *)ctx)->reset = index;
}

static void port_members(void *ctx, const struct raft_members *in_force)
{
	((struct told *)ctx)->in_force = in_force->voters_count;
}

static void port_members_committed(void *ctx, const struct raft_members *committed)
{
	((struct told *)ctx)->committed = committed->voters_count;
}

static bool port_never_full(void *ctx)
{
	(void)ctx;
	return false;
}

static void a_configuration_that_comes_right_behind_a_snapshot_is_not_committed_by_it(void **unused)
{
	(void)unused;
	struct told told = {0};
	const struct raft_members three = {.voters = {1, 2, 3}, .voters_count = 3}, four = {.voters = {1, 2, 3, 4}, .voters_count = 4};
	struct raft_config config = {.id = 1,
				     .members = &three,
				     .election_ms = 100,
				     .heartbeat_ms = 20,
				     .log_first = 1,
				     .cache_bytes_max = 1 << 20,
				     .inflight_max = 4};
	const struct replica_ports ports = {.ctx = &told,
					    .send = port_send,
					    .save = port_save,
					    .reset = port_reset,
					    .members = port_members,
					    .members_committed = port_members_committed,
					    .apply_is_full = port_never_full};
	struct writer bytes = {0}, frame = {0};
	struct raft *raft;
	assert_int_equal(raft_new(&config, &raft), 0);
	struct pending *pending = pending_new(1, 1, 1000000000, NULL);
	struct replica *r = replica_new(raft, pending, &ports);

	raft_members_encode(&bytes, &four);
	const struct raft_entry e = {.term = 3, .index = 10, .type = RAFT_ENTRY_CONFIG, .size = (uint32_t)bytes.size, .data = bytes.data};
	const struct raft_message m = {.type = RAFT_APPEND,
				       .from = 2,
				       .to = 1,
				       .term = 3,
				       .log_index = 9,
				       .log_term = 3,
				       .commit = 9,
				       .entries = &e,
				       .entries_count = 1};
	raft_message_encode(&frame, &m);
	assert_int_equal(replica_install(r, 9, 3, &three), 0);
	replica_frame(r, 2, PEER_RAFT, (struct span){frame.data, frame.size});
	replica_run(r);
	assert_int_equal(told.reset, 9);
	assert_int_equal(told.in_force, 4);
	assert_int_equal(told.committed, 3);

	replica_free(r);
	raft_free(raft);
	pending_free(pending);
	writer_free(&bytes);
	writer_free(&frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_that_comes_right_behind_a_snapshot_is_not_committed_by_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
