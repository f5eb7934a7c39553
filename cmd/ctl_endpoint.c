/* tallyctl endpoint status, health and hash: every endpoint is asked, all at once. */
#include "cmd/ctl.h"
#include "cmd/ctl_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void ask_all(struct ctl *ctl, struct client_call *calls, uint8_t type)
{
	struct request r = {.type = type, .flags = ctl->options->serial ? REQUEST_SERIAL : 0};
	unsigned count = client_endpoints(ctl->client);
	unsigned done = 0;

	for (unsigned i = 0; i < count; i++) {
		calls[i] = (struct client_call){.endpoint = (int)i, .only = true};
		/* Never refused: there are fewer endpoints than calls may be out. */
		client_submit(ctl->client, &calls[i], &r);
	}
	while (done < count)
		done += client_run(ctl->client, ctl->options->timeout_ns);
}

static struct span name_of(struct ctl *ctl, unsigned i)
{
	struct client_stats stats;

	client_stats(ctl->client, i, &stats);
	return (struct span){stats.name, strlen(stats.name)};
}

/* Why an endpoint did not answer well, without its name in front. */
static struct span why_of(const struct client_call *call, struct span name)
{
	const char *why = call->why;

	if (!call->error)
		return call->response.text;
	if (strncmp(why, name.data, name.size) == 0 && why[name.size] == ':')
		why += name.size + 2;
	return (struct span){why, strlen(why)};
}

static bool is_number(struct span s)
{
	const char *p = s.data;

	for (size_t i = 0; i < s.size; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
	}
	return s.size > 0 && s.size < 16 && (s.size == 1 || p[0] != '0');
}

/* Names and identities stay strings, even one like "12". */
static bool is_name(struct span key)
{
	static const char *const names[] = {"name", "leader", "id", "cluster_id", "version", "health"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (key.size == strlen(names[i]) && memcmp(key.data, names[i], key.size) == 0)
			return true;
	}
	return false;
}

/* Lines "key: value" as the members of an object. */
static void status_json(struct span text)
{
	const char *at = text.data;
	const char *end = at + text.size;
	bool first = true;

	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		line_end = line_end ? line_end : end;
		const char *colon = memchr(at, ':', (size_t)(line_end - at));
		if (colon) {
			const char *value = colon + 1 < line_end && colon[1] == ' ' ? colon + 2 : colon + 1;
			struct span v = {value, (size_t)(line_end - value)};
			printf("%s", first ? "" : ",");
			struct span key = {at, (size_t)(colon - at)};
			json_string(key);
			putchar(':');
			if (is_number(v) && !is_name(key))
				fwrite(v.data, 1, v.size, stdout);
			else
				json_string(v);
			first = false;
		}
		at = line_end + 1;
	}
}

/* How the answer of a well endpoint to a question is shown, in JSON as members of its object. */
struct question {
	const char *name;
	uint8_t type;
	void (*json)(struct span text);
	void (*plain)(struct span name, struct span text, bool first);
};

static void status_members(struct span text)
{
	printf(",\"status\":{");
	status_json(text);
	putchar('}');
}

static void status_plain(struct span name, struct span text, bool first)
{
	printf("%sendpoint: %s\n%.*s", first ? "" : "\n", (const char *)name.data, (int)text.size,
	       text.data ? (const char *)text.data : "");
}

static void health_members(struct span text)
{
	(void)text;
	printf(",\"healthy\":true");
}

static void health_plain(struct span name, struct span text, bool first)
{
	(void)text, (void)first;
	printf("%s healthy\n", (const char *)name.data);
}

/* "HASH REVISION INDEX" as the members of an object. The hash is no number to most readers of JSON. */
static void hash_members(struct span text)
{
	char hash[17];
	uint64_t revision, index;
	char line[128];

	snprintf(line, sizeof(line), "%.*s", (int)text.size, text.data ? (const char *)text.data : "");
	if (sscanf(line, "%16[0-9a-f] %" SCNu64 " %" SCNu64, hash, &revision, &index) == 3)
		printf(",\"hash\":\"%s\",\"revision\":%" PRIu64 ",\"applied_index\":%" PRIu64, hash, revision, index);
}

static void hash_plain(struct span name, struct span text, bool first)
{
	(void)first;
	printf("%s %.*s\n", (const char *)name.data, (int)text.size, text.data ? (const char *)text.data : "");
}

static void print_json(const struct question *q, const struct client_call *call, struct span name, bool first)
{
	printf("%s\n{\"endpoint\":", first ? "" : ",");
	json_string(name);
	if (!call->error && !call->response.error) {
		q->json(call->response.text);
	} else {
		printf("%s,\"error\":", q->type == REQUEST_HEALTH ? ",\"healthy\":false" : "");
		json_string(why_of(call, name));
	}
	putchar('}');
}

static void print_plain(const struct question *q, const struct client_call *call, struct span name, bool first)
{
	struct span why = why_of(call, name);

	if (!call->error && !call->response.error)
		q->plain(name, call->response.text, first);
	else if (q->type == REQUEST_HEALTH)
		printf("%s unhealthy: %.*s\n", (const char *)name.data, (int)why.size, why.data ? (const char *)why.data : "");
	else
		ctl_say("%s: %.*s", (const char *)name.data, (int)why.size, why.data ? (const char *)why.data : "");
}

static const struct question *question_of(const char *name)
{
	static const struct question questions[] = {{"status", REQUEST_STATUS, status_members, status_plain},
						    {"health", REQUEST_HEALTH, health_members, health_plain},
						    {"hash", REQUEST_HASH, hash_members, hash_plain}};

	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		if (strcmp(questions[i].name, name) == 0)
			return &questions[i];
	return NULL;
}

int ctl_endpoint(struct ctl *ctl)
{
	static struct client_call calls[BALANCE_ENDPOINTS_MAX];
	const struct question *question = question_of(ctl->args[0]);
	int status = CTL_DONE;
	bool first = true;

	if (!question) {
		ctl_say("endpoint %s: expected status, health or hash", ctl->args[0]);
		return CTL_USAGE;
	}
	bool health = question->type == REQUEST_HEALTH;
	ask_all(ctl, calls, question->type);
	if (ctl->options->json)
		putchar('[');
	for (unsigned i = 0; i < client_endpoints(ctl->client); i++) {
		struct span name = name_of(ctl, i);
		(ctl->options->json ? print_json : print_plain)(question, &calls[i], name, first);
		if (calls[i].error || calls[i].response.error)
			status = calls[i].error && calls[i].error != -EACCES && !health ? CTL_NO_ANSWER : CTL_REFUSED;
		first = false;
		client_call_done(&calls[i]);
	}
	if (ctl->options->json)
		printf("]\n");
	if (health && status && ctl->options->json)
		ctl_say("an endpoint is unhealthy");
	return status;
}
