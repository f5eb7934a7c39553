/* Members whose entries have left the log: chapter 5 of the dissertation, as far as it concerns the core. The snapshot itself is the driver's;
 * here it is no more than an index, a term and a configuration. */
#include "tests/unit/test_raft_net_members.h"

static void commit_some(struct net *n, uint64_t leader, int count)
{
	for (int i = 0; i < count; i++) {
		assert_int_equal(net_propose(n, leader, "x"), 0);
		net_settle(n);
	}
}

/* 1 leads; 3 was away while ten entries were committed, and they have left the log of both others. */
static struct net *three_left_behind(void)
{
	struct net *n = net_new(3, 1);
	net_elect(n, 1);
	net_isolate(n, 3, true);
	commit_some(n, 1, 10);
	net_run(n, 500);
	for (uint64_t id = 1; id <= 2; id++)
		assert_true(net_trim(n, id, net_status(n, id).log_last - 2));
	return n;
}

static uint32_t snapshots(const struct net *n)
{
	uint32_t count = 0;
	for (const struct net_snapshot *s = n->snapshots; s; s = s->next)
		count++;
	return count;
}

/* Delivers and stores, but no snapshot. */
static void run_without_snapshots(struct net *n, uint64_t ms)
{
	for (uint64_t end = n->now_ms + ms; n->now_ms < end;) {
		n->now_ms += 10;
		for (uint64_t id = 1; id <= n->count; id++)
			net_tick_one(n, id);
		while (n->wire.count > 0) {
			net_deliver(n, 0);
			for (uint64_t id = 1; id <= n->count; id++)
				net_store(n, id);
		}
	}
}

/* Until 1 has asked for a snapshot for 3. */
static struct net *three_needs_a_snapshot(void)
{
	struct net *n = three_left_behind();
	net_heal(n);
	run_without_snapshots(n, 200);
	assert_int_equal(snapshots(n), 1);
	return n;
}

static struct raft_progress progress(struct net *n, uint64_t leader, uint64_t id)
{
	struct raft_status s = net_status(n, leader);
	for (uint32_t i = 0; i < s.members_count; i++)
		if (s.members[i].id == id)
			return s.members[i];
	fail();
	return (struct raft_progress){0};
}

/* --- the leader --- */

static void a_member_whose_entries_have_left_the_log_is_listed_once(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	assert_int_equal(n->snapshots->from, 1);
	assert_int_equal(n->snapshots->to, 3);
	assert_true(progress(n, 1, 3).snapshot);
	run_without_snapshots(n, 3000);
	assert_int_equal(snapshots(n), 1);
	net_free(n);
}

static void a_member_that_needs_a_snapshot_is_sent_heartbeats_but_no_entries(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	uint64_t last = net_status(n, 3).log_last;
	net_clear(n);
	net_propose(n, 1, "x");
	n->now_ms += 50;
	net_tick_one(n, 1);
	assert_int_equal(net_sent(n, 3, RAFT_APPEND).type, 0);
	assert_int_equal(net_sent(n, 3, RAFT_HEARTBEAT).type, RAFT_HEARTBEAT);
	assert_true(net_sent(n, 3, RAFT_HEARTBEAT).commit <= last); /* it may not commit what it has not got */
	run_without_snapshots(n, 3000);
	assert_int_equal(net_status(n, 3).leader, 1);
	assert_int_equal(net_leader(n), 1);
	net_free(n);
}

static void one_that_is_not_heard_is_not_listed(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	n->inflight_max = 4; /* the rest is not even sent */
	net_elect(n, 1);
	net_crash(n, 1);
	net_start(n, 1);
	net_elect(n, 1);
	net_isolate(n, 3, true);
	commit_some(n, 1, 10);
	net_run(n, 500);
	assert_true(net_trim(n, 1, net_status(n, 1).log_last - 2));
	assert_true(net_trim(n, 2, net_status(n, 2).log_last - 2));
	run_without_snapshots(n, 2000);
	assert_int_equal(snapshots(n), 0);
	net_heal(n);
	run_without_snapshots(n, 200);
	assert_int_equal(snapshots(n), 1);
	net_free(n);
}

static void with_its_snapshot_it_catches_up(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	commit_some(n, 1, 5); /* the snapshot travels meanwhile */
	net_run(n, 200);
	net_assert_agreed(n, net_status(n, 1).log_last);
	assert_false(progress(n, 1, 3).snapshot);
	assert_true(net_status(n, 3).log_first > 1);
	net_free(n);
}

static void an_attempt_that_failed_is_followed_by_another(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	net_lose_snapshot(n, n->snapshots);
	assert_int_equal(snapshots(n), 0);
	run_without_snapshots(n, 100);
	assert_int_equal(snapshots(n), 1);
	net_run(n, 200);
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

static void an_attempt_that_is_over_is_probed_from_the_end_of_the_log(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	net_clear(n);
	net_lose_snapshot(n, n->snapshots);
	struct raft_message m = net_sent(n, 3, RAFT_APPEND);
	assert_int_equal(m.type, RAFT_APPEND);
	assert_int_equal(m.log_index, net_status(n, 1).log_last);
	assert_int_equal(m.entries_count, 0);
	net_free(n);
}

/* etcd-io/raft #110: with the acknowledgement of the snapshot, not with the driver's word that it is over. */
static void a_member_whose_log_reaches_the_leaders_is_sent_entries_before_its_snapshot_is_over(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	struct net_snapshot *s = n->snapshots;
	const struct raft_members members = net_members("123");
	assert_int_equal(raft_install(net_raft(n, 3), s->index, s->term, &members), 0);
	net_pump(n, net_at(n, 3));
	run_without_snapshots(n, 100);
	net_propose(n, 1, "x");
	run_without_snapshots(n, 100);
	assert_int_equal(net_status(n, 3).log_last, net_status(n, 1).log_last);
	assert_true(progress(n, 1, 3).snapshot); /* the driver still has it under way */
	uint64_t appends = n->appends;
	net_lose_snapshot(n, s);
	run_without_snapshots(n, 100);
	assert_false(progress(n, 1, 3).snapshot);
	assert_int_equal(n->appends, appends);
	net_free(n);
}

static void one_that_falls_behind_again_waits_for_the_end_of_the_first_attempt(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	struct net_snapshot *s = n->snapshots;
	const struct raft_members members = net_members("123");
	assert_int_equal(raft_install(net_raft(n, 3), s->index, s->term, &members), 0);
	net_pump(n, net_at(n, 3));
	run_without_snapshots(n, 100);
	assert_int_equal(progress(n, 1, 3).match, s->index);
	net_isolate(n, 3, true);
	for (int i = 0; i < 10; i++) {
		net_propose(n, 1, "x");
		run_without_snapshots(n, 10);
	}
	assert_true(net_trim(n, 1, net_status(n, 1).log_last - 1));
	net_heal(n);
	run_without_snapshots(n, 300);
	assert_int_equal(snapshots(n), 1); /* the driver knows of one */
	net_lose_snapshot(n, s);
	run_without_snapshots(n, 300);
	assert_int_equal(snapshots(n), 1); /* and now of another */
	net_run(n, 300);
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

static void a_snapshot_that_is_too_old_by_now_is_followed_by_another(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	for (int i = 0; i < 10; i++) {
		net_propose(n, 1, "x");
		run_without_snapshots(n, 10);
	}
	assert_true(net_trim(n, 1, net_status(n, 1).log_last - 1));
	assert_true(n->snapshots->index + 1 < net_status(n, 1).log_first);
	assert_int_equal(net_deliver_snapshot(n, n->snapshots), 0);
	run_without_snapshots(n, 200);
	assert_int_equal(snapshots(n), 1);
	net_run(n, 300);
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

static void a_new_leader_asks_for_its_own(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	assert_int_equal(raft_transfer(net_raft(n, 1), 2), 0);
	run_without_snapshots(n, 300);
	assert_int_equal(net_leader(n), 2);
	assert_int_equal(snapshots(n), 2);
	assert_int_equal(n->snapshots->from, 2);
	raft_snapshot_over(net_raft(n, 1), 3); /* means nothing to a follower */
	assert_false(raft_has_ready(net_raft(n, 1)));
	net_run(n, 300);
	net_assert_agreed(n, net_status(n, 2).log_last);
	net_free(n);
}

static void entries_that_are_trimmed_while_they_are_fetched_make_a_snapshot_needed(void **unused)
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
	commit_some(n, 1, 30);
	n->slow_fetch = true;
	net_heal(n);
	run_without_snapshots(n, 200);
	assert_int_equal(snapshots(n), 0);
	uint64_t lo = net_status(n, 3).log_last + 1;
	assert_true(net_trim(n, 1, net_status(n, 1).log_last - 1));
	/* The answer is late, and speaks of entries that the log no longer has. */
	const struct raft_entry late = {.term = net_status(n, 1).term, .index = lo};
	net_clear(n);
	raft_fetched(net_raft(n, 1), 3, &late, 1);
	net_pump(n, net_at(n, 1));
	assert_int_equal(net_sent(n, 3, RAFT_APPEND).entries_count, 0);
	assert_int_equal(snapshots(n), 1);
	net_run(n, 300);
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

/* --- the follower --- */

/* Member 1 holds "1122" of terms, of which two are committed, follows 2 in term 3, and has nothing unsaved. */
static struct net *a_follower(void)
{
	struct net *n = net_new(3, 1);
	net_give_log(n, 1, "1122", 2);
	net_step(n, (struct raft_message){.type = RAFT_HEARTBEAT, .from = 2, .to = 1, .term = 3, .commit = 2});
	net_store(n, 1);
	net_clear(n);
	return n;
}

static int install(struct net *n, uint64_t index, uint64_t term, const char *members)
{
	const struct raft_members m = net_members(members);
	return raft_install(net_raft(n, 1), index, term, &m);
}

static void the_log_begins_anew_behind_a_snapshot(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	assert_int_equal(install(n, 9, 3, "123+4"), 0);
	struct raft_status s = net_status(n, 1);
	assert_int_equal(s.commit, 9);
	assert_int_equal(s.stored, 9);
	assert_int_equal(s.log_first, 10);
	assert_int_equal(s.log_last, 9);
	assert_int_equal(raft_term_at(net_raft(n, 1), 9), 3);
	assert_int_equal(raft_term_at(net_raft(n, 1), 4), 0);
	assert_string_equal(net_config(n, 1), "123+4");
	const struct raft_ready *ready = raft_ready(net_raft(n, 1));
	assert_true(ready->install);
	assert_int_equal(ready->install_index, 9);
	assert_int_equal(ready->install_term, 3);
	assert_int_not_equal(ready->save, 0);
	assert_int_equal(ready->entries_count, 0);
	assert_int_equal(ready->committed_count, 0);
	assert_string_equal(net_members_text(ready->members), "123+4");
	assert_false(raft_has_ready(net_raft(n, 1)));
	net_free(n);
}

static void the_leader_is_told_only_once_the_snapshot_is_stored(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	assert_int_equal(install(n, 9, 3, "123"), 0);
	net_pump(n, net_at(n, 1));
	assert_int_equal(n->wire.count, 0);
	net_store(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 9);
	assert_false(net_sent(n, 2, RAFT_APPEND_REPLY).reject);
	net_free(n);
}

static void entries_that_come_at_once_behind_it_are_part_of_the_same_save(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	const struct raft_entry e = {.term = 3, .index = 10};
	const struct raft_message m = {.type = RAFT_APPEND,
				       .from = 2,
				       .to = 1,
				       .term = 3,
				       .log_index = 9,
				       .log_term = 3,
				       .commit = 10,
				       .entries = &e,
				       .entries_count = 1};
	assert_int_equal(install(n, 9, 3, "123"), 0);
	raft_step(net_raft(n, 1), &m);
	net_pump(n, net_at(n, 1));
	assert_int_equal(net_at(n, 1)->applied, 9);
	assert_null(net_at(n, 1)->saves->next);
	net_store(n, 1);
	assert_int_equal(net_at(n, 1)->applied, 10);
	assert_int_equal(net_at(n, 1)->log_first, 10);
	assert_int_equal(net_at(n, 1)->log_last, 10);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 10);
	net_free(n);
}

static void a_crash_before_it_is_stored_leaves_the_old_log_and_after_it_the_new(void **unused)
{
	(void)unused;
	for (int stored = 0; stored < 2; stored++) {
		struct net *n = a_follower();
		struct raft_entry config = {.index = 9, .term = 3, .type = RAFT_ENTRY_CONFIG};
		struct writer w = {0};
		const struct raft_members members = net_members("12");
		raft_members_encode(&w, &members);
		config.data = w.data, config.size = (uint32_t)w.size;
		net_keep_config(n, &config);
		assert_int_equal(install(n, 9, 3, "12"), 0);
		net_pump(n, net_at(n, 1));
		if (stored)
			net_store(n, 1);
		net_crash(n, 1);
		net_start(n, 1);
		assert_int_equal(net_status(n, 1).log_last, stored ? 9 : 4);
		assert_int_equal(net_status(n, 1).log_first, stored ? 10 : 1);
		assert_int_equal(net_status(n, 1).commit, stored ? 9 : 2);
		assert_string_equal(net_config(n, 1), stored ? "12" : "123");
		assert_int_equal(raft_term_at(net_raft(n, 1), 9), stored ? 3 : 0);
		writer_free(&w);
		net_free(n);
	}
}

static void saves_that_were_under_way_say_nothing_about_the_new_log(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	struct raft_entry e[8];
	for (uint64_t i = 0; i < 8; i++)
		e[i] = (struct raft_entry){.term = 2, .index = 5 + i};
	struct raft_message m = {
		.type = RAFT_APPEND, .from = 2, .to = 1, .term = 3, .log_index = 4, .log_term = 2, .entries = e, .entries_count = 8};
	net_step(n, m); /* up to 12, in a save that is under way */
	assert_int_equal(net_status(n, 1).log_last, 12);
	assert_int_equal(install(n, 9, 3, "123"), 0);
	net_pump(n, net_at(n, 1));
	net_store_one(n, net_at(n, 1));
	assert_int_equal(net_status(n, 1).stored, 9);
	/* What follows the snapshot is stored when its own save is. */
	for (uint64_t i = 0; i < 2; i++)
		e[i] = (struct raft_entry){.term = 3, .index = 10 + i};
	m.log_index = 9, m.log_term = 3, m.commit = 11, m.entries_count = 2;
	net_step(n, m);
	net_store_one(n, net_at(n, 1));
	assert_int_equal(net_status(n, 1).stored, 9);
	assert_int_equal(net_at(n, 1)->applied, 9);
	net_store_one(n, net_at(n, 1));
	net_pump(n, net_at(n, 1));
	assert_int_equal(net_status(n, 1).stored, 11);
	assert_int_equal(net_at(n, 1)->applied, 11);
	net_free(n);
}

static void acknowledgements_that_waited_are_withdrawn_with_the_log(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	const struct raft_entry e = {.term = 2, .index = 5};
	const struct raft_message m = {
		.type = RAFT_APPEND, .from = 2, .to = 1, .term = 3, .log_index = 4, .log_term = 2, .entries = &e, .entries_count = 1};
	raft_step(net_raft(n, 1), &m);
	assert_int_equal(install(n, 3, 3, "123"), 0);
	net_pump(n, net_at(n, 1));
	net_store(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 3); /* not 5 */
	assert_int_equal(net_at(n, 1)->log_last, 3);
	net_free(n);
}

static void a_snapshot_of_a_later_term_brings_its_term(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	assert_int_equal(install(n, 9, 6, "123"), 0);
	net_pump(n, net_at(n, 1));
	assert_int_equal(net_status(n, 1).term, 6);
	assert_int_equal(net_status(n, 1).leader, 0);
	/* An append of the old leader that was on its way comes too late. */
	const struct raft_entry e = {.term = 3, .index = 10};
	net_step(n, (struct raft_message){.type = RAFT_APPEND,
					  .from = 2,
					  .to = 1,
					  .term = 3,
					  .log_index = 9,
					  .log_term = 3,
					  .entries = &e,
					  .entries_count = 1});
	assert_int_equal(net_status(n, 1).log_last, 9);
	assert_int_equal(net_sent(n, 2, RAFT_HEARTBEAT_REPLY).term, 6);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).type, 0);
	net_store(n, 1);
	net_crash(n, 1);
	net_start(n, 1); /* and the log's first term is not above the hard state's */
	assert_int_equal(net_status(n, 1).term, 6);
	net_free(n);
}

static void appends_from_before_the_snapshot_change_nothing(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	assert_int_equal(install(n, 9, 3, "123"), 0);
	const struct raft_entry e[] = {{.term = 2, .index = 4}, {.term = 3, .index = 5}};
	net_step(n, (struct raft_message){.type = RAFT_APPEND,
					  .from = 2,
					  .to = 1,
					  .term = 3,
					  .log_index = 3,
					  .log_term = 2,
					  .entries = e,
					  .entries_count = 2});
	assert_int_equal(net_status(n, 1).log_last, 9);
	assert_int_equal(n->wire.count, 0);
	net_store(n, 1);
	assert_int_equal(net_sent(n, 2, RAFT_APPEND_REPLY).log_index, 9);
	net_free(n);
}

static void a_snapshot_that_is_not_needed_is_refused(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	assert_int_equal(install(n, 2, 1, "12"), -EALREADY); /* committed */
	assert_int_equal(install(n, 1, 9, "12"), -EALREADY); /* stale, whatever it says */
	assert_int_equal(net_status(n, 1).term, 3);
	assert_int_equal(net_status(n, 1).commit, 2);
	assert_string_equal(net_config(n, 1), "123");
	/* The log has this one: then it is committed, too, and nothing is lost. */
	assert_int_equal(install(n, 4, 2, "12"), -EALREADY);
	assert_int_equal(net_status(n, 1).commit, 4);
	assert_int_equal(net_status(n, 1).log_first, 1);
	net_pump(n, net_at(n, 1));
	assert_int_equal(net_at(n, 1)->applied, 4);
	assert_null(net_at(n, 1)->saves);
	net_free(n);
}

static void an_entry_at_that_index_of_another_term_gives_way(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	assert_int_equal(install(n, 4, 3, "123"), 0);
	net_pump(n, net_at(n, 1));
	net_store(n, 1);
	assert_int_equal(raft_term_at(net_raft(n, 1), 4), 3);
	assert_int_equal(net_at(n, 1)->log_first, 5);
	net_free(n);
}

static void a_leader_needs_none(void **unused)
{
	(void)unused;
	struct net *n = net_new(3, 1);
	net_lead_alone(n);
	assert_int_equal(install(n, 9, 1, "123"), -EALREADY);
	assert_int_equal(net_status(n, 1).role, RAFT_LEADER);
	net_free(n);
}

static void a_candidate_that_takes_one_follows(void **unused)
{
	(void)unused;
	for (int pre = 0; pre < 2; pre++) {
		struct net *n = net_new(3, 1);
		n->now_ms += 1000;
		net_tick_one(n, 1);
		if (!pre)
			net_step(n, (struct raft_message){.type = RAFT_PREVOTE_REPLY, .from = 2, .to = 1, .term = 1});
		net_store(n, 1);
		assert_int_equal(net_status(n, 1).role, pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE);
		assert_int_equal(install(n, 9, 1, "123"), 0);
		assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
		net_pump(n, net_at(n, 1));
		/* A vote for the log that it had is no vote for this one. */
		net_step(n, (struct raft_message){.type = RAFT_VOTE_REPLY, .from = 2, .to = 1, .term = 1});
		assert_int_equal(net_status(n, 1).role, RAFT_FOLLOWER);
		net_free(n);
	}
}

static void what_is_no_snapshot_is_refused(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	assert_int_equal(install(n, 0, 3, "123"), -EINVAL);
	assert_int_equal(install(n, 9, 0, "123"), -EINVAL);
	assert_int_equal(install(n, 9, 3, ""), -EINVAL);
	assert_int_equal(install(n, 9, 3, "11"), -EINVAL);
	assert_int_equal(net_status(n, 1).log_last, 4);
	assert_false(raft_has_ready(net_raft(n, 1)));
	net_free(n);
}

static void configurations_of_the_old_log_are_gone_with_it(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	struct writer w = {0};
	const struct raft_members members = net_members("12345");
	raft_members_encode(&w, &members);
	const struct raft_entry e = {.term = 3, .index = 5, .type = RAFT_ENTRY_CONFIG, .size = (uint32_t)w.size, .data = w.data};
	net_step(n, (struct raft_message){.type = RAFT_APPEND,
					  .from = 2,
					  .to = 1,
					  .term = 3,
					  .log_index = 4,
					  .log_term = 2,
					  .entries = &e,
					  .entries_count = 1});
	assert_string_equal(net_config(n, 1), "12345");
	assert_int_equal(install(n, 9, 3, "12"), 0);
	assert_string_equal(net_config(n, 1), "12");
	assert_int_equal(net_status(n, 1).members_count, 2);
	writer_free(&w);
	net_free(n);
}

static void a_snapshot_with_a_joint_configuration_puts_it_in_force(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	assert_int_equal(install(n, 9, 3, "145/123+2"), 0);
	assert_true(net_status(n, 1).joint);
	assert_string_equal(net_config(n, 1), "145/123+2");
	net_free(n);
}

static void a_read_that_waited_is_answered_after_it(void **unused)
{
	(void)unused;
	struct net *n = a_follower();
	uint64_t ticket = net_read(n, 1);
	assert_int_equal(install(n, 9, 3, "123"), 0);
	net_pump(n, net_at(n, 1));
	net_step(n, (struct raft_message){.type = RAFT_READ_INDEX_REPLY, .from = 2, .to = 1, .term = 3, .round = ticket, .log_index = 8});
	assert_int_equal(net_at(n, 1)->read_ticket, ticket);
	assert_int_equal(net_at(n, 1)->read_index, 8);
	net_free(n);
}

/* --- together --- */

static void a_joiner_gets_a_snapshot_learns_and_becomes_a_voter(void **unused)
{
	(void)unused;
	struct net *n = three_left_behind();
	net_heal(n);
	net_run(n, 300);
	uint64_t id = net_join(n);
	net_changed(n, "123+4");
	net_run(n, 300);
	assert_true(net_status(n, id).log_first > 1);
	assert_string_equal(net_config(n, id), "123+4");
	net_changed(n, "1234");
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_crash(n, 1);
	net_crash(n, id);
	net_start(n, id);
	net_run(n, 2500);
	net_propose(n, net_leader(n), "x");
	net_settle(n);
	net_assert_agreed(n, net_status(n, net_leader(n)).log_last);
	net_free(n);
}

static void a_member_that_is_being_sent_a_snapshot_may_be_removed(void **unused)
{
	(void)unused;
	struct net *n = three_needs_a_snapshot();
	assert_int_equal(net_change(n, 1, "12"), 0);
	run_without_snapshots(n, 100);
	net_deliver_snapshot(n, n->snapshots);
	run_without_snapshots(n, 1000);
	assert_int_equal(net_leader(n), 1);
	assert_int_equal(net_status(n, 1).commit, net_status(n, 1).log_last);
	net_changed(n, "12+3"); /* and come back */
	net_run(n, 300);
	net_assert_agreed(n, net_status(n, 1).log_last);
	net_free(n);
}

static void a_learner_that_is_being_sent_a_snapshot_is_not_promoted(void **unused)
{
	(void)unused;
	struct net *n = three_left_behind();
	net_changed(n, "12+3");
	net_heal(n);
	run_without_snapshots(n, 200);
	assert_true(progress(n, 1, 3).snapshot);
	assert_int_equal(net_change(n, 1, "123"), -ESTALE);
	net_run(n, 300);
	assert_int_equal(net_change(n, 1, "123"), 0);
	net_free(n);
}

static void a_member_that_was_away_while_several_were_replaced_catches_up(void **unused)
{
	(void)unused;
	struct net *n = three_left_behind();
	net_join(n);
	net_join(n);
	net_isolate(n, 3, true);
	net_changed(n, "123+45");
	net_changed(n, "145+3");
	net_run(n, 100);
	uint64_t leader = net_leader(n);
	assert_true(net_trim(n, leader, net_status(n, leader).log_last));
	net_heal(n);
	net_run(n, 1000);
	assert_string_equal(net_config(n, 3), "145+3");
	assert_true(net_status(n, 3).log_first > 1);
	net_assert_agreed(n, net_status(n, leader).log_last);
	net_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_member_whose_entries_have_left_the_log_is_listed_once),
		cmocka_unit_test(a_member_that_needs_a_snapshot_is_sent_heartbeats_but_no_entries),
		cmocka_unit_test(one_that_is_not_heard_is_not_listed),
		cmocka_unit_test(with_its_snapshot_it_catches_up),
		cmocka_unit_test(an_attempt_that_failed_is_followed_by_another),
		cmocka_unit_test(an_attempt_that_is_over_is_probed_from_the_end_of_the_log),
		cmocka_unit_test(a_member_whose_log_reaches_the_leaders_is_sent_entries_before_its_snapshot_is_over),
		cmocka_unit_test(one_that_falls_behind_again_waits_for_the_end_of_the_first_attempt),
		cmocka_unit_test(a_snapshot_that_is_too_old_by_now_is_followed_by_another),
		cmocka_unit_test(a_new_leader_asks_for_its_own),
		cmocka_unit_test(entries_that_are_trimmed_while_they_are_fetched_make_a_snapshot_needed),
		cmocka_unit_test(the_log_begins_anew_behind_a_snapshot),
		cmocka_unit_test(the_leader_is_told_only_once_the_snapshot_is_stored),
		cmocka_unit_test(entries_that_come_at_once_behind_it_are_part_of_the_same_save),
		cmocka_unit_test(a_crash_before_it_is_stored_leaves_the_old_log_and_after_it_the_new),
		cmocka_unit_test(saves_that_were_under_way_say_nothing_about_the_new_log),
		cmocka_unit_test(acknowledgements_that_waited_are_withdrawn_with_the_log),
		cmocka_unit_test(a_snapshot_of_a_later_term_brings_its_term),
		cmocka_unit_test(appends_from_before_the_snapshot_change_nothing),
		cmocka_unit_test(a_snapshot_that_is_not_needed_is_refused),
		cmocka_unit_test(an_entry_at_that_index_of_another_term_gives_way),
		cmocka_unit_test(a_leader_needs_none),
		cmocka_unit_test(a_candidate_that_takes_one_follows),
		cmocka_unit_test(what_is_no_snapshot_is_refused),
		cmocka_unit_test(configurations_of_the_old_log_are_gone_with_it),
		cmocka_unit_test(a_snapshot_with_a_joint_configuration_puts_it_in_force),
		cmocka_unit_test(a_read_that_waited_is_answered_after_it),
		cmocka_unit_test(a_joiner_gets_a_snapshot_learns_and_becomes_a_voter),
		cmocka_unit_test(a_member_that_is_being_sent_a_snapshot_may_be_removed),
		cmocka_unit_test(a_learner_that_is_being_sent_a_snapshot_is_not_promoted),
		cmocka_unit_test(a_member_that_was_away_while_several_were_replaced_catches_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
