/* test_apply_store.h: a store of its own for each test, and commands applied to it. For tests/unit/test_apply*.c and test_session.c. */
#ifndef TALLY_TESTS_UNIT_TEST_APPLY_STORE_H
#define TALLY_TESTS_UNIT_TEST_APPLY_STORE_H

#include "store/apply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORIGIN 1u
#define SECOND INT64_C(1000000000)

struct world {
	char dir[256];
	struct mvcc *m;
	struct apply *a;
	uint64_t index;
	uint64_t epoch;
	uint64_t sequence;
	uint32_t uid;
	uint32_t gid;
	struct apply_outcome out; /* of the last command */
};

static inline struct span text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static inline void world_open(struct world *w)
{
	char why[256] = "";
	struct mvcc_config config = {.dir = w->dir, .cluster_id = 7, .map_bytes = 1u << 30, .no_sync = true};
	if (mvcc_open(&config, &w->m, why, sizeof(why)) != 0)
		fail_msg("mvcc_open: %s", why);
	assert_int_equal(apply_open(w->m, &w->a), 0);
}

static inline void world_make(struct world *w)
{
	const char *tmp = getenv("TMPDIR");
	*w = (struct world){.epoch = 1};
	snprintf(w->dir, sizeof(w->dir), "%s/tally-apply-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	world_open(w);
}

static inline void world_restart(struct world *w)
{
	apply_close(w->a);
	mvcc_close(w->m);
	world_open(w);
}

static inline void world_end(struct world *w)
{
	static const char *const files[] = {"data.mdb", "lock.mdb"};
	apply_close(w->a);
	mvcc_close(w->m);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[512];
		snprintf(path, sizeof(path), "%s/%s", w->dir, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(w->dir), 0);
}

static inline int setup(void **state)
{
	struct world *w = malloc(sizeof(*w));
	assert_non_null(w);
	world_make(w);
	*state = w;
	return 0;
}

static inline int teardown(void **state)
{
	world_end(*state);
	free(*state);
	return 0;
}

/* Applies a log entry as it is. */
static inline void apply_bytes(struct world *w, struct span bytes)
{
	apply_entry(w->a, ++w->index, 1, bytes, &w->out);
}

/* Applies a command under the next identity; the error. */
static inline int run(struct world *w, struct command c)
{
	struct writer bytes = {0};
	c.id = (struct command_id){.origin = ORIGIN, .epoch = w->epoch, .sequence = ++w->sequence, .floor = w->sequence};
	c.uid = w->uid;
	c.gid = w->gid;
	if (c.time_ns == 0)
		c.time_ns = (int64_t)w->index * SECOND;
	command_encode(&bytes, &c);
	apply_bytes(w, (struct span){bytes.data, bytes.size});
	writer_free(&bytes);
	assert_true(w->out.fresh);
	assert_int_equal(w->out.type, c.type);
	return w->out.result.error;
}

/* The same of one that cuts nothing. */
static inline int run_uncut(struct world *w, struct command c)
{
	c.truncate_to = COMMAND_NO_TRUNCATE;
	return run(w, c);
}

#define RUN(w, ...) run_uncut((w), (struct command){__VA_ARGS__})

static inline int put(struct world *w, const char *key, const char *value)
{
	return RUN(w, .type = COMMAND_PUT, .key = text(key), .value = text(value));
}

static inline int make_dir(struct world *w, const char *key)
{
	return RUN(w, .type = COMMAND_MKDIR, .key = text(key), .mode = 0755);
}

static inline int rename_flags(struct world *w, const char *from, const char *to, uint32_t flags)
{
	return RUN(w, .type = COMMAND_RENAME, .key = text(from), .key2 = text(to), .rename_flags = flags);
}

/* One range written by key. */
static inline int write_at(struct world *w, const char *key, uint32_t flags, uint64_t offset, const char *data)
{
	struct command_range range = {offset, text(data)};
	return RUN(w, .type = COMMAND_WRITE, .key = text(key), .mode = 0644, .write_flags = flags, .ranges = &range, .ranges_count = 1);
}

/* The record of a key without its spans; fails the test if it is not there. */
static inline struct record stat_of(struct world *w, const char *key)
{
	struct record r = {0};
	if (mvcc_get(w->m, text(key), 0, &r) != 0)
		fail_msg("%s is not there", key);
	struct record copy = r;
	copy.key = copy.xattrs = copy.data = (struct span){NULL, 0};
	copy.memory = NULL;
	record_done(&r);
	return copy;
}

static inline bool is_there(struct world *w, const char *key)
{
	struct record r = {0};
	int err = mvcc_get(w->m, text(key), 0, &r);
	assert_true(err == 0 || err == -ENOENT);
	record_done(&r);
	return err == 0;
}

/* A file's bytes at a revision, malloc'ed, a zero after them. */
static inline char *content_at(struct world *w, const char *key, uint64_t revision, size_t *size)
{
	struct record r = {0};
	assert_int_equal(mvcc_get(w->m, text(key), revision, &r), 0);
	char *bytes = calloc(1, r.size + 1);
	assert_non_null(bytes);
	size_t have = 0;
	while (have < r.size) {
		ssize_t got = mvcc_read(w->m, &r, have, bytes + have, r.size - have);
		assert_true(got > 0);
		have += (size_t)got;
	}
	*size = have;
	record_done(&r);
	return bytes;
}

static inline void assert_content(struct world *w, const char *key, const char *expected)
{
	size_t size;
	char *bytes = content_at(w, key, 0, &size);
	assert_string_equal(bytes, expected);
	assert_int_equal(size, strlen(expected));
	free(bytes);
}

#endif
