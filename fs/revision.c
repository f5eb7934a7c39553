#include "fs/revision.h"

#include "fs/entry.h"
#include "fs/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS_MODE (S_IFDIR | 0555)

static void drop_tombstones(struct mvcc_version *v, size_t *count)
{
	size_t kept = 0;

	for (size_t i = 0; i < *count; i++) {
		if (!v[i].tombstone)
			v[kept++] = v[i];
	}
	*count = kept;
}

/* The revision of the version `back` before the present one. A deletion counts as the present. */
static int step_back(struct fs *fs, struct span key, uint64_t back, uint64_t *rev)
{
	struct mvcc_version *v;
	size_t count;
	int error = mvcc_history(fs->mvcc, key, &v, &count);

	if (error)
		return error;
	bool deleted = count && v[count - 1].tombstone;
	drop_tombstones(v, &count);
	/* Counted from the end: the live version is number 0, if there is one. */
	uint64_t index = deleted ? back : back + 1;
	if (index == 0 || index > count)
		error = -ENOENT;
	else
		*rev = v[count - (size_t)index].rev.main;
	free(v);
	return error;
}

/* Revision 0 would mean the present to the store. */
static int get_at(struct fs *fs, struct span key, uint64_t rev, struct record *out)
{
	return rev ? mvcc_get(fs->mvcc, key, rev, out) : -ENOENT;
}

static void reply_versions(struct request *rq, struct span key, size_t base_len)
{
	struct mvcc_version *v;
	size_t count;
	struct stat st;
	int error = mvcc_history(rq->fs->mvcc, key, &v, &count);

	if (error) {
		request_error(rq, error);
		return;
	}
	free(v);
	struct node_target target = {.kind = NODE_VERSIONS, .mode = VERSIONS_MODE, .segment_len = base_len};
	struct node *n = nodes_enter(&rq->fs->nodes, rq->node, rq->name, &target);
	view_stat_bare(n, VERSIONS_MODE, &st);
	entry_reply(rq, n, &st, 0, 0);
}

void revision_lookup(struct request *rq, int error)
{
	struct path_name p = path_parse(rq->name, rq->node == &rq->fs->nodes.root);
	char base[NAME_MAX + 1], text[VIEW_KEY_SIZE];
	struct record r = {0};
	uint64_t rev = p.number;

	snprintf(base, sizeof(base), "%.*s", (int)p.base_len, rq->name);
	int size = view_key(rq->fs, rq->node, p.base_len ? base : NULL, text);
	if (!error && size < 0)
		error = size;
	struct span key = {text, size < 0 ? 0 : (size_t)size};
	if (!error && p.shape == PATH_VERSIONS) {
		if (p.base_len)
			reply_versions(rq, key, p.base_len);
		else
			request_error(rq, -ENOENT);
		return;
	}
	if (!error && p.shape == PATH_BACK)
		error = step_back(rq->fs, key, p.number, &rev);
	if (!error)
		error = get_at(rq->fs, key, rev, &r);
	if (error) {
		request_error(rq, error == -ESTALE ? -ENOENT : error);
		return;
	}
	/* What NAME@-1 leads to changes with each write; a numbered revision never does. */
	entry_reply_record(rq, &r, rev, p.base_len, p.shape == PATH_BACK ? 0 : VIEW_FOREVER_SECONDS);
	record_done(&r);
}

void revision_lookup_below(struct request *rq)
{
	char text[VIEW_KEY_SIZE];
	struct record r = {0};
	uint64_t rev = rq->node->rev;
	int size = view_key(rq->fs, rq->node, rq->name, text);
	int error = size < 0 ? size : get_at(rq->fs, (struct span){text, (size_t)size}, rev, &r);

	if (error) {
		request_error(rq, error);
		return;
	}
	entry_reply_record(rq, &r, rev, strlen(rq->name), VIEW_FOREVER_SECONDS);
	record_done(&r);
}

int revision_list(struct fs *fs, struct node *n, struct mvcc_version **out, size_t *count)
{
	char text[VIEW_KEY_SIZE];
	int size = view_key(fs, n, NULL, text);

	if (size < 0)
		return size;
	int error = mvcc_history(fs->mvcc, (struct span){text, (size_t)size}, out, count);
	if (!error)
		drop_tombstones(*out, count);
	return error;
}

void revision_lookup_version(struct request *rq)
{
	char *end, text[VIEW_KEY_SIZE];
	struct mvcc_version *v = NULL;
	size_t count = 0;
	struct record r = {0};
	uint64_t rev = strtoull(rq->name, &end, 10);
	bool found = false;
	int error = *end || rq->name[0] < '1' || rq->name[0] > '9' ? -ENOENT : revision_list(rq->fs, rq->node, &v, &count);

	for (size_t i = 0; i < count && !error; i++)
		found = found || v[i].rev.main == rev;
	free(v);
	int size = view_key(rq->fs, rq->node, NULL, text);
	if (!error)
		error = !found ? -ENOENT : size < 0 ? size : get_at(rq->fs, (struct span){text, (size_t)size}, rev, &r);
	if (error) {
		request_error(rq, error);
		return;
	}
	entry_reply_record(rq, &r, rev, 0, VIEW_FOREVER_SECONDS);
	record_done(&r);
}
