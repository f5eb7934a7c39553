/* Request (little-endian; bytes: a u32 length, then so many bytes)
 *
 *   u16    format   PROTOCOL_FORMAT
 *   u8     type     enum request_type
 *   u8     flags    enum request_flag
 *   u64    rev
 *   u64    limit
 *   bytes  key      <= PROTOCOL_KEY_MAX
 *   bytes  from     <= PROTOCOL_KEY_MAX
 *   bytes  value    <= PROTOCOL_VALUE_MAX
 *
 * Response
 *
 *   u16    format
 *   u8     type
 *   u8     flags    enum response_flag
 *   u32    status   0, or an errno as two's complement of its negative
 *   u64    revision
 *   u64    count
 *   bytes  text     <= PROTOCOL_PAGE_BYTES
 *   bytes  next     <= PROTOCOL_KEY_MAX
 *   u32    kvs      how many follow:
 *     bytes  key    <= PROTOCOL_KEY_MAX
 *     u64    create_revision
 *     u64    mod_revision
 *     u32    version
 *     u32    mode
 *     u8     flags  enum kv_flag
 *     u64    size
 *     u64    mtime_ns
 *     bytes  value  <= PROTOCOL_VALUE_MAX
 *
 * Valid: a known format, type and flags, lengths within the bounds, a status of 0 or -4095..-1, and no byte left over. */
#include "store/client/protocol.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_FLAGS_ALL (REQUEST_PREFIX | REQUEST_SERIAL | REQUEST_KEYS_ONLY | REQUEST_COUNT_ONLY)
#define KV_BYTES_MIN 49u
#define ERRNO_MAX 4095

const char *request_type_name(uint8_t type)
{
	static const char *const names[REQUEST_TYPES] = {
		[0] = "malformed",
		[REQUEST_GET] = "get",
		[REQUEST_PUT] = "put",
		[REQUEST_DELETE] = "delete",
		[REQUEST_HISTORY] = "history",
		[REQUEST_STATUS] = "status",
		[REQUEST_HEALTH] = "health",
		[REQUEST_LOAD] = "load",
		[REQUEST_TXN] = "txn",
		[REQUEST_COMPACT] = "compact",
		[REQUEST_HASH] = "hash",
		[REQUEST_SNAPSHOT] = "snapshot",
		[REQUEST_MEMBER_LIST] = "member list",
		[REQUEST_MEMBER_ADD] = "member add",
		[REQUEST_MEMBER_PROMOTE] = "member promote",
		[REQUEST_MEMBER_REMOVE] = "member remove",
		[REQUEST_MOVE_LEADER] = "move-leader",
		[REQUEST_WATCH] = "watch",
		[REQUEST_LEASE_GRANT] = "lease grant",
		[REQUEST_LEASE_REVOKE] = "lease revoke",
		[REQUEST_LEASE_KEEPALIVE] = "lease keepalive",
		[REQUEST_LEASE_TTL] = "lease timetolive",
		[REQUEST_LEASE_LIST] = "lease list",
	};
	return type < REQUEST_TYPES && names[type] ? names[type] : names[0];
}

static bool is_known(uint8_t type)
{
	return request_type_name(type) != request_type_name(0);
}

bool request_writes(uint8_t type)
{
	return type == REQUEST_PUT || type == REQUEST_DELETE || type == REQUEST_LOAD || type == REQUEST_TXN || type == REQUEST_COMPACT ||
	       type == REQUEST_LEASE_GRANT || type == REQUEST_LEASE_REVOKE || type == REQUEST_LEASE_KEEPALIVE ||
	       (type >= REQUEST_MEMBER_ADD && type <= REQUEST_MOVE_LEADER);
}

void request_encode(struct writer *w, const struct request *r)
{
	writer_u16(w, PROTOCOL_FORMAT);
	writer_u8(w, r->type);
	writer_u8(w, r->flags);
	writer_u64(w, r->rev);
	writer_u64(w, r->limit);
	writer_bytes(w, r->key.data, r->key.size);
	writer_bytes(w, r->from.data, r->from.size);
	writer_bytes(w, r->value.data, r->value.size);
}

int request_decode(struct span bytes, struct request *out)
{
	struct reader in = reader_over(bytes.data, bytes.size);
	struct request r = {0};

	if (reader_u16(&in) != PROTOCOL_FORMAT)
		reader_fail(&in);
	r.type = reader_u8(&in);
	if (!is_known(r.type))
		reader_fail(&in);
	r.flags = reader_u8(&in);
	if (r.flags & ~REQUEST_FLAGS_ALL)
		reader_fail(&in);
	r.rev = reader_u64(&in);
	r.limit = reader_u64(&in);
	r.key = reader_bytes(&in, PROTOCOL_KEY_MAX);
	r.from = reader_bytes(&in, PROTOCOL_KEY_MAX);
	r.value = reader_bytes(&in, PROTOCOL_VALUE_MAX);
	if (!reader_done(&in))
		return -EBADMSG;
	*out = r;
	return 0;
}

void response_encode_head(struct writer *w, const struct response *r)
{
	assert(r->error <= 0 && r->error >= -ERRNO_MAX);
	writer_u16(w, PROTOCOL_FORMAT);
	writer_u8(w, r->type);
	writer_u8(w, r->flags);
	writer_u32(w, (uint32_t)r->error);
	writer_u64(w, r->revision);
	writer_u64(w, r->count);
	writer_bytes(w, r->text.data, r->text.size);
	writer_bytes(w, r->next.data, r->next.size);
	writer_u32(w, r->kvs_count);
}

void *kv_encode(struct writer *w, const struct kv *kv, uint32_t value_size)
{
	writer_bytes(w, kv->key.data, kv->key.size);
	writer_u64(w, kv->create_revision);
	writer_u64(w, kv->mod_revision);
	writer_u32(w, kv->version);
	writer_u32(w, kv->mode);
	writer_u8(w, kv->flags);
	writer_u64(w, kv->size);
	writer_u64(w, (uint64_t)kv->mtime_ns);
	writer_u32(w, value_size);
	return writer_reserve(w, value_size);
}

static void kv_decode(struct reader *in, struct kv *kv)
{
	kv->key = reader_bytes(in, PROTOCOL_KEY_MAX);
	kv->create_revision = reader_u64(in);
	kv->mod_revision = reader_u64(in);
	kv->version = reader_u32(in);
	kv->mode = reader_u32(in);
	kv->flags = reader_u8(in);
	if (kv->flags & ~(KV_DELETED | KV_RENAMED))
		reader_fail(in);
	kv->size = reader_u64(in);
	kv->mtime_ns = (int64_t)reader_u64(in);
	kv->value = reader_bytes(in, PROTOCOL_VALUE_MAX);
}

static void head_decode(struct reader *in, struct response *r)
{
	if (reader_u16(in) != PROTOCOL_FORMAT)
		reader_fail(in);
	r->type = reader_u8(in);
	if (r->type != 0 && !is_known(r->type))
		reader_fail(in);
	r->flags = reader_u8(in);
	if (r->flags & ~PROTOCOL_MORE)
		reader_fail(in);
	r->error = (int32_t)reader_u32(in);
	if (r->error > 0 || r->error < -ERRNO_MAX)
		reader_fail(in);
	r->revision = reader_u64(in);
	r->count = reader_u64(in);
	r->text = reader_bytes(in, PROTOCOL_PAGE_BYTES);
	r->next = reader_bytes(in, PROTOCOL_KEY_MAX);
	r->kvs_count = reader_u32(in);
	/* So that what is allocated is bounded by what was received. */
	if (r->kvs_count > reader_left(in) / KV_BYTES_MIN)
		reader_fail(in);
}

int response_decode(struct span bytes, struct response *out)
{
	struct reader in = reader_over(bytes.data, bytes.size);
	struct response r = {0};

	head_decode(&in, &r);
	if (in.failed)
		return -EBADMSG;
	if (r.kvs_count > 0) {
		r.kvs = calloc(r.kvs_count, sizeof(*r.kvs));
		if (!r.kvs)
			abort();
	}
	for (uint32_t i = 0; i < r.kvs_count; i++)
		kv_decode(&in, &r.kvs[i]);
	if (!reader_done(&in)) {
		response_done(&r);
		return -EBADMSG;
	}
	*out = r;
	return 0;
}

void response_done(struct response *r)
{
	free(r->kvs);
	*r = (struct response){0};
}
