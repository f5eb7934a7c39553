#include "cmd/txn_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static struct txn_text parsed;
static char why[128];

static uint32_t parse(const char *text)
{
	txn_text_done(&parsed);
	return txn_text_parse((struct span){text, strlen(text)}, &parsed, why, sizeof(why));
}

static void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.size, strlen(text));
	assert_memory_equal(s.size ? s.data : "", text, s.size);
}

static int done(void **state)
{
	(void)state;
	txn_text_done(&parsed);
	return 0;
}

static void the_example_of_etcdctl_is_understood(void **state)
{
	(void)state;
	assert_int_equal(parse("mod(\"key1\") > \"0\"\n"
			       "\n"
			       "put key1 \"overwrote-key1\"\n"
			       "\n"
			       "put key1 \"created-key1\"\n"
			       "put key2 \"some extra key\"\n"
			       "\n"),
			 0);
	const struct txn *t = &parsed.txn;
	assert_int_equal(t->compares_count, 1);
	assert_int_equal(t->compares[0].target, TXN_MOD);
	assert_int_equal(t->compares[0].relation, TXN_GREATER);
	assert_int_equal(t->compares[0].number, 0);
	assert_span(t->compares[0].key, "key1");
	assert_int_equal(t->ops_count[TXN_THEN], 1);
	assert_span(t->ops[TXN_THEN][0].value, "overwrote-key1");
	assert_int_equal(t->ops_count[TXN_ELSE], 2);
	assert_span(t->ops[TXN_ELSE][1].key, "key2");
	assert_span(t->ops[TXN_ELSE][1].value, "some extra key");
}

static void every_target_and_relation_has_its_words(void **state)
{
	(void)state;
	assert_int_equal(
		parse("version(k) = 1\nver(\"k\")!=\"2\"\ncreate( 'k' ) < 3\nc(k)>4\nval(k) = a\nvalue(\"a b\") = \"x \\\"y\\\"\\n\\x41\""),
		0);
	const struct txn_compare *c = parsed.txn.compares;
	assert_int_equal(parsed.txn.compares_count, 6);
	assert_true(c[0].target == TXN_VERSION && c[0].relation == TXN_EQUAL && c[0].number == 1);
	assert_true(c[1].target == TXN_VERSION && c[1].relation == TXN_NOT_EQUAL && c[1].number == 2);
	assert_true(c[2].target == TXN_CREATE && c[2].relation == TXN_LESS && c[2].number == 3);
	assert_true(c[3].target == TXN_CREATE && c[3].relation == TXN_GREATER && c[3].number == 4);
	assert_span(c[4].value, "a");
	assert_span(c[5].key, "a b");
	assert_span(c[5].value, "x \"y\"\nA");
}

static void operations_take_their_options_anywhere(void **state)
{
	(void)state;
	assert_int_equal(parse("\nput --lease=1f k ''\nput l v --lease 2a\ndel d/ --prefix\nget 'it''s'\r\n"), 0);
	const struct txn_op *ops = parsed.txn.ops[TXN_THEN];
	assert_int_equal(parsed.txn.compares_count, 0);
	assert_int_equal(parsed.txn.ops_count[TXN_THEN], 4);
	assert_int_equal(ops[0].lease, 0x1f);
	assert_span(ops[0].value, "");
	assert_int_equal(ops[1].lease, 0x2a);
	assert_span(ops[1].value, "v");
	assert_true(ops[2].prefix);
	assert_span(ops[3].key, "its");
}

static void what_makes_no_sense_is_told_by_its_line(void **state)
{
	(void)state;
	assert_int_equal(parse("mod(k) > 0\nfoo(k) = 1\n"), 2);
	assert_string_equal(why, "compares neither version, create, mod nor value");
	assert_int_equal(parse("mod(k) > x\n"), 1);
	assert_string_equal(why, "not a number");
	assert_int_equal(parse("mod(k) > -1\n"), 1);
	assert_int_equal(parse("mod(k) >= 1\n"), 1);
	assert_int_equal(parse("mod(k > 1\n"), 1);
	assert_int_equal(parse("mod(k) > 1 2\n"), 1);
	assert_int_equal(parse("mod k > 1\n"), 1);
	assert_int_equal(parse("mod(a//b) > 1\n"), 1);
	assert_string_equal(why, "not a valid key");
	assert_int_equal(parse("\nput k \"open\n"), 2);
	assert_int_equal(parse("\nput k \"\\q\"\n"), 2);
	assert_int_equal(parse("\nput k\n"), 2);
	assert_int_equal(parse("\nput k v w\n"), 2);
	assert_int_equal(parse("\nget k --prefix\n"), 2);
	assert_int_equal(parse("\n\ndrop k\n"), 3);
	assert_string_equal(why, "expected put KEY VALUE, del KEY or get KEY");
	assert_int_equal(parse("\n\n\nget k\n"), 4);
	assert_int_equal(parse("\nput k v --lease=nonsense\n"), 2);
	assert_int_equal(parse("\nget a b c d e f g h i j\n"), 2);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, done)
	const struct CMUnitTest tests[] = {
		STORY(the_example_of_etcdctl_is_understood),
		STORY(every_target_and_relation_has_its_words),
		STORY(operations_take_their_options_anywhere),
		STORY(what_makes_no_sense_is_told_by_its_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
