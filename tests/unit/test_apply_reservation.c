#include "tests/unit/test_apply_store.h"

#include "store/reservation.h"

/* The operations of one boot of one node. */
struct node {
	struct world *w;
	uint64_t origin;
	uint64_t epoch;
	uint64_t sequence;
};

static struct node node_of(struct world *w, uint64_t origin)
{
	return (struct node){.w = w, .origin = origin, .epoch = 1};
}

static int issue(struct node *n, struct command c)
{
	struct writer bytes = {0};
	c.id = (struct command_id){n->origin, n->epoch, ++n->sequence, n->sequence};
	if (c.time_ns == 0)
		c.time_ns = (int64_t)n->w->index * SECOND / 1000;
	command_encode(&bytes, &c);
	apply_bytes(n->w, (struct span){bytes.data, bytes.size});
	writer_free(&bytes);
	assert_true(n->w->out.fresh);
	return n->w->out.result.error;
}

#define ISSUE(n, ...) issue((n), (struct command){.truncate_to = COMMAND_NO_TRUNCATE, __VA_ARGS__})

static int reserve_at(struct node *n, const char *key, int64_t time_ns)
{
	return ISSUE(n, .type = COMMAND_RESERVE, .key = text(key), .time_ns = time_ns);
}

static int reserve(struct node *n, const char *key)
{
	return reserve_at(n, key, 0);
}

/* The token of a reservation that must succeed. */
static uint64_t reserved(struct node *n, const char *key)
{
	assert_int_equal(reserve(n, key), 0);
	return n->sequence;
}

static int cancel(struct node *n, uint64_t reservation)
{
	return ISSUE(n, .type = COMMAND_RESERVE, .reservation = reservation);
}

static int publish(struct node *n, const char *key, uint64_t reservation, const char *data)
{
	struct command_range range = {0, text(data)};
	return ISSUE(n, .type = COMMAND_WRITE, .key = text(key), .mode = 0644, .write_flags = WRITE_CREATE, .reservation = reservation,
		     .ranges = &range, .ranges_count = 1);
}

static int create_exclusively(struct node *n, const char *key)
{
	return ISSUE(n, .type = COMMAND_WRITE, .key = text(key), .mode = 0644, .write_flags = WRITE_CREATE | WRITE_EXCL);
}

static int rename_by(struct node *n, const char *from, const char *to, uint32_t flags)
{
	return ISSUE(n, .type = COMMAND_RENAME, .key = text(from), .key2 = text(to), .rename_flags = flags);
}

static void a_reserved_key_is_not_there_and_makes_no_revision(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(reserve(&a, "f"), 0);
	assert_int_equal(w->out.result.revision, before);
	assert_int_equal(w->out.result.attr.ino, 0);
	assert_int_equal(mvcc_revision(w->m), before);
	assert_false(is_there(w, "f"));
	assert_int_equal(ISSUE(&a, .type = COMMAND_UNLINK, .key = text("f")), -ENOENT);
}

static void only_an_absent_key_in_a_directory_can_be_reserved(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	put(w, "f", "x");
	make_dir(w, "d");
	assert_int_equal(reserve(&a, "f"), -EEXIST);
	assert_int_equal(reserve(&a, "d"), -EEXIST);
	assert_int_equal(reserve(&a, "none/f"), -ENOENT);
	assert_int_equal(reserve(&a, "f/x"), -ENOTDIR);
	assert_int_equal(reserve(&a, "d/x"), 0);
}

static void of_two_that_reserve_a_key_the_first_wins(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	assert_int_equal(reserve(&a, "f"), 0);
	assert_int_equal(reserve(&b, "f"), -EEXIST);
	assert_int_equal(reserve(&a, "f"), -EEXIST);
	assert_int_equal(reserve(&b, "g"), 0);
}

static void nobody_else_makes_a_reserved_key_exclusively(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	uint64_t token = reserved(&a, "f");
	put(w, "other", "x");
	make_dir(w, "dir");
	struct node *const both[] = {&a, &b};
	for (size_t i = 0; i < 2; i++) {
		struct node *n = both[i];
		assert_int_equal(create_exclusively(n, "f"), -EEXIST);
		assert_int_equal(ISSUE(n, .type = COMMAND_MKDIR, .key = text("f"), .mode = 0755), -EEXIST);
		assert_int_equal(ISSUE(n, .type = COMMAND_MKNOD, .key = text("f"), .mode = S_IFIFO | 0600), -EEXIST);
		assert_int_equal(ISSUE(n, .type = COMMAND_SYMLINK, .key = text("f"), .key2 = text("t")), -EEXIST);
		assert_int_equal(rename_by(n, "other", "f", RENAME_NOREPLACE), -EEXIST);
		assert_int_equal(rename_by(n, "other", "f", RENAME_EXCHANGE), -ENOENT);
	}
	assert_int_equal(publish(&a, "f", token, "mine"), 0);
	assert_content(w, "f", "mine");
}

static void what_will_be_a_file_does_not_become_a_directory(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	make_dir(w, "dir");
	assert_int_equal(reserve(&a, "f"), 0);
	assert_int_equal(rename_by(&a, "dir", "f", 0), -ENOTDIR);
	assert_int_equal(put(w, "f/below", "x"), -ENOTDIR);
	assert_int_equal(put(w, "f/deep/below", "x"), -ENOTDIR);
	assert_int_equal(reserve(&a, "f"), -EEXIST);
}

static void publication_makes_the_file_in_one_revision_and_ends_the_reservation(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	uint64_t token = reserved(&a, "f");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(publish(&a, "f", token, "content"), 0);
	assert_int_equal(mvcc_revision(w->m), before + 1);
	assert_int_equal(stat_of(w, "f").version, 1);
	assert_content(w, "f", "content");
	assert_int_equal(cancel(&a, token), -ENOENT);
	assert_int_equal(ISSUE(&b, .type = COMMAND_UNLINK, .key = text("f")), 0);
	assert_int_equal(reserve(&b, "f"), 0);
}

static void publication_of_nothing_makes_an_empty_file_once(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	uint64_t token = reserved(&a, "f");
	uint64_t before = mvcc_revision(w->m);
	assert_int_equal(publish(&a, "f", token, ""), 0);
	assert_content(w, "f", "");
	assert_int_equal(publish(&a, "f", token, ""), 0);
	assert_int_equal(mvcc_revision(w->m), before + 1);
}

static void writers_that_do_not_insist_win_and_the_holder_writes_into_theirs(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	uint64_t written = reserved(&a, "written");
	uint64_t was_put = reserved(&a, "was-put");
	uint64_t loaded = reserved(&a, "loaded");
	uint64_t renamed = reserved(&a, "renamed");
	put(w, "src", "theirs-r");
	assert_int_equal(write_at(w, "written", WRITE_CREATE, 0, "theirs-w"), 0);
	assert_int_equal(put(w, "was-put", "theirs-p"), 0);
	assert_int_equal(ISSUE(&b, .type = COMMAND_LOAD, .value = {"\x06\0\0\0loaded\x08\0\0\0theirs-l", 22}), 0);
	assert_int_equal(rename_by(&b, "src", "renamed", 0), 0);
	const uint64_t tokens[] = {written, was_put, loaded, renamed};
	static const char *const keys[] = {"written", "was-put", "loaded", "renamed"};
	static const char *const merged[] = {"MINErs-w", "MINErs-p", "MINErs-l", "MINErs-r"};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(cancel(&a, tokens[i]), -ENOENT);
		assert_int_equal(publish(&a, keys[i], tokens[i], "MINE"), 0);
		assert_content(w, keys[i], merged[i]);
		assert_int_equal(stat_of(w, keys[i]).version, 2);
	}
}

static void a_reservation_that_is_given_back_is_free_for_all(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	uint64_t token = reserved(&a, "f");
	uint64_t before = mvcc_revision(w->m);
	b.sequence = 50;
	assert_int_equal(cancel(&b, token), -ENOENT); /* the same number, of another node */
	assert_int_equal(cancel(&a, token + 7), -ENOENT);
	assert_int_equal(reserve(&b, "f"), -EEXIST);
	assert_int_equal(cancel(&a, token), 0);
	assert_int_equal(cancel(&a, token), -ENOENT);
	assert_int_equal(reserve(&b, "f"), 0);
	assert_int_equal(mvcc_revision(w->m), before);
}

static void a_reservation_lapses_with_time(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	int64_t then = 1000 * SECOND;
	assert_int_equal(reserve_at(&a, "f", then), 0);
	uint64_t token = a.sequence;
	assert_int_equal(reserve_at(&b, "f", then + RESERVATION_NS - 1), -EEXIST);
	assert_int_equal(reserve_at(&b, "f", then - RESERVATION_NS), -EEXIST); /* by a clock that is behind */
	assert_int_equal(reserve_at(&b, "f", then + RESERVATION_NS), 0);
	uint64_t second = b.sequence;
	assert_int_equal(cancel(&a, token), -ENOENT);
	/* Whoever comes first makes it, the other one writes into it. */
	assert_int_equal(publish(&a, "f", token, "first"), 0);
	assert_int_equal(publish(&b, "f", second, "SE"), 0);
	assert_content(w, "f", "SErst");
}

static void a_lapsed_reservation_can_still_be_published(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	assert_int_equal(reserve_at(&a, "f", 1000 * SECOND), 0);
	uint64_t token = a.sequence;
	assert_int_equal(RUN(w, .type = COMMAND_MKDIR, .key = text("d"), .mode = 0755, .time_ns = 2000 * SECOND), 0);
	assert_int_equal(publish(&a, "f", token, "late"), 0);
	assert_content(w, "f", "late");
}

static void a_newer_boot_of_its_origin_ends_a_reservation(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	assert_int_equal(reserve(&a, "f"), 0);
	assert_int_equal(reserve(&a, "g"), 0);
	assert_int_equal(reserve(&b, "h"), 0);
	struct node rebooted = node_of(w, 11);
	rebooted.epoch = 2;
	assert_int_equal(reserve(&b, "f"), -EEXIST);
	assert_int_equal(reserve(&rebooted, "g"), 0);
	assert_int_equal(reserve(&b, "f"), 0);
	assert_int_equal(reserve(&b, "g"), -EEXIST);
	assert_int_equal(reserve(&rebooted, "h"), -EEXIST);
}

static void reservations_outlive_a_restart(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	uint64_t kept = reserved(&a, "kept");
	uint64_t ended = reserved(&a, "ended");
	uint64_t last = reserved(&a, "last");
	assert_int_equal(cancel(&a, ended), 0);
	world_restart(w);
	assert_int_equal(reserve(&b, "kept"), -EEXIST);
	assert_int_equal(reserve(&b, "last"), -EEXIST);
	assert_int_equal(reserve(&b, "ended"), 0);
	assert_int_equal(publish(&a, "kept", kept, "x"), 0);
	assert_int_equal(cancel(&a, last), 0);
	world_restart(w);
	assert_int_equal(cancel(&a, kept), -ENOENT);
	assert_int_equal(reserve(&b, "last"), 0);
	assert_int_equal(reserve_at(&a, "ended", 3600 * SECOND), 0);
}

/* As when a snapshot takes the place of a store in which something was reserved. */
static void reservations_are_those_of_the_store_once_it_is_another(void **state)
{
	struct world *w = *state;
	struct node one = node_of(w, 1), two = node_of(w, 2);
	uint64_t token = reserved(&one, "kept");
	uint64_t gone = reserved(&one, "given back");
	assert_int_equal(cancel(&one, gone), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(apply_reload(w->a), 0);
	assert_int_equal(reserve(&two, "kept"), -EEXIST);
	assert_int_equal(reserve(&two, "given back"), 0);
	assert_int_equal(publish(&one, "kept", token, "mine"), 0);
	assert_content(w, "kept", "mine");
}

static void an_operation_that_is_sent_twice_reserves_once(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	uint64_t token = reserved(&a, "f");
	assert_int_equal(cancel(&a, token), 0);
	struct writer bytes = {0};
	const struct command again = {.type = COMMAND_RESERVE, .id = {11, 1, token, token}, .key = text("f")};
	command_encode(&bytes, &again);
	apply_bytes(w, (struct span){bytes.data, bytes.size});
	writer_free(&bytes);
	assert_false(w->out.fresh);
	assert_int_equal(reserve(&a, "f"), 0);
}

static void a_directory_takes_along_what_is_reserved_in_it(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	struct node b = node_of(w, 12);
	make_dir(w, "d");
	make_dir(w, "d/sub");
	make_dir(w, "e");
	uint64_t token = reserved(&a, "d/sub/f");
	uint64_t other = reserved(&a, "e/f");
	assert_int_equal(rename_by(&b, "d", "moved", 0), 0);
	assert_int_equal(reserve(&b, "moved/sub/f"), -EEXIST);
	world_restart(w);
	assert_int_equal(reserve(&b, "moved/sub/f"), -EEXIST);
	assert_int_equal(rename_by(&b, "moved/sub", "e", RENAME_EXCHANGE), 0);
	assert_int_equal(reserve(&b, "e/f"), -EEXIST);
	assert_int_equal(reserve(&b, "moved/sub/f"), -EEXIST);
	assert_int_equal(publish(&a, "e/f", token, "x"), 0);
	assert_int_equal(cancel(&a, other), 0);
	assert_int_equal(reserve(&b, "moved/sub/f"), 0);
}

static void a_directory_with_nothing_but_reservations_is_empty(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	make_dir(w, "d");
	make_dir(w, "e");
	uint64_t token = reserved(&a, "d/f");
	uint64_t replaced = reserved(&a, "e/f");
	assert_int_equal(ISSUE(&a, .type = COMMAND_RMDIR, .key = text("d")), 0);
	assert_int_equal(publish(&a, "d/f", token, "x"), -ENOENT);
	assert_int_equal(cancel(&a, token), 0);
	make_dir(w, "d");
	assert_int_equal(rename_by(&a, "d", "e", 0), 0);
	assert_int_equal(cancel(&a, replaced), -ENOENT);
}

static void their_number_is_bounded_and_dead_ones_make_room(void **state)
{
	struct world *w = *state;
	struct node a = node_of(w, 11);
	char key[32];
	int64_t then = 1000 * SECOND;
	for (unsigned i = 0; i < RESERVATIONS_MAX; i++) {
		snprintf(key, sizeof(key), "f%u", i);
		assert_int_equal(reserve_at(&a, key, i == 77 ? then - 30 * SECOND : then), 0);
	}
	assert_int_equal(reserve_at(&a, "one-more", then), -EBUSY);
	world_restart(w);
	assert_int_equal(reserve_at(&a, "one-more", then), -EBUSY);
	assert_int_equal(cancel(&a, 5), 0);
	assert_int_equal(reserve_at(&a, "one-more", then), 0);
	assert_int_equal(reserve_at(&a, "another", then), -EBUSY);
	assert_int_equal(reserve_at(&a, "another", then + RESERVATION_NS - 30 * SECOND), 0);
	assert_int_equal(cancel(&a, 78), -ENOENT);
	assert_int_equal(reserve_at(&a, "f4", then + RESERVATION_NS - 1), -EBUSY);
	assert_int_equal(reserve_at(&a, "f4", then + 2 * RESERVATION_NS), 0);
	assert_int_equal(cancel(&a, 100), -ENOENT);
}

static void a_reservation_that_cannot_be_read_is_no_reservation(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *value;
		size_t size;
	} bad[] = {
		{"reserve/", "", 0},
		{"reserve/x", "", 0},
		{"reserve/4096", "", 0},
		{"reserve/1", "short", 5},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct world w;
		struct writer value = {0};
		struct apply *a = NULL;
		world_make(&w);
		for (int word = 0; word < 4 && bad[i].size == 0; word++)
			writer_u64(&value, 1);
		writer_bytes(&value, bad[i].size ? bad[i].value : "key", bad[i].size ? bad[i].size : 3);
		mvcc_begin(w.m, ++w.index, 1);
		mvcc_put_meta(w.m, text(bad[i].name), (struct span){value.data, value.size});
		mvcc_end(w.m, mvcc_last_time(w.m));
		assert_int_equal(apply_open(w.m, &a), -EBADMSG);
		writer_free(&value);
		world_end(&w);
	}
}

int main(void)
{
#define RULE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		RULE(a_reserved_key_is_not_there_and_makes_no_revision),
		RULE(only_an_absent_key_in_a_directory_can_be_reserved),
		RULE(of_two_that_reserve_a_key_the_first_wins),
		RULE(nobody_else_makes_a_reserved_key_exclusively),
		RULE(what_will_be_a_file_does_not_become_a_directory),
		RULE(publication_makes_the_file_in_one_revision_and_ends_the_reservation),
		RULE(publication_of_nothing_makes_an_empty_file_once),
		RULE(writers_that_do_not_insist_win_and_the_holder_writes_into_theirs),
		RULE(a_reservation_that_is_given_back_is_free_for_all),
		RULE(a_reservation_lapses_with_time),
		RULE(a_lapsed_reservation_can_still_be_published),
		RULE(a_newer_boot_of_its_origin_ends_a_reservation),
		RULE(reservations_outlive_a_restart),
		RULE(reservations_are_those_of_the_store_once_it_is_another),
		RULE(an_operation_that_is_sent_twice_reserves_once),
		RULE(a_directory_takes_along_what_is_reserved_in_it),
		RULE(a_directory_with_nothing_but_reservations_is_empty),
		RULE(their_number_is_bounded_and_dead_ones_make_room),
		cmocka_unit_test(a_reservation_that_cannot_be_read_is_no_reservation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
