/* A thread is a stack and a jump buffer. Each has its own copy of the program's thread-local variables, laid over the one place where the
 * program looks for them while it runs. */
#include "tests/sim/fiber.h"
#include "tests/sim/machine.h"

#include <link.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define FIBERS_MAX 256u
#define STACK_BYTES ((size_t)512 << 10)
#define LOCALS_MAX 512u
#define STRAY_IN 4 /* every so many turns another than the longest waiting runs */

enum fiber_state { FIBER_UNUSED, FIBER_READY, FIBER_WAITING, FIBER_RUNNING, FIBER_OVER };

struct fiber {
	enum fiber_state state;
	bool begun;
	bool detached;
	bool woken;
	struct machine *machine;
	void *(*fn)(void *arg);
	void *arg;
	jmp_buf place;
	ucontext_t start;
	uint8_t *stack;
	struct wait_list *waits_in;
	struct fiber *prev, *next; /* in that list, or in the queue of the ready */
	int64_t until_ns;          /* NEVER: it waits without an end */
	int64_t timer_ns;          /* when the event that looks at until_ns comes; NEVER: there is none */
	uint64_t life;             /* events of an earlier one in this place do not count */
	uint8_t locals[LOCALS_MAX];
};

struct fiber *fiber_now;

static struct fiber fibers[FIBERS_MAX];
static struct wait_list ready;
static jmp_buf scheduler;
static uint8_t *locals;
static size_t locals_size;
static uint8_t locals_fresh[LOCALS_MAX];

struct machine *machine_now(void)
{
	return fiber_now ? fiber_now->machine : NULL;
}

static void push(struct wait_list *list, struct fiber *f)
{
	f->waits_in = list;
	f->next = NULL;
	f->prev = list->last;
	if (list->last)
		list->last->next = f;
	else
		list->first = f;
	list->last = f;
}

static void take_out(struct fiber *f)
{
	struct wait_list *list = f->waits_in;
	if (!list)
		return;
	if (f->prev)
		f->prev->next = f->next;
	else
		list->first = f->next;
	if (f->next)
		f->next->prev = f->prev;
	else
		list->last = f->prev;
	f->waits_in = NULL;
	f->prev = f->next = NULL;
}

static void make_ready(struct fiber *f, bool woken)
{
	take_out(f);
	f->woken = woken;
	f->until_ns = NEVER;
	f->state = FIBER_READY;
	push(&ready, f);
}

/* --- the program's thread-local variables --- */

static int find_locals(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_TLS) {
			locals = info->dlpi_tls_data;
			locals_size = info->dlpi_phdr[i].p_memsz;
		}
	return 1; /* the first is the program itself */
}

static void locals_setup(void)
{
	if (locals)
		return;
	dl_iterate_phdr(find_locals, NULL);
	if (locals_size > LOCALS_MAX)
		abort();
	if (locals)
		memcpy(locals_fresh, locals, locals_size);
}

/* --- switching --- */

static void go_to_scheduler(void)
{
	struct fiber *f = fiber_now;
	if (_setjmp(f->place) == 0)
		_longjmp(scheduler, 1);
}

void fiber_abandon(void)
{
	fiber_now->state = FIBER_OVER;
	_longjmp(scheduler, 1);
}

static void fiber_main(void)
{
	fiber_now->fn(fiber_now->arg);
	fiber_now->state = fiber_now->detached ? FIBER_UNUSED : FIBER_OVER;
	fiber_now->life += fiber_now->detached;
	_longjmp(scheduler, 1);
}

static void enter(struct fiber *f)
{
	fiber_now = f;
	f->state = FIBER_RUNNING;
	if (locals)
		memcpy(locals, f->locals, locals_size);
	if (_setjmp(scheduler) == 0) {
		if (f->begun)
			_longjmp(f->place, 1);
		f->begun = true;
		setcontext(&f->start);
	}
	f = fiber_now;
	if (locals) {
		memcpy(f->locals, locals, locals_size);
		memcpy(locals, locals_fresh, locals_size);
	}
	fiber_now = NULL;
}

static struct fiber *choose(void)
{
	struct fiber *f = ready.first;
	while (f && machine_is_paused(f->machine))
		f = f->next;
	if (f && f->next && one_in(STRAY_IN)) {
		struct fiber *other = f->next;
		for (uint64_t skip = draw_below(4); skip > 0 && other->next; skip--)
			other = other->next;
		if (!machine_is_paused(other->machine))
			f = other;
	}
	return f;
}

bool fibers_step(void)
{
	struct fiber *f = choose();
	if (!f)
		return false;
	take_out(f);
	struct machine *m = f->machine;
	enter(f);
	machine_after_step(m);
	return true;
}

/* --- life --- */

static struct fiber *unused(void)
{
	for (uint32_t i = 0; i < FIBERS_MAX; i++)
		if (fibers[i].state == FIBER_UNUSED)
			return &fibers[i];
	abort();
}

struct fiber *fiber_start(struct machine *m, void *(*fn)(void *arg), void *arg)
{
	struct fiber *f = unused();
	uint8_t *stack = f->stack;
	uint64_t life = f->life + 1;
	locals_setup();
	if (!stack)
		stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stack == MAP_FAILED)
		abort();
	*f = (struct fiber){.machine = m, .fn = fn, .arg = arg, .stack = stack, .until_ns = NEVER, .timer_ns = NEVER, .life = life};
	memcpy(f->locals, locals_fresh, locals_size);
	getcontext(&f->start);
	f->start.uc_stack.ss_sp = stack;
	f->start.uc_stack.ss_size = STACK_BYTES;
	makecontext(&f->start, fiber_main, 0);
	make_ready(f, false);
	return f;
}

bool fiber_over(const struct fiber *f)
{
	return f->state == FIBER_OVER;
}

void fiber_detach(struct fiber *f)
{
	f->detached = true;
}

void fiber_forget(struct fiber *f)
{
	f->state = FIBER_UNUSED;
	f->life++;
}

void fibers_end(struct machine *m)
{
	for (uint32_t i = 0; i < FIBERS_MAX; i++) {
		struct fiber *f = &fibers[i];
		if (f->state == FIBER_UNUSED || f->machine != m)
			continue;
		take_out(f);
		f->state = FIBER_UNUSED;
		f->life++;
	}
}

void fibers_reset(void)
{
	for (uint32_t i = 0; i < FIBERS_MAX; i++) {
		fibers[i].state = FIBER_UNUSED;
		fibers[i].life = 0;
	}
	ready = (struct wait_list){NULL, NULL};
	fiber_now = NULL;
}

/* --- waiting --- */

void fiber_yield(void)
{
	make_ready(fiber_now, false);
	go_to_scheduler();
}

static void on_timer(void *arg, uint64_t life);

static void set_timer(struct fiber *f)
{
	if (f->until_ns >= f->timer_ns)
		return;
	f->timer_ns = f->until_ns;
	at(f->until_ns, on_timer, f, f->life);
}

/* The event may be early: who waits again and again for longer sets no new one each time. */
static void on_timer(void *arg, uint64_t life)
{
	struct fiber *f = arg;
	if (f->life != life || f->timer_ns > world_now())
		return;
	f->timer_ns = NEVER;
	if (f->state != FIBER_WAITING || f->until_ns == NEVER)
		return;
	if (f->until_ns <= world_now())
		make_ready(f, false);
	else
		set_timer(f);
}

bool fiber_wait(struct wait_list *list, int64_t until_ns)
{
	struct fiber *f = fiber_now;
	f->state = FIBER_WAITING;
	f->until_ns = until_ns;
	if (list)
		push(list, f);
	set_timer(f);
	go_to_scheduler();
	return f->woken;
}

void fiber_sleep(int64_t ns)
{
	if (ns > 0)
		fiber_wait(NULL, world_now() + ns);
}

void wake_first(struct wait_list *list)
{
	if (list->first)
		make_ready(list->first, true);
}

void wake_all(struct wait_list *list)
{
	while (list->first)
		make_ready(list->first, true);
}

void fibers_wake_timed(struct machine *m)
{
	for (uint32_t i = 0; i < FIBERS_MAX; i++)
		if (fibers[i].state == FIBER_WAITING && fibers[i].machine == m && fibers[i].until_ns != NEVER && fibers[i].waits_in)
			make_ready(&fibers[i], false);
}
