#include "ring/os/clock.h"

#include "ring/base/barrier.h"
#include "ring/base/base.h"

#include <stdbool.h>
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
#define CALL_CYCLES 250u /* a look that costs more is a system call */
#define RECKON_NS (10 * NS_PER_MS)

/* A look costs a system call where the kernel does not trust the cycle counter to be the same for ever, as in a PV domain of a Xen
 * without clocksource=tsc. The least of a few tries, since anything may come between. */
static uint32_t cost;
enum { UNKNOWN, CHEAP, COSTLY };

static bool costly(void)
{
	uint64_t least = UINT64_MAX;

	if (LIKELY(load_relaxed(&cost) != UNKNOWN))
		return load_relaxed(&cost) == COSTLY;
	for (int i = 0; i < 8; i++) {
		uint64_t from = __builtin_ia32_rdtsc();

		clock_now();
		least = MIN(least, __builtin_ia32_rdtsc() - from);
	}
	store_relaxed(&cost, least > CALL_CYCLES ? COSTLY : CHEAP);
	return load_relaxed(&cost) == COSTLY;
}

static void look(struct clock_lately *c, uint64_t cycles)
{
	c->at = clock_now();
	c->cycles = cycles;
	if (!c->at0) {
		c->at0 = c->at;
		c->cycles0 = cycles;
	} else if (c->at - c->at0 >= RECKON_NS && cycles > c->cycles0 && costly()) {
		c->rate = (double)(c->at - c->at0) / (double)(cycles - c->cycles0);
	}
}

/* A counter that went back, on another processor, is as good as one that went far. */
uint64_t clock_lately(struct clock_lately *c)
{
	uint64_t cycles = __builtin_ia32_rdtsc(), passed = cycles - c->cycles, ahead = 0;

	if (c->rate > 0 && (double)passed * c->rate < (double)RECKON_NS)
		ahead = (uint64_t)((double)passed * c->rate);
	else if (c->rate > 0 || passed >= LATELY_CYCLES)
		look(c, cycles);
	return c->now = MAX(c->now, c->at + ahead);
}
#else
uint64_t clock_lately(struct clock_lately *c) { return c->now = clock_now(); }
#endif

uint64_t clock_wall(void) { return get(CLOCK_REALTIME); }
