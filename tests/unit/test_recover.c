/* A start after a crash at each step of taking a snapshot: log and store belong together afterwards, without a hand being lifted; and what does
 * not belong together is refused as ever. */
#include "store/folders.h"
#include "store/mvcc/dump.h"
#include "store/recover.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CLUSTER 5u

struct fixture {
	char data[128];
	char why[1024];
	struct wal *wal;
	struct mvcc *store;
};

static const char *below(const struct fixture *f, const char *folder)
{
	static char path[FOLDER_PATH_BYTES];
	folder_path(f->data, folder, path);
	return path;
}

static bool exists(const struct fixture *f, const char *folder)
{
	return access(below(f, folder), F_OK) == 0;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	snprintf(f->data, sizeof(f->data), "%s/test_recover.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->data));
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static void stop(struct fixture *f)
{
	if (f->store)
		mvcc_close(f->store);
	wal_close(f->wal);
	f->store = NULL;
	f->wal = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	stop(f);
	nftw(f->data, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static struct mvcc *open_store(struct fixture *f, const char *folder)
{
	struct mvcc *m = NULL;
	struct mvcc_config config = {.dir = below(f, folder), .cluster_id = CLUSTER, .map_bytes = 1 << 28, .no_sync = true};
	if (mvcc_open(&config, &m, f->why, sizeof(f->why)) < 0)
		fail_msg("%s", f->why);
	return m;
}

static void apply(struct mvcc *m, uint64_t index, uint64_t term)
{
	struct record r = {.mode = S_IFREG | 0644, .nlink = 1, .version = 1, .key = {"k", 1}, .data = {"v", 1}, .size = 1};
	mvcc_begin(m, index, term);
	r.ino = mvcc_next_ino(m);
	r.modified.main = r.created.main = mvcc_next_revision(m);
	mvcc_put(m, &r);
	mvcc_end(m, (int64_t)index);
}

static void open_log(struct fixture *f)
{
	struct wal_config config = {.dir = below(f, "wal"), .cluster_id = CLUSTER, .node_id = 1, .segment_bytes = 16384};
	if (wal_open(&config, &f->wal, f->why, sizeof(f->why)) < 0)
		fail_msg("%s", f->why);
}

/* A node whose log holds 1 to `last` of term 2 and whose store has applied up to `applied`. */
static void make_node(struct fixture *f, uint64_t last, uint64_t applied)
{
	struct raft_hard_state hard = {.term = 4, .vote = 9};
	open_log(f);
	assert_int_equal(wal_save(f->wal, &hard, NULL, 0), 0);
	for (uint64_t i = 1; i <= last; i++)
		assert_int_equal(wal_save(f->wal, NULL, &(struct raft_entry){.term = 2, .index = i, .size = 900, .data = f}, 1), 0);
	f->store = open_store(f, FOLDER_STORE);
	for (uint64_t i = 1; i <= applied; i++)
		apply(f->store, i, 2);
	assert_int_equal(mvcc_flush(f->store), 0);
	stop(f);
}

/* store.new: a snapshot as of entry (index, term), whole or half. */
static void receive(struct fixture *f, uint64_t index, uint64_t term, bool whole)
{
	struct mvcc *from = open_store(f, "from");
	struct mvcc_dump *d;
	struct mvcc_load *l;
	struct dump_position at = {0};
	struct writer w = {0};
	apply(from, index, term);
	assert_int_equal(mvcc_flush(from), 0);
	assert_int_equal(mvcc_dump_open(from, &d), 0);
	struct mvcc_load_config config = {.dir = below(f, FOLDER_NEW), .cluster_id = CLUSTER, .map_bytes = 1 << 28};
	assert_int_equal(mvcc_load_open(&config, (struct span){"x", 1}, mvcc_dump_manifest(d), &l, f->why, sizeof(f->why)), 0);
	assert_int_equal(mvcc_dump_read(d, &at, &w), 0);
	assert_int_equal(mvcc_load_chunk(l, (struct span){w.data, w.size}), 0);
	if (whole)
		assert_int_equal(mvcc_load_finish(l, mvcc_load_progress(l)->sum), 0);
	mvcc_load_close(l);
	mvcc_dump_close(d);
	mvcc_close(from);
	writer_free(&w);
}

static int start(struct fixture *f)
{
	assert_int_equal(folders_settle(f->data), 0);
	open_log(f);
	f->store = open_store(f, FOLDER_STORE);
	return recover_log(f->wal, f->store, f->data, f->why, sizeof(f->why));
}

static void must_stand_behind(struct fixture *f, uint64_t index, uint64_t term)
{
	assert_int_equal(mvcc_applied(f->store), index);
	assert_int_equal(wal_first(f->wal), index + 1);
	assert_int_equal(wal_last(f->wal), index);
	assert_int_equal(wal_base_term(f->wal), term);
	assert_int_equal(wal_hard_state(f->wal).term, 4);
	assert_int_equal(wal_hard_state(f->wal).vote, 9);
	assert_false(exists(f, FOLDER_OLD));
}

static void nothing_happens_to_what_belongs_together(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 15);
	assert_int_equal(start(f), 0);
	assert_int_equal(wal_first(f->wal), 1);
	assert_int_equal(wal_last(f->wal), 20);
}

static void a_snapshot_that_is_not_whole_waits_and_disturbs_nothing(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 15);
	receive(f, 100, 3, false);
	assert_int_equal(start(f), 0);
	assert_int_equal(wal_last(f->wal), 20);
	assert_true(exists(f, FOLDER_NEW));
}

static void a_whole_one_whose_turn_had_not_come_waits_too(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 15);
	receive(f, 100, 3, true);
	assert_int_equal(start(f), 0);
	assert_int_equal(mvcc_applied(f->store), 15);
	assert_true(exists(f, FOLDER_NEW));
}

static void a_crash_between_the_two_renames_is_made_good(void **state)
{
	struct fixture *f = *state;
	char old[FOLDER_PATH_BYTES];
	make_node(f, 20, 15);
	receive(f, 100, 3, true);
	folder_path(f->data, FOLDER_OLD, old);
	assert_int_equal(rename(below(f, FOLDER_STORE), old), 0);
	assert_int_equal(start(f), 0);
	must_stand_behind(f, 100, 3);
	assert_false(exists(f, FOLDER_NEW));
}

static void a_crash_before_the_log_was_emptied_empties_it_at_the_start(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 15);
	receive(f, 100, 3, true);
	assert_int_equal(folders_switch(f->data), 0);
	assert_true(exists(f, FOLDER_OLD));
	assert_int_equal(start(f), 0);
	must_stand_behind(f, 100, 3);
}

static void so_does_one_whose_log_has_other_entries_up_to_there(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 5);
	receive(f, 12, 3, true);
	assert_int_equal(folders_switch(f->data), 0);
	assert_int_equal(start(f), 0);
	must_stand_behind(f, 12, 3);
	stop(f);
	assert_int_equal(start(f), 0);
	must_stand_behind(f, 12, 3);
}

static void a_crash_after_the_log_was_emptied_finds_all_done(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 15);
	receive(f, 100, 3, true);
	assert_int_equal(folders_switch(f->data), 0);
	open_log(f);
	assert_int_equal(wal_reset(f->wal, 100, 3), 0);
	assert_int_equal(wal_save(f->wal, NULL, &(struct raft_entry){.term = 4, .index = 101, .size = 5, .data = f}, 1), 0);
	stop(f);
	assert_int_equal(start(f), 0);
	assert_int_equal(wal_first(f->wal), 101);
	assert_int_equal(wal_last(f->wal), 101);
	assert_int_equal(mvcc_applied(f->store), 100);
}

static void a_new_snapshot_takes_the_place_of_one_whose_old_store_is_still_there(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 15);
	receive(f, 100, 3, true);
	assert_int_equal(folders_switch(f->data), 0);
	receive(f, 200, 3, true);
	assert_int_equal(folders_switch(f->data), 0);
	assert_int_equal(start(f), 0);
	must_stand_behind(f, 200, 3);
}

static void a_store_ahead_of_its_log_that_is_no_snapshot_is_refused(void **state)
{
	struct fixture *f = *state;
	make_node(f, 10, 10);
	f->store = open_store(f, FOLDER_STORE);
	apply(f->store, 11, 2);
	stop(f);
	assert_int_equal(start(f), -EBADMSG);
	assert_non_null(strstr(f->why, "has applied entry 11 of term 2"));
	assert_null(strchr(f->why, '\n'));
	assert_int_equal(wal_last(f->wal), 10);
}

static void so_is_a_snapshot_that_has_gone_on_without_its_log(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 15);
	receive(f, 100, 3, true);
	assert_int_equal(folders_switch(f->data), 0);
	f->store = open_store(f, FOLDER_STORE);
	apply(f->store, 101, 3);
	stop(f);
	assert_int_equal(start(f), -EBADMSG);
}

/* Another copy of the folder was put back: what the log has promised meanwhile would be forgotten. */
static void so_is_a_snapshot_that_its_log_has_left_behind(void **state)
{
	struct fixture *f = *state;
	make_node(f, 20, 15);
	receive(f, 100, 3, true);
	assert_int_equal(folders_switch(f->data), 0);
	open_log(f);
	assert_int_equal(wal_reset(f->wal, 200, 3), 0);
	assert_int_equal(wal_save(f->wal, NULL, &(struct raft_entry){.term = 4, .index = 201, .size = 5, .data = f}, 1), 0);
	stop(f);
	assert_int_equal(start(f), -EBADMSG);
	assert_int_equal(wal_last(f->wal), 201);
}

static void so_is_a_log_with_another_term_at_the_store_s_last_entry(void **state)
{
	struct fixture *f = *state;
	make_node(f, 10, 9);
	f->store = open_store(f, FOLDER_STORE);
	apply(f->store, 10, 1);
	stop(f);
	assert_int_equal(start(f), -EBADMSG);
	assert_non_null(strstr(f->why, "another term"));
}

#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(nothing_happens_to_what_belongs_together),
		story(a_snapshot_that_is_not_whole_waits_and_disturbs_nothing),
		story(a_whole_one_whose_turn_had_not_come_waits_too),
		story(a_crash_between_the_two_renames_is_made_good),
		story(a_crash_before_the_log_was_emptied_empties_it_at_the_start),
		story(so_does_one_whose_log_has_other_entries_up_to_there),
		story(a_crash_after_the_log_was_emptied_finds_all_done),
		story(a_new_snapshot_takes_the_place_of_one_whose_old_store_is_still_there),
		story(a_store_ahead_of_its_log_that_is_no_snapshot_is_refused),
		story(so_is_a_snapshot_that_has_gone_on_without_its_log),
		story(so_is_a_snapshot_that_its_log_has_left_behind),
		story(so_is_a_log_with_another_term_at_the_store_s_last_entry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
