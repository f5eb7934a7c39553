#include "fs/exclusive.h"

#include "fs/view.h"

#include <errno.h>

/* Is it in use on this mount by a process that made it without O_EXCL, and has not published it yet? */
static bool being_made(struct fs *fs, struct node *n)
{
	struct handle *h = n && node_provisional(n) ? handle_of_creator(fs, n) : NULL;

	handle_put(h);
	return h != NULL;
}

void exclusive_reserve(struct request *rq, request_step *reserved)
{
	char text[VIEW_KEY_SIZE];
	struct command c = request_command(rq, COMMAND_RESERVE);
	int size = view_key(rq->fs, rq->node, rq->name, text);

	if (size < 0) {
		request_error(rq, size == -ESTALE ? -ENOENT : size);
		return;
	}
	rq->held = nodes_find(&rq->fs->nodes, rq->node, rq->name);
	if (being_made(rq->fs, rq->held)) {
		request_error(rq, -EEXIST);
		return;
	}
	c.key = (struct span){text, (size_t)size};
	request_submit(rq, &c, reserved);
}

static void give_back(struct fs *fs, uint64_t reservation)
{
	struct request *rq = request_new(fs, NULL);
	struct command c = request_command(rq, COMMAND_RESERVE);

	c.reservation = reservation;
	request_submit(rq, &c, request_error);
}

/* The store is past waiting for the operation, so it cannot come into effect behind the one that takes it back. */
void exclusive_failed(struct request *rq, int error)
{
	if (rq->op.sequence && (error == -ETIMEDOUT || error == -EINTR))
		give_back(rq->fs, rq->op.sequence);
}

void exclusive_give_back(struct handle *h)
{
	uint64_t reservation = atomic_exchange(&h->reservation, 0);

	if (reservation)
		give_back(h->fs, reservation);
}

struct handle *exclusive_holder(struct fs *fs, struct node *n)
{
	pthread_mutex_lock(&fs->handles_lock);
	struct handle *h = n->handles;
	while (h && !h->reservation)
		h = h->next;
	if (h)
		handle_hold(h);
	pthread_mutex_unlock(&fs->handles_lock);
	return h;
}

void exclusive_cancel(struct request *rq, request_step *done)
{
	struct command c = request_command(rq, COMMAND_RESERVE);

	c.reservation = rq->handle->reservation;
	request_submit(rq, &c, done);
}
