/* tallyctl snapshot: the store of a running node into a file, and what can be done with such a file without any node. */
#include "cmd/ctl.h"
#include "store/restore.h"
#include "store/snapshot_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WHY_BYTES 4608
#define PAGE_ATTEMPTS 5

/* What is said of a snapshot. */
struct described {
	uint64_t revision;
	uint64_t keys;
	uint64_t size;
	uint64_t hash; /* of all that was ever put, as `tallyctl endpoint hash` tells it */
};

static void describe(const struct ctl *ctl, const struct described *d)
{
	if (ctl->options->json)
		printf("{\"revision\":%" PRIu64 ",\"keys\":%" PRIu64 ",\"size\":%" PRIu64 ",\"hash\":\"%016" PRIx64
		       "\",\"checksum\":\"ok\"}\n",
		       d->revision, d->keys, d->size, d->hash);
	else
		printf("revision: %" PRIu64 "\nkeys: %" PRIu64 "\nsize: %" PRIu64 "\nhash: %016" PRIx64 "\nchecksum: ok\n", d->revision,
		       d->keys, d->size, d->hash);
}

/* A picture that is being fetched: always from the node that took it. */
struct fetching {
	struct ctl *ctl;
	struct client_call call;
	struct request request;
	struct snapshot_file *file;
	struct dump_count *count;
	struct described got;
	uint8_t from[DUMP_POSITION_BYTES_MAX];
	char why[WHY_BYTES];
};

static int refuse(struct fetching *f)
{
	ctl_say("snapshot save: %s", f->why);
	return CTL_REFUSED;
}

/* Asks, a few times over if there is no answer: the node keeps the picture, and gives the last page again. */
static int ask(struct fetching *f)
{
	for (int attempt = 1;; attempt++) {
		client_call_done(&f->call);
		if (attempt == PAGE_ATTEMPTS || f->request.rev == 0)
			return ctl_ask(f->ctl, &f->call, &f->request);
		if (client_call(f->ctl->client, &f->call, &f->request) == 0 && f->call.response.error == 0)
			return CTL_DONE;
		if (f->call.error == 0 && f->call.response.error != -EBUSY)
			return ctl_ask(f->ctl, &f->call, &f->request);
	}
}

static int begin(struct fetching *f, const char *path)
{
	f->request = (struct request){.type = REQUEST_SNAPSHOT, .flags = f->ctl->options->serial ? REQUEST_SERIAL : 0};
	int status = ask(f);
	if (status)
		return status;
	const struct response *r = &f->call.response;
	if (snapshot_file_create(path, r->text, &f->file, f->why, sizeof(f->why)))
		return refuse(f);
	f->request.flags = 0;
	f->request.rev = r->count;
	f->request.from = (struct span){f->from, 0};
	f->call.only = true;
	return CTL_DONE;
}

/* Writes the page down, and turns to the next one. */
static int take_page(struct fetching *f, bool *more)
{
	const struct response *r = &f->call.response;
	if (r->text.size > 0 && snapshot_file_add(f->file, r->text, f->why, sizeof(f->why)))
		return refuse(f);
	if (snapshot_file_progress(f->file)->sum != r->count || r->next.size > sizeof(f->from)) {
		snprintf(f->why, sizeof(f->why), "what was received is damaged");
		return refuse(f);
	}
	dump_count_add(f->count, r->text);
	memcpy(f->from, r->next.data ? r->next.data : "", r->next.size);
	f->request.from.size = r->next.size;
	f->request.limit++;
	*more = r->flags & PROTOCOL_MORE;
	return CTL_DONE;
}

static int fetch(struct fetching *f)
{
	bool more = true;
	while (more) {
		int status = ask(f);
		if (status == CTL_DONE)
			status = take_page(f, &more);
		if (status)
			return status;
	}
	/* Best effort: the node ends it by itself, a minute later. */
	f->request.flags = REQUEST_COUNT_ONLY;
	client_call_done(&f->call);
	client_call(f->ctl->client, &f->call, &f->request);
	return CTL_DONE;
}

static int save(struct ctl *ctl, const char *path)
{
	struct fetching f = {.ctl = ctl, .call = {.endpoint = CLIENT_ANY}, .count = dump_count_new()};
	int status = begin(&f, path);
	if (status == CTL_DONE)
		status = fetch(&f);
	if (status == CTL_DONE) {
		const struct load_progress *p = snapshot_file_progress(f.file);
		f.got = (struct described){snapshot_file_manifest(f.file)->revision, dump_count_keys(f.count), p->bytes,
					   snapshot_file_manifest(f.file)->hash};
		if (snapshot_file_finish(f.file, f.why, sizeof(f.why)))
			status = refuse(&f);
		f.file = NULL;
	}
	snapshot_file_abandon(f.file);
	client_call_done(&f.call);
	dump_count_free(f.count);
	if (status == CTL_DONE)
		describe(ctl, &f.got);
	return status;
}

static int status_of(struct ctl *ctl, const char *path)
{
	char why[WHY_BYTES];
	struct snapshot_file *file;
	struct span chunk;
	int rc = snapshot_file_open(path, &file, why, sizeof(why));
	if (rc < 0) {
		ctl_say("%s", why);
		return CTL_REFUSED;
	}
	struct dump_count *count = dump_count_new();
	while ((rc = snapshot_file_next(file, &chunk, why, sizeof(why))) == 1)
		dump_count_add(count, chunk);
	const struct load_progress *p = snapshot_file_progress(file);
	struct described d = {snapshot_file_manifest(file)->revision, dump_count_keys(count), p->bytes, snapshot_file_manifest(file)->hash};
	dump_count_free(count);
	snapshot_file_close(file);
	if (rc < 0) {
		ctl_say("%s", why);
		return CTL_REFUSED;
	}
	describe(ctl, &d);
	return CTL_DONE;
}

static int restore(struct ctl *ctl, const char *path, const char *data)
{
	char why[WHY_BYTES];
	struct restored got;
	if (store_restore(path, data, &got, why, sizeof(why)) < 0) {
		ctl_say("%s", why);
		return CTL_REFUSED;
	}
	if (ctl->options->json)
		printf("{\"cluster_id\":\"%016" PRIx64 "\",\"revision\":%" PRIu64 ",\"keys\":%" PRIu64 "}\n", got.cluster_id, got.revision,
		       got.keys);
	else
		printf("cluster_id: %016" PRIx64 "\nrevision: %" PRIu64 "\nkeys: %" PRIu64 "\n", got.cluster_id, got.revision, got.keys);
	return CTL_DONE;
}

bool ctl_snapshot_needs_node(const struct ctl_options *o)
{
	return o->args_count < 2 || strcmp(o->args[1], "save") == 0;
}

int ctl_snapshot(struct ctl *ctl)
{
	char **a = ctl->args;
	if (strcmp(a[0], "save") == 0 && ctl->args_count == 2)
		return save(ctl, a[1]);
	if (strcmp(a[0], "status") == 0 && ctl->args_count == 2)
		return status_of(ctl, a[1]);
	if (strcmp(a[0], "restore") == 0 && ctl->args_count == 3)
		return restore(ctl, a[1], a[2]);
	ctl_say("usage: tallyctl snapshot save FILE | restore FILE DATA | status FILE");
	return CTL_USAGE;
}
