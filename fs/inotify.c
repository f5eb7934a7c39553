#include "fs/inotify_scene.h"

#include "base/log.h"
#include "fs/entry.h"
#include "fs/follow.h"
#include "fs/inotify_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Revisions made here that were not met yet. Beyond it the thread is so far behind that it passes over what lies between. */
#define MADE_MAX 65536u

/* A directory that was deleted: its turn comes after what the same revision deleted in it. */
struct doomed {
	struct doomed *next;
	struct mvcc_event event;
	char key[];
};

struct inotify {
	struct fs *fs;
	struct follow *follow;
	struct fuse_lowlevel_ops operations;
	_Atomic pid_t thread;
	atomic_bool seen;
	pthread_mutex_t scene_lock;
	struct scene scene;
	pthread_mutex_t made_lock; /* over what follows */
	uint64_t *made;            /* a ring */
	size_t made_first;
	size_t made_count;
	uint64_t passed_over; /* up to this revision nothing is repeated */
	/* the thread's own */
	struct doomed *doomed;
	struct writer renamed; /* the key of the directory whose rename was repeated last... */
	uint64_t renamed_at;   /* ... and when: what lies in it went along */
	uint64_t refused;      /* scenes that the kernel would not have */
	bool lost_told;
};

struct scene *inotify_scene(struct inotify *i)
{
	pthread_mutex_lock(&i->scene_lock);
	return &i->scene;
}

void inotify_scene_done(struct inotify *i)
{
	pthread_mutex_unlock(&i->scene_lock);
}

void inotify_seen(struct inotify *i)
{
	i->seen = true;
}

bool inotify_acts(const struct inotify *i, pid_t thread)
{
	return i && thread && i->thread == thread;
}

const struct fuse_lowlevel_ops *inotify_operations(struct inotify *i)
{
	return &i->operations;
}

void inotify_made_here(struct inotify *i, uint64_t revision)
{
	if (!i)
		return;
	pthread_mutex_lock(&i->made_lock);
	if (i->made_count == MADE_MAX) {
		i->passed_over = revision;
		i->made_count = 0;
	} else {
		i->made[(i->made_first + i->made_count++) % MADE_MAX] = revision;
	}
	pthread_mutex_unlock(&i->made_lock);
}

/* Revisions come in order, here as there. */
static bool was_made_here(struct inotify *i, uint64_t revision)
{
	pthread_mutex_lock(&i->made_lock);
	while (i->made_count && i->made[i->made_first] < revision) {
		i->made_first = (i->made_first + 1) % MADE_MAX;
		i->made_count--;
	}
	bool here = revision <= i->passed_over || (i->made_count && i->made[i->made_first] == revision);
	pthread_mutex_unlock(&i->made_lock);
	return here;
}

/* --- scenes --- */

static void scene_begin(struct inotify *i, const struct scene *s)
{
	struct scene *to = inotify_scene(i);

	*to = *s;
	to->on = true;
	inotify_scene_done(i);
}

static void scene_end(struct inotify *i, int error)
{
	inotify_scene(i)->on = false;
	inotify_scene_done(i);
	if (error && error != -ENOENT && error != -EXDEV && !follow_stopping(i->follow) && i->refused++ == 0)
		log_warn("a change made elsewhere raises no inotify event on this mount: %s", strerror(-error));
}

static bool is_open(void *ctx)
{
	struct inotify *i = ctx;
	bool opened = inotify_scene(i)->opened;

	inotify_scene_done(i);
	return opened;
}

/* A key, split; the name ends with a NUL. */
struct place {
	char name[NAME_MAX + 1];
	char directory[MVCC_KEY_MAX + 1];
	struct node *known; /* the directory, held; NULL: the kernel does not know it */
};

/* false: there is nothing to repeat under such a name. */
static bool place_of(struct fs *fs, struct span key, struct place *p)
{
	const char *text = key.data;
	const char *slash = memrchr(text, '/', key.size);
	size_t before = slash ? (size_t)(slash - text) : 0;
	size_t from = slash ? before + 1 : 0;

	p->known = NULL;
	if (key.size - from > NAME_MAX || before > MVCC_KEY_MAX)
		return false;
	memcpy(p->directory, text, before);
	p->directory[before] = '\0';
	memcpy(p->name, text + from, key.size - from);
	p->name[key.size - from] = '\0';
	if (path_parse(p->name, before == 0, fs->config.rev_mark).shape != PATH_PLAIN)
		return false;
	p->known = nodes_walk(&fs->nodes, p->directory, before);
	return true;
}

/* What a key was at a revision; ino 0: not there. */
static struct scene_name name_at(struct fs *fs, const struct place *p, struct span key, uint64_t rev)
{
	struct scene_name n = {.name = p->name, .key = key};
	struct record r = {0};

	if (mvcc_get(fs->mvcc, key, rev, &r) == 0) {
		n.ino = r.ino;
		n.mode = r.mode;
	}
	record_done(&r);
	if (p->known) {
		n.parent = p->known->ino;
	} else if (mvcc_get(fs->mvcc, (struct span){p->directory, strlen(p->directory)}, rev, &r) == 0) {
		n.parent = r.ino;
		record_done(&r);
	}
	return n;
}

static bool had_content(struct fs *fs, const struct mvcc_event *e)
{
	struct record r = {0};
	bool content = mvcc_get(fs->mvcc, e->key, e->rev.main, &r) != 0 || r.size > 0;

	record_done(&r);
	return content;
}

/* Where the scene plays: the directory by the path that it has from here. */
static struct calls_stage stage_of(struct inotify *i, const struct place *p)
{
	return (struct calls_stage){
		.mountpoint = i->fs->config.mountpoint, .device = i->fs->device, .directory = p->directory, .name = p->name};
}

static void repeat_put(struct inotify *i, const struct mvcc_event *e, const struct place *p)
{
	struct fs *fs = i->fs;
	struct scene s = {.before = e->rev.main - 1, .at = e->rev.main, .ino = e->ino, .mode = e->mode};
	struct calls_stage stage = stage_of(i, p);
	int error;

	s.name = name_at(fs, p, e->key, e->rev.main - 1);
	bool made = s.name.ino == 0;
	/* Another thing in its place, by an exchange: no scene shows that. */
	if (!made && s.name.ino != e->ino)
		return;
	scene_begin(i, &s);
	if (made)
		error = calls_make(&stage, e->mode, S_ISREG(e->mode) && had_content(fs, e), is_open, i);
	else if (S_ISREG(e->mode) && !e->attributes)
		error = calls_modify(&stage, is_open, i);
	else
		error = calls_touch(&stage);
	scene_end(i, error);
}

static void repeat_delete(struct inotify *i, const struct mvcc_event *e, const struct place *p)
{
	struct scene s = {.before = e->rev.main - 1, .at = e->rev.main};
	struct calls_stage stage = stage_of(i, p);

	s.name = name_at(i->fs, p, e->key, e->rev.main - 1);
	if (s.name.ino == 0)
		return;
	scene_begin(i, &s);
	scene_end(i, calls_remove(&stage, S_ISDIR(s.name.mode)));
}

static void repeat_rename(struct inotify *i, const struct mvcc_event *e, const struct place *p, const struct place *p2)
{
	struct scene s = {.before = e->rev.main - 1, .at = e->rev.main, .ino = e->ino, .mode = e->mode};
	struct calls_stage stage = stage_of(i, p), stage2 = stage_of(i, p2);

	s.name = name_at(i->fs, p, e->key, e->rev.main - 1);
	s.name2 = name_at(i->fs, p2, e->to, e->rev.main - 1);
	if (s.name.ino != e->ino)
		return;
	scene_begin(i, &s);
	scene_end(i, calls_rename(&stage, &stage2));
}

/* --- events --- */

static bool below(const struct writer *directory, struct span key)
{
	return key.size > directory->size && memcmp(key.data, directory->data, directory->size) == 0 &&
	       ((const char *)key.data)[directory->size] == '/';
}

static void on_rename(struct inotify *i, const struct mvcc_event *e)
{
	struct place p, p2;

	if (e->rev.main == i->renamed_at && below(&i->renamed, e->key))
		return;
	if (S_ISDIR(e->mode)) {
		writer_clear(&i->renamed);
		writer_raw(&i->renamed, e->key.data, e->key.size);
		i->renamed_at = e->rev.main;
	}
	bool first = place_of(i->fs, e->key, &p), second = place_of(i->fs, e->to, &p2);
	if (first && second && (p.known || p2.known))
		repeat_rename(i, e, &p, &p2);
	if (first)
		nodes_put(&i->fs->nodes, p.known);
	if (second)
		nodes_put(&i->fs->nodes, p2.known);
}

static void on_one(struct inotify *i, const struct mvcc_event *e)
{
	struct place p;

	if (!place_of(i->fs, e->key, &p))
		return;
	if (p.known && e->type == MVCC_EVENT_PUT)
		repeat_put(i, e, &p);
	else if (p.known)
		repeat_delete(i, e, &p);
	nodes_put(&i->fs->nodes, p.known);
}

/* The last one first: what lies in another comes after it in a revision. */
static void end_doomed(struct inotify *i)
{
	while (i->doomed) {
		struct doomed *d = i->doomed;
		i->doomed = d->next;
		if (!follow_stopping(i->follow))
			on_one(i, &d->event);
		free(d);
	}
}

/* Of what the kernel does not know anyway: no, which costs no look into the store. */
static bool was_known_directory(struct fs *fs, const struct mvcc_event *e)
{
	struct record r = {0};
	struct place p;

	if (!place_of(fs, e->key, &p) || !p.known)
		return false;
	nodes_put(&fs->nodes, p.known);
	bool directory = mvcc_get(fs->mvcc, e->key, e->rev.main - 1, &r) == 0 && S_ISDIR(r.mode);

	record_done(&r);
	return directory;
}

static void put_off(struct inotify *i, const struct mvcc_event *e)
{
	struct doomed *d = malloc(sizeof(*d) + e->key.size);

	if (!d)
		abort();
	*d = (struct doomed){.next = i->doomed, .event = *e};
	memcpy(d->key, e->key.data, e->key.size);
	d->event.key.data = d->key;
	i->doomed = d;
}

static void on_event(void *ctx, const struct mvcc_event *e)
{
	struct inotify *i = ctx;

	if (i->doomed && i->doomed->event.rev.main != e->rev.main)
		end_doomed(i);
	if (!i->seen || was_made_here(i, e->rev.main))
		return;
	if (e->type == MVCC_EVENT_RENAME)
		on_rename(i, e);
	else if (e->type == MVCC_EVENT_DELETE && was_known_directory(i->fs, e))
		put_off(i, e);
	else
		on_one(i, e);
}

static int on_idle(void *ctx)
{
	end_doomed(ctx);
	return -1;
}

static void on_lost(void *ctx, uint64_t revision)
{
	struct inotify *i = ctx;

	if (!i->lost_told)
		log_warn("inotify: changes before revision %llu were compacted before their events could be raised",
			 (unsigned long long)revision);
	i->lost_told = true;
}

/* Waits until the mount answers, and makes sure that this thread is recognised: what is meant to change nothing would change all else. */
static void on_begun(void *ctx)
{
	struct inotify *i = ctx;
	struct fs *fs = i->fs;

	i->thread = gettid();
	int error = calls_statfs(fs->config.mountpoint, fs->device);
	if (!i->seen && !follow_stopping(i->follow))
		log_warn("remote changes raise no inotify events: the mount does not recognise its own process (%s)",
			 error ? strerror(-error) : "another pid namespace?");
}

struct inotify *inotify_start(struct fs *fs)
{
	struct inotify *i = calloc(1, sizeof(*i));

	if (!i || !(i->made = calloc(MADE_MAX, sizeof(*i->made))))
		abort();
	i->fs = fs;
	pthread_mutex_init(&i->scene_lock, NULL);
	pthread_mutex_init(&i->made_lock, NULL);
	inotify_recognise(fs->operations, &i->operations);
	const struct follow_events events = {.ctx = i, .begun = on_begun, .event = on_event, .idle = on_idle, .lost = on_lost};
	int error = follow_start(store_watch(fs->store), "inotify", &events, &i->follow);
	if (!error)
		return i;
	log_warn("remote changes raise no inotify events: no thread can be made: %s", strerror(-error));
	inotify_end(i);
	return NULL;
}

void inotify_stop(struct inotify *i)
{
	if (i)
		follow_stop(i->follow);
}

void inotify_end(struct inotify *i)
{
	if (!i)
		return;
	follow_end(i->follow);
	while (i->doomed) {
		struct doomed *next = i->doomed->next;
		free(i->doomed);
		i->doomed = next;
	}
	writer_free(&i->renamed);
	pthread_mutex_destroy(&i->scene_lock);
	pthread_mutex_destroy(&i->made_lock);
	free(i->made);
	free(i);
}
