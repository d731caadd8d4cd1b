/* bench_ring_unchecked.c - bench_ring_ours.c with a journal whose check words are not computed: what they cost. */
#define BULKHEAD_RECOVERY_JOURNAL_JRNL_CHECK_H /* its functions are these */

#include "ring/base/base.h"
#include "ring/base/pm.h"

static inline uint32_t jrnl_copy_sum(uint8_t *dst, const uint8_t *src, size_t len, uint64_t seed)
{
	pm_copy(dst, src, len);
	return (uint32_t)seed;
}

static inline uint32_t jrnl_sum(const uint64_t *w, size_t n, uint64_t seed) { return (uint32_t)(w[0] + n + seed); }

#define RING_OURS ring_ours_unchecked
#include "tests/bench/bench_ring_ours.c"
