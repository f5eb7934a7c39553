#include "fs/request.h"

#include "base/clock.h"
#include "fs/handle.h"
#include "fs/inotify.h"
#include "fs/interrupt.h"
#include "fs/rewalk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct request *request_new(struct fs *fs, fuse_req_t req)
{
	struct request *rq = calloc(1, sizeof(*rq));

	if (!rq)
		abort();
	rq->fs = fs;
	rq->req = req;
	rq->refs = 1;
	pthread_mutex_init(&rq->lock, NULL);
	if (req) {
		const struct fuse_ctx *caller = fuse_req_ctx(req);
		rq->pid = caller->pid;
		rq->uid = caller->uid;
		rq->gid = caller->gid;
		rq->call = metrics_take();
	}
	pthread_mutex_lock(&fs->idle_lock);
	fs->under_way++;
	pthread_mutex_unlock(&fs->idle_lock);
	return rq;
}

static void unref(struct request *rq)
{
	struct fs *fs = rq->fs;

	if (atomic_fetch_sub(&rq->refs, 1) != 1)
		return;
	record_done(&rq->op.result.attr);
	handle_put(rq->held_handle);
	nodes_put(&fs->nodes, rq->held);
	nodes_put(&fs->nodes, rq->held2);
	writer_free(&rq->value);
	free(rq->name);
	free(rq->name2);
	free(rq->ask);
	free(rq->found_key);
	pthread_mutex_destroy(&rq->lock);
	free(rq);
	pthread_mutex_lock(&fs->idle_lock);
	if (--fs->under_way == 0)
		pthread_cond_broadcast(&fs->idle);
	pthread_mutex_unlock(&fs->idle_lock);
}

void request_name(struct request *rq, struct node *parent, const char *name)
{
	rq->node = parent;
	rq->name = strdup(name);
	if (!rq->name)
		abort();
}

/* libfuse calls it with a lock of `req` held, which fuse_req_interrupt_func takes too: so it never runs after done() took it back. */
static void interrupted(fuse_req_t req, void *data)
{
	struct request *rq = data;
	enum interrupt interrupt = interrupt_of(fuse_req_ctx(req)->pid);

	if (interrupt == INTERRUPT_IGNORED)
		return;
	int64_t grace_ns = interrupt == INTERRUPT_FATAL || rq->impatient ? 0 : INTERRUPT_GRACE_NS;
	pthread_mutex_lock(&rq->lock);
	rq->let_go_ns = clock_mono_ns() + grace_ns;
	if (rq->in_store)
		store_interrupt(rq->fs->store, &rq->op, rq->let_go_ns);
	pthread_mutex_unlock(&rq->lock);
}

static void done(struct store_op *op)
{
	struct request *rq = (struct request *)((char *)op - offsetof(struct request, op));

	pthread_mutex_lock(&rq->lock);
	rq->stage++;
	rq->in_store = false;
	pthread_mutex_unlock(&rq->lock);
	if (rq->req)
		fuse_req_interrupt_func(rq->req, NULL, NULL);
	if (op->result.changed && !op->result.error)
		inotify_made_here(rq->fs->inotify, op->result.revision);
	rq->next(rq, op->result.error);
}

/* Hands rq->op to the store. It may be done, and the request gone on or ended, before that returns: hence the reference and the stage. */
static void launch(struct request *rq, const struct command *c, request_step *next)
{
	assert(!rq->in_store);
	record_done(&rq->op.result.attr);
	memset(&rq->op, 0, sizeof(rq->op));
	rq->op.done = done;
	rq->next = next;
	atomic_fetch_add(&rq->refs, 1);
	uint32_t stage = rq->stage;
	if (rq->req)
		fuse_req_interrupt_func(rq->req, interrupted, rq);
	if (c)
		store_submit(rq->fs->store, c, &rq->op);
	else
		store_barrier(rq->fs->store, &rq->op);
	pthread_mutex_lock(&rq->lock);
	if (rq->stage == stage) {
		rq->in_store = true;
		if (rq->let_go_ns)
			store_interrupt(rq->fs->store, &rq->op, rq->let_go_ns);
	}
	pthread_mutex_unlock(&rq->lock);
	unref(rq);
}

void request_barrier(struct request *rq, request_step *next)
{
	rewalk_found(rq);
	launch(rq, NULL, next);
}

void request_read(struct request *rq, request_step *next)
{
	rewalk_found(rq);
	if (rq->fs->config.linearizable && !inotify_acts(rq->fs->inotify, rq->pid))
		launch(rq, NULL, next);
	else
		next(rq, store_readable(rq->fs->store));
}

void request_submit(struct request *rq, const struct command *c, request_step *next)
{
	launch(rq, c, next);
}

struct command request_command(const struct request *rq, enum command_type type)
{
	return (struct command){.type = (uint8_t)type, .uid = rq->uid, .gid = rq->gid, .truncate_to = COMMAND_NO_TRUNCATE};
}

void request_answers(struct request *rq, int error)
{
	metrics_answer(&rq->call, error);
	rewalk_answered(rq, error);
}

void request_refuse(fuse_req_t req, int error)
{
	metrics_refuse(error);
	fuse_reply_err(req, -error);
}

void request_error(struct request *rq, int error)
{
	assert(error <= 0);
	request_answers(rq, error);
	if (rq->req)
		fuse_reply_err(rq->req, -error);
	unref(rq);
}

void request_attr(struct request *rq, const struct stat *attr, double timeout)
{
	request_answers(rq, 0);
	if (rq->req)
		fuse_reply_attr(rq->req, attr, timeout);
	unref(rq);
}

void request_data(struct request *rq, const void *data, size_t size)
{
	request_answers(rq, 0);
	if (rq->req)
		fuse_reply_buf(rq->req, data, size);
	unref(rq);
}

void request_end(struct request *rq)
{
	/* The caller may be in another call by now. */
	metrics_answer(&rq->call, 0);
	unref(rq);
}
