#include "store/mvcc/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A child on its way into the list. */
struct found {
	struct index_view view;
	size_t name; /* offset in the text */
};

struct listing {
	uint64_t bound;
	struct found *found;
	size_t count;
	size_t capacity;
	struct writer text;
	size_t unknown; /* whose record must be read */
};

static bool add_child(void *ctx, const struct index_node *n, struct span name)
{
	struct listing *l = ctx;
	struct index_view view;
	if (!index_view_at(n, l->bound, &view))
		return false;
	if (l->count == l->capacity) {
		l->capacity = l->capacity ? l->capacity * 2 : 32;
		l->found = realloc(l->found, l->capacity * sizeof *l->found);
		if (!l->found)
			abort();
	}
	l->unknown += !view.known;
	l->found[l->count++] = (struct found){view, l->text.size};
	writer_raw(&l->text, name.data, name.size);
	writer_u8(&l->text, 0);
	return false;
}

/* The index knows keys as they are now; of a former incarnation the record must tell. */
static int complete(struct mvcc *m, uint64_t bound, struct index_view *view)
{
	struct record r;
	if (view->known)
		return 0;
	int error = mvcc_load(m, mark_rev(view->mark), bound, &r);
	if (error)
		return error;
	view->ino = r.ino;
	view->type = r.mode & S_IFMT;
	view->known = true;
	record_done(&r);
	return 0;
}

static int check_dir(struct mvcc *m, struct span dir, uint64_t rev_main, uint64_t *bound)
{
	struct index_view view;
	mvcc_lock_shared(m);
	int error = mvcc_bound(m, rev_main, bound);
	if (!error) {
		const struct index_node *n = index_find(&m->index, dir);
		if (!n || !index_view_at(n, *bound, &view))
			error = -ENOENT;
	}
	mvcc_unlock_shared(m);
	if (!error)
		error = complete(m, *bound, &view);
	return error ? error : S_ISDIR(view.type) ? 0 : -ENOTDIR;
}

static void finish(struct listing *l, struct mvcc_list *out)
{
	struct mvcc_name *names = calloc(l->count + 1, sizeof *names);
	if (!names)
		abort();
	for (size_t i = 0; i < l->count; i++)
		names[i] = (struct mvcc_name){l->found[i].view.ino, l->found[i].view.type, (const char *)l->text.data + l->found[i].name};
	*out = (struct mvcc_list){names, l->count, l->text.data};
	l->text = (struct writer){0};
}

static int list_at(struct mvcc *m, struct span dir, uint64_t rev_main, struct mvcc_list *out)
{
	struct listing l = {0};
	uint64_t bound;
	int error = check_dir(m, dir, rev_main, &l.bound);
	if (error)
		return error;
	mvcc_lock_shared(m);
	error = mvcc_bound(m, l.bound, &bound);
	if (!error)
		index_children(&m->index, dir, add_child, &l);
	mvcc_unlock_shared(m);
	for (size_t i = 0; i < l.count && l.unknown > 0 && !error; i++)
		error = complete(m, l.bound, &l.found[i].view);
	if (!error)
		finish(&l, out);
	free(l.found);
	writer_free(&l.text);
	return error;
}

int mvcc_list(struct mvcc *m, struct span dir, uint64_t rev_main, struct mvcc_list *out)
{
	int error;
	/* As in mvcc_get. */
	do {
		error = list_at(m, dir, rev_main, out);
	} while (error == -ENODATA && rev_main == 0);
	return error;
}

void mvcc_list_done(struct mvcc_list *l)
{
	free(l->names);
	free(l->memory);
	*l = (struct mvcc_list){0};
}

static bool stop_at_live(void *ctx, const struct index_node *n, struct span name)
{
	(void)name;
	*(bool *)ctx = index_node_live(n);
	return *(bool *)ctx;
}

/* Whatever lives below a directory does so below a child that lives. */
bool mvcc_has_children(struct mvcc *m, struct span dir)
{
	bool live = false;
	mvcc_lock_shared(m);
	index_children(&m->index, dir, stop_at_live, &live);
	mvcc_unlock_shared(m);
	return live;
}
