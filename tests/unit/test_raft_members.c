/* Members that join, learn, vote and leave one at a time: chapter 4 of the dissertation. */
#include "tests/unit/test_raft_net_members.h"

static struct net *three_and_a_joiner(void)
{
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	assert_int_equal(net_join(n), 4);
	return n;
}

/* --- the configuration as an entry --- */

static void the_first_entry_of_a_new_log_is_its_configuration(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	struct raft_members m;
	net_lead_alone(n);
	struct raft_message first = net_sent(n, 2, RAFT_APPEND);
	assert_int_equal(first.entries_count, 1);
	assert_int_equal(first.entries[0].type, RAFT_ENTRY_CONFIG);
	assert_int_equal(raft_members_decode((struct span){first.entries[0].data, first.entries[0].size}, &m), 0);
	assert_string_equal(net_members_text(&m), "123");
	net_free(n);
}

static void a_change_is_in_force_from_when_it_is_in_the_log(void **unused)
{
	(void)unused;
	struct net *n = net_new(2, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	assert_int_equal(net_change(n, 1, "123"), 0);
	net_store(n, 1);
	assert_string_equal(net_config(n, 1), "123");
	net_acknowledge(n, 2, term, 2); /* two of three */
	assert_int_equal(net_status(n, 1).commit, 2);
	net_free(n);
}

static void all_members_have_a_change_once_they_have_its_entry(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	for (uint64_t id = 1; id <= 4; id++)
		assert_string_equal(net_config(n, id), "123+4");
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

static void the_driver_is_told_when_the_configuration_is_another(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	struct raft *r = net_raft(n, 1);
	struct raft_members next = net_members("123+4");
	next.context = "names", next.context_size = 5;
	assert_false(raft_has_ready(r));
	assert_int_equal(raft_change(r, &next), 0);
	const struct raft_ready *ready = raft_ready(r);
	assert_string_equal(net_members_text(ready->members), "123+4");
	assert_memory_equal(ready->members->context, "names", 5);
	assert_null(raft_ready(r)->members);
	net_free(n);
}

static void a_change_of_the_context_alone_reaches_everybody(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	struct raft_members next = net_members("123");
	next.context = "moved", next.context_size = 5;
	assert_int_equal(raft_change(net_raft(n, 1), &next), 0);
	net_settle(n);
	for (uint64_t id = 1; id <= 3; id++)
		assert_memory_equal(raft_members_now(net_raft(n, id))->context, "moved", 5);
	net_free(n);
}

static void a_change_that_a_new_leader_takes_back_is_out_of_force(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_isolate(n, 1, true);
	assert_int_equal(net_change(n, 1, "123+4"), 0);
	net_store(n, 1);
	assert_string_equal(net_config(n, 1), "123+4");
	net_run(n, 2500);
	assert_int_not_equal(net_leader(n), 1);
	net_heal(n);
	net_run(n, 500);
	assert_string_equal(net_config(n, 1), "123");
	assert_int_equal(net_status(n, 1).members_count, 3);
	net_free(n);
}

static void a_restarted_member_has_what_its_log_holds_above_what_it_applied(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_isolate(n, 1, true);
	assert_int_equal(net_change(n, 1, "123+4"), 0);
	net_store(n, 1);
	net_crash(n, 1);
	net_start(n, 1); /* with what was applied: 123 */
	assert_string_equal(net_config(n, 1), "123+4");
	net_pump(n, net_at(n, 1));
	net_free(n);
}

static void a_restarted_member_keeps_what_it_applied_though_older_configurations_are_in_its_log(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	net_changed(n, "123");
	net_crash(n, 2);
	net_start(n, 2);
	assert_string_equal(net_config(n, 2), "123");
	net_crash(n, 2);
	net_at(n, 2)->applied--; /* its store was behind: the last change is above it */
	net_start(n, 2);
	assert_string_equal(net_config(n, 2), "123");
	net_free(n);
}

/* --- learners --- */

static void a_learner_receives_the_log_but_does_not_count(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	net_split(n, "14");
	uint64_t last = net_status(n, 1).log_last;
	net_propose(n, 1, "x");
	net_settle(n);
	assert_int_equal(net_status(n, 4).log_last, last + 1);
	assert_int_equal(net_status(n, 4).stored, last + 1);
	assert_int_equal(net_status(n, 1).commit, last);
	/* Nor does it keep a leader in office that hears no voter. */
	net_run(n, 600);
	assert_int_not_equal(net_status(n, 1).role, RAFT_LEADER);
	net_free(n);
}

static void a_learner_confirms_no_read(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	net_split(n, "14");
	uint64_t ticket = net_read(n, 1);
	net_run(n, 200);
	assert_true(net_at(n, 1)->read_ticket < ticket);
	net_free(n);
}

static void a_learner_reads_like_any_follower(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	uint64_t ticket = net_read(n, 4);
	net_settle(n);
	assert_int_equal(net_at(n, 4)->read_ticket, ticket);
	assert_int_equal(net_at(n, 4)->read_index, net_status(n, 1).commit);
	net_free(n);
}

static void a_learner_never_campaigns_but_notices_that_its_leader_is_gone(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	assert_int_equal(net_status(n, 4).leader, 1);
	assert_true(net_status(n, 4).learner);
	uint64_t term = net_status(n, 4).term;
	net_isolate(n, 4, true);
	for (int i = 0; i < 1000; i++) {
		n->now_ms += 10;
		net_tick_one(n, 4);
		assert_int_equal(net_status(n, 4).role, RAFT_FOLLOWER);
		assert_true(raft_deadline_ms(net_raft(n, 4)) > n->now_ms); /* nor does its driver spin */
	}
	assert_int_equal(net_status(n, 4).term, term);
	assert_int_equal(net_status(n, 4).leader, 0);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 1, .to = 4, .term = term});
	net_step(n, (struct raft_message){.type = RAFT_TIMEOUT_NOW, .from = 1, .to = 4, .term = term});
	assert_int_equal(net_status(n, 4).role, RAFT_FOLLOWER);
	net_free(n);
}

static void leadership_is_never_handed_to_a_learner(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	assert_int_equal(raft_transfer(net_raft(n, 1), 4), -ENOENT);
	net_isolate(n, 2, true);
	n->cut[1][3] = true; /* the learner is ahead of both */
	net_propose(n, 1, "x");
	net_settle(n);
	net_heal(n);
	assert_int_equal(raft_transfer(net_raft(n, 1), 0), 0);
	net_run(n, 200);
	assert_true(net_leader(n) == 2 || net_leader(n) == 3);
	net_free(n);
}

static void the_only_voter_leads_at_once_and_its_learners_follow(void **unused)
{
	(void)unused;
	struct net *n = net_new(1, 1);
	net_run(n, 20);
	net_join(n);
	net_changed(n, "1+2");
	net_crash(n, 1);
	net_start(n, 1);
	assert_true(raft_deadline_ms(net_raft(n, 1)) <= n->now_ms);
	net_run(n, 20);
	assert_int_equal(net_leader(n), 1);
	net_run(n, 60);
	assert_int_equal(net_status(n, 2).leader, 1);
	assert_true(raft_deadline_ms(net_raft(n, 1)) <= n->now_ms + 50); /* heartbeats are due */
	net_isolate(n, 2, true);
	net_propose(n, 1, "x");
	net_settle(n);
	assert_int_equal(net_status(n, 1).commit, net_status(n, 1).log_last);
	net_run(n, 2000);
	assert_int_equal(net_leader(n), 1);
	net_free(n);
}

/* --- members that are behind on the configuration --- */

static void a_member_without_a_configuration_neither_campaigns_nor_votes(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_join(n);
	for (int i = 0; i < 500; i++) {
		n->now_ms += 10;
		net_tick_one(n, 4);
		assert_true(raft_deadline_ms(net_raft(n, 4)) > n->now_ms);
	}
	assert_int_equal(net_status(n, 4).term, 0);
	assert_int_equal(net_status(n, 4).role, RAFT_FOLLOWER);
	assert_int_equal(n->wire.count, 0);
	for (int pre = 0; pre < 2; pre++) {
		net_step(n, (struct raft_message){.type = pre ? RAFT_PREVOTE : RAFT_VOTE, .from = 1, .to = 4, .term = 5});
		net_store(n, 4);
		assert_true(net_sent(n, 1, pre ? RAFT_PREVOTE_REPLY : RAFT_VOTE_REPLY).reject);
	}
	net_free(n);
}

static void a_member_without_a_configuration_follows_any_leader_and_has_its_configuration(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	assert_string_equal(net_config(n, 4), "");
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 4, .term = 1, .round = 3});
	assert_int_equal(net_status(n, 4).leader, 2);
	assert_int_equal(net_sent(n, 2, RAFT_HEARTBEAT_REPLY).round, 3);
	net_changed(n, "123+4");
	assert_string_equal(net_config(n, 4), "123+4");
	net_crash(n, 4);
	net_start(n, 4);
	assert_string_equal(net_config(n, 4), "123+4");
	net_free(n);
}

static void a_member_votes_for_a_candidate_that_it_does_not_know(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE, .from = 7, .to = 1, .term = 2, .log_index = 5, .log_term = 1});
	assert_false(net_sent(n, 7, RAFT_PREVOTE_REPLY).reject);
	assert_int_equal(net_sent(n, 7, RAFT_PREVOTE_REPLY).type, RAFT_PREVOTE_REPLY);
	net_step(n, (struct raft_message){.type = RAFT_VOTE, .from = 7, .to = 1, .term = 2, .log_index = 5, .log_term = 1});
	net_store(n, 1);
	assert_int_equal(net_at(n, 1)->hard.vote, 7);
	net_free(n);
}

static void a_learner_votes_since_it_may_be_a_voter_without_knowing(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	net_isolate(n, 4, true);
	net_changed(n, "1234");
	assert_string_equal(net_config(n, 4), "123+4");
	/* 1 and 2 are gone: of 3 and 4 alone there is no majority, but with 1 there is, if 4 votes. */
	net_crash(n, 2);
	net_crash(n, 3);
	net_crash(n, 1);
	net_heal(n);
	net_start(n, 1);
	net_start(n, 3);
	net_run(n, 2500);
	assert_int_not_equal(net_leader(n), 0);
	assert_string_equal(net_config(n, 4), "1234");
	net_free(n);
}

static void a_follower_reads_from_a_leader_that_it_does_not_know(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 7, .to = 1, .term = 1});
	uint64_t ticket = net_read(n, 1);
	assert_int_equal(net_sent(n, 7, RAFT_READ_INDEX).round, ticket);
	struct raft_message m = {.type = RAFT_READ_INDEX_REPLY, .from = 8, .to = 1, .term = 1, .round = ticket};
	net_step(n, m);
	assert_int_equal(net_at(n, 1)->read_ticket, 0);
	m.from = 7;
	net_step(n, m);
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	net_free(n);
}

/* --- the rules of a change --- */

static void one_change_at_a_time(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	assert_int_equal(net_change(n, 1, "1234"), 0);
	net_store(n, 1);
	assert_int_equal(net_change(n, 1, "12345"), -EBUSY);
	net_acknowledge(n, 2, term, 2);
	assert_int_equal(net_change(n, 1, "12345"), -EBUSY); /* two of four */
	net_acknowledge(n, 3, term, 2);
	assert_int_equal(net_change(n, 1, "12345"), 0);
	net_free(n);
}

static void a_new_leader_changes_nothing_before_it_has_committed_in_its_own_term(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "12", 3);
	uint64_t term = net_lead_alone(n);
	assert_int_equal(net_change(n, 1, "1234"), -EAGAIN);
	net_acknowledge(n, 2, term, 2);
	assert_int_equal(net_change(n, 1, "1234"), -EAGAIN);
	net_acknowledge(n, 2, term, 3);
	assert_int_equal(net_change(n, 1, "1234"), 0);
	net_free(n);
}

/* The history of raft-dev, 2015. Majorities of "12345" and of "234" need not meet; what saves the day is that 4, which has not got "234",
 * has an entry of the new leader's term all the same, since that leader could not begin a change before a majority of "1234" had it. */
static void two_leaders_that_do_not_know_of_each_others_changes_cannot_both_commit(void **unused)
{
	(void)unused;
	struct net *n = net_new(4, 1);
	net_elect(n, 1);
	net_join(n);
	net_split(n, "15");
	assert_int_equal(net_change(n, 1, "12345"), 0);
	net_run(n, 1500);
	assert_string_equal(net_config(n, 5), "12345");
	net_elect(n, 2);
	net_split(n, "4");
	net_changed(n, "234");
	net_crash(n, 2);
	net_crash(n, 3);
	net_heal(n);
	net_run(n, 5000);
	assert_int_equal(net_leader(n), 0);
	net_start(n, 2);
	net_start(n, 3);
	net_run(n, 3000);
	assert_string_equal(net_config(n, net_leader(n)), "234");
	net_assert_agreed(n, net_status(n, net_leader(n)).log_last);
	net_free(n);
}

static void a_change_that_breaks_a_rule_is_refused(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	struct raft_members m;
	assert_int_equal(net_change(n, 2, "1234"), -EAGAIN);
	assert_int_equal(net_change(n, 1, "123"), -EINVAL);   /* nothing changes */
	assert_int_equal(net_change(n, 1, "321"), -EINVAL);   /* nor does the order count */
	assert_int_equal(net_change(n, 1, ""), -EINVAL);      /* nobody */
	assert_int_equal(net_change(n, 1, "+123"), -EINVAL);  /* no voter */
	assert_int_equal(net_change(n, 1, "123+3"), -EINVAL); /* votes and learns */
	assert_int_equal(net_change(n, 1, "1233"), -EINVAL);
	assert_int_equal(net_change(n, 1, "12/123"), -EINVAL); /* joint is the leader's business */
	m = net_members("123");
	m.voters_count = RAFT_MEMBERS_MAX + 1;
	assert_int_equal(raft_change(net_raft(n, 1), &m), -EINVAL);
	assert_int_equal(raft_transfer(net_raft(n, 1), 2), 0);
	assert_int_equal(net_change(n, 1, "1234"), -EAGAIN); /* handing over */
	net_free(n);
}

static void a_change_waits_its_turn_like_a_proposal(void **unused)
{
	(void)unused;
	static char data[300000];
	struct net *n = three_and_a_joiner();
	for (int i = 0; i < 3; i++)
		assert_int_equal(raft_propose(net_raft(n, 1), data, sizeof(data)), 0);
	struct raft_members next = net_members("123+4");
	assert_int_equal(raft_propose(net_raft(n, 1), data, 148000), 0);
	assert_int_equal(raft_change(net_raft(n, 1), &next), -ENOBUFS);
	net_settle(n);
	assert_int_equal(raft_change(net_raft(n, 1), &next), 0);
	net_free(n);
}

/* --- promotion --- */

static void a_learner_that_was_never_heard_is_not_promoted(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_isolate(n, 4, true);
	net_changed(n, "123+4");
	assert_int_equal(net_change(n, 1, "1234"), -ESTALE);
	net_heal(n);
	net_run(n, 200);
	assert_int_equal(net_change(n, 1, "1234"), 0);
	net_free(n);
}

static void a_learner_that_fell_silent_is_not_promoted(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	net_isolate(n, 4, true);
	net_run(n, 400);
	assert_int_equal(net_status(n, 1).members[3].recent, true);
	net_run(n, 150);
	assert_int_equal(net_change(n, 1, "1234"), -ESTALE);
	net_free(n);
}

static void a_learner_that_lags_is_not_promoted(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	n->cut[1][4] = true; /* its answers to what it had are still heard */
	for (uint32_t i = 0; i < RAFT_CAUGHT_UP_ENTRIES; i++) {
		net_propose(n, 1, "x");
		net_settle(n);
	}
	struct raft_progress p = net_status(n, 1).members[3];
	assert_int_equal(p.id, 4);
	assert_int_equal(p.match + RAFT_CAUGHT_UP_ENTRIES, net_status(n, 1).log_last);
	net_propose(n, 1, "x");
	net_settle(n);
	assert_int_equal(net_change(n, 1, "1234"), -ESTALE);
	n->cut[1][4] = false;
	net_run(n, 200);
	assert_int_equal(net_change(n, 1, "1234"), 0);
	net_free(n);
}

static void a_promoted_learner_counts_and_can_lead(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	net_changed(n, "1234");
	assert_false(net_status(n, 4).learner);
	net_crash(n, 3);
	net_propose(n, 1, "x");
	net_settle(n);
	assert_int_equal(net_status(n, 1).commit, net_status(n, 1).log_last);
	assert_int_equal(raft_transfer(net_raft(n, 1), 4), 0);
	net_settle(n);
	assert_int_equal(net_leader(n), 4);
	net_free(n);
}

/* --- removal --- */

static void a_leader_that_removes_itself_leads_until_that_is_committed_and_hands_over(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t term = net_status(n, 1).term;
	assert_int_equal(net_change(n, 1, "23"), 0);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	net_settle(n); /* no time passes: nobody waits for an election timeout */
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	assert_true(net_status(n, 1).learner);
	assert_true(net_leader(n) == 2 || net_leader(n) == 3);
	assert_int_equal(net_status(n, net_leader(n)).term, term + 1);
	net_run(n, 5000);
	assert_int_equal(net_status(n, net_leader(n)).term, term + 1);
	net_free(n);
}

static void a_leader_that_removes_itself_does_not_count_itself(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	assert_int_equal(net_change(n, 1, "23"), 0);
	net_store(n, 1);
	net_acknowledge(n, 2, term, 2);
	assert_int_equal(net_status(n, 1).commit, 1);
	net_acknowledge(n, 3, term, 2);
	assert_int_equal(net_status(n, 1).commit, 2);
	net_free(n);
}

static void what_was_proposed_behind_the_leaders_removal_still_reaches_the_others(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t last = net_status(n, 1).log_last;
	assert_int_equal(net_change(n, 1, "23"), 0);
	assert_int_equal(net_propose(n, 1, "last words"), 0);
	net_settle(n);
	assert_memory_equal(net_at(n, 2)->log[last + 2].data, "last words", 10);
	net_free(n);
}

static void of_two_members_the_leader_may_remove_itself(void **unused)
{
	(void)unused;
	struct net *n = net_new(2, 1);
	net_elect(n, 1);
	assert_int_equal(net_change(n, 1, "2"), 0);
	net_settle(n);
	assert_int_equal(net_leader(n), 2);
	net_crash(n, 1);
	net_propose(n, 2, "x");
	net_settle(n);
	assert_int_equal(net_status(n, 2).commit, net_status(n, 2).log_last);
	net_free(n);
}

/* etcd-io/etcd: the other must not need the vote of the one that has gone, even if it never heard that the removal was committed. */
static void of_two_members_the_one_that_is_left_leads_though_the_removed_leader_is_gone_at_once(void **unused)
{
	(void)unused;
	struct net *n = net_new(2, 1);
	net_elect(n, 1);
	assert_int_equal(net_change(n, 1, "2"), 0);
	net_deliver(n, 0);
	net_store(n, 2);
	net_crash(n, 1);
	net_run(n, 20);
	assert_int_equal(net_leader(n), 2);
	assert_string_equal(net_config(n, 2), "2");
	net_free(n);
}

static void of_two_members_the_leader_removes_one_that_is_gone(void **unused)
{
	(void)unused;
	struct net *n = net_new(2, 1);
	net_elect(n, 1);
	net_crash(n, 2);
	/* The change itself takes the majority of what comes after it: 1 alone. */
	assert_int_equal(net_change(n, 1, "1"), 0);
	net_settle(n);
	assert_int_equal(net_status(n, 1).commit, net_status(n, 1).log_last);
	net_run(n, 3000);
	assert_int_equal(net_leader(n), 1);
	net_free(n);
}

/* Figure 4.6: 2 has "1" from removing itself, uncommitted, and 1 has not got it: its log is behind, so that only 2 can be elected. */
static void a_leader_that_removed_itself_is_elected_again_if_nobody_else_can_be(void **unused)
{
	(void)unused;
	struct net *n = net_new(2, 1);
	net_elect(n, 2);
	net_isolate(n, 2, true);
	assert_int_equal(net_change(n, 2, "1"), 0);
	net_store(n, 2);
	net_crash(n, 2);
	net_start(n, 2);
	net_heal(n);
	assert_true(net_status(n, 2).learner);
	net_run(n, 4000);
	assert_int_equal(net_leader(n), 1);
	assert_string_equal(net_config(n, 1), "1");
	assert_int_equal(net_status(n, 1).commit, net_status(n, 1).log_last);
	net_free(n);
}

static void a_member_that_its_log_leaves_out_does_not_count_its_own_vote(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	assert_int_equal(net_change(n, 1, "23"), 0);
	net_store(n, 1);
	net_crash(n, 1);
	net_start(n, 1);
	while (net_status(n, 1).role == RAFT_FOLLOWER) {
		n->now_ms += 10;
		net_tick_one(n, 1);
	}
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 1, .term = term + 1});
	assert_int_equal(net_status(n, 1).role, RAFT_PRECANDIDATE);
	net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 3, .to = 1, .term = term + 1});
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	net_store(n, 1);
	net_step(n, (struct raft_message){.type = RAFT_VOTE_REPLY, .from = 2, .to = 1, .term = term + 1});
	assert_int_equal(net_status(n, 1).role, RAFT_CANDIDATE);
	net_free(n);
}

static void the_vote_of_a_stranger_does_not_count(void **unused)
{
	(void)unused;
	struct net *n = net_new(5, 1);
	n->now_ms += 1000;
	net_tick_one(n, 1);
	for (uint64_t stranger = 6; stranger <= 9; stranger++)
		net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = stranger, .to = 1, .term = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_PRECANDIDATE);
	net_free(n);
}

static void an_append_with_a_configuration_that_is_none_is_dropped(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	struct writer nobody = {0};
	raft_members_encode(&nobody, &(struct raft_members){0});
	const struct raft_entry bad[] = {
		{.term = 1, .index = 1, .type = RAFT_ENTRY_CONFIG, .size = 3, .data = "abc"},
		{.term = 1, .index = 1, .type = RAFT_ENTRY_CONFIG},
		{.term = 1, .index = 1, .type = RAFT_ENTRY_CONFIG, .size = (uint32_t)nobody.size, .data = nobody.data},
	};
	for (size_t i = 0; i < 3; i++) {
		net_step(n,
			 (struct raft_message){.type = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .entries = &bad[i], .entries_count = 1});
		assert_int_equal(net_status(n, 1).log_last, 0);
		assert_string_equal(net_config(n, 1), "123");
	}
	writer_free(&nobody);
	net_free(n);
}

static void a_leader_that_becomes_a_learner_steps_down_and_goes_on_learning(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	assert_int_equal(net_change(n, 1, "23+1"), 0);
	net_settle(n);
	assert_int_not_equal(net_leader(n), 1);
	net_run(n, 100);
	net_propose(n, net_leader(n), "x");
	net_settle(n);
	net_assert_agreed(n, net_status(n, net_leader(n)).log_last);
	assert_int_equal(net_at(n, 1)->applied, net_status(n, 1).log_last);
	net_free(n);
}

static void a_removed_member_does_not_disturb(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t term = net_status(n, 1).term;
	net_isolate(n, 3, true);
	net_changed(n, "12");
	net_run(n, 2000);
	net_heal(n);
	assert_string_equal(net_config(n, 3), "123"); /* it was away, and nobody tells it any more */
	net_run(n, 10000);
	assert_int_equal(net_leader(n), 1);
	assert_int_equal(net_status(n, 1).term, term);
	assert_int_equal(net_status(n, 2).term, term);
	/* Nor can it be elected when the leader is gone: the others have the entry that removed it. */
	net_crash(n, 1);
	net_run(n, 5000);
	assert_int_equal(net_leader(n), 0);
	net_free(n);
}

static void answers_of_a_removed_member_mean_nothing(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_changed(n, "12");
	uint64_t term = net_status(n, 1).term;
	const uint8_t types[] = {RAFT_APPEND_REPLY, RAFT_HEARTBEAT_REPLY, RAFT_VOTE_REPLY, RAFT_PREVOTE_REPLY, RAFT_READ_INDEX};
	for (size_t i = 0; i < sizeof(types); i++)
		net_step(n, (struct raft_message){.type = types[i], .from = 3, .to = 1, .term = term + 5, .reject = true, .log_index = 1});
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	assert_int_equal(net_status(n, 1).term, term);
	assert_int_equal(n->wire.count, 0);
	net_free(n);
}

static void a_removed_member_that_knows_it_stays_quiet(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	assert_int_equal(net_change(n, 1, "23"), 0);
	net_settle(n);
	net_crash(n, 1);
	net_start(n, 1);
	net_isolate(n, 1, true);
	uint64_t term = net_status(n, 1).term;
	net_run(n, 5000);
	assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
	assert_int_equal(net_status(n, 1).term, term);
	net_free(n);
}

static void a_removed_member_is_told(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t appends = n->appends;
	net_changed(n, "12");
	assert_string_equal(net_config(n, 3), "12");
	assert_true(net_status(n, 3).learner);
	assert_int_equal(net_at(n, 3)->applied, net_status(n, 3).log_last); /* it knows that it is committed, too */
	assert_int_equal(n->appends, appends + 2);
	/* And that was the last that it was told. */
	net_propose(n, 1, "x");
	net_run(n, 3000);
	assert_int_equal(net_status(n, 3).log_last + 1, net_status(n, 1).log_last);
	assert_int_equal(net_status(n, 3).leader, 0);
	assert_int_equal(net_status(n, 3).role, RAFT_FOLLOWER);
	net_free(n);
}

static void a_member_that_is_told_of_its_removal_does_not_count(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	uint64_t term = net_lead_alone(n);
	net_acknowledge(n, 2, term, 1);
	net_acknowledge(n, 3, term, 1);
	assert_int_equal(net_change(n, 1, "12"), 0);
	net_store(n, 1);
	assert_int_equal(net_sent(n, 3, RAFT_APPEND).log_index, 1);
	net_acknowledge(n, 3, term, 2);
	assert_int_equal(net_status(n, 1).commit, 1);
	net_step(n, (struct raft_message){.type = RAFT_APPEND_REPLY, .from = 3, .to = 1, .term = term + 1, .reject = true, .log_index = 1});
	assert_int_equal(net_status(n, 1).term, term); /* nor can it disturb */
	net_acknowledge(n, 2, term, 2);
	assert_int_equal(net_status(n, 1).commit, 2);
	assert_int_equal(net_sent(n, 3, RAFT_HEARTBEAT).commit, 2);
	net_free(n);
}

static void a_removed_member_that_is_away_is_given_up(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_isolate(n, 3, true);
	net_changed(n, "12");
	net_run(n, 1100);
	net_heal(n);
	net_clear(n);
	n->now_ms += 50;
	net_tick_one(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_HEARTBEAT).type, RAFT_HEARTBEAT);
	assert_int_equal(net_sent(n, 3, RAFT_HEARTBEAT).type, 0);
	net_free(n);
}

static void a_removed_member_that_comes_back_is_taken_in_again(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_changed(n, "12");
	net_propose(n, 1, "x");
	net_settle(n);
	net_changed(n, "12+3");
	net_changed(n, "123");
	net_assert_agreed(n, net_status(n, 1).log_last);
	assert_string_equal(net_config(n, 3), "123");
	net_free(n);
}

static void reads_that_a_round_serves_are_answered_though_the_membership_changed_meanwhile(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	uint64_t own = net_read(n, 1), others = net_read(n, 3);
	net_deliver(n, n->wire.count - 1); /* the question of 3 */
	assert_int_equal(net_change(n, 1, "13"), 0);
	net_settle(n);
	assert_int_equal(net_at(n, 1)->read_ticket, own);
	assert_int_equal(net_at(n, 3)->read_ticket, others);
	net_free(n);
}

static void the_status_tells_voters_from_learners(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_changed(n, "123+4");
	struct raft_status s = net_status(n, 1);
	assert_int_equal(s.members_count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(s.members[i].voter, s.members[i].id != 4);
		assert_int_equal(s.members[i].match, s.log_last);
	}
	assert_false(s.learner || s.joint);
	assert_int_equal(net_change(n, 1, "23"), 0);
	assert_int_equal(net_status(n, 1).members_count, 2); /* without itself, and without 4, which is only told that it has to go */
	assert_int_equal(net_status(n, 1).members[0].id, 2);
	assert_int_equal(net_status(n, 1).members[1].id, 3);
	net_free(n);
}

static void a_new_member_is_missing_from_what_is_stored_everywhere(void **unused)
{
	(void)unused;
	struct net *n = three_and_a_joiner();
	net_isolate(n, 4, true);
	assert_true(net_status(n, 1).everywhere > 0);
	net_changed(n, "123+4");
	assert_int_equal(net_status(n, 1).everywhere, 0);
	assert_int_equal(net_status(n, 2).everywhere, 0);
	net_heal(n);
	net_run(n, 200);
	assert_int_equal(net_status(n, 2).everywhere, net_status(n, 1).log_last);
	net_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_entry_of_a_new_log_is_its_configuration),
		cmocka_unit_test(a_change_is_in_force_from_when_it_is_in_the_log),
		cmocka_unit_test(all_members_have_a_change_once_they_have_its_entry),
		cmocka_unit_test(the_driver_is_told_when_the_configuration_is_another),
		cmocka_unit_test(a_change_of_the_context_alone_reaches_everybody),
		cmocka_unit_test(a_change_that_a_new_leader_takes_back_is_out_of_force),
		cmocka_unit_test(a_restarted_member_has_what_its_log_holds_above_what_it_applied),
		cmocka_unit_test(a_restarted_member_keeps_what_it_applied_though_older_configurations_are_in_its_log),
		cmocka_unit_test(a_learner_receives_the_log_but_does_not_count),
		cmocka_unit_test(a_learner_confirms_no_read),
		cmocka_unit_test(a_learner_reads_like_any_follower),
		cmocka_unit_test(a_learner_never_campaigns_but_notices_that_its_leader_is_gone),
		cmocka_unit_test(leadership_is_never_handed_to_a_learner),
		cmocka_unit_test(the_only_voter_leads_at_once_and_its_learners_follow),
		cmocka_unit_test(a_member_without_a_configuration_neither_campaigns_nor_votes),
		cmocka_unit_test(a_member_without_a_configuration_follows_any_leader_and_has_its_configuration),
		cmocka_unit_test(a_member_votes_for_a_candidate_that_it_does_not_know),
		cmocka_unit_test(a_learner_votes_since_it_may_be_a_voter_without_knowing),
		cmocka_unit_test(a_follower_reads_from_a_leader_that_it_does_not_know),
		cmocka_unit_test(one_change_at_a_time),
		cmocka_unit_test(a_new_leader_changes_nothing_before_it_has_committed_in_its_own_term),
		cmocka_unit_test(two_leaders_that_do_not_know_of_each_others_changes_cannot_both_commit),
		cmocka_unit_test(a_change_that_breaks_a_rule_is_refused),
		cmocka_unit_test(a_change_waits_its_turn_like_a_proposal),
		cmocka_unit_test(a_learner_that_was_never_heard_is_not_promoted),
		cmocka_unit_test(a_learner_that_fell_silent_is_not_promoted),
		cmocka_unit_test(a_learner_that_lags_is_not_promoted),
		cmocka_unit_test(a_promoted_learner_counts_and_can_lead),
		cmocka_unit_test(a_leader_that_removes_itself_leads_until_that_is_committed_and_hands_over),
		cmocka_unit_test(a_leader_that_removes_itself_does_not_count_itself),
		cmocka_unit_test(what_was_proposed_behind_the_leaders_removal_still_reaches_the_others),
		cmocka_unit_test(of_two_members_the_leader_may_remove_itself),
		cmocka_unit_test(of_two_members_the_one_that_is_left_leads_though_the_removed_leader_is_gone_at_once),
		cmocka_unit_test(of_two_members_the_leader_removes_one_that_is_gone),
		cmocka_unit_test(a_leader_that_removed_itself_is_elected_again_if_nobody_else_can_be),
		cmocka_unit_test(a_member_that_its_log_leaves_out_does_not_count_its_own_vote),
		cmocka_unit_test(the_vote_of_a_stranger_does_not_count),
		cmocka_unit_test(an_append_with_a_configuration_that_is_none_is_dropped),
		cmocka_unit_test(a_leader_that_becomes_a_learner_steps_down_and_goes_on_learning),
		cmocka_unit_test(a_removed_member_does_not_disturb),
		cmocka_unit_test(answers_of_a_removed_member_mean_nothing),
		cmocka_unit_test(a_removed_member_that_knows_it_stays_quiet),
		cmocka_unit_test(a_removed_member_is_told),
		cmocka_unit_test(a_member_that_is_told_of_its_removal_does_not_count),
		cmocka_unit_test(a_removed_member_that_is_away_is_given_up),
		cmocka_unit_test(a_removed_member_that_comes_back_is_taken_in_again),
		cmocka_unit_test(reads_that_a_round_serves_are_answered_though_the_membership_changed_meanwhile),
		cmocka_unit_test(the_status_tells_voters_from_learners),
		cmocka_unit_test(a_new_member_is_missing_from_what_is_stored_everywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
