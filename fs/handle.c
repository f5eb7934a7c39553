#include "fs/handle.h"

#include "base/log.h"

#include "base/clock.h"
#include "fs/cache.h"
#include "fs/exclusive.h"
#include "fs/extend.h"
#include "fs/stream.h"
#include "fs/locks.h"
#include "fs/mapped.h"
#include "fs/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kernel's own flag for the open of execve(2). */
#define FMODE_EXEC 0x20

struct pin *pin_new(struct record *record)
{
	struct pin *p = malloc(sizeof(*p));

	if (!p)
		abort();
	p->refs = 1;
	p->record = *record;
	*record = (struct record){0};
	return p;
}

struct pin *pin_hold(struct pin *p)
{
	if (p)
		atomic_fetch_add(&p->refs, 1);
	return p;
}

void pin_put(struct pin *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	record_done(&p->record);
	free(p);
}

void handle_pin(struct handle *h, struct record *record)
{
	pin_put(h->pin);
	h->pin = pin_new(record);
	h->base_size = h->pin->record.size;
	h->cut = false;
}

struct handle *handle_new(struct request *rq, struct node *n, struct record *record, int flags)
{
	struct fs *fs = rq->fs;
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		abort();
	h->fs = fs;
	h->node = n;
	h->refs = 1;
	h->opener = rq->pid;
	h->writable = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	h->runs = flags & FMODE_EXEC;
	pthread_mutex_init(&h->lock, NULL);
	dirty_init(&h->dirty);
	dirty_init(&h->frozen);
	if (record)
		handle_pin(h, record);
	nodes_hold(&fs->nodes, n);
	return h;
}

void handle_list(struct handle *h)
{
	struct fs *fs = h->fs;
	struct node *n = h->node;

	pthread_mutex_lock(&fs->handles_lock);
	h->next = n->handles;
	h->at = &n->handles;
	if (h->next)
		h->next->at = &h->next;
	n->handles = h;
	n->writers += h->writable;
	pthread_mutex_unlock(&fs->handles_lock);
}

void handle_hold(struct handle *h)
{
	atomic_fetch_add(&h->refs, 1);
}

void handle_put(struct handle *h)
{
	if (!h || atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	pin_put(h->pin);
	pin_put(h->mapped);
	dirty_done(&h->dirty);
	dirty_done(&h->frozen);
	writer_free(&h->text);
	stream_close(h->stream);
	pthread_mutex_destroy(&h->lock);
	nodes_put(&h->fs->nodes, h->node);
	free(h);
}

void handle_close(struct handle *h)
{
	struct fs *fs = h->fs;

	pthread_mutex_lock(&fs->handles_lock);
	*h->at = h->next;
	if (h->next)
		h->next->at = h->at;
	h->node->writers -= h->writable;
	pthread_mutex_unlock(&fs->handles_lock);
	mapped_close(h);
	if (h->counted)
		cache_close(fs, h->node, h->cached, h->changes, h->read);
	locks_drop_handle(h);
	exclusive_give_back(h);
	handle_put(h);
}

void handles_drop(struct fs *fs)
{
	struct handle *left = NULL;
	char key[VIEW_KEY_SIZE];

	for (struct node *n = fs->nodes.all; n; n = n->all_next) {
		for (struct handle *h = n->handles, *next; h; h = next) {
			next = h->next;
			h->next = left;
			left = h;
		}
		n->handles = NULL;
		pin_put(n->cache.extension);
		n->cache.extension = NULL;
		pin_put(n->cache.mapped);
		n->cache.mapped = NULL;
	}
	while (left) {
		struct handle *h = left;
		left = h->next;
		if (handle_pending(h))
			log_warn("the file system ended while %s was open: what was written to it and never closed is not published",
				 view_key(fs, h->node, NULL, key) < 0 ? "a file" : key);
		handle_put(h);
	}
}

struct handle *handle_of_caller(struct fs *fs, struct node *n, pid_t thread)
{
	pid_t openers[16];
	size_t count = 0;
	struct handle *found = NULL;

	if (!n->writers)
		return NULL;
	pthread_mutex_lock(&fs->handles_lock);
	for (struct handle *h = n->handles; h && !found; h = h->next) {
		if (!h->writable)
			continue;
		if (h->opener == thread)
			found = h;
		else if (count < sizeof(openers) / sizeof(*openers))
			openers[count++] = h->opener;
	}
	if (found)
		handle_hold(found);
	pthread_mutex_unlock(&fs->handles_lock);
	if (found || !count)
		return found;
	/* Another thread of an opener's process? /proc is read with no lock held. */
	pid_t process = holders_process(thread), match = -1;
	for (size_t i = 0; i < count && match < 0 && process > 0; i++) {
		if (openers[i] == process || holders_process(openers[i]) == process)
			match = openers[i];
	}
	if (match < 0)
		return NULL;
	pthread_mutex_lock(&fs->handles_lock);
	for (found = n->handles; found && !(found->writable && found->opener == match); found = found->next)
		;
	if (found)
		handle_hold(found);
	pthread_mutex_unlock(&fs->handles_lock);
	return found;
}

bool handle_any(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->handles_lock);
	bool any = n->handles;
	pthread_mutex_unlock(&fs->handles_lock);
	return any;
}

struct handle *handle_of_creator(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->handles_lock);
	struct handle *h = n->handles;
	while (h && !h->creates)
		h = h->next;
	if (h)
		handle_hold(h);
	pthread_mutex_unlock(&fs->handles_lock);
	return h;
}

struct handle *handle_with_changes(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->handles_lock);
	struct handle *found = n->handles;
	bool changes = false;
	for (struct handle *h = n->handles; h && !changes; h = h->next) {
		pthread_mutex_lock(&h->lock);
		changes = !dirty_empty(&h->dirty) || !dirty_empty(&h->frozen) || h->attr.mask;
		pthread_mutex_unlock(&h->lock);
		if (changes)
			found = h;
	}
	if (found)
		handle_hold(found);
	pthread_mutex_unlock(&fs->handles_lock);
	return found;
}

bool handle_runs(struct fs *fs, const struct node *n)
{
	pthread_mutex_lock(&fs->handles_lock);
	const struct handle *h = n->handles;
	while (h && !h->runs)
		h = h->next;
	pthread_mutex_unlock(&fs->handles_lock);
	return h != NULL;
}

struct holders_file handle_file(struct fs *fs, const struct node *n)
{
	struct stat provisional;

	/* Not before it is asked for: the mount is there then. */
	if (!fs->mount_id)
		fs->mount_id = holders_mount(fs->config.mountpoint);
	view_stat_bare(n, S_IFREG, &provisional);
	return (struct holders_file){.mount = fs->mount_id, .ino = {n->ino ? n->ino : provisional.st_ino, provisional.st_ino}};
}

bool handle_caller_holds(struct fs *fs, struct node *n, pid_t thread)
{
	struct handle *h = handle_of_caller(fs, n, thread);

	if (h) {
		handle_put(h);
		return true;
	}
	if (!n->writers)
		return false;
	struct holders_file file = handle_file(fs, n);
	return holders_has(thread, &file, true);
}

bool handle_pending(const struct handle *h)
{
	if (!h->writable || h->node->cancelled)
		return false;
	return (h->creates && node_provisional(h->node)) || h->attr.mask || dirty_pending(&h->dirty, h->base_size);
}

uint64_t handle_size(const struct handle *h)
{
	return dirty_size(&h->dirty, dirty_size(&h->frozen, h->base_size));
}

struct handle_attr handle_attr_from(const struct stat *attr, int to_set)
{
	struct handle_attr a = {.mode = attr->st_mode & 07777, .uid = attr->st_uid, .gid = attr->st_gid};

	a.mask |= to_set & FUSE_SET_ATTR_MODE ? SET_MODE : 0;
	a.mask |= to_set & FUSE_SET_ATTR_UID ? SET_UID : 0;
	a.mask |= to_set & FUSE_SET_ATTR_GID ? SET_GID : 0;
	if (to_set & FUSE_SET_ATTR_ATIME)
		a.mask |= to_set & FUSE_SET_ATTR_ATIME_NOW ? SET_ATIME_NOW : SET_ATIME;
	if (to_set & FUSE_SET_ATTR_MTIME)
		a.mask |= to_set & FUSE_SET_ATTR_MTIME_NOW ? SET_MTIME_NOW : SET_MTIME;
	a.atime_ns = view_time_ns(attr->st_atim);
	a.mtime_ns = view_time_ns(attr->st_mtim);
	return a;
}

void handle_attr_merge(struct handle_attr *into, const struct handle_attr *later)
{
	if (later->mask & SET_MODE)
		into->mode = later->mode;
	if (later->mask & SET_UID)
		into->uid = later->uid;
	if (later->mask & SET_GID)
		into->gid = later->gid;
	if (later->mask & (SET_ATIME | SET_ATIME_NOW)) {
		into->mask &= ~(uint32_t)(SET_ATIME | SET_ATIME_NOW);
		into->atime_ns = later->atime_ns;
	}
	if (later->mask & (SET_MTIME | SET_MTIME_NOW)) {
		into->mask &= ~(uint32_t)(SET_MTIME | SET_MTIME_NOW);
		into->mtime_ns = later->mtime_ns;
	}
	into->mask |= later->mask;
}

void handle_attr_stat(const struct handle_attr *attr, struct stat *st)
{
	if (attr->mask & SET_MODE)
		st->st_mode = (st->st_mode & S_IFMT) | (attr->mode & 07777);
	if (attr->mask & SET_UID)
		st->st_uid = attr->uid;
	if (attr->mask & SET_GID)
		st->st_gid = attr->gid;
	if (attr->mask & SET_ATIME)
		st->st_atim = view_time(attr->atime_ns);
	if (attr->mask & SET_MTIME)
		st->st_mtim = view_time(attr->mtime_ns);
}

static mode_t without_privileges(mode_t mode)
{
	return mode & ~(mode_t)(S_ISUID | (mode & S_IXGRP ? S_ISGID : 0));
}

void handle_stat(const struct handle *h, struct stat *st)
{
	struct timespec touched = view_time(h->touched_ns);

	if (h->creates && node_provisional(h->node)) {
		st->st_mode = S_IFREG | (h->create_mode & 07777);
		st->st_uid = h->create_uid;
		st->st_gid = h->create_gid;
		st->st_atim = touched;
		st->st_nlink = h->node->cancelled ? 0 : 1;
	}
	if (h->touched_ns) {
		st->st_mtim = touched;
		st->st_ctim = touched;
	}
	if (h->writer)
		st->st_mode = without_privileges(st->st_mode);
	handle_attr_stat(&h->frozen_attr, st);
	handle_attr_stat(&h->attr, st);
	st->st_size = (off_t)handle_size(h);
	st->st_blocks = (blkcnt_t)((st->st_size + 511) / 512);
}

void handle_set_attr(struct handle *h, const struct stat *attr, int to_set)
{
	struct handle_attr a = handle_attr_from(attr, to_set);

	handle_attr_merge(&h->attr, &a);
	h->touched_ns = clock_wall_ns();
}

/* A time that was set gives way to that of a later change. */
#define OPENERS_MAX 16

static void touched(struct handle *h)
{
	h->attr.mask &= ~(uint32_t)(SET_MTIME | SET_MTIME_NOW);
	h->touched_ns = clock_wall_ns();
	h->failed = false;
}

void handle_written_by(struct handle *h, uint32_t uid)
{
	if (uid == 0)
		return;
	h->writer = uid;
	h->attr.mode = without_privileges(h->attr.mode);
}

/* What a file takes of the quota is its size; what it takes already was admitted. Others may have made it larger since it was opened: what is appended comes
 * on top of that. */
static int admit(struct handle *h, uint64_t size, bool append)
{
	struct record r = {0};
	int error = size > h->base_size ? store_admit(h->fs->store, size - h->base_size) : 0;

	if (error && !append && view_record_by_ino(h->fs, h->node, &r) == 0 && r.size > h->base_size)
		error = size > r.size ? store_admit(h->fs->store, size - r.size) : 0;
	record_done(&r);
	return error;
}

int handle_write(struct handle *h, const void *data, size_t size, off_t offset, bool append)
{
	uint64_t below = dirty_size(&h->frozen, h->base_size);
	uint64_t end = dirty_size(&h->dirty, below);
	uint64_t at = append ? end : (uint64_t)offset;
	uint64_t max = h->fs->settings->max_file;

	if (size > max || at > max - size)
		return -EFBIG;
	int error = admit(h, at + size > end ? at + size : end, append);
	if (!error && append)
		error = dirty_append(&h->dirty, below, data, size);
	else if (!error)
		error = dirty_write(&h->dirty, below, at, data, size);
	if (!error)
		touched(h);
	return error;
}

int handle_truncate(struct handle *h, uint64_t size)
{
	uint64_t below = dirty_size(&h->frozen, h->base_size);

	if (size > h->fs->settings->max_file)
		return -EFBIG;
	int error = size > dirty_size(&h->dirty, below) ? admit(h, size, false) : 0;
	if (!error)
		error = dirty_truncate(&h->dirty, below, size);
	if (error)
		return error;
	touched(h);
	/* It changes the times even where it leaves the size, and a file that is empty already is truncated for nothing else. */
	if (!dirty_pending(&h->dirty, below))
		h->attr.mask |= SET_MTIME_NOW;
	return 0;
}

/* Replies with bytes of a pinned record, without a copy if it holds them itself. */
static void reply_pinned(struct request *rq, const struct pin *p, uint64_t offset, size_t size)
{
	const struct record *r = &p->record;

	if (r->data.size == r->size) {
		request_data(rq, (const char *)r->data.data + offset, size);
		return;
	}
	char *buffer = malloc(size);
	if (!buffer)
		abort();
	ssize_t got = mvcc_read(rq->fs->mvcc, r, offset, buffer, size);
	if (got < 0)
		request_error(rq, (int)got);
	else
		request_data(rq, buffer, (size_t)got);
	free(buffer);
}

/* The file below and both layers over it. h->lock is held. */
static int read_layers(struct handle *h, uint64_t offset, char *buffer, size_t size)
{
	uint64_t middle = dirty_size(&h->frozen, h->base_size);

	if (h->pin && offset < h->base_size) {
		ssize_t got = mvcc_read(h->fs->mvcc, &h->pin->record, offset, buffer, size);
		if (got < 0)
			return (int)got;
	}
	dirty_overlay(&h->frozen, h->base_size, offset, buffer, size);
	dirty_overlay(&h->dirty, middle, offset, buffer, size);
	return 0;
}

static void reply_layers(struct handle *h, struct request *rq, uint64_t offset, size_t size)
{
	char *buffer = malloc(size);

	if (!buffer)
		abort();
	int error = read_layers(h, offset, buffer, size);
	pthread_mutex_unlock(&h->lock);
	if (error)
		request_error(rq, error);
	else
		request_data(rq, buffer, size);
	free(buffer);
}

bool handle_asked(const struct request *rq)
{
	return rq->file.lock_owner != 0;
}

void handle_read(struct handle *h, struct request *rq, size_t size, off_t offset)
{
	int unreadable = store_readable(h->fs->store);

	if (unreadable) {
		request_error(rq, unreadable);
		return;
	}
	pthread_mutex_lock(&h->lock);
	bool maps = !handle_asked(rq) && mapped_is(h) && h->pin;
	struct pin *p = maps ? mapped_content(h) : extend_content(h, true);
	uint64_t end = h->cached || maps ? p->record.size : handle_size(h), at = (uint64_t)offset;
	bool layers = !dirty_empty(&h->dirty) || !dirty_empty(&h->frozen);
	h->answered = h->answered || (at == 0 && handle_asked(rq));
	h->ended = h->ended || at >= end;
	if (size > end - at)
		size = (size_t)(end - at);
	if (at < end && layers)
		reply_layers(h, rq, at, size);
	else
		pthread_mutex_unlock(&h->lock);
	if (at >= end)
		request_data(rq, NULL, 0);
	else if (!layers)
		reply_pinned(rq, p, at, size);
	pin_put(p);
}
