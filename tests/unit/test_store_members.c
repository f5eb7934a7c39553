/* The table of members, and the changes that may be made to it. */
#include "store/members.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct store_member abc[] = {{"c", "h:3"}, {"a", "h:1"}, {"b", "h:2"}};

static struct members three(void)
{
	struct members m;
	members_first(abc, 3, &m);
	return m;
}

static uint64_t id_of(const struct members *m, const char *name)
{
	const struct member *one = members_named(m, name);
	assert_non_null(one);
	return one->id;
}

/* Through raft and back. */
static struct members copied(const struct members *m)
{
	struct writer context = {0}, bytes = {0};
	struct raft_members raft = members_raft(m, &context), got;
	struct members out;
	raft_members_encode(&bytes, &raft);
	assert_int_equal(raft_members_decode((struct span){bytes.data, bytes.size}, &got), 0);
	assert_int_equal(members_decode(&got, &out), 0);
	writer_free(&context);
	writer_free(&bytes);
	return out;
}

static void the_first_configuration_is_the_same_whatever_the_order_of_its_list(void **state)
{
	(void)state;
	const struct store_member other[] = {{"b", "h:2"}, {"c", "h:3"}, {"a", "h:1"}};
	struct members x = three(), y;
	members_first(other, 3, &y);
	struct writer a = {0}, b = {0};
	members_raft(&x, &a);
	members_raft(&y, &b);
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);
	assert_memory_equal(x.raft.voters, y.raft.voters, sizeof(x.raft.voters));
	assert_int_equal(x.version, 0);
	writer_free(&a);
	writer_free(&b);
}

static void a_table_comes_back_as_it_was(void **state)
{
	(void)state;
	struct members m = three(), next;
	assert_int_equal(members_add(&m, 77, &(struct store_member){"d", "h:4"}, false, &next), 0);
	struct members got = copied(&next);
	assert_int_equal(got.version, 1);
	assert_int_equal(got.count, 4);
	const struct member *d = members_find(&got, 77);
	assert_string_equal(d->who.name, "d");
	assert_string_equal(d->who.address, "h:4");
	assert_int_equal(d->flags, 0);
	assert_int_equal(d->added, 77);
	assert_false(members_is_voter(&got, 77));
}

static void malformed_contexts_are_refused(void **state)
{
	(void)state;
	struct members m = three(), out = {.version = 9};
	struct writer w = {0};
	struct raft_members raft = members_raft(&m, &w);
	for (uint32_t size = 0; size < raft.context_size; size++) {
		struct raft_members cut = raft;
		cut.context_size = size;
		assert_int_equal(members_decode(&cut, &out), -EBADMSG);
	}
	struct raft_members stranger = raft;
	stranger.learners[stranger.learners_count++] = 99; /* not in the table */
	assert_int_equal(members_decode(&stranger, &out), -EBADMSG);
	writer_u8(&w, 0);
	raft.context = w.data;
	raft.context_size++;
	assert_int_equal(members_decode(&raft, &out), -EBADMSG);
	assert_int_equal(out.version, 9);
	writer_free(&w);
	struct raft_members none = {0};
	assert_int_equal(members_decode(&none, &out), 0);
	assert_int_equal(out.count, 0);
}

static void who_is_added_learns_first_and_names_and_addresses_are_given_once(void **state)
{
	(void)state;
	struct members m = three(), next, after;
	assert_int_equal(members_add(&m, 77, &(struct store_member){"d", "h:4"}, true, &next), 0);
	assert_false(members_is_voter(&next, 77));
	assert_int_equal(members_add(&next, 78, &(struct store_member){"d", "h:5"}, true, &after), -EEXIST);
	assert_int_equal(members_add(&next, 78, &(struct store_member){"e", "h:4"}, true, &after), -EEXIST);
	assert_int_equal(members_add(&next, 77, &(struct store_member){"e", "h:5"}, true, &after), -EEXIST);
	assert_int_equal(members_promote(&next, 77, &after), 0);
	assert_true(members_is_voter(&after, 77));
	assert_int_equal(after.raft.learners_count, 0);
	assert_int_equal(after.version, 2);
	assert_int_equal(members_promote(&after, 77, &next), -EEXIST);
	assert_int_equal(members_promote(&after, 5, &next), -ENOENT);
}

static void there_is_an_end_to_members(void **state)
{
	(void)state;
	struct members m = three(), next;
	for (uint64_t id = 100; m.count < STORE_MEMBERS_MAX; id++) {
		struct store_member who;
		snprintf(who.name, sizeof(who.name), "m%d", (int)id);
		snprintf(who.address, sizeof(who.address), "h:%d", (int)id);
		assert_int_equal(members_add(&m, id, &who, true, &next), 0);
		m = next;
	}
	assert_int_equal(members_add(&m, 1, &(struct store_member){"z", "h:9"}, true, &next), -ENOSPC);
	copied(&m); /* it still fits */
}

static void the_last_voter_stays(void **state)
{
	(void)state;
	struct members m = three(), next;
	const char *const names[] = {"a", "b"};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(members_remove(&m, id_of(&m, names[i]), &next), 0);
		assert_null(members_named(&next, names[i]));
		m = next;
	}
	assert_int_equal(m.count, 1);
	assert_int_equal(members_remove(&m, id_of(&m, "c"), &next), -EINVAL);
	assert_int_equal(members_remove(&m, 5, &next), -ENOENT);
}

static void who_lost_its_data_keeps_name_and_wish_and_gets_another_id(void **state)
{
	(void)state;
	struct members m = three(), next, again;
	uint64_t old = id_of(&m, "b");
	assert_int_equal(members_replace(&m, old, 500, "", &next), 0);
	assert_null(members_find(&next, old));
	assert_int_equal(next.version, m.version + 1);
	const struct member *b = members_find(&next, 500);
	assert_string_equal(b->who.name, "b");
	assert_string_equal(b->who.address, "h:2");
	assert_int_equal(b->added, old);
	assert_int_equal(b->flags, MEMBER_VOTES);
	assert_int_equal(next.raft.voters_count, 2);
	assert_int_equal(next.raft.learners_count, 1);
	assert_int_equal(members_replace(&next, 500, 501, "h:22", &again), 0);
	assert_string_equal(members_find(&again, 501)->who.address, "h:22");
	assert_int_equal(members_find(&again, 501)->added, old);
}

static void while_two_majorities_are_needed_nothing_is_changed(void **state)
{
	(void)state;
	struct members m = three(), next;
	m.raft.outgoing[0] = m.raft.voters[0];
	m.raft.outgoing_count = 1;
	assert_int_equal(members_add(&m, 77, &(struct store_member){"d", "h:4"}, true, &next), -EBUSY);
	assert_int_equal(members_remove(&m, m.raft.voters[0], &next), -EBUSY);
	assert_int_equal(members_promote(&m, m.raft.voters[0], &next), -EBUSY);
}

static void members_are_called_by_name_or_by_id(void **state)
{
	(void)state;
	struct members m = three();
	char hex[20];
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)id_of(&m, "b"));
	assert_ptr_equal(members_called(&m, "b"), members_called(&m, hex));
	assert_null(members_called(&m, "x"));
	assert_null(members_called(&m, hex + 1));
	assert_null(members_called(&m, "0000000000000001"));
}

static struct raft_status leading(const struct members *m, uint64_t last)
{
	struct raft_status s = {.role = RAFT_LEADER, .log_last = last};
	for (uint32_t i = 0; i < m->count; i++)
		s.members[s.members_count++] = (struct raft_progress){.id = m->table[i].id, .match = last, .recent = true};
	return s;
}

static void a_learner_is_promoted_once_it_has_caught_up_and_only_if_it_is_to_vote(void **state)
{
	(void)state;
	struct members m = three(), next, due;
	assert_int_equal(members_add(&m, 77, &(struct store_member){"d", "h:4"}, true, &next), 0);
	struct raft_status s = leading(&next, 5000);
	struct raft_progress *p = &s.members[3];
	assert_int_equal(p->id, 77);
	p->match = 5000 - RAFT_CAUGHT_UP_ENTRIES - 1;
	assert_false(members_due(&next, &s, &due));
	p->match++;
	assert_true(members_due(&next, &s, &due));
	assert_true(members_is_voter(&due, 77));
	p->recent = false;
	assert_false(members_due(&next, &s, &due));
	p->recent = true;
	p->snapshot = true;
	assert_false(members_due(&next, &s, &due));
	assert_int_equal(members_add(&m, 77, &(struct store_member){"d", "h:4"}, false, &next), 0);
	s = leading(&next, 5000);
	assert_false(members_due(&next, &s, &due));
}

static void a_voter_may_go_only_if_those_that_answer_are_a_majority_without_it(void **state)
{
	(void)state;
	struct members m = three();
	struct raft_status s = leading(&m, 10);
	uint64_t a = id_of(&m, "a"), b = id_of(&m, "b");
	assert_true(members_stand_without(&m, a, &s));
	for (uint32_t i = 0; i < s.members_count; i++)
		s.members[i].recent = s.members[i].id != b;
	assert_true(members_stand_without(&m, b, &s));  /* the dead one */
	assert_false(members_stand_without(&m, a, &s)); /* one of the living */
}

static void the_list_is_by_name_and_the_leader_adds_how_far_each_is(void **state)
{
	(void)state;
	struct members m = three();
	struct raft_status s = leading(&m, 10);
	struct writer w = {0};
	char expected[300];
	members_text(&m, &s, &w);
	snprintf(expected, sizeof(expected), "%016llx a h:1 voter 10\n%016llx b h:2 voter 10\n%016llx c h:3 voter 10\n",
		 (unsigned long long)id_of(&m, "a"), (unsigned long long)id_of(&m, "b"), (unsigned long long)id_of(&m, "c"));
	assert_int_equal(w.size, strlen(expected));
	assert_memory_equal(w.data, expected, w.size);
	writer_clear(&w);
	s.role = RAFT_FOLLOWER;
	members_text(&m, &s, &w);
	assert_null(memmem(w.data, w.size, "voter 10", 8));
	writer_free(&w);
}

static void who_was_alone_without_an_address_may_get_one(void **state)
{
	(void)state;
	struct members m, next;
	members_first(&(struct store_member){"solo", ""}, 1, &m);
	assert_int_equal(members_locate(&m, id_of(&m, "solo"), "h:1", &next), 0);
	assert_string_equal(members_named(&next, "solo")->who.address, "h:1");
	assert_int_equal(members_locate(&next, id_of(&m, "solo"), "h:2", &m), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_configuration_is_the_same_whatever_the_order_of_its_list),
		cmocka_unit_test(a_table_comes_back_as_it_was),
		cmocka_unit_test(malformed_contexts_are_refused),
		cmocka_unit_test(who_is_added_learns_first_and_names_and_addresses_are_given_once),
		cmocka_unit_test(there_is_an_end_to_members),
		cmocka_unit_test(the_last_voter_stays),
		cmocka_unit_test(who_lost_its_data_keeps_name_and_wish_and_gets_another_id),
		cmocka_unit_test(while_two_majorities_are_needed_nothing_is_changed),
		cmocka_unit_test(members_are_called_by_name_or_by_id),
		cmocka_unit_test(a_learner_is_promoted_once_it_has_caught_up_and_only_if_it_is_to_vote),
		cmocka_unit_test(a_voter_may_go_only_if_those_that_answer_are_a_majority_without_it),
		cmocka_unit_test(the_list_is_by_name_and_the_leader_adds_how_far_each_is),
		cmocka_unit_test(who_was_alone_without_an_address_may_get_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
