/* GET, HISTORY, STATUS, HEALTH and HASH (handler.h). */
#include "store/client/handler.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_MAX 512

void answer_clear(struct answer *a)
{
	a->head = (struct response){0};
	writer_clear(&a->kvs);
	writer_clear(&a->text);
}

void answer_free(struct answer *a)
{
	writer_free(&a->kvs);
	writer_free(&a->text);
}

void answer_refuse(struct answer *a, int error, const char *format, ...)
{
	char line[LINE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	answer_clear(a);
	a->head.error = error;
	writer_raw(&a->text, line, strlen(line));
	a->head.text = (struct span){a->text.data, a->text.size};
}

/* Why a key or a revision cannot be read, as mvcc says it. */
static void refuse_read(struct store *s, struct span key, uint64_t rev, int error, struct answer *out)
{
	struct mvcc *m = store_mvcc(s);
	int size = (int)(key.size < 200 ? key.size : 200);
	const char *name = key.data ? key.data : "";

	if (error == -ENOENT && rev > mvcc_revision(m))
		answer_refuse(out, error, "revision %llu is still to come: the store is at %llu", (unsigned long long)rev,
			      (unsigned long long)mvcc_revision(m));
	else if (error == -ENOENT)
		answer_refuse(out, error, "%.*s: no such key", size, name);
	else if (error == -ENODATA)
		answer_refuse(out, error, "revision %llu has been compacted: the oldest is %llu", (unsigned long long)rev,
			      (unsigned long long)mvcc_compact_revision(m));
	else
		answer_refuse(out, error, "%.*s: %s", size, name, strerror(-error));
}

/* What a GET gives: a file's content, a link's target; nothing for a fifo, socket or device. */
static int put_value(struct mvcc *m, const struct record *r, const struct kv *kv, struct writer *w)
{
	if (S_ISLNK(r->mode)) {
		memcpy(kv_encode(w, kv, (uint32_t)r->data.size), r->data.data, r->data.size);
		return 0;
	}
	if (!S_ISREG(r->mode) || r->size == 0) {
		kv_encode(w, kv, 0);
		return 0;
	}
	if (r->size > PROTOCOL_VALUE_MAX)
		return -EFBIG;
	char *room = kv_encode(w, kv, (uint32_t)r->size);
	for (uint64_t at = 0; at < r->size;) {
		ssize_t n = mvcc_read(m, r, at, room + at, r->size - at);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		at += (uint64_t)n;
	}
	return 0;
}

static int put_record(struct mvcc *m, const struct record *r, bool keys_only, struct answer *out)
{
	struct kv kv = {.key = r->key,
			.create_revision = r->created.main,
			.mod_revision = r->modified.main,
			.version = r->version,
			.mode = r->mode,
			.size = S_ISLNK(r->mode) ? r->data.size : r->size,
			.mtime_ns = r->mtime_ns};
	size_t before = out->kvs.size;
	int rc = 0;

	if (keys_only)
		kv_encode(&out->kvs, &kv, 0);
	else
		rc = put_value(m, r, &kv, &out->kvs);
	if (rc) {
		out->kvs.size = before;
		return rc;
	}
	out->head.kvs_count++;
	return 0;
}

static void get_one(struct store *s, const struct request *r, struct answer *out)
{
	struct mvcc *m = store_mvcc(s);
	struct record found = {0};
	uint64_t revision = mvcc_revision(m);

	int rc = mvcc_get(m, r->key, r->rev, &found);
	if (rc == 0 && S_ISDIR(found.mode)) {
		record_done(&found);
		answer_refuse(out, -EISDIR, "%.*s is a directory: use --prefix %.*s/", (int)r->key.size, (const char *)r->key.data,
			      (int)r->key.size, (const char *)r->key.data);
		return;
	}
	if (rc == 0 && !(r->flags & REQUEST_COUNT_ONLY))
		rc = put_record(m, &found, r->flags & REQUEST_KEYS_ONLY, out);
	record_done(&found);
	if (rc == -ENOENT && (r->flags & REQUEST_COUNT_ONLY) && r->rev <= revision) {
		out->head.revision = revision;
		return;
	}
	if (rc) {
		refuse_read(s, r->key, r->rev, rc, out);
		return;
	}
	out->head.count = 1;
	out->head.revision = revision;
}

struct page {
	struct mvcc *m;
	const struct request *request;
	struct answer *out;
	uint64_t seen;
	size_t last_size; /* of the last key seen, in out->next */
	bool full;        /* nothing more goes in: look only whether there is more */
	bool more;
	int error;
};

static int page_add(void *ctx, const struct record *r)
{
	struct page *p = ctx;
	const struct request *q = p->request;

	p->seen++;
	if (p->full) {
		p->more = !S_ISDIR(r->mode);
		return p->more;
	}
	memcpy(p->out->next, r->key.data, r->key.size);
	p->last_size = r->key.size;
	/* Directories are not keys of a user's own. */
	if (S_ISDIR(r->mode))
		return 0;
	if (!(q->flags & REQUEST_COUNT_ONLY))
		p->error = put_record(p->m, r, q->flags & REQUEST_KEYS_ONLY, p->out);
	if (p->error)
		return 1;
	p->out->head.count++;
	p->full = p->out->kvs.size >= PROTOCOL_PAGE_BYTES || (q->limit > 0 && p->out->head.count >= q->limit);
	return 0;
}

static void get_prefix(struct store *s, const struct request *r, struct answer *out)
{
	char end[PROTOCOL_KEY_MAX];
	struct mvcc *m = store_mvcc(s);
	struct page page = {.m = m, .request = r, .out = out};
	struct span start = r->from.size > 0 ? r->from : r->key;
	struct span stop = {end, prefix_end(r->key, end)};

	/* Pinned, so that all pages show the same revision. */
	uint64_t revision = r->rev ? r->rev : mvcc_revision(m);
	int rc = mvcc_range(m, start, stop, revision, PROTOCOL_PAGE_KEYS, page_add, &page);
	if (rc == 0)
		rc = page.error;
	if (rc) {
		refuse_read(s, r->key, revision, rc, out);
		return;
	}
	out->head.revision = revision;
	if (page.more || page.seen >= PROTOCOL_PAGE_KEYS) {
		/* The successor of the last key. */
		out->next[page.last_size] = '\0';
		out->head.next = (struct span){out->next, page.last_size + 1};
		out->head.flags |= PROTOCOL_MORE;
	}
}

static void history_add(struct mvcc *m, const struct request *r, const struct mvcc_version *v, struct answer *out)
{
	struct record at = {0};
	struct kv kv = {.key = r->key, .mod_revision = v->rev.main, .flags = v->tombstone ? KV_DELETED : 0};

	if (!v->tombstone) {
		/* Compacted since it was listed: it is gone. */
		if (mvcc_get(m, r->key, v->rev.main, &at))
			return;
		kv.create_revision = at.created.main;
		kv.version = at.version;
		kv.mode = at.mode;
		kv.size = at.size;
		kv.mtime_ns = at.mtime_ns;
		record_done(&at);
	}
	kv_encode(&out->kvs, &kv, 0);
	out->head.kvs_count++;
	out->head.count++;
}

static void history(struct store *s, const struct request *r, struct answer *out)
{
	struct mvcc *m = store_mvcc(s);
	struct mvcc_version *versions = NULL;
	size_t count = 0;
	uint64_t revision = mvcc_revision(m);

	int rc = mvcc_history(m, r->key, &versions, &count);
	if (rc == -ENOENT && mvcc_compact_revision(m) > 0) {
		answer_refuse(out, rc, "%.*s: no such key since revision %llu, the oldest", (int)(r->key.size < 200 ? r->key.size : 200),
			      (const char *)r->key.data, (unsigned long long)mvcc_compact_revision(m));
		return;
	}
	if (rc) {
		refuse_read(s, r->key, 0, rc, out);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (versions[i].rev.main <= r->rev)
			continue;
		if (out->head.kvs_count >= PROTOCOL_PAGE_KEYS || out->kvs.size >= PROTOCOL_PAGE_BYTES ||
		    (r->limit > 0 && out->head.count >= r->limit)) {
			out->head.flags |= PROTOCOL_MORE;
			break;
		}
		history_add(m, r, &versions[i], out);
	}
	free(versions);
	out->head.revision = revision;
}

static void health(struct store *s, struct answer *out)
{
	struct store_status status = {0};

	store_status(s, &status);
	if (strcmp(status.health, "ok") != 0) {
		answer_refuse(out, -EIO, "%s", status.health);
		return;
	}
	writer_raw(&out->text, "ok", 2);
	out->head.revision = status.revision;
}

/* The hash is first, so that lines of several nodes stand under one another. */
static void hash(struct store *s, struct answer *out)
{
	struct mvcc_hash now;
	char line[LINE_MAX];

	mvcc_hash_now(store_mvcc(s), &now);
	int size = snprintf(line, sizeof(line), "%016llx %llu %llu", (unsigned long long)now.hash, (unsigned long long)now.revision,
			    (unsigned long long)now.index);
	writer_raw(&out->text, line, (size_t)size);
	out->head.revision = now.revision;
}

static bool shows_the_store(uint8_t type)
{
	switch (type) {
	case REQUEST_GET:
	case REQUEST_HISTORY:
	case REQUEST_WATCH:
	case REQUEST_SNAPSHOT:
	case REQUEST_LEASE_TTL:
	case REQUEST_LEASE_LIST:
		return true;
	default:
		return false;
	}
}

bool handler_hides(struct store *s, const struct request *r, struct answer *out)
{
	struct store_status status;

	if (!shows_the_store(r->type) || !store_readable(s))
		return false;
	store_status(s, &status);
	answer_refuse(out, -EIO, "%s: %s", request_type_name(r->type), status.health);
	return true;
}

bool handler_needs_barrier(const struct request *r)
{
	if (r->type == REQUEST_HEALTH)
		return true;
	if (r->type == REQUEST_SNAPSHOT)
		return r->rev == 0 && !(r->flags & REQUEST_SERIAL);
	if (r->type == REQUEST_LEASE_TTL || r->type == REQUEST_LEASE_LIST)
		return !(r->flags & REQUEST_SERIAL);
	return (r->type == REQUEST_GET || r->type == REQUEST_HISTORY) && !(r->flags & REQUEST_SERIAL);
}

void handler_read(struct store *s, const struct request *r, struct answer *out)
{
	bool prefix = r->flags & REQUEST_PREFIX;

	answer_clear(out);
	if (handler_hides(s, r, out))
		return;
	if (r->type == REQUEST_HASH) {
		hash(s, out);
	} else if (r->type == REQUEST_STATUS) {
		store_status_text(s, r->flags & REQUEST_SERIAL ? "serial" : "linearizable", &out->text);
		out->head.revision = mvcc_revision(store_mvcc(s));
	} else if (r->type == REQUEST_MEMBER_LIST) {
		store_members_text(s, &out->text);
		out->head.revision = mvcc_revision(store_mvcc(s));
	} else if (r->type == REQUEST_HEALTH) {
		health(s, out);
	} else if (handler_is_lease(r->type)) {
		handler_lease_read(s, r, out);
	} else if (r->type == REQUEST_SNAPSHOT) {
		handler_snapshot(s, r, out);
	} else if (prefix && r->type == REQUEST_GET ? !prefix_valid(r->key) : !command_key_valid(r->key)) {
		answer_refuse(out, -EINVAL, "%.*s: not a valid key", (int)(r->key.size < 200 ? r->key.size : 200),
			      r->key.data ? (const char *)r->key.data : "");
	} else if (r->type == REQUEST_HISTORY) {
		history(s, r, out);
	} else if (prefix) {
		get_prefix(s, r, out);
	} else {
		get_one(s, r, out);
	}
	out->head.text = (struct span){out->text.data, out->text.size};
}

void handler_unreadable(struct store *s, const struct request *r, int error, struct answer *out)
{
	struct store_status status = {0};

	store_status(s, &status);
	if (error == -ETIMEDOUT)
		answer_refuse(out, error, "%s: the cluster did not answer in time (leader: %s)", request_type_name(r->type), status.leader);
	else if (error == -EIO)
		answer_refuse(out, error, "%s: %s", request_type_name(r->type), status.health);
	else
		answer_refuse(out, error, "%s: %s", request_type_name(r->type), strerror(-error));
}
