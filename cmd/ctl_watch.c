/* tallyctl watch: a line for each change, as it happens, until interrupted. */
#include "cmd/ctl.h"
#include "cmd/ctl_json.h"
#include "store/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS_MIN 100
#define WAIT_MS_MAX 30000

static struct mvcc_event event_of(const struct kv *kv)
{
	return (struct mvcc_event){.type = kv->flags & KV_DELETED   ? MVCC_EVENT_DELETE
					   : kv->flags & KV_RENAMED ? MVCC_EVENT_RENAME
								    : MVCC_EVENT_PUT,
				   .rev = {kv->mod_revision, 0},
				   .key = kv->key,
				   .to = kv->value};
}

static void event_json(const struct mvcc_event *e)
{
	static const char *const names[] = {[MVCC_EVENT_PUT] = "put", [MVCC_EVENT_DELETE] = "delete", [MVCC_EVENT_RENAME] = "rename"};

	printf("{\"revision\":%" PRIu64 ",\"event\":\"%s\",", e->rev.main, names[e->type]);
	json_bytes("key", e->key);
	if (e->type == MVCC_EVENT_RENAME) {
		putchar(',');
		json_bytes("to", e->to);
	}
	printf("}\n");
}

/* All events of an answer, at once. False: nobody reads them any more. */
static bool print(const struct ctl *ctl, const struct response *r)
{
	struct writer lines = {0};

	for (uint32_t i = 0; i < r->kvs_count; i++) {
		const struct mvcc_event e = event_of(&r->kvs[i]);
		if (ctl->options->json)
			event_json(&e);
		else
			watch_format_line(&lines, &e);
	}
	if (lines.size > 0)
		fwrite(lines.data, 1, lines.size, stdout);
	writer_free(&lines);
	return fflush(stdout) == 0;
}

/* An endpoint must answer before the client takes it for dead, and before its share of the time, if others are to be asked after it. */
static uint64_t wait_ms(const struct ctl *ctl)
{
	int64_t ms = ctl->options->timeout_ns / 1000000 / client_endpoints(ctl->client) / 2;

	return (uint64_t)(ms < WAIT_MS_MIN ? WAIT_MS_MIN : ms > WAIT_MS_MAX ? WAIT_MS_MAX : ms);
}

/* A position, and where it is kept for the next request. */
struct position {
	uint64_t rev;
	struct writer sub;
};

static void position_set(struct position *p, const struct response *r)
{
	p->rev = r->revision;
	writer_clear(&p->sub);
	if (r->count > 0)
		writer_u32(&p->sub, (uint32_t)r->count);
}

/* An endpoint that stopped, or lost its disk, is no reason to end: another one will answer, or it comes back. */
static bool goes_on(const struct client_call *call)
{
	int error = call->error ? call->error : call->response.error;

	return error == -ETIMEDOUT || error == -ESHUTDOWN || error == -EIO || error == -EBUSY;
}

static int watch(struct ctl *ctl, struct request *r, struct position *at)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	bool begun = false;
	bool said = false;
	int status = CTL_DONE;

	while (status == CTL_DONE) {
		r->rev = at->rev;
		r->value = (struct span){at->sub.data, at->sub.size};
		/* The first answer comes at once: it tells where "now" is. */
		r->limit = begun ? wait_ms(ctl) : 0;
		call.endpoint = CLIENT_ANY;
		int rc = ctl_ask_interruptible(ctl, &call, r);
		if (rc == -EINTR)
			break;
		if (rc == 0 && call.response.error == 0) {
			begun = true;
			said = false;
			position_set(at, &call.response);
			if (!print(ctl, &call.response))
				status = CTL_REFUSED;
		} else if (!begun || !goes_on(&call)) {
			status = ctl_say_refused(ctl, &call);
		} else {
			if (!said)
				ctl_say("nobody answers; watching goes on from revision %" PRIu64 " once somebody does", at->rev);
			said = true;
			ctl_pause(100);
		}
		client_call_done(&call);
	}
	client_call_done(&call);
	return status;
}

int ctl_watch(struct ctl *ctl)
{
	const struct ctl_options *o = ctl->options;
	struct position at = {.rev = o->rev};
	struct request r = {
		.type = REQUEST_WATCH, .flags = o->given & GIVEN_PREFIX ? REQUEST_PREFIX : 0, .key = {ctl->args[0], strlen(ctl->args[0])}};

	ctl_catch_interrupts();
	int status = watch(ctl, &r, &at);
	writer_free(&at.sub);
	return status;
}
