/* tallyctl get and history. */
#include "cmd/ctl.h"
#include "cmd/ctl_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What a listing of several pages has come to. */
struct listing {
	const struct ctl_options *options;
	uint64_t revision;
	uint64_t count;
	bool more;
	bool begun;
};

void ctl_kv_json(const struct kv *kv, bool value)
{
	putchar('{');
	json_bytes("key", kv->key);
	printf(",\"create_revision\":%" PRIu64 ",\"mod_revision\":%" PRIu64 ",\"version\":%" PRIu32 ",\"size\":%" PRIu64
	       ",\"mode\":\"%06o\",\"mtime_ns\":%" PRId64,
	       kv->create_revision, kv->mod_revision, kv->version, kv->size, kv->mode, kv->mtime_ns);
	if (value) {
		putchar(',');
		json_bytes("value", kv->value);
	}
	putchar('}');
}

static void kv_text(const struct ctl_options *o, const struct kv *kv)
{
	bool keys_only = o->given & GIVEN_KEYS_ONLY;

	/* A single key gives its value as it is stored, as cat does. */
	if (keys_only || (o->given & GIVEN_PREFIX)) {
		fwrite(kv->key.data, 1, kv->key.size, stdout);
		putchar('\n');
	}
	if (keys_only)
		return;
	fwrite(kv->value.data ? kv->value.data : "", 1, kv->value.size, stdout);
	if (o->given & GIVEN_PREFIX)
		putchar('\n');
}

static void page_print(struct listing *l, const struct response *r)
{
	const struct ctl_options *o = l->options;

	for (uint32_t i = 0; i < r->kvs_count; i++) {
		if (o->json) {
			printf("%s\n", l->begun ? "," : "");
			ctl_kv_json(&r->kvs[i], !(o->given & GIVEN_KEYS_ONLY));
		} else {
			kv_text(o, &r->kvs[i]);
		}
		l->begun = true;
	}
}

static void listing_begin(struct listing *l, uint64_t revision)
{
	l->revision = revision;
	if (l->options->json)
		printf("{\"revision\":%" PRIu64 ",\"kvs\":[", revision);
}

static void listing_end(struct listing *l)
{
	if (l->options->json)
		printf("],\"count\":%" PRIu64 ",\"more\":%s}\n", l->count, l->more ? "true" : "false");
	else if (l->options->given & GIVEN_COUNT_ONLY)
		printf("%" PRIu64 "\n", l->count);
}

static uint8_t get_flags(const struct ctl_options *o)
{
	return (uint8_t)((o->given & GIVEN_PREFIX ? REQUEST_PREFIX : 0) | (o->serial ? REQUEST_SERIAL : 0) |
			 (o->given & GIVEN_KEYS_ONLY ? REQUEST_KEYS_ONLY : 0) | (o->given & GIVEN_COUNT_ONLY ? REQUEST_COUNT_ONLY : 0));
}

int ctl_get(struct ctl *ctl)
{
	const struct ctl_options *o = ctl->options;
	struct listing l = {.options = o};
	struct client_call call = {.endpoint = CLIENT_ANY};
	char from[PROTOCOL_KEY_MAX];
	struct request r = {
		.type = REQUEST_GET, .flags = get_flags(o), .rev = o->rev, .limit = o->limit, .key = {ctl->args[0], strlen(ctl->args[0])}};

	for (bool first = true;; first = false) {
		int rc = ctl_ask(ctl, &call, &r);
		if (rc) {
			client_call_done(&call);
			return rc;
		}
		if (first)
			listing_begin(&l, call.response.revision);
		page_print(&l, &call.response);
		l.count += call.response.count;
		l.more = call.response.flags & PROTOCOL_MORE;
		/* The rest of the listing at the same revision, which the node that answered is sure to have. */
		r.rev = l.revision;
		r.limit = o->limit ? o->limit - l.count : 0;
		r.from = (struct span){from, call.response.next.size};
		memcpy(from, call.response.next.data ? call.response.next.data : "", call.response.next.size);
		client_call_done(&call);
		if (!l.more || (o->limit && l.count >= o->limit))
			break;
	}
	listing_end(&l);
	return CTL_DONE;
}

static void version_print(const struct ctl_options *o, const struct kv *kv, bool first)
{
	bool deleted = kv->flags & KV_DELETED;
	char when[40] = "";
	struct tm tm;
	time_t seconds = (time_t)(kv->mtime_ns / 1000000000);

	if (o->json) {
		printf("%s\n{\"revision\":%" PRIu64 ",\"event\":\"%s\"", first ? "" : ",", kv->mod_revision, deleted ? "delete" : "put");
		if (!deleted)
			printf(",\"version\":%" PRIu32 ",\"size\":%" PRIu64 ",\"mtime_ns\":%" PRId64, kv->version, kv->size, kv->mtime_ns);
		putchar('}');
		return;
	}
	if (deleted) {
		printf("%" PRIu64 " delete\n", kv->mod_revision);
		return;
	}
	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf("%" PRIu64 " put %" PRIu64 " %s\n", kv->mod_revision, kv->size, when);
}

int ctl_history(struct ctl *ctl)
{
	const struct ctl_options *o = ctl->options;
	struct client_call call = {.endpoint = CLIENT_ANY};
	struct request r = {.type = REQUEST_HISTORY, .key = {ctl->args[0], strlen(ctl->args[0])}};
	bool more = true;

	for (bool first = true; more;) {
		int rc = ctl_ask(ctl, &call, &r);
		if (rc) {
			client_call_done(&call);
			return rc;
		}
		if (first && o->json) {
			printf("{\"revision\":%" PRIu64 ",", call.response.revision);
			json_bytes("key", r.key);
			printf(",\"versions\":[");
		}
		for (uint32_t i = 0; i < call.response.kvs_count; i++, first = false) {
			version_print(o, &call.response.kvs[i], first);
			r.rev = call.response.kvs[i].mod_revision;
		}
		more = (call.response.flags & PROTOCOL_MORE) && call.response.kvs_count > 0;
		client_call_done(&call);
	}
	if (o->json)
		printf("]}\n");
	return CTL_DONE;
}
