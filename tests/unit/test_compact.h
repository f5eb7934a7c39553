/* A store next to a plain model of it: every record and block that was ever put, so that what any revision shows, and what compaction has to
 * leave, can be told by looking through lists. */
#ifndef TALLY_TESTS_UNIT_TEST_COMPACT_H
#define TALLY_TESTS_UNIT_TEST_COMPACT_H

#include "test_mvcc.h"

#include "base/clock.h"
#include "store/mvcc/inside.h"

#include <poll.h>

#define KEYS 12
#define BLOCKS 4

struct version {
	int key;
	uint64_t main;
	uint64_t ino; /* 0: a tombstone */
	size_t size;
	char content[BLOCKS]; /* of each block, or of the whole if it is small; 0: zeros */
	bool touch;
};

struct piece {
	uint64_t ino;
	uint32_t block;
	uint64_t main;
	bool hole;
};

struct model {
	struct fixture *f;
	struct version *versions;
	size_t versions_count;
	struct piece *pieces;
	size_t pieces_count;
	uint64_t dice;
	uint64_t floor;
};

static inline uint64_t throw_dice(struct model *m, uint64_t sides)
{
	m->dice ^= m->dice << 13;
	m->dice ^= m->dice >> 7;
	m->dice ^= m->dice << 17;
	return m->dice % sides;
}

static inline const char *key_name(int key)
{
	static char name[4][16];
	static int turn;
	char *out = name[turn++ % 4];
	snprintf(out, sizeof name[0], "%c/%d", "xy"[key % 2], key);
	return out;
}

/* What a key shows at a revision; NULL: nothing. */
static inline const struct version *shown(const struct model *m, int key, uint64_t rev)
{
	for (size_t i = m->versions_count; i-- > 0;)
		if (m->versions[i].key == key && m->versions[i].main <= rev)
			return m->versions[i].ino ? &m->versions[i] : NULL;
	return NULL;
}

static inline bool lives_at(const struct model *m, uint64_t ino, uint64_t rev)
{
	for (int key = 0; key < KEYS; key++) {
		const struct version *v = shown(m, key, rev);
		if (v && v->ino == ino)
			return true;
	}
	return false;
}

static inline void add_version(struct model *m, struct version v)
{
	m->versions = realloc(m->versions, (m->versions_count + 1) * sizeof *m->versions);
	m->versions[m->versions_count++] = v;
}

/* Within a command. */
static inline void model_block(struct model *m, uint64_t ino, uint32_t block, char byte)
{
	static char data[MVCC_BLOCK_BYTES];
	memset(data, byte, sizeof data);
	mvcc_put_block(m->f->m, ino, block, (struct span){data, byte ? sizeof data : 0});
	m->pieces = realloc(m->pieces, (m->pieces_count + 1) * sizeof *m->pieces);
	m->pieces[m->pieces_count++] = (struct piece){ino, block, mvcc_next_revision(m->f->m), byte == 0};
}

static inline void model_record(struct model *m, struct version v)
{
	char small[100];
	struct record r = {.mode = S_IFREG | 0644, .nlink = 1, .version = 1, .key = text(key_name(v.key)), .ino = v.ino, .size = v.size};
	memset(small, v.content[0], sizeof small);
	r.modified.main = r.created.main = v.main = mvcc_next_revision(m->f->m);
	if (v.size <= sizeof small)
		r.data = (struct span){small, v.size};
	if (v.touch)
		r.flags = RECORD_TOUCH;
	mvcc_put(m->f->m, &r);
	add_version(m, v);
}

static inline void model_tombstone(struct model *m, int key)
{
	mvcc_tombstone(m->f->m, text(key_name(key)));
	add_version(m, (struct version){.key = key, .main = mvcc_next_revision(m->f->m)});
}

/* A new content: small, or of a few blocks of which some are written anew; as apply does it. */
static inline void model_write(struct model *m, int key)
{
	const struct version *old = shown(m, key, UINT64_MAX);
	struct version v = old ? *old : (struct version){.key = key, .ino = mvcc_next_ino(m->f->m)};
	size_t had = v.size > 100 ? v.size / MVCC_BLOCK_BYTES : 0;
	size_t blocks = throw_dice(m, 3) ? 1 + throw_dice(m, BLOCKS) : 0;
	char byte = (char)('a' + throw_dice(m, 26));
	v.touch = false;
	for (size_t i = blocks; i < had; i++) {
		model_block(m, v.ino, (uint32_t)i, 0);
		v.content[i] = 0;
	}
	for (size_t i = 0; i < blocks; i++) {
		if (i < had && throw_dice(m, 2))
			continue;
		model_block(m, v.ino, (uint32_t)i, byte);
		v.content[i] = byte;
	}
	v.size = blocks * MVCC_BLOCK_BYTES;
	if (blocks == 0) {
		v.size = 1 + throw_dice(m, 99);
		v.content[0] = byte;
	}
	model_record(m, v);
}

/* A file that takes the name of another one, which ends, or trades places with it. */
static inline void model_rename(struct model *m, int from, int to)
{
	const struct version *moved = shown(m, from, UINT64_MAX);
	const struct version *there = shown(m, to, UINT64_MAX);
	struct version a = *moved, b = {0};
	bool swap = there && throw_dice(m, 3) == 0;
	if (there)
		b = *there;
	a.key = to;
	b.key = from;
	a.touch = b.touch = false;
	if (!swap)
		model_tombstone(m, from);
	model_record(m, a);
	if (swap)
		model_record(m, b);
}

/* One command with one change or a few. */
static inline void model_step(struct model *m)
{
	int key = (int)throw_dice(m, KEYS), other = (int)throw_dice(m, KEYS);
	const struct version *v = shown(m, key, UINT64_MAX);
	uint64_t what = throw_dice(m, 10);
	begin(m->f);
	if (!v || what < 5) {
		model_write(m, key);
	} else if (what < 6) {
		model_tombstone(m, key);
	} else if (what < 9 && key != other) {
		model_rename(m, key, other);
	} else {
		struct version touched = *v;
		touched.touch = true;
		model_record(m, touched);
	}
	end(m->f);
}

static inline void check_version(struct model *m, const struct version *v, int key, uint64_t rev)
{
	struct record r = {0};
	char byte;
	int error = mvcc_get(m->f->m, text(key_name(key)), rev, &r);
	assert_int_equal(error, v ? 0 : -ENOENT);
	if (!v)
		return;
	assert_int_equal(r.ino, v->ino);
	assert_int_equal(r.size, v->size);
	for (size_t at = 0, i = 0; at < v->size; at += MVCC_BLOCK_BYTES, i++) {
		assert_int_equal(mvcc_read(m->f->m, &r, at, &byte, 1), 1);
		assert_int_equal(byte, v->content[i]);
	}
	record_done(&r);
}

/* From the floor on every revision shows what it always did; below it none does. */
static inline void check_revisions(struct model *m, uint64_t stride)
{
	uint64_t last = mvcc_revision(m->f->m);
	struct record r = {0};
	assert_int_equal(mvcc_compact_revision(m->f->m), m->floor);
	for (uint64_t rev = m->floor ? m->floor : 1; rev <= last; rev += rev + stride > last && rev < last ? last - rev : stride)
		for (int key = 0; key < KEYS; key++)
			check_version(m, shown(m, key, rev), key, rev);
	if (m->floor > 1)
		assert_int_equal(mvcc_get(m->f->m, text(key_name(0)), m->floor - 1, &r), -ENODATA);
}

static inline size_t records_to_stay(const struct model *m)
{
	size_t stay = 1; /* the root */
	for (size_t i = 0; i < m->versions_count; i++) {
		const struct version *v = &m->versions[i];
		bool followed = false;
		for (size_t j = i + 1; j < m->versions_count && !followed; j++)
			followed = (m->versions[j].key == v->key && m->versions[j].main <= m->floor);
		if (v->main > m->floor || (!followed && (v->ino || v->main == m->floor)))
			stay++;
	}
	return stay;
}

static inline size_t blocks_to_stay(const struct model *m)
{
	size_t stay = 0;
	for (size_t i = 0; i < m->pieces_count; i++) {
		const struct piece *p = &m->pieces[i];
		bool followed = false;
		for (size_t j = i + 1; j < m->pieces_count && !followed; j++)
			followed =
				followed || (m->pieces[j].ino == p->ino && m->pieces[j].block == p->block && m->pieces[j].main <= m->floor);
		if (p->main > m->floor || (!followed && !p->hole && lives_at(m, p->ino, m->floor)))
			stay++;
	}
	return stay;
}

static inline void count_stored(struct fixture *f, uint64_t *records, uint64_t *blocks)
{
	MDB_txn *txn;
	uint64_t bytes;
	assert_int_equal(backend_begin(f->m->backend, &txn), 0);
	assert_int_equal(backend_size(f->m->backend, txn, BACKEND_RECORDS, records, &bytes), 0);
	assert_int_equal(backend_size(f->m->backend, txn, BACKEND_BLOCKS, blocks, &bytes), 0);
	backend_end(f->m->backend, txn);
}

/* What is left in LMDB, and in the index, is what has to be. */
static inline void check_left(struct model *m)
{
	uint64_t records, blocks;
	struct mark one;
	size_t count, marks = 0;
	count_stored(m->f, &records, &blocks);
	assert_int_equal(records, records_to_stay(m));
	assert_int_equal(blocks, blocks_to_stay(m));
	struct index_node *n;
	for (struct index_cursor c = index_seek(&m->f->m->index, text("")); (n = index_at(&c)); index_next(&c)) {
		index_marks(n, &one, &count);
		marks += count;
	}
	assert_int_equal(marks, records);
}

/* Within 20 s, or it fails. */
static inline void await_compacted(struct fixture *f, uint64_t floor)
{
	struct mvcc_stats s = {0};
	int64_t until_ns = clock_mono_ns() + INT64_C(20000000000);
	for (mvcc_stats(f->m, &s); s.compacted < floor; mvcc_stats(f->m, &s)) {
		assert_int_equal(s.error, 0);
		assert_true(clock_mono_ns() < until_ns);
		poll(NULL, 0, 1);
	}
}

static inline void raise_floor(struct fixture *f, uint64_t revision)
{
	begin(f);
	mvcc_compact(f->m, revision);
	end(f);
}

static inline void compact_to(struct fixture *f, uint64_t revision)
{
	raise_floor(f, revision);
	assert_int_equal(mvcc_flush(f->m), 0);
	await_compacted(f, revision);
}

static inline void model_free(struct model *m)
{
	free(m->versions);
	free(m->pieces);
}

#endif
