/* crash_work.h - the workloads that were written by hand. */
#ifndef BULKHEAD_TESTS_SIM_CRASH_WORK_H
#define BULKHEAD_TESTS_SIM_CRASH_WORK_H

#include "tests/sim/crash_world.h"

#define CRASH_WORKLOADS 18u
extern const struct workload crash_work[CRASH_WORKLOADS];
/* Short enough for every pair of deaths. */
bool crash_work_small(const struct workload *wl);

/* For a test's main(): with REPLAY= (and perhaps MUTANT=name) in the environment runs that one, says how it ended, and ends the
 * program. */
void crash_replay(void);

/* The name of a mutant; NULL: there is none of that number. */
const char *crash_mutant_name(unsigned mutant);

#endif
