/* Manifest (little-endian; bytes: a u32 length, then so many bytes)
 *
 *	u16    format     1
 *	bytes  state      as in state.c, with its checksum
 *	u64    entries    of records, blocks, metas, stages
 *	u64    bytes      about, of the stream
 *
 * Chunk: entries, one after the other; over the whole stream they are in order of database and key, as LMDB has them, each once:
 *
 *	u8     database   1 records, 2 blocks, 3 metas, 4 stages
 *	u16    bytes of key
 *	u32    bytes of value
 *	       key, value: as they are stored (backend.h), with their checksums. Of the metas only those of users ('u') are there.
 *
 * Position: u8 database, u16 bytes of key, key; 0 and nothing for the start.
 *
 * Valid: order and lengths as said; keys of the right size; records and blocks that pass their checksums, no later than the manifest's revision;
 * records that decode, with a key that is a path and a number that was given out. */
#include "store/mvcc/chunk.h"

#include "base/crc32c.h"
#include "store/mvcc/backend.h"
#include "store/mvcc/index.h"

#include <errno.h>
#include <string.h>

#define MANIFEST_FORMAT 1u

_Static_assert(DUMP_DATABASES == BACKEND_DATABASES, "every database is dumped");

void dump_position_encode(const struct dump_position *p, struct writer *w)
{
	writer_u8(w, p->database);
	writer_u16(w, p->key_size);
	writer_raw(w, p->key, p->key_size);
}

void dump_position_decode(struct reader *r, struct dump_position *out)
{
	struct dump_position p = {.database = reader_u8(r), .key_size = reader_u16(r)};
	bool start = p.database == 0 && p.key_size == 0;
	if (!start && (p.database == 0 || p.database > DUMP_DATABASES || p.key_size == 0 || p.key_size > DUMP_KEY_MAX))
		reader_fail(r);
	struct span key = reader_raw(r, p.key_size);
	if (r->failed)
		return;
	if (key.size > 0)
		memcpy(p.key, key.data, key.size);
	*out = p;
}

void manifest_encode(const struct dump_manifest *m, struct writer *w)
{
	writer_u16(w, MANIFEST_FORMAT);
	writer_bytes(w, m->state.data, m->state.size);
	for (unsigned i = 0; i < DUMP_DATABASES; i++)
		writer_u64(w, m->entries[i]);
	writer_u64(w, m->bytes);
}

int dump_manifest_decode(struct span bytes, struct dump_manifest *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct dump_manifest m = {0};
	struct state state;
	if (reader_u16(&r) != MANIFEST_FORMAT)
		reader_fail(&r);
	m.state = reader_bytes(&r, DUMP_MANIFEST_BYTES_MAX);
	for (unsigned i = 0; i < DUMP_DATABASES; i++)
		m.entries[i] = reader_u64(&r);
	m.bytes = reader_u64(&r);
	if (!reader_done(&r) || state_decode(m.state, &state) || state.format != MVCC_FORMAT)
		return -EBADMSG;
	m.cluster_id = state.cluster_id;
	m.index = state.applied;
	m.term = state.term;
	m.revision = state.revision;
	m.compact_revision = state.compact_revision;
	m.hash = state.hash;
	*out = m;
	return 0;
}

void chunk_add(struct writer *w, uint8_t database, struct span key, struct span value)
{
	writer_u8(w, database);
	writer_u16(w, (uint16_t)key.size);
	writer_u32(w, (uint32_t)value.size);
	writer_raw(w, key.data, key.size);
	writer_raw(w, value.data, value.size);
}

int chunk_each(struct span chunk, int (*fn)(void *ctx, uint8_t database, struct span key, struct span value), void *ctx)
{
	struct reader r = reader_over(chunk.data, chunk.size);
	while (reader_left(&r) > 0) {
		uint8_t database = reader_u8(&r);
		uint16_t key_size = reader_u16(&r);
		uint32_t value_size = reader_u32(&r);
		struct span key = reader_raw(&r, key_size);
		struct span value = reader_raw(&r, value_size);
		if (r.failed || database == 0 || database > DUMP_DATABASES || key_size == 0 || key_size > DUMP_KEY_MAX ||
		    value_size > CHUNK_VALUE_MAX)
			return -EBADMSG;
		int error = fn(ctx, database, key, value);
		if (error)
			return error;
	}
	return r.failed ? -EBADMSG : 0;
}

/* One chunk being checked. */
struct checking {
	struct state state;
	struct load_progress to;
};

static bool path_is_valid(struct span key)
{
	const char *s = key.data;
	for (size_t from = 0; from < key.size;) {
		const char *slash = memchr(s + from, '/', key.size - from);
		size_t size = slash ? (size_t)(slash - s) - from : key.size - from;
		bool dots = size <= 2 && memcmp(s + from, "..", size) == 0;
		if (size == 0 || size > 255 || dots || memchr(s + from, 0, size) || (slash && from + size + 1 == key.size))
			return false;
		from += size + 1;
	}
	return true;
}

static bool record_is_valid(const struct state *s, struct span key, struct span value)
{
	struct record r;
	if (key.size != RECORD_KEY_BYTES || value.size < 4)
		return false;
	struct span bytes = {value.data, value.size - 4};
	uint64_t main = backend_key_u64(key.data);
	if (main == 0 || main > s->revision ||
	    backend_key_u32((const uint8_t *)value.data + bytes.size) != crc32c(0, bytes.data, bytes.size))
		return false;
	return record_decode(bytes, &r) == 0 && path_is_valid(r.key) && r.ino > 0 && r.ino < s->next_ino && r.modified.main <= main &&
	       r.created.main <= main;
}

static bool block_is_valid(const struct state *s, struct span key, struct span value)
{
	const uint8_t *k = key.data;
	if (key.size != BLOCK_KEY_BYTES || value.size > MVCC_BLOCK_BYTES)
		return false;
	return backend_key_u64(k + 12) <= s->revision && backend_key_u32(k + 20) == crc32c(0, value.data, value.size);
}

bool chunk_entry_is_valid(const struct state *s, uint8_t database, struct span key, struct span value)
{
	struct span bytes;
	switch (database) {
	case BACKEND_RECORDS:
		return record_is_valid(s, key, value);
	case BACKEND_BLOCKS:
		return block_is_valid(s, key, value);
	case BACKEND_METAS:
		return key.size > 1 && key.size <= 1 + BACKEND_META_NAME_MAX && *(const char *)key.data == 'u' &&
		       backend_check_keyed(key.data, key.size, value, &bytes) == 0;
	default:
		return key.size == STAGE_KEY_BYTES && backend_check_keyed(key.data, key.size, value, &bytes) == 0;
	}
}

bool chunk_entry_follows(const struct dump_position *at, uint8_t database, struct span key)
{
	if (database != at->database)
		return database > at->database;
	return key_compare((struct span){at->key, at->key_size}, key) < 0;
}

static int check_entry(void *ctx, uint8_t database, struct span key, struct span value)
{
	struct checking *c = ctx;
	struct dump_position *at = &c->to.at;
	if (!chunk_entry_follows(at, database, key) || !chunk_entry_is_valid(&c->state, database, key, value))
		return -EBADMSG;
	at->database = database;
	at->key_size = (uint16_t)key.size;
	memcpy(at->key, key.data, key.size);
	c->to.entries[database - 1]++;
	return 0;
}

int dump_chunk_check(const struct dump_manifest *m, struct span chunk, struct load_progress *p)
{
	struct checking c = {.to = *p};
	if (chunk.size > DUMP_CHUNK_BYTES_MAX || state_decode(m->state, &c.state))
		return -EBADMSG;
	int error = chunk_each(chunk, check_entry, &c);
	for (unsigned i = 0; i < DUMP_DATABASES; i++)
		if (c.to.entries[i] > m->entries[i])
			error = -EBADMSG;
	if (error)
		return error;
	c.to.chunks++;
	c.to.bytes += chunk.size;
	c.to.sum = crc32c(c.to.sum, chunk.data, chunk.size);
	*p = c.to;
	return 0;
}

int dump_end_check(const struct dump_manifest *m, const struct load_progress *p, uint32_t sum)
{
	return p->sum == sum && memcmp(p->entries, m->entries, sizeof p->entries) == 0 ? 0 : -EBADMSG;
}
