/* jrnl_check.h - the check words of the journal: the sum of its 64-bit words, and the sum of those sums, in which order matters;
 * both in two lanes side by side, and all four folded by multiplication. A copy is made and summed by sixteen bytes at a time, two
 * additions each. Pure.
 *
 * A single flipped bit is always found. It changes a sum by 2^k and the sum of sums by c * 2^k, hence what is folded by
 * 2^k * (A + c * B), whose upper half is the check word. A is odd and B even, so that this is never 0, and they are such that its
 * upper half is never 0 nor -1 (tests/unit/journal/test_jrnl_check.c goes through every k and c). Other damage escapes once in 2^32.
 */
#ifndef BULKHEAD_RECOVERY_JOURNAL_JRNL_CHECK_H
#define BULKHEAD_RECOVERY_JOURNAL_JRNL_CHECK_H

#include "ring/base/barrier.h"
#include "ring/base/base.h"
#include "ring/base/pm.h"

#define JRNL_CHECK_A0 0x9e3779b97f4a7c15ull
#define JRNL_CHECK_A1 0xbf58476d1ce4e5b9ull
#define JRNL_CHECK_B0 0x94d049bb133111eaull
#define JRNL_CHECK_B1 0xd6e8feb86659fd92ull
#define JRNL_CHECK_WORDS 512u /* c is at most half of it and one more */

static inline uint32_t jrnl_fold(uint64_t s0, uint64_t s1, uint64_t t0, uint64_t t1)
{
	return (uint32_t)((s0 * JRNL_CHECK_A0 + s1 * JRNL_CHECK_A1 + t0 * JRNL_CHECK_B0 + t1 * JRNL_CHECK_B1) >> 32);
}

/* Sixteen bytes of what somebody else may change meanwhile, each read once; what lies behind the end is 0. */
static inline pm_pair jrnl_load_pair(const uint8_t *at, size_t n)
{
	pm_pair v = {0, 0};

	if (n >= sizeof(v))
		return READ_ONCE_PAIR(at);
	__builtin_memcpy(&v, at, n);
	barrier();
	return v;
}

/* Copies len bytes into shared memory, up to a multiple of 16 with zeroes, and sums them on the way. dst is aligned to 16. */
static inline uint32_t jrnl_copy_sum(uint8_t *dst, const uint8_t *src, size_t len, uint64_t seed)
{
	pm_pair s = {seed, 0}, t = s;

	UNROLL(7)
	for (size_t i = 0; i < len; i += sizeof(s)) {
		pm_pair v = jrnl_load_pair(src + i, len - i);

		pm_store_pair(dst + i, v);
		s += v;
		t += s;
	}
	return jrnl_fold(s[0], s[1], t[0], t[1]);
}

/* The same sum of what is there: n words. */
static inline uint32_t jrnl_sum(const uint64_t *w, size_t n, uint64_t seed)
{
	uint64_t s0 = seed, s1 = 0, t0 = seed, t1 = 0;

	for (size_t i = 0; i < n; i += 2) {
		s0 += w[i];
		s1 += i + 1 < n ? w[i + 1] : 0;
		t0 += s0;
		t1 += s1;
	}
	return jrnl_fold(s0, s1, t0, t1);
}

#endif
