/* lease.c: the table of leases, and how it is kept.
 *
 *   name   lease/ID in 16 hex digits          value  u32 ttl_s, u64 renewals
 *   name   lease/ID/SLOT, in decimal          value  a key that is attached to it
 *
 * Valid: ID not 0, 1 <= ttl_s <= LEASE_TTL_S_MAX, renewals > 0, keys as command_key_valid has them, each once, and a lease for each key. A new key takes the
 * lowest slot that is free. */
#include "store/lease.h"

#include "base/crc32c.h"
#include "store/command.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "lease/"
#define PREFIX_BYTES 6u
#define ID_DIGITS 16u
#define NAME_BYTES 40

/* A key that is attached. */
struct attached {
	struct attached *next; /* in its bucket */
	struct lease *lease;
	uint32_t slot;
	uint32_t hash;
	size_t size;
	char key[];
};

struct lease {
	uint64_t id;
	uint32_t ttl_s;
	uint64_t renewals;
	struct attached **slots;
	uint32_t slots_count; /* the last one is taken */
	uint32_t slots_capacity;
	uint32_t free_from; /* no slot below it is free */
	/* this node's */
	uint64_t noted; /* the renewal that the time is counted from */
	int64_t until_ns;
	int64_t asked_ns;
};

/* What the store says. */
struct table {
	struct lease **items; /* by rising id */
	uint32_t count;
	uint32_t capacity;
	struct attached **buckets;
	uint32_t buckets_count; /* a power of two */
	uint32_t attached_count;
};

struct leases {
	pthread_mutex_t lock; /* taken by apply to change anything, by others to look */
	struct table has;
	uint64_t term;
};

struct leases *leases_new(void)
{
	struct leases *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

static void *grown(void *items, uint32_t *capacity, size_t item_bytes)
{
	*capacity = *capacity ? *capacity * 2 : 16;
	items = realloc(items, *capacity * item_bytes);
	if (!items)
		abort();
	return items;
}

static uint32_t place_of(const struct leases *l, uint64_t id)
{
	uint32_t low = 0;
	uint32_t high = l->has.count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (l->has.items[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct lease *find(const struct leases *l, uint64_t id)
{
	uint32_t at = place_of(l, id);
	return at < l->has.count && l->has.items[at]->id == id ? l->has.items[at] : NULL;
}

static struct lease *add(struct leases *l, uint64_t id)
{
	uint32_t at = place_of(l, id);
	if (l->has.count == l->has.capacity)
		l->has.items = grown(l->has.items, &l->has.capacity, sizeof(struct lease *));
	memmove(&l->has.items[at + 1], &l->has.items[at], (l->has.count - at) * sizeof(struct lease *));
	struct lease *one = calloc(1, sizeof(*one));
	if (!one)
		abort();
	one->id = id;
	l->has.items[at] = one;
	l->has.count++;
	return one;
}

static uint32_t hash_of(struct span key)
{
	return crc32c(0, key.data, key.size);
}

static struct attached **bucket_of(const struct leases *l, uint32_t hash)
{
	return &l->has.buckets[hash & (l->has.buckets_count - 1)];
}

static struct attached *find_key(const struct leases *l, struct span key)
{
	if (l->has.attached_count == 0)
		return NULL;
	uint32_t hash = hash_of(key);
	for (struct attached *a = *bucket_of(l, hash); a; a = a->next)
		if (a->hash == hash && a->size == key.size && memcmp(a->key, key.data, key.size) == 0)
			return a;
	return NULL;
}

static void grow_buckets(struct leases *l)
{
	struct attached **old = l->has.buckets;
	uint32_t old_count = l->has.buckets_count;
	l->has.buckets_count = old_count ? old_count * 2 : 64;
	l->has.buckets = calloc(l->has.buckets_count, sizeof(struct attached *));
	if (!l->has.buckets)
		abort();
	for (uint32_t i = 0; i < old_count; i++) {
		struct attached *next;
		for (struct attached *a = old[i]; a; a = next) {
			next = a->next;
			a->next = *bucket_of(l, a->hash);
			*bucket_of(l, a->hash) = a;
		}
	}
	free(old);
}

static void put_key(struct leases *l, struct lease *one, uint32_t slot, struct span key)
{
	struct attached *a = malloc(sizeof(*a) + key.size);
	if (!a)
		abort();
	*a = (struct attached){.lease = one, .slot = slot, .hash = hash_of(key), .size = key.size};
	memcpy(a->key, key.data, key.size);
	if (l->has.attached_count >= l->has.buckets_count)
		grow_buckets(l);
	a->next = *bucket_of(l, a->hash);
	*bucket_of(l, a->hash) = a;
	l->has.attached_count++;
	while (slot >= one->slots_capacity)
		one->slots = grown(one->slots, &one->slots_capacity, sizeof(struct attached *));
	for (; one->slots_count <= slot; one->slots_count++)
		one->slots[one->slots_count] = NULL;
	one->slots[slot] = a;
}

static void drop_key(struct leases *l, struct attached *a)
{
	struct lease *one = a->lease;
	struct attached **at = bucket_of(l, a->hash);
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	l->has.attached_count--;
	one->slots[a->slot] = NULL;
	if (a->slot < one->free_from)
		one->free_from = a->slot;
	while (one->slots_count > 0 && !one->slots[one->slots_count - 1])
		one->slots_count--;
	free(a);
}

static void drop(struct leases *l, struct lease *one)
{
	uint32_t at = place_of(l, one->id);
	while (one->slots_count > 0)
		drop_key(l, one->slots[one->slots_count - 1]);
	memmove(&l->has.items[at], &l->has.items[at + 1], (l->has.count - at - 1) * sizeof(struct lease *));
	l->has.count--;
	free(one->slots);
	free(one);
}

static void clear(struct leases *l)
{
	while (l->has.count > 0)
		drop(l, l->has.items[l->has.count - 1]);
}

void leases_free(struct leases *l)
{
	if (!l)
		return;
	clear(l);
	free(l->has.items);
	free(l->has.buckets);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

/* "lease/ID" or "lease/ID/SLOT"; of the first, *slot is -1. */
static bool name_parse(struct span name, uint64_t *id, int64_t *slot)
{
	char text[NAME_BYTES];
	char *end;
	if (name.size < PREFIX_BYTES + ID_DIGITS || name.size >= sizeof(text))
		return false;
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	errno = 0;
	*id = strtoull(text + PREFIX_BYTES, &end, 16);
	*slot = -1;
	if (errno || end != text + PREFIX_BYTES + ID_DIGITS || *id == 0)
		return false;
	if (*end == '\0')
		return true;
	if (*end != '/' || end[1] < '0' || end[1] > '9')
		return false;
	*slot = (int64_t)strtoul(end + 1, &end, 10);
	return *end == '\0' && *slot < UINT32_MAX / 2;
}

static int load_one(void *ctx, struct span name, struct span value)
{
	struct leases *l = ctx;
	uint64_t id;
	int64_t slot;
	if (name.size < PREFIX_BYTES || memcmp(name.data, PREFIX, PREFIX_BYTES) != 0)
		return 0;
	if (!name_parse(name, &id, &slot))
		return -EBADMSG;
	struct lease *one = find(l, id);
	one = one ? one : add(l, id);
	if (slot >= 0) {
		if (!command_key_valid(value) || find_key(l, value) || (slot < one->slots_count && one->slots[slot]))
			return -EBADMSG;
		put_key(l, one, (uint32_t)slot, value);
		return 0;
	}
	struct reader in = reader_over(value.data, value.size);
	one->ttl_s = reader_u32(&in);
	one->renewals = reader_u64(&in);
	bool valid = reader_done(&in) && one->ttl_s > 0 && one->ttl_s <= LEASE_TTL_S_MAX && one->renewals > 0;
	return valid ? 0 : -EBADMSG;
}

/* The store's lock comes before this one, so what the store says is read on the side. */
int leases_load(struct leases *l, struct mvcc *m)
{
	struct leases *loaded = leases_new();
	int err = mvcc_each_meta(m, load_one, loaded);
	for (uint32_t i = 0; i < loaded->has.count && err == 0; i++)
		err = loaded->has.items[i]->renewals > 0 ? 0 : -EBADMSG;
	if (err == 0) {
		pthread_mutex_lock(&l->lock);
		struct table was = l->has;
		l->has = loaded->has;
		loaded->has = was;
		pthread_mutex_unlock(&l->lock);
	}
	leases_free(loaded);
	return err;
}

uint64_t leases_renewals(struct leases *l, uint64_t id, uint32_t *ttl_s)
{
	const struct lease *one = find(l, id);
	*ttl_s = one ? one->ttl_s : 0;
	return one ? one->renewals : 0;
}

bool leases_full(struct leases *l)
{
	return l->has.count >= LEASES_MAX;
}

int leases_each_key(struct leases *l, uint64_t id, int (*fn)(void *ctx, struct span key), void *ctx)
{
	const struct lease *one = find(l, id);
	int rc = 0;
	for (uint32_t i = 0; one && i < one->slots_count && rc == 0; i++)
		if (one->slots[i])
			rc = fn(ctx, (struct span){one->slots[i]->key, one->slots[i]->size});
	return rc;
}

static void keep(struct mvcc *m, const struct lease *one, bool gone)
{
	char name[NAME_BYTES];
	struct writer w = {0};
	snprintf(name, sizeof(name), PREFIX "%016llx", (unsigned long long)one->id);
	if (!gone) {
		writer_u32(&w, one->ttl_s);
		writer_u64(&w, one->renewals);
	}
	mvcc_put_meta(m, (struct span){name, strlen(name)}, (struct span){w.data, w.size});
	writer_free(&w);
}

static void keep_key(struct mvcc *m, const struct lease *one, uint32_t slot, struct span key)
{
	char name[NAME_BYTES];
	snprintf(name, sizeof(name), PREFIX "%016llx/%u", (unsigned long long)one->id, slot);
	mvcc_put_meta(m, (struct span){name, strlen(name)}, key);
}

void leases_grant(struct leases *l, struct mvcc *m, uint64_t id, uint32_t ttl_s)
{
	assert(!find(l, id));
	pthread_mutex_lock(&l->lock);
	struct lease *one = add(l, id);
	one->ttl_s = ttl_s;
	one->renewals = 1;
	pthread_mutex_unlock(&l->lock);
	keep(m, one, false);
}

void leases_renew(struct leases *l, struct mvcc *m, uint64_t id)
{
	struct lease *one = find(l, id);
	pthread_mutex_lock(&l->lock);
	one->renewals++;
	pthread_mutex_unlock(&l->lock);
	keep(m, one, false);
}

void leases_revoke(struct leases *l, struct mvcc *m, uint64_t id)
{
	struct lease *one = find(l, id);
	for (uint32_t i = 0; i < one->slots_count; i++)
		if (one->slots[i])
			keep_key(m, one, i, (struct span){NULL, 0});
	keep(m, one, true);
	pthread_mutex_lock(&l->lock);
	drop(l, one);
	pthread_mutex_unlock(&l->lock);
}

void leases_detach(struct leases *l, struct mvcc *m, struct span key)
{
	struct attached *a = find_key(l, key);
	if (!a)
		return;
	keep_key(m, a->lease, a->slot, (struct span){NULL, 0});
	pthread_mutex_lock(&l->lock);
	drop_key(l, a);
	pthread_mutex_unlock(&l->lock);
}

void leases_attach(struct leases *l, struct mvcc *m, uint64_t id, struct span key)
{
	struct lease *one = find(l, id);
	const struct attached *a = find_key(l, key);
	if (a && a->lease == one)
		return;
	leases_detach(l, m, key);
	uint32_t slot = one->free_from;
	while (slot < one->slots_count && one->slots[slot])
		slot++;
	pthread_mutex_lock(&l->lock);
	put_key(l, one, slot, key);
	one->free_from = slot + 1;
	pthread_mutex_unlock(&l->lock);
	keep_key(m, one, slot, key);
}

static void begin_anew(struct lease *one, int64_t now_ns)
{
	one->noted = one->renewals;
	one->until_ns = now_ns + (int64_t)one->ttl_s * 1000000000;
	one->asked_ns = now_ns - LEASE_AGAIN_NS;
}

uint32_t leases_tick(struct leases *l, int64_t now_ns, uint64_t term, bool leads, struct lease_due *due, uint32_t max)
{
	uint32_t count = 0;
	pthread_mutex_lock(&l->lock);
	for (uint32_t i = 0; i < l->has.count; i++) {
		struct lease *one = l->has.items[i];
		if (one->noted != one->renewals || term != l->term)
			begin_anew(one, now_ns);
		if (!leads || count == max || now_ns < one->until_ns || now_ns - one->asked_ns < LEASE_AGAIN_NS)
			continue;
		due[count++] = (struct lease_due){one->id, one->renewals};
		one->asked_ns = now_ns;
	}
	l->term = term;
	pthread_mutex_unlock(&l->lock);
	return count;
}

int leases_look(struct leases *l, uint64_t id, int64_t now_ns, uint32_t *ttl_s, int64_t *remaining_ns, struct writer *keys)
{
	pthread_mutex_lock(&l->lock);
	const struct lease *one = find(l, id);
	if (one) {
		bool noted = one->noted == one->renewals;
		*ttl_s = one->ttl_s;
		*remaining_ns = !noted ? (int64_t)one->ttl_s * 1000000000 : one->until_ns > now_ns ? one->until_ns - now_ns : 0;
		for (uint32_t i = 0; keys && i < one->slots_count; i++)
			if (one->slots[i])
				writer_bytes(keys, one->slots[i]->key, one->slots[i]->size);
	}
	pthread_mutex_unlock(&l->lock);
	return one ? 0 : -ENOENT;
}

void leases_list(struct leases *l, struct writer *ids)
{
	pthread_mutex_lock(&l->lock);
	for (uint32_t i = 0; i < l->has.count; i++)
		writer_u64(ids, l->has.items[i]->id);
	pthread_mutex_unlock(&l->lock);
}

bool leases_any(struct leases *l)
{
	pthread_mutex_lock(&l->lock);
	bool any = l->has.count > 0;
	pthread_mutex_unlock(&l->lock);
	return any;
}
