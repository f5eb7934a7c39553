/* xattrs.c: the user attributes of a record.
 *
 *   (bytes name, bytes value) ... to the end, in byte order of the names, each name once; bytes is a u32 length, then that many. */
#include "store/command.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

static int compare(struct span a, struct span b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size ? memcmp(a.data, b.data, size) : 0;
	return order ? order : (a.size > b.size) - (a.size < b.size);
}

int xattrs_each(struct span xattrs, int (*fn)(void *ctx, struct span name, struct span value), void *ctx)
{
	struct reader r = reader_over(xattrs.data, xattrs.size);
	while (reader_left(&r) > 0) {
		struct span name = reader_bytes(&r, UINT32_MAX);
		struct span value = reader_bytes(&r, UINT32_MAX);
		if (r.failed)
			return -EBADMSG;
		int stop = fn(ctx, name, value);
		if (stop)
			return stop;
	}
	return 0;
}

struct wanted {
	struct span name;
	struct span *value;
};

static int match(void *ctx, struct span name, struct span value)
{
	struct wanted *w = ctx;
	if (compare(name, w->name) != 0)
		return 0;
	*w->value = value;
	return 1;
}

int xattrs_find(struct span xattrs, struct span name, struct span *value)
{
	struct wanted w = {.name = name, .value = value};
	int found = xattrs_each(xattrs, match, &w);
	if (found < 0)
		return found;
	return found ? 0 : -ENODATA;
}

/* Copies all pairs but `name`, and puts `value` (unless NULL) where `name` belongs. */
struct rewrite {
	struct writer *out;
	struct span name;
	const struct span *value;
	bool placed;
};

static void place(struct rewrite *w)
{
	if (!w->placed && w->value) {
		writer_bytes(w->out, w->name.data, w->name.size);
		writer_bytes(w->out, w->value->data, w->value->size);
	}
	w->placed = true;
}

static int copy(void *ctx, struct span name, struct span value)
{
	struct rewrite *w = ctx;
	int order = compare(name, w->name);
	if (order >= 0)
		place(w);
	if (order != 0) {
		writer_bytes(w->out, name.data, name.size);
		writer_bytes(w->out, value.data, value.size);
	}
	return 0;
}

static int rewrite(struct span xattrs, struct span name, const struct span *value, struct writer *out)
{
	struct rewrite w = {.out = out, .name = name, .value = value};
	int err = xattrs_each(xattrs, copy, &w);
	if (err < 0)
		return err;
	place(&w);
	return out->size > MVCC_XATTRS_MAX ? -ENOSPC : 0;
}

int xattrs_set(struct span xattrs, struct span name, struct span value, uint32_t flags, struct writer *out)
{
	assert(out->size == 0);
	struct span old;
	int err = xattrs_find(xattrs, name, &old);
	if (err == -EBADMSG)
		return err;
	if (err == 0 && (flags & XATTR_CREATE))
		return -EEXIST;
	if (err == -ENODATA && (flags & XATTR_REPLACE))
		return -ENODATA;
	if (value.size > MVCC_XATTRS_MAX)
		return -ENOSPC;
	return rewrite(xattrs, name, &value, out);
}

int xattrs_remove(struct span xattrs, struct span name, struct writer *out)
{
	assert(out->size == 0);
	struct span old;
	int err = xattrs_find(xattrs, name, &old);
	if (err < 0)
		return err;
	return rewrite(xattrs, name, NULL, out);
}
