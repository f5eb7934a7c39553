/* A store in a temporary directory, and the few commands that the stories of test_mvcc*.c are made of. */
#ifndef TALLY_TESTS_UNIT_TEST_MVCC_H
#define TALLY_TESTS_UNIT_TEST_MVCC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/mvcc/mvcc.h"

#define CLUSTER 0xc0ffee

struct fixture {
	char dir[256];
	struct mvcc *m;
	uint64_t index;
	int64_t now;
};

static inline struct span text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static inline int store_try(struct fixture *f, uint64_t cluster, char *why, size_t why_size)
{
	struct mvcc_config config = {.dir = f->dir, .cluster_id = cluster, .map_bytes = (uint64_t)1 << 32, .no_sync = true};
	return mvcc_open(&config, &f->m, why, why_size);
}

static inline void store_start(struct fixture *f)
{
	char why[512] = "";
	int error = store_try(f, CLUSTER, why, sizeof why);
	if (error)
		print_error("%s\n", why);
	assert_int_equal(error, 0);
	f->index = mvcc_applied(f->m);
	f->now = mvcc_last_time(f->m);
}

static inline void store_restart(struct fixture *f)
{
	mvcc_close(f->m);
	store_start(f);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	const char *tmp = getenv("TMPDIR");
	snprintf(f->dir, sizeof f->dir, "%s/test_mvcc.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	store_start(f);
	*state = f;
	return 0;
}

static inline void store_remove(const struct fixture *f)
{
	char path[300];
	snprintf(path, sizeof path, "%s/data.mdb", f->dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/lock.mdb", f->dir);
	unlink(path);
	rmdir(f->dir);
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	if (f->m)
		mvcc_close(f->m);
	store_remove(f);
	free(f);
	return 0;
}

static inline void begin(struct fixture *f)
{
	mvcc_begin(f->m, ++f->index, 1);
}

static inline uint64_t end(struct fixture *f)
{
	return mvcc_end(f->m, ++f->now);
}

/* Within a command: makes or changes a key as apply would. */
static inline void put(struct fixture *f, const char *key, uint32_t mode, const void *data, size_t size)
{
	struct record old = {0};
	struct record r = {.mode = mode, .uid = 7, .gid = 8, .nlink = 1, .key = text(key), .size = size};
	r.modified.main = mvcc_next_revision(f->m);
	if (mvcc_get(f->m, text(key), 0, &old) == 0) {
		r.ino = old.ino;
		r.created = old.created;
		r.version = old.version + 1;
	} else {
		r.ino = mvcc_next_ino(f->m);
		r.created.main = r.modified.main;
		r.version = 1;
	}
	if (size <= MVCC_INLINE_MAX)
		r.data = (struct span){data, size};
	mvcc_put(f->m, &r);
	record_done(&old);
}

/* Whole commands. */
static inline uint64_t put_file(struct fixture *f, const char *key, const char *content)
{
	begin(f);
	put(f, key, S_IFREG | 0644, content, strlen(content));
	return end(f);
}

static inline uint64_t put_dir(struct fixture *f, const char *key)
{
	begin(f);
	put(f, key, S_IFDIR | 0755, NULL, 0);
	return end(f);
}

static inline uint64_t delete_key(struct fixture *f, const char *key)
{
	begin(f);
	mvcc_tombstone(f->m, text(key));
	return end(f);
}

/* A touch, as a directory gets when a child comes or goes. */
static inline uint64_t touch_dir(struct fixture *f, const char *key, uint32_t nlink)
{
	struct record r = {0};
	begin(f);
	assert_int_equal(mvcc_get(f->m, text(key), 0, &r), 0);
	r.flags = RECORD_TOUCH;
	r.nlink = nlink;
	mvcc_put(f->m, &r);
	record_done(&r);
	return end(f);
}

/* The file's content at a revision, or an error's name; good until the next call. */
static inline const char *content(struct fixture *f, const char *key, uint64_t rev)
{
	static char buffer[8192];
	struct record r = {0};
	int error = mvcc_get(f->m, text(key), rev, &r);
	if (error == -ENOENT)
		return "ENOENT";
	if (error == -ENODATA)
		return "ENODATA";
	assert_int_equal(error, 0);
	ssize_t n = mvcc_read(f->m, &r, 0, buffer, sizeof buffer - 1);
	assert_true(n >= 0);
	buffer[n] = 0;
	record_done(&r);
	return buffer;
}

/* The names in a directory, each followed by a blank. */
static inline const char *names(struct fixture *f, const char *dir, uint64_t rev)
{
	static char buffer[4096];
	struct mvcc_list l = {0};
	int error = mvcc_list(f->m, text(dir), rev, &l);
	if (error)
		return error == -ENOENT ? "ENOENT" : error == -ENOTDIR ? "ENOTDIR" : "?";
	buffer[0] = 0;
	for (size_t i = 0, at = 0; i < l.count; i++)
		at += (size_t)snprintf(buffer + at, sizeof buffer - at, "%s ", l.names[i].name);
	mvcc_list_done(&l);
	return buffer;
}

#endif
