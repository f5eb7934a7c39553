/* The changes of revisions, in order: records are kept by revision, in LMDB and in the buffer, so this is a scan. What is in the buffer's two generations
 * is newer than all that is in LMDB.
 *
 * A rename puts the tombstone of the old key and the record of the new one, which has the same inode number, right after one another (apply_plan.c). */
#include "store/mvcc/inside.h"

#include <errno.h>
#include <stdlib.h>

struct item {
	struct rev rev;
	uint8_t flags;
	uint64_t ino;
	uint32_t mode;
	bool created;
	size_t key; /* offset in the text */
	uint16_t key_size;
};

/* One record more than the batch may have tells whether its last revision is whole. */
struct batch {
	struct rev from;
	struct item *items;
	size_t count;
	size_t room;
	struct writer text;
	int error;
};

static int add(void *ctx, struct rev rev, struct span bytes)
{
	struct batch *b = ctx;
	struct record_outline o;
	b->error = record_peek(bytes, &o);
	if (b->error)
		return b->error;
	b->items[b->count++] = (struct item){rev, o.flags, o.ino, o.mode, o.created_main == rev.main, b->text.size, (uint16_t)o.key.size};
	writer_raw(&b->text, o.key.data, o.key.size);
	return b->count == b->room;
}

static bool rev_less(struct rev a, struct rev b)
{
	return a.main < b.main || (a.main == b.main && a.sub < b.sub);
}

/* Is everything from `from` on in this generation or a later one? */
static bool begins_before(const struct buffer *g, struct rev from)
{
	return g && g->records_count > 0 && !rev_less(from, g->records[0].rev);
}

static void add_buffered(struct batch *b, const struct buffer *g)
{
	size_t low = 0;
	size_t high = g ? g->records_count : 0;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (rev_less(g->records[middle].rev, b->from))
			low = middle + 1;
		else
			high = middle;
	}
	for (; g && low < g->records_count && b->count < b->room; low++)
		if (add(b, g->records[low].rev, g->records[low].bytes))
			return;
}

/* With the lock, which it gives up. LMDB holds whole revisions, so if it has something, that is enough of a batch. */
static int gather_and_unlock(struct mvcc *m, struct batch *b)
{
	MDB_txn *txn = NULL;
	struct backend *backend = m->backend;
	int error = 0;
	if (begins_before(m->committing, b->from) || begins_before(m->active, b->from)) {
		add_buffered(b, m->committing);
		if (b->count < b->room && !b->error)
			add_buffered(b, m->active);
	} else {
		error = backend_begin(backend, &txn);
	}
	/* What is in neither generation is in LMDB by now; a batch that LMDB has nothing for begins with the buffer. */
	if (!error && txn) {
		const struct buffer *first = m->committing && m->committing->records_count > 0 ? m->committing : m->active;
		struct rev next = first->records_count > 0 ? first->records[0].rev : b->from;
		mvcc_unlock_shared(m);
		error = backend_scan_records(backend, txn, b->from, add, b);
		backend_end(backend, txn);
		if (error == 0 && b->count == 0)
			b->from = next;
		return error < 0 ? error : 0;
	}
	mvcc_unlock_shared(m);
	return error ? error : b->error;
}

static int gather(struct mvcc *m, struct batch *b)
{
	struct rev asked;
	int error;
	do {
		asked = b->from;
		mvcc_lock_shared(m);
		if (b->from.main <= m->state.compact_revision)
			error = -ENODATA;
		else if (b->from.main > m->state.revision)
			error = -EAGAIN;
		else
			error = 0;
		if (error) {
			mvcc_unlock_shared(m);
			return error;
		}
		error = gather_and_unlock(m, b);
	} while (!error && b->count == 0 && rev_less(asked, b->from));
	return error;
}

/* How many of the records make whole revisions; all but the last one if they are of one and the same. */
static size_t whole(const struct batch *b)
{
	size_t count = b->count;
	if (count < b->room)
		return count;
	uint64_t last = b->items[count - 1].rev.main;
	while (count > 0 && b->items[count - 1].rev.main == last)
		count--;
	return count > 0 ? count : b->count - 1;
}

static bool is_rename(const struct item *gone, const struct item *put)
{
	return (gone->flags & RECORD_TOMBSTONE) && !(put->flags & (RECORD_TOMBSTONE | RECORD_TOUCH)) && gone->ino == put->ino &&
	       gone->rev.main == put->rev.main && gone->ino != 0;
}

static struct mvcc_event event_of(const struct batch *b, const struct item *at)
{
	struct mvcc_event e = {.rev = at->rev, .ino = at->ino, .key = {b->text.data + at->key, at->key_size}};

	e.type = at->flags & RECORD_TOMBSTONE ? MVCC_EVENT_DELETE : MVCC_EVENT_PUT;
	if (e.type == MVCC_EVENT_DELETE)
		return e;
	e.mode = at->mode;
	e.created = at->created;
	e.attributes = at->flags & RECORD_ATTRIBUTES;
	return e;
}

/* Tells items up to `count`, or one more if it belongs to the last. Returns how many. */
static size_t tell(const struct batch *b, size_t count, void (*fn)(void *ctx, const struct mvcc_event *e), void *ctx)
{
	size_t i = 0;
	while (i < count) {
		const struct item *at = &b->items[i++];
		struct mvcc_event e = event_of(b, at);
		if ((at->flags & RECORD_TOUCH) || at->key_size == 0)
			continue;
		if (i < b->count && is_rename(at, &b->items[i])) {
			e.type = MVCC_EVENT_RENAME;
			e.mode = b->items[i].mode;
			e.to = (struct span){b->text.data + b->items[i].key, b->items[i].key_size};
			i++;
		}
		fn(ctx, &e);
	}
	return i;
}

int mvcc_events(struct mvcc *m, struct rev *from, uint32_t records_max, void (*fn)(void *ctx, const struct mvcc_event *e), void *ctx)
{
	struct batch b = {.from = from->main > 0 ? *from : (struct rev){1, 0}, .room = (size_t)records_max + 1};
	b.items = malloc(b.room * sizeof *b.items);
	if (!b.items)
		abort();
	int error = gather(m, &b);
	if (!error && b.count > 0) {
		size_t told = tell(&b, whole(&b), fn, ctx);
		struct rev last = b.items[told - 1].rev;
		bool cut = told < b.count && b.items[told].rev.main == last.main;
		*from = cut || (b.count == b.room && told == b.count) ? (struct rev){last.main, last.sub + 1}
								      : (struct rev){last.main + 1, 0};
	}
	/* A revision that ended with the last batch. */
	if (!error && b.count == 0 && from->sub > 0)
		*from = (struct rev){from->main + 1, 0};
	free(b.items);
	writer_free(&b.text);
	return error == -EAGAIN ? 0 : error;
}
