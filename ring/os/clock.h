/* clock.h - time in nanoseconds. Link-time seam: clock_posix.c in programs, virtual time in tests/sim.
 * Threads: any. */
#ifndef BULKHEAD_RING_OS_CLOCK_H
#define BULKHEAD_RING_OS_CLOCK_H

#include <stdint.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* CLOCK_MONOTONIC. Never goes back, does not follow the wall clock. */
uint64_t clock_now(void);
/* The same, but it may be as much as a microsecond old; where each look at the clock is a system call it is reckoned from the
 * processor's cycles, for up to 10 ms after a look: for statistics and for how long to poll, since a look takes as long as a request.
 * Never goes back. Begins as zeros; one thread's. */
struct clock_lately {
	uint64_t cycles, at;	/* of the last look */
	uint64_t cycles0, at0;	/* of the first one */
	uint64_t now;		/* last returned */
	double rate;		/* nanoseconds a cycle; 0: not known yet */
};
uint64_t clock_lately(struct clock_lately *c);
/* CLOCK_REALTIME, for people to read. */
uint64_t clock_wall(void);

#endif
