/* The place where compaction stands, little-endian: u64 floor of the pass, u64 main and u32 sub of the record it goes on with (main UINT64_MAX: it
 * has ended), u32 count of files with blocks that were held, then for each: u64 ino, u64 bound. */
#include "store/mvcc/compact.h"

#include "store/mvcc/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK 128u /* records judged under one lock */
#define VISITS_MAX 4096u
#define BLOCKS_MAX 512u /* deleted at once: 16 MiB */
#define BLOCK_VISITS_MAX 16384u
#define FORGET_AT_ONCE 128u
#define ENDED UINT64_MAX

/* --- lists --- */

static void prunes_add(struct prunes *p, struct prune item)
{
	for (size_t i = p->count; i-- > 0;) {
		if (p->items[i].ino != item.ino)
			continue;
		if (p->items[i].bound < item.bound)
			p->items[i].bound = item.bound;
		return;
	}
	if (p->count == p->capacity) {
		p->capacity = p->capacity ? p->capacity * 2 : 16;
		p->items = realloc(p->items, p->capacity * sizeof *p->items);
		if (!p->items)
			abort();
	}
	p->items[p->count++] = item;
}

void compaction_free(struct compaction *c)
{
	free(c->prunes.items);
	free(c->deferred.items);
	free(c->moved);
}

/* --- the place --- */

static void place_encode(const struct compaction *c, struct writer *w)
{
	bool ended = c->floor == 0 || c->over;
	writer_u64(w, c->floor > 0 ? c->floor : c->done);
	writer_u64(w, ended ? ENDED : c->at.main);
	writer_u32(w, ended ? 0 : c->at.sub);
	writer_u32(w, (uint32_t)c->deferred.count);
	for (size_t i = 0; i < c->deferred.count; i++) {
		writer_u64(w, c->deferred.items[i].ino);
		writer_u64(w, c->deferred.items[i].bound);
	}
}

static int place_decode(struct span bytes, struct compaction *c)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	uint64_t floor = reader_u64(&r);
	struct rev at = {.main = reader_u64(&r)};
	at.sub = reader_u32(&r);
	uint32_t count = reader_u32(&r);
	if (reader_left(&r) != (uint64_t)count * 16u)
		return -EBADMSG;
	for (uint32_t i = 0; i < count; i++) {
		struct prune item = {.ino = reader_u64(&r)};
		item.bound = reader_u64(&r);
		prunes_add(&c->deferred, item);
	}
	if (!reader_done(&r))
		return -EBADMSG;
	c->done = at.main == ENDED ? floor : 0;
	c->floor = at.main == ENDED ? 0 : floor;
	c->at = at;
	return 0;
}

int compaction_load(struct mvcc *m)
{
	struct compaction *c = &m->committer.compaction;
	struct span place;
	MDB_txn *txn;
	int error = backend_begin(m->backend, &txn);
	if (error)
		return error;
	error = backend_find_own(m->backend, txn, META_PLACE, &place);
	if (!error)
		error = place_decode(place, c);
	else if (error == -ENOENT)
		error = 0;
	backend_end(m->backend, txn);
	c->committed = m->state.compact_revision;
	atomic_store(&c->released, c->deferred.count > 0);
	atomic_store(&m->compacted, c->done);
	return error;
}

void compaction_raise(struct compaction *c, uint64_t floor)
{
	c->committed = floor;
}

bool compaction_runs(const struct compaction *c)
{
	return c->floor > 0 || c->prunes.count > 0;
}

bool compaction_pending(const struct compaction *c)
{
	return compaction_runs(c) || c->committed > c->done || atomic_load(&c->released);
}

/* --- judging records --- */

struct judged {
	struct rev rev;
	struct record_outline outline;
	struct index_node *node;
	struct rev next; /* of the same key, at or below the floor; main 0: none */
	bool goes;
	bool alive; /* its file lives now */
};

struct chunk {
	const struct compaction *c;
	struct judged items[CHUNK];
	size_t count;
	bool over;
};

static int add_record(void *ctx, struct rev rev, struct span bytes)
{
	struct chunk *k = ctx;
	struct judged *j = &k->items[k->count];
	if (rev.main > k->c->floor) {
		k->over = true;
		return 1;
	}
	*j = (struct judged){.rev = rev};
	int error = record_peek(bytes, &j->outline);
	if (error)
		return error;
	return ++k->count == CHUNK;
}

/* The place of a revision in a list of marks that has it. */
static size_t mark_place(const struct mark *marks, size_t count, uint64_t main)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (marks[middle].main < main)
			low = middle + 1;
		else
			high = middle;
	}
	assert(low < count && marks[low].main == main);
	return low;
}

/* With the lock. */
static void judge(const struct mvcc *m, uint64_t floor, struct judged *j)
{
	struct mark one;
	size_t count;
	j->node = index_find(&m->index, j->outline.key);
	assert(j->node);
	const struct mark *marks = index_marks(j->node, &one, &count);
	size_t next = mark_place(marks, count, j->rev.main) + 1;
	if (next < count && marks[next].main <= floor)
		j->next = mark_rev(marks[next]);
	j->goes = j->next.main > 0 || ((j->outline.flags & RECORD_TOMBSTONE) && j->rev.main < floor);
	j->alive = inodes_find(&m->index.inodes, j->outline.ino) != NULL;
}

static bool has_blocks(const struct record_outline *r)
{
	return S_ISREG(r->mode) && r->size > MVCC_INLINE_MAX && !(r->flags & RECORD_TOMBSTONE);
}

/* --- files that end --- */

static int note_moved(void *ctx, struct rev rev, struct span bytes)
{
	struct compaction *c = ctx;
	struct record_outline r;
	if (rev.main != c->moved_main)
		return 1;
	int error = record_peek(bytes, &r);
	if (error || r.flags & RECORD_TOMBSTONE)
		return error;
	if (c->moved_count == c->moved_capacity) {
		c->moved_capacity = c->moved_capacity ? c->moved_capacity * 2 : 16;
		c->moved = realloc(c->moved, c->moved_capacity * sizeof *c->moved);
		if (!c->moved)
			abort();
	}
	c->moved[c->moved_count++] = r.ino;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Did the command of revision `main` put a record of this file? All its records are there: those of later revisions go later. */
static int lives_on(struct mvcc *m, MDB_txn *txn, uint64_t main, uint64_t ino, bool *out)
{
	struct compaction *c = &m->committer.compaction;
	if (c->moved_main != main) {
		c->moved_main = main;
		c->moved_count = 0;
		int error = backend_scan_records(m->backend, txn, (struct rev){main, 0}, note_moved, c);
		if (error < 0) {
			c->moved_main = 0;
			return error;
		}
		if (c->moved_count > 1)
			qsort(c->moved, c->moved_count, sizeof *c->moved, by_number);
	}
	*out = c->moved_count > 0 && bsearch(&ino, c->moved, c->moved_count, sizeof ino, by_number);
	return 0;
}

/* What goes with a record that had blocks. */
static int plan_prune(struct mvcc *m, MDB_txn *txn, const struct judged *j)
{
	struct compaction *c = &m->committer.compaction;
	uint64_t ino = j->outline.ino;
	struct record_outline next;
	struct span bytes;
	bool moved;
	if (j->alive) {
		uint64_t *pruned = &c->pruned[ino % COMPACT_PRUNED];
		if (*pruned != ino)
			prunes_add(&c->prunes, (struct prune){ino, c->floor});
		*pruned = ino;
		return 0;
	}
	int error = backend_find_record(m->backend, txn, j->next, &bytes);
	if (!error)
		error = record_peek(bytes, &next);
	if (error)
		return error == -ENOENT ? -EIO : error;
	if (!(next.flags & RECORD_TOMBSTONE) && next.ino == ino) {
		prunes_add(&c->prunes, (struct prune){ino, j->next.main});
		return 0;
	}
	error = lives_on(m, txn, j->next.main, ino, &moved);
	if (!error && !moved)
		prunes_add(&c->prunes, (struct prune){ino, ENDED});
	return error;
}

static int take_chunk(struct mvcc *m, MDB_txn *txn, struct chunk *k)
{
	struct compaction *c = &m->committer.compaction;
	int error = 0;
	mvcc_lock_shared(m);
	for (size_t i = 0; i < k->count; i++)
		judge(m, c->floor, &k->items[i]);
	mvcc_unlock_shared(m);
	for (size_t i = 0; i < k->count && !error; i++) {
		const struct judged *j = &k->items[i];
		c->at = (struct rev){j->rev.main, j->rev.sub + 1};
		c->visited++;
		if (!j->goes)
			continue;
		c->victims[c->victims_count++] = (struct victim){j->rev, j->node};
		if (has_blocks(&j->outline))
			error = plan_prune(m, txn, j);
	}
	return error;
}

/* Goes on until there is enough to do, or it has looked at many, or all. */
static int scan(struct mvcc *m)
{
	struct compaction *c = &m->committer.compaction;
	uint64_t visits_end = c->visited + VISITS_MAX;
	MDB_txn *txn;
	int error = backend_begin(m->backend, &txn);
	if (error)
		return error;
	while (!error && !c->over && c->visited < visits_end && c->victims_count + CHUNK <= COMPACT_VICTIMS_MAX) {
		struct chunk k = {.c = c};
		error = backend_scan_records(m->backend, txn, c->at, add_record, &k);
		if (error >= 0)
			error = take_chunk(m, txn, &k);
		c->over = k.over || k.count < CHUNK;
	}
	backend_end(m->backend, txn);
	return error;
}

/* --- blocks --- */

struct pruning {
	struct mvcc *m;
	struct compaction *c;
	struct prune task;
	struct stored_block last; /* to be judged once the next is known; main 0: none */
	struct stored_block doomed[BLOCKS_MAX];
	size_t doomed_count;
	uint64_t visits;
	bool full;
};

/* A block that was replaced at `end`, or is the newest of its number (`newest`). */
static void judge_block(struct pruning *p, uint64_t end, bool newest)
{
	struct compaction *c = p->c;
	const struct stored_block *b = &p->last;
	bool needed = b->id.main > p->task.bound || (p->task.bound != ENDED && (newest || end > p->task.bound));
	/* With nothing before it a hole says what no block at all says. */
	bool idle = b->hole && !c->older_kept && b->id.main <= p->task.bound;
	if (idle)
		needed = false;
	else if (!needed && holds_between(&p->m->holds, b->id.ino, b->id.main, end)) {
		c->spared = true;
		needed = true;
	}
	if (needed)
		c->older_kept = true;
	else
		p->doomed[p->doomed_count++] = *b;
}

static int next_block(void *ctx, const struct stored_block *b)
{
	struct pruning *p = ctx;
	bool same_file = b->id.ino == p->task.ino;
	bool same_block = same_file && b->id.block == p->last.id.block;
	if (p->last.id.main > 0)
		judge_block(p, same_block ? b->id.main : UINT64_MAX, !same_block);
	if (!same_block)
		p->c->older_kept = false;
	p->last = same_file ? *b : (struct stored_block){0};
	if (!same_file)
		return 1;
	return p->doomed_count == BLOCKS_MAX || ++p->visits == BLOCK_VISITS_MAX ? 2 : 0;
}

/* The file is done: what readers still hold is looked at again later. */
static void end_prune(struct mvcc *m, struct compaction *c, struct prune task)
{
	if (c->spared) {
		prunes_add(&c->deferred, task);
		if (!holds_await(&m->holds, task.ino))
			atomic_store(&c->released, true);
	}
	c->spared = c->older_kept = false;
	c->block = (struct block_id){0};
	c->prune++;
}

/* Goes on with one file, to its end or until the transaction has enough. */
static int prune_file(struct pruning *p, MDB_txn *txn)
{
	struct compaction *c = p->c;
	p->task = c->prunes.items[c->prune];
	if (c->block.ino == 0)
		c->block = (struct block_id){.ino = p->task.ino};
	p->last = (struct stored_block){.id.block = c->block.block};
	int stopped = backend_scan_blocks(p->m->backend, txn, &c->block, next_block, p);
	if (stopped < 0)
		return stopped;
	if (stopped == 0 && p->last.id.main > 0)
		judge_block(p, UINT64_MAX, true);
	p->full = stopped == 2 || p->doomed_count == BLOCKS_MAX;
	if (stopped == 2)
		c->block = p->last.id;
	else
		end_prune(p->m, c, p->task);
	return 0;
}

static int prune(struct mvcc *m)
{
	struct compaction *c = &m->committer.compaction;
	struct pruning p = {.m = m, .c = c};
	MDB_txn *txn;
	int error = backend_begin(m->backend, &txn);
	if (error)
		return error;
	while (!error && !p.full && c->prune < c->prunes.count)
		error = prune_file(&p, txn);
	backend_end(m->backend, txn);
	const struct removal blocks = {.blocks = p.doomed, .blocks_count = p.doomed_count};
	return error || p.doomed_count == 0 ? error : backend_remove(m->backend, &blocks);
}

/* --- records --- */

static void forget(struct mvcc *m, const struct compaction *c)
{
	for (size_t i = 0; i < c->victims_count;) {
		pthread_rwlock_wrlock(&m->lock);
		for (size_t n = 0; n < FORGET_AT_ONCE && i < c->victims_count; n++, i++)
			index_forget(&m->index, c->victims[i].node);
		pthread_rwlock_unlock(&m->lock);
	}
}

static void end_pass(struct mvcc *m, struct compaction *c)
{
	c->done = c->floor;
	c->floor = 0;
	c->visited_last = c->visited;
	atomic_store(&m->compacted, c->done);
}

/* The records whose blocks are gone go, and the place moves on. */
static int settle(struct mvcc *m)
{
	struct compaction *c = &m->committer.compaction;
	struct rev records[COMPACT_VICTIMS_MAX];
	struct writer place = {0};
	int error = 0;
	c->changed = c->changed || c->victims_count > 0 || c->prunes.count > 0;
	for (size_t i = 0; i < c->victims_count; i++)
		records[i] = c->victims[i].rev;
	if (c->victims_count > 0 || c->prunes.count > 0 || (c->changed && c->over)) {
		place_encode(c, &place);
		const struct removal what = {.records = records, .records_count = c->victims_count, .place = {place.data, place.size}};
		error = backend_remove(m->backend, &what);
		writer_free(&place);
	}
	if (error)
		return error;
	forget(m, c);
	c->victims_count = c->prunes.count = c->prune = 0;
	if (c->floor > 0 && c->over)
		end_pass(m, c);
	return 0;
}

static void begin_pass(struct compaction *c)
{
	c->floor = c->committed;
	c->at = (struct rev){0, 0};
	c->over = c->changed = false;
	c->visited = 0;
	memset(c->pruned, 0, sizeof c->pruned);
}

/* Files whose readers have gone are looked at again; those that others still read come back. */
static void take_deferred(struct compaction *c)
{
	for (size_t i = 0; i < c->deferred.count; i++)
		prunes_add(&c->prunes, c->deferred.items[i]);
	c->deferred.count = 0;
}

int compaction_step(struct mvcc *m)
{
	struct compaction *c = &m->committer.compaction;
	if (c->prune < c->prunes.count)
		return prune(m);
	if (c->victims_count > 0 || c->prunes.count > 0 || (c->floor > 0 && c->over))
		return settle(m);
	if (atomic_exchange(&c->released, false)) {
		take_deferred(c);
		return 0;
	}
	if (c->floor == 0 && c->committed > c->done)
		begin_pass(c);
	return c->floor > 0 ? scan(m) : 0;
}
