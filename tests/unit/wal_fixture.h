/* wal_fixture.h: a log in a folder of its own, for the tests of the log. */
#ifndef TALLY_TESTS_WAL_FIXTURE_H
#define TALLY_TESTS_WAL_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "raft/wal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLUSTER 0xc1u
#define NODE 0x11u
#define SMALL_SEGMENT 16384u

struct fixture {
	char dir[256];
	char why[1024];
	struct wal *wal;
	uint32_t segment_bytes;
};

static inline int fixture_open(struct fixture *f, uint64_t cluster, uint64_t node)
{
	struct wal_config config = {.dir = f->dir, .cluster_id = cluster, .node_id = node, .segment_bytes = f->segment_bytes};
	f->why[0] = '\0';
	return wal_open(&config, &f->wal, f->why, sizeof(f->why));
}

static inline void fixture_must_open(struct fixture *f)
{
	int rc = fixture_open(f, CLUSTER, NODE);
	if (rc != 0)
		fail_msg("wal_open: %d %s", rc, f->why);
}

static inline void fixture_close(struct fixture *f)
{
	wal_close(f->wal);
	f->wal = NULL;
}

static inline void fixture_reopen(struct fixture *f)
{
	fixture_close(f);
	fixture_must_open(f);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *base = getenv("TMPDIR");
	snprintf(f->dir, sizeof(f->dir), "%s/tally-wal-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	f->segment_bytes = SMALL_SEGMENT;
	*state = f;
	return 0;
}

/* The names of the log's segments in order; gives their count. */
static inline int fixture_segments(const struct fixture *f, char names[][64], int names_max)
{
	struct dirent **list;
	int found = scandir(f->dir, &list, NULL, alphasort);
	int n = 0;
	assert_true(found >= 0);
	for (int i = 0; i < found; i++) {
		size_t length = strlen(list[i]->d_name);
		if (length > 4 && strcmp(list[i]->d_name + length - 4, ".wal") == 0 && n < names_max)
			snprintf(names[n++], 64, "%.63s", list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return n;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	struct dirent **list;
	fixture_close(f);
	int found = scandir(f->dir, &list, NULL, NULL);
	int dir = open(f->dir, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < found; i++) {
		unlinkat(dir, list[i]->d_name, 0);
		free(list[i]);
	}
	free(list);
	close(dir);
	rmdir(f->dir);
	free(f);
	return 0;
}

/* An entry whose data tells its index and term: `size` bytes of it. */
static inline struct raft_entry fixture_entry(uint64_t index, uint64_t term, uint8_t *room, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		room[i] = (uint8_t)(index * 31 + term * 7 + i);
	return (struct raft_entry){.term = term, .index = index, .type = RAFT_ENTRY_COMMAND, .size = size, .data = room};
}

static inline void fixture_save(struct fixture *f, uint64_t index, uint64_t term, uint32_t size)
{
	uint8_t *room = malloc(size + 1);
	struct raft_entry e = fixture_entry(index, term, room, size);
	assert_int_equal(wal_save(f->wal, NULL, &e, 1), 0);
	free(room);
}

struct expected {
	uint64_t next;
	uint64_t term;
	uint64_t count;
};

static inline int fixture_check_entry(void *ctx, const struct raft_entry *entry)
{
	struct expected *x = ctx;
	uint8_t *room = malloc(entry->size + 1);
	fixture_entry(entry->index, entry->term, room, entry->size);
	assert_int_equal(entry->index, x->next);
	if (x->term != 0)
		assert_int_equal(entry->term, x->term);
	assert_int_equal(entry->type, RAFT_ENTRY_COMMAND);
	assert_memory_equal(entry->data, room, entry->size);
	free(room);
	x->next++;
	x->count++;
	return 0;
}

/* Reads lo..hi-1 and checks that all of it is there, of `term` (0: any). */
static inline void fixture_must_read(struct fixture *f, uint64_t lo, uint64_t hi, uint64_t term)
{
	struct expected x = {.next = lo, .term = term};
	assert_int_equal(wal_read(f->wal, lo, hi, SIZE_MAX, fixture_check_entry, &x), 0);
	assert_int_equal(x.count, hi - lo);
}

#endif
