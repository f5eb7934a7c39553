/* History that goes: by hand, by retain=, near quota=; and nodes that hold what the others do not. */
#include "base/crc32c.h"
#include "tests/lib/cluster.h"
#include "tests/lib/files.h"
#include "tests/lib/run.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE 300000

static void expect(struct cluster *c, int node, int status, const char *words, const char *a, const char *b, const char *rev)
{
	struct run_result r;
	tallyctl(c, node, &r, a, b, rev ? "--rev" : NULL, rev, NULL);
	if (r.status != status || !strstr(status ? r.err : r.out, words))
		cluster_fail("%s %s: status %d: %s%s", a, b, r.status, r.out, r.err);
	run_done(&r);
}

static const char *number(uint64_t n)
{
	return path("%llu", (unsigned long long)n);
}

static void fill(char *data, char byte)
{
	memset(data, byte, LARGE);
}

static void the_floor_is_the_same_on_every_node_and_path(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, NULL);
	const char *m = c->nodes[0].mount;
	char names[256];
	assert_int_equal(mkdir(path("%s/d", m), 0755), 0);
	for (int i = 1; i <= 5; i++)
		assert_int_equal(file_write(path("%s/d/f", m), number((uint64_t)i)), 0);
	cluster_agree(c);
	uint64_t last = node_number(c, 0, "revision");
	expect(c, 1, 0, "compacted revision", "compact", number(last - 1), NULL);
	expect(c, 2, 1, "has been compacted already", "compact", number(last - 1), NULL);
	expect(c, 2, 1, "still to come", "compact", number(last + 1), NULL);
	cluster_agree(c);
	for (int i = 0; i < 3; i++) {
		const char *mount = c->nodes[i].mount;
		assert_int_equal(node_number(c, i, "compact_revision"), last - 1);
		expect(c, i, 1, path("the oldest is %s", number(last - 1)), "get", "d/f", number(last - 2));
		expect(c, i, 0, "4", "get", "d/f", number(last - 1));
		assert_int_equal(try_open(path("%s/d/f@%s", mount, number(last - 2)), O_RDONLY), -ENODATA);
		assert_int_equal(try_open(path("%s/d/@%s/f", mount, number(last - 2)), O_RDONLY), -ENODATA);
		assert_true(file_is(path("%s/d/f@%s", mount, number(last - 1)), "4"));
		assert_true(file_is(path("%s/@%s/d/f", mount, number(last - 1)), "4"));
		dir_names(path("%s/d/f@", mount), names, sizeof(names));
		assert_string_equal(names, path("%s %s ", number(last - 1), number(last)));
		assert_true(file_is(path("%s/d/f@/%s", mount, number(last - 1)), "4"));
		assert_true(file_is(path("%s/d/f@-1", mount), "4"));
		/* There was one before that; but none of a file that is newer. */
		assert_int_equal(try_open(path("%s/d/f@-2", mount), O_RDONLY), -ENODATA);
	}
	assert_int_equal(file_write(path("%s/d/new", m), "1"), 0);
	assert_int_equal(try_open(path("%s/d/new@-1", m), O_RDONLY), -ENOENT);
	/* Each has applied the same, and has deleted as much of it as it has: one hash, and the same one after a restart. */
	node_end(c, 2);
	node_start(c, 2);
	assert_int_equal(file_write(path("%s/d/f", m), "6"), 0);
	cluster_agree(c);
	char hashes[3][80];
	for (int i = 0; i < 3; i++) {
		struct run_result r;
		tallyctl(c, i, &r, "endpoint", "hash", NULL);
		assert_int_equal(r.status, 0);
		snprintf(hashes[i], sizeof(hashes[i]), "%s", strchr(r.out, ' '));
		run_done(&r);
	}
	assert_string_equal(hashes[0], hashes[1]);
	assert_string_equal(hashes[0], hashes[2]);
}

struct revision_wait {
	struct cluster *c;
	const char *field;
	uint64_t revision;
};

static bool revision_is_there(void *ctx)
{
	const struct revision_wait *w = ctx;
	return node_number(w->c, 0, w->field) >= w->revision;
}

static void an_open_file_is_read_to_its_end_whatever_is_compacted(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, NULL);
	const char *m = c->nodes[0].mount;
	char data[LARGE], got[LARGE];
	fill(data, 'a');
	assert_int_equal(file_put(path("%s/f", m), O_TRUNC, data, LARGE), 0);
	int fd = open(path("%s/f", m), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, got, 1000, 0), 1000);
	for (char byte = 'b'; byte < 'f'; byte++) {
		fill(data, byte);
		assert_int_equal(file_put(path("%s/f", m), O_TRUNC, data, LARGE), 0);
	}
	assert_int_equal(unlink(path("%s/f", m)), 0);
	assert_int_equal(file_write(path("%s/other", m), "x"), 0);
	expect(c, 0, 0, "compacted", "compact", number(node_number(c, 0, "revision")), NULL);
	struct revision_wait w = {c, "deleted_revision", node_number(c, 0, "compact_revision")};
	assert_true(wait_until(revision_is_there, &w, CLUSTER_WAIT_MS));
	fill(data, 'a');
	for (int at = 1000; at < LARGE; at += 10000)
		assert_int_equal(pread(fd, got + at, 10000, at), at + 10000 > LARGE ? LARGE - at : 10000);
	assert_memory_equal(got, data, LARGE);
	close(fd);
}

static void history_goes_by_itself_as_retain_says(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, "retain=50");
	const char *m = c->nodes[0].mount;
	for (int i = 0; i < 200; i++)
		assert_int_equal(file_write(path("%s/f", m), number((uint64_t)i)), 0);
	struct revision_wait w = {c, "compact_revision", node_number(c, 0, "revision") - 50};
	assert_true(wait_until(revision_is_there, &w, CLUSTER_WAIT_MS));
	assert_int_equal(node_number(c, 0, "compact_revision"), w.revision);
	assert_true(file_is(path("%s/f@%s", m, number(w.revision)), "149"));
}

static bool health_says(struct cluster *c, int node, const char *words)
{
	char health[256] = "";
	return node_field(c, node, "health", health, sizeof(health)) && strstr(health, words);
}

static void at_the_quota_history_yields_and_deleting_makes_room(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, "quota=8M");
	const char *m = c->nodes[0].mount;
	char *data = malloc(1 << 20);
	uint64_t most = 0;
	/* Ten times the quota in versions of one file: never refused. A megabyte takes a while, so what is freed keeps up. */
	for (int i = 0; i < 80; i++) {
		memset(data, 'a' + i % 26, 1 << 20);
		assert_int_equal(file_put(path("%s/f", m), O_TRUNC, data, 1 << 20), 0);
		uint64_t bytes = node_number(c, 0, "db_bytes");
		most = bytes > most ? bytes : most;
		if (i >= 12 && i % 4 == 3) {
			struct revision_wait w = {c, "compact_revision", node_number(c, 0, "revision") - 8};
			assert_true(wait_until(revision_is_there, &w, CLUSTER_WAIT_MS));
		}
	}
	note("quota=8M, 80M of versions: the store's file is %llu bytes at most", (unsigned long long)most);
	assert_true(most < 32u << 20);
	/* Live data: refused when it is over, and only then. */
	int error = 0, files = 0;
	for (; !error && files < 20; files++)
		error = file_put(path("%s/live%d", m, files), O_TRUNC, data, 1 << 20);
	assert_int_equal(error, -ENOSPC);
	assert_in_range(files, 7, 8);
	assert_true(health_says(c, 0, "quota reached"));
	assert_int_equal(unlink(path("%s/live0", m)), 0);
	assert_int_equal(unlink(path("%s/live1", m)), 0);
	assert_true(health_says(c, 0, "ok"));
	assert_int_equal(file_put(path("%s/again", m), O_TRUNC, data, 1 << 20), 0);
	free(data);
}

/* --- a node that holds something else --- */

static bool is_record_of(const MDB_val *record, const char *key)
{
	const uint8_t *bytes = record->mv_data;
	size_t size = strlen(key);
	return record->mv_size > 112 + size && (bytes[2] | bytes[3] << 8) == (int)size && memcmp(bytes + 112, key, size) == 0;
}

/* The owner of the newest version of `key` becomes another one in this node's store, its checksum fixed up: a change that only the others can see. */
static void falsify(const char *dir, const char *key)
{
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_cursor *cursor;
	MDB_val k, v;
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 8);
	mdb_env_set_mapsize(env, (size_t)1 << 32);
	assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "records", 0, &dbi), 0);
	assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
	int rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
	while (rc == 0 && !is_record_of(&v, key))
		rc = mdb_cursor_get(cursor, &k, &v, MDB_PREV);
	assert_int_equal(rc, 0);
	uint8_t record[8192];
	assert_true(v.mv_size <= sizeof(record));
	memcpy(record, v.mv_data, v.mv_size);
	record[60] ^= 1; /* uid */
	uint32_t crc = htobe32(crc32c(0, record, v.mv_size - 4));
	memcpy(record + v.mv_size - 4, &crc, 4);
	MDB_val wrong = {v.mv_size, record};
	assert_int_equal(mdb_cursor_put(cursor, &k, &wrong, MDB_CURRENT), 0);
	mdb_cursor_close(cursor);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_sync(env, 1);
	mdb_env_close(env);
}

static bool has_diverged(void *ctx)
{
	return health_says(ctx, 2, "diverged at index");
}

static void what_a_file_takes_of_the_quota_is_its_size(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(1, "quota=8M");
	const char *m = c->nodes[0].mount, *f = path("%s/f", m);
	size_t size = 5u << 20;
	char *data = malloc(size);
	/* Written again it takes what it took; by a file, over its bytes, or by a key. */
	for (int i = 0; i < 3; i++) {
		memset(data, 'a' + i, size);
		assert_int_equal(file_put(f, i == 2 ? 0 : O_TRUNC, data, size), 0);
	}
	struct run_result r;
	for (int i = 0; i < 2; i++) {
		run_shell(&r, "head -c 1900K /dev/zero | %s --endpoints %s put key -", tallyctl_binary(), c->nodes[0].data);
		if (r.status != 0)
			cluster_fail("put: %s", r.err);
		run_done(&r);
	}
	/* Of writers who opened it empty, each at a place of its own, none counts what the others wrote. */
	int parts[4];
	assert_int_equal(file_put(f, O_TRUNC, data, 0), 0);
	for (int i = 0; i < 4; i++)
		assert_true((parts[i] = open(f, O_WRONLY | O_CLOEXEC)) >= 0);
	for (int i = 0; i < 4; i++) {
		size_t part = size / 4;
		assert_int_equal(pwrite(parts[i], data, part, (off_t)(part * (size_t)i)), part);
		assert_int_equal(close(parts[i]), 0);
	}
	/* Made larger, by whatever call, it is refused, and stays what it was. */
	assert_int_equal(truncate(f, 60 << 20), -1);
	assert_int_equal(errno, ENOSPC);
	int fd = open(f, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 60 << 20), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(fallocate(fd, 0, 0, 60 << 20), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(pwrite(fd, "x", 1, 60 << 20), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(close(fd), 0);
	struct stat st;
	assert_int_equal(stat(f, &st), 0);
	assert_int_equal(st.st_size, size);
	/* That one was far too large says nothing of the others. */
	assert_true(health_says(c, 0, "ok"));
	free(data);
}

static void a_node_that_holds_something_else_stops_and_says_so(void **state)
{
	(void)state;
	struct cluster *c = cluster_up(3, "consistency=serial,timeout=2s");
	const char *m = c->nodes[0].mount;
	char text[16];
	assert_int_equal(file_write(path("%s/f", m), "one"), 0);
	assert_int_equal(file_write(path("%s/other", m), "x"), 0);
	cluster_agree(c);
	assert_int_equal(node_end(c, 2), 0);
	falsify(path("%s/store", c->nodes[2].data), "f");
	node_start(c, 2);
	/* What it holds is wrong, and it has put nothing since: nothing can tell. With the next change of the file it puts something else. */
	assert_int_equal(file_append(path("%s/f", m), "two"), 0);
	assert_true(wait_until(has_diverged, c, CLUSTER_WAIT_MS));
	assert_int_equal(file_read(path("%s/other", c->nodes[2].mount), text, sizeof(text)), -EIO);
	assert_int_equal(file_write(path("%s/other", c->nodes[2].mount), "y"), -EIO);
	expect(c, 2, 1, "diverged at index", "get", "other", NULL);
	/* The others go on, and one that led has given up. */
	assert_int_equal(file_append(path("%s/f", m), "three"), 0);
	assert_true(file_is(path("%s/f", m), "onetwothree"));
	assert_true(health_says(c, 0, "ok"));
	assert_true(health_says(c, 1, "ok"));
	assert_true(cluster_leader(c) != 2);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_teardown(f, cluster_teardown)
	const struct CMUnitTest tests[] = {
		STORY(the_floor_is_the_same_on_every_node_and_path), STORY(an_open_file_is_read_to_its_end_whatever_is_compacted),
		STORY(history_goes_by_itself_as_retain_says),        STORY(at_the_quota_history_yields_and_deleting_makes_room),
		STORY(what_a_file_takes_of_the_quota_is_its_size),   STORY(a_node_that_holds_something_else_stops_and_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
