#include "ring/os/clock.h"

#include "ring/base/barrier.h"
#include "ring/base/base.h"

#include <time.h>

static uint64_t get(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now(void) { return get(CLOCK_MONOTONIC); }

#if defined(__x86_64__)
/* No processor is so slow that this many of its cycles are more than a microsecond. */
#define LATELY_CYCLES 1000u
#define LATELY_MAX 1000000u
#define LOOKS 4u /* worth of a look's own cost */

/* A look costs a system call where the kernel does not trust the cycle counter, as in a PV domain of a Xen without clocksource=tsc:
 * then it is worth more cycles. The least of a few tries, since anything may come between. */
static uint32_t lately_cycles(void)
{
	static uint32_t cycles;
	uint64_t least = LATELY_MAX / LOOKS;

	if (LIKELY(load_relaxed(&cycles)))
		return load_relaxed(&cycles);
	for (int i = 0; i < 8; i++) {
		uint64_t from = __builtin_ia32_rdtsc();

		clock_now();
		least = MIN(least, __builtin_ia32_rdtsc() - from);
	}
	store_relaxed(&cycles, (uint32_t)MAX(least * LOOKS, LATELY_CYCLES));
	return load_relaxed(&cycles);
}
#endif

uint64_t clock_lately(struct clock_lately *c)
{
#if defined(__x86_64__)
	uint64_t cycles = __builtin_ia32_rdtsc();

	if (cycles - c->cycles < lately_cycles())
		return c->now;
	c->cycles = cycles;
#endif
	return c->now = clock_now();
}

uint64_t clock_wall(void) { return get(CLOCK_REALTIME); }
