#include "store/client/hooks.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>

void hooks_add(struct hooks *h, struct hook hook)
{
	assert(h->count < HOOKS_MAX);
	h->chain[h->count++] = hook;
}

int hooks_before(const struct hooks *h, struct hook_call *call)
{
	for (call->passed = 0; call->passed < h->count; call->passed++) {
		const struct hook *hook = &h->chain[call->passed];
		int rc = hook->before ? hook->before(hook->ctx, call) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

void hooks_after(const struct hooks *h, struct hook_call *call)
{
	while (call->passed > 0) {
		const struct hook *hook = &h->chain[--call->passed];
		if (hook->after)
			hook->after(hook->ctx, call);
	}
}

static int limit_before(void *ctx, struct hook_call *call)
{
	struct hook_limit *l = ctx;

	if (call->type == REQUEST_WATCH) {
		if (l->watches >= l->watches_max)
			return -EBUSY;
		l->watches++;
		return 0;
	}
	if (l->in_flight >= l->in_flight_max)
		return -EBUSY;
	/* One request may always pass, however large: what is too large in itself is the handler's to say. */
	if (l->in_flight > 0 && l->bytes + call->request_bytes > l->bytes_max)
		return -EBUSY;
	l->in_flight++;
	l->bytes += call->request_bytes;
	return 0;
}

static void limit_after(void *ctx, const struct hook_call *call)
{
	struct hook_limit *l = ctx;

	if (call->type == REQUEST_WATCH) {
		assert(l->watches > 0);
		l->watches--;
		return;
	}
	assert(l->in_flight > 0 && l->bytes >= call->request_bytes);
	l->in_flight--;
	l->bytes -= call->request_bytes;
}

struct hook hook_limit(struct hook_limit *l)
{
	return (struct hook){.before = limit_before, .after = limit_after, .ctx = l};
}

static void trace_after(void *ctx, const struct hook_call *call)
{
	(void)ctx;
	log_debug("client %s: %zu bytes in, %zu out, error %d, %lld us", request_type_name(call->type), call->request_bytes,
		  call->response_bytes, -call->error, (long long)(call->ended_ns - call->began_ns) / 1000);
}

struct hook hook_trace(void)
{
	return (struct hook){.after = trace_after};
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void count_after(void *ctx, const struct hook_call *call)
{
	struct hook_counters *counters = ctx;
	struct hook_counter *c = &counters->types[call->type < REQUEST_TYPES ? call->type : 0];
	uint64_t us = (uint64_t)(call->ended_ns - call->began_ns) / 1000;
	unsigned bucket = us ? 64u - (unsigned)__builtin_clzll(us) : 0;

	add(&c->requests, 1);
	if (call->error)
		add(&c->errors, 1);
	add(&c->request_bytes, call->request_bytes);
	add(&c->response_bytes, call->response_bytes);
	add(&c->latency_us_sum, us);
	add(&c->latency[bucket < HOOK_LATENCIES ? bucket : HOOK_LATENCIES - 1], 1);
}

struct hook hook_count(struct hook_counters *counters)
{
	return (struct hook){.after = count_after, .ctx = counters};
}
