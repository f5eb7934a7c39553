/* bench_report.h: the lines that a measurement prints, and the floors that it is held to. One thread. */
#ifndef TALLY_TESTS_BENCH_REPORT_H
#define TALLY_TESTS_BENCH_REPORT_H

#include "tests/lib/bench_load.h"

#include <stdbool.h>

/* bench NAME clients=N ops_per_s=X p50_us=X p99_us=X limit_ops_per_s=X ratio=X. Returns the ratio. */
double bench_report_case(const char *name, unsigned clients, const struct bench_result *r, const struct bench_result *limit);
/* limit NAME clients=N ops_per_s=X p50_us=X p99_us=X */
void bench_report_limit(const char *name, unsigned clients, const struct bench_result *r);
/* Any other line, printed at once. */
void bench_report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Notes that NAME must be at least, or at most, `bound`. */
void bench_floor_least(const char *name, double value, double bound);
void bench_floor_most(const char *name, double value, double bound);
/* floor NAME value=X bound=X met|MISSED, a line for each, in the order in which they were noted. Returns how many were missed. */
unsigned bench_floors_print(void);

#endif
