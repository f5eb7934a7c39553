/* Handing leadership over: 3.10 of the dissertation. */
#include "tests/unit/test_raft_net.h"

#include <errno.h>

static void leadership_moves_to_the_member_named_without_waiting_for_a_timeout(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t term = net_status(n, 1).term;
	assert_int_equal(raft_transfer(net_raft(n, 1), 3), 0);
	net_settle(n); /* no time passes */
	assert_int_equal(net_leader(n), 3);
	assert_int_equal(net_status(n, 3).term, term + 1);
	assert_int_equal(net_status(n, 1).leader, 3);
	net_free(n);
}

static void with_nobody_named_it_moves_to_the_most_caught_up_member(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_isolate(n, 2, true);
	net_propose(n, 1, "x");
	net_settle(n);
	net_isolate(n, 2, false);
	assert_int_equal(raft_transfer(net_raft(n, 1), 0), 0);
	net_settle(n);
	assert_int_equal(net_leader(n), 3);
	net_free(n);
}

static void a_member_that_lags_is_brought_up_to_date_first(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	net_propose(n, 1, "x");
	net_store(n, 1);
	net_clear(n);
	assert_int_equal(raft_transfer(net_raft(n, 1), 2), 0);
	net_pump(n, net_at(n, 1));
	assert_int_equal(net_sent(n, 2, RAFT_TIMEOUT_NOW).type, 0);
	net_acknowledge(n, 2, term, 2);
	assert_int_equal(net_sent(n, 2, RAFT_TIMEOUT_NOW).term, term);
	net_free(n);
}

static void a_leader_that_hands_over_takes_no_proposals(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	n->cut[1][2] = true;
	assert_int_equal(raft_transfer(net_raft(n, 1), 2), 0);
	assert_int_equal(raft_propose(net_raft(n, 1), "x", 1), -EAGAIN);
	net_free(n);
}

static void a_hand_over_is_given_up_after_an_election_timeout(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_isolate(n, 2, true);
	assert_int_equal(raft_transfer(net_raft(n, 1), 2), 0);
	net_run(n, 480);
	assert_int_equal(raft_propose(net_raft(n, 1), "x", 1), -EAGAIN);
	net_run(n, 40);
	assert_int_equal(net_leader(n), 1);
	assert_int_equal(raft_propose(net_raft(n, 1), "x", 1), 0);
	net_free(n);
}

static void a_lost_word_to_campaign_is_said_again(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	assert_int_equal(raft_transfer(net_raft(n, 1), 2), 0);
	net_pump(n, net_at(n, 1));
	net_clear(n);
	net_run(n, 60);
	assert_int_equal(net_leader(n), 2);
	net_free(n);
}

static void there_must_be_somebody_to_hand_over_to(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	assert_int_equal(raft_transfer(net_raft(n, 1), 2), -EAGAIN);
	net_elect(n, 1);
	assert_int_equal(raft_transfer(net_raft(n, 2), 3), -EAGAIN);
	assert_int_equal(raft_transfer(net_raft(n, 1), 1), -ENOENT);
	assert_int_equal(raft_transfer(net_raft(n, 1), 9), -ENOENT);
	net_free(n);
	n = net_new(1, 1);
	net_run(n, 100);
	assert_int_equal(raft_transfer(net_raft(n, 1), 0), -ENOENT);
	net_free(n);
}

static void a_member_told_to_campaign_asks_no_pre_votes_and_overrides_the_lease(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1});
	net_step(n, (struct raft_message){.type = RAFT_TIMEOUT_NOW, .from = 2, .to = 1, .term = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	net_store(n, 1);
	assert_int_equal(net_sent(n, 3, RAFT_PREVOTE).type, 0);
	assert_true(net_sent(n, 3, RAFT_VOTE).transfer);
	assert_int_equal(net_sent(n, 3, RAFT_VOTE).term, 2);
	net_free(n);
}

static void a_late_word_to_campaign_is_ignored(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 3, .to = 1, .term = 2});
	net_step(n, (struct raft_message){.type = RAFT_TIMEOUT_NOW, .from = 2, .to = 1, .term = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	net_free(n);
}

static void a_leader_told_to_step_down_follows_nobody(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	raft_step_down(net_raft(n, 1));
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	assert_int_equal(net_status(n, 1).leader, 0);
	net_run(n, 2500);
	assert_int_not_equal(net_leader(n), 0);
	net_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leadership_moves_to_the_member_named_without_waiting_for_a_timeout),
		cmocka_unit_test(with_nobody_named_it_moves_to_the_most_caught_up_member),
		cmocka_unit_test(a_member_that_lags_is_brought_up_to_date_first),
		cmocka_unit_test(a_leader_that_hands_over_takes_no_proposals),
		cmocka_unit_test(a_hand_over_is_given_up_after_an_election_timeout),
		cmocka_unit_test(a_lost_word_to_campaign_is_said_again),
		cmocka_unit_test(there_must_be_somebody_to_hand_over_to),
		cmocka_unit_test(a_member_told_to_campaign_asks_no_pre_votes_and_overrides_the_lease),
		cmocka_unit_test(a_late_word_to_campaign_is_ignored),
		cmocka_unit_test(a_leader_told_to_step_down_follows_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
