/* PUT, DELETE and LOAD (handler.h). */
#include "store/client/handler.h"

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
	int rc = store_admit(s, r->value.size);
	if (rc)
		return refuse(out, rc, r->key, "no room: the store is at its quota= (deleting still works)");
	c->type = COMMAND_PUT;
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

int handler_command(struct store *s, const struct request *r, struct command *c, struct answer *out)
{
	*c = (struct command){.truncate_to = COMMAND_NO_TRUNCATE, .mode = 0644};
	if (r->type == REQUEST_PUT)
		return put_command(s, r, c, out);
	if (r->type == REQUEST_DELETE)
		return delete_command(r, c, out);
	return load_command(s, r, c, out);
}

static const char *error_text(int error)
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

void handler_written(const struct request *r, const struct command_result *result, struct answer *out)
{
	/* Interrupted by the end of the endpoint, the only one to cancel. */
	int error = result->error == -EINTR ? -ESHUTDOWN : result->error;

	answer_clear(out);
	if (error) {
		refuse(out, error, r->key, error_text(error));
		return;
	}
	out->head.revision = result->revision;
	out->head.count = r->type == REQUEST_PUT ? 1 : result->count;
}
