/* Linearizable reads: 6.4 of the dissertation; what acknowledges a round and what does not, etcd #20418. */
#include "tests/unit/test_raft_net.h"

static struct raft_message heartbeat_reply(uint64_t from, uint64_t term, uint64_t round)
{
	return (struct raft_message){.type = RAFT_HEARTBEAT_REPLY, .from = from, .to = 1, .term = term, .round = round, .log_index = 1};
}

/* Member 1 leads and has committed in its term; nothing is on the wire. */
static uint64_t lead_committed(struct net *n)
{
	uint64_t term = net_lead_alone(n);
	for (uint64_t id = 2; id <= n->count / 2 + 1; id++)
		net_acknowledge(n, id, term, net_status(n, 1).log_last);
	assert_int_equal(net_status(n, 1).commit, net_status(n, 1).log_last);
	net_clear(n);
	return term;
}

static void a_read_on_the_leader_waits_for_a_majority_to_confirm_that_it_leads(void **unused)
{
	(void)unused;
	struct net *n = net_new(5, 1);
	uint64_t term = lead_committed(n), ticket = net_read(n, 1);
	uint64_t round = net_sent(n, 2, RAFT_HEARTBEAT).round;
	assert_int_not_equal(round, 0);
	net_step(n, heartbeat_reply(2, term, round));
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	net_step(n, heartbeat_reply(2, term, round)); /* twice by one is not two */
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	net_step(n, heartbeat_reply(3, term, round));
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	assert_int_equal(net_at(n, 1)->read_index, 1);
	net_free(n);
}

static void a_read_in_a_cluster_of_one_is_confirmed_at_once(void **unused)
{
	(void)unused;
	struct net *n = net_new(1, 1);
	net_run(n, 100);
	uint64_t ticket = net_read(n, 1);
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	assert_int_equal(net_at(n, 1)->read_index, net_status(n, 1).commit);
	assert_int_equal(n->wire.count, 0);
	net_free(n);
}

static void an_acknowledgement_of_an_earlier_round_proves_nothing(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = lead_committed(n);
	n->now_ms += 50;
	net_tick_one(n, 1);
	uint64_t early = net_sent(n, 2, RAFT_HEARTBEAT).round;
	uint64_t ticket = net_read(n, 1);
	uint64_t round = net_sent(n, 2, RAFT_HEARTBEAT).round;
	assert_true(round > early);
	net_step(n, heartbeat_reply(2, term, early));
	net_step(n, heartbeat_reply(3, term, early));
	net_step(n, heartbeat_reply(2, term, 0));
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	net_step(n, heartbeat_reply(2, term, round));
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	net_free(n);
}

static void an_acknowledgement_of_an_earlier_term_proves_nothing(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t old = lead_committed(n);
	for (int i = 0; i < 5; i++)
		net_read(n, 1);
	raft_step_down(net_raft(n, 1));
	net_pump(n, net_at(n, 1));
	net_at(n, 1)->read_ticket = 0;
	uint64_t term = lead_committed(n);
	assert_true(term > old);
	uint64_t ticket = net_read(n, 1);
	for (uint64_t round = 0; round < 10; round++)
		net_step(n, heartbeat_reply(2, old, round));
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	net_step(n, heartbeat_reply(2, term, net_sent(n, 2, RAFT_HEARTBEAT).round));
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	net_free(n);
}

static void no_read_is_served_before_the_leader_has_committed_in_its_term(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	uint64_t ticket = net_read(n, 1);
	for (uint64_t round = 1; round < 5; round++) {
		n->now_ms += 50;
		net_tick_one(n, 1);
		net_step(n, heartbeat_reply(2, term, round));
		net_step(n, heartbeat_reply(3, term, round));
	}
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	net_acknowledge(n, 2, term, 1);
	net_step(n, heartbeat_reply(2, term, net_sent(n, 2, RAFT_HEARTBEAT).round));
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	assert_int_equal(net_at(n, 1)->read_index, 1);
	net_free(n);
}

static void the_read_index_is_the_commit_index_when_the_round_began(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = lead_committed(n);
	net_read(n, 1);
	uint64_t round = net_sent(n, 2, RAFT_HEARTBEAT).round;
	net_propose(n, 1, "x");
	net_store(n, 1);
	net_acknowledge(n, 2, term, 2);
	assert_int_equal(net_status(n, 1).commit, 2);
	net_step(n, heartbeat_reply(2, term, round));
	assert_int_equal(net_at(n, 1)->read_index, 1);
	net_free(n);
}

static void reads_of_one_drain_share_one_round(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = lead_committed(n), last = 0;
	for (int i = 0; i < 100; i++)
		last = raft_read(net_raft(n, 1));
	net_pump(n, net_at(n, 1));
	assert_int_equal(n->wire.count, 2);
	net_step(n, heartbeat_reply(2, term, net_sent(n, 2, RAFT_HEARTBEAT).round));
	assert_int_equal(net_at(n, 1)->read_ticket, last);
	net_free(n);
}

static void rounds_in_flight_have_a_bound_and_later_reads_join_the_next(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = lead_committed(n), last = 0;
	for (int i = 0; i < 50; i++)
		last = net_read(n, 1);
	assert_int_equal(n->wire.count, 2 * 8);
	net_step(n, heartbeat_reply(2, term, net_sent(n, 2, RAFT_HEARTBEAT).round));
	assert_int_equal(n->wire.count, 2 * 9);
	net_step(n, heartbeat_reply(2, term, net_sent(n, 2, RAFT_HEARTBEAT).round));
	assert_int_equal(net_at(n, 1)->read_ticket, last);
	net_free(n);
}

static void a_lost_round_is_made_good_by_the_next_heartbeat(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t ticket = net_read(n, 1);
	net_clear(n);
	net_settle(n);
	assert_true(net_at(n, 1)->read_ticket < ticket);
	net_run(n, 60);
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	net_free(n);
}

static void a_follower_asks_the_leader(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_propose(n, 1, "x");
	net_settle(n);
	uint64_t ticket = net_read(n, 2);
	assert_int_equal(net_at(n, 2)->read_ticket, 0);
	net_settle(n);
	assert_int_equal(net_at(n, 2)->read_ticket, ticket);
	assert_int_equal(net_at(n, 2)->read_index, net_status(n, 1).commit);
	net_free(n);
}

static void a_follower_asks_once_for_all_reads_of_a_drain(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t last = 0;
	for (int i = 0; i < 100; i++)
		last = raft_read(net_raft(n, 2));
	net_pump(n, net_at(n, 2));
	assert_int_equal(n->wire.count, 1);
	net_settle(n);
	assert_int_equal(net_at(n, 2)->read_ticket, last);
	net_free(n);
}

static void an_answer_to_an_earlier_question_serves_only_the_reads_it_was_asked_for(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1});
	uint64_t first = net_read(n, 1), second = net_read(n, 1);
	struct raft_message m = {.type = RAFT_READ_INDEX_REPLY, .from = 2, .to = 1, .term = 1, .round = first, .log_index = 5};
	net_step(n, m);
	assert_int_equal(net_at(n, 1)->read_ticket, first);
	net_step(n, m);
	assert_int_equal(net_at(n, 1)->read_ticket, first);
	m.round = second;
	net_step(n, m);
	assert_int_equal(net_at(n, 1)->read_ticket, second);
	net_free(n);
}

static void an_answer_of_an_earlier_run_proves_nothing(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1});
	uint64_t old = net_read(n, 1);
	net_store(n, 1);
	net_crash(n, 1);
	net_start(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1});
	uint64_t ticket = net_read(n, 1);
	assert_true(ticket > old);
	net_step(n, (struct raft_message){.type = RAFT_READ_INDEX_REPLY, .from = 2, .to = 1, .term = 1, .round = old, .log_index = 1});
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	/* Nor does one for a ticket that was never given out. */
	net_step(n,
		 (struct raft_message){.type = RAFT_READ_INDEX_REPLY, .from = 2, .to = 1, .term = 1, .round = ticket + 9, .log_index = 1});
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	net_free(n);
}

static void a_lost_question_is_asked_again_after_a_heartbeats_time(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t ticket = net_read(n, 2);
	net_clear(n);
	net_run(n, 40);
	assert_true(net_at(n, 2)->read_ticket < ticket);
	net_run(n, 30);
	assert_int_equal(net_at(n, 2)->read_ticket, ticket);
	net_free(n);
}

static void a_read_outlives_the_leader_it_was_asked_of(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t ticket = net_read(n, 2);
	net_crash(n, 1);
	net_run(n, 2500);
	assert_int_equal(net_at(n, 2)->read_ticket, ticket);
	net_free(n);
}

static void a_leaders_read_outlives_its_leadership(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_isolate(n, 1, true);
	uint64_t ticket = net_read(n, 1);
	net_run(n, 2000);
	assert_true(net_at(n, 1)->read_ticket < ticket);
	net_isolate(n, 1, false);
	net_run(n, 2000);
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	net_free(n);
}

static void a_leader_that_was_replaced_while_it_slept_serves_no_stale_read(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_isolate(n, 1, true);
	for (uint64_t end = n->now_ms + 2500; n->now_ms < end;) { /* 1 is stopped: no ticks, no messages */
		n->now_ms += 10;
		net_tick_one(n, 2);
		net_tick_one(n, 3);
		net_settle(n);
	}
	uint64_t leader = net_leader(n);
	assert_int_not_equal(leader, 1);
	net_propose(n, leader, "newer");
	net_settle(n);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER); /* it still believes so */
	net_isolate(n, 1, false);
	uint64_t ticket = net_read(n, 1);
	net_settle(n);
	assert_true(net_at(n, 1)->read_ticket < ticket);
	net_run(n, 3000);
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	assert_true(net_at(n, 1)->read_index >= net_status(n, net_leader(n)).commit);
	net_free(n);
}

static void a_forgotten_read_is_not_asked_for_any_more(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1});
	uint64_t ticket = net_read(n, 1);
	net_store(n, 1);
	net_clear(n);
	raft_read_forget(net_raft(n, 1), ticket);
	for (int i = 0; i < 6; i++) {
		n->now_ms += 50;
		net_tick_one(n, 1);
	}
	assert_int_equal(n->wire.count, 0);
	net_step(n, (struct raft_message){.type = RAFT_READ_INDEX_REPLY, .from = 2, .to = 1, .term = 1, .round = ticket, .log_index = 1});
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	net_free(n);
}

static void an_idle_follower_asks_nothing(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_read(n, 2);
	net_settle(n);
	n->now_ms += 200;
	net_tick_one(n, 2);
	assert_int_equal(net_sent(n, 1, RAFT_READ_INDEX).type, 0);
	assert_false(raft_has_ready(net_raft(n, 2)));
	net_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_on_the_leader_waits_for_a_majority_to_confirm_that_it_leads),
		cmocka_unit_test(a_read_in_a_cluster_of_one_is_confirmed_at_once),
		cmocka_unit_test(an_acknowledgement_of_an_earlier_round_proves_nothing),
		cmocka_unit_test(an_acknowledgement_of_an_earlier_term_proves_nothing),
		cmocka_unit_test(no_read_is_served_before_the_leader_has_committed_in_its_term),
		cmocka_unit_test(the_read_index_is_the_commit_index_when_the_round_began),
		cmocka_unit_test(reads_of_one_drain_share_one_round),
		cmocka_unit_test(rounds_in_flight_have_a_bound_and_later_reads_join_the_next),
		cmocka_unit_test(a_lost_round_is_made_good_by_the_next_heartbeat),
		cmocka_unit_test(a_follower_asks_the_leader),
		cmocka_unit_test(a_follower_asks_once_for_all_reads_of_a_drain),
		cmocka_unit_test(an_answer_to_an_earlier_question_serves_only_the_reads_it_was_asked_for),
		cmocka_unit_test(an_answer_of_an_earlier_run_proves_nothing),
		cmocka_unit_test(a_lost_question_is_asked_again_after_a_heartbeats_time),
		cmocka_unit_test(a_read_outlives_the_leader_it_was_asked_of),
		cmocka_unit_test(a_leaders_read_outlives_its_leadership),
		cmocka_unit_test(a_leader_that_was_replaced_while_it_slept_serves_no_stale_read),
		cmocka_unit_test(a_forgotten_read_is_not_asked_for_any_more),
		cmocka_unit_test(an_idle_follower_asks_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
