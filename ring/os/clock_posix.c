#include "ring/os/clock.h"

#include <time.h>

static uint64_t get(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now(void) { return get(CLOCK_MONOTONIC); }
uint64_t clock_wall(void) { return get(CLOCK_REALTIME); }
