#include "fs/view.h"

#include <errno.h>
#include <string.h>

#define INO_SYNTHETIC (UINT64_C(1) << 63)
#define BLOCK_BYTES 4096

int view_key(struct fs *fs, struct node *n, const char *name, char key[VIEW_KEY_SIZE])
{
	char head[MVCC_KEY_MAX];
	uint64_t anchor;
	int size = nodes_path(&fs->nodes, n, name, key, &anchor);

	if (size < 0 || !anchor)
		return size;
	int head_size = mvcc_key_of(fs->mvcc, anchor, head);
	if (head_size < 0)
		return head_size == -ENOENT ? -ESTALE : head_size;
	size_t slash = head_size && size;
	if ((size_t)head_size + slash + (size_t)size > MVCC_KEY_MAX)
		return -ENAMETOOLONG;
	memmove(key + (size_t)head_size + slash, key, (size_t)size + 1);
	memcpy(key, head, (size_t)head_size);
	if (slash)
		key[head_size] = '/';
	return head_size + (int)slash + size;
}

int view_record(struct fs *fs, struct node *n, struct record *out)
{
	char key[VIEW_KEY_SIZE];
	struct record r = {0};
	int size = view_key(fs, n, NULL, key);

	if (size < 0)
		return size;
	int error = mvcc_get(fs->mvcc, (struct span){key, (size_t)size}, n->rev, &r);
	if (error)
		return error == -ENOENT ? -ESTALE : error;
	if (r.ino != n->ino) {
		record_done(&r);
		return -ESTALE;
	}
	*out = r;
	return 0;
}

int view_record_by_ino(struct fs *fs, struct node *n, struct record *out)
{
	char key[MVCC_KEY_MAX];
	struct record r = {0};
	int error = view_record(fs, n, out);

	if (error != -ESTALE || n->kind != NODE_LIVE || !n->ino)
		return error;
	int size = mvcc_key_of(fs->mvcc, n->ino, key);
	if (size < 0)
		return size == -ENOENT ? -ESTALE : size;
	error = mvcc_get(fs->mvcc, (struct span){key, (size_t)size}, 0, &r);
	if (error)
		return error == -ENOENT ? -ESTALE : error;
	/* It may have moved on between the two. */
	if (r.ino != n->ino) {
		record_done(&r);
		return -ESTALE;
	}
	*out = r;
	return 0;
}

uint64_t view_ino(uint64_t ino, uint64_t rev)
{
	if (!rev)
		return ino;
	uint64_t mixed = (ino ^ rev * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
	return INO_SYNTHETIC | (mixed ^ mixed >> 32);
}

struct timespec view_time(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

	if (ts.tv_nsec < 0) {
		ts.tv_nsec += 1000000000;
		ts.tv_sec--;
	}
	return ts;
}

int64_t view_time_ns(struct timespec t)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)t.tv_sec, INT64_C(1000000000), &ns) || __builtin_add_overflow(ns, t.tv_nsec, &ns))
		return t.tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

void view_stat(const struct record *r, uint64_t rev, struct stat *st)
{
	*st = (struct stat){
		.st_ino = view_ino(r->ino, rev),
		.st_mode = r->mode,
		.st_nlink = r->nlink,
		.st_uid = r->uid,
		.st_gid = r->gid,
		.st_rdev = (dev_t)r->rdev,
		.st_size = (off_t)r->size,
		.st_blksize = BLOCK_BYTES,
		.st_blocks = (blkcnt_t)((r->size + 511) / 512),
		.st_atim = view_time(r->atime_ns),
		.st_mtim = view_time(r->mtime_ns),
		.st_ctim = view_time(r->ctime_ns),
	};
}

void view_stat_bare(const struct node *n, mode_t mode, struct stat *st)
{
	*st = (struct stat){
		.st_ino = n->shown ? n->shown : INO_SYNTHETIC | n->number,
		.st_mode = mode,
		.st_nlink = S_ISDIR(mode) ? 2 : 1,
		.st_blksize = BLOCK_BYTES,
	};
}

struct node_target view_target(const struct record *r, uint64_t rev, size_t segment_len)
{
	return (struct node_target){
		.kind = rev ? NODE_REVISION : NODE_LIVE, .rev = rev, .ino = r->ino, .mode = r->mode, .segment_len = segment_len};
}

int view_stands(struct fs *fs, struct node *n)
{
	struct record r = {0};
	int error = view_record(fs, n, &r);

	record_done(&r);
	return error;
}

int view_child_key(struct fs *fs, struct node *dir, const char *name, char key[VIEW_KEY_SIZE])
{
	int error = dir == &fs->nodes.root ? 0 : view_stands(fs, dir);

	return error ? error : view_key(fs, dir, name, key);
}
