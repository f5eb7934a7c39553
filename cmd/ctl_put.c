/* tallyctl put and del. */
#include "cmd/ctl.h"
#include "fs/path.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define READ_BYTES 65536u

int ctl_read_stdin(struct writer *w, size_t bytes_max)
{
	for (;;) {
		char *room = writer_reserve(w, READ_BYTES);
		size_t n = fread(room, 1, READ_BYTES, stdin);
		w->size -= READ_BYTES - n;
		if (w->size > bytes_max)
			return -EFBIG;
		if (n < READ_BYTES)
			return ferror(stdin) ? -EIO : 0;
	}
}

static void written_print(const struct ctl *ctl, const char *verb, const struct response *r)
{
	if (ctl->options->json)
		printf("{\"revision\":%" PRIu64 ",\"%s\":%" PRIu64 "}\n", r->revision, verb, r->count);
	else if (strcmp(verb, "deleted") == 0)
		printf("deleted %" PRIu64 " revision %" PRIu64 "\n", r->count, r->revision);
	else
		printf("revision %" PRIu64 "\n", r->revision);
}

static int write_and_print(struct ctl *ctl, const struct request *r, const char *verb)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	int rc = ctl_ask(ctl, &call, r);

	if (rc == CTL_DONE)
		written_print(ctl, verb, &call.response);
	client_call_done(&call);
	return rc;
}

bool ctl_key_reserved(struct span key)
{
	char name[256];
	bool in_root = true;
	const char *at = key.data;
	const char *end = at + key.size;

	for (; at < end; in_root = false) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t size = (size_t)((slash ? slash : end) - at);
		if (size > 0 && size < sizeof(name)) {
			snprintf(name, sizeof(name), "%.*s", (int)size, at);
			if (path_parse(name, in_root, PATH_MARK).shape != PATH_PLAIN)
				return true;
		}
		at += size + 1;
	}
	return false;
}

int ctl_put(struct ctl *ctl)
{
	struct writer from_stdin = {0};
	const char *value = ctl->args_count > 1 ? ctl->args[1] : "-";
	struct request r = {.type = REQUEST_PUT,
			    .key = {ctl->args[0], strlen(ctl->args[0])},
			    .value = {value, strlen(value)},
			    .rev = ctl->options->lease};

	if (ctl_key_reserved(r.key)) {
		ctl_say("%s: a name reserved for revision and control paths", ctl->args[0]);
		return CTL_REFUSED;
	}
	if (strcmp(value, "-") == 0) {
		int rc = ctl_read_stdin(&from_stdin, PROTOCOL_VALUE_MAX);
		if (rc) {
			ctl_say("standard input: %s", strerror(-rc));
			writer_free(&from_stdin);
			return CTL_REFUSED;
		}
		r.value = (struct span){from_stdin.data, from_stdin.size};
	}
	int status = write_and_print(ctl, &r, "put");
	writer_free(&from_stdin);
	return status;
}

int ctl_del(struct ctl *ctl)
{
	struct request r = {.type = REQUEST_DELETE,
			    .flags = ctl->options->given & GIVEN_PREFIX ? REQUEST_PREFIX : 0,
			    .key = {ctl->args[0], strlen(ctl->args[0])}};

	return write_and_print(ctl, &r, "deleted");
}
