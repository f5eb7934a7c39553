#include "store/pending.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { KIND_READ = 1, KIND_WRITE = 2 };
enum { STATE_NEW, STATE_HELD, STATE_SENT, STATE_CONFIRMED };

#define NEWS_MAX 16

struct queue {
	struct store_op *head;
	struct store_op *tail;
	size_t count;
};

struct pending {
	pthread_mutex_t mutex;
	uint64_t origin;
	uint64_t epoch;
	int64_t timeout_ns;
	struct queue reads;                      /* in order of their tickets; those without one last */
	struct queue writes;                     /* in order of their sequences */
	struct queue waiting;                    /* writes without a sequence: the window is full */
	struct queue failed;                     /* writes refused at once; ticket: the error */
	struct store_op *window[COMMAND_WINDOW]; /* by sequence modulo COMMAND_WINDOW */
	uint64_t next_sequence;
	uint64_t unsent_from; /* every write below is sent or held */
	uint64_t new_reads;
	uint64_t cancelled;
	void (*admitted)(void *staging, uint64_t sequence);
};

/* Held writes whose fate was decided under the mutex, to be told after it. */
struct news {
	struct {
		void *staging;
		uint64_t sequence;
	} of[NEWS_MAX];
	uint32_t count;
};

static void queue_push(struct queue *q, struct store_op *op)
{
	op->next = NULL;
	op->prev = q->tail;
	if (q->tail)
		q->tail->next = op;
	else
		q->head = op;
	q->tail = op;
	q->count++;
}

static void queue_remove(struct queue *q, struct store_op *op)
{
	if (op->prev)
		op->prev->next = op->next;
	else
		q->head = op->next;
	if (op->next)
		op->next->prev = op->prev;
	else
		q->tail = op->prev;
	op->next = op->prev = NULL;
	q->count--;
}

struct pending *pending_new(uint64_t origin, uint64_t epoch, int64_t timeout_ns, void (*admitted)(void *staging, uint64_t sequence))
{
	struct pending *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	pthread_mutex_init(&p->mutex, NULL);
	p->origin = origin;
	p->epoch = epoch;
	p->timeout_ns = timeout_ns;
	p->admitted = admitted;
	p->next_sequence = p->unsent_from = 1;
	return p;
}

void pending_free(struct pending *p)
{
	if (!p)
		return;
	assert(!p->reads.head && !p->writes.head && !p->waiting.head);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}

static void begin(struct pending *p, struct store_op *op, uint8_t kind, int64_t now_ns)
{
	op->kind = kind;
	op->state = STATE_NEW;
	op->ticket = op->sequence = 0;
	op->deadline_ns = now_ns + p->timeout_ns;
	op->resend_ns = 0;
	op->reserve = 0;
	op->staging = NULL;
	op->interrupted = false;
	op->result = (struct command_result){0};
}

void pending_add_read(struct pending *p, struct store_op *op, int64_t now_ns)
{
	begin(p, op, KIND_READ, now_ns);
	pthread_mutex_lock(&p->mutex);
	queue_push(&p->reads, op);
	p->new_reads++;
	pthread_mutex_unlock(&p->mutex);
}

static void fail(struct pending *p, struct store_op *op, int error)
{
	op->deadline_ns = 0;
	op->ticket = (uint64_t)-error;
	queue_push(&p->failed, op);
	p->cancelled++;
}

static uint64_t floor_of(const struct pending *p)
{
	return p->writes.head ? p->writes.head->sequence : p->next_sequence;
}

static bool window_has_room(const struct pending *p, uint32_t reserve)
{
	return p->origin != 0 && p->next_sequence + reserve - floor_of(p) < COMMAND_WINDOW;
}

static void stamp(struct pending *p, const struct store_op *op)
{
	struct command_id id = {p->origin, p->epoch, op->sequence, floor_of(p)};
	command_stamp_id(op->bytes.data, &id);
}

static void enter_window(struct pending *p, struct store_op *op)
{
	op->sequence = p->next_sequence;
	p->next_sequence += 1 + op->reserve;
	p->window[op->sequence % COMMAND_WINDOW] = op;
	queue_push(&p->writes, op);
	if (op->bytes.size > 0)
		stamp(p, op);
}

static void fill_window(struct pending *p, struct news *news)
{
	while (p->waiting.head && window_has_room(p, p->waiting.head->reserve) && news->count < NEWS_MAX) {
		struct store_op *op = p->waiting.head;
		queue_remove(&p->waiting, op);
		enter_window(p, op);
		if (op->staging) {
			news->of[news->count].staging = op->staging;
			news->of[news->count++].sequence = op->sequence;
		}
	}
}

static void tell(struct pending *p, const struct news *news)
{
	for (uint32_t i = 0; i < news->count; i++)
		p->admitted(news->of[i].staging, news->of[i].sequence);
}

void pending_adopt(struct pending *p, uint64_t origin, uint64_t epoch)
{
	struct news news;
	pthread_mutex_lock(&p->mutex);
	p->origin = origin;
	p->epoch = epoch;
	pthread_mutex_unlock(&p->mutex);
	do {
		news.count = 0;
		pthread_mutex_lock(&p->mutex);
		fill_window(p, &news);
		pthread_mutex_unlock(&p->mutex);
		tell(p, &news);
	} while (news.count == NEWS_MAX);
}

static void wait_for_place(struct pending *p, struct store_op *op)
{
	struct news news = {.count = 0};
	pthread_mutex_lock(&p->mutex);
	queue_push(&p->waiting, op);
	fill_window(p, &news);
	pthread_mutex_unlock(&p->mutex);
	tell(p, &news);
}

void pending_add_write(struct pending *p, struct store_op *op, int64_t now_ns)
{
	begin(p, op, KIND_WRITE, now_ns);
	wait_for_place(p, op);
}

void pending_add_held(struct pending *p, struct store_op *op, uint32_t parts, void *staging, int64_t now_ns)
{
	begin(p, op, KIND_WRITE, now_ns);
	op->state = STATE_HELD;
	op->reserve = parts;
	op->staging = staging;
	wait_for_place(p, op);
}

static struct store_op *find_write(const struct pending *p, uint64_t sequence)
{
	struct store_op *op = p->window[sequence % COMMAND_WINDOW];
	return op && op->sequence == sequence ? op : NULL;
}

/* Behind the last one with a lower sequence. */
static void queue_insert(struct queue *q, struct store_op *op)
{
	struct store_op *before = q->tail;
	while (before && before->sequence > op->sequence)
		before = before->prev;
	op->prev = before;
	op->next = before ? before->next : q->head;
	if (op->next)
		op->next->prev = op;
	else
		q->tail = op;
	if (before)
		before->next = op;
	else
		q->head = op;
}

void pending_add_part(struct pending *p, struct store_op *op, uint64_t sequence, uint32_t part, int64_t now_ns)
{
	begin(p, op, KIND_WRITE, now_ns);
	pthread_mutex_lock(&p->mutex);
	if (find_write(p, sequence)) {
		op->sequence = sequence + 1 + part;
		p->window[op->sequence % COMMAND_WINDOW] = op;
		queue_insert(&p->writes, op);
		stamp(p, op);
		if (p->unsent_from > op->sequence)
			p->unsent_from = op->sequence;
	} else {
		fail(p, op, -ECANCELED);
	}
	pthread_mutex_unlock(&p->mutex);
}

/* More time for an operation, but not for a caller who is to be let go. */
static void extend(const struct pending *p, struct store_op *op, int64_t now_ns)
{
	if (!op->interrupted)
		op->deadline_ns = now_ns + p->timeout_ns;
}

void pending_release(struct pending *p, uint64_t sequence, struct writer *bytes, int64_t now_ns)
{
	pthread_mutex_lock(&p->mutex);
	struct store_op *op = find_write(p, sequence);
	if (op && op->state == STATE_HELD && op->deadline_ns > 0) {
		op->bytes = *bytes;
		*bytes = (struct writer){0};
		stamp(p, op);
		op->state = STATE_NEW;
		extend(p, op, now_ns);
		if (p->unsent_from > sequence)
			p->unsent_from = sequence;
	}
	pthread_mutex_unlock(&p->mutex);
	writer_free(bytes);
}

bool pending_extend(struct pending *p, uint64_t sequence, int64_t now_ns)
{
	pthread_mutex_lock(&p->mutex);
	struct store_op *op = find_write(p, sequence);
	bool alive = op && op->deadline_ns > 0;
	if (alive)
		extend(p, op, now_ns);
	pthread_mutex_unlock(&p->mutex);
	return alive;
}

void pending_add_failed(struct pending *p, struct store_op *op, int error)
{
	begin(p, op, KIND_WRITE, 0);
	pthread_mutex_lock(&p->mutex);
	fail(p, op, error);
	pthread_mutex_unlock(&p->mutex);
}

void pending_cancel(struct pending *p, struct store_op *op)
{
	pthread_mutex_lock(&p->mutex);
	op->deadline_ns = 0;
	p->cancelled++;
	pthread_mutex_unlock(&p->mutex);
}

void pending_interrupt(struct pending *p, struct store_op *op, int64_t at_ns)
{
	pthread_mutex_lock(&p->mutex);
	if (op->deadline_ns > at_ns) {
		op->deadline_ns = at_ns;
		op->interrupted = true;
		p->cancelled++;
	}
	pthread_mutex_unlock(&p->mutex);
}

void pending_send(struct pending *p, int64_t now_ns, bool (*send)(void *ctx, struct span command), void *ctx)
{
	struct news news = {.count = 0};
	pthread_mutex_lock(&p->mutex);
	fill_window(p, &news);
	if (p->unsent_from < floor_of(p))
		p->unsent_from = floor_of(p);
	for (; p->unsent_from < p->next_sequence; p->unsent_from++) {
		struct store_op *op = find_write(p, p->unsent_from);
		if (!op || op->state != STATE_NEW)
			continue;
		if (!send(ctx, (struct span){op->bytes.data, op->bytes.size}))
			break;
		op->state = STATE_SENT;
		op->resend_ns = now_ns;
	}
	pthread_mutex_unlock(&p->mutex);
	tell(p, &news);
}

void pending_resend(struct pending *p, int64_t before_ns)
{
	pthread_mutex_lock(&p->mutex);
	for (struct store_op *op = p->writes.head; op; op = op->next) {
		if (op->state != STATE_SENT || op->resend_ns >= before_ns)
			continue;
		op->state = STATE_NEW;
		if (p->unsent_from > op->sequence)
			p->unsent_from = op->sequence;
	}
	pthread_mutex_unlock(&p->mutex);
}

bool pending_has_new_reads(struct pending *p)
{
	pthread_mutex_lock(&p->mutex);
	bool any = p->new_reads > 0;
	pthread_mutex_unlock(&p->mutex);
	return any;
}

void pending_ticket_reads(struct pending *p, uint64_t ticket)
{
	pthread_mutex_lock(&p->mutex);
	for (struct store_op *op = p->reads.tail; op && op->state == STATE_NEW; op = op->prev) {
		op->state = STATE_SENT;
		op->ticket = ticket;
	}
	p->new_reads = 0;
	pthread_mutex_unlock(&p->mutex);
}

bool pending_confirm_reads(struct pending *p, uint64_t ticket, uint64_t index)
{
	bool any = false;
	pthread_mutex_lock(&p->mutex);
	for (struct store_op *op = p->reads.head; op && op->state != STATE_NEW && op->ticket <= ticket; op = op->next) {
		if (op->state == STATE_CONFIRMED)
			continue;
		op->state = STATE_CONFIRMED;
		op->sequence = index;
		any = true;
	}
	pthread_mutex_unlock(&p->mutex);
	return any;
}

struct store_op *pending_take_reads(struct pending *p, uint64_t applied)
{
	struct queue taken = {0};
	pthread_mutex_lock(&p->mutex);
	while (p->reads.head && p->reads.head->state == STATE_CONFIRMED && p->reads.head->sequence <= applied) {
		struct store_op *op = p->reads.head;
		queue_remove(&p->reads, op);
		queue_push(&taken, op);
	}
	pthread_mutex_unlock(&p->mutex);
	return taken.head;
}

static void leave_window(struct pending *p, struct store_op *op)
{
	p->window[op->sequence % COMMAND_WINDOW] = NULL;
	queue_remove(&p->writes, op);
}

struct store_op *pending_take_write(struct pending *p, uint64_t sequence)
{
	pthread_mutex_lock(&p->mutex);
	struct store_op *op = find_write(p, sequence);
	if (op)
		leave_window(p, op);
	pthread_mutex_unlock(&p->mutex);
	return op;
}

static bool is_part(const struct store_op *op)
{
	return command_peek_type((struct span){op->bytes.data, op->bytes.size}) == COMMAND_STAGE;
}

struct store_op *pending_take_passed(struct pending *p, bool (*applied)(void *ctx, uint64_t sequence), void *ctx)
{
	struct queue taken = {0};
	pthread_mutex_lock(&p->mutex);
	for (struct store_op *op = p->writes.head, *next; op; op = next) {
		next = op->next;
		if (op->state == STATE_HELD || !applied(ctx, op->sequence))
			continue;
		leave_window(p, op);
		op->result.error = is_part(op) ? 0 : -ETIMEDOUT;
		queue_push(&taken, op);
	}
	pthread_mutex_unlock(&p->mutex);
	return taken.head;
}

static void take_from(struct pending *p, struct queue *from, int64_t now_ns, struct queue *taken)
{
	for (struct store_op *op = from->head, *next; op; op = next) {
		next = op->next;
		if (op->deadline_ns > now_ns)
			continue;
		if (op->kind == KIND_READ && op->state == STATE_NEW)
			p->new_reads--;
		if (from == &p->writes)
			leave_window(p, op);
		else
			queue_remove(from, op);
		op->result.error = op->deadline_ns > 0 && !op->interrupted ? -ETIMEDOUT : from == &p->failed ? -(int)op->ticket : -EINTR;
		queue_push(taken, op);
	}
}

struct store_op *pending_take_overdue(struct pending *p, int64_t now_ns)
{
	struct queue taken = {0};
	pthread_mutex_lock(&p->mutex);
	take_from(p, &p->reads, now_ns, &taken);
	take_from(p, &p->writes, now_ns, &taken);
	take_from(p, &p->waiting, now_ns, &taken);
	take_from(p, &p->failed, now_ns, &taken);
	p->cancelled = 0;
	pthread_mutex_unlock(&p->mutex);
	for (struct store_op *op = taken.head; op; op = op->next)
		if (op->staging && op->sequence == 0)
			p->admitted(op->staging, 0);
	return taken.head;
}

struct store_op *pending_take_all(struct pending *p, int error)
{
	struct store_op *list = pending_take_overdue(p, INT64_MAX);
	for (struct store_op *op = list; op; op = op->next)
		op->result.error = error;
	return list;
}

bool pending_overdue(struct pending *p)
{
	pthread_mutex_lock(&p->mutex);
	bool any = p->cancelled > 0;
	pthread_mutex_unlock(&p->mutex);
	return any;
}

void pending_counts(struct pending *p, size_t *reads, size_t *writes)
{
	pthread_mutex_lock(&p->mutex);
	*reads = p->reads.count;
	*writes = p->writes.count + p->waiting.count;
	pthread_mutex_unlock(&p->mutex);
}

bool pending_empty(struct pending *p)
{
	pthread_mutex_lock(&p->mutex);
	bool empty = !p->reads.head && !p->writes.head && !p->waiting.head && !p->failed.head;
	pthread_mutex_unlock(&p->mutex);
	return empty;
}

uint64_t pending_oldest_ticket(struct pending *p)
{
	pthread_mutex_lock(&p->mutex);
	uint64_t ticket = p->reads.head && p->reads.head->state != STATE_NEW ? p->reads.head->ticket : 0;
	pthread_mutex_unlock(&p->mutex);
	return ticket;
}

void pending_finish(struct store_op *list)
{
	while (list) {
		struct store_op *op = list;
		list = op->next;
		writer_free(&op->bytes);
		op->done(op);
	}
}
