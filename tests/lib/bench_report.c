#include "tests/lib/bench_report.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FLOORS_MAX 64

struct floor_line {
	char name[96];
	double value;
	double bound;
	bool least;
};

static struct floor_line floors[FLOORS_MAX];
static unsigned floors_count;

double bench_report_case(const char *name, unsigned clients, const struct bench_result *r, const struct bench_result *limit)
{
	double ratio = limit->ops ? bench_result_rate(r) / bench_result_rate(limit) : 0;
	bench_report_line("bench %s clients=%u ops_per_s=%.0f p50_us=%.1f p99_us=%.1f limit_ops_per_s=%.0f ratio=%.3f", name, clients,
			  bench_result_rate(r), bench_result_us(r, 0.5), bench_result_us(r, 0.99), bench_result_rate(limit), ratio);
	return ratio;
}

void bench_report_limit(const char *name, unsigned clients, const struct bench_result *r)
{
	bench_report_line("limit %s clients=%u ops_per_s=%.0f p50_us=%.1f p99_us=%.1f", name, clients, bench_result_rate(r),
			  bench_result_us(r, 0.5), bench_result_us(r, 0.99));
}

void bench_report_line(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void floor_note(const char *name, double value, double bound, bool least)
{
	assert(floors_count < FLOORS_MAX);
	floors[floors_count] = (struct floor_line){.value = value, .bound = bound, .least = least};
	snprintf(floors[floors_count].name, sizeof(floors[0].name), "%s", name);
	floors_count++;
}

void bench_floor_least(const char *name, double value, double bound)
{
	floor_note(name, value, bound, true);
}

void bench_floor_most(const char *name, double value, double bound)
{
	floor_note(name, value, bound, false);
}

unsigned bench_floors_print(void)
{
	unsigned missed = 0;
	for (unsigned i = 0; i < floors_count; i++) {
		const struct floor_line *f = &floors[i];
		bool met = f->least ? f->value >= f->bound : f->value <= f->bound;
		bench_report_line("floor %s value=%.3f bound=%.3f %s", f->name, f->value, f->bound, met ? "met" : "MISSED");
		missed += !met;
	}
	return missed;
}
