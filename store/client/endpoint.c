#include "store/client/endpoint.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/loopback.h"
#include "store/client/address.h"
#include "store/client/gate.h"
#include "store/client/handler.h"
#include "store/client/listener.h"
#include "store/identity.h"
#include "store/member_request.h"
#include "store/client/watchers.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTENERS_MAX 2
#define RECEIVE_BATCH 64
#define POLL_MS 1000

/* A request that waits for the store. */
struct waiting {
	struct store_op op; /* first: done() gets back to the rest */
	struct endpoint *endpoint;
	struct listener *listener;
	struct listener_route route;
	struct request request;
	struct sealed_head sealed; /* what it came in; kind 0: it was not sealed */
	void *message;             /* what the request's spans lie in */
	struct span body;          /* the request in it */
	struct hook_call call;
	struct watcher watcher; /* of a WATCH */
	bool completed;
	struct waiting *next_completed;
	struct waiting *prev;
	struct waiting *next;
};

struct endpoint {
	struct store *store;
	struct listener listeners[LISTENERS_MAX];
	unsigned listeners_count;
	int dir_fd; /* keeps the local socket's path short; -1 if it is */
	char socket_path[ADDRESS_URL_MAX];
	int wake_fd;
	pthread_t thread;
	struct hooks hooks;
	struct hook_limit limit;
	struct hook_counters counters;
	struct answer answer; /* the one in the making, and its head's bytes */
	struct writer head;
	struct gate *gate; /* before what comes over TCP */
	struct writer sealed;
	struct watchers watchers;
	struct waiting *waiting; /* all of them, but those that watch; the thread's own, but cancelled under the lock */
	pthread_mutex_t lock;    /* guards what follows, and `completed` above */
	struct waiting *first_completed;
	struct waiting **last_completed;
	bool stopping;
};

static void wake(struct endpoint *e)
{
	uint64_t one = 1;
	/* It cannot fail but by overflow, and then it is readable already. */
	(void)!write(e->wake_fd, &one, sizeof(one));
}

/* Of the store's threads: note it, and no more. */
static void on_done(struct store_op *op)
{
	struct waiting *w = (struct waiting *)op;
	struct endpoint *e = w->endpoint;

	pthread_mutex_lock(&e->lock);
	bool first = !e->first_completed;
	w->completed = true;
	w->next_completed = NULL;
	*e->last_completed = w;
	e->last_completed = &w->next_completed;
	/* With the lock held: once it is let go, the endpoint may be gone. */
	if (first)
		wake(e);
	pthread_mutex_unlock(&e->lock);
}

static void reply(struct endpoint *e, struct waiting *asked)
{
	const struct span none = {NULL, 0};
	struct hook_call *call = &asked->call;
	struct answer *a = &e->answer;

	a->head.type = call->type;
	writer_clear(&e->head);
	response_encode_head(&e->head, &a->head);
	struct span head = {e->head.data, e->head.size}, kvs = {a->kvs.data, a->kvs.size};
	/* Before it is sent: whoever has the answer finds it counted. */
	call->error = a->head.error;
	call->response_bytes = e->head.size + a->kvs.size;
	call->ended_ns = clock_mono_ns();
	hooks_after(&e->hooks, call);
	if (gate_seal(e->gate, &asked->sealed, head, kvs, &e->sealed))
		listener_reply(asked->listener, &asked->route, (struct span){e->sealed.data, e->sealed.size}, none);
	else
		listener_reply(asked->listener, &asked->route, head, kvs);
	/* One large answer must not keep its memory for ever. */
	if (a->kvs.capacity > 2 * PROTOCOL_PAGE_BYTES)
		writer_free(&a->kvs);
	if (e->sealed.capacity > 2 * PROTOCOL_PAGE_BYTES)
		writer_free(&e->sealed);
}

static struct waiting *waiting_add(struct endpoint *e, const struct waiting *from)
{
	struct waiting *w = malloc(sizeof(*w));

	if (!w)
		abort();
	*w = *from;
	w->op.done = on_done;
	w->endpoint = e;
	w->prev = NULL;
	w->next = e->waiting;
	if (w->next)
		w->next->prev = w;
	e->waiting = w;
	return w;
}

static void waiting_remove(struct endpoint *e, struct waiting *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		e->waiting = w->next;
	if (w->next)
		w->next->prev = w->prev;
	listener_message_free(w->message);
	writer_free(&w->op.result.reply);
	free(w);
}

/* True if the request waits for something to happen; else the answer is made. */
static bool watch(struct endpoint *e, struct waiting *asked)
{
	struct watchers *ws = &e->watchers;
	struct watcher w;
	int64_t now_ns = asked->call.began_ns;

	if (handler_hides(e->store, &asked->request, &e->answer) || !watcher_begin(ws, &w, &asked->request, now_ns, &e->answer))
		return false;
	if (watcher_answer(ws, &w, now_ns, &e->answer)) {
		watcher_end(ws, &w);
		return false;
	}
	struct waiting *waits = malloc(sizeof(*waits));
	if (!waits)
		abort();
	*waits = *asked;
	waits->watcher = w;
	watcher_wait(ws, &waits->watcher);
	return true;
}

static void watch_answered(void *ctx, struct watcher *w)
{
	struct endpoint *e = ctx;
	struct waiting *waits = (struct waiting *)((char *)w - offsetof(struct waiting, watcher));

	reply(e, waits);
	watcher_end(&e->watchers, w);
	listener_message_free(waits->message);
	free(waits);
}

static bool submit_change(struct endpoint *e, struct waiting *asked)
{
	struct member_request q;

	if (handler_member_request(&asked->request, identity_draw(), &q, &e->answer))
		return false;
	store_member_request(e->store, &q, &waiting_add(e, asked)->op);
	return true;
}

/* Gives the request to the store. False: it was refused, with the answer made. */
static bool submit(struct endpoint *e, struct waiting *asked)
{
	struct command c;

	if (handler_needs_barrier(&asked->request)) {
		store_barrier(e->store, &waiting_add(e, asked)->op);
		return true;
	}
	if (handler_changes_members(asked->request.type))
		return submit_change(e, asked);
	if (handler_command(e->store, &asked->request, &c, &e->answer))
		return false;
	struct waiting *w = waiting_add(e, asked);
	store_submit(e->store, &c, &w->op);
	return true;
}

/* True if the message now belongs to a waiting request. */
static bool handle(struct endpoint *e, struct waiting *asked, bool stopping)
{
	struct hook_call *call = &asked->call;
	int malformed = request_decode(asked->body, &asked->request);

	call->type = malformed ? 0 : asked->request.type;
	int rc = hooks_before(&e->hooks, call);
	if (rc == 0 && stopping)
		rc = -EBUSY;
	answer_clear(&e->answer);
	if (rc)
		answer_refuse(&e->answer, rc, stopping ? "the node is stopping" : "the node is busy: try again");
	else if (malformed)
		answer_refuse(&e->answer, malformed, "malformed request, or one of another version of tallyfs");
	else if (handler_needs_barrier(&asked->request) || request_writes(asked->request.type)) {
		if (submit(e, asked))
			return true;
	} else if (asked->request.type == REQUEST_WATCH) {
		if (watch(e, asked))
			return true;
	} else {
		handler_read(e->store, &asked->request, &e->answer);
	}
	reply(e, asked);
	return false;
}

/* True if there is a request to handle. */
static bool admit(struct endpoint *e, struct waiting *asked, size_t size)
{
	asked->body = (struct span){asked->message, size};
	/* The first listener is the local one. */
	if (asked->listener == &e->listeners[0])
		return true;
	enum gate_verdict verdict = gate_pass(e->gate, asked->message, size, &asked->sealed, &asked->body, &e->sealed);
	/* Whoever is told finds it counted. */
	if (verdict == GATE_REFUSED || verdict == GATE_REPLAYED)
		store_count_refused(e->store, verdict == GATE_REPLAYED);
	if (verdict == GATE_REPLY || verdict == GATE_REFUSED)
		listener_reply(asked->listener, &asked->route, (struct span){e->sealed.data, e->sealed.size}, (struct span){NULL, 0});
	return verdict == GATE_PASS;
}

static void receive(struct endpoint *e, struct listener *l, bool stopping)
{
	for (int i = 0; i < RECEIVE_BATCH; i++) {
		struct waiting asked = {.listener = l};
		size_t size = 0;
		if (listener_receive(l, &asked.route, &asked.message, &size) != 1)
			return;
		asked.call.request_bytes = size;
		asked.call.began_ns = clock_mono_ns();
		if (!admit(e, &asked, size) || !handle(e, &asked, stopping))
			listener_message_free(asked.message);
	}
}

static void answer_completed(struct endpoint *e)
{
	uint64_t count;

	(void)!read(e->wake_fd, &count, sizeof(count));
	pthread_mutex_lock(&e->lock);
	struct waiting *w = e->first_completed;
	e->first_completed = NULL;
	e->last_completed = &e->first_completed;
	pthread_mutex_unlock(&e->lock);
	while (w) {
		struct waiting *next = w->next_completed;
		int error = w->op.result.error == -EINTR ? -ESHUTDOWN : w->op.result.error;
		if (handler_changes_members(w->request.type))
			handler_member_done(&w->request, &w->op.result, &e->answer);
		else if (request_writes(w->request.type))
			handler_written(&w->request, &w->op.result, &e->answer);
		else if (error)
			handler_unreadable(e->store, &w->request, error, &e->answer);
		else
			handler_read(e->store, &w->request, &e->answer);
		reply(e, w);
		waiting_remove(e, w);
		w = next;
	}
}

static void cancel_all(struct endpoint *e)
{
	pthread_mutex_lock(&e->lock);
	for (struct waiting *w = e->waiting; w; w = w->next) {
		if (!w->completed)
			store_cancel(e->store, &w->op);
	}
	pthread_mutex_unlock(&e->lock);
}

static bool is_stopping(struct endpoint *e)
{
	pthread_mutex_lock(&e->lock);
	bool stopping = e->stopping;
	pthread_mutex_unlock(&e->lock);
	return stopping;
}

static int poll_ms(const struct endpoint *e)
{
	int64_t left_ns = watchers_deadline_ns(&e->watchers) - clock_mono_ns();

	if (left_ns <= 0)
		return 0;
	return left_ns < POLL_MS * INT64_C(1000000) ? (int)(left_ns / 1000000) + 1 : POLL_MS;
}

static void *endpoint_run(void *ctx)
{
	struct endpoint *e = ctx;
	bool stopping = false;

	while (!stopping || e->waiting) {
		struct pollfd fds[1 + LISTENERS_MAX] = {{.fd = e->wake_fd, .events = POLLIN}};
		for (unsigned i = 0; i < e->listeners_count; i++)
			fds[1 + i] = (struct pollfd){.fd = e->listeners[i].receive_fd, .events = POLLIN};
		if (poll(fds, 1 + e->listeners_count, poll_ms(e)) < 0)
			continue;
		if (!stopping && is_stopping(e)) {
			stopping = true;
			cancel_all(e);
			watchers_stop(&e->watchers, -ESHUTDOWN, "the node is stopping", &e->answer, watch_answered, e);
		}
		if (fds[0].revents)
			answer_completed(e);
		for (unsigned i = 0; i < e->listeners_count; i++) {
			if (fds[1 + i].revents)
				receive(e, &e->listeners[i], stopping);
		}
		if (store_readable(e->store))
			watchers_stop(&e->watchers, -EIO, "watch: this node has diverged from the others", &e->answer, watch_answered, e);
		watchers_serve(&e->watchers, clock_mono_ns(), &e->answer, watch_answered, e);
	}
	return NULL;
}

static int bind_local(struct endpoint *e, const char *data_dir, char *why, size_t why_size)
{
	char url[ADDRESS_URL_MAX];

	int rc = address_ipc_url(data_dir, url, &e->dir_fd);
	if (rc == 0) {
		snprintf(e->socket_path, sizeof(e->socket_path), "%s", url + strlen("ipc://"));
		if (unlink(e->socket_path) < 0 && errno != ENOENT)
			rc = -errno;
	}
	if (rc == 0)
		rc = listener_open(url, &e->listeners[e->listeners_count]);
	if (rc == 0) {
		e->listeners_count++;
		if (chmod(e->socket_path, 0600) < 0)
			rc = -errno;
	}
	if (rc)
		snprintf(why, why_size, "cannot listen on %s/ctl: %s", data_dir, strerror(-rc));
	return rc;
}

static int bind_tcp(struct endpoint *e, const char *address, char *why, size_t why_size)
{
	char url[ADDRESS_URL_MAX];

	int rc = address_tcp_url(address, true, url);
	if (rc == -EINVAL) {
		snprintf(why, why_size, "client=%s: not HOST:PORT", address);
		return rc;
	}
	if (!store_settings(e->store)->secret && !is_loopback(address)) {
		snprintf(why, why_size, "client=%s: not a loopback address, so it needs secret=", address);
		return -EACCES;
	}
	if (rc == 0)
		rc = listener_open(url, &e->listeners[e->listeners_count]);
	if (rc == 0) {
		e->listeners_count++;
		return 0;
	}
	const char *reason = rc == -EADDRINUSE ? "the port is in use" : strerror(-rc);
	snprintf(why, why_size, "client=%s: cannot listen: %s", address, reason);
	return rc;
}

static void endpoint_free(struct endpoint *e)
{
	watchers_close(&e->watchers);
	for (unsigned i = 0; i < e->listeners_count; i++)
		listener_close(&e->listeners[i]);
	if (e->socket_path[0])
		unlink(e->socket_path);
	/* After the listeners: nanomsg removes the socket through it. */
	if (e->dir_fd >= 0)
		close(e->dir_fd);
	if (e->wake_fd >= 0)
		close(e->wake_fd);
	gate_free(e->gate);
	answer_free(&e->answer);
	writer_free(&e->sealed);
	writer_free(&e->head);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static struct endpoint *endpoint_new(struct store *s)
{
	struct endpoint *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	e->store = s;
	e->gate = gate_new(store_settings(s)->secret);
	e->dir_fd = -1;
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->last_completed = &e->first_completed;
	pthread_mutex_init(&e->lock, NULL);
	watchers_open(&e->watchers, store_watch(s), e->wake_fd);
	e->limit = (struct hook_limit){
		.in_flight_max = ENDPOINT_IN_FLIGHT_MAX, .bytes_max = ENDPOINT_IN_FLIGHT_BYTES_MAX, .watches_max = ENDPOINT_WATCHES_MAX};
	/* Count and trace go around limit, so that they see what it refuses. */
	hooks_add(&e->hooks, hook_count(&e->counters));
	hooks_add(&e->hooks, hook_trace());
	hooks_add(&e->hooks, hook_limit(&e->limit));
	return e;
}

int endpoint_start(struct store *s, const char *data_dir, const char *client_address, struct endpoint **out, char *why, size_t why_size)
{
	struct endpoint *e = endpoint_new(s);
	int rc = e->wake_fd < 0 ? -EMFILE : 0;

	if (rc)
		snprintf(why, why_size, "cannot serve clients: %s", strerror(-rc));
	else
		rc = bind_local(e, data_dir, why, why_size);
	if (rc == 0 && client_address)
		rc = bind_tcp(e, client_address, why, why_size);
	if (rc == 0) {
		rc = -pthread_create(&e->thread, NULL, endpoint_run, e);
		if (rc)
			snprintf(why, why_size, "cannot serve clients: %s", strerror(-rc));
	}
	if (rc) {
		endpoint_free(e);
		return rc;
	}
	*out = e;
	return 0;
}

void endpoint_stop(struct endpoint *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->stopping = true;
	wake(e);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	endpoint_free(e);
}

const struct hook_counters *endpoint_counters(const struct endpoint *e)
{
	return &e->counters;
}

bool endpoint_figures(const struct endpoint *e, unsigned type, struct endpoint_figures *out)
{
	_Static_assert((int)HOOK_LATENCIES == (int)HISTOGRAM_BUCKETS, "the same buckets");
	if (type >= REQUEST_TYPES)
		return false;
	const struct hook_counter *c = &e->counters.types[type];
	*out = (struct endpoint_figures){
		.type = request_type_name((uint8_t)type),
		.requests = atomic_load(&c->requests),
		.errors = atomic_load(&c->errors),
		.request_bytes = atomic_load(&c->request_bytes),
		.response_bytes = atomic_load(&c->response_bytes),
		.durations.sum_ns = atomic_load(&c->latency_us_sum) * 1000,
	};
	for (unsigned i = 0; i < HOOK_LATENCIES; i++)
		out->durations.buckets[i] = atomic_load(&c->latency[i]);
	return true;
}
