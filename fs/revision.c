#include "fs/revision.h"

#include "base/clock.h"
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
	/* What stood at the floor hides what was before, if there was anything. */
	bool floor = count && v[0].rev.main <= mvcc_compact_revision(fs->mvcc);
	drop_tombstones(v, &count);
	/* Counted from the end: the live version is number 0, if there is one. */
	uint64_t index = deleted ? back : back + 1;
	if (index > count && floor)
		error = -ENODATA;
	else if (index == 0 || index > count)
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

/* A time is passed once something was made later: until then what is yet to come may get it. */
static bool time_passed(struct fs *fs, int64_t time_ns)
{
	return time_ns < mvcc_last_time(fs->mvcc);
}

bool revision_reached(struct fs *fs, const struct path_name *p)
{
	if (p->shape == PATH_REVISION)
		return p->number <= mvcc_revision(fs->mvcc);
	return p->shape == PATH_TIME && (p->no_date || time_passed(fs, p->time_ns));
}

/* Times beyond the newest revision lead to that one, up to the present. */
static int find_time(struct fs *fs, const struct path_name *p, uint64_t *rev)
{
	if (p->no_date)
		return -ENOENT;
	if (!time_passed(fs, p->time_ns) && p->time_ns > clock_wall_ns())
		return -ENOENT;
	return mvcc_revision_at(fs->mvcc, p->time_ns, rev);
}

/* The revision that the name means, and for how long it will. */
static int find_revision(struct fs *fs, const struct path_name *p, struct span key, uint64_t *rev, double *seconds)
{
	*rev = p->number;
	*seconds = VIEW_FOREVER_SECONDS;
	if (p->shape == PATH_REVISION)
		return 0;
	/* What NAME@-1 leads to changes with each write; and a time beyond the newest revision may lead to a later one yet. */
	if (p->shape == PATH_BACK || !time_passed(fs, p->time_ns))
		*seconds = 0;
	return p->shape == PATH_BACK ? step_back(fs, key, p->number, rev) : find_time(fs, p, rev);
}

void revision_lookup(struct request *rq, int error)
{
	struct path_name p = entry_parse(rq->fs, rq->node, rq->name);
	char base[NAME_MAX + 1], text[VIEW_KEY_SIZE];
	struct record r = {0};
	double seconds;
	uint64_t rev;

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
	if (!error)
		error = find_revision(rq->fs, &p, key, &rev, &seconds);
	if (!error)
		error = get_at(rq->fs, key, rev, &r);
	if (error) {
		request_error(rq, error == -ESTALE ? -ENOENT : error);
		return;
	}
	entry_reply_record(rq, &r, rev, p.base_len, seconds);
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

/* Does the NAME@ directory list it? As mvcc_history has it: a version of its own, or what stood at the floor. */
static bool is_version(struct fs *fs, const struct record *r, uint64_t rev)
{
	return (r->stored.main == rev && !(r->flags & RECORD_TOUCH)) || rev == mvcc_compact_revision(fs->mvcc);
}

void revision_lookup_version(struct request *rq)
{
	char *end, text[VIEW_KEY_SIZE];
	struct record r = {0};
	uint64_t rev = strtoull(rq->name, &end, 10);
	int error = *end || rq->name[0] < '1' || rq->name[0] > '9' ? -ENOENT : 0;
	int size = view_key(rq->fs, rq->node, NULL, text);

	if (!error)
		error = size < 0 ? size : get_at(rq->fs, (struct span){text, (size_t)size}, rev, &r);
	if (!error && !is_version(rq->fs, &r, rev))
		error = -ENOENT;
	if (error)
		request_error(rq, error);
	else
		entry_reply_record(rq, &r, rev, 0, VIEW_FOREVER_SECONDS);
	record_done(&r);
}
