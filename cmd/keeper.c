#include "cmd/keeper.h"

#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Renewed that often in its time; and how soon again when nobody answered. */
#define RENEWALS 3
#define AGAIN_NS INT64_C(200000000)

struct keeper {
	struct ctl *ctl;
	struct client *client; /* the thread's own */
	uint64_t lease;
	uint64_t ttl_s;
	int64_t until_ns; /* the lease lives at least so long; the thread's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	atomic_bool lost;
};

static int64_t ttl_ns(const struct keeper *k)
{
	return (int64_t)k->ttl_s * 1000000000;
}

/* False: the thread is to end. */
static bool wait_until_ns(struct keeper *k, int64_t until_ns)
{
	struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
	pthread_mutex_lock(&k->lock);
	while (!k->stop && pthread_cond_timedwait(&k->wake, &k->lock, &until) != ETIMEDOUT)
		;
	bool stop = k->stop;
	pthread_mutex_unlock(&k->lock);
	return !stop;
}

/* When to do so again. */
static int64_t renew(struct keeper *k)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	/* Its time begins when the leader applies it, which is after now. */
	int64_t asked_ns = clock_mono_ns();
	int rc = client_call(k->client, &call, &(struct request){.type = REQUEST_LEASE_KEEPALIVE, .rev = k->lease});
	bool renewed = rc == 0 && call.response.error == 0;
	bool gone = rc == 0 && call.response.error == -ENOENT;
	client_call_done(&call);
	if (renewed)
		k->until_ns = asked_ns + ttl_ns(k);
	if (gone || clock_mono_ns() >= k->until_ns)
		atomic_store(&k->lost, true);
	return renewed ? asked_ns + ttl_ns(k) / RENEWALS : clock_mono_ns() + AGAIN_NS;
}

static void *run(void *arg)
{
	struct keeper *k = arg;
	int64_t next_ns = k->until_ns - ttl_ns(k) + ttl_ns(k) / RENEWALS;
	while (wait_until_ns(k, next_ns) && !atomic_load(&k->lost))
		next_ns = renew(k);
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct keeper *k)
{
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&k->thread, NULL, run, k);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

static struct keeper *keeper_new(struct ctl *ctl, uint64_t ttl_s)
{
	pthread_condattr_t monotonic;
	struct keeper *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	k->ctl = ctl;
	k->ttl_s = ttl_s;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return k;
}

static void keeper_free(struct keeper *k)
{
	client_close(k->client);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->wake);
	free(k);
}

int keeper_start(struct ctl *ctl, uint64_t ttl_s, struct keeper **out)
{
	char why[CLIENT_WHY_MAX];
	struct keeper *k = keeper_new(ctl, ttl_s);
	k->until_ns = clock_mono_ns() + ttl_ns(k);
	int status = ctl_lease_grant(ctl, ttl_s, &k->lease);
	if (status == CTL_DONE && (ctl_connect(ctl, &k->client, why, sizeof(why)) || start_thread(k))) {
		ctl_say("the lease cannot be kept alive");
		status = CTL_REFUSED;
	}
	if (status == CTL_DONE)
		*out = k;
	else
		keeper_free(k);
	return status;
}

uint64_t keeper_lease(const struct keeper *k)
{
	return k->lease;
}

bool keeper_lost(struct keeper *k)
{
	return atomic_load(&k->lost);
}

void keeper_stop(struct keeper *k)
{
	struct client_call call = {.endpoint = CLIENT_ANY};
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	/* What is not answered runs out by itself. */
	client_call(k->ctl->client, &call, &(struct request){.type = REQUEST_LEASE_REVOKE, .rev = k->lease});
	client_call_done(&call);
	keeper_free(k);
}
