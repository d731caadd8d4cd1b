/* crash_rng.h - the seeded choices of a simulated run. */
#ifndef BULKHEAD_TESTS_SIM_CRASH_RNG_H
#define BULKHEAD_TESTS_SIM_CRASH_RNG_H

#include <stdint.h>

struct crash_rng {
	uint64_t state;
};

static inline uint64_t crash_next(struct crash_rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 .. n - 1 */
static inline unsigned crash_below(struct crash_rng *r, unsigned n) { return n ? (unsigned)(crash_next(r) % n) : 0; }

#endif
