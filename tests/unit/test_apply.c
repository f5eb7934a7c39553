/* What apply does whatever the command: once each, the same everywhere, and across restarts. */
#include "tests/unit/test_apply_store.h"

#include <stdint.h>

/* Applies an append under this identity; was it fresh? */
static bool append_as(struct world *w, uint64_t origin, uint64_t epoch, uint64_t sequence, uint64_t floor)
{
	struct writer bytes = {0};
	const struct command_range range = {0, text("x")};
	struct command c = {.type = COMMAND_WRITE, .key = text("log"), .mode = 0644, .truncate_to = COMMAND_NO_TRUNCATE};
	c.id = (struct command_id){origin, epoch, sequence, floor};
	c.write_flags = WRITE_CREATE | WRITE_APPEND;
	c.ranges = &range;
	c.ranges_count = 1;
	command_encode(&bytes, &c);
	apply_bytes(w, (struct span){bytes.data, bytes.size});
	writer_free(&bytes);
	assert_int_equal(w->out.id.origin, origin);
	assert_int_equal(w->out.id.sequence, sequence);
	return w->out.fresh;
}

static void a_command_met_twice_is_applied_once(void **state)
{
	struct world *w = *state;
	assert_true(append_as(w, 1, 1, 1, 1));
	assert_false(append_as(w, 1, 1, 1, 1));
	assert_int_equal(mvcc_applied(w->m), w->index);
	assert_true(append_as(w, 2, 1, 1, 1));
	assert_content(w, "log", "xx");
}

static void a_duplicate_is_known_after_a_restart(void **state)
{
	struct world *w = *state;
	for (uint64_t sequence = 1; sequence <= 200; sequence += 2)
		assert_true(append_as(w, 1, 1, sequence, 1));
	world_restart(w);
	for (uint64_t sequence = 1; sequence <= 200; sequence++)
		assert_int_equal(append_as(w, 1, 1, sequence, 1), sequence % 2 == 0);
	world_restart(w);
	assert_int_equal(mvcc_applied(w->m), w->index);
	assert_false(append_as(w, 1, 1, 200, 1));
	assert_int_equal(stat_of(w, "log").size, 200);
}

static void a_command_of_an_older_boot_is_not_applied(void **state)
{
	struct world *w = *state;
	assert_true(append_as(w, 1, 1, 1, 1));
	assert_true(append_as(w, 1, 2, 1, 1));
	assert_false(append_as(w, 1, 1, 2, 1));
	world_restart(w);
	assert_false(append_as(w, 1, 1, 3, 1));
	assert_false(append_as(w, 1, 2, 1, 1));
	assert_content(w, "log", "xx");
}

static void a_refused_command_counts_as_applied(void **state)
{
	struct world *w = *state;
	struct command c = {.type = COMMAND_RMDIR, .key = text("d"), .id = {9, 1, 1, 1}};
	struct writer bytes = {0};
	command_encode(&bytes, &c);
	apply_bytes(w, (struct span){bytes.data, bytes.size});
	assert_int_equal(w->out.result.error, -ENOENT);
	make_dir(w, "d");
	apply_bytes(w, (struct span){bytes.data, bytes.size});
	assert_false(w->out.fresh);
	assert_true(is_there(w, "d"));
	writer_free(&bytes);
}

static void an_empty_entry_and_one_that_is_no_command_move_the_applied_index_only(void **state)
{
	struct world *w = *state;
	put(w, "f", "x");
	uint64_t before = mvcc_revision(w->m);
	apply_bytes(w, (struct span){NULL, 0});
	assert_int_equal(w->out.type, 0);
	assert_int_equal(w->out.result.error, 0);
	assert_int_equal(mvcc_applied(w->m), w->index);
	apply_bytes(w, text("no command at all"));
	assert_int_equal(w->out.type, 0);
	assert_int_equal(w->out.result.error, -EBADMSG);
	assert_int_equal(mvcc_applied(w->m), w->index);
	assert_int_equal(mvcc_revision(w->m), before);
	assert_int_equal(w->out.result.revision, before);
}

/* Spoils each run of 64 times `mark` in the closed store's file; how many there were. */
static int spoil(struct world *w, char mark)
{
	char path[512];
	char pattern[64];
	char page[4096];
	int spoiled = 0;
	memset(pattern, mark, sizeof(pattern));
	snprintf(path, sizeof(path), "%s/data.mdb", w->dir);
	FILE *f = fopen(path, "r+");
	assert_non_null(f);
	for (long at = 0; fread(page, sizeof(page), 1, f) == 1; at += (long)sizeof(page)) {
		char *found = memmem(page, sizeof(page), pattern, sizeof(pattern));
		if (found) {
			assert_int_equal(fseek(f, at + (found - page), SEEK_SET), 0);
			fputc('!', f);
			fseek(f, at + (long)sizeof(page), SEEK_SET);
			spoiled++;
		}
	}
	fclose(f);
	return spoiled;
}

static void a_disk_that_fails_stops_the_node_before_anything_is_applied(void **state)
{
	struct world *w = *state;
	char *big = malloc(40001);
	memset(big, 'Q', 40000);
	big[40000] = 0;
	put(w, "f", big);
	free(big);
	apply_close(w->a);
	mvcc_close(w->m);
	assert_true(spoil(w, 'Q') > 0);
	world_open(w);
	uint64_t applied = mvcc_applied(w->m);
	assert_true(append_as(w, 5, 1, 2, 2));
	assert_false(w->out.stopped);
	const struct command_range range = {5, text("x")};
	assert_int_equal(RUN(w, .type = COMMAND_WRITE, .key = text("f"), .ranges = &range, .ranges_count = 1, .time_ns = 1), -EIO);
	assert_true(w->out.stopped);
	assert_int_equal(mvcc_applied(w->m), applied + 1);
	assert_true(append_as(w, 5, 1, 9, 9));
	assert_true(w->out.stopped);
	assert_int_equal(w->out.result.error, -EIO);
	assert_int_equal(mvcc_applied(w->m), applied + 1);
}

/* --- random commands --- */

struct dice {
	uint32_t random;
	char value[9000];
};

static uint32_t roll(struct dice *d, uint32_t sides)
{
	d->random = d->random * 1664525u + 1013904223u;
	return (d->random >> 8) % sides;
}

static struct span some_key(struct dice *d, char *room)
{
	int size = 0;
	for (uint32_t depth = 1 + roll(d, 3); depth > 0; depth--)
		size += snprintf(room + size, 3, "%s%c", size ? "/" : "", (int)('a' + roll(d, 4)));
	return (struct span){room, (size_t)size};
}

static void fill_write(struct dice *d, struct command *c, struct command_range *range)
{
	memset(d->value, (int)('a' + roll(d, 26)), sizeof(d->value));
	*range = (struct command_range){roll(d, 2) ? roll(d, 70000) : roll(d, 50),
					{d->value, roll(d, 2) ? roll(d, 20) : roll(d, sizeof(d->value))}};
	c->write_flags = roll(d, 8); /* create, exclusive, append in any mixture */
	c->truncate_to = roll(d, 3) ? COMMAND_NO_TRUNCATE : roll(d, 40000);
	c->extend_to = roll(d, 5) ? 0 : roll(d, 80000);
	c->ranges = range;
	c->ranges_count = roll(d, 4) ? 1 : 0;
}

/* Any command at all, some of them by number, most on a few keys that collide. */
static void encode_some(struct dice *d, uint64_t sequence, struct writer *out)
{
	char keys[2][16];
	struct command_range range;
	struct command c = {.type = (uint8_t)(1 + roll(d, COMMAND_LOAD)), .truncate_to = COMMAND_NO_TRUNCATE};
	struct writer pairs = {0};
	c.id = (struct command_id){1 + roll(d, 3), 1, sequence, sequence > 3 ? sequence - 3 : 1};
	c.time_ns = (int64_t)roll(d, 1000) * SECOND;
	c.uid = roll(d, 2) * 1000;
	c.mode = roll(d, 07777);
	c.key = some_key(d, keys[0]);
	c.key2 = some_key(d, keys[1]);
	c.ino = roll(d, 5) ? 0 : roll(d, 60);
	c.set_mask = roll(d, 256);
	c.size = roll(d, 70000);
	c.rename_flags = roll(d, 4) ? 0 : roll(d, 3);
	c.prefix = roll(d, 8) == 0;
	fill_write(d, &c, &range);
	c.value = (struct span){d->value, roll(d, 6000)};
	if (c.type == COMMAND_PUT)
		c.write_flags = 0;
	if (c.type == COMMAND_STAGE)
		c.stage = sequence + roll(d, 2);
	if (c.type == COMMAND_LOAD) {
		writer_bytes(&pairs, c.key.data, c.key.size);
		writer_bytes(&pairs, d->value, 5);
		writer_bytes(&pairs, c.key2.data, c.key2.size);
		writer_bytes(&pairs, d->value, 5000);
		c.value = (struct span){pairs.data, pairs.size};
	}
	command_encode(out, &c);
	writer_free(&pairs);
}

struct dump {
	struct world *w;
	struct writer text;
};

static int dump_record(void *ctx, const struct record *r)
{
	struct dump *d = ctx;
	uint8_t bytes[4096];
	ssize_t got = 0;
	writer_bytes(&d->text, r->key.data, r->key.size);
	const uint64_t numbers[] = {r->modified.main,
				    r->modified.sub,
				    r->created.main,
				    r->created.sub,
				    r->version,
				    r->flags,
				    r->ino,
				    r->mode,
				    r->uid,
				    r->gid,
				    r->nlink,
				    r->rdev,
				    r->size,
				    r->stored.main,
				    (uint64_t)r->atime_ns,
				    (uint64_t)r->mtime_ns,
				    (uint64_t)r->ctime_ns,
				    r->stored.sub};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		writer_u64(&d->text, numbers[i]);
	writer_bytes(&d->text, r->xattrs.data, r->xattrs.size);
	if (!S_ISREG(r->mode)) {
		writer_bytes(&d->text, r->data.data, r->data.size);
		return 0;
	}
	for (uint64_t at = 0; (got = mvcc_read(d->w->m, r, at, bytes, sizeof(bytes))) > 0; at += (uint64_t)got)
		writer_raw(&d->text, bytes, (size_t)got);
	assert_int_equal(got, 0);
	return 0;
}

static int dump_meta(void *ctx, struct span name, struct span value)
{
	struct writer *sum = ctx;
	uint8_t *total = sum->data; /* in no order: added up */
	for (size_t i = 0; i < value.size; i++)
		total[i % 64] =
			(uint8_t)(total[i % 64] + ((const uint8_t *)value.data)[i] * (((const uint8_t *)name.data)[name.size - 1] + 1));
	return 0;
}

/* Everything that can be seen: all keys at some revisions and now, and what is kept by name. */
static struct writer dump_of(struct world *w)
{
	struct dump d = {.w = w};
	struct writer sum = {0};
	uint64_t last = mvcc_revision(w->m);
	for (uint64_t revision = last; revision >= 1 && revision <= last; revision -= 40) {
		struct record root = {0};
		assert_int_equal(mvcc_get(w->m, text(""), revision, &root), 0);
		dump_record(&d, &root);
		record_done(&root);
		assert_int_equal(mvcc_range(w->m, text(""), text(""), revision, 0, dump_record, &d), 0);
	}
	memset(writer_reserve(&sum, 64), 0, 64);
	assert_int_equal(mvcc_each_meta(w->m, dump_meta, &sum), 0);
	writer_raw(&d.text, sum.data, sum.size);
	writer_free(&sum);
	return d.text;
}

static void assert_same_dump(struct world *a, struct world *b)
{
	struct writer x = dump_of(a);
	struct writer y = dump_of(b);
	assert_int_equal(mvcc_revision(a->m), mvcc_revision(b->m));
	assert_int_equal(mvcc_last_time(a->m), mvcc_last_time(b->m));
	assert_int_equal(x.size, y.size);
	assert_memory_equal(x.data, y.data, x.size);
	writer_free(&x);
	writer_free(&y);
}

/* Every key has a living directory above it, every directory counts its subdirectories, every number leads back to its key. */
static int check_record(void *ctx, const struct record *r)
{
	struct world *w = ctx;
	const char *key = r->key.data;
	const char *slash = r->key.size ? memrchr(key, '/', r->key.size) : NULL;
	struct record parent = {0};
	struct mvcc_list list;
	char found[MVCC_KEY_MAX];
	assert_int_equal(mvcc_key_of(w->m, r->ino, found), (int)r->key.size);
	assert_memory_equal(found, key, r->key.size);
	assert_int_equal(mvcc_get(w->m, (struct span){key, slash ? (size_t)(slash - key) : 0}, 0, &parent), 0);
	assert_true(S_ISDIR(parent.mode));
	record_done(&parent);
	if (!S_ISDIR(r->mode)) {
		assert_int_equal(r->nlink, 1);
		return 0;
	}
	uint32_t links = 2;
	assert_int_equal(mvcc_list(w->m, r->key, 0, &list), 0);
	for (size_t i = 0; i < list.count; i++)
		links += S_ISDIR(list.names[i].mode) ? 1 : 0;
	mvcc_list_done(&list);
	assert_int_equal(r->nlink, links);
	return 0;
}

static void check_tree(struct world *w)
{
	struct record root = {0};
	assert_int_equal(mvcc_get(w->m, text(""), 0, &root), 0);
	check_record(w, &root);
	record_done(&root);
	assert_int_equal(mvcc_range(w->m, text(""), text(""), 0, 0, check_record, w), 0);
}

static void random_commands_do_the_same_on_two_stores_of_which_one_restarts(void **state)
{
	enum { COMMANDS = 1500 };
	struct world *steady = *state;
	struct world restarted;
	struct dice dice = {.random = 11};
	struct writer bytes = {0};
	uint64_t done = 0;
	world_make(&restarted);
	for (uint64_t i = 1; i <= COMMANDS; i++) {
		writer_clear(&bytes);
		encode_some(&dice, i, &bytes);
		apply_bytes(steady, (struct span){bytes.data, bytes.size});
		apply_bytes(&restarted, (struct span){bytes.data, bytes.size});
		assert_int_equal(steady->out.result.error, restarted.out.result.error);
		assert_int_equal(steady->out.fresh, restarted.out.fresh);
		assert_int_equal(steady->out.result.revision, restarted.out.result.revision);
		assert_int_equal(steady->out.result.attr.ino, restarted.out.result.attr.ino);
		done += steady->out.fresh && steady->out.type != 0 && steady->out.result.error == 0;
		if (i % 211 == 0)
			world_restart(&restarted);
		if (i % 50 == 0)
			check_tree(&restarted);
	}
	assert_in_range(done, COMMANDS / 8, COMMANDS);
	assert_same_dump(steady, &restarted);
	world_restart(steady);
	assert_same_dump(steady, &restarted);
	world_end(&restarted);
	writer_free(&bytes);
}

/* --- time --- */

static int64_t put_at(struct world *w, int64_t time_ns)
{
	assert_int_equal(RUN(w, .type = COMMAND_PUT, .key = text("k"), .value = text("v"), .time_ns = time_ns), 0);
	return mvcc_last_time(w->m);
}

static void times_of_revisions_rise_whatever_the_clocks_say(void **state)
{
	struct world *w = *state;
	uint64_t first = mvcc_revision(w->m) + 1, rev;
	assert_int_equal(put_at(w, 1000 * SECOND), 1000 * SECOND);
	/* Another leader's clock is behind; one jumps ahead for a moment; what fails takes no time. */
	assert_int_equal(put_at(w, 10 * SECOND), 1000 * SECOND + 1);
	assert_int_equal(put_at(w, 1000 * SECOND), 1000 * SECOND + 2);
	assert_int_equal(put_at(w, 5000 * SECOND), 5000 * SECOND);
	assert_int_equal(RUN(w, .type = COMMAND_RMDIR, .key = text("k"), .time_ns = 9000 * SECOND), -ENOTDIR);
	assert_int_equal(put_at(w, 1001 * SECOND), 5000 * SECOND + 1);
	world_restart(w);
	assert_int_equal(put_at(w, 1002 * SECOND), 5000 * SECOND + 2);
	/* And each is found by its own. */
	const int64_t times[] = {1000 * SECOND, 1000 * SECOND + 1, 1000 * SECOND + 2, 5000 * SECOND, 5000 * SECOND + 1, 5000 * SECOND + 2};
	for (uint64_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		assert_int_equal(mvcc_revision_at(w->m, times[i], &rev), 0);
		assert_int_equal(rev, first + i);
	}
	assert_int_equal(mvcc_revision_at(w->m, 4999 * SECOND, &rev), 0);
	assert_int_equal(rev, first + 2);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(times_of_revisions_rise_whatever_the_clocks_say, setup, teardown),
		STORY(a_command_met_twice_is_applied_once),
		STORY(a_duplicate_is_known_after_a_restart),
		STORY(a_command_of_an_older_boot_is_not_applied),
		STORY(a_refused_command_counts_as_applied),
		STORY(an_empty_entry_and_one_that_is_no_command_move_the_applied_index_only),
		STORY(a_disk_that_fails_stops_the_node_before_anything_is_applied),
		STORY(random_commands_do_the_same_on_two_stores_of_which_one_restarts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
