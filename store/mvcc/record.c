/* A record, little-endian:
 *
 *	offset  size
 *	0       1     flags (enum record_flag)
 *	1       1     0
 *	2       2     bytes of key
 *	4       4     mode
 *	8       8     ino
 *	16      8     size
 *	24      8     time of the command, ns
 *	32      8     modified.main
 *	40      8     created.main
 *	48      4     modified.sub
 *	52      4     created.sub
 *	56      4     version
 *	60      4     uid
 *	64      4     gid
 *	68      4     nlink
 *	72      8     rdev
 *	80      8     atime, ns
 *	88      8     mtime, ns
 *	96      8     ctime, ns
 *	104     4     bytes of xattrs
 *	108     4     bytes of data
 *	112           key, xattrs, data
 *
 * Valid if the lengths add up and stay within their limits, and the data of a regular file is either all of it or nothing. Of a tombstone only flags,
 * key, time and revisions mean anything. */
#include "store/mvcc/record.h"

#include "store/mvcc/holds.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HEADER_BYTES 112u

static void put16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof v);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static uint8_t *put_span(uint8_t *p, struct span s)
{
	if (s.size > 0)
		memcpy(p, s.data, s.size);
	return p + s.size;
}

void record_done(struct record *r)
{
	free(r->memory);
	if (r->hold)
		hold_release(r->hold);
	*r = (struct record){0};
}

size_t record_bytes(const struct record *r)
{
	return HEADER_BYTES + r->key.size + r->xattrs.size + r->data.size;
}

static bool sizes_fit(const struct record *r)
{
	if (r->key.size > MVCC_KEY_MAX || r->xattrs.size > MVCC_XATTRS_MAX || r->data.size > MVCC_INLINE_MAX)
		return false;
	if (!S_ISREG(r->mode) || r->flags & RECORD_TOMBSTONE)
		return true;
	return r->data.size == (r->size <= MVCC_INLINE_MAX ? r->size : 0);
}

void record_encode(const struct record *r, void *bytes)
{
	assert(sizes_fit(r));
	uint8_t *p = bytes;
	p[0] = r->flags;
	p[1] = 0;
	put16(p + 2, (uint16_t)r->key.size);
	put32(p + 4, r->mode);
	put64(p + 8, r->ino);
	put64(p + 16, r->size);
	put64(p + 24, 0);
	put64(p + 32, r->modified.main);
	put64(p + 40, r->created.main);
	put32(p + 48, r->modified.sub);
	put32(p + 52, r->created.sub);
	put32(p + 56, r->version);
	put32(p + 60, r->uid);
	put32(p + 64, r->gid);
	put32(p + 68, r->nlink);
	put64(p + 72, r->rdev);
	put64(p + 80, (uint64_t)r->atime_ns);
	put64(p + 88, (uint64_t)r->mtime_ns);
	put64(p + 96, (uint64_t)r->ctime_ns);
	put32(p + 104, (uint32_t)r->xattrs.size);
	put32(p + 108, (uint32_t)r->data.size);
	p = put_span(p + HEADER_BYTES, r->key);
	p = put_span(p, r->xattrs);
	put_span(p, r->data);
}

void record_stamp(void *bytes, int64_t time_ns)
{
	put64((uint8_t *)bytes + 24, (uint64_t)time_ns);
}

int record_peek(struct span bytes, struct record_outline *out)
{
	const uint8_t *p = bytes.data;
	if (bytes.size < HEADER_BYTES || bytes.size - HEADER_BYTES < get16(p + 2) || get16(p + 2) > MVCC_KEY_MAX)
		return -EIO;
	out->flags = p[0];
	out->key = (struct span){p + HEADER_BYTES, get16(p + 2)};
	out->mode = get32(p + 4);
	out->ino = get64(p + 8);
	out->size = get64(p + 16);
	out->time_ns = (int64_t)get64(p + 24);
	out->created_main = get64(p + 40);
	return 0;
}

int record_decode(struct span bytes, struct record *out)
{
	const uint8_t *p = bytes.data;
	if (bytes.size < HEADER_BYTES)
		return -EIO;
	struct record r = {
		.flags = p[0],
		.mode = get32(p + 4),
		.ino = get64(p + 8),
		.size = get64(p + 16),
		.modified = {get64(p + 32), get32(p + 48)},
		.created = {get64(p + 40), get32(p + 52)},
		.version = get32(p + 56),
		.uid = get32(p + 60),
		.gid = get32(p + 64),
		.nlink = get32(p + 68),
		.rdev = get64(p + 72),
		.atime_ns = (int64_t)get64(p + 80),
		.mtime_ns = (int64_t)get64(p + 88),
		.ctime_ns = (int64_t)get64(p + 96),
	};
	r.key = (struct span){p + HEADER_BYTES, get16(p + 2)};
	r.xattrs = (struct span){p + HEADER_BYTES + r.key.size, get32(p + 104)};
	if (!sizes_fit(&(struct record){.key = r.key, .xattrs = r.xattrs}))
		return -EIO;
	r.data = (struct span){p + HEADER_BYTES + r.key.size + r.xattrs.size, get32(p + 108)};
	if (!sizes_fit(&r) || record_bytes(&r) != bytes.size)
		return -EIO;
	*out = r;
	return 0;
}
