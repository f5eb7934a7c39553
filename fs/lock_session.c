#include "fs/lock_session.h"

#include "base/clock.h"
#include "base/log.h"
#include "fs/locks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define AGAIN_NS INT64_C(100000000)

struct lock_session {
	struct fs *fs;
	pthread_mutex_t lock; /* over all of it */
	pthread_cond_t changed;
	pthread_t thread; /* renews; made for the first session */
	bool runs;
	bool closing;
	int64_t ttl_ns;
	uint64_t id; /* 0: none */
	int64_t until_ns;
	int64_t renew_ns;      /* when to renew it next */
	uint64_t granting;     /* 0: none is */
	uint32_t under_way;    /* operations */
	bool renewing;         /* one of them is a renewal */
	int users;             /* handles that need it */
	struct request *joins; /* waiting for the one that is being granted, by rq->queued */
};

/* A command about a session. */
struct turn {
	struct store_op op; /* first: done() casts back */
	struct lock_session *s;
	uint8_t type;
	uint64_t id;
	int64_t sent_ns;
};

static void *run(void *ctx);

struct lock_session *lock_session_new(struct fs *fs)
{
	struct lock_session *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (!s)
		abort();
	s->fs = fs;
	s->ttl_ns = (int64_t)fs->config.lock_ttl_s * 1000000000;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return s;
}

static void end_thread(struct lock_session *s)
{
	pthread_mutex_lock(&s->lock);
	bool runs = s->runs;
	s->closing = true;
	s->runs = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (runs)
		pthread_join(s->thread, NULL);
}

void lock_session_free(struct lock_session *s)
{
	if (!s)
		return;
	end_thread(s);
	assert(s->under_way == 0 && !s->joins);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* s->lock is held, for this and those below up to the next function without such words. */
static void start_ttl(struct lock_session *s, int64_t sent_ns)
{
	s->until_ns = sent_ns + s->ttl_ns;
	s->renew_ns = sent_ns + s->ttl_ns / 3;
	pthread_cond_broadcast(&s->changed);
}

static struct request *granted(struct lock_session *s, const struct turn *t, int error)
{
	struct request *joins = s->joins;

	s->joins = NULL;
	s->granting = 0;
	if (!error) {
		s->id = t->id;
		start_ttl(s, t->sent_ns);
	}
	return joins;
}

/* What is not answered is asked again until its time is over. True: it is lost. */
static bool renewed(struct lock_session *s, const struct turn *t, int error)
{
	s->renewing = false;
	if (t->id != s->id)
		return false;
	if (!error) {
		start_ttl(s, t->sent_ns);
		return false;
	}
	if (error == -ENOENT) {
		s->id = 0;
		return true;
	}
	s->renew_ns = clock_mono_ns() + AGAIN_NS;
	pthread_cond_broadcast(&s->changed);
	return false;
}

static void go_on(struct request *joins, uint64_t id, int error)
{
	while (joins) {
		struct request *rq = joins;
		joins = rq->queued;
		rq->queued = NULL;
		rq->ask->lock.session = id;
		rq->after(rq, error);
	}
}

static void tell_lost(struct lock_session *s, uint64_t id)
{
	log_warn("the session %016llx of this mount's locks is lost: its files fail until they are closed", (unsigned long long)id);
	lock_waits_lost(s->fs);
}

static void done(struct store_op *op)
{
	struct turn *t = (struct turn *)op;
	struct lock_session *s = t->s;
	struct request *joins = NULL;
	int error = op->result.error;
	bool lost = false;

	if (t->type == COMMAND_LEASE_GRANT && !error && clock_mono_ns() >= t->sent_ns + s->ttl_ns)
		error = -ETIMEDOUT;
	pthread_mutex_lock(&s->lock);
	if (t->type == COMMAND_LEASE_GRANT)
		joins = granted(s, t, error);
	else if (t->type == COMMAND_LEASE_KEEPALIVE)
		lost = renewed(s, t, error);
	pthread_mutex_unlock(&s->lock);
	if (lost)
		tell_lost(s, t->id);
	go_on(joins, t->id, error == -EINTR ? -ETIMEDOUT : error);
	pthread_mutex_lock(&s->lock);
	s->under_way--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	free(t);
}

static void submit(struct lock_session *s, enum command_type type, uint64_t id)
{
	struct command c = {.type = (uint8_t)type, .truncate_to = COMMAND_NO_TRUNCATE, .lease = id, .ttl_s = s->fs->config.lock_ttl_s};
	struct turn *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	*t = (struct turn){.op = {.done = done}, .s = s, .type = (uint8_t)type, .id = id, .sent_ns = clock_mono_ns()};
	s->under_way++;
	store_submit(s->fs->store, &c, &t->op);
}

static bool is_alive(const struct lock_session *s)
{
	return s->id && clock_mono_ns() < s->until_ns;
}

static void begin(struct lock_session *s)
{
	while (s->granting == 0)
		if (getrandom(&s->granting, sizeof(s->granting), 0) != (ssize_t)sizeof(s->granting))
			s->granting = 0;
	if (!s->runs) {
		s->runs = true;
		if (pthread_create(&s->thread, NULL, run, s) != 0)
			abort();
		pthread_setname_np(s->thread, "locks");
	}
	submit(s, COMMAND_LEASE_GRANT, s->granting);
}

/* Renews it, or gives it back if nobody has needed it since. */
static void renew(struct lock_session *s)
{
	if (s->users > 0) {
		s->renewing = true;
		submit(s, COMMAND_LEASE_KEEPALIVE, s->id);
		return;
	}
	submit(s, COMMAND_LEASE_REVOKE, s->id);
	s->id = 0;
}

static void wait_until(struct lock_session *s, int64_t at_ns)
{
	struct timespec at = {at_ns / 1000000000, at_ns % 1000000000};

	pthread_cond_timedwait(&s->changed, &s->lock, &at);
}

static void *run(void *ctx)
{
	struct lock_session *s = ctx;

	pthread_mutex_lock(&s->lock);
	while (!s->closing) {
		uint64_t id = s->id;
		if (!id) {
			pthread_cond_wait(&s->changed, &s->lock);
		} else if (!is_alive(s)) {
			s->id = 0;
			pthread_mutex_unlock(&s->lock);
			tell_lost(s, id);
			pthread_mutex_lock(&s->lock);
		} else if (!s->renewing && clock_mono_ns() >= s->renew_ns) {
			renew(s);
		} else {
			wait_until(s, s->renewing ? s->until_ns : s->renew_ns);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void lock_session_join(struct request *rq, request_step *next)
{
	struct lock_session *s = rq->fs->lock_session;
	uint64_t id = 0;
	int error = 0;

	rq->after = next;
	pthread_mutex_lock(&s->lock);
	if (s->closing) {
		error = -EIO;
	} else if (is_alive(s)) {
		id = s->id;
	} else {
		rq->queued = s->joins;
		s->joins = rq;
		/* What is not alive any more is lost in any case: the thread says so. */
		if (!s->granting)
			begin(s);
		pthread_mutex_unlock(&s->lock);
		return;
	}
	pthread_mutex_unlock(&s->lock);
	rq->ask->lock.session = id;
	next(rq, error);
}

bool lock_session_is(struct lock_session *s, uint64_t id)
{
	return id && lock_session_now(s) == id;
}

uint64_t lock_session_now(struct lock_session *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t id = is_alive(s) ? s->id : 0;
	pthread_mutex_unlock(&s->lock);
	return id;
}

void lock_session_use(struct lock_session *s, int change)
{
	pthread_mutex_lock(&s->lock);
	s->users += change;
	pthread_mutex_unlock(&s->lock);
}

void lock_session_lost(struct lock_session *s, uint64_t id)
{
	pthread_mutex_lock(&s->lock);
	bool lost = id && s->id == id;
	if (lost)
		s->id = 0;
	pthread_mutex_unlock(&s->lock);
	if (lost)
		tell_lost(s, id);
}

/* What cannot be given back runs out by itself: there is nothing to wait for after that. */
static struct timespec end_of(const struct lock_session *s, const struct timespec *until)
{
	struct timespec runs_out = {s->until_ns / 1000000000, s->until_ns % 1000000000};

	return is_alive(s) && runs_out.tv_sec < until->tv_sec ? runs_out : *until;
}

void lock_session_end(struct lock_session *s, const struct timespec *until)
{
	end_thread(s);
	pthread_mutex_lock(&s->lock);
	struct timespec end = end_of(s, until);
	if (is_alive(s))
		submit(s, COMMAND_LEASE_REVOKE, s->id);
	s->id = 0;
	while (s->under_way && pthread_cond_timedwait(&s->changed, &s->lock, &end) == 0)
		;
	pthread_mutex_unlock(&s->lock);
}
