/* check.h - assertions about ourselves, on in release builds as well.
 *
 * A failed CHECK is a bug of ours: it says where, and aborts; the supervisor replaces the process and replays.
 * Never CHECK anything that a peer can influence: that is -EPEER (err.h).
 */
#ifndef BULKHEAD_RING_BASE_CHECK_H
#define BULKHEAD_RING_BASE_CHECK_H

#include "ring/base/base.h"

#include <stdbool.h>

void check_failed(const char *file, int line, const char *what) NORETURN;

#define CHECK(cond) (LIKELY(cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))
#define UNREACHABLE() check_failed(__FILE__, __LINE__, "unreachable")

/* *sum = a + b; false if it does not fit. */
static inline bool add_fits_u64(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

#endif
