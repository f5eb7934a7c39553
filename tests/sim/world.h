/* world.h: simulated time, chance, and the record of what happened. One world at a time in a process; all of it follows from its seed.
 *
 * Time stands still while anything runs, and jumps to the next event when nothing does. */
#ifndef TALLY_SIM_WORLD_H
#define TALLY_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#define MS 1000000ll
#define SECOND 1000000000ll
#define NEVER INT64_MAX

/* Begins anew, at time 0. */
void world_begin(uint64_t seed, bool print);
uint64_t world_seed(void);
/* Are all events printed? */
bool world_prints(void);
int64_t world_now(void);
/* Runs events and threads up to that time; false when a check failed. */
bool world_run(int64_t until_ns);

/* At that time fn(arg, tag) is called, outside all threads. */
void at(int64_t time_ns, void (*fn)(void *arg, uint64_t tag), void *arg, uint64_t tag);

uint64_t draw(void);
/* 0 to below - 1. */
uint64_t draw_below(uint64_t below);
/* from to to, both included. */
int64_t draw_between(int64_t from, int64_t to);
/* True once in `in` times; never when 0. */
bool one_in(uint64_t in);

/* --- what happened --- */

enum happening {
#define HAPPENING(name, text, counted) HAPPENED_##name,
#include "tests/sim/happenings.h"
#undef HAPPENING
	HAPPENINGS_COUNT
};

/* Notes it: counts it, adds it to the hash of the run and to the last events, prints it if events are printed. `machine` is counted from 1; 0: none. */
void happened(enum happening what, uint32_t machine, uint64_t a, uint64_t b);
uint64_t world_hash(void);
uint64_t world_count(enum happening what);
/* The name of a kind that is counted in the summary; NULL if it is not. */
const char *happening_name(enum happening what);

/* A property does not hold: says what, with the seed and the last events. The run ends. */
void violated(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool world_is_violated(void);

#endif
