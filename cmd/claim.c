#include "cmd/claim.h"

#include "store/command.h"
#include "store/txn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_MS 100
#define WAIT_MS 1000

/* Asks until somebody answers, the lease is lost or a signal comes: -ECANCELED or -EINTR. The answer may be a refusal. */
static int ask(struct ctl *ctl, struct claim *c, struct client_call *call, const struct request *r)
{
	for (;;) {
		call->endpoint = CLIENT_ANY;
		int rc = ctl_ask_interruptible(ctl, call, r);
		int error = rc ? rc : call->response.error;
		if (rc == -EINTR || ctl_interrupted())
			return -EINTR;
		if (error != -ETIMEDOUT && error != -ESHUTDOWN && error != -EIO && error != -EBUSY)
			return 0;
		client_call_done(call);
		if (keeper_lost(c->keeper))
			return -ECANCELED;
		ctl_pause(AGAIN_MS);
	}
}

static struct span text(const char *s)
{
	return (struct span){s, strlen(s)};
}

/* Makes the key, once however often this is asked, and learns the revision that made it. */
static int take_place(struct ctl *ctl, struct claim *c, const char *value)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	struct writer bytes = {0};
	struct txn_compare absent = {.target = TXN_CREATE, .relation = TXN_EQUAL, .key = text(c->key), .number = 0};
	struct txn_op make[] = {{.type = TXN_PUT, .key = text(c->key), .value = text(value), .lease = keeper_lease(c->keeper)},
				{.type = TXN_GET, .key = text(c->key)}};
	struct txn t = {.compares = &absent, .compares_count = 1, .ops = {&make[1], make}, .ops_count = {1, 2}};
	txn_encode(&bytes, &t);
	int rc = ask(ctl, c, &call, &(struct request){.type = REQUEST_TXN, .value = {bytes.data, bytes.size}});
	if (rc == 0 && (call.error || call.response.error || call.response.kvs_count == 0))
		rc = ctl_say_refused(ctl, &call);
	else if (rc == 0)
		c->revision = call.response.kvs[call.response.kvs_count - 1].create_revision;
	client_call_done(&call);
	writer_free(&bytes);
	return rc;
}

/* A key of the queue is NAME/ and 16 hex digits: what lies deeper is another queue's. */
static bool is_place(const struct kv *kv, size_t prefix_size)
{
	return kv->key.size == prefix_size + 16 && !memchr((const char *)kv->key.data + prefix_size, '/', 16);
}

/* The one just before ours, in `before`; empty if we are the first. *at: the revision that shows it so. */
static int find_before(struct ctl *ctl, struct claim *c, struct span prefix, char *before, size_t before_size, uint64_t *at)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	char from[PROTOCOL_KEY_MAX];
	struct request r = {.type = REQUEST_GET, .flags = REQUEST_PREFIX | REQUEST_KEYS_ONLY, .key = prefix};
	uint64_t latest = 0;
	bool more = true;
	int rc = 0;
	before[0] = '\0';
	while (more && rc == 0) {
		rc = ask(ctl, c, &call, &r);
		if (rc == 0 && (call.error || call.response.error))
			rc = ctl_say_refused(ctl, &call);
		for (uint32_t i = 0; rc == 0 && i < call.response.kvs_count; i++) {
			const struct kv *kv = &call.response.kvs[i];
			if (!is_place(kv, prefix.size) || kv->create_revision >= c->revision || kv->create_revision < latest)
				continue;
			latest = kv->create_revision;
			snprintf(before, before_size, "%.*s", (int)kv->key.size, (const char *)kv->key.data);
		}
		more = rc == 0 && (call.response.flags & PROTOCOL_MORE);
		if (rc == 0)
			r.rev = *at = call.response.revision;
		r.from = (struct span){from, rc == 0 ? call.response.next.size : 0};
		if (r.from.size > 0)
			memcpy(from, call.response.next.data, r.from.size);
		client_call_done(&call);
	}
	return rc;
}

/* Waits until something happens to that key after revision `at`. */
static int wait_for_change(struct ctl *ctl, struct claim *c, const char *key, uint64_t at)
{
	struct request r = {.type = REQUEST_WATCH, .rev = at + 1, .limit = WAIT_MS, .key = text(key)};
	struct client_call call = {.endpoint = CLIENT_ANY};
	bool changed = false;
	int rc = 0;
	while (rc == 0 && !changed) {
		rc = ask(ctl, c, &call, &r);
		if (rc == 0 && keeper_lost(c->keeper))
			rc = -ECANCELED;
		/* What was compacted meanwhile has changed, perhaps: it is looked at again. */
		changed = rc == 0 && (call.response.error || call.response.kvs_count > 0);
		r.rev = rc == 0 && call.response.error == 0 ? call.response.revision : r.rev;
		client_call_done(&call);
	}
	return rc;
}

static int wait_for_turn(struct ctl *ctl, struct claim *c, struct span prefix)
{
	char before[PROTOCOL_KEY_MAX + 32];
	uint64_t at = 0;
	for (;;) {
		int rc = find_before(ctl, c, prefix, before, sizeof(before), &at);
		if (rc == 0 && keeper_lost(c->keeper))
			rc = -ECANCELED;
		if (rc != 0 || !before[0])
			return rc;
		if ((rc = wait_for_change(ctl, c, before, at)) != 0)
			return rc;
	}
}

int claim_begin(struct ctl *ctl, const char *name, const char *value, uint64_t ttl_s, struct claim *out)
{
	struct claim c = {.revision = 0};
	if (!command_key_valid(text(name)) || ctl_key_reserved(text(name)) || strlen(name) + 18 > PROTOCOL_KEY_MAX) {
		ctl_say("%s: not a valid name: its keys are to be NAME/ID", name);
		return CTL_REFUSED;
	}
	int rc = keeper_start(ctl, ttl_s, &c.keeper);
	if (rc != CTL_DONE)
		return rc;
	size_t prefix_size = strlen(name) + 1;
	snprintf(c.key, sizeof(c.key), "%s/%016" PRIx64, name, keeper_lease(c.keeper));
	rc = take_place(ctl, &c, value);
	if (rc == 0)
		rc = wait_for_turn(ctl, &c, (struct span){c.key, prefix_size});
	if (rc != 0) {
		keeper_stop(c.keeper);
		if (rc < 0)
			ctl_say(rc == -EINTR ? "%s: interrupted before it was obtained"
					     : "%s: the lease was lost: no answer within its time",
				name);
		return rc < 0 ? CTL_REFUSED : rc;
	}
	*out = c;
	return CTL_DONE;
}

void claim_end(struct claim *c)
{
	keeper_stop(c->keeper);
}
