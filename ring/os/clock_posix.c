#include "ring/os/clock.h"

#include <time.h>

static uint64_t get(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now(void) { return get(CLOCK_MONOTONIC); }

/* No processor is so slow that this many of its cycles are more than a microsecond. */
#define LATELY_CYCLES 1000u

uint64_t clock_lately(struct clock_lately *c)
{
#if defined(__x86_64__)
	uint64_t cycles = __builtin_ia32_rdtsc();

	if (cycles - c->cycles < LATELY_CYCLES)
		return c->now;
	c->cycles = cycles;
#endif
	return c->now = clock_now();
}

uint64_t clock_wall(void) { return get(CLOCK_REALTIME); }
