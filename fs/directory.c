#include "fs/directory.h"

#include "fs/revision.h"
#include "fs/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct directory *directory_open(struct fs *fs, struct node *n)
{
	struct directory *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	d->node = n;
	pthread_mutex_init(&d->lock, NULL);
	nodes_hold(&fs->nodes, n);
	pthread_mutex_lock(&fs->handles_lock);
	d->next = fs->directories;
	d->at = &fs->directories;
	if (d->next)
		d->next->at = &d->next;
	fs->directories = d;
	pthread_mutex_unlock(&fs->handles_lock);
	return d;
}

static void empty(struct directory *d)
{
	mvcc_list_done(&d->list);
	free(d->versions);
	d->list = (struct mvcc_list){0};
	d->versions = NULL;
	d->versions_count = 0;
	d->filled = false;
}

void directory_close(struct fs *fs, struct directory *d)
{
	pthread_mutex_lock(&fs->handles_lock);
	*d->at = d->next;
	if (d->next)
		d->next->at = d->at;
	pthread_mutex_unlock(&fs->handles_lock);
	empty(d);
	nodes_put(&fs->nodes, d->node);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void directories_drop(struct fs *fs)
{
	while (fs->directories)
		directory_close(fs, fs->directories);
}

int directory_fill(struct fs *fs, struct directory *d)
{
	char key[VIEW_KEY_SIZE];
	int error;

	empty(d);
	if (d->node->kind == NODE_VERSIONS) {
		error = revision_list(fs, d->node, &d->versions, &d->versions_count);
	} else {
		int size = view_key(fs, d->node, NULL, key);
		error = size < 0 ? size : mvcc_list(fs->mvcc, (struct span){key, (size_t)size}, d->node->rev, &d->list);
	}
	d->filled = !error;
	return error;
}

static bool version_entry(const struct directory *d, size_t index, char text[32], const char **name, struct stat *st)
{
	if (index >= d->versions_count)
		return false;
	snprintf(text, 32, "%" PRIu64, d->versions[index].rev.main);
	*name = text;
	st->st_ino = view_ino(d->node->number, d->versions[index].rev.main);
	st->st_mode = 0; /* whatever it was then */
	return true;
}

bool directory_entry(struct fs *fs, const struct directory *d, size_t index, char text[32], const char **name, struct stat *st)
{
	struct node *n = d->node;

	*st = (struct stat){.st_mode = S_IFDIR};
	if (index < 2) {
		struct node *dot = index == 1 && n != &fs->nodes.root ? n->parent : n;
		*name = index ? ".." : ".";
		st->st_ino = view_ino(dot->ino ? dot->ino : dot->number, dot->rev);
		return true;
	}
	index -= 2;
	if (n->kind == NODE_VERSIONS)
		return version_entry(d, index, text, name, st);
	if (index >= d->list.count)
		return false;
	*name = d->list.names[index].name;
	st->st_ino = view_ino(d->list.names[index].ino, n->rev);
	st->st_mode = d->list.names[index].mode;
	return true;
}
