/* Configurations as replicated state: what apply keeps of them, and what it forgets of members that are gone. */
#include "tests/unit/test_apply_store.h"

#include "raft/raft.h"

static void apply_members_of(struct world *w, const uint64_t *voters, uint32_t count)
{
	struct raft_members m = {.voters_count = count, .context = "table", .context_size = 5};
	struct writer bytes = {0};
	memcpy(m.voters, voters, count * sizeof(*voters));
	raft_members_encode(&bytes, &m);
	assert_true(apply_members(w->a, ++w->index, 1, (struct span){bytes.data, bytes.size}));
	assert_int_equal(mvcc_applied(w->m), w->index);
	writer_free(&bytes);
}

/* A put of this origin; was it applied? */
static bool put_as(struct world *w, uint64_t origin, uint64_t sequence, const char *value)
{
	struct writer bytes = {0};
	struct command c = {.type = COMMAND_PUT, .key = text("f"), .value = text(value), .truncate_to = COMMAND_NO_TRUNCATE};
	c.id = (struct command_id){origin, 1, sequence, 1};
	command_encode(&bytes, &c);
	uint64_t before = mvcc_revision(w->m);
	apply_bytes(w, (struct span){bytes.data, bytes.size});
	writer_free(&bytes);
	assert_int_equal(mvcc_applied(w->m), w->index);
	return mvcc_revision(w->m) > before;
}

static bool has_meta(struct world *w, const char *name)
{
	void *value = NULL;
	size_t size = 0;
	int rc = mvcc_get_meta(w->m, text(name), &value, &size);
	free(value);
	return rc == 0;
}

static void the_configuration_is_kept_with_the_applied_index(void **state)
{
	struct world *w = *state;
	const uint64_t ids[] = {1, 2, 3};
	struct raft_members got;
	void *value;
	size_t size;
	assert_false(has_meta(w, APPLY_MEMBERS));
	apply_members_of(w, ids, 3);
	assert_int_equal(mvcc_revision(w->m), 1); /* it is no change of keys */
	world_restart(w);
	assert_int_equal(mvcc_get_meta(w->m, text(APPLY_MEMBERS), &value, &size), 0);
	assert_int_equal(raft_members_decode((struct span){value, size}, &got), 0);
	assert_int_equal(got.voters_count, 3);
	assert_int_equal(got.context_size, 5);
	free(value);
}

static void what_a_removed_member_did_is_forgotten_and_late_copies_of_it_do_nothing(void **state)
{
	struct world *w = *state;
	const uint64_t ids[] = {1, 2};
	apply_members_of(w, ids, 2);
	assert_true(put_as(w, 1, 1, "one"));
	assert_true(put_as(w, 2, 1, "two"));
	assert_true(has_meta(w, "session/2"));
	apply_members_of(w, ids, 1);
	assert_false(has_meta(w, "session/2"));
	assert_true(has_meta(w, "session/1"));
	assert_false(put_as(w, 2, 1, "again"));
	assert_false(w->out.fresh);
	assert_false(put_as(w, 2, 2, "late"));
	assert_false(has_meta(w, "session/2"));
	world_restart(w);
	assert_false(put_as(w, 2, 1, "after a restart"));
	assert_false(put_as(w, 1, 1, "a copy"));
	assert_true(put_as(w, 1, 2, "goes on"));
}

/* Which a node asks about its own operations when a snapshot has come, and others do not. */
static void a_question_about_an_origin_leaves_nothing_that_another_node_would_not_have(void **state)
{
	struct world *w = *state;
	const uint64_t ids[] = {1, 2};
	struct mvcc_hash asked, other;
	apply_members_of(w, ids, 2);
	assert_false(apply_has_seen(w->a, 7, 1, 1));
	apply_members_of(w, ids, 1);
	mvcc_hash_now(w->m, &asked);
	teardown(state);
	setup(state);
	w = *state;
	apply_members_of(w, ids, 2);
	apply_members_of(w, ids, 1);
	mvcc_hash_now(w->m, &other);
	assert_int_equal(asked.hash, other.hash);
}

/* Two go at once when a joint configuration is left. A node that was restarted has read them in another order than others came to know them. */
static uint64_t hash_after_two_went(void **state, bool restarts)
{
	struct world *w = *state;
	const uint64_t ids[] = {1, 2, 3};
	struct mvcc_hash now;
	apply_members_of(w, ids, 3);
	assert_true(put_as(w, 3, 1, "three"));
	assert_true(put_as(w, 2, 1, "two"));
	if (restarts)
		world_restart(w);
	apply_members_of(w, ids, 1);
	mvcc_hash_now(w->m, &now);
	return now.hash;
}

static void sessions_that_go_together_go_in_one_order_on_all_nodes(void **state)
{
	uint64_t hash = hash_after_two_went(state, false);
	teardown(state);
	setup(state);
	assert_int_equal(hash_after_two_went(state, true), hash);
}

/* It would apply again what the sessions that could not be read know of. */
static void a_store_whose_sessions_cannot_be_read_applies_nothing(void **state)
{
	struct world *w = *state;
	const uint64_t ids[] = {1};
	apply_members_of(w, ids, 1);
	assert_true(put_as(w, 1, 1, "one"));
	mvcc_begin(w->m, ++w->index, 1);
	mvcc_put_meta(w->m, text("session/1"), text("rubbish"));
	mvcc_end(w->m, 1);
	uint64_t applied = w->index;
	uint64_t revision = mvcc_revision(w->m);
	assert_int_equal(apply_reload(w->a), -EBADMSG);
	assert_int_equal(put(w, "f", "again"), -EIO);
	assert_true(w->out.stopped);
	assert_int_equal(mvcc_revision(w->m), revision);
	assert_int_equal(mvcc_applied(w->m), applied);
}

static void a_store_without_a_configuration_applies_whatever_comes(void **state)
{
	struct world *w = *state;
	assert_true(put_as(w, 9, 1, "x"));
}

static void a_configuration_that_is_none_changes_nothing(void **state)
{
	struct world *w = *state;
	assert_true(apply_members(w->a, ++w->index, 1, text("rubbish")));
	assert_int_equal(mvcc_applied(w->m), w->index);
	assert_false(has_meta(w, APPLY_MEMBERS));
	assert_true(put_as(w, 9, 1, "x"));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORY(the_configuration_is_kept_with_the_applied_index),
		STORY(what_a_removed_member_did_is_forgotten_and_late_copies_of_it_do_nothing),
		STORY(a_question_about_an_origin_leaves_nothing_that_another_node_would_not_have),
		STORY(sessions_that_go_together_go_in_one_order_on_all_nodes),
		STORY(a_store_whose_sessions_cannot_be_read_applies_nothing),
		STORY(a_store_without_a_configuration_applies_whatever_comes),
		STORY(a_configuration_that_is_none_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
