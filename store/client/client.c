#include "store/client/client.h"

#include "base/clock.h"
#include "store/client/address.h"
#include "store/client/channel.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)
#define DENIED "the endpoint did not accept the secret: it has another one, or none"
/* How often to look for what no descriptor tells: a refused or broken connection. */
#define LOOK_CONNECTING_NS (2 * MS)
#define LOOK_SENT_NS (20 * MS)
/* Between rounds over all endpoints; and before another connection to one that is only crowded. */
#define ROUND_PAUSE_NS (50 * MS)
#define CROWDED_PAUSE_NS (5 * MS)
#define TRY_MIN_NS (500 * MS)
#define CHANNELS_MAX (CLIENT_CALLS_MAX + 32)

enum call_state {
	CALL_WAITING = 1, /* to be tried at look_ns */
	CALL_CONNECTING,  /* has a channel that cannot be sent to yet */
	CALL_SENT
};

struct client_endpoint {
	struct address address;
	struct channel *idle;
	unsigned connected; /* channels that have carried a request, idle ones included */
	uint64_t answered;
	uint64_t failed;
};

struct client {
	int64_t timeout_ns;
	const struct secret *secret;
	struct balance balance;
	struct client_endpoint *endpoints;
	unsigned count;
	unsigned channels; /* open */
	unsigned calls_count;
	struct client_call *calls;
	struct client_call *finished;
};

static int add_endpoint(struct client *c, const char *text, size_t size, uint32_t *weights, char *why, size_t why_size)
{
	if (c->count == BALANCE_ENDPOINTS_MAX) {
		snprintf(why, why_size, "more than %d endpoints", BALANCE_ENDPOINTS_MAX);
		return -EINVAL;
	}
	int rc = address_parse(text, size, &c->endpoints[c->count].address, why, why_size);
	if (rc)
		return rc;
	weights[c->count] = c->endpoints[c->count].address.weight;
	c->count++;
	return 0;
}

int client_open(const struct client_config *config, struct client **out, char *why, size_t why_size)
{
	uint32_t weights[BALANCE_ENDPOINTS_MAX];
	struct client *c = calloc(1, sizeof(*c));
	const char *text = config->endpoints;
	int rc = 0;

	if (!c)
		abort();
	c->endpoints = calloc(BALANCE_ENDPOINTS_MAX, sizeof(*c->endpoints));
	if (!c->endpoints)
		abort();
	c->timeout_ns = config->timeout_ns;
	c->secret = config->secret;
	while (rc == 0) {
		size_t size = strcspn(text, ",");
		rc = add_endpoint(c, text, size, weights, why, why_size);
		text += size;
		if (*text++ != ',')
			break;
	}
	if (rc) {
		client_close(c);
		return rc;
	}
	balance_init(&c->balance, config->policy, weights, c->count, config->seed);
	*out = c;
	return 0;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	assert(c->calls_count == 0);
	for (unsigned i = 0; i < c->count; i++) {
		struct channel *next;
		for (struct channel *channel = c->endpoints[i].idle; channel; channel = next) {
			next = channel->next;
			channel_close(channel);
		}
		address_done(&c->endpoints[i].address);
	}
	free(c->endpoints);
	free(c);
}

static uint64_t bit(unsigned i)
{
	return UINT64_C(1) << i;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void call_why(struct client *c, struct client_call *call, const char *why)
{
	snprintf(call->why, sizeof(call->why), "%s: %s", c->endpoints[call->on].address.text, why);
}

static void drop_channel(struct client *c, struct client_call *call)
{
	if (!call->channel)
		return;
	if (call->state == CALL_SENT)
		c->endpoints[call->on].connected--;
	channel_close(call->channel);
	call->channel = NULL;
	c->channels--;
}

static void keep_channel(struct client *c, struct client_call *call)
{
	struct client_endpoint *e = &c->endpoints[call->on];

	if (c->channels > CHANNELS_MAX) {
		drop_channel(c, call);
		return;
	}
	call->channel->next = e->idle;
	e->idle = call->channel;
	call->channel = NULL;
}

/* An idle channel that is well, or a new one, which is connecting. */
static struct channel *take_channel(struct client *c, struct client_endpoint *e, int *error)
{
	char url[ADDRESS_URL_MAX];

	while (e->idle) {
		struct channel *channel = e->idle;
		e->idle = channel->next;
		e->connected--;
		if (!channel_broken(channel))
			return channel;
		channel_close(channel);
		c->channels--;
	}
	*error = address_url(&e->address, url);
	struct channel *channel = *error ? NULL : channel_open(url, e->address.local ? NULL : c->secret, error);
	if (channel)
		c->channels++;
	return channel;
}

static void call_finish(struct client *c, struct client_call *call, int error)
{
	call->error = error;
	if (call->prev)
		call->prev->next = call->next;
	else
		c->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->next = c->finished;
	c->finished = call;
	c->calls_count--;
}

/* The try is over without an answer that counts. The call waits for the next one. */
static void call_again(struct client *c, struct client_call *call, int64_t now, bool other)
{
	if (call->channel)
		drop_channel(c, call);
	balance_finished(&c->balance, call->on);
	call->state = CALL_WAITING;
	call->look_ns = now;
	if (!other) {
		call->look_ns = now + CROWDED_PAUSE_NS;
		return;
	}
	call->avoid |= bit(call->on);
	if (call->only || __builtin_popcountll(call->avoid) >= (int)c->count) {
		call->avoid = 0;
		call->look_ns = now + ROUND_PAUSE_NS;
	}
}

static void try_failed(struct client *c, struct client_call *call, int64_t now, const char *why)
{
	call_why(c, call, why);
	c->endpoints[call->on].failed++;
	balance_failed(&c->balance, call->on, now);
	if (call->state == CALL_SENT && request_writes(call->type)) {
		drop_channel(c, call);
		balance_finished(&c->balance, call->on);
		call->may_have_applied = true;
		call_finish(c, call, -ETIMEDOUT);
		return;
	}
	call_again(c, call, now, true);
}

/* The endpoint has another secret, or none. Others may be well; if none is, there is nothing to wait for. */
static void try_denied(struct client *c, struct client_call *call, int64_t now)
{
	call->denied |= bit(call->on);
	if (!call->only && __builtin_popcountll(call->denied) < (int)c->count) {
		try_failed(c, call, now, DENIED);
		return;
	}
	call_why(c, call, DENIED);
	c->endpoints[call->on].failed++;
	drop_channel(c, call);
	balance_finished(&c->balance, call->on);
	call_finish(c, call, -EACCES);
}

static bool call_send(struct client *c, struct client_call *call, int64_t now)
{
	if (channel_send(call->channel, (struct span){call->bytes.data, call->bytes.size}))
		return false;
	call->state = CALL_SENT;
	call->look_ns = now + LOOK_SENT_NS;
	c->endpoints[call->on].connected++;
	return true;
}

static void call_try(struct client *c, struct client_call *call, int64_t now)
{
	int64_t share = c->timeout_ns / c->count;
	int error = 0;
	bool named = call->endpoint != CLIENT_ANY && (call->only || !(call->avoid & bit((unsigned)call->endpoint)));

	call->on = named ? (unsigned)call->endpoint : balance_pick(&c->balance, call->avoid, now);
	balance_started(&c->balance, call->on, now);
	call->state = CALL_CONNECTING;
	call->look_ns = now + LOOK_CONNECTING_NS;
	call->ready = false;
	call->try_deadline_ns =
		call->only ? call->deadline_ns : earlier(call->deadline_ns, now + (share > TRY_MIN_NS ? share : TRY_MIN_NS));
	call->channel = take_channel(c, &c->endpoints[call->on], &error);
	if (!call->channel)
		try_failed(c, call, now, strerror(-error));
	else
		call_send(c, call, now);
}

static void call_connecting(struct client *c, struct client_call *call, int64_t now)
{
	if (call_send(c, call, now))
		return;
	call->look_ns = now + LOOK_CONNECTING_NS;
	if (channel_denied(call->channel)) {
		try_denied(c, call, now);
	} else if (now >= call->try_deadline_ns) {
		try_failed(c, call, now, "no connection in time");
	} else if (channel_refused(call->channel)) {
		/* Others get through: only the queue for new connections is full. */
		if (c->endpoints[call->on].connected > 0)
			call_again(c, call, now, false);
		else
			try_failed(c, call, now, "connection refused");
	} else if (channel_broken(call->channel)) {
		try_failed(c, call, now, "connection lost");
	}
}

/* Is this answer one to ask another endpoint about? */
static bool worth_another(const struct client *c, const struct client_call *call, int error)
{
	if (error == -EBUSY)
		return true;
	if (call->only || c->count == 1 || request_writes(call->type))
		return false;
	return error == -ESHUTDOWN || error == -ETIMEDOUT || error == -EIO;
}

/* An endpoint that cannot read a request cannot say its type. */
static bool is_answer_to(const struct client_call *call, const struct response *r)
{
	return r->type == call->type || (r->type == 0 && r->error);
}

static void call_answered(struct client *c, struct client_call *call, int64_t now, void *message, struct span body)
{
	struct response response = {0};

	if (response_decode(body, &response) || !is_answer_to(call, &response)) {
		response_done(&response);
		channel_message_free(message);
		try_failed(c, call, now, "malformed answer");
		return;
	}
	if (worth_another(c, call, response.error)) {
		snprintf(call->why, sizeof(call->why), "%s: %.*s", c->endpoints[call->on].address.text, (int)response.text.size,
			 response.text.data ? (const char *)response.text.data : "");
		if (response.error != -EBUSY)
			balance_failed(&c->balance, call->on, now);
		response_done(&response);
		channel_message_free(message);
		keep_channel(c, call);
		call_again(c, call, now, true);
		return;
	}
	c->endpoints[call->on].answered++;
	balance_ok(&c->balance, call->on);
	balance_finished(&c->balance, call->on);
	keep_channel(c, call);
	call->response = response;
	call->message = message;
	call->endpoint = (int)call->on;
	call_finish(c, call, 0);
}

static void call_sent(struct client *c, struct client_call *call, int64_t now)
{
	void *message = NULL;
	struct span body = {NULL, 0};

	/* Before the look for an answer, which may have come just before the end. */
	bool broken = now >= call->look_ns && channel_broken(call->channel);
	call->look_ns = now + LOOK_SENT_NS;
	int received = channel_receive(call->channel, &message, &body);
	if (received > 0)
		call_answered(c, call, now, message, body);
	else if (broken || received < 0)
		try_failed(c, call, now,
			   request_writes(call->type) ? "connection lost: the write may have been applied" : "connection lost");
	else if (now >= call->try_deadline_ns && !request_writes(call->type))
		try_failed(c, call, now, "no answer in time");
}

static void call_expired(struct client *c, struct client_call *call, int64_t now)
{
	bool sent = call->state == CALL_SENT;

	if (call->state != CALL_WAITING) {
		/* What earlier tries met says more than that this one came too late. */
		if (sent || !call->why[0])
			call_why(c, call, sent ? "no answer in time" : "no connection in time");
		c->endpoints[call->on].failed++;
		balance_failed(&c->balance, call->on, now);
		balance_finished(&c->balance, call->on);
		drop_channel(c, call);
	}
	call->may_have_applied = sent && request_writes(call->type);
	call_finish(c, call, -ETIMEDOUT);
}

static void call_advance(struct client *c, struct client_call *call, int64_t now)
{
	if (call->ready || now >= call->look_ns || now >= call->try_deadline_ns) {
		call->ready = false;
		if (call->state == CALL_SENT)
			call_sent(c, call, now);
		else if (call->state == CALL_CONNECTING)
			call_connecting(c, call, now);
		else if (now < call->deadline_ns && now >= call->look_ns)
			call_try(c, call, now);
	}
}

int client_submit(struct client *c, struct client_call *call, const struct request *r)
{
	int64_t now = clock_mono_ns();

	if (c->calls_count >= CLIENT_CALLS_MAX)
		return -EBUSY;
	assert(call->endpoint == CLIENT_ANY || (call->endpoint >= 0 && (unsigned)call->endpoint < c->count));
	writer_clear(&call->bytes);
	request_encode(&call->bytes, r);
	call->type = r->type;
	call->state = CALL_WAITING;
	call->finished = false;
	call->may_have_applied = false;
	call->why[0] = '\0';
	call->avoid = 0;
	call->denied = 0;
	call->look_ns = now;
	call->deadline_ns = call->try_deadline_ns = now + c->timeout_ns;
	call->prev = NULL;
	call->next = c->calls;
	if (call->next)
		call->next->prev = call;
	c->calls = call;
	c->calls_count++;
	call_try(c, call, now);
	return 0;
}

static unsigned run_finished(struct client *c)
{
	unsigned count = 0;
	struct client_call *call = c->finished;

	c->finished = NULL;
	while (call) {
		struct client_call *next = call->next;
		call->next = NULL;
		call->finished = true;
		count++;
		if (call->done)
			call->done(call);
		call = next;
	}
	return count;
}

static void wait_for_news(struct client *c, int64_t now, int64_t until)
{
	struct pollfd fds[CLIENT_CALLS_MAX];
	struct client_call *of[CLIENT_CALLS_MAX];
	unsigned count = 0;

	for (struct client_call *call = c->calls; call; call = call->next) {
		until = earlier(until, earlier(call->look_ns, call->deadline_ns));
		if (call->state == CALL_WAITING)
			continue;
		of[count] = call;
		fds[count++] = (struct pollfd){.fd = call->state == CALL_SENT ? call->channel->receive_fd : channel_ready_fd(call->channel),
					       .events = POLLIN};
	}
	int64_t ns = until > now ? until - now : 0;
	struct timespec timeout = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	if (ppoll(fds, count, &timeout, NULL) <= 0)
		return;
	for (unsigned i = 0; i < count; i++)
		of[i]->ready = fds[i].revents != 0;
}

unsigned client_run(struct client *c, int64_t timeout_ns)
{
	int64_t now = clock_mono_ns();
	int64_t until = now + timeout_ns;

	for (;;) {
		struct client_call *next;
		for (struct client_call *call = c->calls; call; call = next) {
			next = call->next;
			if (now >= call->deadline_ns && !call->ready)
				call_expired(c, call, now);
			else
				call_advance(c, call, now);
		}
		unsigned done = run_finished(c);
		if (done > 0 || !c->calls || now >= until)
			return done;
		wait_for_news(c, now, until);
		now = clock_mono_ns();
	}
}

int client_call(struct client *c, struct client_call *call, const struct request *r)
{
	int rc = client_submit(c, call, r);

	if (rc)
		return rc;
	while (!call->finished)
		client_run(c, c->timeout_ns);
	return call->error;
}

void client_cancel(struct client *c, struct client_call *call)
{
	struct client_call *kept = c->finished;

	assert(!call->finished);
	if (call->state != CALL_WAITING)
		balance_finished(&c->balance, call->on);
	drop_channel(c, call);
	c->finished = NULL;
	call_finish(c, call, -EINTR);
	c->finished = kept;
}

void client_call_done(struct client_call *call)
{
	response_done(&call->response);
	channel_message_free(call->message);
	call->message = NULL;
	writer_free(&call->bytes);
}

unsigned client_endpoints(const struct client *c)
{
	return c->count;
}

void client_stats(const struct client *c, unsigned endpoint, struct client_stats *out)
{
	const struct client_endpoint *e = &c->endpoints[endpoint];

	assert(endpoint < c->count);
	*out = (struct client_stats){.name = e->address.text,
				     .answered = e->answered,
				     .failed = e->failed,
				     .outstanding = c->balance.endpoints[endpoint].outstanding};
}
