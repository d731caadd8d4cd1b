/* lived.h - time in which this process could run: that of a machine which stood still, suspended or frozen, is left out.
 * Resolution: 1 ms. Threads: any. */
#ifndef BULKHEAD_TESTS_CHAOS_LIVED_H
#define BULKHEAD_TESTS_CHAOS_LIVED_H

#include <stdint.h>

/* Starts the thread that counts. 0 or a negative errno. Once, before anybody asks. */
int lived_start(void);
/* Nanoseconds since then. */
uint64_t lived_now(void);

#endif
