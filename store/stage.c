/* A write too large for one log entry travels as chunks (COMMAND_STAGE), a few at a time so that heartbeats and small writes pass between
 * them, and then one command that uses them. That last one takes its sequence first: it names the stage, and keeps the state machine from
 * dropping the chunks. The chunks' progress prolongs its deadline: timeout= bounds the wait for the cluster, not the size of a file. */
#include "base/clock.h"
#include "store/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (256u << 10)
#define CHUNKS_AT_ONCE 4
#define CHUNKS_MAX (COMMAND_WINDOW / 2) /* 512 MiB: they and the last command need places in the window at the same time */
#define ENTRY_OVERHEAD (64u << 10)      /* room for keys, names and the fixed fields of a command */

struct chunk {
	struct store_op op; /* first: done() casts back */
	struct staging *staging;
};

struct staging {
	struct store *store;
	pthread_mutex_t mutex;
	uint64_t sequence;   /* of the last command */
	struct command last; /* its key is `key` */
	char *key;
	struct writer content; /* what is staged */
	size_t sent;
	uint32_t next_chunk;
	uint32_t in_flight;
	int error;
};

static void chunk_done(struct store_op *op);

static void staging_free(struct staging *g)
{
	free(g->key);
	writer_free(&g->content);
	pthread_mutex_destroy(&g->mutex);
	free(g);
}

static void send_chunk(struct staging *g)
{
	size_t size = g->content.size - g->sent < CHUNK_BYTES ? g->content.size - g->sent : CHUNK_BYTES;
	struct command c = {.type = COMMAND_STAGE,
			    .time_ns = clock_wall_ns(),
			    .truncate_to = COMMAND_NO_TRUNCATE,
			    .value = {g->content.data + g->sent, size},
			    .stage = g->sequence,
			    .stage_chunk = g->next_chunk++};
	struct chunk *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	k->staging = g;
	k->op.done = chunk_done;
	command_encode(&k->op.bytes, &c);
	g->sent += size;
	g->in_flight++;
	pending_add_part(g->store->pending, &k->op, g->sequence, c.stage_chunk, clock_mono_ns());
}

/* Sends what may be sent now. True when all is over: everything is staged, or it failed and nothing is in flight. */
static bool advance(struct staging *g)
{
	if (g->error == 0 && !pending_extend(g->store->pending, g->sequence, clock_mono_ns()))
		g->error = -ECANCELED;
	while (g->error == 0 && g->in_flight < CHUNKS_AT_ONCE && g->sent < g->content.size)
		send_chunk(g);
	return g->in_flight == 0;
}

static void finish(struct staging *g)
{
	if (g->error == 0) {
		struct writer bytes = {0};
		command_encode(&bytes, &g->last);
		pending_release(g->store->pending, g->sequence, &bytes, clock_mono_ns());
	} else {
		struct store_op *op = pending_take_write(g->store->pending, g->sequence);
		if (op)
			op->result.error = g->error;
		pending_finish(op);
	}
	loop_wake(g->store);
	staging_free(g);
}

static void chunk_done(struct store_op *op)
{
	struct chunk *k = (struct chunk *)op;
	struct staging *g = k->staging;

	pthread_mutex_lock(&g->mutex);
	g->in_flight--;
	if (op->result.error < 0 && g->error == 0)
		g->error = op->result.error;
	bool over = advance(g);
	struct store *s = g->store; /* once unlocked, another chunk's end may free g */
	pthread_mutex_unlock(&g->mutex);
	free(k);
	if (over)
		finish(g);
	else
		loop_wake(s);
}

static size_t content_bytes(const struct command *c)
{
	size_t bytes = c->value.size;
	for (uint32_t i = 0; i < c->ranges_count; i++)
		bytes += c->ranges[i].data.size + 16;
	return bytes;
}

static uint32_t chunks_of(size_t bytes)
{
	return (uint32_t)((bytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
}

void stage_admitted(void *staging, uint64_t sequence)
{
	struct staging *g = staging;
	if (sequence == 0) {
		staging_free(g); /* overdue before it had a place */
		return;
	}
	pthread_mutex_lock(&g->mutex);
	g->sequence = g->last.stage = sequence;
	bool over = advance(g);
	struct store *s = g->store;
	pthread_mutex_unlock(&g->mutex);
	if (over)
		finish(g);
	else
		loop_wake(s);
}

static void fill(struct staging *g, const struct command *c)
{
	if (c->type == COMMAND_WRITE)
		command_ranges_encode(&g->content, c->ranges, c->ranges_count);
	else
		writer_raw(&g->content, c->value.data, c->value.size);
	g->key = malloc(c->key.size + 1);
	if (!g->key)
		abort();
	if (c->key.size > 0)
		memcpy(g->key, c->key.data, c->key.size);
	g->last = *c;
	g->last.key.data = g->key;
	g->last.write_flags |= WRITE_STAGED;
	g->last.stage_chunk = chunks_of(g->content.size);
	g->last.ranges = NULL;
	g->last.ranges_count = 0;
	g->last.value = (struct span){NULL, 0};
	g->last.time_ns = clock_wall_ns();
}

bool stage_submit(struct store *s, const struct command *c, struct store_op *op)
{
	if (content_bytes(c) <= RAFT_ENTRY_BYTES_MAX - ENTRY_OVERHEAD || (c->type != COMMAND_WRITE && c->type != COMMAND_PUT))
		return false;
	if (chunks_of(content_bytes(c)) > CHUNKS_MAX) {
		pending_add_failed(s->pending, op, -EFBIG);
		return true;
	}
	struct staging *g = calloc(1, sizeof(*g));
	if (!g)
		abort();
	pthread_mutex_init(&g->mutex, NULL);
	g->store = s;
	fill(g, c);
	pending_add_held(s->pending, op, g->last.stage_chunk, g, clock_mono_ns());
	return true;
}
