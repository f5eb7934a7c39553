#include "store/client/watchers.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Only a revision with more than this is told in several answers. */
#define REVISION_BYTES_MAX (64u << 20)

static void on_moved(struct watch_listener *l)
{
	struct watchers *ws = (struct watchers *)l;
	uint64_t one = 1;
	/* It cannot fail but by overflow, and then it is readable already. */
	if (atomic_load(&ws->count) > 0 && !atomic_exchange(&ws->news, true))
		(void)!write(ws->wake_fd, &one, sizeof(one));
}

void watchers_open(struct watchers *ws, struct watch_hub *hub, int wake_fd)
{
	*ws = (struct watchers){.listener.wake = on_moved, .hub = hub, .wake_fd = wake_fd, .deadline_ns = INT64_MAX};
	watch_listen(hub, &ws->listener);
}

void watchers_close(struct watchers *ws)
{
	assert(!ws->all);
	if (ws->hub)
		watch_unlisten(ws->hub, &ws->listener);
	ws->hub = NULL;
}

/* The sub-revision to go on from. */
static bool sub_of(const struct request *r, uint32_t *out)
{
	struct reader in = reader_over(r->value.data, r->value.size);
	*out = 0;
	if (r->value.size == 0)
		return true;
	*out = reader_u32(&in);
	return reader_done(&in) && r->rev > 0;
}

static void refuse_compacted(struct watchers *ws, uint64_t asked, struct answer *out)
{
	uint64_t oldest = watch_oldest(ws->hub);
	answer_refuse(out, -ENODATA, "the changes of revision %llu have been compacted: the oldest are those of %llu",
		      (unsigned long long)asked, (unsigned long long)oldest);
	out->head.revision = oldest;
}

bool watcher_begin(struct watchers *ws, struct watcher *w, const struct request *r, int64_t now_ns, struct answer *out)
{
	uint32_t sub;
	bool prefix = r->flags & REQUEST_PREFIX;
	uint64_t wait_ms = r->limit < WATCHER_WAIT_MS_MAX ? r->limit : WATCHER_WAIT_MS_MAX;
	if (!sub_of(r, &sub) || !(prefix ? prefix_valid(r->key) : command_key_valid(r->key))) {
		answer_refuse(out, -EINVAL, "%.*s: not a valid %s", (int)(r->key.size < 200 ? r->key.size : 200),
			      r->key.data ? (const char *)r->key.data : "", prefix ? "prefix" : "key");
		return false;
	}
	/* Who is on the way may read on in what this node remembers; who begins is told the same by every node, whatever it remembers. */
	uint64_t first = r->rev == 1 ? 2 : r->rev;
	if (wait_ms == 0 && r->value.size == 0 && first > 0 && first < watch_oldest(ws->hub)) {
		refuse_compacted(ws, first, out);
		return false;
	}
	/* Counted before it is looked for, so that nothing that happens in between is missed. */
	atomic_fetch_add(&ws->count, 1);
	*w = (struct watcher){.deadline_ns = now_ns + (int64_t)wait_ms * 1000000};
	watch_begin(ws->hub, &w->watch, r->key, prefix, r->rev);
	w->watch.next.sub = sub;
	return true;
}

void watcher_end(struct watchers *ws, struct watcher *w)
{
	watch_end(&w->watch);
	atomic_fetch_sub(&ws->count, 1);
}

static void format_kv(struct writer *out, const struct mvcc_event *e)
{
	struct kv kv = {.key = e->key, .mod_revision = e->rev.main};
	kv.flags = e->type == MVCC_EVENT_DELETE ? KV_DELETED : e->type == MVCC_EVENT_RENAME ? KV_RENAMED : 0;
	void *room = kv_encode(out, &kv, (uint32_t)e->to.size);
	if (e->to.size > 0)
		memcpy(room, e->to.data, e->to.size);
}

static void refuse(struct watchers *ws, struct watcher *w, int error, struct answer *out)
{
	if (error == -ENODATA)
		refuse_compacted(ws, w->watch.next.main, out);
	else
		answer_refuse(out, error, "watch: %s", strerror(-error));
}

bool watcher_answer(struct watchers *ws, struct watcher *w, int64_t now_ns, struct answer *out)
{
	answer_clear(out);
	struct watch_batch b = {.format = format_kv, .out = out->kvs, .bytes_soft = PROTOCOL_PAGE_BYTES, .bytes_hard = REVISION_BYTES_MAX};
	struct rev before = w->watch.next;
	int error = watch_read(ws->hub, &w->watch, &b);
	out->kvs = b.out;
	if (error) {
		refuse(ws, w, error, out);
		return true;
	}
	out->head.revision = w->watch.next.main;
	out->head.count = w->watch.next.sub;
	out->head.kvs_count = b.events;
	/* Who has a long way to go is told how far it came, so that it need not begin anew on another node. */
	bool moved = before.main != w->watch.next.main || before.sub != w->watch.next.sub;
	return b.events > 0 || now_ns >= w->deadline_ns || (moved && watch_ready(ws->hub, &w->watch));
}

static void note_deadline(struct watchers *ws, const struct watcher *w)
{
	if (w->deadline_ns < ws->deadline_ns)
		ws->deadline_ns = w->deadline_ns;
}

void watcher_wait(struct watchers *ws, struct watcher *w)
{
	w->prev = NULL;
	w->next = ws->all;
	if (w->next)
		w->next->prev = w;
	ws->all = w;
	note_deadline(ws, w);
	if (watch_ready(ws->hub, &w->watch))
		atomic_store(&ws->news, true);
}

static void take_out(struct watchers *ws, struct watcher *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		ws->all = w->next;
	if (w->next)
		w->next->prev = w->prev;
}

void watchers_serve(struct watchers *ws, int64_t now_ns, struct answer *out, void (*answered)(void *ctx, struct watcher *w), void *ctx)
{
	struct watcher *next;
	if (!atomic_exchange(&ws->news, false) && now_ns < ws->deadline_ns)
		return;
	ws->deadline_ns = INT64_MAX;
	for (struct watcher *w = ws->all; w; w = next) {
		next = w->next;
		if ((now_ns >= w->deadline_ns || watch_ready(ws->hub, &w->watch)) && watcher_answer(ws, w, now_ns, out)) {
			take_out(ws, w);
			answered(ctx, w);
			continue;
		}
		note_deadline(ws, w);
		if (watch_ready(ws->hub, &w->watch))
			atomic_store(&ws->news, true);
	}
}

void watchers_stop(struct watchers *ws, int error, const char *why, struct answer *out, void (*answered)(void *ctx, struct watcher *w),
		   void *ctx)
{
	while (ws->all) {
		struct watcher *w = ws->all;
		take_out(ws, w);
		answer_refuse(out, error, "%s", why);
		answered(ctx, w);
	}
}

int64_t watchers_deadline_ns(const struct watchers *ws)
{
	return atomic_load(&ws->news) ? 0 : ws->deadline_ns;
}
