/* pthreads, as the production code calls them (the linker sends its calls to __wrap_...). Who locks, unlocks, waits or wakes may have to give way
 * to any other thread of any machine: the seed decides. */
#include "tests/sim/machine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_WAY_IN 48 /* calls, on average twice as many */
#define NAP_IN 64      /* times that a thread gives way it does not come back at once */
#define NAP_NS_MAX 3 * MS
#define SPURIOUS_IN 2000 /* waits end without cause */

struct mutex {
	struct fiber *owner;
	struct wait_list waiters;
};

struct cond {
	struct wait_list waiters;
};

struct rwlock {
	struct fiber *writer;
	uint32_t readers;
	struct wait_list waiters;
	uint32_t writers_waiting;
};

_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "it lies in its place");
_Static_assert(sizeof(struct cond) <= sizeof(pthread_cond_t), "it lies in its place");
_Static_assert(sizeof(struct rwlock) <= sizeof(pthread_rwlock_t), "it lies in its place");

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_detach(pthread_t thread);
int __wrap_pthread_setname_np(pthread_t thread, const char *name);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_rwlock_init(pthread_rwlock_t *l, const pthread_rwlockattr_t *attr);
int __wrap_pthread_rwlock_destroy(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l);

static uint32_t calls_left = 1;

static void maybe_give_way(void)
{
	if (!fiber_now || --calls_left > 0)
		return;
	calls_left = 1 + (uint32_t)draw_below(2 * GIVE_WAY_IN);
	machine_effect(machine_now());
	if (one_in(NAP_IN))
		fiber_sleep((int64_t)draw_below(NAP_NS_MAX));
	else
		fiber_yield();
}

void threads_reset(void)
{
	calls_left = 1;
}

int __wrap_pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	(void)attr;
	*out = (pthread_t)(uintptr_t)fiber_start(machine_now(), fn, arg);
	return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
	struct fiber *f = (struct fiber *)(uintptr_t)thread;
	if (result)
		*result = NULL;
	while (!fiber_over(f))
		fiber_sleep(MS / 10);
	fiber_forget(f);
	return 0;
}

int __wrap_pthread_detach(pthread_t thread)
{
	fiber_detach((struct fiber *)(uintptr_t)thread);
	return 0;
}

int __wrap_pthread_setname_np(pthread_t thread, const char *name)
{
	(void)thread, (void)name;
	return 0;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	(void)how, (void)set, (void)old;
	return 0;
}

/* --- mutexes --- */

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
	(void)attr;
	memset(m, 0, sizeof(*m));
	return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
	if (((struct mutex *)m)->owner)
		violated("a mutex is destroyed while it is held");
	return 0;
}

static void lock(struct mutex *m)
{
	while (m->owner)
		fiber_wait(&m->waiters, NEVER);
	m->owner = fiber_now;
}

static void unlock(struct mutex *m)
{
	m->owner = NULL;
	wake_first(&m->waiters);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	struct mutex *mutex = (struct mutex *)m;
	maybe_give_way();
	if (!fiber_now && mutex->owner)
		abort(); /* a check must not look where threads lock */
	if (mutex->owner && mutex->owner == fiber_now)
		violated("a thread locks a mutex that it holds");
	lock(mutex);
	return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *m)
{
	struct mutex *mutex = (struct mutex *)m;
	maybe_give_way();
	if (mutex->owner)
		return EBUSY;
	mutex->owner = fiber_now;
	return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	unlock((struct mutex *)m);
	maybe_give_way();
	return 0;
}

/* --- conditions --- */

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
	(void)attr;
	memset(c, 0, sizeof(*c));
	return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
	(void)c;
	return 0;
}

static void wait_for(struct cond *c, struct mutex *m, int64_t until_ns)
{
	unlock(m);
	if (one_in(SPURIOUS_IN))
		fiber_yield();
	else
		fiber_wait(&c->waiters, until_ns);
	lock(m);
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	wait_for((struct cond *)c, (struct mutex *)m, NEVER);
	return 0;
}

/* All conditions of the program count on the monotonic clock. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	struct machine *machine = machine_now();
	int64_t mono_ns = (int64_t)until->tv_sec * SECOND + until->tv_nsec;
	if (machine_mono_ns(machine) < mono_ns)
		wait_for((struct cond *)c, (struct mutex *)m, machine_when(machine, mono_ns));
	return machine_mono_ns(machine) >= mono_ns ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	wake_first(&((struct cond *)c)->waiters);
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	wake_all(&((struct cond *)c)->waiters);
	return 0;
}

/* --- locks of readers and writers; a writer that waits goes before new readers --- */

int __wrap_pthread_rwlock_init(pthread_rwlock_t *l, const pthread_rwlockattr_t *attr)
{
	(void)attr;
	memset(l, 0, sizeof(*l));
	return 0;
}

int __wrap_pthread_rwlock_destroy(pthread_rwlock_t *l)
{
	const struct rwlock *lock_now = (const struct rwlock *)l;
	if (lock_now->writer || lock_now->readers)
		violated("a lock is destroyed while it is held");
	return 0;
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
	struct rwlock *r = (struct rwlock *)l;
	maybe_give_way();
	if (r->writer && r->writer == fiber_now)
		violated("a thread locks for reading what it holds for writing");
	if (!fiber_now && r->writer)
		abort();
	while (r->writer || r->writers_waiting > 0)
		fiber_wait(&r->waiters, NEVER);
	r->readers++;
	return 0;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
	struct rwlock *r = (struct rwlock *)l;
	maybe_give_way();
	while (r->writer || r->readers > 0) {
		r->writers_waiting++;
		fiber_wait(&r->waiters, NEVER);
		r->writers_waiting--;
	}
	r->writer = fiber_now;
	return 0;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *l)
{
	struct rwlock *r = (struct rwlock *)l;
	if (r->writer)
		r->writer = NULL;
	else
		r->readers--;
	if (r->readers == 0)
		wake_all(&r->waiters);
	maybe_give_way();
	return 0;
}
