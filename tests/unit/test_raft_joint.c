/* Several voters at a time: joint consensus, section 4.3 of the dissertation. */
#include "tests/unit/test_raft_net_members.h"

/* 1 leads 2 and 3; 4 and 5 wait, and learn if they are told to. */
static struct net *three_and_two(const char *config)
{
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_join(n);
	net_join(n);
	if (strcmp(config, "123") != 0)
		net_changed(n, config);
	return n;
}

/* As above, with the joint configuration of "145" in the logs of `side`, which are those that can talk to each other; it is not committed. */
static struct net *joint_on(const char *side)
{
	struct net *n = three_and_two("123+45");
	net_split(n, side);
	assert_int_equal(net_change(n, 1, "145"), 0);
	net_settle(n);
	for (const char *id = side; *id; id++)
		assert_string_equal(net_config(n, (uint64_t)(*id - '0')), "145/123");
	return n;
}

static void several_voters_at_a_time_go_through_a_joint_configuration(void **unused)
{
	(void)unused;
	struct net *n = three_and_two("123+45");
	uint64_t last = net_status(n, 1).log_last;
	assert_int_equal(net_change(n, 1, "145"), 0);
	assert_string_equal(net_config(n, 1), "145/123");
	assert_true(net_status(n, 1).joint);
	net_settle(n);
	assert_int_equal(net_status(n, 1).log_last, last + 2);
	for (uint64_t id = 1; id <= 5; id += 3)
		assert_string_equal(net_config(n, id), "145");
	assert_false(net_status(n, 1).joint);
	assert_int_equal(net_status(n, 1).commit, last + 2);
	net_free(n);
}

static void one_voter_more_or_less_does_not(void **unused)
{
	(void)unused;
	struct net *n = three_and_two("123+45");
	const char *const single[] = {"1234+5", "123+45", "12+345", "123+4"};
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		assert_int_equal(net_change(n, 1, single[i]), 0);
		assert_string_equal(net_config(n, 1), single[i]);
		net_settle(n);
	}
	net_free(n);
}

static void all_that_changes_by_one_change_changes_at_once(void **unused)
{
	(void)unused;
	struct net *n = three_and_two("123+45");
	struct raft_members next = net_members("124+35");
	next.context = "names", next.context_size = 5;
	assert_int_equal(raft_change(net_raft(n, 1), &next), 0);
	net_pump(n, net_at(n, 1));
	/* 3 is outgoing and learns: until this is left its vote counts. */
	assert_string_equal(net_config(n, 1), "124/123+35");
	assert_true(net_status(n, 1).members[2].voter);
	net_settle(n);
	for (uint64_t id = 1; id <= 5; id++) {
		assert_string_equal(net_config(n, id), "124+35");
		assert_memory_equal(raft_members_now(net_raft(n, id))->context, "names", 5);
	}
	net_free(n);
}

static void an_entry_is_committed_by_both_majorities(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	assert_int_equal(net_change(n, 1, "145"), 0);
	net_store(n, 1);
	net_acknowledge(n, 2, term, 2);
	net_acknowledge(n, 3, term, 2);
	assert_int_equal(net_status(n, 1).commit, 1); /* all of the old, one of the new */
	net_acknowledge(n, 4, term, 2);
	assert_int_equal(net_status(n, 1).commit, 2);
	net_free(n);
}

static void nor_does_the_new_majority_commit_alone(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	uint64_t joint = net_status(n, 1).log_last;
	assert_int_equal(net_status(n, 4).stored, joint);
	assert_int_equal(net_status(n, 5).stored, joint);
	assert_int_equal(net_status(n, 1).commit, joint - 1);
	n->cut[1][2] = n->cut[2][1] = false;
	net_run(n, 200);
	assert_int_equal(net_status(n, 1).commit, joint + 1); /* and it is left */
	net_free(n);
}

/* Member 4 or 5 asks for votes; those who hear it grant them. Returns true if it leads. */
static bool campaigns(struct net *n, uint64_t id)
{
	for (int i = 0; i < 600 && net_status(n, id).role != RAFT_LEADER; i++)
		net_run(n, 10);
	return net_status(n, id).role == RAFT_LEADER;
}

/* 2 and 3 have never heard of the change, and elect one of them by the old majority; were the new one enough, 1, 4 and 5 would elect another
 * in the same term. */
static void one_majority_alone_would_elect_a_second_leader(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	uint64_t term = net_status(n, 1).term;
	net_isolate(n, 1, true);
	net_run(n, 600); /* the old leader has stepped down, and all are out of its lease */
	n->cut[1][4] = n->cut[4][1] = n->cut[1][5] = n->cut[5][1] = false;
	assert_false(campaigns(n, 4));
	assert_true(net_leader(n) == 2 || net_leader(n) == 3);
	assert_int_equal(net_status(n, net_leader(n)).term, term + 1);
	/* By hand, the same: two of three of the new majority are not enough, one more of the old is. */
	net_crash(n, 1);
	net_crash(n, 5);
	net_isolate(n, 4, true);
	while (net_status(n, 4).role != RAFT_PRECANDIDATE)
		net_run(n, 10);
	term = net_status(n, 4).term + 1;
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 1, .to = 4, .term = term});
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 5, .to = 4, .term = term});
	assert_int_equal(net_status(n, 4).role, RAFT_PRECANDIDATE);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 3, .to = 4, .term = term});
	assert_int_equal(net_status(n, 4).role, RAFT_CANDIDATE);
	net_free(n);
}

static void a_candidate_that_either_majority_refuses_has_lost(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	net_isolate(n, 4, true);
	while (net_status(n, 4).role != RAFT_PRECANDIDATE)
		net_run(n, 10);
	uint64_t term = net_status(n, 4).term;
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 4, .term = term, .reject = true});
	assert_int_equal(net_status(n, 4).role, RAFT_PRECANDIDATE);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 3, .to = 4, .term = term, .reject = true});
	assert_int_equal(net_status(n, 4).role, RAFT_FOLLOWER);
	net_free(n);
}

static void whoever_leads_next_leaves_the_joint_configuration(void **unused)
{
	(void)unused;
	struct net *n = three_and_two("123+45");
	assert_int_equal(net_change(n, 1, "145"), 0);
	while (n->wire.count > 0) /* the entry arrives, the acknowledgements do not */
		net_deliver(n, 0);
	n->cut[2][1] = n->cut[3][1] = n->cut[4][1] = n->cut[5][1] = true;
	net_settle(n);
	assert_string_equal(net_config(n, 5), "145/123");
	net_crash(n, 1);
	net_run(n, 3000);
	uint64_t leader = net_leader(n);
	assert_int_not_equal(leader, 0);
	for (uint64_t id = 4; id <= 5; id++)
		assert_string_equal(net_config(n, id), "145");
	assert_int_equal(net_status(n, leader).commit, net_status(n, leader).log_last);
	net_free(n);
}

static void a_joint_configuration_that_a_leader_without_it_takes_back_is_out_of_force(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	net_isolate(n, 1, true);
	net_run(n, 3000);
	assert_true(net_leader(n) == 2 || net_leader(n) == 3);
	net_heal(n);
	net_run(n, 1000);
	for (uint64_t id = 1; id <= 5; id++)
		assert_string_equal(net_config(n, id), "123+45");
	net_assert_agreed(n, net_status(n, net_leader(n)).log_last);
	net_free(n);
}

static void it_is_left_only_once_it_is_committed(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	uint64_t joint = net_status(n, 1).log_last;
	net_run(n, 300);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	assert_int_equal(net_status(n, 1).log_last, joint);
	assert_string_equal(net_config(n, 1), "145/123");
	assert_int_equal(net_change(n, 1, "123"), -EBUSY);
	net_free(n);
}

static void a_new_leader_leaves_it_only_once_it_knows_that_it_is_committed(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	assert_int_equal(net_change(n, 1, "145"), 0);
	net_store(n, 1);
	net_crash(n, 1);
	net_start(n, 1);
	while (net_status(n, 1).role == RAFT_FOLLOWER) {
		n->now_ms += 10;
		net_tick_one(n, 1);
	}
	for (uint64_t id = 2; id <= 5; id++)
		net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = id, .to = 1, .term = term + 1});
	net_store(n, 1);
	for (uint64_t id = 2; id <= 5; id++)
		net_step(n, (struct raft_message){.type = RAFT_VOTE_REPLY, .from = id, .to = 1, .term = term + 1});
	net_store(n, 1);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	uint64_t last = net_status(n, 1).log_last; /* configuration, joint one, no-op */
	assert_int_equal(last, 3);
	for (uint64_t id = 2; id <= 4; id++)
		net_acknowledge(n, id, term + 1, 2); /* all have the joint one, but it is of an older term */
	assert_int_equal(net_status(n, 1).log_last, last);
	for (uint64_t id = 2; id <= 4; id++)
		net_acknowledge(n, id, term + 1, 3);
	assert_int_equal(net_status(n, 1).log_last, last + 1);
	assert_string_equal(net_config(n, 1), "145");
	net_free(n);
}

static void no_change_begins_between_its_commitment_and_its_end(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	const struct raft_members next = net_members("123+45");
	uint64_t joint = net_status(n, 1).log_last, term = net_status(n, 1).term;
	const struct raft_message m = {.type = RAFT_APPEND_REPLY, .from = 2, .to = 1, .term = term, .log_index = joint};
	raft_step(net_raft(n, 1), &m);
	assert_int_equal(net_status(n, 1).commit, joint);
	assert_int_equal(raft_change(net_raft(n, 1), &next), -EBUSY);
	net_pump(n, net_at(n, 1));
	assert_string_equal(net_config(n, 1), "145");
	assert_int_equal(raft_change(net_raft(n, 1), &next), -EBUSY);
	net_free(n);
}

static void reads_are_confirmed_by_both_majorities(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	uint64_t ticket = net_read(n, 1);
	net_settle(n);
	assert_true(net_at(n, 1)->read_ticket < ticket);
	n->cut[1][3] = n->cut[3][1] = false;
	net_run(n, 60);
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	net_free(n);
}

static void a_leader_that_one_majority_no_longer_answers_steps_down(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	net_run(n, 600);
	assert_int_not_equal(net_status(n, 1).role, RAFT_LEADER);
	net_free(n);
}

static void a_leader_that_is_replaced_leads_to_the_end_of_the_change(void **unused)
{
	(void)unused;
	struct net *n = three_and_two("123+45");
	uint64_t term = net_status(n, 1).term, last = net_status(n, 1).log_last;
	assert_int_equal(net_change(n, 1, "245"), 0);
	net_settle(n); /* no time passes */
	assert_true(strchr("245", (int)('0' + net_leader(n))) != NULL);
	assert_int_equal(net_status(n, net_leader(n)).term, term + 1);
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	assert_int_equal(raft_term_at(net_raft(n, 2), last + 2), term); /* it was the old leader that left the joint configuration */
	net_free(n);
}

static void all_voters_may_be_replaced(void **unused)
{
	(void)unused;
	struct net *n = three_and_two("123+45");
	net_changed(n, "45");
	assert_true(net_leader(n) == 4 || net_leader(n) == 5);
	for (uint64_t id = 1; id <= 3; id++)
		net_crash(n, id);
	net_propose(n, net_leader(n), "x");
	net_settle(n);
	net_assert_agreed(n, net_status(n, net_leader(n)).log_last);
	net_free(n);
}

static void a_member_that_goes_out_may_yet_be_elected_and_ends_the_change(void **unused)
{
	(void)unused;
	struct net *n = three_and_two("123+45");
	assert_int_equal(net_change(n, 1, "145"), 0);
	while (n->wire.count > 0)
		net_deliver(n, 0);
	n->cut[2][1] = n->cut[3][1] = n->cut[4][1] = n->cut[5][1] = true;
	net_settle(n);
	net_crash(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_TIMEOUT_NOW, .from = 1, .to = 2, .term = net_status(n, 2).term});
	net_settle(n);
	/* It led, committed, left, and handed over to one that stays. */
	assert_int_equal(n->leader_of[net_status(n, 2).term], 2);
	assert_true(net_leader(n) == 4 || net_leader(n) == 5);
	assert_string_equal(net_config(n, net_leader(n)), "145");
	net_free(n);
}

static void a_hand_over_goes_to_one_that_stays(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	assert_int_equal(raft_transfer(net_raft(n, 1), 2), -ENOENT);
	assert_int_equal(raft_transfer(net_raft(n, 1), 4), 0);
	net_free(n);
}

static void old_and_new_together_are_no_more_than_a_configuration_holds(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	struct raft_members next = {0};
	for (uint64_t id = 101; id <= 114; id++)
		next.voters[next.voters_count++] = id;
	assert_int_equal(raft_change(net_raft(n, 1), &next), -EINVAL); /* 14 and 3 */
	next.voters_count--;
	assert_int_equal(raft_change(net_raft(n, 1), &next), 0); /* the leader among none of the new: 16, and itself */
	assert_int_equal(net_status(n, 1).members_count, 16);
	net_free(n);
}

static void a_restarted_member_is_still_in_the_joint_configuration(void **unused)
{
	(void)unused;
	struct net *n = joint_on("145");
	net_crash(n, 5);
	net_start(n, 5);
	assert_string_equal(net_config(n, 5), "145/123");
	assert_true(net_status(n, 5).joint);
	net_heal(n);
	net_run(n, 3000);
	assert_string_equal(net_config(n, 5), "145");
	net_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_voters_at_a_time_go_through_a_joint_configuration),
		cmocka_unit_test(one_voter_more_or_less_does_not),
		cmocka_unit_test(all_that_changes_by_one_change_changes_at_once),
		cmocka_unit_test(an_entry_is_committed_by_both_majorities),
		cmocka_unit_test(nor_does_the_new_majority_commit_alone),
		cmocka_unit_test(one_majority_alone_would_elect_a_second_leader),
		cmocka_unit_test(a_candidate_that_either_majority_refuses_has_lost),
		cmocka_unit_test(whoever_leads_next_leaves_the_joint_configuration),
		cmocka_unit_test(a_joint_configuration_that_a_leader_without_it_takes_back_is_out_of_force),
		cmocka_unit_test(it_is_left_only_once_it_is_committed),
		cmocka_unit_test(a_new_leader_leaves_it_only_once_it_knows_that_it_is_committed),
		cmocka_unit_test(no_change_begins_between_its_commitment_and_its_end),
		cmocka_unit_test(reads_are_confirmed_by_both_majorities),
		cmocka_unit_test(a_leader_that_one_majority_no_longer_answers_steps_down),
		cmocka_unit_test(a_leader_that_is_replaced_leads_to_the_end_of_the_change),
		cmocka_unit_test(all_voters_may_be_replaced),
		cmocka_unit_test(a_member_that_goes_out_may_yet_be_elected_and_ends_the_change),
		cmocka_unit_test(a_hand_over_goes_to_one_that_stays),
		cmocka_unit_test(old_and_new_together_are_no_more_than_a_configuration_holds),
		cmocka_unit_test(a_restarted_member_is_still_in_the_joint_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
