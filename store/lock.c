#include "store/lock_inside.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct locks *locks_new(void)
{
	struct locks *l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->listener_lock, NULL);
	return l;
}

void locks_free(struct locks *l)
{
	if (!l)
		return;
	table_clear(&l->has);
	free(l->changed);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->listener_lock);
	free(l);
}

/* A lock that is taken may leave two pieces of what it is laid over. */
int locks_check(struct locks *l, const struct lock *want, bool waits)
{
	const struct table *t = &l->has;
	const struct locked_file *f = table_file(t, want->ino);
	uint32_t at = 0;
	if (t->held_count + t->waiting_count + 2 > LOCKS_MAX || table_count_of(t, want->session) + 2 > LOCKS_PER_SESSION_MAX)
		return -ENOLCK;
	if (!f || !rules_blocker(f, want, f->waiting.count, &at))
		return 0;
	if (!waits)
		return -EAGAIN;
	return want->kind == LOCK_KIND_POSIX && rules_deadlock(t, want) ? -EDEADLK : 1;
}

int locks_check_release(struct locks *l, const struct lock *what)
{
	const struct locked_file *f = table_file(&l->has, what->ino);
	if (table_count_of(&l->has, what->session) < LOCKS_PER_SESSION_MAX)
		return 0;
	for (uint32_t i = 0; f && i < f->held.count; i++) {
		const struct lock *has = &f->held.items[i]->lock;
		if (lock_same_owner(has, what) && has->start < what->start && has->end > what->end)
			return -ENOLCK;
	}
	return 0;
}

/* What the owner holds in the range is cut out of it: what is left on both sides stays. */
static void cut(struct locks *l, const struct lock *range)
{
	struct locked_file *f = table_file(&l->has, range->ino);
	struct lock *left = NULL;
	uint32_t count = 0;
	for (uint32_t i = f ? f->held.count : 0; i-- > 0;) {
		struct entry *e = f->held.items[i];
		if (!lock_same_owner(&e->lock, range) || !lock_overlaps(&e->lock, range))
			continue;
		left = realloc(left, (count + 2) * sizeof(*left));
		if (!left)
			abort();
		left[count] = left[count + 1] = e->lock;
		left[count].end = range->start - 1;
		left[count + 1].start = range->end + 1;
		bool before = e->lock.start < range->start;
		bool after = e->lock.end > range->end;
		if (after && !before)
			left[count] = left[count + 1];
		count += (uint32_t)before + (uint32_t)after;
		bool last = f->held.count + f->waiting.count == 1;
		table_drop(l, e);
		if (last)
			break;
	}
	for (uint32_t i = 0; i < count; i++)
		table_add(l, &left[i], 0, 0);
	free(left);
}

static bool joins(const struct lock *a, const struct lock *b)
{
	bool touch =
		lock_overlaps(a, b) || (a->end != UINT64_MAX && a->end + 1 == b->start) || (b->end != UINT64_MAX && b->end + 1 == a->start);
	return lock_same_owner(a, b) && a->exclusive == b->exclusive && a->handle == b->handle && touch;
}

/* Laid over what the owner holds, and joined with what it touches and is like. A file goes with its last entry, so it is looked up after each that goes. */
static void lay(struct locks *l, struct lock lock)
{
	struct locked_file *f;
	bool joined = true;
	cut(l, &lock);
	while (joined && (f = table_file(&l->has, lock.ino))) {
		joined = false;
		for (uint32_t i = 0; !joined && i < f->held.count; i++) {
			struct entry *e = f->held.items[i];
			if (!joins(&e->lock, &lock))
				continue;
			lock.start = e->lock.start < lock.start ? e->lock.start : lock.start;
			lock.end = e->lock.end > lock.end ? e->lock.end : lock.end;
			table_drop(l, e);
			joined = true;
		}
	}
	table_add(l, &lock, 0, 0);
}

/* Grants whom nothing stands in the way of any more, in order; what one is granted may make room for an earlier one, if it was exclusive before. */
static void turn(struct locks *l, uint64_t ino)
{
	bool granted = true;
	while (granted) {
		struct locked_file *f = table_file(&l->has, ino);
		granted = false;
		for (uint32_t i = 0; !granted && f && i < f->waiting.count; i++) {
			struct entry *e = f->waiting.items[i];
			uint32_t at = 0;
			if (rules_blocker(f, &e->lock, i, &at))
				continue;
			struct lock lock = e->lock;
			table_drop(l, e);
			lay(l, lock);
			granted = l->turned = true;
		}
	}
}

static void over(struct locks *l, struct mvcc *m)
{
	pthread_mutex_unlock(&l->lock);
	table_keep(l, m);
}

/* It may be less than what its owner held: then others get their turn. */
void locks_take(struct locks *l, struct mvcc *m, const struct lock *want)
{
	pthread_mutex_lock(&l->lock);
	lay(l, *want);
	turn(l, want->ino);
	over(l, m);
}

void locks_wait(struct locks *l, struct mvcc *m, const struct lock *want, uint64_t request)
{
	assert(request != 0);
	pthread_mutex_lock(&l->lock);
	if (want->kind == LOCK_KIND_FLOCK)
		cut(l, want);
	const struct locked_file *f = table_file(&l->has, want->ino);
	uint32_t waiting = f ? f->waiting.count : 0;
	table_add(l, want, request, waiting ? f->waiting.items[waiting - 1]->order + 1 : 1);
	turn(l, want->ino);
	over(l, m);
}

static uint64_t drop_handle(struct locks *l, const struct lock *what, bool all)
{
	const struct locked_file *f;
	uint64_t left = 0;
	for (uint32_t i = 0; (f = table_file(&l->has, what->ino)) && i < f->held.count;) {
		struct entry *e = f->held.items[i];
		bool of_handle = e->lock.session == what->session && e->lock.handle == what->handle;
		if (all && of_handle) {
			table_drop(l, e);
			continue;
		}
		left += of_handle;
		i++;
	}
	return left;
}

uint64_t locks_release(struct locks *l, struct mvcc *m, const struct lock *what, bool by_handle)
{
	pthread_mutex_lock(&l->lock);
	if (!by_handle)
		cut(l, what);
	uint64_t left = drop_handle(l, what, by_handle);
	turn(l, what->ino);
	over(l, m);
	return left;
}

static struct entry *waiter(const struct locks *l, uint64_t ino, uint64_t session, uint64_t request)
{
	const struct locked_file *f = table_file(&l->has, ino);
	for (uint32_t i = 0; f && i < f->waiting.count; i++)
		if (f->waiting.items[i]->request == request && f->waiting.items[i]->lock.session == session)
			return f->waiting.items[i];
	return NULL;
}

bool locks_cancel(struct locks *l, struct mvcc *m, const struct lock *want, uint64_t request)
{
	pthread_mutex_lock(&l->lock);
	struct entry *e = waiter(l, want->ino, want->session, request);
	if (e) {
		table_drop(l, e);
		turn(l, want->ino);
	}
	bool holds = !e && rules_covered(table_file(&l->has, want->ino), want);
	over(l, m);
	return holds;
}

/* From the highest slot down, so that what is granted meanwhile needs no second look: it takes lower ones, and is nobody's who is gone. */
void locks_end_session(struct locks *l, struct mvcc *m, uint64_t session)
{
	pthread_mutex_lock(&l->lock);
	uint64_t *touched = NULL;
	uint32_t count = 0;
	if (table_count_of(&l->has, session) > 0 && !(touched = malloc(table_count_of(&l->has, session) * sizeof(*touched))))
		abort();
	for (uint32_t slot = l->has.slots_count; slot-- > 0 && table_count_of(&l->has, session) > 0;) {
		if (slot >= l->has.slots_count || !l->has.slots[slot] || l->has.slots[slot]->lock.session != session)
			continue;
		touched[count++] = l->has.slots[slot]->lock.ino;
		table_drop(l, l->has.slots[slot]);
	}
	for (uint32_t i = 0; i < count; i++)
		turn(l, touched[i]);
	l->turned |= count > 0;
	free(touched);
	over(l, m);
}

bool locks_conflict(struct locks *l, const struct lock *want, struct lock *out)
{
	bool found = false;
	pthread_mutex_lock(&l->lock);
	const struct locked_file *f = table_file(&l->has, want->ino);
	for (uint32_t i = 0; f && i < f->held.count; i++) {
		const struct lock *has = &f->held.items[i]->lock;
		if (!lock_conflicts(has, want) || (found && out->start <= has->start))
			continue;
		*out = *has;
		found = true;
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

bool locks_waits(struct locks *l, uint64_t ino, uint64_t session, uint64_t request)
{
	pthread_mutex_lock(&l->lock);
	bool waits = waiter(l, ino, session, request) != NULL;
	pthread_mutex_unlock(&l->lock);
	return waits;
}

bool locks_holds(struct locks *l, const struct lock *want)
{
	pthread_mutex_lock(&l->lock);
	bool holds = rules_covered(table_file(&l->has, want->ino), want);
	pthread_mutex_unlock(&l->lock);
	return holds;
}

bool locks_owner_has(struct locks *l, const struct lock *of)
{
	bool has = false;
	pthread_mutex_lock(&l->lock);
	const struct locked_file *f = table_file(&l->has, of->ino);
	for (uint32_t i = 0; f && i < f->held.count && !has; i++)
		has = lock_same_owner(&f->held.items[i]->lock, of);
	pthread_mutex_unlock(&l->lock);
	return has;
}

uint64_t locks_of_handle(struct locks *l, const struct lock *of)
{
	pthread_mutex_lock(&l->lock);
	uint64_t count = drop_handle(l, of, false);
	pthread_mutex_unlock(&l->lock);
	return count;
}

void locks_counts(struct locks *l, uint32_t *held, uint32_t *waiting)
{
	pthread_mutex_lock(&l->lock);
	*held = l->has.held_count;
	*waiting = l->has.waiting_count;
	pthread_mutex_unlock(&l->lock);
}

void locks_listen(struct locks *l, void (*wake)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&l->listener_lock);
	l->wake = wake;
	l->wake_ctx = ctx;
	pthread_mutex_unlock(&l->listener_lock);
}

void locks_applied(struct locks *l)
{
	pthread_mutex_lock(&l->lock);
	bool turned = l->turned;
	l->turned = false;
	pthread_mutex_unlock(&l->lock);
	if (!turned)
		return;
	pthread_mutex_lock(&l->listener_lock);
	if (l->wake)
		l->wake(l->wake_ctx);
	pthread_mutex_unlock(&l->listener_lock);
}
