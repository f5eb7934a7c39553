#include "store/snapshots.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 32u
#define MEMBERS_MAX 16u

struct frame {
	uint64_t member; /* from or to */
	struct span payload;
	/* the payload follows */
};

struct frames {
	struct frame *items[FRAMES_MAX];
	size_t count;
};

struct snapshots {
	struct snapshots_config config;
	pthread_t thread;
	struct source *source; /* the thread's own, like the sink */
	struct sink *sink;
	_Atomic uint64_t floor;

	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t work;
	bool stop;
	struct frames in;
	struct frames out;
	uint64_t wanted[MEMBERS_MAX];
	size_t wanted_count;
	uint64_t caught_up[MEMBERS_MAX];
	size_t caught_up_count;
	uint64_t over[MEMBERS_MAX];
	size_t over_count;
	bool damaged;
	bool leads;
	bool lost_lead;
	bool settled;
	struct mvcc *unwanted;
	struct mvcc *ready;
	uint64_t ready_index;
	uint64_t ready_term;
};

static void frames_add(struct frames *q, uint64_t member, struct span payload)
{
	if (q->count == FRAMES_MAX)
		return;
	struct frame *f = malloc(sizeof(*f) + payload.size);
	if (!f)
		abort();
	memcpy(f + 1, payload.data, payload.size);
	*f = (struct frame){member, {f + 1, payload.size}};
	q->items[q->count++] = f;
}

static void frames_drop(struct frames *q)
{
	for (size_t i = 0; i < q->count; i++)
		free(q->items[i]);
	q->count = 0;
}

static void add_once(uint64_t *list, size_t *count, uint64_t id)
{
	for (size_t i = 0; i < *count; i++)
		if (list[i] == id)
			return;
	if (*count < MEMBERS_MAX)
		list[(*count)++] = id;
}

/* --- ports of source and sink: the thread --- */

static void port_send(void *ctx, uint64_t to, struct span payload)
{
	struct snapshots *t = ctx;
	pthread_mutex_lock(&t->mutex);
	frames_add(&t->out, to, payload);
	pthread_mutex_unlock(&t->mutex);
	t->config.wake(t->config.ctx);
}

static void port_over(void *ctx, uint64_t to)
{
	struct snapshots *t = ctx;
	pthread_mutex_lock(&t->mutex);
	add_once(t->over, &t->over_count, to);
	pthread_mutex_unlock(&t->mutex);
	t->config.wake(t->config.ctx);
}

static void port_damaged(void *ctx)
{
	struct snapshots *t = ctx;
	pthread_mutex_lock(&t->mutex);
	t->damaged = true;
	pthread_mutex_unlock(&t->mutex);
	t->config.wake(t->config.ctx);
}

static uint64_t port_applied(void *ctx)
{
	struct snapshots *t = ctx;
	return mvcc_applied(t->config.mvcc);
}

static void port_ready(void *ctx, struct mvcc *store, uint64_t index, uint64_t term)
{
	struct snapshots *t = ctx;
	pthread_mutex_lock(&t->mutex);
	t->ready = store;
	t->ready_index = index;
	t->ready_term = term;
	pthread_mutex_unlock(&t->mutex);
	t->config.wake(t->config.ctx);
}

static void port_say(void *ctx, const char *line)
{
	(void)ctx;
	log_info("%s", line);
}

/* --- the thread --- */

/* What has come in, taken out of the lock. */
struct work {
	struct frames in;
	uint64_t wanted[MEMBERS_MAX];
	size_t wanted_count;
	uint64_t caught_up[MEMBERS_MAX];
	size_t caught_up_count;
	bool lost_lead;
	bool settled;
	struct mvcc *unwanted;
};

static int64_t deadline_of(const struct snapshots *t)
{
	int64_t source_ns = source_deadline_ns(t->source);
	int64_t sink_ns = sink_deadline_ns(t->sink);
	return source_ns < sink_ns ? source_ns : sink_ns;
}

/* With the mutex: waits until something has come in or is due. False: stop. */
static bool await(struct snapshots *t)
{
	int64_t deadline_ns = deadline_of(t);
	struct timespec until = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
	while (!t->stop && t->in.count == 0 && t->wanted_count == 0 && t->caught_up_count == 0 && !t->lost_lead && !t->settled &&
	       clock_mono_ns() < deadline_ns) {
		if (deadline_ns == INT64_MAX)
			pthread_cond_wait(&t->work, &t->mutex);
		else
			pthread_cond_timedwait(&t->work, &t->mutex, &until);
	}
	return !t->stop;
}

static void take_in(struct snapshots *t, struct work *w)
{
	w->in = t->in;
	t->in.count = 0;
	memcpy(w->wanted, t->wanted, sizeof(w->wanted));
	w->wanted_count = t->wanted_count;
	memcpy(w->caught_up, t->caught_up, sizeof(w->caught_up));
	w->caught_up_count = t->caught_up_count;
	w->lost_lead = t->lost_lead;
	w->settled = t->settled;
	w->unwanted = t->unwanted;
	t->wanted_count = t->caught_up_count = 0;
	t->lost_lead = t->settled = false;
	t->unwanted = NULL;
}

static void take_frame(struct snapshots *t, const struct frame *frame, int64_t now_ns)
{
	struct transfer_frame f;
	if (transfer_decode(frame->payload, &f) < 0)
		return;
	/* The end of a transfer is said by either side; whoever has it knows its number. */
	source_frame(t->source, frame->member, &f, now_ns);
	sink_frame(t->sink, frame->member, &f, now_ns);
}

static void carry_out(struct snapshots *t, struct work *w)
{
	if (w->settled) {
		bool taken = !w->unwanted;
		if (w->unwanted)
			mvcc_close(w->unwanted);
		sink_settled(t->sink, taken);
	}
	if (w->lost_lead)
		source_lead(t->source, false);
	for (size_t i = 0; i < w->caught_up_count; i++)
		source_caught_up(t->source, w->caught_up[i]);
	for (size_t i = 0; i < w->wanted_count; i++)
		source_want(t->source, w->wanted[i]);
	for (size_t i = 0; i < w->in.count; i++)
		take_frame(t, w->in.items[i], clock_mono_ns());
	frames_drop(&w->in);
	source_run(t->source, clock_mono_ns());
	sink_run(t->sink, clock_mono_ns());
	atomic_store(&t->floor, source_floor(t->source));
}

static void *run(void *arg)
{
	struct snapshots *t = arg;
	struct work w;
	pthread_mutex_lock(&t->mutex);
	while (await(t)) {
		take_in(t, &w);
		pthread_mutex_unlock(&t->mutex);
		carry_out(t, &w);
		pthread_mutex_lock(&t->mutex);
	}
	pthread_mutex_unlock(&t->mutex);
	return NULL;
}

static void start_thread(struct snapshots *t)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&t->thread, NULL, run, t) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_setname_np(t->thread, "snapshot");
}

struct snapshots *snapshots_start(const struct snapshots_config *config)
{
	struct source_ports source = {NULL, port_send, port_over, port_damaged};
	struct sink_ports sink = {NULL, port_send, port_applied, port_ready, port_say};
	struct sink_config into = {.data = config->data, .cluster_id = config->cluster_id};
	pthread_condattr_t attr;
	struct snapshots *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	t->config = *config;
	source.ctx = sink.ctx = t;
	t->source = source_new(config->mvcc, config->epoch, &source);
	t->sink = sink_new(&into, &sink);
	atomic_store(&t->floor, UINT64_MAX);
	pthread_mutex_init(&t->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->work, &attr);
	pthread_condattr_destroy(&attr);
	start_thread(t);
	return t;
}

void snapshots_stop(struct snapshots *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->mutex);
	t->stop = true;
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->mutex);
	pthread_join(t->thread, NULL);
}

void snapshots_free(struct snapshots *t)
{
	if (!t)
		return;
	source_free(t->source);
	sink_free(t->sink);
	if (t->ready)
		mvcc_close(t->ready);
	if (t->unwanted)
		mvcc_close(t->unwanted);
	frames_drop(&t->in);
	frames_drop(&t->out);
	pthread_cond_destroy(&t->work);
	pthread_mutex_destroy(&t->mutex);
	free(t);
}

/* --- the loop --- */

void snapshots_frame(struct snapshots *t, uint64_t from, struct span payload)
{
	pthread_mutex_lock(&t->mutex);
	frames_add(&t->in, from, payload);
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->mutex);
}

void snapshots_want(struct snapshots *t, uint64_t to)
{
	pthread_mutex_lock(&t->mutex);
	add_once(t->wanted, &t->wanted_count, to);
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->mutex);
}

void snapshots_caught_up(struct snapshots *t, uint64_t member)
{
	pthread_mutex_lock(&t->mutex);
	add_once(t->caught_up, &t->caught_up_count, member);
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->mutex);
}

void snapshots_lead(struct snapshots *t, bool leads)
{
	pthread_mutex_lock(&t->mutex);
	if (t->leads && !leads) {
		t->lost_lead = true;
		t->wanted_count = 0;
		pthread_cond_signal(&t->work);
	}
	t->leads = leads;
	pthread_mutex_unlock(&t->mutex);
}

uint64_t snapshots_floor(const struct snapshots *t)
{
	return atomic_load(&t->floor);
}

void snapshots_deliver(struct snapshots *t, const struct snapshots_events *events)
{
	struct frames out;
	uint64_t over[MEMBERS_MAX];
	pthread_mutex_lock(&t->mutex);
	out = t->out;
	t->out.count = 0;
	size_t over_count = t->over_count;
	memcpy(over, t->over, sizeof(over));
	t->over_count = 0;
	bool damaged = t->damaged;
	t->damaged = false;
	struct mvcc *ready = t->ready;
	uint64_t index = t->ready_index, term = t->ready_term;
	t->ready = NULL;
	pthread_mutex_unlock(&t->mutex);
	for (size_t i = 0; i < out.count; i++)
		events->send(events->ctx, out.items[i]->member, out.items[i]->payload);
	frames_drop(&out);
	for (size_t i = 0; i < over_count; i++)
		events->over(events->ctx, over[i]);
	if (damaged)
		events->damaged(events->ctx);
	if (ready)
		events->ready(events->ctx, ready, index, term);
}

void snapshots_settled(struct snapshots *t, struct mvcc *unwanted)
{
	pthread_mutex_lock(&t->mutex);
	t->settled = true;
	t->unwanted = unwanted;
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->mutex);
}
