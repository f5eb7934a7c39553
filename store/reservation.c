/* reservation.c: the table of reservations, and how it is kept.
 *
 *   name   reserve/SLOT in decimal; a new one takes the lowest that is free, so that few names serve many reservations
 *   value  u64 origin, u64 epoch, u64 sequence, i64 time_ns, bytes key. Valid: the key as command_key_valid has it. */
#include "store/reservation.h"

#include "base/crc32c.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "reserve/"
#define NAME_BYTES 24

static struct span copy_key(struct span key)
{
	void *copy = malloc(key.size);
	if (!copy)
		abort();
	memcpy(copy, key.data, key.size);
	return (struct span){copy, key.size};
}

static uint32_t hash_of(struct span key)
{
	return crc32c(0, key.data, key.size);
}

static void set(struct reservations *r, uint32_t slot, const struct reservation *one)
{
	r->slots[slot] = *one;
	r->slots[slot].key = copy_key(one->key);
	r->slots[slot].hash = hash_of(one->key);
	r->count++;
	if (r->end <= slot)
		r->end = slot + 1;
}

static int load_one(void *ctx, struct span name, struct span value)
{
	struct reservations *all = ctx;
	char text[NAME_BYTES];
	size_t prefix = strlen(PREFIX);
	if (name.size < prefix || memcmp(name.data, PREFIX, prefix) != 0)
		return 0;
	if (name.size == prefix || name.size >= sizeof(text))
		return -EBADMSG;
	memcpy(text, name.data, name.size);
	text[name.size] = 0;
	char *end;
	unsigned long slot = strtoul(text + prefix, &end, 10);
	struct reader r = reader_over(value.data, value.size);
	struct reservation one = {.origin = reader_u64(&r)};
	one.epoch = reader_u64(&r);
	one.sequence = reader_u64(&r);
	one.time_ns = (int64_t)reader_u64(&r);
	one.key = reader_bytes(&r, MVCC_KEY_MAX);
	if (*end || one.time_ns < 0 || slot >= RESERVATIONS_MAX || all->slots[slot].key.data || !reader_done(&r) ||
	    !command_key_valid(one.key))
		return -EBADMSG;
	set(all, (uint32_t)slot, &one);
	return 0;
}

int reservations_load(struct reservations *r, struct mvcc *m)
{
	return mvcc_each_meta(m, load_one, r);
}

void reservations_done(struct reservations *r)
{
	for (uint32_t slot = 0; slot < r->end; slot++) {
		free((void *)r->slots[slot].key.data);
		r->slots[slot] = (struct reservation){0};
	}
	r->count = r->end = 0;
}

uint32_t reservations_find(const struct reservations *r, struct span key, uint32_t from)
{
	if (r->count == 0)
		return RESERVATIONS_MAX;
	uint32_t hash = hash_of(key);
	for (uint32_t slot = from; slot < r->end; slot++) {
		const struct reservation *one = &r->slots[slot];
		if (one->key.data && one->hash == hash && one->key.size == key.size && memcmp(one->key.data, key.data, key.size) == 0)
			return slot;
	}
	return RESERVATIONS_MAX;
}

bool reservation_is_own(const struct reservation *r, const struct command *c)
{
	return r->sequence == c->reservation && r->origin == c->id.origin && r->epoch == c->id.epoch;
}

bool reservation_is_live(const struct reservation *r, const struct sessions *sessions, int64_t now_ns)
{
	const struct session *origin = sessions_find(sessions, r->origin);
	return now_ns - r->time_ns < RESERVATION_NS && origin && origin->epoch == r->epoch;
}

static void keep(struct mvcc *m, uint32_t slot, const struct reservation *one)
{
	char name[NAME_BYTES];
	struct writer w = {0};
	snprintf(name, sizeof(name), PREFIX "%u", slot);
	if (one) {
		writer_u64(&w, one->origin);
		writer_u64(&w, one->epoch);
		writer_u64(&w, one->sequence);
		writer_u64(&w, (uint64_t)one->time_ns);
		writer_bytes(&w, one->key.data, one->key.size);
	}
	mvcc_put_meta(m, (struct span){name, strlen(name)}, (struct span){w.data, w.size});
	writer_free(&w);
}

void reservations_add(struct reservations *r, struct mvcc *m, const struct command_id *id, int64_t time_ns, struct span key)
{
	const struct reservation one = {.origin = id->origin, .epoch = id->epoch, .sequence = id->sequence, .time_ns = time_ns, .key = key};
	uint32_t slot = 0;
	while (slot < r->end && r->slots[slot].key.data)
		slot++;
	assert(slot < RESERVATIONS_MAX);
	set(r, slot, &one);
	keep(m, slot, &one);
}

void reservations_move(struct reservations *r, struct mvcc *m, uint32_t slot, struct span key)
{
	struct reservation *one = &r->slots[slot];
	if (!one->key.data)
		return;
	free((void *)one->key.data);
	one->key = copy_key(key);
	one->hash = hash_of(key);
	keep(m, slot, one);
}

void reservations_drop(struct reservations *r, struct mvcc *m, uint32_t slot)
{
	struct reservation *one = &r->slots[slot];
	if (!one->key.data)
		return;
	free((void *)one->key.data);
	*one = (struct reservation){0};
	r->count--;
	while (r->end > 0 && !r->slots[r->end - 1].key.data)
		r->end--;
	keep(m, slot, NULL);
}
