#include "tests/sim/clients.h"
#include "store/txn.h"
#include "tests/lib/lincheck.h"
#include "tests/sim/admin.h"
#include "tests/sim/heap.h"
#include "tests/sim/uses.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 4u /* of a machine */
#define CONTENT_MAX (1u << 20)
#define PADDED_BYTES 9000u
#define LARGE_BYTES (470u << 10)
#define SWAP_IDS_MAX 32u
#define NO_OP UINT32_MAX

struct client {
	struct machine *machine;
	uint32_t number;
	bool at_work;
	uint32_t op;              /* in the history; NO_OP: none is under way */
	uint64_t serial_revision; /* seen by serial reads of this boot */
};

/* One call of the store by a client, which waits for it. */
struct call {
	struct store_op op; /* first: done() casts back */
	struct wait_list waiter;
	bool done;
};

/* A version of a key is the same wherever it is read. */
struct version_seen {
	uint64_t key;
	uint64_t revision;
	uint64_t hash;
};

static struct {
	struct client_habits habits;
	struct client clients[MACHINES_MAX][CLIENTS_MAX];
	struct lin_op *ops;
	uint32_t ops_count;
	uint32_t ops_capacity;
	int64_t tick;
	uint64_t values;
	struct fiber *watcher[MACHINES_MAX];
	bool finishing;
	bool finished[MACHINES_MAX];
	struct version_seen *versions;
	size_t versions_count;
	size_t versions_slots;
} world_clients;

#define W (&world_clients)

void clients_begin(const struct client_habits *habits)
{
	memset(W, 0, sizeof(*W));
	W->habits = *habits;
}

/* --- the history --- */

static uint32_t invoke(struct client *c, const struct lin_op *op)
{
	if (W->ops_count == W->ops_capacity) {
		W->ops_capacity = W->ops_capacity ? 2 * W->ops_capacity : 1024;
		W->ops = heap_resize(HEAP_WORLD, W->ops, W->ops_capacity * sizeof(*W->ops));
	}
	struct lin_op *o = &W->ops[W->ops_count];
	*o = *op;
	o->client = c->number;
	o->called = ++W->tick;
	o->outcome = op->kind == LIN_READ ? LIN_FAILED : LIN_UNKNOWN;
	c->op = W->ops_count;
	happened(HAPPENED_invoke, c->machine->number, W->ops_count, op->kind);
	return W->ops_count++;
}

static void answered(struct client *c, enum lin_outcome outcome, int error)
{
	struct lin_op *o = &W->ops[c->op];
	o->outcome = outcome;
	o->returned = ++W->tick;
	happened(HAPPENED_answered, c->machine->number, c->op, (uint64_t)(int64_t)error);
	if (o->kind == LIN_READ)
		happened(outcome == LIN_OK ? HAPPENED_read_done : HAPPENED_read_unanswered, c->machine->number, c->op, 0);
	else if (outcome == LIN_UNKNOWN)
		happened(HAPPENED_write_unknown, c->machine->number, c->op, 0);
	else
		happened(outcome == LIN_OK ? HAPPENED_write_done : HAPPENED_write_refused, c->machine->number, c->op,
			 (uint64_t)(int64_t)error);
	c->op = NO_OP;
}

/* --- calling the store --- */

static void on_done(struct store_op *op)
{
	struct call *call = (struct call *)op;
	call->done = true;
	wake_all(&call->waiter);
}

static void await(struct call *call, struct store *s)
{
	bool cancels = one_in(200);
	if (cancels && !call->done && !fiber_wait(&call->waiter, world_now() + draw_between(0, 50) * MS) && !call->done)
		store_cancel(s, &call->op);
	while (!call->done)
		fiber_wait(&call->waiter, NEVER);
}

int clients_submit(struct machine *m, const struct command *command, struct command_result *result, uint64_t *sequence)
{
	struct call *call = calloc(1, sizeof(*call));
	struct store *s = m->store;
	call->op.done = on_done;
	store_submit(s, command, &call->op);
	await(call, s);
	*result = call->op.result;
	if (sequence)
		*sequence = call->op.sequence;
	int error = call->op.result.error;
	free(call);
	return error;
}

static int barrier(struct client *c)
{
	struct call *call = calloc(1, sizeof(*call));
	struct store *s = c->machine->store;
	call->op.done = on_done;
	store_barrier(s, &call->op);
	await(call, s);
	int error = call->op.result.error;
	free(call);
	return error;
}

/* --- reading --- */

static struct version_seen *version_slot(struct version_seen *table, size_t slots, uint64_t key, uint64_t revision)
{
	size_t i = (size_t)((key * 31 + revision) * 0x9e3779b97f4a7c15u >> 20) & (slots - 1);
	while (table[i].revision != 0 && (table[i].key != key || table[i].revision != revision))
		i = (i + 1) & (slots - 1);
	return &table[i];
}

static void grow_versions(void)
{
	size_t slots = W->versions_slots ? 2 * W->versions_slots : 1024;
	struct version_seen *table = world_zalloc(slots * sizeof(*table));
	for (size_t i = 0; i < W->versions_slots; i++)
		if (W->versions[i].revision != 0)
			*version_slot(table, slots, W->versions[i].key, W->versions[i].revision) = W->versions[i];
	heap_free(W->versions);
	W->versions = table;
	W->versions_slots = slots;
}

static void note_version(struct client *c, uint64_t key, uint64_t revision, const uint64_t *seen, uint32_t count)
{
	uint64_t hash = count + 1;
	for (uint32_t i = 0; i < count; i++)
		hash = (hash ^ seen[i]) * 0x9e3779b97f4a7c15u;
	if (2 * W->versions_count >= W->versions_slots)
		grow_versions();
	struct version_seen *v = version_slot(W->versions, W->versions_slots, key, revision);
	if (v->revision == 0) {
		*v = (struct version_seen){key, revision, hash};
		W->versions_count++;
	} else if (v->hash != hash) {
		violated("machine %u reads another content of key %llu at revision %llu than was read before", c->machine->number,
			 (unsigned long long)key, (unsigned long long)revision);
	}
}

/* The ids of a content; what lies between them is zeros. */
static uint32_t parse(const uint64_t *words, size_t count, uint64_t *seen)
{
	uint32_t found = 0;
	for (size_t i = 0; i < count; i++)
		if (words[i] != 0)
			seen[found++] = words[i];
	return found;
}

static struct span key_text(uint64_t key, char *text)
{
	return (struct span){text, (size_t)snprintf(text, 16, "k%llu", (unsigned long long)key)};
}

/* What this machine has of the key now. count LIN_ABSENT: nothing. `seen` is the world's to keep. */
static int look(struct client *c, uint64_t key, uint64_t **seen, uint32_t *count)
{
	struct mvcc *m = store_mvcc(c->machine->store);
	struct record r;
	char text[16];
	*seen = NULL;
	*count = LIN_ABSENT;
	int error = mvcc_get(m, key_text(key, text), 0, &r);
	if (error)
		return error == -ENOENT ? 0 : error;
	size_t size = r.size;
	uint64_t *words = malloc(size + 8);
	uint64_t revision = r.modified.main;
	ssize_t got = mvcc_read(m, &r, 0, words, size);
	record_done(&r);
	if (got >= 0 && (size_t)got == size && size % 8 == 0) {
		*seen = world_alloc(size + 8);
		*count = parse(words, size / 8, *seen);
		note_version(c, key, revision, *seen, *count);
	} else if (got >= 0) {
		violated("machine %u reads %zd of %zu bytes of key %llu", c->machine->number, got, size, (unsigned long long)key);
	}
	free(words);
	return got < 0 ? (int)got : 0;
}

/* Zeros lie between the ids: the file is longer than they are. */
static bool seen_is_padded(struct client *c, uint64_t key, uint32_t count)
{
	struct record r;
	char text[16];
	if (mvcc_get(store_mvcc(c->machine->store), key_text(key, text), 0, &r) != 0)
		return true;
	bool padded = r.size != count * sizeof(uint64_t);
	record_done(&r);
	return padded;
}

static void read_linearizable(struct client *c, uint64_t key)
{
	uint64_t *seen;
	uint32_t count;
	uint32_t op = invoke(c, &(struct lin_op){.kind = LIN_READ, .key = key});
	int error = barrier(c);
	if (error == 0)
		error = look(c, key, &seen, &count);
	if (error == 0) {
		W->ops[op].seen = seen;
		W->ops[op].seen_count = count;
	}
	answered(c, error == 0 ? LIN_OK : LIN_FAILED, error);
}

/* From this machine's own state: never goes backwards, and includes its own writes. */
static void read_serial(struct client *c, uint64_t key)
{
	uint64_t *seen;
	uint32_t count;
	uint64_t revision = mvcc_revision(store_mvcc(c->machine->store));
	if (revision < c->serial_revision)
		violated("machine %u's serial reads go back from revision %llu to %llu", c->machine->number,
			 (unsigned long long)c->serial_revision, (unsigned long long)revision);
	c->serial_revision = revision;
	if (look(c, key, &seen, &count) == 0)
		heap_free(seen);
	happened(HAPPENED_serial_read, c->machine->number, revision, 0);
}

/* --- writing --- */

static enum lin_outcome outcome_of(int error)
{
	switch (error) {
	case 0:
		return LIN_OK;
	case -ENOENT:
	case -EEXIST:
		return LIN_REFUSED;
	default:
		return LIN_UNKNOWN;
	}
}

static void run(struct client *c, const struct lin_op *op, struct command *command)
{
	struct command_result result;
	char text[16], text2[16];
	uint32_t number = invoke(c, op);
	(void)number;
	command->key = key_text(op->key, text);
	if (op->kind == LIN_RENAME)
		command->key2 = key_text(op->other, text2);
	command->mode = 0644;
	int error = clients_submit(c->machine, command, &result, NULL);
	bool held = result.count == 1; /* of a transaction: all its comparisons */
	writer_free(&result.reply);
	if (error != 0 && error != -ENOENT && error != -EEXIST && error != -ETIMEDOUT && error != -EINTR && error != -ESHUTDOWN &&
	    error != -EIO)
		violated("machine %u answers a write with error %d", c->machine->number, error);
	if (error == 0 && result.revision > mvcc_revision(store_mvcc(c->machine->store)))
		violated("machine %u answers a write before it has applied it", c->machine->number);
	if (error == 0 && c->serial_revision < result.revision)
		c->serial_revision = result.revision;
	answered(c, op->kind == LIN_SWAP && error == 0 && !held ? LIN_REFUSED : outcome_of(error), error);
}

/* The id, and zeros behind it. */
static uint64_t *content_of(uint64_t id, size_t *size)
{
	*size = 8;
	if (W->habits.large_permille > 0 && draw_below(1000) < W->habits.large_permille)
		*size = LARGE_BYTES + draw_below(LARGE_BYTES / 8) * 8;
	else if (one_in(10))
		*size = PADDED_BYTES;
	uint64_t *words = calloc(1, *size);
	words[0] = id;
	return words;
}

static void write_ranges(struct client *c, enum lin_kind kind, uint64_t key, uint32_t flags, bool cut)
{
	uint64_t id = ++W->values;
	size_t size;
	uint64_t *words = content_of(id, &size);
	struct command_range range = {0, {words, size}};
	struct command command = {.type = COMMAND_WRITE,
				  .write_flags = flags,
				  .truncate_to = cut ? 0 : COMMAND_NO_TRUNCATE,
				  .ranges = &range,
				  .ranges_count = 1};
	run(c, &(struct lin_op){.kind = kind, .key = key, .value = id}, &command);
	free(words);
}

static void put(struct client *c, uint64_t key)
{
	uint64_t id = ++W->values;
	size_t size;
	uint64_t *words = content_of(id, &size);
	struct command command = {.type = COMMAND_PUT, .truncate_to = COMMAND_NO_TRUNCATE, .value = {words, size}};
	run(c, &(struct lin_op){.kind = LIN_WRITE, .key = key, .value = id}, &command);
	free(words);
}

static void delete (struct client *c, uint64_t key)
{
	struct command command = {.type = COMMAND_UNLINK, .truncate_to = COMMAND_NO_TRUNCATE};
	run(c, &(struct lin_op){.kind = LIN_DELETE, .key = key}, &command);
}

static void move(struct client *c, uint64_t key)
{
	struct command command = {.type = COMMAND_RENAME, .truncate_to = COMMAND_NO_TRUNCATE};
	run(c, &(struct lin_op){.kind = LIN_RENAME, .key = key, .other = key ^ 1}, &command);
}

/* The file is replaced if it still holds what this machine has of it. */
static void swap(struct client *c, uint64_t key)
{
	uint64_t *seen, id = ++W->values;
	uint32_t count;
	char name[16];
	struct writer w = {0};
	if (look(c, key, &seen, &count) != 0 || count == LIN_ABSENT || count > SWAP_IDS_MAX || seen_is_padded(c, key, count))
		return;
	struct txn_compare compare = {
		.target = TXN_VALUE, .relation = TXN_EQUAL, .key = key_text(key, name), .value = {seen, count * sizeof(*seen)}};
	struct txn_op put_new = {.type = TXN_PUT, .key = compare.key, .value = {&id, sizeof(id)}};
	struct txn t = {.compares = &compare, .compares_count = 1, .ops = {NULL, &put_new}, .ops_count = {0, 1}};
	txn_encode(&w, &t);
	struct command command = {.type = COMMAND_TXN, .truncate_to = COMMAND_NO_TRUNCATE, .value = {w.data, w.size}};
	run(c, &(struct lin_op){.kind = LIN_SWAP, .key = key, .value = id, .seen = seen, .seen_count = count}, &command);
	writer_free(&w);
}

/* Keys 0 and 1, 2 and 3 are renamed to each other; the others never are. */
static void change(struct client *c, uint64_t key)
{
	uint64_t what = draw_below(100);
	if (what < 10 && W->habits.uses_more)
		swap(c, key);
	else if (what < 50)
		write_ranges(c, LIN_APPEND, key, WRITE_APPEND | WRITE_CREATE, false);
	else if (what < 65)
		put(c, key);
	else if (what < 72)
		write_ranges(c, LIN_WRITE, key, WRITE_CREATE, true);
	else if (what < 86)
		write_ranges(c, LIN_CREATE, key, WRITE_CREATE | WRITE_EXCL, false);
	else if (what < 94 || key > 3)
		delete (c, key);
	else
		move(c, key);
}

/* --- life --- */

/* The last client of a machine only reads: it is not held up by writes that wait for a majority. */
static bool only_reads(const struct client *c)
{
	return W->habits.per_machine > 1 && c == &W->clients[c->machine->number - 1][W->habits.per_machine - 1];
}

static void act(struct client *c)
{
	uint64_t key = draw_below(W->habits.keys);
	if (W->habits.uses_more && one_in(4))
		uses_act(c->machine);
	else if (!only_reads(c) && draw_below(100) >= W->habits.read_percent)
		change(c, key);
	else if (one_in(3))
		read_serial(c, key);
	else
		read_linearizable(c, key);
}

/* The last write of a machine goes to a key of its own. */
static void finish(struct client *c)
{
	while (!W->finished[c->machine->number - 1] && !c->machine->stopping) {
		uint32_t last = W->ops_count;
		put(c, 1000 + c->machine->number);
		W->finished[c->machine->number - 1] = W->ops[last].outcome == LIN_OK;
		fiber_sleep(50 * MS);
	}
	read_linearizable(c, draw_below(W->habits.keys));
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	while (!c->machine->stopping) {
		fiber_sleep((int64_t)draw_below((uint64_t)W->habits.pause_ns_max) / (only_reads(c) ? 2 : 1));
		if (c->machine->stopping)
			break;
		if (!W->finishing) {
			act(c);
			continue;
		}
		if (c == &W->clients[c->machine->number - 1][0])
			finish(c);
		break;
	}
	c->at_work = false;
	return NULL;
}

void clients_start(struct machine *m)
{
	for (uint32_t i = 0; i < W->habits.per_machine; i++) {
		struct client *c = &W->clients[m->number - 1][i];
		*c = (struct client){.machine = m, .number = m->number * 10 + i, .at_work = true, .op = NO_OP};
		fiber_start(m, client_main, c);
	}
	if (W->habits.uses_more)
		W->watcher[m->number - 1] = fiber_start(m, uses_watch, m);
}

void clients_await_end(struct machine *m)
{
	for (uint32_t i = 0; i < W->habits.per_machine; i++)
		while (W->clients[m->number - 1][i].at_work)
			fiber_sleep(MS);
	while (W->habits.uses_more && !fiber_over(W->watcher[m->number - 1]))
		fiber_sleep(MS);
}

void clients_machine_died(struct machine *m)
{
	for (uint32_t i = 0; i < W->habits.per_machine; i++) {
		struct client *c = &W->clients[m->number - 1][i];
		if (c->at_work && c->op != NO_OP)
			happened(W->ops[c->op].kind == LIN_READ ? HAPPENED_read_unanswered : HAPPENED_write_unknown, m->number, c->op, 0);
		c->at_work = false;
	}
}

void clients_finish(void)
{
	W->finishing = true;
}

void clients_check_finished(void)
{
	for (uint32_t i = 0; i < machines_count; i++)
		if (!machines[i].damaged && admin_is_member(&machines[i]) && !W->finished[i])
			violated("machine %u could not write although all has been healed", i + 1);
}

void clients_check_history(void)
{
	struct lin_history *h = lin_new();
	struct lin_result result;
	for (uint32_t i = 0; i < W->ops_count; i++)
		lin_add(h, &W->ops[i]);
	lin_check(h, NULL, &result);
	if (result.verdict == LIN_BAD)
		violated("not linearizable: key %llu, op %u\n%s", (unsigned long long)result.key, result.op, result.report);
	else if (result.verdict == LIN_GAVE_UP)
		happened(HAPPENED_gave_up, 0, result.key, result.steps);
	lin_free(h);
}
