/* Three replicas in one process, with a network that loses, repeats and delays, logs that become durable late, and nodes that crash: what callers
 * were promised must hold. Everything is drawn from a seed, which a failure prints. */
#include "store/replica.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES 3
#define STEP_NS 1000000ll
#define TIMEOUT_NS 5000000000ll
#define SEEDS 40
#define FRAMES_MAX 4096
#define OPS_MAX 4096

struct frame {
	int from, to;
	uint8_t kind;
	int64_t due_ns;
	size_t size;
	uint8_t *data;
};

struct saved_entry {
	uint64_t term, index;
	uint8_t type;
	uint32_t size;
	uint8_t *data;
};

struct save {
	uint64_t number;
	int64_t due_ns;
	bool has_hard;
	struct raft_hard_state hard;
	struct saved_entry *entries;
	uint32_t count;
	struct save *next;
};

struct node {
	int number;
	bool up;
	uint64_t epoch;
	struct raft *raft;
	struct pending *pending;
	struct replica *replica;
	struct save *saves;          /* asked for, not durable */
	struct raft_hard_state hard; /* durable from here on */
	struct saved_entry *log;
	uint64_t log_count;
	uint64_t applied;
	uint64_t *ids; /* what was applied, duplicates left out */
	uint64_t ids_count;
};

struct test_op {
	struct store_op op;
	struct world *world;
	uint64_t id;
	bool is_read, finished;
	int node;
	uint64_t acknowledged_before; /* writes acknowledged when the read began */
};

struct world {
	uint64_t random;
	int64_t now_ns;
	struct node nodes[NODES];
	struct frame frames[FRAMES_MAX];
	int frames_count;
	struct test_op *ops[OPS_MAX];
	int ops_count;
	uint64_t acknowledged[OPS_MAX];
	uint64_t acknowledged_count;
	int loss_percent;
	uint64_t elections;
};

static uint64_t draw(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static struct world *the_world; /* ports know their node only */

static void port_send(void *ctx, uint64_t to, enum peer_kind kind, struct span payload)
{
	struct world *w = the_world;
	struct node *n = ctx;
	int copies = draw(w) % 50 == 0 ? 2 : 1;
	while (copies-- > 0 && w->frames_count < FRAMES_MAX && (int)(draw(w) % 100) >= w->loss_percent) {
		struct frame f = {n->number, (int)to - 1, (uint8_t)kind, w->now_ns + (int64_t)(draw(w) % 8) * STEP_NS, payload.size, NULL};
		f.data = malloc(payload.size + 1);
		memcpy(f.data, payload.data, payload.size);
		w->frames[w->frames_count++] = f;
	}
}

static void port_save(void *ctx, uint64_t number, const struct raft_hard_state *hard, const struct raft_entry *entries, uint32_t count)
{
	struct world *w = the_world;
	struct node *n = ctx;
	struct save *s = calloc(1, sizeof(*s)), **end = &n->saves;
	s->number = number;
	s->due_ns = w->now_ns + (int64_t)(draw(w) % 6) * STEP_NS;
	s->has_hard = hard != NULL;
	if (hard)
		s->hard = *hard;
	s->entries = calloc(count + 1, sizeof(*s->entries));
	s->count = count;
	for (uint32_t i = 0; i < count; i++) {
		s->entries[i] = (struct saved_entry){entries[i].term, entries[i].index, entries[i].type, entries[i].size,
						     malloc(entries[i].size + 1)};
		memcpy(s->entries[i].data, entries[i].size ? entries[i].data : "", entries[i].size);
	}
	while (*end)
		end = &(*end)->next;
	*end = s;
}

static void port_fetch(void *ctx, uint64_t to, uint64_t lo, uint64_t hi)
{
	(void)ctx, (void)to, (void)lo, (void)hi;
	fail_msg("the log is small enough to be kept at hand");
}

static bool known(const struct node *n, uint64_t id)
{
	for (uint64_t i = 0; i < n->ids_count; i++)
		if (n->ids[i] == id)
			return true;
	return false;
}

/* Stands for the state machine: the command's key is the operation's number in the test, applied once. */
static void port_apply(void *ctx, const struct raft_entry *entries, uint32_t count)
{
	struct node *n = ctx;
	for (uint32_t i = 0; i < count; i++) {
		struct command c;
		assert_int_equal(entries[i].index, n->applied + 1);
		n->applied = entries[i].index;
		if (entries[i].type != RAFT_ENTRY_COMMAND)
			continue;
		assert_int_equal(command_decode((struct span){entries[i].data, entries[i].size}, &c), 0);
		uint64_t id = (uint64_t)c.time_ns;
		if (!known(n, id)) {
			n->ids = realloc(n->ids, (n->ids_count + 1) * sizeof(*n->ids));
			n->ids[n->ids_count++] = id;
			if (c.id.origin == (uint64_t)n->number + 1 && c.id.epoch == n->epoch)
				pending_finish(pending_take_write(n->pending, c.id.sequence));
		}
		command_done(&c);
	}
}

static void port_reads_confirmed(void *ctx)
{
	(void)ctx;
}

static void port_members(void *ctx, const struct raft_members *members)
{
	(void)ctx, (void)members;
}

static bool port_never_full(void *ctx)
{
	(void)ctx;
	return false;
}

static void op_done(struct store_op *op)
{
	struct test_op *t = (struct test_op *)op;
	struct world *w = t->world;
	assert_false(t->finished);
	t->finished = true;
	if (op->result.error < 0)
		return;
	if (!t->is_read) {
		w->acknowledged[w->acknowledged_count++] = t->id;
		return;
	}
	for (uint64_t i = 0; i < t->acknowledged_before; i++)
		if (!known(&w->nodes[t->node], w->acknowledged[i]))
			fail_msg("a read missed write %llu, acknowledged before it began", (unsigned long long)w->acknowledged[i]);
}

static void start_node(struct world *w, struct node *n)
{
	static const struct raft_members members = {.voters = {1, 2, 3}, .voters_count = NODES};
	struct raft_config config = {.id = (uint64_t)n->number + 1,
				     .members = &members,
				     .election_ms = 100,
				     .heartbeat_ms = 20,
				     .seed = draw(w),
				     .now_ms = (uint64_t)(w->now_ns / 1000000),
				     .ticket_base = ++n->epoch << 40,
				     .hard = n->hard,
				     .log_first = 1,
				     .applied = 0,
				     .cache_bytes_max = 64 << 20,
				     .inflight_max = 16,
				     .uncommitted_bytes_max = 1 << 20};
	struct replica_ports ports = {
		.ctx = n,
		.send = port_send,
		.save = port_save,
		.fetch = port_fetch,
		.apply = port_apply,
		.reads_confirmed = port_reads_confirmed,
		.members = port_members,
		.members_committed = port_members,
		.apply_is_full = port_never_full,
	};
	assert_int_equal(raft_new(&config, &n->raft), 0);
	for (uint64_t i = 0; i < n->log_count; i++) {
		struct raft_entry e = {n->log[i].term, n->log[i].index, n->log[i].type, n->log[i].size, n->log[i].data};
		assert_int_equal(raft_restore(n->raft, &e), 0);
	}
	n->pending = pending_new((uint64_t)n->number + 1, n->epoch, TIMEOUT_NS, NULL);
	n->replica = replica_new(n->raft, n->pending, &ports);
	n->applied = 0;
	n->ids_count = 0;
	n->up = true;
}

static void free_save(struct save *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		free(s->entries[i].data);
	free(s->entries);
	free(s);
}

static void stop_node(struct node *n)
{
	pending_finish(pending_take_all(n->pending, -ESHUTDOWN));
	n->up = false;
	replica_free(n->replica);
	raft_free(n->raft);
	pending_free(n->pending);
	while (n->saves) {
		struct save *s = n->saves;
		n->saves = s->next;
		free_save(s);
	}
}

static void make_durable(struct node *n, struct save *s)
{
	if (s->has_hard)
		n->hard = s->hard;
	for (uint32_t i = 0; i < s->count; i++) {
		while (n->log_count >= s->entries[i].index)
			free(n->log[--n->log_count].data);
		n->log = realloc(n->log, (n->log_count + 1) * sizeof(*n->log));
		n->log[n->log_count++] = s->entries[i];
	}
	s->count = 0;
}

static void deliver(struct world *w)
{
	for (int i = 0; i < w->frames_count; i++) {
		struct frame f = w->frames[i];
		if (f.due_ns > w->now_ns)
			continue;
		w->frames[i--] = w->frames[--w->frames_count];
		if (w->nodes[f.to].up)
			replica_frame(w->nodes[f.to].replica, (uint64_t)f.from + 1, f.kind, (struct span){f.data, f.size});
		free(f.data);
	}
}

static void submit(struct world *w, struct node *n, bool is_read)
{
	struct test_op *t = calloc(1, sizeof(*t));
	if (w->ops_count == OPS_MAX) {
		free(t);
		return;
	}
	t->op.done = op_done;
	t->world = w;
	t->is_read = is_read;
	t->node = n->number;
	t->acknowledged_before = w->acknowledged_count;
	w->ops[w->ops_count++] = t;
	if (is_read) {
		pending_add_read(n->pending, &t->op, w->now_ns);
		return;
	}
	t->id = (uint64_t)w->ops_count;
	struct command c = {.type = COMMAND_UNLINK, .time_ns = (int64_t)t->id, .key = {"k", 1}, .truncate_to = COMMAND_NO_TRUNCATE};
	command_encode(&t->op.bytes, &c);
	pending_add_write(n->pending, &t->op, w->now_ns);
}

static void step(struct world *w)
{
	w->now_ns += STEP_NS;
	for (int i = 0; i < NODES; i++)
		if (w->nodes[i].up)
			replica_tick(w->nodes[i].replica, w->now_ns);
	deliver(w);
	for (int i = 0; i < NODES; i++) {
		struct node *n = &w->nodes[i];
		if (!n->up)
			continue;
		while (n->saves && n->saves->due_ns <= w->now_ns) {
			struct save *s = n->saves;
			n->saves = s->next;
			make_durable(n, s);
			replica_stored(n->replica, s->number);
			free_save(s);
		}
		replica_run(n->replica);
		pending_finish(pending_take_reads(n->pending, n->applied));
	}
}

static void check_same_history(struct world *w)
{
	for (int i = 1; i < NODES; i++) {
		assert_int_equal(w->nodes[i].ids_count, w->nodes[0].ids_count);
		assert_memory_equal(w->nodes[i].ids, w->nodes[0].ids, w->nodes[0].ids_count * sizeof(uint64_t));
	}
	for (uint64_t i = 0; i < w->acknowledged_count; i++)
		if (!known(&w->nodes[0], w->acknowledged[i]))
			fail_msg("write %llu was acknowledged and is lost", (unsigned long long)w->acknowledged[i]);
}

static void run_world(uint64_t seed, bool crashes)
{
	struct world *w = the_world = calloc(1, sizeof(*w));
	w->random = seed * 0x9e3779b97f4a7c15u + 1;
	w->loss_percent = (int)(seed % 4) * 8;
	for (int i = 0; i < NODES; i++) {
		w->nodes[i].number = i;
		start_node(w, &w->nodes[i]);
	}
	for (int t = 0; t < 4000; t++) {
		struct node *n = &w->nodes[draw(w) % NODES];
		if (n->up && draw(w) % 8 == 0)
			submit(w, n, draw(w) % 2);
		if (crashes && draw(w) % 400 == 0) {
			if (n->up)
				stop_node(n);
			else
				start_node(w, n);
		}
		step(w);
	}
	w->loss_percent = 0;
	for (int i = 0; i < NODES; i++)
		if (!w->nodes[i].up)
			start_node(w, &w->nodes[i]);
	for (int t = 0; t < 2000; t++)
		step(w);
	check_same_history(w);
	assert_true(w->acknowledged_count > 20);
	for (int i = 0; i < w->ops_count; i++) {
		if (!w->ops[i]->finished)
			fail_msg("operation %d neither completed nor timed out", i);
		free(w->ops[i]);
	}
	for (int i = 0; i < w->frames_count; i++)
		free(w->frames[i].data);
	for (int i = 0; i < NODES; i++) {
		stop_node(&w->nodes[i]);
		while (w->nodes[i].log_count > 0)
			free(w->nodes[i].log[--w->nodes[i].log_count].data);
		free(w->nodes[i].log);
		free(w->nodes[i].ids);
	}
	free(w);
}

static void every_operation_completes_once_over_a_lossy_network(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		run_world(seed, false);
	}
}

static void no_acknowledged_write_is_lost_and_no_read_is_stale_when_nodes_crash(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		run_world(seed, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_completes_once_over_a_lossy_network),
		cmocka_unit_test(no_acknowledged_write_is_lost_and_no_read_is_stale_when_nodes_crash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
