/* LEASE_GRANT, LEASE_REVOKE, LEASE_KEEPALIVE, LEASE_TTL and LEASE_LIST (handler.h). */
#include "store/client/handler.h"

#include "base/clock.h"
#include "store/lease.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Chosen by who proposes: nobody else knows a lease before it is granted. */
static uint64_t fresh_id(void)
{
	uint64_t id = 0;
	while (id == 0)
		if (getrandom(&id, sizeof(id), 0) != sizeof(id))
			id = 0;
	return id;
}

int handler_lease_command(const struct request *r, struct command *c, struct answer *out)
{
	c->lease = r->rev;
	if (r->type == REQUEST_LEASE_GRANT) {
		c->type = COMMAND_LEASE_GRANT;
		c->lease = r->rev ? r->rev : fresh_id();
		c->ttl_s = r->limit <= LEASE_TTL_S_MAX ? (uint32_t)r->limit : 0;
		if (c->ttl_s == 0) {
			answer_refuse(out, -EINVAL, "a lease lives 1 s to %u s", LEASE_TTL_S_MAX);
			return -EINVAL;
		}
		return 0;
	}
	c->type = r->type == REQUEST_LEASE_REVOKE ? COMMAND_LEASE_REVOKE : COMMAND_LEASE_KEEPALIVE;
	if (c->lease == 0) {
		answer_refuse(out, -EINVAL, "no lease has the id 0");
		return -EINVAL;
	}
	return 0;
}

static void refuse(struct answer *out, int error, uint64_t id)
{
	if (error == -ENOENT)
		answer_refuse(out, error, "lease %016llx: there is none (it may have expired, or been revoked)", (unsigned long long)id);
	else if (error == -EEXIST)
		answer_refuse(out, error, "lease %016llx is there already", (unsigned long long)id);
	else if (error == -ENOSPC)
		answer_refuse(out, error, "there are %u leases already", LEASES_MAX);
	else
		answer_refuse(out, error, "lease: %s", handler_error_text(error));
}

void handler_lease_written(const struct request *r, int error, const struct command_result *result, struct answer *out)
{
	if (error) {
		refuse(out, error, r->rev);
		return;
	}
	out->head.revision = result->revision;
	out->head.count = result->count;
	if (r->type == REQUEST_LEASE_GRANT)
		writer_u64(&out->text, result->lease);
	out->head.text = (struct span){out->text.data, out->text.size};
}

static void look(struct store *s, const struct request *r, struct answer *out)
{
	uint32_t ttl_s;
	int64_t remaining_ns;
	size_t head = out->text.size;
	writer_u64(&out->text, 0);
	int rc = leases_look(store_leases(s), r->rev, clock_mono_ns(), &ttl_s, &remaining_ns,
			     r->flags & REQUEST_KEYS_ONLY ? &out->text : NULL);
	if (rc) {
		refuse(out, rc, r->rev);
		return;
	}
	if (out->text.size > PROTOCOL_PAGE_BYTES) {
		answer_refuse(out, -EMSGSIZE, "lease %016llx has too many keys to list", (unsigned long long)r->rev);
		return;
	}
	writer_patch_u32(&out->text, head, (uint32_t)(remaining_ns / 1000000));
	writer_patch_u32(&out->text, head + 4, (uint32_t)(remaining_ns / 1000000 >> 32));
	out->head.count = ttl_s;
}

void handler_lease_read(struct store *s, const struct request *r, struct answer *out)
{
	out->head.revision = mvcc_revision(store_mvcc(s));
	if (r->type == REQUEST_LEASE_TTL) {
		look(s, r, out);
		return;
	}
	leases_list(store_leases(s), &out->text);
	out->head.count = out->text.size / 8;
}
