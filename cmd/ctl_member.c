/* tallyctl member and move-leader. */
#include "cmd/cluster_option.h"
#include "cmd/ctl.h"
#include "cmd/ctl_json.h"
#include "cmd/quantity.h"

#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 5

/* ID NAME ADDRESS voter|learner [MATCH] */
static void member_json(const char *line, size_t size, bool first)
{
	static const char *const names[FIELDS_MAX] = {"id", "name", "address", "role", "match"};
	const char *end = line + size;
	printf("%s\n{", first ? "" : ",");
	for (int i = 0; i < FIELDS_MAX && line < end; i++) {
		const char *blank = memchr(line, ' ', (size_t)(end - line));
		struct span field = {line, (size_t)((blank ? blank : end) - line)};
		printf("%s\"%s\":", i ? "," : "", names[i]);
		if (i == FIELDS_MAX - 1)
			fwrite(field.data, 1, field.size, stdout);
		else
			json_string(field);
		line = blank ? blank + 1 : end;
	}
	putchar('}');
}

static void list_print(const struct ctl *ctl, struct span text)
{
	const char *at = text.data;
	const char *end = at + text.size;
	if (!ctl->options->json) {
		fwrite(at, 1, text.size, stdout);
		return;
	}
	putchar('[');
	for (bool first = true; at < end; first = false) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		line_end = line_end ? line_end : end;
		member_json(at, (size_t)(line_end - at), first);
		at = line_end + 1;
	}
	printf("]\n");
}

static int list(struct ctl *ctl)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	int rc = ctl_ask(ctl, &call, &(struct request){.type = REQUEST_MEMBER_LIST});
	if (rc == CTL_DONE && call.response.text.size > 0)
		list_print(ctl, call.response.text);
	client_call_done(&call);
	return rc;
}

/* A change of the one member that the key names, and what it has become: `done`. */
static int change(struct ctl *ctl, const struct request *r, const char *done)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	int rc = ctl_ask(ctl, &call, r);
	client_call_done(&call);
	if (rc != CTL_DONE)
		return rc;
	if (ctl->options->json) {
		printf("{");
		json_bytes(done, r->key);
		printf("}\n");
	} else {
		printf("%s %.*s\n", done, (int)r->key.size, (const char *)r->key.data);
	}
	return CTL_DONE;
}

static int usage(void)
{
	ctl_say("usage: tallyctl member list | add NAME HOST:PORT [--learner] | promote ID | remove ID");
	return CTL_USAGE;
}

static struct span text_of(const char *s)
{
	return (struct span){s, strlen(s)};
}

static int add(struct ctl *ctl)
{
	if (ctl->args_count != 3)
		return usage();
	if (!cluster_option_name(ctl->args[1])) {
		ctl_say("member add: '%s' is not a name for a node", ctl->args[1]);
		return CTL_USAGE;
	}
	if (quantity_address(ctl->args[2])) {
		ctl_say("member add: '%s' is not HOST:PORT", ctl->args[2]);
		return CTL_USAGE;
	}
	const struct request r = {.type = REQUEST_MEMBER_ADD,
				  .key = text_of(ctl->args[1]),
				  .value = text_of(ctl->args[2]),
				  .limit = ctl->options->given & GIVEN_LEARNER ? 1 : 0};
	return change(ctl, &r, "added");
}

int ctl_member(struct ctl *ctl)
{
	static const struct {
		const char *name;
		uint8_t type;
		const char *done;
	} changes[] = {{"promote", REQUEST_MEMBER_PROMOTE, "promoted"}, {"remove", REQUEST_MEMBER_REMOVE, "removed"}};
	const char *what = ctl->args[0];
	if (strcmp(what, "add") == 0)
		return add(ctl);
	if (ctl->options->given & GIVEN_LEARNER)
		return usage();
	if (strcmp(what, "list") == 0 && ctl->args_count == 1)
		return list(ctl);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (strcmp(what, changes[i].name) == 0 && ctl->args_count == 2)
			return change(ctl, &(struct request){.type = changes[i].type, .key = text_of(ctl->args[1])}, changes[i].done);
	}
	return usage();
}

int ctl_move_leader(struct ctl *ctl)
{
	return change(ctl, &(struct request){.type = REQUEST_MOVE_LEADER, .key = text_of(ctl->args[0])}, "leader");
}
