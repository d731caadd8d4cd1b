#include "tests/chaos/lived.h"

#include "ring/base/barrier.h"
#include "ring/base/base.h"
#include "ring/os/clock.h"

#include <poll.h>
#include <pthread.h>

#define BEAT_MS 1
#define STOOD_STILL_NS (200 * NS_PER_MS) /* of a longer step no more than this counts: nobody waits so long for a CPU */

static uint64_t lived;

static void *count(void *arg)
{
	uint64_t last = clock_now();

	for (;;) {
		uint64_t now;

		poll(NULL, 0, BEAT_MS);
		now = clock_now();
		store_relaxed(&lived, lived + MIN(now - last, STOOD_STILL_NS));
		last = now;
	}
	return arg;
}

int lived_start(void)
{
	pthread_t t;

	return -pthread_create(&t, NULL, count, NULL);
}

uint64_t lived_now(void) { return load_relaxed(&lived); }
