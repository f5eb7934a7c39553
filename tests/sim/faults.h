/* faults.h: what goes wrong, and when. Each run draws which kinds of faults it has, so that some are seen alone and some together. */
#ifndef TALLY_SIM_FAULTS_H
#define TALLY_SIM_FAULTS_H

#include <stdint.h>

/* From now until `until_ns`. */
void faults_begin(int64_t until_ns);
/* Everything is whole from now on, and every machine runs that can. */
void faults_heal(void);

#endif
