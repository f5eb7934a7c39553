#include "store/restore.h"

#include "base/durable.h"
#include "store/identity.h"
#include "store/snapshot_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART ".restoring" /* DATA until it is whole */

struct restoring {
	char part[PATH_MAX];
	char store[PATH_MAX + 8];
	char *why;
	size_t why_size;
	struct snapshot_file *file;
	struct mvcc_load *load;
	struct dump_count *count;
};

static int refuse(const struct restoring *r, int error, const char *path, const char *what)
{
	snprintf(r->why, r->why_size, "%s: %s", path, what);
	return error;
}

static bool begins(struct span name, const char *prefix)
{
	return name.size >= strlen(prefix) && memcmp(name.data, prefix, strlen(prefix)) == 0;
}

/* A node of the new cluster may have the name of an old one, and its operations count from 1 again. */
static bool keep_meta(struct span name)
{
	return !begins(name, "session/") && !begins(name, "reserve/") && !begins(name, "members");
}

/* The same for an interrupted restore: nothing of it is used. */
static int remove_part(const struct restoring *r)
{
	char node[PATH_MAX + 8];
	int rc = mvcc_load_remove(r->store);
	snprintf(node, sizeof(node), "%s/node", r->part);
	if (unlink(node) < 0 && errno != ENOENT && rc == 0)
		rc = -errno;
	if (rmdir(r->part) < 0 && errno != ENOENT && rc == 0)
		rc = -errno;
	return rc;
}

/* Nothing, or an empty directory, whose place rename(2) takes. */
static bool vacant(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT;
	DIR *folder = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
	if (!folder)
		return false;
	const struct dirent *e;
	while ((e = readdir(folder)) && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0))
		;
	closedir(folder);
	return !e;
}

static int begin(struct restoring *r, const char *data)
{
	size_t size = strlen(data);
	while (size > 1 && data[size - 1] == '/')
		size--;
	if (!vacant(data))
		return refuse(r, -EEXIST, data, "exists already, and is no empty directory: give the name of a new data directory");
	if ((size_t)snprintf(r->part, sizeof(r->part), "%.*s" PART, (int)size, data) >= sizeof(r->part))
		return refuse(r, -ENAMETOOLONG, data, "the path is too long");
	snprintf(r->store, sizeof(r->store), "%s/store", r->part);
	int rc = remove_part(r);
	if (rc == 0 && mkdir(r->part, 0700) < 0)
		rc = -errno;
	return rc < 0 ? refuse(r, rc, r->part, strerror(-rc)) : 0;
}

static int take_chunks(struct restoring *r)
{
	struct span chunk;
	int rc;
	while ((rc = snapshot_file_next(r->file, &chunk, r->why, r->why_size)) == 1) {
		dump_count_add(r->count, chunk);
		rc = mvcc_load_chunk(r->load, chunk);
		if (rc < 0)
			return refuse(r, rc, r->store, strerror(-rc));
	}
	if (rc < 0)
		return rc;
	rc = mvcc_load_finish(r->load, snapshot_file_progress(r->file)->sum);
	return rc < 0 ? refuse(r, rc, r->store, strerror(-rc)) : 0;
}

static int fill_store(struct restoring *r, const char *file, struct restored *out)
{
	int rc = snapshot_file_open(file, &r->file, r->why, r->why_size);
	if (rc < 0)
		return rc;
	struct mvcc_load_config config = {.dir = r->store, .cluster_id = out->cluster_id, .keep = keep_meta};
	r->count = dump_count_new();
	rc = mvcc_load_open(&config, (struct span){"restore", 7}, snapshot_file_manifest_bytes(r->file), &r->load, r->why, r->why_size);
	if (rc == 0)
		rc = take_chunks(r);
	out->revision = snapshot_file_manifest(r->file)->revision;
	out->keys = dump_count_keys(r->count);
	mvcc_load_close(r->load);
	dump_count_free(r->count);
	snapshot_file_close(r->file);
	return rc;
}

static int publish(struct restoring *r, const char *data)
{
	int rc = durable_names(r->part);
	if (rc == 0 && rename(r->part, data) < 0)
		rc = -errno;
	if (rc == 0)
		rc = durable_name(data);
	return rc < 0 ? refuse(r, rc, data, strerror(-rc)) : 0;
}

int store_restore(const char *file, const char *data, struct restored *out, char *why, size_t why_size)
{
	struct restoring r = {.why = why, .why_size = why_size};
	struct restored got = {.cluster_id = identity_draw()};
	int rc = begin(&r, data);
	if (rc < 0)
		return rc;
	rc = fill_store(&r, file, &got);
	if (rc == 0) {
		rc = identity_write_unnamed(r.part, got.cluster_id);
		if (rc < 0)
			refuse(&r, rc, r.part, strerror(-rc));
	}
	if (rc == 0)
		rc = publish(&r, data);
	if (rc < 0) {
		remove_part(&r);
		return rc;
	}
	*out = got;
	return 0;
}
