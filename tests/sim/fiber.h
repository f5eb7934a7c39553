/* fiber.h: the threads of the machines, run one at a time, so that a seed decides how they interleave.
 *
 * tests/sim/threads.c puts pthreads on top of them: the production code's own threads run, and give way where they lock, wait or do I/O. */
#ifndef TALLY_SIM_FIBER_H
#define TALLY_SIM_FIBER_H

#include "tests/sim/world.h"

struct machine;
struct fiber;

struct wait_list {
	struct fiber *first;
	struct fiber *last;
};

/* NULL outside all threads. */
extern struct fiber *fiber_now;
/* The machine that runs now; NULL outside all threads. */
struct machine *machine_now(void);

struct fiber *fiber_start(struct machine *m, void *(*fn)(void *arg), void *arg);
bool fiber_over(const struct fiber *f);
/* Another thread may run. */
void fiber_yield(void);
/* Waits in a list, until woken (true) or until that time (false). */
bool fiber_wait(struct wait_list *list, int64_t until_ns);
void fiber_sleep(int64_t ns);
void wake_first(struct wait_list *list);
void wake_all(struct wait_list *list);
/* Every thread of the machine that waits with a time looks again: its clock jumped. */
void fibers_wake_timed(struct machine *m);
/* The machine died: its threads are no more. Outside all threads. */
void fibers_end(struct machine *m);
/* Within a thread whose machine is about to die: never returns. */
void fiber_abandon(void) __attribute__((noreturn));
/* Nobody will join it. */
void fiber_detach(struct fiber *f);
/* It was joined. */
void fiber_forget(struct fiber *f);
void fibers_reset(void);
/* threads.c */
void threads_reset(void);
/* Runs one thread that can; false if there is none. */
bool fibers_step(void);

#endif
