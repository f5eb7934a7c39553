/* What the checks know, and the last of them: that all come to hold the same. */
#include "tests/sim/checks.h"
#include "tests/sim/admin.h"
#include "tests/sim/checks_view.h"
#include "tests/sim/heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct checks checks;

void checks_begin(void)
{
	memset(&checks, 0, sizeof(checks));
}

uint64_t checks_committed(void)
{
	return checks.committed_last;
}

struct view *checks_view(const struct machine *m)
{
	struct view *v = checks.of_machine[m->number - 1];
	return v ? v : &checks.nobody;
}

struct view *checks_view_of_id(uint64_t id)
{
	for (uint32_t i = 0; i < checks.views_count; i++)
		if (checks.views[i]->id == id)
			return checks.views[i];
	return NULL;
}

void checks_become(const struct machine *m, uint64_t id)
{
	struct view *v = checks_view_of_id(id);
	if (!v) {
		if (checks.views_count == VIEWS_MAX)
			abort();
		v = checks.views[checks.views_count++] = world_zalloc(sizeof(*v));
		v->id = id;
	}
	checks.of_machine[m->number - 1] = v;
}

struct view *checks_view_now(void)
{
	return checks_view(machine_now());
}

uint64_t checks_hash(uint64_t h, const void *data, size_t size)
{
	const uint8_t *p = data;
	uint64_t word;
	for (; size >= 8; p += 8, size -= 8) {
		memcpy(&word, p, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 32;
	}
	for (; size > 0; p++, size--)
		h = (h ^ *p) * 0x100000001b3u;
	return h ^ (h >> 29);
}

uint64_t checks_hash_number(uint64_t h, uint64_t number)
{
	return checks_hash(h, &number, sizeof(number));
}

void *checks_reach(void *array, size_t *capacity, size_t place, size_t size)
{
	if (place < *capacity)
		return array;
	size_t wanted = place < 512 ? 1024 : 2 * place;
	array = heap_resize(HEAP_WORLD, array, wanted * size);
	memset((uint8_t *)array + *capacity * size, 0, (wanted - *capacity) * size);
	*capacity = wanted;
	return array;
}

/* --- convergence --- */

struct audit {
	struct mvcc *mvcc;
	uint64_t hash;
};

static int audit_record(void *ctx, const struct record *r)
{
	struct audit *a = ctx;
	uint8_t bytes[4096];
	ssize_t got = S_ISREG(r->mode) ? 1 : 0;
	a->hash = checks_hash(a->hash, r->key.data, r->key.size);
	a->hash = checks_hash_number(checks_hash_number(checks_hash_number(a->hash, r->modified.main), r->ino), r->size);
	a->hash = checks_hash_number(checks_hash_number(a->hash, (uint64_t)r->mtime_ns), r->version);
	for (uint64_t at_byte = 0; got > 0; at_byte += (uint64_t)got) {
		got = mvcc_read(a->mvcc, r, at_byte, bytes, sizeof(bytes));
		if (got < 0)
			return (int)got;
		a->hash = checks_hash(a->hash, bytes, (size_t)got);
	}
	return 0;
}

static int audit_meta(void *ctx, struct span name, struct span value)
{
	struct audit *a = ctx;
	a->hash += checks_hash(checks_hash(1, name.data, name.size), value.data, value.size); /* they come in no order */
	return 0;
}

static void *audit_main(void *arg)
{
	struct machine *m = arg;
	struct audit a = {store_mvcc(m->store), 1};
	int error = mvcc_range(a.mvcc, (struct span){NULL, 0}, (struct span){NULL, 0}, 0, 0, audit_record, &a);
	if (error == 0)
		error = mvcc_each_meta(a.mvcc, audit_meta, &a);
	if (error && !m->damaged)
		violated("machine %u cannot read its store: error %d", m->number, error);
	checks_view(m)->audited = a.hash | 1;
	return NULL;
}

void checks_audit(void)
{
	for (uint32_t i = 0; i < machines_count; i++)
		if (machines[i].store)
			fiber_start(&machines[i], audit_main, &machines[i]);
}

void checks_converged(void)
{
	const struct machine *first = NULL;
	for (uint32_t i = 0; i < machines_count; i++) {
		struct machine *m = &machines[i];
		if (m->damaged || m->idle)
			continue;
		if (m->rejoins)
			violated("machine %u did not get a place again after it had lost its data", m->number);
		if (m->store && !admin_is_member(m))
			continue;
		if (!m->store) {
			violated("machine %u is not up, although all has been healed", m->number);
			continue;
		}
		uint64_t applied = mvcc_applied(m->store->mvcc);
		if (applied != checks.committed_last)
			violated("machine %u has applied %llu of %llu entries, long after all has been healed", m->number,
				 (unsigned long long)applied, (unsigned long long)checks.committed_last);
		if (!first)
			first = m;
		else if (checks_view(m)->audited != checks_view(first)->audited)
			violated("machines %u and %u have applied the same entries and hold different data", first->number, m->number);
	}
}

void checks_machine_died(struct machine *m)
{
	struct view *v = checks_view(m);
	v->role = RAFT_FOLLOWER;
	v->audited = 0;
}

void checks_forget(struct machine *m)
{
	checks.of_machine[m->number - 1] = NULL;
}
