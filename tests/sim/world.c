#include "tests/sim/world.h"
#include "tests/sim/fiber.h"
#include "tests/sim/heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST_EVENTS 256u
#define STEPS_AT_ONCE_MAX 2000000u /* threads that run without time passing: something spins */

struct event {
	int64_t time_ns;
	uint64_t order;
	void (*fn)(void *arg, uint64_t tag);
	void *arg;
	uint64_t tag;
};

struct note {
	int64_t time_ns;
	uint64_t a, b;
	uint16_t what;
	uint16_t machine;
};

static struct {
	uint64_t seed;
	uint64_t random;
	int64_t now_ns;
	bool print;
	bool violated;
	struct event *heap;
	size_t heap_count;
	size_t heap_capacity;
	uint64_t order;
	uint64_t hash;
	uint64_t counts[HAPPENINGS_COUNT];
	struct note last[LAST_EVENTS];
	uint64_t noted;
} world;

static const struct {
	const char *name;
	const char *text;
	bool counted;
} kinds[] = {
#define HAPPENING(name, text, counted) {#name, text, counted},
#include "tests/sim/happenings.h"
#undef HAPPENING
};

void world_begin(uint64_t seed, bool print)
{
	memset(&world, 0, sizeof(world));
	world.seed = seed;
	world.random = seed * 0x9e3779b97f4a7c15u + 0x1234567;
	world.hash = 0xcbf29ce484222325u;
	world.print = print;
}

uint64_t world_seed(void)
{
	return world.seed;
}

bool world_prints(void)
{
	return world.print;
}

int64_t world_now(void)
{
	return world.now_ns;
}

/* splitmix64. */
uint64_t draw(void)
{
	uint64_t z = world.random += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t draw_below(uint64_t below)
{
	return (uint64_t)(((unsigned __int128)draw() * below) >> 64);
}

int64_t draw_between(int64_t from, int64_t to)
{
	return from + (int64_t)draw_below((uint64_t)(to - from) + 1);
}

bool one_in(uint64_t in)
{
	return in > 0 && draw_below(in) == 0;
}

/* --- events --- */

static bool before(const struct event *a, const struct event *b)
{
	return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->order < b->order;
}

void at(int64_t time_ns, void (*fn)(void *arg, uint64_t tag), void *arg, uint64_t tag)
{
	if (world.heap_count == world.heap_capacity) {
		world.heap_capacity = world.heap_capacity ? world.heap_capacity * 2 : 1024;
		world.heap = heap_resize(HEAP_WORLD, world.heap, world.heap_capacity * sizeof(*world.heap));
	}
	struct event e = {time_ns > world.now_ns ? time_ns : world.now_ns, world.order++, fn, arg, tag};
	size_t i = world.heap_count++;
	for (; i > 0 && before(&e, &world.heap[(i - 1) / 2]); i = (i - 1) / 2)
		world.heap[i] = world.heap[(i - 1) / 2];
	world.heap[i] = e;
}

static struct event take_event(void)
{
	struct event first = world.heap[0];
	struct event e = world.heap[--world.heap_count];
	size_t i = 0;
	for (size_t child; (child = 2 * i + 1) < world.heap_count; i = child) {
		if (child + 1 < world.heap_count && before(&world.heap[child + 1], &world.heap[child]))
			child++;
		if (!before(&world.heap[child], &e))
			break;
		world.heap[i] = world.heap[child];
	}
	world.heap[i] = e;
	return first;
}

static void run_threads(void)
{
	uint32_t steps = 0;
	while (!world.violated && fibers_step())
		if (++steps == STEPS_AT_ONCE_MAX)
			violated("threads run on and on without waiting for anything");
}

bool world_run(int64_t until_ns)
{
	run_threads();
	while (!world.violated && world.heap_count > 0 && world.heap[0].time_ns <= until_ns) {
		struct event e = take_event();
		world.now_ns = e.time_ns;
		e.fn(e.arg, e.tag);
		run_threads();
	}
	if (world.now_ns < until_ns)
		world.now_ns = until_ns;
	return !world.violated;
}

/* --- what happened --- */

static void print_note(FILE *out, const struct note *n)
{
	fprintf(out, "%12.6f ", (double)n->time_ns / SECOND);
	if (n->machine)
		fprintf(out, "machine %u ", n->machine);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	fprintf(out, kinds[n->what].text, (unsigned long long)n->a, (unsigned long long)n->b);
#pragma GCC diagnostic pop
	fputc('\n', out);
}

void happened(enum happening what, uint32_t machine, uint64_t a, uint64_t b)
{
	struct note *n = &world.last[world.noted++ % LAST_EVENTS];
	*n = (struct note){world.now_ns, a, b, (uint16_t)what, (uint16_t)machine};
	uint64_t h = world.hash;
	h = (h ^ (uint64_t)n->time_ns) * 0x9e3779b97f4a7c15u;
	h = (h ^ (h >> 29) ^ ((uint64_t)what << 32 | machine)) * 0xbf58476d1ce4e5b9u;
	h = (h ^ (h >> 32) ^ a) * 0x94d049bb133111ebu;
	world.hash = (h ^ (h >> 31) ^ b) * 0x9e3779b97f4a7c15u;
	world.counts[what]++;
	if (world.print)
		print_note(stdout, n);
}

uint64_t world_hash(void)
{
	return world.hash;
}

uint64_t world_count(enum happening what)
{
	return world.counts[what];
}

const char *happening_name(enum happening what)
{
	return kinds[what].counted ? kinds[what].name : NULL;
}

void violated(const char *format, ...)
{
	va_list args;
	if (world.violated)
		return;
	world.violated = true;
	uint64_t from = world.noted > LAST_EVENTS ? world.noted - LAST_EVENTS : 0;
	for (uint64_t i = from; !world.print && i < world.noted; i++)
		print_note(stdout, &world.last[i % LAST_EVENTS]);
	printf("VIOLATION with SEED=%llu at %.6f s: ", (unsigned long long)world.seed, (double)world.now_ns / SECOND);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

bool world_is_violated(void)
{
	return world.violated;
}
