/* tallyctl lease. */
#include "cmd/ctl.h"
#include "cmd/ctl_json.h"
#include "cmd/quantity.h"
#include "store/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ctl_lease_parse(const char *text, uint64_t *id)
{
	char *end;

	if (!text[0] || strspn(text, "0123456789abcdefABCDEF") != strlen(text))
		return false;
	errno = 0;
	*id = strtoull(text, &end, 16);
	return errno == 0 && *id != 0;
}

static int with_id(struct ctl *ctl, int (*run)(struct ctl *ctl, uint64_t id))
{
	uint64_t id;

	if (ctl->args_count != 2 || !ctl_lease_parse(ctl->args[1], &id)) {
		ctl_say("usage: tallyctl lease %s ID, which is up to 16 hex digits", ctl->args[0]);
		return CTL_USAGE;
	}
	return run(ctl, id);
}

static bool ttl_parse(const char *text, uint64_t *seconds)
{
	int64_t ns;

	if (quantity_duration(text, &ns) || ns < 1000000000 || ns % 1000000000 != 0)
		return false;
	*seconds = (uint64_t)(ns / 1000000000);
	return true;
}

int ctl_lease_grant(struct ctl *ctl, uint64_t ttl_s, uint64_t *id)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	int status = ctl_ask(ctl, &call, &(struct request){.type = REQUEST_LEASE_GRANT, .limit = ttl_s});

	if (status == CTL_DONE) {
		struct reader in = reader_over(call.response.text.data, call.response.text.size);
		*id = reader_u64(&in);
	}
	client_call_done(&call);
	return status;
}

static int grant(struct ctl *ctl)
{
	uint64_t ttl_s;
	uint64_t id = 0;

	if (ctl->args_count != 2 || !ttl_parse(ctl->args[1], &ttl_s)) {
		ctl_say("usage: tallyctl lease grant TTL, which is a number of seconds, from 1 to %u", LEASE_TTL_S_MAX);
		return CTL_USAGE;
	}
	int status = ctl_lease_grant(ctl, ttl_s, &id);
	if (status != CTL_DONE)
		return status;
	if (ctl->options->json)
		printf("{\"id\":\"%016" PRIx64 "\",\"ttl\":%" PRIu64 "}\n", id, ttl_s);
	else
		printf("lease %016" PRIx64 " granted with TTL(%" PRIu64 "s)\n", id, ttl_s);
	return CTL_DONE;
}

static int revoke_lease(struct ctl *ctl, uint64_t id)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	int status = ctl_ask(ctl, &call, &(struct request){.type = REQUEST_LEASE_REVOKE, .rev = id});

	if (status == CTL_DONE && ctl->options->json)
		printf("{\"id\":\"%016" PRIx64 "\",\"revision\":%" PRIu64 ",\"deleted\":%" PRIu64 "}\n", id, call.response.revision,
		       call.response.count);
	else if (status == CTL_DONE)
		printf("lease %016" PRIx64 " revoked\n", id);
	client_call_done(&call);
	return status;
}

static void keepalive_print(const struct ctl *ctl, uint64_t id, uint64_t ttl_s)
{
	if (ctl->options->json)
		printf("{\"id\":\"%016" PRIx64 "\",\"ttl\":%" PRIu64 "}\n", id, ttl_s);
	else
		printf("lease %016" PRIx64 " keepalived with TTL(%" PRIu64 ")\n", id, ttl_s);
	fflush(stdout);
}

/* Renewed when a third of its time has passed; what is not answered is tried again soon, until the lease is gone. */
static int keepalive(struct ctl *ctl, uint64_t id)
{
	const struct request r = {.type = REQUEST_LEASE_KEEPALIVE, .rev = id};
	struct client_call call = {.endpoint = CLIENT_ANY};
	bool once = ctl->options->given & GIVEN_ONCE;
	int status = CTL_DONE;
	bool begun = false;

	ctl_catch_interrupts();
	while (status == CTL_DONE && !ctl_interrupted()) {
		call.endpoint = CLIENT_ANY;
		int rc = ctl_ask_interruptible(ctl, &call, &r);
		if (rc == -EINTR)
			break;
		bool renewed = rc == 0 && call.response.error == 0;
		uint64_t ttl_s = renewed ? call.response.count : 0;
		if (renewed)
			keepalive_print(ctl, id, ttl_s);
		else if (once || !begun || (rc == 0 && call.response.error == -ENOENT))
			status = ctl_say_refused(ctl, &call);
		begun = true;
		client_call_done(&call);
		if (once)
			break;
		if (status == CTL_DONE)
			ctl_pause(renewed ? (int64_t)ttl_s * 1000 / 3 : 200);
	}
	client_call_done(&call);
	return status;
}

static void keys_print(const struct ctl *ctl, struct reader *in)
{
	bool json = ctl->options->json;

	printf("%s", json ? ",\"keys\":[" : ", attached keys([");
	for (bool first = true; reader_left(in) > 0 && !in->failed; first = false) {
		struct span key = reader_bytes(in, PROTOCOL_KEY_MAX);
		printf("%s", first ? "" : json ? "," : " ");
		if (json)
			json_string(key);
		else
			fwrite(key.data, 1, key.size, stdout);
	}
	printf("%s", json ? "]" : "])");
}

static int time_to_live(struct ctl *ctl, uint64_t id)
{
	bool keys = ctl->options->given & GIVEN_KEYS;
	struct client_call call = {.endpoint = CLIENT_ANY};
	const struct request r = {.type = REQUEST_LEASE_TTL, .flags = keys ? REQUEST_KEYS_ONLY : 0, .rev = id};
	int status = ctl_ask(ctl, &call, &r);

	if (status == CTL_DONE) {
		struct reader in = reader_over(call.response.text.data, call.response.text.size);
		uint64_t remaining_s = (reader_u64(&in) + 999) / 1000;
		if (ctl->options->json)
			printf("{\"id\":\"%016" PRIx64 "\",\"granted_ttl\":%" PRIu64 ",\"ttl\":%" PRIu64, id, call.response.count,
			       remaining_s);
		else
			printf("lease %016" PRIx64 " granted with TTL(%" PRIu64 "s), remaining(%" PRIu64 "s)", id, call.response.count,
			       remaining_s);
		if (keys)
			keys_print(ctl, &in);
		printf("%s\n", ctl->options->json ? "}" : "");
	}
	client_call_done(&call);
	return status;
}

static int list(struct ctl *ctl)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	int status = ctl_ask(ctl, &call, &(struct request){.type = REQUEST_LEASE_LIST});
	struct reader ids = reader_over(call.response.text.data, call.response.text.size);

	if (status == CTL_DONE && ctl->options->json)
		printf("{\"leases\":[");
	else if (status == CTL_DONE)
		printf("found %" PRIu64 " leases\n", call.response.count);
	for (bool first = true; status == CTL_DONE && reader_left(&ids) > 0 && !ids.failed; first = false)
		printf(ctl->options->json ? "%s\"%016" PRIx64 "\"" : "%s%016" PRIx64 "\n", first || !ctl->options->json ? "" : ",",
		       reader_u64(&ids));
	if (status == CTL_DONE && ctl->options->json)
		printf("]}\n");
	client_call_done(&call);
	return status;
}

int ctl_lease(struct ctl *ctl)
{
	const char *what = ctl->args[0];

	if (strcmp(what, "grant") == 0)
		return grant(ctl);
	if (strcmp(what, "revoke") == 0)
		return with_id(ctl, revoke_lease);
	if (strcmp(what, "keepalive") == 0)
		return with_id(ctl, keepalive);
	if (strcmp(what, "timetolive") == 0)
		return with_id(ctl, time_to_live);
	if (strcmp(what, "list") == 0 && ctl->args_count == 1)
		return list(ctl);
	ctl_say("lease: expected grant TTL, revoke ID, keepalive ID, timetolive ID or list");
	return CTL_USAGE;
}
