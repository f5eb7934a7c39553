/* The sending side of a snapshot: a read transaction, walked chunk by chunk. */
#include "store/mvcc/chunk.h"
#include "store/mvcc/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct mvcc_dump {
	struct backend *backend;
	MDB_txn *txn;
	struct writer manifest;
	struct state state;
};

static bool is_left_out(enum backend_database which, struct span key)
{
	return which == BACKEND_METAS && *(const char *)key.data != 'u';
}

static int count_meta(void *ctx, struct span key, struct span value)
{
	uint64_t *count = ctx;
	(void)value;
	if (!is_left_out(BACKEND_METAS, key))
		++*count;
	return 0;
}

static int describe(struct mvcc_dump *d, struct dump_manifest *m)
{
	int error = backend_find_own(d->backend, d->txn, META_STATE, &m->state);
	if (!error && state_decode(m->state, &d->state))
		error = -EIO;
	for (unsigned i = 0; i < DUMP_DATABASES && !error; i++) {
		uint64_t bytes = 0;
		error = backend_size(d->backend, d->txn, BACKEND_RECORDS + i, &m->entries[i], &bytes);
		m->bytes += bytes;
	}
	m->entries[BACKEND_METAS - 1] = 0;
	if (!error)
		error = backend_walk(d->backend, d->txn, BACKEND_METAS, (struct span){NULL, 0}, count_meta, &m->entries[BACKEND_METAS - 1]);
	return error;
}

int mvcc_dump_open(struct mvcc *m, struct mvcc_dump **out)
{
	struct mvcc_dump *d = calloc(1, sizeof *d);
	struct dump_manifest manifest = {0};
	if (!d)
		abort();
	mvcc_lock_shared(m);
	d->backend = m->backend;
	int error = backend_begin(d->backend, &d->txn);
	mvcc_unlock_shared(m);
	if (error) {
		free(d);
		return error;
	}
	error = describe(d, &manifest);
	if (error) {
		mvcc_dump_close(d);
		return error;
	}
	manifest_encode(&manifest, &d->manifest);
	*out = d;
	return 0;
}

void mvcc_dump_close(struct mvcc_dump *d)
{
	if (!d)
		return;
	backend_end(d->backend, d->txn);
	writer_free(&d->manifest);
	free(d);
}

struct span mvcc_dump_manifest(const struct mvcc_dump *d)
{
	return (struct span){d->manifest.data, d->manifest.size};
}

struct filling {
	const struct state *state;
	enum backend_database which;
	struct dump_position *at;
	struct writer *out;
	size_t begin;
};

/* Would it be taken where it is sent to? */
static bool is_sound(const struct filling *f, struct span key, struct span value)
{
	uint8_t database = (uint8_t)f->which;
	return chunk_entry_follows(f->at, database, key) && chunk_entry_is_valid(f->state, database, key, value);
}

static int add(void *ctx, struct span key, struct span value)
{
	struct filling *f = ctx;
	size_t size = f->out->size - f->begin;
	if (is_left_out(f->which, key))
		return 0;
	if (key.size > DUMP_KEY_MAX || value.size > CHUNK_VALUE_MAX || !is_sound(f, key, value))
		return -EIO;
	if (size > 0 && size + CHUNK_ENTRY_HEAD + key.size + value.size > DUMP_CHUNK_BYTES)
		return 1;
	chunk_add(f->out, (uint8_t)f->which, key, value);
	f->at->database = (uint8_t)f->which;
	f->at->key_size = (uint16_t)key.size;
	memcpy(f->at->key, key.data, key.size);
	return 0;
}

int mvcc_dump_read(struct mvcc_dump *d, struct dump_position *at, struct writer *out)
{
	struct filling f = {.state = &d->state, .at = at, .out = out, .begin = out->size};
	unsigned from = at->database ? at->database : BACKEND_RECORDS;
	for (unsigned which = from; which <= DUMP_DATABASES; which++) {
		/* A copy, as the position moves while the walk looks at it. */
		struct dump_position behind = *at;
		f.which = which;
		struct span after = {behind.key, behind.database == which ? behind.key_size : 0};
		int rc = backend_walk(d->backend, d->txn, f.which, after, add, &f);
		if (rc)
			return rc;
	}
	return 0;
}
