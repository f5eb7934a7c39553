#include "tests/unit/test_apply_store.h"

#include "store/txn.h"

#include <stdint.h>

#define COMPARE(target_, key_, relation_, number_)                                                                                         \
	{                                                                                                                                  \
		.target = target_, .relation = relation_, .key = text(key_), .number = number_                                             \
	}
#define VALUE(key_, relation_, value_)                                                                                                     \
	{                                                                                                                                  \
		.target = TXN_VALUE, .relation = relation_, .key = text(key_), .value = text(value_)                                       \
	}
#define PUT(key_, value_)                                                                                                                  \
	{                                                                                                                                  \
		.type = TXN_PUT, .key = text(key_), .value = text(value_)                                                                  \
	}
#define DEL(key_)                                                                                                                          \
	{                                                                                                                                  \
		.type = TXN_DELETE, .key = text(key_)                                                                                      \
	}
#define DEL_PREFIX(key_)                                                                                                                   \
	{                                                                                                                                  \
		.type = TXN_DELETE, .prefix = true, .key = text(key_)                                                                      \
	}
#define GET(key_)                                                                                                                          \
	{                                                                                                                                  \
		.type = TXN_GET, .key = text(key_)                                                                                         \
	}

#define COMPARES(...) (struct txn_compare[]){__VA_ARGS__}, sizeof((struct txn_compare[]){__VA_ARGS__}) / sizeof(struct txn_compare)
#define OPS(...) (struct txn_op[]){__VA_ARGS__}, sizeof((struct txn_op[]){__VA_ARGS__}) / sizeof(struct txn_op)
#define NOTHING NULL, 0

static int apply_it(struct world *w, const struct txn *t)
{
	struct writer bytes = {0};
	writer_free(&w->out.result.reply);
	txn_encode(&bytes, t);
	int err = RUN(w, .type = COMMAND_TXN, .value = {bytes.data, bytes.size});
	writer_free(&bytes);
	return err;
}

static int txn(struct world *w, struct txn_compare *compares, size_t compares_count, struct txn_op *then, size_t then_count,
	       struct txn_op *otherwise, size_t otherwise_count)
{
	struct txn t = {.compares = compares, .compares_count = (uint32_t)compares_count};
	t.ops[TXN_THEN] = then;
	t.ops_count[TXN_THEN] = (uint32_t)then_count;
	t.ops[TXN_ELSE] = otherwise;
	t.ops_count[TXN_ELSE] = (uint32_t)otherwise_count;
	return apply_it(w, &t);
}

/* The n-th result of the last transaction. */
static struct txn_result result(const struct world *w, int n)
{
	struct reader in = reader_over(w->out.result.reply.data, w->out.result.reply.size);
	struct txn_result r;
	do
		txn_result_decode(&in, &r);
	while (n-- > 0);
	assert_false(in.failed);
	return r;
}

static void assert_got(struct txn_result r, const char *value)
{
	assert_true(r.found);
	assert_int_equal(r.value.size, strlen(value));
	assert_memory_equal(r.value.size ? r.value.data : "", value, r.value.size);
}

static int txn_teardown(void **state)
{
	struct world *w = *state;
	writer_free(&w->out.result.reply);
	return teardown(state);
}

static void all_comparisons_must_hold_or_the_other_branch_is_taken(void **state)
{
	struct world *w = *state;
	put(w, "a", "1");
	put(w, "b", "2");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(txn(w, COMPARES(VALUE("a", TXN_EQUAL, "1"), VALUE("b", TXN_EQUAL, "2")), OPS(PUT("c", "then"), PUT("a", "3")),
			     OPS(PUT("c", "else"))),
			 0);
	assert_int_equal(w->out.result.count, 1);
	assert_int_equal(w->out.result.revision, before + 1);
	assert_content(w, "c", "then");
	assert_content(w, "a", "3");
	assert_int_equal(
		txn(w, COMPARES(VALUE("a", TXN_EQUAL, "3"), VALUE("b", TXN_EQUAL, "x")), OPS(PUT("c", "no")), OPS(PUT("d", "else"))), 0);
	assert_int_equal(w->out.result.count, 0);
	assert_content(w, "c", "then");
	assert_content(w, "d", "else");
	assert_int_equal(mvcc_revision(w->m), before + 2);
}

static bool decided(struct world *w, struct txn_compare c)
{
	struct txn t = {.compares = &c, .compares_count = 1};
	assert_int_equal(apply_it(w, &t), 0);
	return w->out.result.count == 1;
}

static void versions_and_revisions_are_compared_as_numbers(void **state)
{
	struct world *w = *state;
	put(w, "k", "1");
	uint64_t created = mvcc_revision(w->m);
	put(w, "other", "x");
	put(w, "k", "2");
	uint64_t modified = mvcc_revision(w->m);
	assert_true(decided(w, (struct txn_compare)COMPARE(TXN_VERSION, "k", TXN_EQUAL, 2)));
	assert_false(decided(w, (struct txn_compare)COMPARE(TXN_VERSION, "k", TXN_NOT_EQUAL, 2)));
	assert_true(decided(w, (struct txn_compare)COMPARE(TXN_VERSION, "k", TXN_GREATER, 1)));
	assert_false(decided(w, (struct txn_compare)COMPARE(TXN_VERSION, "k", TXN_GREATER, 2)));
	assert_true(decided(w, (struct txn_compare)COMPARE(TXN_VERSION, "k", TXN_LESS, 10)));
	assert_true(decided(w, (struct txn_compare)COMPARE(TXN_CREATE, "k", TXN_EQUAL, created)));
	assert_true(decided(w, (struct txn_compare)COMPARE(TXN_MOD, "k", TXN_EQUAL, modified)));
	assert_false(decided(w, (struct txn_compare)COMPARE(TXN_MOD, "k", TXN_LESS, modified)));
	assert_true(decided(w, (struct txn_compare)COMPARE(TXN_VERSION, "nosuch", TXN_EQUAL, 0)));
	assert_true(decided(w, (struct txn_compare)COMPARE(TXN_CREATE, "nosuch", TXN_EQUAL, 0)));
	assert_false(decided(w, (struct txn_compare)COMPARE(TXN_MOD, "nosuch", TXN_GREATER, 0)));
	assert_int_equal(mvcc_revision(w->m), modified);
}

static void values_are_compared_byte_by_byte(void **state)
{
	struct world *w = *state;
	char *big = malloc(100001);
	assert_non_null(big);
	memset(big, 'b', 100000);
	big[100000] = '\0';
	put(w, "k", "abc");
	put(w, "big", big);
	make_dir(w, "d");
	assert_true(decided(w, (struct txn_compare)VALUE("k", TXN_LESS, "abd")));
	assert_true(decided(w, (struct txn_compare)VALUE("k", TXN_GREATER, "ab")));
	assert_true(decided(w, (struct txn_compare)VALUE("k", TXN_LESS, "abcd")));
	assert_true(decided(w, (struct txn_compare)VALUE("k", TXN_NOT_EQUAL, "abcd")));
	assert_true(decided(w, (struct txn_compare)VALUE("k", TXN_GREATER, "")));
	assert_true(decided(w, (struct txn_compare)VALUE("big", TXN_EQUAL, big)));
	big[99999] = 'a';
	assert_true(decided(w, (struct txn_compare)VALUE("big", TXN_GREATER, big)));
	assert_true(decided(w, (struct txn_compare)VALUE("big", TXN_GREATER, "bb")));
	/* What has no value holds no comparison, not even "is different". */
	assert_false(decided(w, (struct txn_compare)VALUE("nosuch", TXN_NOT_EQUAL, "x")));
	assert_false(decided(w, (struct txn_compare)VALUE("d", TXN_NOT_EQUAL, "x")));
	free(big);
}

static void a_get_sees_what_the_operations_before_it_did(void **state)
{
	struct world *w = *state;
	put(w, "k", "old");
	put(w, "gone", "x");
	put(w, "p/a", "x");
	put(w, "p/b", "x");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(txn(w, NOTHING,
			     OPS(GET("k"), PUT("k", "new"), GET("k"), PUT("made/deep", "m"), GET("made/deep"), DEL("gone"), GET("gone"),
				 DEL_PREFIX("p/"), GET("p/b"), GET("nosuch"), DEL("nosuch"), GET("made")),
			     NOTHING),
			 0);
	assert_got(result(w, 0), "old");
	assert_int_equal(result(w, 0).version, 1);
	assert_true(result(w, 0).mod_revision < before);
	assert_int_equal(result(w, 1).type, TXN_PUT);
	assert_got(result(w, 2), "new");
	assert_int_equal(result(w, 2).version, 2);
	assert_int_equal(result(w, 2).mod_revision, before + 1);
	assert_int_equal(result(w, 2).create_revision, result(w, 0).create_revision);
	assert_got(result(w, 4), "m");
	assert_int_equal(result(w, 4).create_revision, before + 1);
	assert_int_equal(result(w, 4).version, 1);
	assert_int_equal(result(w, 5).deleted, 1);
	assert_false(result(w, 6).found);
	assert_int_equal(result(w, 7).deleted, 2);
	assert_false(result(w, 8).found);
	assert_false(result(w, 9).found);
	assert_int_equal(result(w, 10).deleted, 0);
	assert_false(result(w, 11).found);
	struct record k = stat_of(w, "k");
	assert_int_equal(k.modified.main, result(w, 2).mod_revision);
	assert_int_equal(k.version, result(w, 2).version);
	assert_int_equal(k.mtime_ns, result(w, 2).mtime_ns);
	assert_int_equal(mvcc_revision(w->m), before + 1);
}

static void one_operation_that_cannot_be_done_undoes_them_all(void **state)
{
	struct world *w = *state;
	put(w, "f", "x");
	put(w, "d/x", "x");
	make_dir(w, "empty");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("a", "1"), PUT("f/below", "2")), NOTHING), -ENOTDIR);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("a", "1"), PUT("d", "2")), NOTHING), -EISDIR);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("a", "1"), DEL("d")), NOTHING), -ENOTEMPTY);
	assert_int_equal(txn(w, NOTHING, OPS(DEL("d/x"), DEL("d")), NOTHING), -ENOTEMPTY);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("empty/x", ""), DEL("empty")), NOTHING), -ENOTEMPTY);
	assert_int_equal(txn(w, NOTHING, OPS(DEL("empty"), PUT("empty/x", "")), NOTHING), -EINVAL);
	assert_int_equal(txn(w, NOTHING, OPS(DEL("f"), PUT("f/x/y", "")), NOTHING), -EINVAL);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("new/x", ""), DEL("new")), NOTHING), -ENOTEMPTY);
	assert_int_equal(mvcc_revision(w->m), before);
	assert_false(is_there(w, "a"));
	assert_int_equal(w->out.result.reply.size, 0);
	assert_int_equal(txn(w, NOTHING, OPS(DEL("empty"), DEL("f"), DEL_PREFIX("d")), NOTHING), 0);
	assert_false(is_there(w, "empty") || is_there(w, "f") || is_there(w, "d") || is_there(w, "d/x"));
	assert_int_equal(stat_of(w, "").nlink, 2);
}

static void a_key_is_written_at_most_once(void **state)
{
	struct world *w = *state;
	assert_int_equal(txn(w, NOTHING, OPS(PUT("k", "1"), PUT("l", "1"), PUT("k", "2")), NOTHING), -EINVAL);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("k", "1"), GET("k"), DEL("k")), NOTHING), -EINVAL);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("a/b", "1"), PUT("a.", "1"), DEL_PREFIX("a/")), NOTHING), -EINVAL);
	assert_int_equal(txn(w, NOTHING, OPS(DEL_PREFIX("a"), DEL_PREFIX("ab")), NOTHING), -EINVAL);
	/* The branch that is not taken counts too. */
	assert_int_equal(txn(w, NOTHING, OPS(PUT("k", "1")), OPS(PUT("k", "1"), PUT("k", "1"))), -EINVAL);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("k", "1"), DEL_PREFIX("k/"), PUT("kk", "2"), GET("k"), GET("k")), OPS(PUT("k", "3"))), 0);
	assert_content(w, "k", "1");
}

static void four_thousand_operations_are_one_revision_and_more_are_refused(void **state)
{
	struct world *w = *state;
	struct txn t = {.ops_count = {0, TXN_OPS_MAX}};
	char(*keys)[32] = calloc(TXN_OPS_MAX + 1, sizeof(*keys));
	struct txn_op *ops = calloc(TXN_OPS_MAX + 1, sizeof(*ops));
	assert_non_null(keys);
	assert_non_null(ops);
	for (uint32_t i = 0; i <= TXN_OPS_MAX; i++) {
		snprintf(keys[i], sizeof(keys[i]), "many/%u/k%u", i % 7, i);
		ops[i] = (struct txn_op)PUT(keys[i], keys[i]);
	}
	t.ops[TXN_THEN] = ops;
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(apply_it(w, &t), 0);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_content(w, keys[0], keys[0]);
	assert_content(w, keys[TXN_OPS_MAX - 1], keys[TXN_OPS_MAX - 1]);
	uint64_t count;
	assert_int_equal(mvcc_count(w->m, text("many/"), text("many0"), 0, &count), 0);
	assert_int_equal(count, TXN_OPS_MAX + 7);
	t.ops_count[TXN_THEN] = TXN_OPS_MAX + 1;
	assert_int_equal(apply_it(w, &t), -E2BIG);
	free(keys);
	free(ops);
}

static void results_that_are_too_large_are_refused_and_nothing_is_done(void **state)
{
	struct world *w = *state;
	char *half = malloc(TXN_RESULTS_MAX / 2 + 1);
	assert_non_null(half);
	memset(half, 'h', TXN_RESULTS_MAX / 2);
	half[TXN_RESULTS_MAX / 2] = '\0';
	put(w, "half", half);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("k", "1"), GET("half")), NOTHING), 0);
	assert_got(result(w, 1), half);
	assert_int_equal(txn(w, NOTHING, OPS(PUT("k", "2"), GET("half"), GET("half")), NOTHING), -EMSGSIZE);
	assert_content(w, "k", "1");
	free(half);
}

static void a_transaction_that_only_looks_makes_no_revision(void **state)
{
	struct world *w = *state;
	put(w, "k", "1");
	RUN(w, .type = COMMAND_SYMLINK, .key = text("l"), .key2 = text("there"));
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(txn(w, COMPARES(VALUE("l", TXN_EQUAL, "there")), OPS(GET("k"), GET("l"), DEL("nosuch")), NOTHING), 0);
	assert_got(result(w, 0), "1");
	assert_got(result(w, 1), "there");
	assert_int_equal(w->out.result.revision, before);
	assert_int_equal(mvcc_revision(w->m), before);
}

static void a_transaction_comes_back_as_it_was_and_no_cut_of_it_does(void **state)
{
	(void)state;
	struct txn_compare compares[] = {COMPARE(TXN_MOD, "a", TXN_LESS, 1u << 20), VALUE("b", TXN_NOT_EQUAL, "v")};
	struct txn_op then[] = {{.type = TXN_PUT, .key = text("k"), .value = text("v"), .lease = 77}, DEL_PREFIX("d/"), DEL("x"), GET("k")};
	struct txn_op otherwise[] = {GET("k")};
	struct txn t = {.compares = compares, .compares_count = 2, .ops = {otherwise, then}, .ops_count = {1, 4}};
	struct txn got;
	struct writer w = {0};
	txn_encode(&w, &t);
	assert_int_equal(txn_decode((struct span){w.data, w.size}, &got), 0);
	assert_int_equal(got.compares_count, 2);
	assert_int_equal(got.compares[0].number, 1u << 20);
	assert_int_equal(got.compares[1].relation, TXN_NOT_EQUAL);
	assert_memory_equal(got.compares[1].value.data, "v", 1);
	assert_int_equal(got.ops_count[TXN_THEN], 4);
	assert_int_equal(got.ops[TXN_THEN][0].lease, 77);
	assert_true(got.ops[TXN_THEN][1].prefix);
	assert_int_equal(got.ops_count[TXN_ELSE], 1);
	txn_done(&got);
	for (size_t size = 0; size < w.size; size++)
		assert_int_equal(txn_decode((struct span){w.data, size}, &got), -EBADMSG);
	writer_u8(&w, 0);
	assert_int_equal(txn_decode((struct span){w.data, w.size}, &got), -EBADMSG);
	writer_free(&w);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, setup, txn_teardown)
	const struct CMUnitTest tests[] = {
		STORY(all_comparisons_must_hold_or_the_other_branch_is_taken),
		STORY(versions_and_revisions_are_compared_as_numbers),
		STORY(values_are_compared_byte_by_byte),
		STORY(a_get_sees_what_the_operations_before_it_did),
		STORY(one_operation_that_cannot_be_done_undoes_them_all),
		STORY(a_key_is_written_at_most_once),
		STORY(four_thousand_operations_are_one_revision_and_more_are_refused),
		STORY(results_that_are_too_large_are_refused_and_nothing_is_done),
		STORY(a_transaction_that_only_looks_makes_no_revision),
		STORY(a_transaction_comes_back_as_it_was_and_no_cut_of_it_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
