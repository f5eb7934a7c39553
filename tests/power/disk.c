#include "tests/power/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/files.h"

#define SECTOR 512u
#define PAGE 4096u
#define ROOT 0u
#define NOWHERE UINT32_MAX

/* A write, or (data NULL) zeros, or a new size. */
struct change {
	uint32_t event;
	bool resize;
	uint64_t offset;
	uint64_t size;
	const uint8_t *data;
};

/* A file or directory, whatever it is called. */
struct object {
	bool is_dir;
	uint64_t ino;
	uint64_t size; /* what is certain, like the bytes */
	uint8_t *bytes;
	uint64_t capacity;
	uint64_t used; /* that many are kept; only zeros from here on */
	struct change *changes;
	uint32_t changes_count;
	uint32_t changes_capacity;
};

struct entry {
	uint32_t dir;
	char name[256];
	uint32_t object;
};

struct tree {
	struct entry *entries;
	uint32_t count;
	uint32_t capacity;
};

enum name_kind { NAME_MADE, NAME_GONE, NAME_MOVED, NAME_EXCHANGED };

/* A change of names, which happens whole or not at all. */
struct naming {
	uint32_t event;
	enum name_kind kind;
	struct entry what;
	uint32_t dir2;
	char name2[256];
};

struct syncing {
	uint64_t number;
	uint32_t event;
};

#define SYNCS_MAX 64u

struct disk {
	struct object *objects;
	uint32_t objects_count;
	uint32_t objects_capacity;
	struct tree now;     /* with all that is uncertain */
	struct tree certain; /* names */
	struct naming *names;
	uint32_t names_count;
	uint32_t names_capacity;
	struct syncing syncs[SYNCS_MAX]; /* begun */
	uint32_t syncs_count;
};

static void *room(void *p, uint32_t count, uint32_t *capacity, size_t size)
{
	if (count < *capacity)
		return p;
	*capacity = *capacity ? 2 * *capacity : 32;
	p = reallocarray(p, *capacity, size);
	if (!p)
		abort();
	return p;
}

/* --- names --- */

static struct entry *find(const struct tree *t, uint32_t dir, const char *name)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->entries[i].dir == dir && strcmp(t->entries[i].name, name) == 0)
			return &t->entries[i];
	return NULL;
}

static void set(struct tree *t, const struct entry *e)
{
	struct entry *old = find(t, e->dir, e->name);
	if (!old) {
		t->entries = room(t->entries, t->count, &t->capacity, sizeof(*t->entries));
		old = &t->entries[t->count++];
	}
	*old = *e;
}

static bool drop(struct tree *t, uint32_t dir, const char *name)
{
	struct entry *e = find(t, dir, name);
	if (e)
		*e = t->entries[--t->count];
	return e != NULL;
}

static void move(struct tree *t, const struct naming *n)
{
	struct entry *from = find(t, n->what.dir, n->what.name), *to = find(t, n->dir2, n->name2);
	if (!from || (n->kind == NAME_EXCHANGED && !to))
		return;
	if (n->kind == NAME_EXCHANGED) {
		uint32_t object = from->object;
		from->object = to->object;
		to->object = object;
		return;
	}
	struct entry moved = {.dir = n->dir2, .object = from->object};
	memcpy(moved.name, n->name2, sizeof(moved.name));
	drop(t, n->what.dir, n->what.name);
	set(t, &moved);
}

/* Does nothing where it is not possible: what it builds on has not happened. */
static void do_naming(struct tree *t, const struct naming *n)
{
	if (n->kind == NAME_MADE)
		set(t, &n->what);
	else if (n->kind == NAME_GONE)
		drop(t, n->what.dir, n->what.name);
	else
		move(t, n);
}

/* The directory that a path leads to, and its last name. */
static uint32_t walk(const struct disk *d, const char *path, char last[256])
{
	uint32_t dir = ROOT;
	for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
		char name[256];
		snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		const struct entry *e = find(&d->now, dir, name);
		if (!e)
			return NOWHERE;
		dir = e->object;
	}
	snprintf(last, 256, "%s", path);
	return dir;
}

static void note_naming(struct disk *d, const struct naming *n)
{
	d->names = room(d->names, d->names_count, &d->names_capacity, sizeof(*d->names));
	d->names[d->names_count++] = *n;
	do_naming(&d->now, n);
}

/* --- content --- */

static void resize(struct object *o, uint64_t size)
{
	o->size = size;
	if (o->used > size)
		o->used = size;
}

static void use(struct object *o, uint64_t size)
{
	if (size > o->capacity) {
		o->capacity = size + size / 2;
		o->bytes = realloc(o->bytes, o->capacity);
		if (!o->bytes)
			abort();
	}
	if (size > o->used)
		memset(o->bytes + o->used, 0, size - o->used);
	o->used = size > o->used ? size : o->used;
}

static void write_piece(struct object *o, uint64_t offset, const uint8_t *data, uint64_t size)
{
	uint64_t end = offset + size;
	if (data) {
		use(o, end);
		memcpy(o->bytes + offset, data, size);
	} else if (offset < o->used) {
		memset(o->bytes + offset, 0, (end < o->used ? end : o->used) - offset);
	}
	if (end > o->size)
		o->size = end;
}

static void do_change(struct object *o, const struct change *c)
{
	if (c->resize)
		resize(o, c->size);
	else
		write_piece(o, c->offset, c->data, c->size);
}

static struct object *object_new(struct disk *d, uint64_t ino, bool is_dir)
{
	d->objects = room(d->objects, d->objects_count, &d->objects_capacity, sizeof(*d->objects));
	struct object *o = &d->objects[d->objects_count++];
	*o = (struct object){.ino = ino, .is_dir = is_dir};
	return o;
}

/* The latest with that number: numbers are used again. */
static struct object *by_ino(struct disk *d, uint64_t ino)
{
	for (uint32_t i = d->objects_count; i-- > 0;)
		if (d->objects[i].ino == ino)
			return &d->objects[i];
	return NULL;
}

/* --- events --- */

static void feed_name(struct disk *d, const struct event *e, uint32_t number)
{
	struct naming n = {.event = number, .kind = NAME_MADE};
	n.what.dir = walk(d, e->name, n.what.name);
	if (e->kind == RECORD_CREATE || e->kind == RECORD_MKDIR) {
		object_new(d, e->ino, e->kind == RECORD_MKDIR);
		n.what.object = d->objects_count - 1;
	} else if (e->kind == RECORD_UNLINK) {
		n.kind = NAME_GONE;
	} else if (e->kind == RECORD_RENAME) {
		n.kind = e->offset & 2 ? NAME_EXCHANGED : NAME_MOVED;
		n.dir2 = walk(d, e->name2, n.name2);
	} else {
		const struct entry *from = find(&d->now, n.what.dir, n.what.name);
		if (!from)
			abort();
		n.what.object = from->object;
		n.what.dir = walk(d, e->name2, n.what.name);
	}
	note_naming(d, &n);
}

static void feed_content(struct disk *d, const struct event *e, uint32_t number)
{
	struct object *o = by_ino(d, e->ino);
	if (!o)
		abort();
	o->changes = room(o->changes, o->changes_count, &o->changes_capacity, sizeof(*o->changes));
	o->changes[o->changes_count++] = (struct change){.event = number,
							 .resize = e->kind == RECORD_TRUNCATE,
							 .offset = e->offset,
							 .size = e->size,
							 .data = e->kind == RECORD_WRITE ? e->data : NULL};
}

/* What happened before the sync began is certain. */
static void settle(struct disk *d, struct object *o, uint32_t begun)
{
	uint32_t done = 0, kept = 0, dir = (uint32_t)(o - d->objects);
	while (done < o->changes_count && o->changes[done].event < begun)
		do_change(o, &o->changes[done++]);
	if (done > 0)
		memmove(o->changes, o->changes + done, (o->changes_count - done) * sizeof(*o->changes));
	o->changes_count -= done;
	for (uint32_t i = 0; i < d->names_count; i++) {
		const struct naming *n = &d->names[i];
		bool mine = n->kind == NAME_MOVED || n->kind == NAME_EXCHANGED ? n->dir2 == dir : n->what.dir == dir;
		if (o->is_dir && mine && n->event < begun)
			do_naming(&d->certain, n);
		else
			d->names[kept++] = *n;
	}
	d->names_count = kept;
}

static void feed_sync(struct disk *d, const struct event *e, uint32_t number)
{
	if (e->kind == RECORD_SYNC_BEGIN) {
		if (d->syncs_count == SYNCS_MAX) /* those of a process that was killed */
			memmove(d->syncs, d->syncs + 1, --d->syncs_count * sizeof(d->syncs[0]));
		d->syncs[d->syncs_count++] = (struct syncing){e->offset, number};
		return;
	}
	for (uint32_t i = 0; i < d->syncs_count; i++) {
		struct object *o = by_ino(d, e->ino);
		if (d->syncs[i].number != e->offset || !o)
			continue;
		settle(d, o, d->syncs[i].event);
		d->syncs[i] = d->syncs[--d->syncs_count];
		return;
	}
	abort();
}

void disk_feed(struct disk *d, const struct event *e, uint32_t number)
{
	switch (e->kind) {
	case RECORD_CREATE:
	case RECORD_MKDIR:
	case RECORD_UNLINK:
	case RECORD_RENAME:
	case RECORD_LINK:
		feed_name(d, e, number);
		break;
	case RECORD_WRITE:
	case RECORD_ZEROS:
	case RECORD_TRUNCATE:
		feed_content(d, e, number);
		break;
	case RECORD_SYNC_BEGIN:
	case RECORD_SYNC_END:
		/* The top directory was made by somebody else, and is known by not being known. */
		if (d->objects[ROOT].ino == 0 && !by_ino(d, e->ino))
			d->objects[ROOT].ino = e->ino;
		feed_sync(d, e, number);
		break;
	case RECORD_BEGUN:
	case RECORD_DONE:
		break;
	}
}

uint32_t disk_uncertain(const struct disk *d)
{
	uint32_t sum = d->names_count;
	for (uint32_t i = 0; i < d->objects_count; i++)
		sum += d->objects[i].changes_count;
	return sum;
}

/* --- images --- */

struct dice {
	uint64_t state;
};

static uint32_t roll(struct dice *dice, uint32_t n)
{
	dice->state += 0x9e3779b97f4a7c15u;
	uint64_t x = dice->state;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)((x ^ x >> 31) % n);
}

/* Is number `i` of `count` things chosen, as far as that is decided whole? */
static bool chosen(enum disk_part part, uint32_t event, uint32_t cut, struct dice *dice, uint32_t percent)
{
	switch (part) {
	case DISK_NONE:
		return false;
	case DISK_ALL:
		return true;
	case DISK_FIRST:
		return event < cut;
	case DISK_SECTORS:
	case DISK_PAGES:
		break;
	}
	return roll(dice, 100) < percent;
}

/* Has change number `change` of an object's `count` reached this sector? What reached it is what was written to it up to some moment: a later write
 * is not there without the earlier ones. */
static bool reached(const struct disk_choice *c, uint32_t object, uint64_t sector, uint32_t change, uint32_t count)
{
	struct dice dice = {c->seed ^ (sector + 1) * 0xff51afd7ed558ccdu ^ (object + 1) * UINT64_C(0xc4ceb9fe1a85ec53)};
	return roll(&dice, 100) < c->percent || change < roll(&dice, count + 1);
}

static void do_pieces(struct object *o, const struct object *from, uint32_t number, const struct disk_choice *choice, uint32_t i)
{
	const struct change *c = &from->changes[i];
	uint32_t grain = choice->writes == DISK_SECTORS ? SECTOR : PAGE;
	uint64_t end = c->offset + c->size;
	struct dice dice = {choice->seed + c->event};
	for (uint64_t at = c->offset; at < end;) {
		uint64_t next = (at / grain + 1) * grain < end ? (at / grain + 1) * grain : end;
		if (reached(choice, number, at / grain, i, from->changes_count))
			write_piece(o, at, c->data ? c->data + (at - c->offset) : NULL, next - at);
		at = next;
	}
	/* The size may have become durable without the content. */
	if (end > o->size && roll(&dice, 2) == 0)
		resize(o, end);
}

/* The object with what was chosen of its changes; its bytes are a copy. */
static struct object developed(const struct object *from, uint32_t number, const struct disk_choice *choice, uint32_t cut,
			       struct dice *dice)
{
	struct object o = {.size = from->size};
	use(&o, from->used);
	if (from->used > 0)
		memcpy(o.bytes, from->bytes, from->used);
	for (uint32_t i = 0; i < from->changes_count; i++) {
		const struct change *c = &from->changes[i];
		bool pieces = (choice->writes == DISK_SECTORS || choice->writes == DISK_PAGES) && !c->resize;
		if (pieces)
			do_pieces(&o, from, number, choice, i);
		else if (chosen(choice->writes, c->event, cut, dice, choice->percent))
			do_change(&o, c);
	}
	return o;
}

static void write_file(const struct object *o, const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	for (uint64_t at = 0; at < o->used; at += PAGE) {
		static const uint8_t zeros[PAGE];
		uint64_t size = o->used - at < PAGE ? o->used - at : PAGE;
		if (memcmp(o->bytes + at, zeros, size) != 0 && pwrite(fd, o->bytes + at, size, (off_t)at) != (ssize_t)size)
			abort();
	}
	if (ftruncate(fd, (off_t)o->size) != 0)
		abort();
	close(fd);
}

static void write_tree(const struct tree *t, struct object *developed, uint32_t dir, const char *name)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const struct entry *e = &t->entries[i];
		char path[4096];
		if (e->dir != dir)
			continue;
		snprintf(path, sizeof(path), "%s/%s", name, e->name);
		if (!developed[e->object].is_dir) {
			write_file(&developed[e->object], path);
		} else {
			if (mkdir(path, 0700) != 0)
				abort();
			write_tree(t, developed, e->object, path);
		}
	}
}

static struct tree tree_copy(const struct tree *t)
{
	struct tree copy = {.entries = calloc(t->count + 1, sizeof(*t->entries)), .count = t->count, .capacity = t->count + 1};
	if (!copy.entries)
		abort();
	if (t->count > 0)
		memcpy(copy.entries, t->entries, t->count * sizeof(*t->entries));
	return copy;
}

/* The number of an uncertain event: what is chosen in order is what came before it. */
static uint32_t draw_cut(const struct disk *d, struct dice *dice)
{
	uint32_t lowest = UINT32_MAX, highest = 0;
	for (uint32_t i = 0; i < d->objects_count; i++)
		if (d->objects[i].changes_count > 0) {
			const struct object *o = &d->objects[i];
			lowest = o->changes[0].event < lowest ? o->changes[0].event : lowest;
			highest = o->changes[o->changes_count - 1].event > highest ? o->changes[o->changes_count - 1].event : highest;
		}
	if (d->names_count > 0) {
		lowest = d->names[0].event < lowest ? d->names[0].event : lowest;
		highest = d->names[d->names_count - 1].event > highest ? d->names[d->names_count - 1].event : highest;
	}
	return lowest > highest ? 0 : lowest + roll(dice, highest - lowest + 1);
}

void disk_image(const struct disk *d, const struct disk_choice *choice, const char *dir)
{
	struct dice dice = {choice->seed};
	struct tree t = tree_copy(&d->certain);
	uint32_t cut = draw_cut(d, &dice);
	struct object *objects = calloc(d->objects_count, sizeof(*objects));
	bool *named = calloc(d->objects_count, sizeof(*named));
	if (!objects || !named)
		abort();
	for (uint32_t i = 0; i < d->names_count; i++)
		if (chosen(choice->names, d->names[i].event, cut, &dice, choice->percent))
			do_naming(&t, &d->names[i]);
	for (uint32_t i = 0; i < t.count; i++)
		named[t.entries[i].object] = true;
	for (uint32_t i = 0; i < d->objects_count; i++) {
		objects[i].is_dir = d->objects[i].is_dir;
		if (named[i] && !objects[i].is_dir)
			objects[i] = developed(&d->objects[i], i, choice, cut, &dice);
	}
	write_tree(&t, objects, ROOT, dir);
	for (uint32_t i = 0; i < d->objects_count; i++)
		free(objects[i].bytes);
	free(objects);
	free(named);
	free(t.entries);
}

/* --- from a directory --- */

static void load_dir(struct disk *d, uint32_t dir, const char *name)
{
	DIR *list = opendir(name);
	if (!list)
		abort();
	for (struct dirent *e; (e = readdir(list));) {
		char path[4096];
		struct stat st;
		struct entry entry = {.dir = dir, .object = d->objects_count};
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", name, e->d_name);
		if (lstat(path, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
			continue;
		snprintf(entry.name, sizeof(entry.name), "%s", e->d_name);
		struct object *o = object_new(d, st.st_ino, S_ISDIR(st.st_mode));
		set(&d->certain, &entry);
		set(&d->now, &entry);
		if (o->is_dir) {
			load_dir(d, entry.object, path);
			continue;
		}
		size_t size;
		char *bytes = file_load(path, &size);
		if (!bytes)
			abort();
		write_piece(o, 0, (uint8_t *)bytes, size);
		free(bytes);
	}
	closedir(list);
}

struct disk *disk_new(const char *dir)
{
	struct disk *d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	struct stat st = {.st_ino = 0};
	if (dir && stat(dir, &st) != 0)
		abort();
	object_new(d, st.st_ino, true);
	if (dir)
		load_dir(d, ROOT, dir);
	return d;
}

void disk_free(struct disk *d)
{
	for (uint32_t i = 0; i < d->objects_count; i++) {
		free(d->objects[i].bytes);
		free(d->objects[i].changes);
	}
	free(d->objects);
	free(d->now.entries);
	free(d->certain.entries);
	free(d->names);
	free(d);
}
