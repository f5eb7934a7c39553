#include "store/apply_plan.h"
#include "store/apply_content.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINEAR_MAX 8u

static struct change *change_of(const struct plan *p, size_t i)
{
	return &p->chunks[i / CHANGES_PER_CHUNK][i % CHANGES_PER_CHUNK];
}

static bool same(struct span a, struct span b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static uint64_t hash(struct span key)
{
	const uint8_t *at = key.data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < key.size; i++)
		h = (h ^ at[i]) * UINT64_C(0x100000001b3);
	return h ^ (h >> 29);
}

static void slot_add(struct plan *p, size_t i)
{
	size_t slot = hash(change_of(p, i)->key) & (p->slots_count - 1);
	while (p->slots[slot])
		slot = (slot + 1) & (p->slots_count - 1);
	p->slots[slot] = (uint32_t)i + 1;
}

/* Keeps the table at most half full. */
static void slots_grow(struct plan *p)
{
	free(p->slots);
	p->slots_count = p->slots_count ? p->slots_count * 2 : 64;
	while (p->slots_count < 2 * p->count)
		p->slots_count *= 2;
	p->slots = calloc(p->slots_count, sizeof(*p->slots));
	if (!p->slots)
		abort();
	for (size_t i = 0; i < p->count; i++)
		slot_add(p, i);
}

static struct change *find(const struct plan *p, struct span key)
{
	if (p->count <= LINEAR_MAX) {
		for (size_t i = p->count; i-- > 0;)
			if (same(change_of(p, i)->key, key))
				return change_of(p, i);
		return NULL;
	}
	for (size_t slot = hash(key) & (p->slots_count - 1); p->slots[slot]; slot = (slot + 1) & (p->slots_count - 1))
		if (same(change_of(p, p->slots[slot] - 1)->key, key))
			return change_of(p, p->slots[slot] - 1);
	return NULL;
}

static struct change *append(struct plan *p, struct span key)
{
	size_t chunk = p->count / CHANGES_PER_CHUNK;
	if (chunk == p->chunks_count) {
		p->chunks = realloc(p->chunks, (chunk + 1) * sizeof(struct change *));
		struct change *fresh = p->chunks ? malloc(CHANGES_PER_CHUNK * sizeof(struct change)) : NULL;
		if (!fresh)
			abort();
		p->chunks[p->chunks_count++] = fresh;
	}
	struct change *made = change_of(p, p->count++);
	*made = (struct change){.key = key};
	if (p->count > LINEAR_MAX) {
		if (p->slots_count < 2 * p->count)
			slots_grow(p);
		else
			slot_add(p, p->count - 1);
	}
	return made;
}

void plan_reset(struct plan *p)
{
	for (size_t i = 0; i < p->count; i++) {
		content_done(&change_of(p, i)->content);
		record_done(&change_of(p, i)->record);
	}
	while (p->chunks_count > 1 && p->count > CHANGES_PER_CHUNK)
		free(p->chunks[--p->chunks_count]);
	free(p->slots);
	p->slots = NULL;
	p->slots_count = p->count = 0;
	struct writer *kept[] = {&p->doomed,     &p->prefixes,       &p->reply,  &p->moves,
				 &p->unreserved, &p->reserved_moves, &p->xattrs, &p->staged};
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		writer_clear(kept[i]);
		if (kept[i]->capacity > MVCC_XATTRS_MAX)
			writer_free(kept[i]);
	}
	free(p->ranges);
	p->ranges = NULL;
	p->swap = false;
	p->reserve = NULL;
	p->lease = NULL;
	p->lock = NULL;
	p->first_put = p->last_put = NULL;
	p->target = NULL;
	p->done = p->number = 0;
	p->floor = 0;
}

void plan_free(struct plan *p)
{
	plan_reset(p);
	while (p->chunks_count > 0)
		free(p->chunks[--p->chunks_count]);
	free(p->chunks);
	writer_free(&p->doomed);
	writer_free(&p->prefixes);
	writer_free(&p->reply);
	writer_free(&p->moves);
	writer_free(&p->unreserved);
	writer_free(&p->reserved_moves);
	writer_free(&p->xattrs);
	writer_free(&p->staged);
}

int plan_checked(struct plan *p, int err)
{
	if (err >= 0 || err == -ENOENT)
		return err;
	p->broken = true;
	return -EIO;
}

struct span key_parent(struct span key)
{
	const char *slash = key.size ? memrchr(key.data, '/', key.size) : NULL;
	return (struct span){key.data, slash ? (size_t)(slash - (const char *)key.data) : 0};
}

bool key_is_below(struct span key, struct span dir)
{
	return key.size > dir.size && ((const char *)key.data)[dir.size] == '/' && memcmp(key.data, dir.data, dir.size) == 0;
}

int plan_at(struct plan *p, struct span key, struct change **out)
{
	struct change *at = find(p, key);
	if (!at) {
		struct record r = {0};
		int err = plan_checked(p, mvcc_get(p->m, key, 0, &r));
		if (err < 0 && err != -ENOENT)
			return err;
		at = append(p, key);
		at->record = r;
		at->live = err == 0;
		at->stored_blocks = at->live ? content_blocks(&r) : 0;
	}
	*out = at;
	return 0;
}

int plan_absent(struct plan *p, struct span key)
{
	struct change *at;
	do {
		if (key.size == 0)
			return -ENOENT;
		key = key_parent(key);
		int err = plan_at(p, key, &at);
		if (err < 0)
			return err;
	} while (!at->live);
	return change_is_dir(at) ? -ENOENT : -ENOTDIR;
}

int plan_target(struct plan *p, const struct command *c, struct change **out)
{
	struct span key = c->key;
	if (c->ino != 0) {
		int size = plan_checked(p, mvcc_key_of(p->m, c->ino, p->ino_key));
		if (size < 0)
			return size == -ENOENT ? -ESTALE : size;
		key = (struct span){p->ino_key, (size_t)size};
	}
	int err = plan_at(p, key, out);
	if (err < 0)
		return err;
	return (*out)->live ? 0 : plan_absent(p, key);
}

int plan_parent(struct plan *p, struct span key, struct change **out)
{
	struct change *at;
	int err = plan_at(p, key_parent(key), &at);
	if (err < 0)
		return err;
	if (!at->live)
		return plan_absent(p, at->key);
	if (!change_is_dir(at))
		return -ENOTDIR;
	*out = at;
	return 0;
}

/* How many directories above `key` are missing. What is reserved will be a file. */
static int missing_above(struct plan *p, const struct command *c, struct span key, uint32_t *out)
{
	struct change *at;
	uint32_t missing = 0;
	for (;; missing++) {
		key = key_parent(key);
		int err = plan_at(p, key, &at);
		if (err < 0)
			return err;
		if (at->live)
			break;
		if (plan_reserved(p, c, key))
			return -ENOTDIR;
	}
	*out = missing;
	return change_is_dir(at) ? 0 : -ENOTDIR;
}

int plan_make_parent(struct plan *p, const struct command *c, struct span key, struct change **out)
{
	uint32_t missing;
	int err = missing_above(p, c, key, &missing);
	if (err < 0)
		return err;
	for (; missing > 0; missing--) {
		struct span dir = key;
		for (uint32_t i = 0; i < missing; i++)
			dir = key_parent(dir);
		struct change *at;
		struct change *parent;
		if ((err = plan_at(p, dir, &at)) < 0 || (err = plan_at(p, key_parent(dir), &parent)) < 0)
			return err;
		if (at->action != CHANGE_NONE)
			return -EINVAL;
		plan_create(p, c, parent, at, S_IFDIR | 0755);
	}
	return plan_at(p, key_parent(key), out);
}

void plan_touch(struct change *dir, int32_t links)
{
	assert(dir->live && change_is_dir(dir));
	if (dir->action == CHANGE_NONE)
		dir->action = CHANGE_TOUCH;
	dir->links += links;
}

void plan_create(struct plan *p, const struct command *c, struct change *parent, struct change *at, uint32_t mode)
{
	assert(!at->live && at->action == CHANGE_NONE);
	struct record *r = &at->record;
	bool inherits = parent->record.mode & S_ISGID;
	bool dir = S_ISDIR(mode);
	r->mode = inherits && dir ? mode | S_ISGID : mode;
	r->uid = c->uid;
	r->gid = inherits ? parent->record.gid : c->gid;
	r->nlink = dir ? 2 : 1;
	r->atime_ns = r->mtime_ns = r->ctime_ns = p->time_ns;
	at->live = at->created = true;
	plan_unreserve(p, at->key);
	plan_put(p, at);
	plan_touch(parent, dir);
}

void plan_put(struct plan *p, struct change *at)
{
	if (at->action == CHANGE_PUT)
		return;
	at->action = CHANGE_PUT;
	*(p->last_put ? &p->last_put->next_put : &p->first_put) = at;
	p->last_put = at;
}

void plan_delete(struct change *parent, struct change *at)
{
	assert(at->live && at->action == CHANGE_NONE);
	at->live = false;
	at->action = CHANGE_DELETE;
	plan_touch(parent, -(int32_t)change_is_dir(at));
}

void plan_update(struct plan *p, struct change *at)
{
	plan_put(p, at);
	at->record.ctime_ns = p->time_ns;
}

bool plan_is_empty(const struct plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (change_of(p, i)->action != CHANGE_NONE)
			return false;
	return p->doomed.size == 0 && p->moves.size == 0;
}

/* mvcc_put writes the sub-revision, which it alone knows. */
static void commit_record(struct plan *p, struct record *r, bool created, bool attributes)
{
	r->modified = (struct rev){.main = mvcc_next_revision(p->m)};
	if (created)
		r->created = r->modified;
	r->version = created ? 1 : r->version + 1;
	r->flags = attributes ? RECORD_ATTRIBUTES : 0;
	mvcc_put(p->m, r);
}

static void commit_touch(struct plan *p, struct change *at)
{
	struct record *r = &at->record;
	r->key = at->key;
	r->nlink += (uint32_t)at->links;
	r->mtime_ns = r->ctime_ns = p->time_ns;
	r->flags = RECORD_TOUCH;
	mvcc_put(p->m, r);
}

static void commit_put(struct plan *p, struct change *at)
{
	struct record *r = &at->record;
	r->key = at->key;
	r->nlink += (uint32_t)at->links;
	if (r->ino == 0)
		r->ino = mvcc_next_ino(p->m);
	content_commit(p, at);
	commit_record(p, r, at->created, at->attributes);
}

static bool lives_at(struct plan *p, struct span key, uint64_t revision)
{
	struct record r = {0};
	bool live = mvcc_get(p->m, key, revision, &r) == 0;
	record_done(&r);
	return live;
}

/* The records were read once already when the plan was made, and are read again here rather than held in memory, a whole subtree of
 * them. If the disk fails exactly now the command is half put, and only a restart from the last commit is safe. */
static void commit_moves(struct plan *p)
{
	uint64_t before = mvcc_revision(p->m);
	struct reader moves = reader_over(p->moves.data, p->moves.size);
	while (reader_left(&moves) > 0) {
		struct record r = {0};
		struct span from = reader_bytes(&moves, MVCC_KEY_MAX);
		struct span to = reader_bytes(&moves, MVCC_KEY_MAX);
		if (mvcc_get(p->m, from, before, &r) < 0)
			abort();
		if (!p->swap || !lives_at(p, to, before))
			mvcc_tombstone(p->m, from);
		r.key = to;
		commit_record(p, &r, true, false);
		record_done(&r);
	}
}

static void commit_all(struct plan *p, enum change_action action, void (*commit)(struct plan *p, struct change *at))
{
	for (size_t i = 0; i < p->count; i++)
		if (change_of(p, i)->action == action)
			commit(p, change_of(p, i));
}

static void commit_delete(struct plan *p, struct change *at)
{
	mvcc_tombstone(p->m, at->key);
}

/* What is attached to a lease that is revoked goes with it. */
static void commit_leases(struct plan *p)
{
	bool revokes = p->lease && p->lease->type == COMMAND_LEASE_REVOKE;
	for (size_t i = 0; i < p->count && !revokes; i++)
		plan_commit_lease(p, change_of(p, i));
	plan_commit_leases(p);
}

void plan_commit(struct plan *p)
{
	struct reader doomed = reader_over(p->doomed.data, p->doomed.size);
	while (reader_left(&doomed) > 0)
		mvcc_tombstone(p->m, reader_bytes(&doomed, MVCC_KEY_MAX));
	commit_all(p, CHANGE_DELETE, commit_delete);
	for (struct change *at = p->first_put; at; at = at->next_put)
		commit_put(p, at);
	commit_moves(p);
	commit_all(p, CHANGE_TOUCH, commit_touch);
	plan_commit_reserved(p);
	commit_leases(p);
	plan_commit_locks(p);
	if (p->floor > 0)
		mvcc_compact(p->m, p->floor);
}
