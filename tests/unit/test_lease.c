#include "tests/unit/test_apply_store.h"

#include "store/txn.h"

#include <inttypes.h>

struct leased {
	struct world w; /* first: setup and teardown of the world */
	struct leases *l;
};

static int lease_setup(void **state)
{
	struct leased *x = calloc(1, sizeof(*x));
	assert_non_null(x);
	world_make(&x->w);
	x->l = leases_new();
	assert_int_equal(apply_share_leases(x->w.a, x->l), 0);
	*state = x;
	return 0;
}

static int lease_teardown(void **state)
{
	struct leased *x = *state;
	leases_free(x->l);
	return teardown(state);
}

static int grant(struct leased *x, uint64_t id, uint32_t ttl_s)
{
	return RUN(&x->w, .type = COMMAND_LEASE_GRANT, .lease = id, .ttl_s = ttl_s);
}

static int renew(struct leased *x, uint64_t id)
{
	return RUN(&x->w, .type = COMMAND_LEASE_KEEPALIVE, .lease = id);
}

static int end_lease(struct leased *x, uint64_t id, uint64_t renewals)
{
	return RUN(&x->w, .type = COMMAND_LEASE_REVOKE, .lease = id, .renewals = renewals);
}

static int put_with(struct leased *x, const char *key, uint64_t lease)
{
	return RUN(&x->w, .type = COMMAND_PUT, .key = text(key), .value = text("v"), .write_flags = lease ? WRITE_LEASED : 0,
		   .lease = lease);
}

/* The keys of a lease, one after another, each with a blank behind it. */
static const char *keys_of(struct leased *x, uint64_t id)
{
	static char out[1024];
	struct writer keys = {0};
	uint32_t ttl_s;
	int64_t remaining_ns;
	size_t size = 0;
	assert_int_equal(leases_look(x->l, id, 0, &ttl_s, &remaining_ns, &keys), 0);
	struct reader in = reader_over(keys.data, keys.size);
	out[0] = '\0';
	while (reader_left(&in) > 0) {
		struct span key = reader_bytes(&in, MVCC_KEY_MAX);
		size += (size_t)snprintf(out + size, sizeof(out) - size, "%.*s ", (int)key.size, (const char *)key.data);
	}
	writer_free(&keys);
	return out;
}

static void a_lease_ends_with_all_its_keys_in_one_revision(void **state)
{
	struct leased *x = *state;
	struct world *w = &x->w;
	assert_int_equal(grant(x, 7, 60), 0);
	assert_int_equal(w->out.result.count, 60);
	assert_int_equal(mvcc_revision(w->m), 1);
	assert_int_equal(put_with(x, "a", 7), 0);
	assert_int_equal(put_with(x, "d/b", 7), 0);
	assert_int_equal(put_with(x, "d/stays", 0), 0);
	assert_int_equal(put_with(x, "e/c", 7), 0);
	assert_string_equal(keys_of(x, 7), "a d/b e/c ");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(end_lease(x, 7, 0), 0);
	assert_int_equal(w->out.result.count, 3);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_false(is_there(w, "a") || is_there(w, "d/b") || is_there(w, "e/c"));
	assert_true(is_there(w, "d/stays") && is_there(w, "e"));
	assert_int_equal(end_lease(x, 7, 0), -ENOENT);
	assert_int_equal(renew(x, 7), -ENOENT);
	assert_int_equal(put_with(x, "a", 7), -ENOENT);
	assert_false(is_there(w, "a"));
}

static void what_changes_a_key_without_the_lease_takes_it_out(void **state)
{
	struct leased *x = *state;
	struct world *w = &x->w;
	grant(x, 7, 60);
	grant(x, 8, 60);
	static const char *const keys[] = {"again", "deleted", "moved", "other", "prefix/x", "put", "stays", "swapped", "written"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(put_with(x, keys[i], 7), 0);
	put(w, "plain", "v");
	put(w, "over", "v");
	put_with(x, "over", 8);
	put_with(x, "again", 7);
	RUN(w, .type = COMMAND_UNLINK, .key = text("deleted"));
	rename_flags(w, "moved", "over", 0);
	put_with(x, "other", 8);
	RUN(w, .type = COMMAND_DELETE, .key = text("prefix/"), .prefix = true);
	put(w, "put", "v");
	RUN(w, .type = COMMAND_SETATTR, .key = text("stays"), .set_mask = SET_MODE, .mode = 0600);
	rename_flags(w, "swapped", "plain", RENAME_EXCHANGE);
	write_at(w, "written", 0, 0, "x");
	assert_string_equal(keys_of(x, 7), "again stays ");
	assert_string_equal(keys_of(x, 8), "other ");
	/* A slot that became free is taken again. */
	put_with(x, "new", 7);
	assert_string_equal(keys_of(x, 7), "again new stays ");
	assert_int_equal(end_lease(x, 7, 0), 0);
	assert_false(is_there(w, "again") || is_there(w, "stays") || is_there(w, "new"));
	assert_true(is_there(w, "put") && is_there(w, "over") && is_there(w, "plain") && is_there(w, "swapped") && is_there(w, "written") &&
		    is_there(w, "other"));
}

static void keys_below_a_renamed_directory_are_taken_out(void **state)
{
	struct leased *x = *state;
	grant(x, 7, 60);
	put_with(x, "d/k", 7);
	put_with(x, "d/sub/l", 7);
	rename_flags(&x->w, "d", "e", 0);
	assert_string_equal(keys_of(x, 7), "");
	assert_int_equal(end_lease(x, 7, 0), 0);
	assert_true(is_there(&x->w, "e/k") && is_there(&x->w, "e/sub/l"));
}

static void a_transaction_attaches_and_detaches_too(void **state)
{
	struct leased *x = *state;
	struct writer bytes = {0};
	struct txn_op ops[] = {{.type = TXN_PUT, .key = text("lock"), .value = text("v"), .lease = 7},
			       {.type = TXN_PUT, .key = text("free"), .value = text("v")},
			       {.type = TXN_DELETE, .key = text("gone")}};
	struct txn t = {.ops = {NULL, ops}, .ops_count = {0, 3}};
	txn_encode(&bytes, &t);
	assert_int_equal(RUN(&x->w, .type = COMMAND_TXN, .value = {bytes.data, bytes.size}), -ENOENT);
	assert_false(is_there(&x->w, "lock"));
	grant(x, 7, 60);
	put_with(x, "free", 7);
	put_with(x, "gone", 7);
	assert_int_equal(RUN(&x->w, .type = COMMAND_TXN, .value = {bytes.data, bytes.size}), 0);
	writer_free(&x->w.out.result.reply);
	assert_string_equal(keys_of(x, 7), "lock ");
	writer_free(&bytes);
}

static void nonsense_is_refused(void **state)
{
	struct leased *x = *state;
	assert_int_equal(grant(x, 7, 0), -EINVAL);
	assert_int_equal(grant(x, 7, LEASE_TTL_S_MAX + 1), -EINVAL);
	assert_int_equal(grant(x, 7, LEASE_TTL_S_MAX), 0);
	assert_int_equal(grant(x, 7, 1), -EEXIST);
	assert_int_equal(renew(x, 8), -ENOENT);
}

static void leases_and_what_is_attached_survive_a_restart(void **state)
{
	struct leased *x = *state;
	grant(x, 7, 60);
	grant(x, UINT64_MAX, 1);
	grant(x, 9, 5);
	for (int i = 0; i < 3; i++)
		renew(x, 7);
	put_with(x, "a", 7);
	put_with(x, "b", UINT64_MAX);
	put_with(x, "c", 7);
	put(&x->w, "a", "out");
	end_lease(x, 9, 0);
	assert_int_equal(mvcc_flush(x->w.m), 0);
	put_with(x, "d", 7);
	world_restart(&x->w);
	assert_int_equal(apply_share_leases(x->w.a, x->l), 0);
	struct writer ids = {0};
	leases_list(x->l, &ids);
	assert_int_equal(ids.size, 16);
	writer_free(&ids);
	assert_string_equal(keys_of(x, UINT64_MAX), "b ");
	assert_int_equal(strlen(keys_of(x, 7)), 4);
	assert_int_equal(end_lease(x, 7, 3), -ESTALE);
	assert_int_equal(end_lease(x, 7, 4), 0);
	assert_int_equal(x->w.out.result.count, 2);
	assert_true(is_there(&x->w, "a"));
}

#define S(n) ((int64_t)((n)*SECOND))

static uint32_t tick(struct leased *x, double at, uint64_t term, bool leads, struct lease_due *due)
{
	return leases_tick(x->l, S(at), term, leads, due, 8);
}

static void a_lease_runs_out_after_its_time_and_not_before(void **state)
{
	struct leased *x = *state;
	struct lease_due due[8];
	assert_int_equal(tick(x, 0, 1, true, due), 0);
	grant(x, 7, 10);
	grant(x, 8, 3);
	assert_int_equal(tick(x, 100, 1, true, due), 0);
	assert_int_equal(tick(x, 102.9, 1, true, due), 0);
	assert_int_equal(tick(x, 103, 1, true, due), 1);
	assert_int_equal(due[0].id, 8);
	assert_int_equal(due[0].renewals, 1);
	/* Proposed once, and again only after a while. */
	assert_int_equal(tick(x, 103.1, 1, true, due), 0);
	assert_int_equal(tick(x, 105, 1, true, due), 1);
	assert_int_equal(end_lease(x, 8, due[0].renewals), 0);
	renew(x, 7);
	assert_int_equal(tick(x, 109, 1, true, due), 0);
	assert_int_equal(tick(x, 118.9, 1, true, due), 0);
	assert_int_equal(tick(x, 119, 1, true, due), 1);
	/* Renewed while its end was on its way: it goes on. */
	renew(x, 7);
	assert_int_equal(end_lease(x, 7, due[0].renewals), -ESTALE);
	assert_int_equal(tick(x, 120, 1, true, due), 0);
	assert_int_equal(tick(x, 130, 1, true, due), 1);
	assert_int_equal(end_lease(x, 7, due[0].renewals), 0);
}

static void another_leader_gives_every_lease_its_whole_time_again(void **state)
{
	struct leased *x = *state;
	struct lease_due due[8];
	grant(x, 7, 10);
	assert_int_equal(tick(x, 100, 1, false, due), 0);
	/* Who does not lead lets everything be. */
	assert_int_equal(tick(x, 109, 1, false, due), 0);
	assert_int_equal(tick(x, 111, 1, false, due), 0);
	assert_int_equal(tick(x, 112, 2, true, due), 0);
	assert_int_equal(tick(x, 121.9, 2, true, due), 0);
	assert_int_equal(tick(x, 122, 3, true, due), 0);
	assert_int_equal(tick(x, 131.9, 3, true, due), 0);
	assert_int_equal(tick(x, 132, 3, true, due), 1);
}

static void what_remains_is_told(void **state)
{
	struct leased *x = *state;
	struct lease_due due[8];
	uint32_t ttl_s = 0;
	int64_t remaining_ns = 0;
	assert_int_equal(leases_look(x->l, 7, 0, &ttl_s, &remaining_ns, NULL), -ENOENT);
	grant(x, 7, 10);
	assert_int_equal(leases_look(x->l, 7, S(50), &ttl_s, &remaining_ns, NULL), 0);
	assert_int_equal(ttl_s, 10);
	assert_true(remaining_ns == S(10));
	tick(x, 100, 1, false, due);
	assert_int_equal(leases_look(x->l, 7, S(103), &ttl_s, &remaining_ns, NULL), 0);
	assert_true(remaining_ns == S(7));
	assert_int_equal(leases_look(x->l, 7, S(113), &ttl_s, &remaining_ns, NULL), 0);
	assert_true(remaining_ns == 0);
}

static void thousands_of_leases_and_keys_come_and_go(void **state)
{
	struct leased *x = *state;
	struct writer ids = {0};
	char key[32];
	for (uint64_t i = 1; i <= 3000; i++) {
		assert_int_equal(grant(x, i * 0x9e3779b97f4a7c15u, 60), 0);
		snprintf(key, sizeof(key), "k%" PRIu64, i);
		assert_int_equal(put_with(x, key, i * 0x9e3779b97f4a7c15u), 0);
	}
	leases_list(x->l, &ids);
	assert_int_equal(ids.size, 8 * 3000);
	struct reader in = reader_over(ids.data, ids.size);
	for (uint64_t last = 0, id; reader_left(&in) > 0; last = id) {
		id = reader_u64(&in);
		assert_true(id > last);
		assert_int_equal(end_lease(x, id, 1), 0);
		assert_int_equal(x->w.out.result.count, 1);
	}
	writer_free(&ids);
	uint64_t count;
	assert_int_equal(mvcc_count(x->w.m, text("k"), text("l"), 0, &count), 0);
	assert_int_equal(count, 0);
}

static void a_lease_with_thousands_of_keys_ends_in_one_revision(void **state)
{
	struct leased *x = *state;
	char(*keys)[32] = calloc(TXN_OPS_MAX, sizeof(*keys));
	struct txn_op *ops = calloc(TXN_OPS_MAX, sizeof(*ops));
	assert_non_null(keys);
	assert_non_null(ops);
	grant(x, 7, 60);
	for (int round = 0; round < 5; round++) {
		struct writer bytes = {0};
		struct txn t = {.ops = {NULL, ops}, .ops_count = {0, TXN_OPS_MAX}};
		for (uint32_t i = 0; i < TXN_OPS_MAX; i++) {
			snprintf(keys[i], sizeof(keys[i]), "d%d/k%u", round, i);
			ops[i] = (struct txn_op){.type = TXN_PUT, .key = text(keys[i]), .value = text("v"), .lease = 7};
		}
		txn_encode(&bytes, &t);
		assert_int_equal(RUN(&x->w, .type = COMMAND_TXN, .value = {bytes.data, bytes.size}), 0);
		writer_free(&x->w.out.result.reply);
		writer_free(&bytes);
	}
	free(keys);
	free(ops);
	uint64_t before = mvcc_revision(x->w.m);
	assert_int_equal(end_lease(x, 7, 0), 0);
	assert_int_equal(x->w.out.result.count, 5 * TXN_OPS_MAX);
	assert_int_equal(mvcc_revision(x->w.m), before + 1);
	assert_false(is_there(&x->w, "d3/k77"));
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, lease_setup, lease_teardown)
	const struct CMUnitTest tests[] = {
		STORY(a_lease_ends_with_all_its_keys_in_one_revision),
		STORY(what_changes_a_key_without_the_lease_takes_it_out),
		STORY(keys_below_a_renamed_directory_are_taken_out),
		STORY(a_transaction_attaches_and_detaches_too),
		STORY(nonsense_is_refused),
		STORY(leases_and_what_is_attached_survive_a_restart),
		STORY(a_lease_runs_out_after_its_time_and_not_before),
		STORY(another_leader_gives_every_lease_its_whole_time_again),
		STORY(what_remains_is_told),
		STORY(a_lease_with_thousands_of_keys_ends_in_one_revision),
		STORY(thousands_of_leases_and_keys_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
