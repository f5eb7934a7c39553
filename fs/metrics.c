#include "fs/metrics_inside.h"

#include "base/clock.h"

#include <stdlib.h>

static _Thread_local struct {
	struct metrics_call call; /* metrics NULL: none, or taken over */
	int error;
} present;

struct metrics *metrics_new(void)
{
	struct metrics *m = aligned_alloc(METRICS_LINE, sizeof(*m));

	if (!m)
		abort();
	*m = (struct metrics){0};
	return m;
}

void metrics_free(struct metrics *m)
{
	free(m);
}

void metrics_begin(struct metrics *m, enum metrics_operation operation)
{
	present.call = (struct metrics_call){m, operation, clock_mono_ns()};
	present.error = 0;
	atomic_fetch_add_explicit(&m->operations[operation].requests, 1, memory_order_relaxed);
}

void metrics_end(void)
{
	metrics_answer(&present.call, present.error);
}

struct metrics_call metrics_take(void)
{
	struct metrics_call call = present.call;

	present.call.metrics = NULL;
	return call;
}

void metrics_refuse(int error)
{
	present.error = error;
}

void metrics_answer(struct metrics_call *call, int error)
{
	if (!call->metrics)
		return;
	struct metrics_operation_counts *c = &call->metrics->operations[call->operation];
	if (error < 0)
		atomic_fetch_add_explicit(&c->errors, 1, memory_order_relaxed);
	histogram_add(&c->durations, clock_mono_ns() - call->began_ns);
	call->metrics = NULL;
}
