#include "fs/locks.h"

#include "fs/interrupt.h"
#include "fs/lock_session.h"
#include "fs/publish.h"
#include "fs/view.h"
#include "store/lease.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define INO_SYNTHETIC (UINT64_C(1) << 63)

struct lock_waits {
	pthread_mutex_t lock; /* before that of the store's table */
	struct request *parked;
	bool ended;
	uint64_t requests; /* numbers given out */
	uint64_t handles;
};

static void woken(void *ctx);
static void parked_interrupted(fuse_req_t req, void *data);

void lock_waits_begin(struct fs *fs)
{
	struct lock_waits *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	pthread_mutex_init(&w->lock, NULL);
	fs->lock_waits = w;
	locks_listen(store_locks(fs->store), woken, fs);
}

void lock_waits_free(struct fs *fs)
{
	if (!fs->lock_waits)
		return;
	locks_listen(store_locks(fs->store), NULL, NULL);
	pthread_mutex_destroy(&fs->lock_waits->lock);
	free(fs->lock_waits);
}

static struct locks *table(const struct fs *fs)
{
	return store_locks(fs->store);
}

/* A file that was removed before it was published has no number in the store: its locks are a matter of this mount. */
static uint64_t ino_of(const struct node *n, uint64_t session)
{
	if (n->ino || n->shown)
		return n->ino ? n->ino : n->shown;
	return INO_SYNTHETIC | (session * UINT64_C(0x9e3779b97f4a7c15) ^ n->number);
}

struct lock_ask *locks_ask_new(struct request *rq, enum lock_kind kind, uint64_t owner)
{
	struct lock_waits *w = rq->fs->lock_waits;
	struct lock_ask *ask = calloc(1, sizeof(*ask));
	struct handle *h = rq->handle;

	if (!ask)
		abort();
	pthread_mutex_lock(&w->lock);
	ask->request = ++w->requests;
	pthread_mutex_unlock(&w->lock);
	pthread_mutex_lock(&h->lock);
	if (!h->lock_number) {
		pthread_mutex_lock(&w->lock);
		h->lock_number = ++w->handles;
		pthread_mutex_unlock(&w->lock);
	}
	ask->lock.handle = h->lock_number;
	pthread_mutex_unlock(&h->lock);
	ask->lock.kind = (uint8_t)kind;
	ask->lock.owner = kind == LOCK_KIND_FLOCK ? ask->lock.handle : owner;
	ask->lock.end = UINT64_MAX;
	rq->ask = ask;
	return ask;
}

bool locks_lost(const struct handle *h)
{
	return h->lock_session && !lock_session_is(h->fs->lock_session, h->lock_session);
}

/* --- the handle's part --- */

static int begin_ask(struct request *rq)
{
	struct handle *h = rq->handle;
	uint64_t session = rq->ask->lock.session;
	int error = 0;

	pthread_mutex_lock(&h->lock);
	if (h->lock_session && h->lock_session != session) {
		error = -EIO;
	} else {
		rq->ask->had = h->lock_session != 0;
		if (!h->lock_session)
			lock_session_use(rq->fs->lock_session, 1);
		h->lock_session = session;
		h->lock_asks++;
	}
	pthread_mutex_unlock(&h->lock);
	return error;
}

/* A handle without locks, and with nothing to publish that was written under one, is free of its session. */
static void let_session_go(struct handle *h, const struct lock *lock)
{
	if (!h->lock_session || h->lock_asks || h->publishing || handle_pending(h) || locks_lost(h))
		return;
	if (locks_of_handle(table(h->fs), lock) > 0)
		return;
	h->lock_session = 0;
	lock_session_use(h->fs->lock_session, -1);
}

static void end_ask(struct request *rq)
{
	struct handle *h = rq->handle;

	pthread_mutex_lock(&h->lock);
	h->lock_asks--;
	let_session_go(h, &rq->ask->lock);
	pthread_mutex_unlock(&h->lock);
}

/* What the one before wrote is to be read from here on. Under a publication, or with changes of its own, the handle reads what those are laid over. */
static void pin_afresh(struct request *rq)
{
	struct handle *h = rq->handle;
	struct record r = {0};

	if (node_provisional(h->node) || h->node->cancelled || view_record_by_ino(rq->fs, h->node, &r))
		return;
	pthread_mutex_lock(&h->lock);
	if (!h->publishing && !handle_pending(h))
		handle_pin(h, &r);
	pthread_mutex_unlock(&h->lock);
	record_done(&r);
}

static void finish(struct request *rq, int error)
{
	if (rq->req)
		fuse_req_interrupt_func(rq->req, NULL, NULL);
	if (!error && !lock_session_is(rq->fs->lock_session, rq->ask->lock.session))
		error = -EIO;
	if (!error)
		pin_afresh(rq);
	end_ask(rq);
	request_error(rq, error);
}

/* --- commands that must take effect, whoever waits for them --- */

static struct command command_of(const struct request *rq, enum command_type type)
{
	struct command c = request_command(rq, type);

	c.lock = rq->ask->lock;
	c.lock_request = rq->ask->request;
	return c;
}

static struct request *background(struct fs *fs, const struct lock_ask *ask)
{
	struct request *rq = request_new(fs, NULL);

	rq->ask = malloc(sizeof(*rq->ask));
	if (!rq->ask)
		abort();
	*rq->ask = *ask;
	rq->ask->rq = NULL;
	return rq;
}

static bool is_unanswered(int error)
{
	return error == -ETIMEDOUT || error == -EINTR;
}

/* While the session lasts a lock that nobody knows of would keep others waiting; afterwards it is gone. */
static bool again(const struct request *rq, int error)
{
	return is_unanswered(error) && lock_session_is(rq->fs->lock_session, rq->ask->lock.session);
}

static void release_submit(struct request *rq);

static void released(struct request *rq, int error)
{
	if (again(rq, error))
		release_submit(rq);
	else
		request_end(rq);
}

static void release_submit(struct request *rq)
{
	struct command c = command_of(rq, COMMAND_UNLOCK);

	c.lock_flags = rq->ask->by_handle ? LOCK_BY_HANDLE : 0;
	request_submit(rq, &c, released);
}

static void cancel_submit(struct request *rq);

/* What was granted all the same is the caller's, if it still waits. Else it goes back, unless the handle had locks before, of which this may be the stronger form. */
static void cancelled(struct request *rq, int error)
{
	struct request *caller = rq->ask->rq;
	bool held = !error && rq->op.result.count;

	rq->ask->rq = NULL;
	if (caller)
		finish(caller, held ? 0 : error && !is_unanswered(error) ? -EIO : -EINTR);
	if (again(rq, error))
		cancel_submit(rq);
	else if (held && !caller && !rq->ask->had)
		release_submit(rq);
	else
		request_end(rq);
}

static void cancel_submit(struct request *rq)
{
	struct command c = command_of(rq, COMMAND_LOCK_CANCEL);

	request_submit(rq, &c, cancelled);
}

/* `caller` is told what came of it, or nobody if it is NULL. */
static void cancel(struct fs *fs, const struct lock_ask *ask, struct request *caller)
{
	struct request *rq = background(fs, ask);

	rq->ask->rq = caller;
	cancel_submit(rq);
}

/* --- those who wait --- */

/* w->lock is held. */
static void unpark(struct lock_waits *w, struct request *rq)
{
	struct lock_ask *ask = rq->ask;

	ask->parked = false;
	*(ask->prev ? &ask->prev->ask->next : &w->parked) = ask->next;
	if (ask->next)
		ask->next->ask->prev = ask->prev;
	ask->next = ask->prev = NULL;
}

/* libfuse holds a lock of `req`, so the request cannot end meanwhile (finish). */
static void parked_interrupted(fuse_req_t req, void *data)
{
	struct request *rq = data;
	struct lock_waits *w = rq->fs->lock_waits;

	if (interrupt_of(fuse_req_ctx(req)->pid) == INTERRUPT_IGNORED)
		return;
	pthread_mutex_lock(&w->lock);
	bool parked = rq->ask->parked;
	rq->ask->interrupted = true;
	if (parked)
		unpark(w, rq);
	pthread_mutex_unlock(&w->lock);
	if (parked)
		cancel(rq->fs, rq->ask, rq);
}

static void park(struct request *rq)
{
	struct lock_waits *w = rq->fs->lock_waits;
	struct lock_ask *ask = rq->ask;

	fuse_req_interrupt_func(rq->req, parked_interrupted, rq);
	pthread_mutex_lock(&w->lock);
	bool interrupted = ask->interrupted, ended = w->ended;
	if (!interrupted && !ended) {
		ask->parked = true;
		ask->prev = NULL;
		ask->next = w->parked;
		if (ask->next)
			ask->next->ask->prev = rq;
		w->parked = rq;
	}
	pthread_mutex_unlock(&w->lock);
	if (ended)
		finish(rq, -EIO);
	else if (interrupted)
		cancel(rq->fs, ask, rq);
	else if (!lock_session_is(rq->fs->lock_session, rq->ask->lock.session))
		lock_waits_lost(rq->fs);
}

/* Takes those out who do not wait any more, linked by their next. */
static struct request *take(struct fs *fs, bool (*over)(struct fs *fs, const struct lock_ask *ask))
{
	struct lock_waits *w = fs->lock_waits;
	struct request *taken = NULL;

	pthread_mutex_lock(&w->lock);
	for (struct request *rq = w->parked, *next; rq; rq = next) {
		next = rq->ask->next;
		if (!over(fs, rq->ask))
			continue;
		unpark(w, rq);
		rq->ask->next = taken;
		taken = rq;
	}
	pthread_mutex_unlock(&w->lock);
	return taken;
}

static bool has_turned(struct fs *fs, const struct lock_ask *ask)
{
	return !locks_waits(table(fs), ask->lock.ino, ask->lock.session, ask->request);
}

static bool is_lost(struct fs *fs, const struct lock_ask *ask)
{
	return !lock_session_is(fs->lock_session, ask->lock.session);
}

static bool is_any(struct fs *fs, const struct lock_ask *ask)
{
	(void)fs;
	(void)ask;
	return true;
}

static bool session_stands(struct fs *fs, uint64_t session)
{
	uint32_t ttl_s;
	int64_t remaining_ns;

	return leases_look(store_leases(fs->store), session, clock_mono_ns(), &ttl_s, &remaining_ns, NULL) == 0;
}

/* On the thread of apply: who is not in the table any more was granted, or its session has ended. */
static void woken(void *ctx)
{
	struct fs *fs = ctx;
	struct request *taken = take(fs, has_turned);

	while (taken) {
		struct request *rq = taken;
		taken = rq->ask->next;
		rq->ask->next = NULL;
		finish(rq, session_stands(fs, rq->ask->lock.session) ? 0 : -EIO);
	}
}

static void finish_all(struct request *taken)
{
	while (taken) {
		struct request *rq = taken;
		taken = rq->ask->next;
		rq->ask->next = NULL;
		finish(rq, -EIO);
	}
}

void lock_waits_lost(struct fs *fs)
{
	finish_all(take(fs, is_lost));
}

void lock_waits_end(struct fs *fs)
{
	pthread_mutex_lock(&fs->lock_waits->lock);
	fs->lock_waits->ended = true;
	pthread_mutex_unlock(&fs->lock_waits->lock);
	finish_all(take(fs, is_any));
}

/* --- asking --- */

static void asked(struct request *rq, int error)
{
	struct lock_ask *ask = rq->ask;

	if (!error && !rq->op.result.count) {
		park(rq);
		return;
	}
	if (error == -EINTR) {
		cancel(rq->fs, ask, rq);
		return;
	}
	if (error == -ETIMEDOUT)
		cancel(rq->fs, ask, NULL);
	if (error == -EIO && !session_stands(rq->fs, ask->lock.session))
		lock_session_lost(rq->fs->lock_session, ask->lock.session);
	finish(rq, error);
}

static void joined(struct request *rq, int error)
{
	struct lock_ask *ask = rq->ask;

	if (!error)
		error = begin_ask(rq);
	if (error) {
		request_error(rq, error);
		return;
	}
	ask->lock.ino = ino_of(rq->node, ask->lock.session);
	struct command c = command_of(rq, COMMAND_LOCK);
	c.lock_flags = ask->waits ? LOCK_WAITS : 0;
	rq->impatient = ask->waits;
	request_submit(rq, &c, asked);
}

static bool handle_lost(struct handle *h)
{
	pthread_mutex_lock(&h->lock);
	bool lost = locks_lost(h);
	pthread_mutex_unlock(&h->lock);
	return lost;
}

static void ask_published(struct request *rq, int error)
{
	if (!error && handle_lost(rq->handle))
		error = -EIO;
	if (error)
		request_error(rq, error);
	else
		lock_session_join(rq, joined);
}

/* A file that exists for its maker alone so far is published: others who make it must come to lock the same. */
void locks_get(struct request *rq)
{
	if (node_provisional(rq->node) && !rq->node->cancelled)
		publish_start(rq, ask_published);
	else
		ask_published(rq, 0);
}

/* --- giving back --- */

static void given_back(struct request *rq, int error)
{
	struct handle *h = rq->handle;

	if (again(rq, error))
		release_submit(background(rq->fs, rq->ask));
	pthread_mutex_lock(&h->lock);
	if (!error)
		let_session_go(h, &rq->ask->lock);
	pthread_mutex_unlock(&h->lock);
	/* A session that is over has no locks: nothing is left to give back, but for the data, which was told of. */
	if (rq->ask->closes && error == -EIO)
		error = 0;
	request_error(rq, rq->ask->error ? rq->ask->error : error);
}

/* The data first. A close gives the lock back whatever became of them; who gives it back by itself can try again. */
static void unlock_published(struct request *rq, int error)
{
	struct lock_ask *ask = rq->ask;
	uint64_t session = lock_session_now(rq->fs->lock_session);

	ask->error = error;
	if (!ask->closes && !error && handle_lost(rq->handle))
		error = -EIO;
	if (!session || (error && !ask->closes)) {
		request_error(rq, error);
		return;
	}
	ask->lock.session = session;
	ask->lock.ino = ino_of(rq->node, session);
	struct command c = command_of(rq, COMMAND_UNLOCK);
	request_submit(rq, &c, given_back);
}

void locks_give_back(struct request *rq)
{
	publish_start(rq, unlock_published);
}

bool locks_go_with_close(struct handle *h, uint64_t owner)
{
	struct lock of = {.session = lock_session_now(h->fs->lock_session), .owner = owner, .kind = LOCK_KIND_POSIX};

	if (!of.session || h->node->kind != NODE_LIVE)
		return false;
	of.ino = ino_of(h->node, of.session);
	return locks_owner_has(table(h->fs), &of);
}

void locks_drop_handle(struct handle *h)
{
	struct lock_ask ask = {.by_handle = true};

	if (!h->lock_session)
		return;
	lock_session_use(h->fs->lock_session, -1);
	ask.lock = (struct lock){.session = h->lock_session,
				 .ino = ino_of(h->node, h->lock_session),
				 .handle = h->lock_number,
				 .end = UINT64_MAX,
				 .kind = LOCK_KIND_POSIX};
	if (lock_session_is(h->fs->lock_session, h->lock_session) && locks_of_handle(table(h->fs), &ask.lock) > 0)
		release_submit(background(h->fs, &ask));
	h->lock_session = 0;
}
