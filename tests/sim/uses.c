/* A pair of keys is always put by one transaction, with the same value: nobody may ever see two values. What watchers are told of a revision must be the
 * same for all of them, in order, and nothing may be left out. */
#include "tests/sim/uses.h"
#include "store/txn.h"
#include "store/watch.h"
#include "tests/sim/clients.h"
#include "tests/sim/heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASES 4u
#define EXCLUSIVE_MAX 1024u
#define SEEN_NOTHING 1u /* in place of a hash: whoever watched saw that nothing happened */

static struct {
	uint64_t values;
	uint64_t *told; /* by revision: the hash of its events */
	size_t told_capacity;
	uint64_t exclusive; /* the file that is to be made now */
	uint8_t winners[EXCLUSIVE_MAX];
	uint64_t next[MACHINES_MAX]; /* where its watcher goes on */
} uses;

void uses_begin(void)
{
	memset(&uses, 0, sizeof(uses));
	for (uint32_t i = 0; i < MACHINES_MAX; i++)
		uses.next[i] = 2;
}

static struct span text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static int submit(struct machine *m, struct command *c, uint64_t *sequence)
{
	struct command_result result;
	c->truncate_to = COMMAND_NO_TRUNCATE;
	int error = clients_submit(m, c, &result, sequence);
	happened(HAPPENED_used, m->number, c->type, (uint64_t)(int64_t)error);
	writer_free(&result.reply);
	return error;
}

/* --- transactions --- */

static void put_pair(struct machine *m)
{
	uint64_t value = ++uses.values;
	struct span bytes = {&value, sizeof(value)};
	struct txn_op ops[] = {{.type = TXN_PUT, .key = text("pair/a"), .value = bytes},
			       {.type = TXN_PUT, .key = text("pair/b"), .value = bytes}};
	struct txn t = {.ops = {NULL, ops}, .ops_count = {0, 2}};
	struct writer w = {0};
	txn_encode(&w, &t);
	submit(m, &(struct command){.type = COMMAND_TXN, .value = {w.data, w.size}}, NULL);
	writer_free(&w);
}

/* 0: not there. */
static uint64_t value_at(struct mvcc *mvcc, const char *key, uint64_t revision, int *error)
{
	struct record r;
	uint64_t value = 0;
	int rc = mvcc_get(mvcc, text(key), revision, &r);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0) {
		if (mvcc_read(mvcc, &r, 0, &value, sizeof(value)) < 0)
			rc = -EIO;
		record_done(&r);
	}
	*error = rc ? rc : *error;
	return value;
}

static void look_at_pair(struct machine *m)
{
	struct mvcc *mvcc = store_mvcc(m->store);
	uint64_t now = mvcc_revision(mvcc), revision = now - draw_below(now < 20 ? now : 20);
	int error = 0;
	uint64_t a = value_at(mvcc, "pair/a", revision, &error);
	uint64_t b = value_at(mvcc, "pair/b", revision, &error);
	if (error == 0 && a != b)
		violated("machine %u sees half a transaction at revision %llu: %llu and %llu", m->number, (unsigned long long)revision,
			 (unsigned long long)a, (unsigned long long)b);
}

/* --- leases and compaction --- */

static void lease(struct machine *m)
{
	static const uint8_t types[] = {COMMAND_LEASE_GRANT, COMMAND_LEASE_REVOKE, COMMAND_LEASE_KEEPALIVE, COMMAND_LEASE_KEEPALIVE};
	struct command c = {.type = types[draw_below(sizeof(types))], .lease = 1 + draw_below(LEASES)};
	if (c.type == COMMAND_LEASE_GRANT)
		c.ttl_s = (uint32_t)draw_between(1, 5);
	submit(m, &c, NULL);
}

static void put_leased(struct machine *m)
{
	char key[32];
	snprintf(key, sizeof(key), "leased/%llu", (unsigned long long)draw_below(4));
	submit(m,
	       &(struct command){.type = COMMAND_PUT,
				 .key = text(key),
				 .value = text("x"),
				 .write_flags = WRITE_LEASED,
				 .lease = 1 + draw_below(LEASES)},
	       NULL);
}

static void compact(struct machine *m)
{
	uint64_t now = mvcc_revision(store_mvcc(m->store));
	submit(m, &(struct command){.type = COMMAND_COMPACT, .revision = now - draw_below(now < 60 ? now : 60)}, NULL);
}

/* Several try to make the same file, each reserving it first, as O_EXCL does: one of them may succeed. It is never deleted. */
static void make_exclusively(struct machine *m)
{
	char key[32];
	uint64_t number = uses.exclusive, sequence = 0;
	if (one_in(6) && uses.exclusive + 1 < EXCLUSIVE_MAX)
		uses.exclusive++;
	snprintf(key, sizeof(key), "excl%llu", (unsigned long long)number);
	struct command reserve = {.type = COMMAND_RESERVE, .key = text(key)};
	if (submit(m, &reserve, &sequence) != 0)
		return;
	struct command_range range = {0, {&sequence, sizeof(sequence)}};
	struct command make = {.type = COMMAND_WRITE,
			       .key = text(key),
			       .write_flags = WRITE_CREATE | WRITE_EXCL,
			       .ranges = &range,
			       .ranges_count = 1,
			       .reservation = sequence,
			       .mode = 0644};
	if (submit(m, &make, NULL) == 0 && ++uses.winners[number] > 1)
		violated("machine %u has made %s exclusively, which another one had made before", m->number, key);
}

void uses_act(struct machine *m)
{
	uint64_t what = draw_below(15);
	if (what < 3)
		put_pair(m);
	else if (what < 7)
		look_at_pair(m);
	else if (what < 9)
		lease(m);
	else if (what < 11)
		put_leased(m);
	else if (what < 14)
		make_exclusively(m);
	else
		compact(m);
}

/* --- watching --- */

struct heard {
	uint64_t main;
	uint64_t hash;
};

static void format_hash(struct writer *out, const struct mvcc_event *e)
{
	struct heard h = {e->rev.main, e->type};
	const struct span parts[] = {e->key, e->to};
	for (uint32_t i = 0; i < 2; i++)
		for (size_t k = 0; k < parts[i].size; k++)
			h.hash = (h.hash ^ ((const uint8_t *)parts[i].data)[k]) * 0x100000001b3u;
	writer_raw(out, &h, sizeof(h));
}

static void note(const struct machine *m, uint64_t revision, uint64_t hash)
{
	if (revision >= uses.told_capacity) {
		size_t capacity = 2 * (size_t)revision + 1024;
		uses.told = heap_resize(HEAP_WORLD, uses.told, capacity * sizeof(*uses.told));
		memset(uses.told + uses.told_capacity, 0, (capacity - uses.told_capacity) * sizeof(*uses.told));
		uses.told_capacity = capacity;
	}
	if (uses.told[revision] == 0)
		uses.told[revision] = hash;
	else if (uses.told[revision] != hash)
		violated("machine %u is told something else of revision %llu than others were", m->number, (unsigned long long)revision);
}

static void take(struct machine *m, const struct writer *out)
{
	uint64_t *next = &uses.next[m->number - 1];
	for (size_t at_byte = 0; at_byte < out->size;) {
		struct heard h;
		uint64_t hash = 0x9e37, revision;
		memcpy(&h, out->data + at_byte, sizeof(h));
		revision = h.main;
		if (revision < *next)
			violated("machine %u is told of revision %llu again", m->number, (unsigned long long)revision);
		for (; *next < revision; ++*next)
			note(m, *next, SEEN_NOTHING);
		for (; at_byte < out->size && h.main == revision; at_byte += sizeof(h)) {
			hash = (hash ^ h.hash) * 0x9e3779b97f4a7c15u;
			if (at_byte + sizeof(h) < out->size)
				memcpy(&h, out->data + at_byte + sizeof(h), sizeof(h));
		}
		note(m, revision, hash | 2);
		*next = revision + 1;
		happened(HAPPENED_watched, m->number, revision, hash);
	}
}

void *uses_watch(void *machine)
{
	struct machine *m = machine;
	struct watch_hub *hub = store_watch(m->store);
	struct watch_batch batch = {.format = format_hash, .bytes_soft = 4096, .bytes_hard = 1 << 20};
	struct watch w = {0};
	watch_begin(hub, &w, text(""), true, uses.next[m->number - 1]);
	while (!m->stopping) {
		fiber_sleep((int64_t)draw_below(400 * MS));
		writer_clear(&batch.out);
		batch.events = 0;
		int error = watch_read(hub, &w, &batch);
		if (error == 0) {
			take(m, &batch.out);
			continue;
		}
		if (error != -ENODATA)
			break;
		happened(HAPPENED_fell_behind, m->number, uses.next[m->number - 1], 0);
		watch_end(&w);
		uses.next[m->number - 1] = watch_oldest(hub);
		watch_begin(hub, &w, text(""), true, uses.next[m->number - 1]);
	}
	watch_end(&w);
	writer_free(&batch.out);
	return NULL;
}
