/* Elections: chapter 3.4 and 3.6 of the dissertation, pre-vote (9.6) and check-quorum (6.2, 4.2.3). */
#include "tests/unit/test_raft_net.h"

#include <errno.h>

static void a_cluster_elects_one_leader_that_all_follow(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_run(n, 1500);
	uint64_t leader = net_leader(n);
	assert_int_not_equal(leader, 0);
	for (uint64_t id = 1; id <= 3; id++) {
		assert_int_equal(net_status(n, id).leader, leader);
		assert_int_equal(net_status(n, id).term, 1);
		assert_int_equal(net_status(n, id).role, id == leader ? RAFT_LEADER : RAFT_FOLLOWER);
	}
	net_assert_agreed(n, 1);
	net_free(n);
}

static void a_member_of_a_cluster_of_one_leads_at_its_first_tick_once_its_vote_is_stored(void **unused)
{
	(void)unused;
	struct net *n = net_new(1, 1);
	assert_true(raft_deadline_ms(net_raft(n, 1)) <= n->now_ms);
	net_tick_one(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	net_store(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	net_settle(n);
	assert_int_equal(net_propose(n, 1, "x"), 0);
	assert_int_equal(net_at(n, 1)->applied, 1);
	net_store(n, 1);
	assert_int_equal(net_at(n, 1)->applied, 2);
	net_free(n);
}

static void a_follower_campaigns_after_a_random_time_between_one_and_two_election_timeouts(void **unused)
{
	(void)unused;
	uint64_t least = 5000, most = 0;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct net *n = net_new(3, seed);
		uint64_t wait = raft_deadline_ms(net_raft(n, 1)) - n->now_ms;
		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
		raft_tick(net_raft(n, 1), n->now_ms + wait - 1);
		assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
		raft_tick(net_raft(n, 1), n->now_ms + wait);
		assert_int_equal(net_status(n, 1).role, RAFT_PRECANDIDATE);
		net_free(n);
	}
	assert_true(least >= 500 && least < 550);
	assert_true(most < 1000 && most > 950);
}

static void a_leader_that_heartbeats_is_not_challenged(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_run(n, 1500);
	uint64_t leader = net_leader(n);
	net_run(n, 20000);
	assert_int_equal(net_leader(n), leader);
	assert_int_equal(net_status(n, leader).term, 1);
	net_free(n);
}

static void when_the_leader_dies_another_is_elected_within_two_timeouts(void **unused)
{
	(void)unused;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct net *n = net_new(3, seed);
		net_run(n, 1500);
		uint64_t old = net_leader(n);
		net_crash(n, old);
		net_run(n, 1100);
		assert_int_not_equal(net_leader(n), 0);
		assert_int_not_equal(net_leader(n), old);
		net_free(n);
	}
}

static void without_a_majority_nobody_is_elected_and_no_term_is_spent(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_crash(n, 2);
	net_crash(n, 3);
	net_run(n, 10000);
	assert_int_equal(net_leader(n), 0);
	assert_int_equal(net_status(n, 1).term, 0);
	net_free(n);
}

static void a_member_votes_once_a_term(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 2, .to = 1, .term = 1});
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 3, .to = 1, .term = 1});
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 2, .to = 1, .term = 1});
	net_store(n, 1);
	assert_false(net_sent(n, 2, RAFT_VOTE_REPLY).reject);
	assert_true(net_sent(n, 3, RAFT_VOTE_REPLY).reject);
	/* Neither does it after a crash: the vote was stored first. */
	net_crash(n, 1);
	net_start(n, 1);
	net_clear(n);
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 3, .to = 1, .term = 1});
	assert_true(net_sent(n, 3, RAFT_VOTE_REPLY).reject);
	net_free(n);
}

static void a_vote_is_not_given_before_it_is_stored(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 2, .to = 1, .term = 1});
	assert_int_equal(n->wire.count, 0);
	net_store(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_VOTE_REPLY).type, RAFT_VOTE_REPLY);
	assert_int_equal(net_at(n, 1)->hard.vote, 2);
	net_free(n);
}

/* The term alone was stored before, when another candidate brought it and was refused. */
static void a_vote_given_later_in_a_term_is_stored_too(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "112", 2);
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 3, .to = 1, .term = 4, .log_index = 2, .log_term = 1});
	net_store(n, 1);
	assert_true(net_sent(n, 3, RAFT_VOTE_REPLY).reject);
	assert_int_equal(net_at(n, 1)->hard.term, 4);
	assert_int_equal(net_at(n, 1)->hard.vote, 0);
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 2, .to = 1, .term = 4, .log_index = 3, .log_term = 2});
	net_store(n, 1);
	assert_false(net_sent(n, 2, RAFT_VOTE_REPLY).reject);
	assert_int_equal(net_at(n, 1)->hard.vote, 2);
	net_free(n);
}

static void a_vote_goes_only_to_a_log_that_is_at_least_as_up_to_date(void **unused)
{
	(void)unused;
	const struct {
		uint64_t index, term;
		bool granted;
	} cases[] = {{3, 2, true}, {4, 2, true}, {2, 2, false}, {1, 3, true}, {9, 1, false}, {0, 0, false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int pre = 0; pre < 2; pre++) {
			struct net *n = net_new(3, 1);
			net_give_log(n, 1, "112", 2);
			struct raft_message m = {.type = pre ? RAFT_PREVOTE : RAFT_VOTE, .from = 2, .to = 1, .term = 4};
			m.log_index = cases[i].index;
			m.log_term = cases[i].term;
			net_step(n, m);
			net_store(n, 1);
			struct raft_message reply = net_sent(n, 2, pre ? RAFT_PREVOTE_REPLY : RAFT_VOTE_REPLY);
			assert_int_not_equal(reply.type, 0);
			assert_int_equal(!reply.reject, cases[i].granted);
			net_free(n);
		}
	}
}

static void a_candidate_asks_for_votes_only_once_its_own_is_stored(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	n->now_ms += 1000;
	net_tick_one(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 1, .term = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	assert_int_equal(net_sent(n, 2, RAFT_VOTE).type, 0);
	net_store(n, 1);
	assert_int_equal(net_at(n, 1)->hard.vote, 1);
	assert_int_equal(net_sent(n, 2, RAFT_VOTE).term, 1);
	net_free(n);
}

static void a_candidate_counts_its_own_vote_only_once_it_is_stored(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	n->now_ms += 1000;
	net_tick_one(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 1, .term = 1});
	net_step(n, (struct raft_message){.type = RAFT_VOTE_REPLY, .from = 2, .to = 1, .term = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	net_store(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	net_free(n);
}

static void a_candidate_that_a_majority_refuses_follows_again(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	n->now_ms += 1000;
	net_tick_one(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 1, .term = 1});
	net_store(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_VOTE_REPLY, .from = 2, .to = 1, .term = 1, .reject = true});
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	/* Said twice is not said by two. */
	net_step(n, (struct raft_message){.type = RAFT_VOTE_REPLY, .from = 2, .to = 1, .term = 1, .reject = true});
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	net_step(n, (struct raft_message){.type = RAFT_VOTE_REPLY, .from = 3, .to = 1, .term = 1, .reject = true});
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	assert_int_equal(net_status(n, 1).term, 1);
	net_free(n);
}

static void a_repeated_vote_counts_once(void **unused)
{
	(void)unused;
	struct net *n = net_new(5, 1);
	n->now_ms += 1000;
	net_tick_one(n, 1);
	for (int i = 0; i < 3; i++)
		net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 1, .term = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_PRECANDIDATE);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 3, .to = 1, .term = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	net_free(n);
}

static void a_candidate_that_hears_a_leader_of_its_term_follows_it(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	n->now_ms += 1000;
	net_tick_one(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 1, .term = 1});
	net_store(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 3, .to = 1, .term = 1, .round = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	assert_int_equal(net_status(n, 1).leader, 3);
	net_free(n);
}

static void a_candidate_asks_again_those_who_have_not_answered(void **unused)
{
	(void)unused;
	struct net *n = net_new(5, 1);
	n->now_ms += 1000;
	net_tick_one(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 1, .term = 1});
	net_clear(n);
	n->now_ms += 50;
	net_tick_one(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_PREVOTE).type, 0);
	assert_int_equal(net_sent(n, 3, RAFT_PREVOTE).term, 1);
	net_free(n);
}

static void a_higher_term_makes_anyone_a_follower(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_step(n, (struct raft_message){.type = RAFT_APPEND_REPLY, .from = 2, .to = 1, .term = term + 1, .reject = true, .log_index = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	assert_int_equal(net_status(n, 1).term, term + 1);
	assert_int_equal(net_status(n, 1).leader, 0);
	net_free(n);
}

static void a_pre_vote_changes_nobodys_term(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE, .from = 2, .to = 1, .term = 5});
	assert_false(net_sent(n, 2, RAFT_PREVOTE_REPLY).reject);
	assert_int_equal(net_sent(n, 2, RAFT_PREVOTE_REPLY).term, 5);
	assert_int_equal(net_status(n, 1).term, 0);
	assert_null(net_at(n, 1)->saves);
	net_free(n);
}

static void a_member_that_was_cut_off_comes_back_without_disturbing_the_leader(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t term = net_status(n, 1).term;
	net_isolate(n, 3, true);
	net_run(n, 5000);
	net_isolate(n, 3, false);
	net_run(n, 2000);
	assert_int_equal(net_leader(n), 1);
	assert_int_equal(net_status(n, 1).term, term);
	assert_int_equal(net_status(n, 3).leader, 1);
	net_free(n);
}

static void a_member_that_hears_a_leader_refuses_to_vote_unless_it_is_a_hand_over(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1, .round = 1});
	net_store(n, 1);
	net_clear(n);
	for (int pre = 0; pre < 2; pre++)
		net_step(n, (struct raft_message){.type = pre ? RAFT_PREVOTE : RAFT_VOTE, .from = 3, .to = 1, .term = 2});
	assert_int_equal(n->wire.count, 0);
	assert_int_equal(net_status(n, 1).term, 1);
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 3, .to = 1, .term = 2, .transfer = true});
	net_store(n, 1);
	assert_int_equal(net_sent(n, 3, RAFT_VOTE_REPLY).type, RAFT_VOTE_REPLY);
	assert_int_equal(net_at(n, 1)->hard.vote, 3);
	net_free(n);
}

static void a_member_that_has_not_heard_a_leader_for_an_election_timeout_votes(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 1, .round = 1});
	net_store(n, 1);
	n->now_ms += 499;
	raft_tick(net_raft(n, 1), n->now_ms);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE, .from = 3, .to = 1, .term = 2});
	assert_int_equal(net_sent(n, 3, RAFT_PREVOTE_REPLY).type, 0);
	n->now_ms += 1;
	raft_tick(net_raft(n, 1), n->now_ms);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE, .from = 3, .to = 1, .term = 2});
	assert_int_equal(net_sent(n, 3, RAFT_PREVOTE_REPLY).term, 2);
	net_free(n);
}

static void a_leader_that_hears_no_majority_for_an_election_timeout_steps_down(void **unused)
{
	(void)unused;
	struct net *n = net_new(5, 1);
	net_elect(n, 1);
	net_isolate(n, 1, true);
	n->cut[1][2] = n->cut[2][1] = false; /* one friend is too few */
	net_run(n, 480);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	net_run(n, 100);
	assert_int_not_equal(net_status(n, 1).role, RAFT_LEADER);
	assert_int_equal(raft_propose(net_raft(n, 1), "x", 1), -EAGAIN);
	net_free(n);
}

static void a_leader_whose_disk_hangs_steps_down_though_the_others_go_on_committing(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t commit = net_status(n, 1).commit;
	assert_int_equal(net_propose(n, 1, "x"), 0);
	for (int ms = 0; ms < 500 * 5 && net_status(n, 1).role == RAFT_LEADER; ms += 10) {
		n->now_ms += 10;
		for (uint64_t id = 1; id <= 3; id++)
			net_tick_one(n, id);
		while (n->wire.count > 0) {
			net_deliver(n, 0);
			net_store(n, 2);
			net_store(n, 3);
		}
	}
	assert_true(net_status(n, 1).commit > commit); /* by the others */
	assert_int_not_equal(net_status(n, 1).role, RAFT_LEADER);
	net_free(n);
}

static void a_leader_that_slept_gives_its_followers_a_heartbeats_time_to_answer(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	n->now_ms += 2000;
	net_tick_one(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT_REPLY, .from = 2, .to = 1, .term = term, .round = 1});
	n->now_ms += 50;
	net_tick_one(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	n->now_ms += 2000;
	net_tick_one(n, 1);
	n->now_ms += 50;
	net_tick_one(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	net_free(n);
}

static void a_leader_of_an_old_term_is_answered_with_the_new_one(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "1", 7);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 3, .round = 9});
	assert_int_equal(net_sent(n, 2, RAFT_HEARTBEAT_REPLY).term, 7);
	assert_int_equal(net_sent(n, 2, RAFT_HEARTBEAT_REPLY).round, 0);
	net_clear(n);
	net_step(n, (struct raft_message){.type = RAFT_APPEND, .from = 2, .to = 1, .term = 3});
	assert_int_equal(net_sent(n, 2, RAFT_HEARTBEAT_REPLY).term, 7);
	net_free(n);
}

static void a_candidate_of_an_old_term_is_refused_with_the_new_one(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "1", 7);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE, .from = 2, .to = 1, .term = 3, .log_index = 9, .log_term = 3});
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 2, .to = 1, .term = 3, .log_index = 9, .log_term = 3});
	assert_true(net_sent(n, 2, RAFT_PREVOTE_REPLY).reject);
	assert_int_equal(net_sent(n, 2, RAFT_PREVOTE_REPLY).term, 7);
	assert_true(net_sent(n, 2, RAFT_VOTE_REPLY).reject);
	assert_int_equal(net_sent(n, 2, RAFT_VOTE_REPLY).term, 7);
	net_free(n);
}

static void a_member_stuck_in_a_higher_term_is_taken_back_in(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_crash(n, 3);
	net_at(n, 3)->hard.term = 40;
	net_start(n, 3);
	net_run(n, 3000);
	uint64_t leader = net_leader(n);
	assert_int_not_equal(leader, 0);
	assert_true(net_status(n, leader).term > 40);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(net_status(n, id).leader, leader);
	net_free(n);
}

static void a_candidate_whose_disk_lags_spends_no_more_terms(void **unused)
{
	(void)unused;
	struct net *n = net_new(1, 1);
	net_tick_one(n, 1);
	for (int i = 0; i < 100; i++) {
		n->now_ms += 100;
		net_tick_one(n, 1);
	}
	assert_int_equal(net_status(n, 1).term, 1);
	net_store(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	net_free(n);
}

static void messages_that_make_no_sense_are_dropped(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	const struct raft_message odd[] = {
		{.type = RAFT_APPEND_REPLY, .from = 9, .to = 1, .term = term + 5}, /* a stranger */
		{.type = RAFT_HEARTBEAT, .from = 1, .to = 1, .term = term + 5},    /* itself */
		{.type = RAFT_APPEND, .from = 2, .to = 1, .term = term},           /* a second leader of one term */
		{.type = RAFT_APPEND_REPLY, .from = 2, .to = 1, .term = term, .log_index = 999},
		{.type = RAFT_APPEND_REPLY, .from = 2, .to = 1, .term = term, .reject = true},
		{.type = RAFT_HEARTBEAT_REPLY, .from = 2, .to = 1, .term = term, .round = 999},
		{.type = RAFT_TIMEOUT_NOW, .from = 2, .to = 1, .term = term},
		{.type = 0, .from = 2, .to = 1, .term = term},
		{.type = 200, .from = 2, .to = 1, .term = term},
	};
	net_clear(n);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		net_step(n, odd[i]);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	assert_int_equal(net_status(n, 1).term, term);
	assert_int_equal(net_status(n, 1).commit, 0);
	assert_int_equal(n->wire.count, 0);
	net_free(n);
}

static int new_with(struct raft_config c)
{
	struct raft *r = NULL;
	int rc = raft_new(&c, &r);
	raft_free(r);
	return rc;
}

static void a_configuration_that_breaks_a_rule_is_refused(void **unused)
{
	(void)unused;
	const struct raft_members members = {.voters = {1, 2, 3}, .voters_count = 3}, twice = {.voters = {1, 2, 2}, .voters_count = 3};
	const struct raft_config good = {
		.id = 1, .members = &members, .election_ms = 500, .heartbeat_ms = 50, .log_first = 1, .inflight_max = 1};
	struct raft_config c = good;
	assert_int_equal(new_with(c), 0);
	c.id = 0;
	assert_int_equal(new_with(c), -EINVAL);
	c = good, c.members = NULL;
	assert_int_equal(new_with(c), -EINVAL);
	c = good, c.members = &twice;
	assert_int_equal(new_with(c), -EINVAL);
	c = good, c.heartbeat_ms = 500;
	assert_int_equal(new_with(c), -EINVAL);
	c = good, c.inflight_max = 0;
	assert_int_equal(new_with(c), -EINVAL);
	c = good, c.log_first = 0;
	assert_int_equal(new_with(c), -EINVAL);
	c = good, c.log_first = 100;
	assert_int_equal(new_with(c), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cluster_elects_one_leader_that_all_follow),
		cmocka_unit_test(a_member_of_a_cluster_of_one_leads_at_its_first_tick_once_its_vote_is_stored),
		cmocka_unit_test(a_follower_campaigns_after_a_random_time_between_one_and_two_election_timeouts),
		cmocka_unit_test(a_leader_that_heartbeats_is_not_challenged),
		cmocka_unit_test(when_the_leader_dies_another_is_elected_within_two_timeouts),
		cmocka_unit_test(without_a_majority_nobody_is_elected_and_no_term_is_spent),
		cmocka_unit_test(a_member_votes_once_a_term),
		cmocka_unit_test(a_vote_is_not_given_before_it_is_stored),
		cmocka_unit_test(a_vote_given_later_in_a_term_is_stored_too),
		cmocka_unit_test(a_vote_goes_only_to_a_log_that_is_at_least_as_up_to_date),
		cmocka_unit_test(a_candidate_asks_for_votes_only_once_its_own_is_stored),
		cmocka_unit_test(a_candidate_counts_its_own_vote_only_once_it_is_stored),
		cmocka_unit_test(a_candidate_that_a_majority_refuses_follows_again),
		cmocka_unit_test(a_repeated_vote_counts_once),
		cmocka_unit_test(a_candidate_that_hears_a_leader_of_its_term_follows_it),
		cmocka_unit_test(a_candidate_asks_again_those_who_have_not_answered),
		cmocka_unit_test(a_higher_term_makes_anyone_a_follower),
		cmocka_unit_test(a_pre_vote_changes_nobodys_term),
		cmocka_unit_test(a_member_that_was_cut_off_comes_back_without_disturbing_the_leader),
		cmocka_unit_test(a_member_that_hears_a_leader_refuses_to_vote_unless_it_is_a_hand_over),
		cmocka_unit_test(a_member_that_has_not_heard_a_leader_for_an_election_timeout_votes),
		cmocka_unit_test(a_leader_that_hears_no_majority_for_an_election_timeout_steps_down),
		cmocka_unit_test(a_leader_whose_disk_hangs_steps_down_though_the_others_go_on_committing),
		cmocka_unit_test(a_leader_that_slept_gives_its_followers_a_heartbeats_time_to_answer),
		cmocka_unit_test(a_leader_of_an_old_term_is_answered_with_the_new_one),
		cmocka_unit_test(a_candidate_of_an_old_term_is_refused_with_the_new_one),
		cmocka_unit_test(a_member_stuck_in_a_higher_term_is_taken_back_in),
		cmocka_unit_test(a_candidate_whose_disk_lags_spends_no_more_terms),
		cmocka_unit_test(messages_that_make_no_sense_are_dropped),
		cmocka_unit_test(a_configuration_that_breaks_a_rule_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
