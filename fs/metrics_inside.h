/* metrics_inside.h: what metrics.c counts and metrics_text.c tells. */
#ifndef TALLY_FS_METRICS_INSIDE_H
#define TALLY_FS_METRICS_INSIDE_H

#include "base/histogram.h"
#include "fs/metrics.h"

#include <stdalign.h>

#define METRICS_LINE 64 /* bytes of a line of the processor's cache */

struct metrics_operation_counts {
	alignas(METRICS_LINE) _Atomic uint64_t requests;
	_Atomic uint64_t errors;
	struct histogram durations;
};

struct metrics {
	struct metrics_operation_counts operations[METRICS_COUNT];
};

#endif
