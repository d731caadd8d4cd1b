/* be_poll.h - how long a worker looks for work by itself before it sleeps. Pure.
 *
 * A sleep costs a wake-up, 10 to 40 microseconds across processors; a look costs 0.1. So it looks for a while when what it
 * waits for tends to come soon, and not at all when it does not: an idle device uses no processor.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_POLL_H
#define BULKHEAD_BACKEND_CORE_BE_POLL_H

#include "ring/base/base.h"

#define BE_POLL_FIRST_US 8u
#define BE_POLL_WAKE_US 40u /* what a wake-up adds to the idle time that is seen */

/* The next window, given the present one, the longest allowed (0: never polls), and how long the last idle time was, from
 * the first look that found nothing to the next work, slept through or not. */
static inline uint32_t be_poll_next(uint32_t window_us, uint32_t max_us, uint64_t idle_us)
{
	uint32_t next = window_us;

	if (idle_us <= window_us)
		next = idle_us > window_us / 2 ? 2 * window_us : window_us; /* found; nearly too late: more room */
	else if (window_us < max_us && idle_us <= max_us + BE_POLL_WAKE_US)
		next = MAX(2 * window_us, BE_POLL_FIRST_US); /* slept, but a longer look would have found it */
	else
		next = window_us / 2 < BE_POLL_FIRST_US ? 0 : window_us / 2;
	return MIN(next, max_us);
}

#endif
