/* lock_rules.c: which locks exclude each other, who waits for whom. Nothing here changes anything. */
#include "store/lock_inside.h"

bool lock_same_owner(const struct lock *a, const struct lock *b)
{
	return a->kind == b->kind && a->session == b->session && a->owner == b->owner;
}

bool lock_overlaps(const struct lock *a, const struct lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

bool lock_conflicts(const struct lock *a, const struct lock *b)
{
	return a->kind == b->kind && (a->exclusive || b->exclusive) && lock_overlaps(a, b) && !lock_same_owner(a, b);
}

/* Who holds a part of it need not stand behind those who may be waiting for that very part; but an flock that is to become exclusive is given up first. */
static bool stands_in_line(const struct locked_file *f, const struct lock *want)
{
	for (uint32_t i = 0; i < f->held.count; i++)
		if (lock_same_owner(&f->held.items[i]->lock, want) && lock_overlaps(&f->held.items[i]->lock, want))
			return want->kind == LOCK_KIND_FLOCK && !f->held.items[i]->lock.exclusive;
	return true;
}

const struct entry *rules_blocker(const struct locked_file *f, const struct lock *want, uint32_t upto, uint32_t *at)
{
	for (; *at < f->held.count; ++*at)
		if (lock_conflicts(&f->held.items[*at]->lock, want))
			return f->held.items[(*at)++];
	if (!stands_in_line(f, want))
		return NULL;
	for (uint32_t i; (i = *at - f->held.count) < upto; ++*at)
		if (lock_conflicts(&f->waiting.items[i]->lock, want)) {
			++*at;
			return f->waiting.items[i];
		}
	return NULL;
}

struct search {
	const struct table *t;
	const struct lock *want;
	const struct lock *owners[LOCKS_DEADLOCK_OWNERS_MAX]; /* met so far */
	uint32_t count;
};

/* Adds the owners that `want` waits for. Is one of them who asks? */
static bool follow(struct search *s, const struct locked_file *f, const struct lock *want, uint32_t upto)
{
	const struct entry *e;
	uint32_t at = 0;
	while ((e = rules_blocker(f, want, upto, &at))) {
		bool met = false;
		if (lock_same_owner(&e->lock, s->want))
			return true;
		for (uint32_t i = 0; i < s->count && !met; i++)
			met = lock_same_owner(s->owners[i], &e->lock);
		if (!met && s->count < LOCKS_DEADLOCK_OWNERS_MAX)
			s->owners[s->count++] = &e->lock;
	}
	return false;
}

static bool follow_waiters_of(struct search *s, const struct lock *owner)
{
	for (uint32_t i = 0; i < s->t->files_count; i++) {
		const struct locked_file *f = s->t->files[i];
		for (uint32_t k = 0; k < f->waiting.count; k++)
			if (lock_same_owner(&f->waiting.items[k]->lock, owner) && follow(s, f, &f->waiting.items[k]->lock, k))
				return true;
	}
	return false;
}

bool rules_deadlock(const struct table *t, const struct lock *want)
{
	struct search s = {.t = t, .want = want};
	const struct locked_file *f = table_file(t, want->ino);
	if (!f || t->waiting_count == 0)
		return false;
	bool found = follow(&s, f, want, f->waiting.count);
	for (uint32_t i = 0; i < s.count && !found; i++)
		found = follow_waiters_of(&s, s.owners[i]);
	return found;
}

/* Pieces of an owner do not overlap, so bytes can be counted; all 2^64 of them are one too many for that. */
bool rules_covered(const struct locked_file *f, const struct lock *want)
{
	uint64_t missing = want->end - want->start;
	bool one = false;
	for (uint32_t i = 0; f && i < f->held.count; i++) {
		const struct lock *has = &f->held.items[i]->lock;
		if (!lock_same_owner(has, want) || !lock_overlaps(has, want) || has->exclusive != want->exclusive)
			continue;
		uint64_t from = has->start > want->start ? has->start : want->start;
		uint64_t to = has->end < want->end ? has->end : want->end;
		if (!one && to - from == missing)
			return true;
		missing -= to - from + one;
		one = true;
		if (missing == 0)
			return true;
	}
	return false;
}
