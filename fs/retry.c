#include "fs/retry.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS INT64_C(10000000000)

struct retries *retries_new(void)
{
	struct retries *t = calloc(1, sizeof(*t));

	if (!t)
		abort();
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

static void leave(struct retry *p)
{
	free(p->key);
	*p = (struct retry){0};
}

void retries_free(struct retries *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < RETRIES; i++)
		leave(&t->places[i]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* With the lock held: the thread's place, if it has one. */
static struct retry *place_of(struct retries *t, pid_t thread)
{
	struct retry *p = &t->places[(unsigned)thread % RETRIES];

	return p->call != RETRY_NONE && p->thread == thread ? p : NULL;
}

static struct retries *retries_for(const struct request *rq)
{
	return rq->pid > 0 && rq->fs->config.linearizable ? rq->fs->retries : NULL;
}

void retry_begin(struct request *rq, enum retry_call call)
{
	struct retries *t = retries_for(rq);

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	struct retry *p = place_of(t, rq->pid);
	if (p && p->call == call && p->ino && p->ino == rq->node->ino && clock_mono_ns() < p->until_ns) {
		rq->retry = *p;
		p->key = NULL;
	}
	if (p)
		leave(p);
	pthread_mutex_unlock(&t->lock);
}

void retry_found(struct request *rq, struct span key, const struct record *r)
{
	struct retries *t = retries_for(rq);

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	struct retry *p = place_of(t, rq->pid);
	if (p) {
		free(p->key);
		p->key = malloc(key.size + 1);
		if (!p->key)
			abort();
		memcpy(p->key, key.data, key.size);
		p->key_size = key.size;
		p->ino = r->ino;
		p->rev = r->modified.main;
	}
	pthread_mutex_unlock(&t->lock);
}

int retry_record(struct request *rq, struct record *out)
{
	const struct retry *kept = &rq->retry;
	struct record r = {0};

	if (!kept->key)
		return -ESTALE;
	/* Compaction may have taken it away. */
	if (mvcc_get(rq->fs->mvcc, (struct span){kept->key, kept->key_size}, kept->rev, &r))
		return -ESTALE;
	if (r.ino != kept->ino) {
		record_done(&r);
		return -ESTALE;
	}
	*out = r;
	return 0;
}

void retry_send(struct request *rq, enum retry_call call, int error)
{
	struct retries *t = retries_for(rq);

	/* The kernel does not come a third time. */
	if (error == -ESTALE && t && !rq->retry.key) {
		pthread_mutex_lock(&t->lock);
		struct retry *p = &t->places[(unsigned)rq->pid % RETRIES];
		leave(p);
		*p = (struct retry){.call = call, .thread = rq->pid, .until_ns = clock_mono_ns() + RETRY_NS};
		pthread_mutex_unlock(&t->lock);
	}
	request_error(rq, error);
}
