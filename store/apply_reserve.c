/* apply_reserve.c: open(2) with O_CREAT|O_EXCL: who wins is decided at open, the file is made at close. */
#include "store/apply_commands.h"

#include <errno.h>

/* How often, by their number, the table is searched for dead reservations that nobody meets by their key. */
#define SWEEP_EVERY 64u
_Static_assert(RESERVATIONS_MAX % SWEEP_EVERY == 0, "a full table is swept");

static bool is_live(const struct plan *p, uint32_t slot)
{
	return reservation_is_live(&p->reservations->slots[slot], p->sessions, p->time_ns);
}

bool plan_reserved(struct plan *p, const struct command *c, struct span key)
{
	const struct reservations *all = p->reservations;
	uint32_t slot = reservations_find(all, key, 0);
	for (; slot < RESERVATIONS_MAX; slot = reservations_find(all, key, slot + 1))
		if (is_live(p, slot) && !reservation_is_own(&all->slots[slot], c))
			return true;
	return false;
}

void plan_unreserve(struct plan *p, struct span key)
{
	uint32_t slot = reservations_find(p->reservations, key, 0);
	for (; slot < RESERVATIONS_MAX; slot = reservations_find(p->reservations, key, slot + 1))
		writer_u32(&p->unreserved, slot);
}

bool plan_unreserve_own(struct plan *p, const struct command *c)
{
	const struct reservations *all = p->reservations;
	for (uint32_t slot = 0; c->reservation != 0 && slot < all->end; slot++)
		if (all->slots[slot].key.data && reservation_is_own(&all->slots[slot], c)) {
			writer_u32(&p->unreserved, slot);
			return true;
		}
	return false;
}

/* `key` is below `from`, and goes to the same place below `to`. */
static void move(struct plan *p, uint32_t slot, struct span from, struct span to)
{
	struct span key = p->reservations->slots[slot].key;
	size_t rest = key.size - from.size;
	if (to.size + rest > MVCC_KEY_MAX) {
		writer_u32(&p->unreserved, slot);
		return;
	}
	writer_u32(&p->reserved_moves, slot);
	writer_u32(&p->reserved_moves, (uint32_t)(to.size + rest));
	writer_raw(&p->reserved_moves, to.data, to.size);
	writer_raw(&p->reserved_moves, (const char *)key.data + from.size, rest);
}

void plan_move_reserved(struct plan *p, struct span from, struct span to)
{
	const struct reservations *all = p->reservations;
	for (uint32_t slot = 0; slot < all->end; slot++) {
		struct span key = all->slots[slot].key;
		if (!key.data)
			continue;
		if (key_is_below(key, from))
			move(p, slot, from, to);
		else if (key_is_below(key, to) && p->swap)
			move(p, slot, to, from);
		else if (key_is_below(key, to)) /* of a directory that is replaced, or was removed before */
			writer_u32(&p->unreserved, slot);
	}
}

void plan_commit_reserved(struct plan *p)
{
	struct reader ended = reader_over(p->unreserved.data, p->unreserved.size);
	while (reader_left(&ended) > 0)
		reservations_drop(p->reservations, p->m, reader_u32(&ended));
	struct reader moves = reader_over(p->reserved_moves.data, p->reserved_moves.size);
	while (reader_left(&moves) > 0) {
		uint32_t slot = reader_u32(&moves);
		reservations_move(p->reservations, p->m, slot, reader_bytes(&moves, MVCC_KEY_MAX));
	}
	if (p->reserve)
		reservations_add(p->reservations, p->m, &p->reserve->id, p->time_ns, p->reserve->key);
}

/* Ends those that are dead; how many stay. */
static uint32_t sweep(struct plan *p)
{
	const struct reservations *all = p->reservations;
	uint32_t left = all->count;
	for (uint32_t slot = 0; slot < all->end; slot++) {
		if (!all->slots[slot].key.data || is_live(p, slot))
			continue;
		writer_u32(&p->unreserved, slot);
		left--;
	}
	return left;
}

static int reserve(struct plan *p, const struct command *c)
{
	struct change *at;
	struct change *parent;
	int err = name_free(p, c, &parent, &at);
	if (err < 0)
		return err;
	uint32_t count = p->reservations->count;
	if (count > 0 && count % SWEEP_EVERY == 0 && sweep(p) == RESERVATIONS_MAX)
		return -EBUSY;
	plan_unreserve(p, c->key);
	p->reserve = c;
	return 0;
}

int apply_reserve(struct plan *p, const struct command *c)
{
	if (c->reservation == 0)
		return reserve(p, c);
	return plan_unreserve_own(p, c) ? 0 : -ENOENT;
}
