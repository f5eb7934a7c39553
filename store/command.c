/* command.c: the wire format of commands.
 *
 *   offset  size  field
 *        0     1  format, COMMAND_FORMAT
 *        1     1  type
 *        2     2  zero
 *        4     8  id.origin
 *       12     8  id.epoch
 *       20     8  id.sequence
 *       28     8  id.floor
 *       36     8  time_ns, 0 to TIME_MAX
 *       44     4  uid
 *       48     4  gid
 *       52     .  the fields of the type (table below), in the order of enum field:
 *
 *   ino     u64
 *   key     bytes
 *   key2    bytes
 *   mode    u32
 *   rdev    u64
 *   set     u32 set_mask; if it is not 0: u32 set_uid, u32 set_gid, u64 size, i64 atime_ns, i64 mtime_ns
 *   rename  u32 rename_flags
 *   xattr   u32 xattr_flags
 *   prefix  u8, 0 or 1
 *   write   u32 write_flags, u64 truncate_to, u64 extend_to; staged: u64 stage, u32 stage_chunk; else ranges; fenced: u64 lease, not 0
 *   stage   u64 stage, u32 stage_chunk
 *   staged  u32 write_flags (of WRITE_STAGED and WRITE_LEASED); staged: u64 stage, u32 stage_chunk; leased: u64 lease
 *   value   bytes
 *   reserve u64 reservation
 *   rev     u64 revision, not 0
 *
 *   lease   u64 lease, not 0
 *   ttl     u32 ttl_s
 *   renew   u64 renewals
 *   numbers u32 numbers, COMMAND_NUMBERS_COUNT
 *   lock    u64 session, u64 ino, u64 owner, u64 handle, u64 start, u64 end, u32 pid, u8 kind, u8 exclusive, u8 lock_flags, u64 lock_request
 *
 *   ranges  u32 count, then count times: u64 offset, bytes
 *   bytes   u32 length, then that many; the value of a LOAD is bytes key, bytes value, ... to its end
 *
 * Valid is what has a known type, fields within their limits, keys as command_key_valid has it, and no byte too few or too many. */
#include "store/command.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_FORMAT 1u
#define HEADER_BYTES 52u
#define ID_OFFSET 4u
#define TIME_OFFSET 36u
#define TIME_MAX (INT64_MAX / 2) /* the year 2116: a wild clock must not use up all later times */
#define SEGMENT_MAX 255u
#define NAME_FIELD_MAX 65536u
#define RANGE_BYTES_MIN 12u

_Static_assert(ID_OFFSET + 4 * sizeof(uint64_t) == TIME_OFFSET, "the time follows the identity");
_Static_assert(TIME_OFFSET + sizeof(int64_t) + 2 * sizeof(uint32_t) == HEADER_BYTES, "the header has no gaps");

enum field {
	FIELD_INO = 1,
	FIELD_KEY = 2,
	FIELD_KEY2 = 4,
	FIELD_MODE = 8,
	FIELD_RDEV = 16,
	FIELD_SET = 32,
	FIELD_RENAME = 64,
	FIELD_XATTR = 128,
	FIELD_PREFIX = 256,
	FIELD_WRITE = 512,
	FIELD_STAGE = 1024,
	FIELD_STAGED = 2048,
	FIELD_VALUE = 4096,
	FIELD_RESERVE = 8192,
	FIELD_REVISION = 16384,
	FIELD_LEASE = 32768,
	FIELD_TTL = 65536,
	FIELD_RENEWALS = 131072,
	FIELD_NUMBERS = 262144,
	FIELD_LOCK = 524288
};

/* 0: no command has that number yet. */
static const uint32_t fields_of[] = {
	[COMMAND_WRITE] = FIELD_INO | FIELD_KEY | FIELD_MODE | FIELD_SET | FIELD_WRITE | FIELD_RESERVE,
	[COMMAND_MKDIR] = FIELD_KEY | FIELD_MODE,
	[COMMAND_RMDIR] = FIELD_KEY,
	[COMMAND_UNLINK] = FIELD_KEY,
	[COMMAND_RENAME] = FIELD_KEY | FIELD_KEY2 | FIELD_RENAME,
	[COMMAND_SYMLINK] = FIELD_KEY | FIELD_KEY2,
	[COMMAND_MKNOD] = FIELD_KEY | FIELD_MODE | FIELD_RDEV,
	[COMMAND_SETATTR] = FIELD_INO | FIELD_KEY | FIELD_MODE | FIELD_SET,
	[COMMAND_SETXATTR] = FIELD_INO | FIELD_KEY | FIELD_KEY2 | FIELD_XATTR | FIELD_VALUE,
	[COMMAND_REMOVEXATTR] = FIELD_INO | FIELD_KEY | FIELD_KEY2,
	[COMMAND_STAGE] = FIELD_STAGE | FIELD_VALUE,
	[COMMAND_PUT] = FIELD_KEY | FIELD_STAGED | FIELD_VALUE,
	[COMMAND_DELETE] = FIELD_KEY | FIELD_PREFIX,
	[COMMAND_LOAD] = FIELD_VALUE,
	[COMMAND_RESERVE] = FIELD_KEY | FIELD_RESERVE,
	[COMMAND_COMPACT] = FIELD_REVISION,
	[COMMAND_TXN] = FIELD_VALUE,
	[COMMAND_LEASE_GRANT] = FIELD_LEASE | FIELD_TTL,
	[COMMAND_LEASE_REVOKE] = FIELD_LEASE | FIELD_RENEWALS,
	[COMMAND_LEASE_KEEPALIVE] = FIELD_LEASE,
	[COMMAND_NUMBERS] = FIELD_NUMBERS,
	[COMMAND_LOCK] = FIELD_LOCK,
	[COMMAND_UNLOCK] = FIELD_LOCK,
	[COMMAND_LOCK_CANCEL] = FIELD_LOCK,
};
#define TYPES_END (sizeof(fields_of) / sizeof(fields_of[0]))

bool command_key_valid(struct span key)
{
	const char *at = key.data;
	if (key.size == 0 || key.size > MVCC_KEY_MAX || memchr(at, 0, key.size))
		return false;
	const char *end = at + key.size;
	for (;;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t size = (size_t)((slash ? slash : end) - at);
		if (size == 0 || size > SEGMENT_MAX || (at[0] == '.' && (size == 1 || (size == 2 && at[1] == '.'))))
			return false;
		if (!slash)
			return true;
		at = slash + 1;
	}
}

void command_ranges_encode(struct writer *w, const struct command_range *ranges, uint32_t count)
{
	writer_u32(w, count);
	for (uint32_t i = 0; i < count; i++) {
		writer_u64(w, ranges[i].offset);
		writer_bytes(w, ranges[i].data.data, ranges[i].data.size);
	}
}

static void encode_stage(struct writer *w, const struct command *c)
{
	writer_u64(w, c->stage);
	writer_u32(w, c->stage_chunk);
}

static void encode_set(struct writer *w, const struct command *c)
{
	writer_u32(w, c->set_mask);
	if (c->set_mask == 0)
		return;
	writer_u32(w, c->set_uid);
	writer_u32(w, c->set_gid);
	writer_u64(w, c->size);
	writer_u64(w, (uint64_t)c->atime_ns);
	writer_u64(w, (uint64_t)c->mtime_ns);
}

static void encode_write(struct writer *w, const struct command *c)
{
	writer_u32(w, c->write_flags);
	writer_u64(w, c->truncate_to);
	writer_u64(w, c->extend_to);
	if (c->write_flags & WRITE_STAGED)
		encode_stage(w, c);
	else
		command_ranges_encode(w, c->ranges, c->ranges_count);
	if (c->write_flags & WRITE_FENCED)
		writer_u64(w, c->lease);
}

static void encode_staged(struct writer *w, const struct command *c)
{
	writer_u32(w, c->write_flags);
	if (c->write_flags & WRITE_STAGED)
		encode_stage(w, c);
	if (c->write_flags & WRITE_LEASED)
		writer_u64(w, c->lease);
}

static void encode_lease(struct writer *w, const struct command *c, unsigned fields)
{
	if (fields & FIELD_LEASE)
		writer_u64(w, c->lease);
	if (fields & FIELD_TTL)
		writer_u32(w, c->ttl_s);
	if (fields & FIELD_RENEWALS)
		writer_u64(w, c->renewals);
	if (fields & FIELD_NUMBERS)
		writer_u32(w, c->numbers);
}

static void encode_lock(struct writer *w, const struct command *c)
{
	writer_u64(w, c->lock.session);
	writer_u64(w, c->lock.ino);
	writer_u64(w, c->lock.owner);
	writer_u64(w, c->lock.handle);
	writer_u64(w, c->lock.start);
	writer_u64(w, c->lock.end);
	writer_u32(w, c->lock.pid);
	writer_u8(w, c->lock.kind);
	writer_u8(w, c->lock.exclusive);
	writer_u8(w, c->lock_flags);
	writer_u64(w, c->lock_request);
}

static void encode_names(struct writer *w, const struct command *c, unsigned fields)
{
	if (fields & FIELD_INO)
		writer_u64(w, c->ino);
	if (fields & FIELD_KEY)
		writer_bytes(w, c->key.data, c->key.size);
	if (fields & FIELD_KEY2)
		writer_bytes(w, c->key2.data, c->key2.size);
}

static void encode_fields(struct writer *w, const struct command *c, unsigned fields)
{
	encode_names(w, c, fields);
	if (fields & FIELD_MODE)
		writer_u32(w, c->mode);
	if (fields & FIELD_RDEV)
		writer_u64(w, c->rdev);
	if (fields & FIELD_SET)
		encode_set(w, c);
	if (fields & FIELD_RENAME)
		writer_u32(w, c->rename_flags);
	if (fields & FIELD_XATTR)
		writer_u32(w, c->xattr_flags);
	if (fields & FIELD_PREFIX)
		writer_u8(w, c->prefix);
	if (fields & FIELD_WRITE)
		encode_write(w, c);
	if (fields & FIELD_STAGE)
		encode_stage(w, c);
	if (fields & FIELD_STAGED)
		encode_staged(w, c);
	if (fields & FIELD_VALUE)
		writer_bytes(w, c->value.data, c->value.size);
	if (fields & FIELD_RESERVE)
		writer_u64(w, c->reservation);
	if (fields & FIELD_REVISION)
		writer_u64(w, c->revision);
	encode_lease(w, c, fields);
	if (fields & FIELD_LOCK)
		encode_lock(w, c);
}

void command_encode(struct writer *w, const struct command *c)
{
	assert(c->type < TYPES_END && fields_of[c->type] != 0);
	writer_u8(w, COMMAND_FORMAT);
	writer_u8(w, c->type);
	writer_u16(w, 0);
	writer_u64(w, c->id.origin);
	writer_u64(w, c->id.epoch);
	writer_u64(w, c->id.sequence);
	writer_u64(w, c->id.floor);
	writer_u64(w, (uint64_t)c->time_ns);
	writer_u32(w, c->uid);
	writer_u32(w, c->gid);
	encode_fields(w, c, fields_of[c->type]);
}

int command_ranges_decode(struct reader *r, struct command_range **out, uint32_t *count)
{
	uint32_t n = reader_u32(r);
	if (r->failed || n > COMMAND_RANGES_MAX || n > reader_left(r) / RANGE_BYTES_MIN)
		return -EBADMSG;
	struct command_range *ranges = NULL;
	if (n > 0) {
		ranges = malloc(n * sizeof(*ranges));
		if (!ranges)
			abort();
	}
	for (uint32_t i = 0; i < n; i++) {
		ranges[i].offset = reader_u64(r);
		ranges[i].data = reader_bytes(r, UINT32_MAX);
		if (ranges[i].offset > (uint64_t)INT64_MAX - ranges[i].data.size)
			reader_fail(r);
	}
	if (r->failed) {
		free(ranges);
		return -EBADMSG;
	}
	*out = ranges;
	*count = n;
	return 0;
}

static void decode_stage(struct reader *r, struct command *c)
{
	c->stage = reader_u64(r);
	c->stage_chunk = reader_u32(r);
}

static void decode_set(struct reader *r, struct command *c)
{
	c->set_mask = reader_u32(r);
	if (c->set_mask == 0)
		return;
	if (c->set_mask >= 2 * SET_MTIME_NOW)
		reader_fail(r);
	c->set_uid = reader_u32(r);
	c->set_gid = reader_u32(r);
	c->size = reader_u64(r);
	c->atime_ns = (int64_t)reader_u64(r);
	c->mtime_ns = (int64_t)reader_u64(r);
}

static void decode_write(struct reader *r, struct command *c)
{
	c->write_flags = reader_u32(r);
	c->truncate_to = reader_u64(r);
	c->extend_to = reader_u64(r);
	if (c->write_flags & ~(uint32_t)(WRITE_CREATE | WRITE_EXCL | WRITE_APPEND | WRITE_STAGED | WRITE_NUMBERED | WRITE_FENCED))
		reader_fail(r);
	else if (c->write_flags & WRITE_STAGED)
		decode_stage(r, c);
	else if (command_ranges_decode(r, (struct command_range **)&c->ranges, &c->ranges_count) < 0)
		reader_fail(r);
	if ((c->write_flags & WRITE_APPEND) && c->ranges_count > 1)
		reader_fail(r);
	if ((c->write_flags & WRITE_FENCED) && (c->lease = reader_u64(r)) == 0)
		reader_fail(r);
}

static void decode_staged(struct reader *r, struct command *c)
{
	c->write_flags = reader_u32(r);
	if (c->write_flags & ~(uint32_t)(WRITE_STAGED | WRITE_LEASED))
		reader_fail(r);
	if (c->write_flags & WRITE_STAGED)
		decode_stage(r, c);
	if ((c->write_flags & WRITE_LEASED) && (c->lease = reader_u64(r)) == 0)
		reader_fail(r);
}

static void decode_prefix(struct reader *r, struct command *c)
{
	uint8_t prefix = reader_u8(r);
	if (prefix > 1)
		reader_fail(r);
	c->prefix = prefix == 1;
}

static void decode_lease(struct reader *r, struct command *c, unsigned fields)
{
	if ((fields & FIELD_LEASE) && (c->lease = reader_u64(r)) == 0)
		reader_fail(r);
	if (fields & FIELD_TTL)
		c->ttl_s = reader_u32(r);
	if (fields & FIELD_RENEWALS)
		c->renewals = reader_u64(r);
	if ((fields & FIELD_NUMBERS) && (c->numbers = reader_u32(r)) != COMMAND_NUMBERS_COUNT)
		reader_fail(r);
}

static void decode_lock(struct reader *r, struct command *c)
{
	c->lock.session = reader_u64(r);
	c->lock.ino = reader_u64(r);
	c->lock.owner = reader_u64(r);
	c->lock.handle = reader_u64(r);
	c->lock.start = reader_u64(r);
	c->lock.end = reader_u64(r);
	c->lock.pid = reader_u32(r);
	c->lock.kind = reader_u8(r);
	uint8_t exclusive = reader_u8(r);
	c->lock.exclusive = exclusive == 1;
	c->lock_flags = reader_u8(r);
	c->lock_request = reader_u64(r);
	if (c->lock.session == 0 || c->lock.ino == 0 || c->lock.start > c->lock.end || exclusive > 1)
		reader_fail(r);
	if (c->lock.kind != LOCK_KIND_FLOCK && c->lock.kind != LOCK_KIND_POSIX)
		reader_fail(r);
	if (c->lock_flags > (LOCK_WAITS | LOCK_BY_HANDLE) || ((c->lock_flags & LOCK_WAITS) && c->lock_request == 0))
		reader_fail(r);
}

static void decode_names(struct reader *r, struct command *c, unsigned fields)
{
	if (fields & FIELD_INO)
		c->ino = reader_u64(r);
	if (fields & FIELD_KEY)
		c->key = reader_bytes(r, MVCC_KEY_MAX);
	if (fields & FIELD_KEY2)
		c->key2 = reader_bytes(r, NAME_FIELD_MAX);
}

static void decode_fields(struct reader *r, struct command *c, unsigned fields)
{
	decode_names(r, c, fields);
	if (fields & FIELD_MODE)
		c->mode = reader_u32(r);
	if (fields & FIELD_RDEV)
		c->rdev = reader_u64(r);
	if (fields & FIELD_SET)
		decode_set(r, c);
	if (fields & FIELD_RENAME)
		c->rename_flags = reader_u32(r);
	if (fields & FIELD_XATTR)
		c->xattr_flags = reader_u32(r);
	if (fields & FIELD_PREFIX)
		decode_prefix(r, c);
	if (fields & FIELD_WRITE)
		decode_write(r, c);
	if (fields & FIELD_STAGE)
		decode_stage(r, c);
	if (fields & FIELD_STAGED)
		decode_staged(r, c);
	if (fields & FIELD_VALUE)
		c->value = reader_bytes(r, UINT32_MAX);
	if (fields & FIELD_RESERVE)
		c->reservation = reader_u64(r);
	if (fields & FIELD_REVISION)
		c->revision = reader_u64(r);
	decode_lease(r, c, fields);
	if (fields & FIELD_LOCK)
		decode_lock(r, c);
}

static bool without_nul(struct span s)
{
	return s.size == 0 || !memchr(s.data, 0, s.size);
}

static bool load_valid(struct span pairs)
{
	struct reader r = reader_over(pairs.data, pairs.size);
	while (reader_left(&r) > 0 && !r.failed) {
		struct span key = reader_bytes(&r, MVCC_KEY_MAX);
		reader_bytes(&r, UINT32_MAX);
		if (r.failed || !command_key_valid(key))
			return false;
	}
	return reader_done(&r);
}

static bool names_valid(const struct command *c)
{
	switch (c->type) {
	case COMMAND_WRITE:
		return command_key_valid(c->key) || (c->key.size == 0 && c->ino != 0);
	case COMMAND_SETATTR:
		return c->key.size == 0 || command_key_valid(c->key);
	case COMMAND_SETXATTR:
	case COMMAND_REMOVEXATTR:
		return (c->key.size == 0 || command_key_valid(c->key)) && c->key2.size > 0 && without_nul(c->key2);
	case COMMAND_RENAME:
		return command_key_valid(c->key) && command_key_valid(c->key2);
	case COMMAND_SYMLINK:
		return command_key_valid(c->key) && c->key2.size > 0 && c->key2.size < MVCC_INLINE_MAX && without_nul(c->key2);
	case COMMAND_STAGE:
	case COMMAND_LEASE_GRANT:
	case COMMAND_LEASE_REVOKE:
	case COMMAND_LEASE_KEEPALIVE:
	case COMMAND_NUMBERS:
	case COMMAND_LOCK:
	case COMMAND_UNLOCK:
	case COMMAND_LOCK_CANCEL:
	case COMMAND_TXN: /* apply looks into it, and says what is wrong */
		return true;
	case COMMAND_PUT:
		return command_key_valid(c->key) && (!(c->write_flags & WRITE_STAGED) || c->value.size == 0);
	case COMMAND_DELETE: /* a prefix need not be a whole path */
		return c->prefix ? without_nul(c->key) : command_key_valid(c->key);
	case COMMAND_LOAD:
		return load_valid(c->value);
	case COMMAND_RESERVE:
		return c->reservation ? c->key.size == 0 : command_key_valid(c->key);
	case COMMAND_COMPACT:
		return c->revision > 0;
	default:
		return command_key_valid(c->key);
	}
}

static void decode_header(struct reader *r, struct command *c)
{
	if (reader_u8(r) != COMMAND_FORMAT)
		reader_fail(r);
	c->type = reader_u8(r);
	if (reader_u16(r) != 0)
		reader_fail(r);
	c->id.origin = reader_u64(r);
	c->id.epoch = reader_u64(r);
	c->id.sequence = reader_u64(r);
	c->id.floor = reader_u64(r);
	c->time_ns = (int64_t)reader_u64(r);
	if (c->time_ns < 0 || c->time_ns > TIME_MAX)
		reader_fail(r);
	c->uid = reader_u32(r);
	c->gid = reader_u32(r);
}

int command_decode(struct span bytes, struct command *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct command c = {.truncate_to = COMMAND_NO_TRUNCATE};
	decode_header(&r, &c);
	if (r.failed || c.type >= TYPES_END || fields_of[c.type] == 0)
		return -EBADMSG;
	decode_fields(&r, &c, fields_of[c.type]);
	if (!reader_done(&r) || !names_valid(&c)) {
		command_done(&c);
		return -EBADMSG;
	}
	*out = c;
	return 0;
}

void command_done(struct command *c)
{
	free((void *)c->ranges);
	c->ranges = NULL;
	c->ranges_count = 0;
}

uint8_t command_peek_type(struct span bytes)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct command c = {0};
	decode_header(&r, &c);
	return r.failed ? 0 : c.type;
}

int command_peek_id(struct span bytes, struct command_id *out)
{
	struct reader r = reader_over(bytes.data, bytes.size);
	struct command c;
	decode_header(&r, &c);
	if (r.failed)
		return -EBADMSG;
	*out = c.id;
	return 0;
}

static void stamp_u64(uint8_t *at, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

void command_stamp_id(void *bytes, const struct command_id *id)
{
	uint8_t *at = (uint8_t *)bytes + ID_OFFSET;
	stamp_u64(at, id->origin);
	stamp_u64(at + 8, id->epoch);
	stamp_u64(at + 16, id->sequence);
	stamp_u64(at + 24, id->floor);
}

void command_stamp_time(void *bytes, int64_t time_ns)
{
	stamp_u64((uint8_t *)bytes + TIME_OFFSET, (uint64_t)time_ns);
}
