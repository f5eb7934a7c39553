/* lock_keep.c: the table of locks, and how it is kept.
 *
 *   name   lock/SLOT in decimal
 *   value  u64 session, u64 ino, u64 owner, u64 handle, u64 start, u64 end, u32 pid, u8 kind, u8 exclusive, u64 request, u64 order
 *
 * Valid: as struct lock has it; request and order both 0 (held) or neither (a waiter); no order twice in a file. */
#include "store/lock_inside.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "lock/"
#define NAME_BYTES 24

static void *grown(void *items, uint32_t *capacity, size_t item_bytes)
{
	*capacity = *capacity ? *capacity * 2 : 8;
	items = realloc(items, *capacity * item_bytes);
	if (!items)
		abort();
	return items;
}

static uint32_t place_of(const struct table *t, uint64_t ino)
{
	uint32_t low = 0;
	uint32_t high = t->files_count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (t->files[middle]->ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct locked_file *table_file(const struct table *t, uint64_t ino)
{
	uint32_t at = place_of(t, ino);
	return at < t->files_count && t->files[at]->ino == ino ? t->files[at] : NULL;
}

static struct locked_file *file_of(struct table *t, uint64_t ino)
{
	uint32_t at = place_of(t, ino);
	if (at < t->files_count && t->files[at]->ino == ino)
		return t->files[at];
	if (t->files_count == t->files_capacity)
		t->files = grown(t->files, &t->files_capacity, sizeof(struct locked_file *));
	memmove(&t->files[at + 1], &t->files[at], (t->files_count - at) * sizeof(struct locked_file *));
	struct locked_file *f = calloc(1, sizeof(*f));
	if (!f)
		abort();
	f->ino = ino;
	t->files[at] = f;
	t->files_count++;
	return f;
}

static void drop_file(struct table *t, struct locked_file *f)
{
	uint32_t at = place_of(t, f->ino);
	if (f->held.count + f->waiting.count > 0)
		return;
	memmove(&t->files[at], &t->files[at + 1], (t->files_count - at - 1) * sizeof(struct locked_file *));
	t->files_count--;
	free(f->held.items);
	free(f->waiting.items);
	free(f);
}

static uint64_t rank(const struct entry *e)
{
	return e->request ? e->order : e->slot;
}

static void list_add(struct list *list, struct entry *e)
{
	uint32_t at = list->count;
	if (list->count == list->capacity)
		list->items = grown(list->items, &list->capacity, sizeof(struct entry *));
	for (; at > 0 && rank(list->items[at - 1]) > rank(e); at--)
		list->items[at] = list->items[at - 1];
	list->items[at] = e;
	list->count++;
}

static void list_remove(struct list *list, struct entry *e)
{
	uint32_t at = 0;
	while (list->items[at] != e)
		at++;
	memmove(&list->items[at], &list->items[at + 1], (list->count - at - 1) * sizeof(struct entry *));
	list->count--;
}

static struct session_count *count_of(struct table *t, uint64_t session)
{
	for (uint32_t i = 0; i < t->sessions_count; i++)
		if (t->sessions[i].session == session)
			return &t->sessions[i];
	if (t->sessions_count == t->sessions_capacity)
		t->sessions = grown(t->sessions, &t->sessions_capacity, sizeof(struct session_count));
	t->sessions[t->sessions_count] = (struct session_count){.session = session};
	return &t->sessions[t->sessions_count++];
}

uint32_t table_count_of(const struct table *t, uint64_t session)
{
	for (uint32_t i = 0; i < t->sessions_count; i++)
		if (t->sessions[i].session == session)
			return t->sessions[i].count;
	return 0;
}

static void put(struct table *t, struct entry *e)
{
	struct locked_file *f = file_of(t, e->lock.ino);
	while (e->slot >= t->slots_capacity)
		t->slots = grown(t->slots, &t->slots_capacity, sizeof(struct entry *));
	for (; t->slots_count <= e->slot; t->slots_count++)
		t->slots[t->slots_count] = NULL;
	assert(!t->slots[e->slot]);
	t->slots[e->slot] = e;
	list_add(e->request ? &f->waiting : &f->held, e);
	count_of(t, e->lock.session)->count++;
	if (e->request)
		t->waiting_count++;
	else
		t->held_count++;
}

static void take_out(struct table *t, struct entry *e)
{
	struct locked_file *f = table_file(t, e->lock.ino);
	struct session_count *c = count_of(t, e->lock.session);
	list_remove(e->request ? &f->waiting : &f->held, e);
	drop_file(t, f);
	if (--c->count == 0)
		*c = t->sessions[--t->sessions_count];
	if (e->request)
		t->waiting_count--;
	else
		t->held_count--;
	t->slots[e->slot] = NULL;
	if (e->slot < t->free_from)
		t->free_from = e->slot;
	while (t->slots_count > 0 && !t->slots[t->slots_count - 1])
		t->slots_count--;
	free(e);
}

void table_clear(struct table *t)
{
	while (t->slots_count > 0)
		take_out(t, t->slots[t->slots_count - 1]);
	free(t->files);
	free(t->slots);
	free(t->sessions);
	*t = (struct table){0};
}

static void note_changed(struct locks *l, uint32_t slot)
{
	if (l->changed_count == l->changed_capacity)
		l->changed = grown(l->changed, &l->changed_capacity, sizeof(uint32_t));
	l->changed[l->changed_count++] = slot;
}

static struct entry *make(const struct lock *lock, uint64_t request, uint64_t order, uint32_t slot)
{
	struct entry *e = malloc(sizeof(*e));
	if (!e)
		abort();
	*e = (struct entry){.lock = *lock, .request = request, .order = order, .slot = slot};
	return e;
}

struct entry *table_add(struct locks *l, const struct lock *lock, uint64_t request, uint64_t order)
{
	struct table *t = &l->has;
	uint32_t slot = t->free_from;
	while (slot < t->slots_count && t->slots[slot])
		slot++;
	t->free_from = slot + 1;
	struct entry *e = make(lock, request, order, slot);
	put(t, e);
	note_changed(l, slot);
	return e;
}

void table_drop(struct locks *l, struct entry *e)
{
	note_changed(l, e->slot);
	take_out(&l->has, e);
}

static void encode(struct writer *w, const struct entry *e)
{
	writer_u64(w, e->lock.session);
	writer_u64(w, e->lock.ino);
	writer_u64(w, e->lock.owner);
	writer_u64(w, e->lock.handle);
	writer_u64(w, e->lock.start);
	writer_u64(w, e->lock.end);
	writer_u32(w, e->lock.pid);
	writer_u8(w, e->lock.kind);
	writer_u8(w, e->lock.exclusive);
	writer_u64(w, e->request);
	writer_u64(w, e->order);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Each slot once, as it stands at the end. Nobody but apply changes the table, and this is apply. */
void table_keep(struct locks *l, struct mvcc *m)
{
	char name[NAME_BYTES];
	struct writer w = {0};
	if (l->changed_count > 0)
		qsort(l->changed, l->changed_count, sizeof(uint32_t), by_number);
	for (uint32_t i = 0; i < l->changed_count; i++) {
		uint32_t slot = l->changed[i];
		if (i > 0 && l->changed[i - 1] == slot)
			continue;
		writer_clear(&w);
		if (slot < l->has.slots_count && l->has.slots[slot])
			encode(&w, l->has.slots[slot]);
		snprintf(name, sizeof(name), PREFIX "%u", slot);
		mvcc_put_meta(m, (struct span){name, strlen(name)}, (struct span){w.data, w.size});
	}
	l->changed_count = 0;
	writer_free(&w);
}

static bool slot_of(struct span name, uint32_t *slot)
{
	char text[NAME_BYTES];
	size_t prefix = strlen(PREFIX);
	if (name.size == prefix || name.size >= sizeof(text))
		return false;
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	char *end;
	unsigned long number = strtoul(text + prefix, &end, 10);
	*slot = (uint32_t)number;
	return text[prefix] >= '0' && text[prefix] <= '9' && *end == '\0' && number < UINT32_MAX / 2;
}

static bool decode(struct span value, struct entry *e)
{
	struct reader in = reader_over(value.data, value.size);
	e->lock.session = reader_u64(&in);
	e->lock.ino = reader_u64(&in);
	e->lock.owner = reader_u64(&in);
	e->lock.handle = reader_u64(&in);
	e->lock.start = reader_u64(&in);
	e->lock.end = reader_u64(&in);
	e->lock.pid = reader_u32(&in);
	e->lock.kind = reader_u8(&in);
	uint8_t exclusive = reader_u8(&in);
	e->lock.exclusive = exclusive == 1;
	e->request = reader_u64(&in);
	e->order = reader_u64(&in);
	return reader_done(&in) && exclusive <= 1 && e->lock.session != 0 && e->lock.ino != 0 && e->lock.start <= e->lock.end &&
	       (e->lock.kind == LOCK_KIND_FLOCK || e->lock.kind == LOCK_KIND_POSIX) && (e->request == 0) == (e->order == 0);
}

static int load_one(void *ctx, struct span name, struct span value)
{
	struct table *t = ctx;
	struct entry e = {0};
	if (name.size < strlen(PREFIX) || memcmp(name.data, PREFIX, strlen(PREFIX)) != 0)
		return 0;
	if (!slot_of(name, &e.slot) || !decode(value, &e) || (e.slot < t->slots_count && t->slots[e.slot]))
		return -EBADMSG;
	const struct locked_file *f = table_file(t, e.lock.ino);
	for (uint32_t i = 0; f && e.request && i < f->waiting.count; i++)
		if (f->waiting.items[i]->order == e.order)
			return -EBADMSG;
	put(t, make(&e.lock, e.request, e.order, e.slot));
	return 0;
}

/* The store's lock comes before this one, so what the store says is read on the side. */
int locks_load(struct locks *l, struct mvcc *m)
{
	struct table loaded = {0};
	int err = mvcc_each_meta(m, load_one, &loaded);
	if (err == 0) {
		pthread_mutex_lock(&l->lock);
		struct table was = l->has;
		l->has = loaded;
		loaded = was;
		l->turned = true;
		pthread_mutex_unlock(&l->lock);
	}
	table_clear(&loaded);
	return err;
}
