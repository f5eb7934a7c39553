/* PUT, DELETE, LOAD, TXN and COMPACT (handler.h). */
#include "store/client/handler.h"

#include "store/txn.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int key_shown(struct span key)
{
	return (int)(key.size < 200 ? key.size : 200);
}

static int refuse(struct answer *out, int error, struct span key, const char *why)
{
	answer_refuse(out, error, "%.*s: %s", key_shown(key), key.data ? (const char *)key.data : "", why);
	return error;
}

static int put_command(struct store *s, const struct request *r, struct command *c, struct answer *out)
{
	if (!command_key_valid(r->key))
		return refuse(out, -EINVAL, r->key, "not a valid key");
	if (r->value.size > store_settings(s)->max_file)
		return refuse(out, -EFBIG, r->key, "larger than max_file=");
	int rc = store_admit_value(s, r->key, r->value.size);
	if (rc)
		return refuse(out, rc, r->key, "no room: the store is at its quota= (deleting still works)");
	c->type = COMMAND_PUT;
	c->lease = r->rev;
	c->write_flags = r->rev ? WRITE_LEASED : 0;
	c->key = r->key;
	c->value = r->value;
	return 0;
}

static int delete_command(const struct request *r, struct command *c, struct answer *out)
{
	bool prefix = r->flags & REQUEST_PREFIX;

	/* The empty prefix is everything: to be said key by key, not by an empty variable of a script. */
	if (prefix ? r->key.size == 0 || !prefix_valid(r->key) : !command_key_valid(r->key))
		return refuse(out, -EINVAL, r->key, prefix ? "not a valid prefix" : "not a valid key");
	c->type = COMMAND_DELETE;
	c->key = r->key;
	c->prefix = prefix;
	return 0;
}

static int load_command(struct store *s, const struct request *r, struct command *c, struct answer *out)
{
	struct reader in = reader_over(r->value.data, r->value.size);

	if (r->value.size > PROTOCOL_LOAD_MAX)
		return refuse(out, -EMSGSIZE, r->key, "load: too large a batch");
	while (reader_left(&in) > 0) {
		struct span key = reader_bytes(&in, PROTOCOL_KEY_MAX);
		(void)reader_bytes(&in, PROTOCOL_LOAD_MAX);
		if (!in.failed && !command_key_valid(key))
			return refuse(out, -EINVAL, key, "not a valid key");
	}
	if (!reader_done(&in))
		return refuse(out, -EBADMSG, r->key, "load: malformed batch");
	int rc = store_admit(s, r->value.size);
	if (rc)
		return refuse(out, rc, r->key, "load: no room: the store is at its quota=");
	c->type = COMMAND_LOAD;
	c->value = r->value;
	return 0;
}

static const char *txn_error_text(int error)
{
	switch (error) {
	case -EBADMSG:
		return "malformed";
	case -E2BIG:
		return "more than 4096 comparisons or operations";
	case -EINVAL:
		return "a key is not valid, or written twice, or made below one that is deleted";
	case -EMSGSIZE:
		return "what it gets is more than 8 MiB";
	case -ENOENT:
		return "a lease that it names is not there (it may have expired, or been revoked)";
	default:
		return NULL;
	}
}

static int check_puts(struct store *s, const struct txn *t, struct answer *out)
{
	uint64_t bytes = 0;

	for (int branch = TXN_ELSE; branch <= TXN_THEN; branch++) {
		for (uint32_t i = 0; i < t->ops_count[branch]; i++) {
			const struct txn_op *op = &t->ops[branch][i];
			if (op->type == TXN_PUT && op->value.size > store_settings(s)->max_file)
				return refuse(out, -EFBIG, op->key, "larger than max_file=");
			bytes += op->type == TXN_PUT ? op->value.size + op->key.size : 0;
		}
	}
	int rc = bytes > 0 ? store_admit(s, bytes) : 0;
	if (rc)
		answer_refuse(out, rc, "txn: no room: the store is at its quota= (deleting still works)");
	return rc;
}

static int txn_command(struct store *s, const struct request *r, struct command *c, struct answer *out)
{
	struct txn t = {0};

	if (r->value.size > TXN_BYTES_MAX) {
		answer_refuse(out, -EMSGSIZE, "txn: %zu bytes: more than the %u that one may have", r->value.size, TXN_BYTES_MAX);
		return -EMSGSIZE;
	}
	int rc = txn_decode(r->value, &t);
	if (rc)
		answer_refuse(out, rc, "txn: %s", txn_error_text(rc));
	else
		rc = check_puts(s, &t, out);
	txn_done(&t);
	c->type = COMMAND_TXN;
	c->value = r->value;
	return rc;
}

static int compact_command(const struct request *r, struct command *c, struct answer *out)
{
	if (r->rev == 0) {
		answer_refuse(out, -EINVAL, "compact: there is no revision 0");
		return -EINVAL;
	}
	c->type = COMMAND_COMPACT;
	c->revision = r->rev;
	return 0;
}

int handler_command(struct store *s, const struct request *r, struct command *c, struct answer *out)
{
	*c = (struct command){.truncate_to = COMMAND_NO_TRUNCATE, .mode = 0644};
	if (r->type == REQUEST_PUT)
		return put_command(s, r, c, out);
	if (r->type == REQUEST_DELETE)
		return delete_command(r, c, out);
	if (r->type == REQUEST_TXN)
		return txn_command(s, r, c, out);
	if (r->type == REQUEST_COMPACT)
		return compact_command(r, c, out);
	if (handler_is_lease(r->type))
		return handler_lease_command(r, c, out);
	return load_command(s, r, c, out);
}

const char *handler_error_text(int error)
{
	switch (error) {
	case -ENOENT:
		return "no such key";
	case -ENOTEMPTY:
		return "a directory that is not empty: use --prefix";
	case -ENOTDIR:
		return "a part of its path is a file";
	case -EISDIR:
		return "is a directory";
	case -ETIMEDOUT:
		return "the cluster did not answer in time; the write may still take effect";
	case -ESHUTDOWN:
		return "the node is stopping; the write may still take effect";
	default:
		return strerror(-error);
	}
}

static void txn_answer(const struct command_result *result, struct answer *out)
{
	struct reader in = reader_over(result->reply.data, result->reply.size);
	struct txn_result one;

	while (reader_left(&in) > 0) {
		txn_result_decode(&in, &one);
		const struct kv kv = {.create_revision = one.create_revision,
				      .mod_revision = one.mod_revision,
				      .version = one.version,
				      .mode = one.mode,
				      .flags = one.type == TXN_GET && !one.found ? KV_DELETED : 0,
				      .size = one.type == TXN_DELETE ? one.deleted : one.value.size,
				      .mtime_ns = one.mtime_ns};
		void *room = kv_encode(&out->kvs, &kv, (uint32_t)one.value.size);
		if (one.value.size > 0)
			memcpy(room, one.value.data, one.value.size);
		out->head.kvs_count++;
	}
	/* They are this node's own. */
	assert(reader_done(&in));
}

static void refuse_compact(const struct request *r, const struct command_result *result, int error, struct answer *out)
{
	unsigned long long rev = (unsigned long long)r->rev;

	if (error == -ENOENT)
		answer_refuse(out, error, "compact: revision %llu is still to come: the store is at %llu", rev,
			      (unsigned long long)result->revision);
	else if (error == -ENODATA)
		answer_refuse(out, error, "compact: revision %llu has been compacted already", rev);
	else
		answer_refuse(out, error, "compact: %s", handler_error_text(error));
}

static void refuse_write(const struct request *r, const struct command_result *result, int error, struct answer *out)
{
	const char *txn = r->type == REQUEST_TXN ? txn_error_text(error) : NULL;

	if (r->type == REQUEST_TXN)
		answer_refuse(out, error, "txn: %s", txn ? txn : handler_error_text(error));
	else if (r->type == REQUEST_COMPACT)
		refuse_compact(r, result, error, out);
	else if (r->type == REQUEST_PUT && error == -ENOENT)
		answer_refuse(out, error, "there is no lease %016llx (it may have expired, or been revoked)", (unsigned long long)r->rev);
	else
		refuse(out, error, r->key, handler_error_text(error));
}

void handler_written(const struct request *r, const struct command_result *result, struct answer *out)
{
	/* Interrupted by the end of the endpoint, the only one to cancel. */
	int error = result->error == -EINTR ? -ESHUTDOWN : result->error;

	answer_clear(out);
	if (handler_is_lease(r->type)) {
		handler_lease_written(r, error, result, out);
		return;
	}
	if (error) {
		refuse_write(r, result, error, out);
		return;
	}
	if (r->type == REQUEST_TXN)
		txn_answer(result, out);
	out->head.revision = result->revision;
	out->head.count = r->type == REQUEST_PUT ? 1 : result->count;
}
