/* Replication: chapter 3.5 and 3.6 of the dissertation; pipelining and durability (10.2). */
#include "tests/unit/test_raft_net.h"

#include <errno.h>

static void a_proposal_is_applied_on_every_member(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t last = net_status(n, 1).log_last;
	assert_int_equal(net_propose(n, 1, "hello"), 0);
	net_settle(n);
	net_assert_agreed(n, last + 1);
	assert_memory_equal(net_at(n, 3)->log[last + 1].data, "hello", 5);
	net_free(n);
}

static void only_a_leader_takes_proposals(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	assert_int_equal(net_propose(n, 1, "x"), -EAGAIN);
	net_elect(n, 1);
	assert_int_equal(net_propose(n, 2, "x"), -EAGAIN);
	net_free(n);
}

static void a_proposal_is_sent_in_the_ready_that_saves_it(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	struct raft *r = net_raft(n, 1);
	assert_int_equal(raft_propose(r, "a", 1), 0);
	assert_int_equal(raft_propose(r, "b", 1), 0);
	const struct raft_ready *ready = raft_ready(r);
	assert_int_equal(ready->entries_count, 2);
	assert_int_not_equal(ready->save, 0);
	assert_int_equal(ready->send_count, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ready->send[i].type, RAFT_APPEND);
		assert_int_equal(ready->send[i].entries_count, 2);
	}
	assert_false(raft_has_ready(r));
	net_free(n);
}

static void a_new_leader_appends_a_no_op(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "1", 1);
	uint64_t term = net_lead_alone(n);
	struct raft_message m = net_sent(n, 2, RAFT_APPEND);
	assert_int_equal(m.entries_count, 1);
	assert_int_equal(m.entries[0].type, RAFT_ENTRY_NOOP);
	assert_int_equal(m.entries[0].term, term);
	net_free(n);
}

static void an_entry_is_committed_once_a_majority_has_it_on_disk(void **unused)
{
	(void)unused;
	struct net *n = net_new(5, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	assert_int_equal(net_status(n, 1).commit, 0);
	net_acknowledge(n, 2, term, 1);
	assert_int_equal(net_status(n, 1).commit, 0);
	net_acknowledge(n, 3, term, 1);
	assert_int_equal(net_status(n, 1).commit, 1);
	net_free(n);
}

static void a_leader_counts_itself_only_up_to_what_it_has_stored(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	assert_int_equal(net_propose(n, 1, "x"), 0);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND).type, RAFT_APPEND); /* sent while its own sync runs */
	net_acknowledge(n, 2, term, 2);
	assert_int_equal(net_status(n, 1).commit, 1);
	net_store(n, 1);
	assert_int_equal(net_status(n, 1).commit, 2);
	net_free(n);
}

static void others_may_commit_an_entry_that_the_leader_has_not_stored_but_it_applies_it_later(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_propose(n, 1, "x");
	net_acknowledge(n, 2, term, 2);
	net_acknowledge(n, 3, term, 2);
	assert_int_equal(net_status(n, 1).commit, 2);
	assert_int_equal(net_at(n, 1)->applied, 1);
	net_store(n, 1);
	assert_int_equal(net_at(n, 1)->applied, 2);
	net_free(n);
}

/* Figure 3.7 of the dissertation (figure 8 of the paper). */
static void a_leader_commits_only_entries_of_its_own_term_by_counting(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "12", 3);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 2);
	assert_int_equal(net_status(n, 1).commit, 0);
	net_acknowledge(n, 2, term, 3);
	assert_int_equal(net_status(n, 1).commit, 3);
	net_free(n);
}

static void an_append_is_acknowledged_only_once_it_is_stored(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	const struct raft_entry e = {.term = 1, .index = 1, .type = RAFT_ENTRY_COMMAND, .size = 1, .data = "x"};
	net_step(n, (struct raft_message){.type = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .entries = &e, .entries_count = 1});
	assert_int_equal(n->wire.count, 0);
	net_store(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 1);
	net_free(n);
}

static void a_heartbeat_is_acknowledged_without_waiting_for_the_disk(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1, .round = 7});
	assert_non_null(net_at(n, 1)->saves);
	assert_int_equal(net_sent(n, 2, RAFT_HEARTBEAT_REPLY).round, 7);
	net_free(n);
}

static void an_entry_is_applied_only_once_it_is_stored_here(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	const struct raft_entry e = {.term = 1, .index = 1, .type = RAFT_ENTRY_COMMAND, .size = 1, .data = "x"};
	struct raft_message m = {.type = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .commit = 1, .entries = &e, .entries_count = 1};
	net_step(n, m);
	assert_int_equal(net_status(n, 1).commit, 1);
	assert_int_equal(net_at(n, 1)->applied, 0);
	net_store(n, 1);
	assert_int_equal(net_at(n, 1)->applied, 1);
	net_free(n);
}

static void an_append_that_does_not_follow_on_is_refused_with_a_hint(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "11133", 3);
	/* A gap: the log is too short. */
	net_step(n, (struct raft_message){.type = RAFT_APPEND, .from = 2, .to = 1, .term = 4, .log_index = 9, .log_term = 4});
	struct raft_message m = net_sent(n, 2, RAFT_APPEND_REPLY);
	assert_true(m.reject);
	assert_int_equal(m.log_index, 9);
	assert_int_equal(m.hint_index, 5);
	assert_int_equal(m.hint_term, 3);
	/* Another term there: nothing of a later term can match. */
	net_step(n, (struct raft_message){.type = RAFT_APPEND, .from = 2, .to = 1, .term = 4, .log_index = 5, .log_term = 2});
	m = net_sent(n, 2, RAFT_APPEND_REPLY);
	assert_int_equal(m.log_index, 5);
	assert_int_equal(m.hint_index, 3);
	assert_int_equal(m.hint_term, 1);
	assert_int_equal(net_status(n, 1).log_last, 5);
	net_free(n);
}

static void a_conflicting_tail_is_replaced(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "1122", 2);
	const struct raft_entry e[] = {{.term = 1, .index = 2}, {.term = 3, .index = 3}};
	struct raft_message m = {
		.type = RAFT_APPEND, .from = 2, .to = 1, .term = 3, .log_index = 1, .log_term = 1, .entries = e, .entries_count = 2};
	net_step(n, m);
	assert_int_equal(net_status(n, 1).log_last, 3);
	assert_int_equal(raft_term_at(net_raft(n, 1), 3), 3);
	assert_int_equal(net_status(n, 1).stored, 2);
	net_store(n, 1);
	assert_int_equal(net_status(n, 1).stored, 3);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 3);
	net_free(n);
}

static void a_delayed_append_does_not_cut_off_what_came_after_it(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "1111", 1);
	const struct raft_entry e = {.term = 1, .index = 2};
	struct raft_message m = {
		.type = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .log_index = 1, .log_term = 1, .entries = &e, .entries_count = 1};
	net_step(n, m);
	assert_int_equal(net_status(n, 1).log_last, 4);
	net_store(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 2);
	net_free(n);
}

static void an_append_that_reaches_back_behind_the_commit_index_still_brings_its_news(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "111", 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1, .commit = 3});
	const struct raft_entry e[] = {{.term = 1, .index = 2}, {.term = 1, .index = 3}, {.term = 1, .index = 4}};
	struct raft_message m = {
		.type = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .log_index = 1, .log_term = 1, .entries = e, .entries_count = 3};
	net_step(n, m);
	net_store(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 4);
	m.entries_count = 1;
	net_step(n, m);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 3);
	assert_int_equal(net_status(n, 1).log_last, 4);
	net_free(n);
}

static void a_follower_commits_no_further_than_an_append_proves_to_match(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "1222", 2);
	struct raft_message m = {.type = RAFT_APPEND, .from = 2, .to = 1, .term = 3, .log_index = 1, .log_term = 1, .commit = 4};
	net_step(n, m);
	assert_int_equal(net_status(n, 1).commit, 1);
	net_free(n);
}

static void entries_that_do_not_follow_each_other_are_dropped(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	const struct raft_entry gap[] = {{.term = 1, .index = 1}, {.term = 1, .index = 3}};
	const struct raft_entry falling[] = {{.term = 2, .index = 1}, {.term = 1, .index = 2}};
	const struct raft_entry future[] = {{.term = 9, .index = 1}, {.term = 9, .index = 2}};
	const struct raft_entry *bad[] = {gap, falling, future};
	for (int i = 0; i < 3; i++) {
		struct raft_message m = {.type = RAFT_APPEND, .from = 2, .to = 1, .term = 2, .entries = bad[i], .entries_count = 2};
		raft_step(net_raft(n, 1), &m);
		assert_int_equal(net_status(n, 1).log_last, 0);
	}
	net_free(n);
}

static void logs_that_diverged_agree_after_backing_off_a_term_at_a_time(void **unused)
{
	(void)unused;
	/* Figure 3.6: followers that lack entries, have others, or both. */
	const char *const leader = "1114455666", *const others[] = {"111445566",    "1114",    "11144556666",
								    "111445566677", "1114444", "11122233333"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct net *n = net_new(3, i + 1);
		net_give_log(n, 1, leader, 7);
		net_give_log(n, 2, leader, 7);
		net_give_log(n, 3, others[i], 7);
		/* 1 leads with a majority that agrees. */
		net_isolate(n, 3, true);
		net_run(n, 1500);
		net_elect(n, 1);
		uint64_t before = n->appends;
		net_isolate(n, 3, false);
		net_run(n, 300);
		if (net_leader(n) != 1)
			net_run(n, 2000);
		net_assert_agreed(n, net_status(n, net_leader(n)).log_last);
		assert_true(n->appends - before < 30);
		net_free(n);
	}
}

static void a_leader_sends_ahead_of_acknowledgements_up_to_its_limit(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	n->inflight_max = 4;
	net_crash(n, 1);
	net_start(n, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	net_clear(n);
	for (int i = 0; i < 10; i++)
		assert_int_equal(net_propose(n, 1, "x"), 0);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND).log_index, 4); /* the fourth */
	assert_int_equal(net_sent(n, 3, RAFT_APPEND).type, 0);      /* still probed, one at a time */
	net_acknowledge(n, 2, term, 3);
	struct raft_message m = net_sent(n, 2, RAFT_APPEND);
	assert_int_equal(m.log_index, 5);
	assert_int_equal(m.entries_count, 6); /* what had gathered goes as one */
	net_free(n);
}

static void an_append_holds_about_as_many_bytes_as_a_frame_may(void **unused)
{
	(void)unused;
	static char data[100000];
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	net_clear(n);
	for (int i = 0; i < 9; i++)
		assert_int_equal(raft_propose(net_raft(n, 1), data, sizeof(data)), 0);
	net_pump(n, net_at(n, 1));
	uint32_t entries = 0;
	for (struct net_frame *f = n->wire.head; f; f = f->next) {
		assert_true(f->bytes.size < RAFT_ENTRY_BYTES_MAX + 1000);
		entries += f->to == 2;
	}
	assert_int_equal(entries, 3);
	net_free(n);
}

static void a_lost_append_is_sent_again_when_the_next_heartbeat_is_answered(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	n->cut[1][2] = true;
	net_propose(n, 1, "lost");
	n->cut[1][2] = false;
	net_settle(n);
	uint64_t last = net_status(n, 1).log_last;
	assert_int_equal(net_status(n, 2).log_last, last - 1);
	net_run(n, 70);
	net_assert_agreed(n, last);
	net_free(n);
}

static void a_lost_acknowledgement_is_asked_for_without_sending_the_entries_again(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	n->cut[2][1] = n->cut[3][1] = true;
	net_propose(n, 1, "x");
	net_settle(n);
	n->cut[2][1] = n->cut[3][1] = false;
	uint64_t entries = n->append_entries;
	assert_true(net_status(n, 1).commit < net_status(n, 1).log_last);
	net_run(n, 120);
	net_assert_agreed(n, net_status(n, 1).log_last);
	assert_int_equal(n->append_entries, entries);
	net_free(n);
}

static void appends_that_wait_for_a_slow_disk_are_not_sent_again(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_propose(n, 1, "x");
	uint64_t entries = n->append_entries;
	for (int i = 0; i < 40; i++) { /* delivered, but nobody's disk answers */
		while (n->wire.count > 0)
			net_deliver(n, 0);
		n->now_ms += 10;
		for (uint64_t id = 1; id <= 3; id++)
			net_tick_one(n, id);
	}
	assert_int_equal(n->append_entries, entries);
	assert_int_equal(net_leader(n), 1);
	net_settle(n);
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

static void a_follower_that_lost_what_it_had_not_stored_gets_it_again(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	for (int i = 0; i < 5; i++)
		net_propose(n, 1, "x");
	while (n->wire.count > 0)
		net_deliver(n, 0);
	net_crash(n, 2);
	net_settle(n);
	net_start(n, 2);
	net_run(n, 200);
	assert_int_equal(net_leader(n), 1);
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

static void followers_learn_of_a_commit_without_waiting_for_a_heartbeat(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_propose(n, 1, "x");
	net_settle(n); /* no time passes */
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

static void a_heartbeat_names_no_commit_index_beyond_what_its_receiver_has(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_propose(n, 1, "x");
	net_store(n, 1);
	net_acknowledge(n, 2, term, 2);
	net_clear(n);
	n->now_ms += 50;
	net_tick_one(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_HEARTBEAT).commit, 2);
	assert_int_equal(net_sent(n, 3, RAFT_HEARTBEAT).commit, 0);
	net_free(n);
}

static void proposals_over_the_uncommitted_limit_are_refused_until_some_commit(void **unused)
{
	(void)unused;
	static char data[300000];
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	struct raft *r = net_raft(n, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(raft_propose(r, data, sizeof(data)), 0);
	assert_int_equal(raft_propose(r, data, sizeof(data)), -ENOBUFS);
	assert_int_equal(raft_propose(r, data, RAFT_ENTRY_BYTES_MAX + 1), -EMSGSIZE);
	net_settle(n);
	assert_int_equal(raft_propose(r, data, sizeof(data)), 0);
	net_free(n);
}

static void entries_older_than_the_cache_are_fetched_for_a_follower_that_is_behind(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	n->cache_bytes_max = 1000;
	for (uint64_t id = 1; id <= 3; id++) {
		net_crash(n, id);
		net_start(n, id);
	}
	net_elect(n, 1);
	net_isolate(n, 3, true);
	for (int i = 0; i < 200; i++) {
		net_propose(n, 1, "twenty bytes of data");
		net_settle(n);
	}
	net_isolate(n, 3, false);
	net_run(n, 500);
	net_assert_agreed(n, net_status(n, net_leader(n)).log_last);
	net_free(n);
}

static void a_fetch_that_finds_nothing_is_asked_again(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	n->cache_bytes_max = 100;
	for (uint64_t id = 1; id <= 3; id++) {
		net_crash(n, id);
		net_start(n, id);
	}
	net_elect(n, 1);
	net_isolate(n, 3, true);
	for (int i = 0; i < 50; i++) {
		net_propose(n, 1, "x");
		net_settle(n);
	}
	n->slow_fetch = true;
	net_isolate(n, 3, false);
	net_run(n, 300);
	assert_true(net_at(n, 3)->applied < 50);
	n->slow_fetch = false;
	net_run(n, 300);
	net_assert_agreed(n, net_status(n, net_leader(n)).log_last);
	net_free(n);
}

static void all_members_learn_what_is_stored_everywhere(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_isolate(n, 3, true);
	uint64_t before = net_status(n, 1).log_last;
	net_propose(n, 1, "x");
	net_run(n, 100);
	assert_int_equal(net_status(n, 1).everywhere, before);
	net_isolate(n, 3, false);
	net_run(n, 200);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(net_status(n, id).everywhere, before + 1);
	net_free(n);
}

static void a_save_that_was_overwritten_proves_nothing_about_what_replaced_it(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	const struct raft_entry old[] = {{.term = 1, .index = 1}, {.term = 1, .index = 2}, {.term = 1, .index = 3}};
	const struct raft_entry new[] = {{.term = 2, .index = 2}, {.term = 2, .index = 3}};
	net_step(n, (struct raft_message){.type = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .entries = old, .entries_count = 3});
	net_step(n, (struct raft_message){.type = RAFT_APPEND,
					  .from = 3,
					  .to = 1,
					  .term = 2,
					  .log_index = 1,
					  .log_term = 1,
					  .entries = new,
					  .entries_count = 2});
	net_store_one(n, net_at(n, 1));
	assert_int_equal(net_status(n, 1).stored, 1);
	net_store(n, 1);
	assert_int_equal(net_status(n, 1).stored, 3);
	net_free(n);
}

static void a_restarted_member_lists_what_was_not_applied_and_nothing_twice(void **unused)
{
	(void)unused;
	struct net *n = net_new(1, 1);
	net_run(n, 100);
	for (int i = 0; i < 5; i++)
		net_propose(n, 1, "x");
	net_settle(n);
	net_crash(n, 1);
	net_at(n, 1)->applied = 3; /* what its store had kept */
	net_start(n, 1);
	net_run(n, 100);
	assert_int_equal(net_at(n, 1)->applied, 7); /* two no-ops, five commands; the net checks that each comes once */
	net_free(n);
}

static void a_log_that_does_not_follow_on_is_refused_at_restore(void **unused)
{
	(void)unused;
	static const struct raft_members members = {.voters = {1}, .voters_count = 1};
	struct raft_config c = {.id = 1,
				.members = &members,
				.election_ms = 500,
				.heartbeat_ms = 50,
				.inflight_max = 1,
				.hard = {.term = 5},
				.log_first = 11,
				.log_base_term = 2,
				.applied = 10};
	struct raft *r;
	assert_int_equal(raft_new(&c, &r), 0);
	assert_int_equal(raft_restore(r, &(struct raft_entry){.index = 12, .term = 2}), -EINVAL);
	assert_int_equal(raft_restore(r, &(struct raft_entry){.index = 11, .term = 1}), -EINVAL);
	assert_int_equal(raft_restore(r, &(struct raft_entry){.index = 11, .term = 6}), -EINVAL);
	assert_int_equal(raft_restore(r, &(struct raft_entry){.index = 11, .term = 2, .type = RAFT_ENTRY_CONFIG}), -EINVAL);
	assert_int_equal(raft_restore(r, &(struct raft_entry){.index = 11, .term = 2}), 0);
	assert_int_equal(raft_term_at(r, 10), 2);
	raft_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_proposal_is_applied_on_every_member),
		cmocka_unit_test(only_a_leader_takes_proposals),
		cmocka_unit_test(a_proposal_is_sent_in_the_ready_that_saves_it),
		cmocka_unit_test(a_new_leader_appends_a_no_op),
		cmocka_unit_test(an_entry_is_committed_once_a_majority_has_it_on_disk),
		cmocka_unit_test(a_leader_counts_itself_only_up_to_what_it_has_stored),
		cmocka_unit_test(others_may_commit_an_entry_that_the_leader_has_not_stored_but_it_applies_it_later),
		cmocka_unit_test(a_leader_commits_only_entries_of_its_own_term_by_counting),
		cmocka_unit_test(an_append_is_acknowledged_only_once_it_is_stored),
		cmocka_unit_test(a_heartbeat_is_acknowledged_without_waiting_for_the_disk),
		cmocka_unit_test(an_entry_is_applied_only_once_it_is_stored_here),
		cmocka_unit_test(an_append_that_does_not_follow_on_is_refused_with_a_hint),
		cmocka_unit_test(a_conflicting_tail_is_replaced),
		cmocka_unit_test(a_delayed_append_does_not_cut_off_what_came_after_it),
		cmocka_unit_test(an_append_that_reaches_back_behind_the_commit_index_still_brings_its_news),
		cmocka_unit_test(a_follower_commits_no_further_than_an_append_proves_to_match),
		cmocka_unit_test(entries_that_do_not_follow_each_other_are_dropped),
		cmocka_unit_test(logs_that_diverged_agree_after_backing_off_a_term_at_a_time),
		cmocka_unit_test(a_leader_sends_ahead_of_acknowledgements_up_to_its_limit),
		cmocka_unit_test(an_append_holds_about_as_many_bytes_as_a_frame_may),
		cmocka_unit_test(a_lost_append_is_sent_again_when_the_next_heartbeat_is_answered),
		cmocka_unit_test(a_lost_acknowledgement_is_asked_for_without_sending_the_entries_again),
		cmocka_unit_test(appends_that_wait_for_a_slow_disk_are_not_sent_again),
		cmocka_unit_test(a_follower_that_lost_what_it_had_not_stored_gets_it_again),
		cmocka_unit_test(followers_learn_of_a_commit_without_waiting_for_a_heartbeat),
		cmocka_unit_test(a_heartbeat_names_no_commit_index_beyond_what_its_receiver_has),
		cmocka_unit_test(proposals_over_the_uncommitted_limit_are_refused_until_some_commit),
		cmocka_unit_test(entries_older_than_the_cache_are_fetched_for_a_follower_that_is_behind),
		cmocka_unit_test(a_fetch_that_finds_nothing_is_asked_again),
		cmocka_unit_test(all_members_learn_what_is_stored_everywhere),
		cmocka_unit_test(a_save_that_was_overwritten_proves_nothing_about_what_replaced_it),
		cmocka_unit_test(a_restarted_member_lists_what_was_not_applied_and_nothing_twice),
		cmocka_unit_test(a_log_that_does_not_follow_on_is_refused_at_restore),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
