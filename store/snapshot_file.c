/* A snapshot file (little-endian)
 *
 *	head    0 u64 magic "tallysnp"   8 u32 format (1)   12 u32 bytes of the manifest
 *	       16 manifest (store/mvcc/chunk.c), then u32 CRC32C of all before
 *	chunk   0 u32 bytes, not 0       4 u32 CRC32C of the chunk   8 the chunk (store/mvcc/chunk.c)
 *	...
 *	end     0 u32 0                  4 u32 sum: CRC32C of all chunks one after the other
 *	        8 u64 bytes of all chunks   16 u64 chunks   24 u32 CRC32C of bytes 0..23
 *
 * Valid: nothing follows the end, and the chunks are all that the manifest says, in order, each entry good. */
#include "store/snapshot_file.h"

#include "base/crc32c.h"
#include "base/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x706e73796c6c6174) /* "tallysnp" */
#define FORMAT 1u
#define HEAD_BYTES 16u
#define END_BYTES 28u

struct snapshot_file {
	FILE *stream;
	char path[PATH_MAX];
	char temporary[PATH_MAX + 8];
	struct writer manifest_bytes;
	struct dump_manifest manifest; /* borrows from manifest_bytes */
	struct load_progress progress;
	uint8_t *chunk;
	bool over;
};

static int refuse(char *why, size_t why_size, int error, const char *path, const char *what)
{
	snprintf(why, why_size, "%s: %s", path, what);
	return error;
}

static int failed(char *why, size_t why_size, const char *path)
{
	int error = errno ? -errno : -EIO;
	return refuse(why, why_size, error, path, strerror(-error));
}

static int damaged(const struct snapshot_file *f, char *why, size_t why_size, const char *what)
{
	snprintf(why, why_size, "%s is damaged: %s", f->path, what);
	return -EBADMSG;
}

static struct snapshot_file *file_new(const char *path)
{
	struct snapshot_file *f = calloc(1, sizeof(*f));
	if (!f)
		abort();
	snprintf(f->path, sizeof(f->path), "%s", path);
	snprintf(f->temporary, sizeof(f->temporary), "%s.tmp", f->path);
	return f;
}

void snapshot_file_close(struct snapshot_file *f)
{
	if (!f)
		return;
	if (f->stream)
		fclose(f->stream);
	writer_free(&f->manifest_bytes);
	free(f->chunk);
	free(f);
}

static bool put(struct snapshot_file *f, const void *data, size_t size)
{
	errno = 0;
	return fwrite(data, 1, size, f->stream) == size;
}

static bool put_head(struct snapshot_file *f)
{
	struct writer w = {0};
	writer_u64(&w, MAGIC);
	writer_u32(&w, FORMAT);
	writer_u32(&w, (uint32_t)f->manifest_bytes.size);
	writer_raw(&w, f->manifest_bytes.data, f->manifest_bytes.size);
	writer_u32(&w, crc32c(0, w.data, w.size));
	bool done = put(f, w.data, w.size);
	writer_free(&w);
	return done;
}

int snapshot_file_create(const char *path, struct span manifest, struct snapshot_file **out, char *why, size_t why_size)
{
	struct dump_manifest m;
	if (strlen(path) >= PATH_MAX)
		return refuse(why, why_size, -ENAMETOOLONG, "the file", "its name is too long");
	if (dump_manifest_decode(manifest, &m))
		return refuse(why, why_size, -EBADMSG, path, "what was received is no snapshot");
	struct snapshot_file *f = file_new(path);
	writer_raw(&f->manifest_bytes, manifest.data, manifest.size);
	dump_manifest_decode((struct span){f->manifest_bytes.data, f->manifest_bytes.size}, &f->manifest);
	int fd = open(f->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f->stream = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f->stream || !put_head(f)) {
		int rc = failed(why, why_size, f->temporary);
		snapshot_file_abandon(f);
		return rc;
	}
	*out = f;
	return 0;
}

int snapshot_file_add(struct snapshot_file *f, struct span chunk, char *why, size_t why_size)
{
	struct writer w = {0};
	if (chunk.size == 0 || dump_chunk_check(&f->manifest, chunk, &f->progress))
		return refuse(why, why_size, -EBADMSG, f->path, "what was received is damaged");
	writer_u32(&w, (uint32_t)chunk.size);
	writer_u32(&w, crc32c(0, chunk.data, chunk.size));
	bool done = put(f, w.data, w.size) && put(f, chunk.data, chunk.size);
	writer_free(&w);
	return done ? 0 : failed(why, why_size, f->temporary);
}

static bool put_end(struct snapshot_file *f)
{
	struct writer w = {0};
	writer_u32(&w, 0);
	writer_u32(&w, f->progress.sum);
	writer_u64(&w, f->progress.bytes);
	writer_u64(&w, f->progress.chunks);
	writer_u32(&w, crc32c(0, w.data, w.size));
	bool done = put(f, w.data, w.size);
	writer_free(&w);
	return done;
}

int snapshot_file_finish(struct snapshot_file *f, char *why, size_t why_size)
{
	int rc = 0;
	if (dump_end_check(&f->manifest, &f->progress, f->progress.sum))
		rc = refuse(why, why_size, -EBADMSG, f->path, "what was received is not the whole snapshot");
	else if (!put_end(f) || fflush(f->stream) != 0 || fsync(fileno(f->stream)) != 0 || rename(f->temporary, f->path) != 0 ||
		 durable_name(f->path) < 0)
		rc = failed(why, why_size, f->path);
	if (rc < 0)
		snapshot_file_abandon(f);
	else
		snapshot_file_close(f);
	return rc;
}

void snapshot_file_abandon(struct snapshot_file *f)
{
	if (!f)
		return;
	unlink(f->temporary);
	snapshot_file_close(f);
}

/* False at the end of the file, or when it cannot be read. */
static bool get(struct snapshot_file *f, void *out, size_t size)
{
	return fread(out, 1, size, f->stream) == size;
}

static int read_head(struct snapshot_file *f, char *why, size_t why_size)
{
	uint8_t bytes[HEAD_BYTES + DUMP_MANIFEST_BYTES_MAX + 4];
	if (!get(f, bytes, HEAD_BYTES))
		return damaged(f, why, why_size, "too short for a snapshot");
	struct reader r = reader_over(bytes, HEAD_BYTES);
	uint64_t magic = reader_u64(&r);
	uint32_t format = reader_u32(&r);
	uint32_t size = reader_u32(&r);
	if (magic != MAGIC)
		return refuse(why, why_size, -EBADMSG, f->path, "not a snapshot of tallyfs");
	if (format != FORMAT) {
		snprintf(why, why_size, "%s is in format %u, this program knows format %u: use the version that wrote it", f->path, format,
			 FORMAT);
		return -EBADMSG;
	}
	if (size > DUMP_MANIFEST_BYTES_MAX || !get(f, bytes + HEAD_BYTES, size + 4))
		return damaged(f, why, why_size, "its head is not whole");
	r = reader_over(bytes + HEAD_BYTES + size, 4);
	writer_raw(&f->manifest_bytes, bytes + HEAD_BYTES, size);
	if (reader_u32(&r) != crc32c(0, bytes, HEAD_BYTES + size) ||
	    dump_manifest_decode((struct span){f->manifest_bytes.data, size}, &f->manifest))
		return damaged(f, why, why_size, "its head fails its check");
	return 0;
}

int snapshot_file_open(const char *path, struct snapshot_file **out, char *why, size_t why_size)
{
	struct snapshot_file *f = file_new(path);
	f->stream = fopen(path, "re");
	f->chunk = malloc(DUMP_CHUNK_BYTES_MAX);
	if (!f->chunk)
		abort();
	int rc = f->stream ? read_head(f, why, why_size) : failed(why, why_size, path);
	if (rc < 0) {
		snapshot_file_close(f);
		return rc;
	}
	*out = f;
	return 0;
}

const struct dump_manifest *snapshot_file_manifest(const struct snapshot_file *f)
{
	return &f->manifest;
}

struct span snapshot_file_manifest_bytes(const struct snapshot_file *f)
{
	return (struct span){f->manifest_bytes.data, f->manifest_bytes.size};
}

const struct load_progress *snapshot_file_progress(const struct snapshot_file *f)
{
	return &f->progress;
}

/* The end, whose first eight bytes have been read. */
static int read_end(struct snapshot_file *f, uint8_t bytes[END_BYTES], char *why, size_t why_size)
{
	const struct load_progress *p = &f->progress;
	if (!get(f, bytes + 8, END_BYTES - 8))
		return damaged(f, why, why_size, "it is cut off");
	struct reader r = reader_over(bytes + 4, END_BYTES - 4);
	uint32_t sum = reader_u32(&r);
	uint64_t size = reader_u64(&r);
	uint64_t chunks = reader_u64(&r);
	if (reader_u32(&r) != crc32c(0, bytes, END_BYTES - 4) || size != p->bytes || chunks != p->chunks ||
	    dump_end_check(&f->manifest, p, sum))
		return damaged(f, why, why_size, "the checksum of the whole is not right");
	if (fgetc(f->stream) != EOF)
		return damaged(f, why, why_size, "something follows its end");
	f->over = true;
	return 0;
}

int snapshot_file_next(struct snapshot_file *f, struct span *chunk, char *why, size_t why_size)
{
	uint8_t bytes[END_BYTES];
	if (f->over)
		return 0;
	if (!get(f, bytes, 8))
		return damaged(f, why, why_size, "it is cut off");
	struct reader r = reader_over(bytes, 8);
	uint32_t size = reader_u32(&r);
	uint32_t crc = reader_u32(&r);
	if (size == 0)
		return read_end(f, bytes, why, why_size);
	if (size > DUMP_CHUNK_BYTES_MAX || !get(f, f->chunk, size))
		return damaged(f, why, why_size, "a chunk is cut off");
	*chunk = (struct span){f->chunk, size};
	if (crc32c(0, f->chunk, size) != crc || dump_chunk_check(&f->manifest, *chunk, &f->progress))
		return damaged(f, why, why_size, "a chunk fails its check");
	return 1;
}
