/* gate.h: a recorded daemon is killed between two calls, never between one and its record: it would have done what no record tells of, and the next
 * start, which finds it on the disk, would be recorded on top of something else.
 *
 * A gate is a lock in a file that both map. The daemon (record.c) holds it for reading in each call that it records; who kills it has it for writing first.
 * One gate for one life of a daemon. */
#ifndef TALLY_TESTS_POWER_GATE_H
#define TALLY_TESTS_POWER_GATE_H

#include <pthread.h>

/* Makes the file, over the gate of an earlier life. Aborts if it cannot. */
pthread_rwlock_t *gate_new(const char *file);
/* Waits until no recorded call is under way, and kills the process (SIGKILL). */
void gate_kill(pthread_rwlock_t *gate, int pid);
void gate_free(pthread_rwlock_t *gate);

#endif
