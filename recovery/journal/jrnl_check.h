/* jrnl_check.h - the check words of the journal: CRC32C of 64-bit words, in three lanes, since the instruction takes three cycles
 * but can begin in every one. A flipped bit changes its lane, and a changed lane the whole. Pure. */
#ifndef BULKHEAD_RECOVERY_JOURNAL_JRNL_CHECK_H
#define BULKHEAD_RECOVERY_JOURNAL_JRNL_CHECK_H

#include "ring/base/base.h"
#include "ring/base/pm.h"

static inline uint64_t jrnl_crc(uint64_t crc, uint64_t w)
{
#if defined(__x86_64__) /* SSE4.2: every machine of the last fifteen years */
	__asm__("crc32q %1, %0" : "+r"(crc) : "rm"(w));
	return crc;
#else
	uint32_t c = (uint32_t)crc;

	for (int i = 0; i < 64; i++, w >>= 1)
		c = (c >> 1) ^ (0x82f63b78u & (0u - ((c ^ (uint32_t)w) & 1)));
	return c;
#endif
}

struct jrnl_lanes {
	uint64_t a, b, c;
};

static inline struct jrnl_lanes jrnl_lanes(uint64_t seed)
{
	return (struct jrnl_lanes){jrnl_crc(0xffffffffu, seed), 0x5bd1e995u, 0x2545f491u};
}

static inline uint32_t jrnl_lanes_end(const struct jrnl_lanes *l) { return (uint32_t)jrnl_crc(l->a, l->b | l->c << 32); }

/* Loads 8 bytes that somebody else may change meanwhile: once, whatever the compiler would like better. */
static inline uint64_t jrnl_load(const uint8_t *at, size_t n)
{
	uint64_t w = 0;

	__builtin_memcpy(&w, at, n);
	__asm__("" : "+r"(w));
	return w;
}

/* Copies n bytes (8 or fewer), zero-filled, as one word. */
static inline uint64_t jrnl_copy_word(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint64_t w = jrnl_load(src, n);

	pm_store64((uint64_t *)(void *)dst, w);
	return w;
}

/* Copies len bytes, at most nwords whole words, into shared memory and sums them on the way. */
static inline uint32_t jrnl_copy_sum(uint8_t *dst, const uint8_t *src, size_t len, uint64_t seed)
{
	struct jrnl_lanes l = jrnl_lanes(seed);
	size_t i = 0;

	for (; i + 24 <= len; i += 24) {
		l.a = jrnl_crc(l.a, jrnl_copy_word(dst + i, src + i, 8));
		l.b = jrnl_crc(l.b, jrnl_copy_word(dst + i + 8, src + i + 8, 8));
		l.c = jrnl_crc(l.c, jrnl_copy_word(dst + i + 16, src + i + 16, 8));
	}
	if (i < len)
		l.a = jrnl_crc(l.a, jrnl_copy_word(dst + i, src + i, MIN(len - i, (size_t)8)));
	if (i + 8 < len)
		l.b = jrnl_crc(l.b, jrnl_copy_word(dst + i + 8, src + i + 8, MIN(len - i - 8, (size_t)8)));
	return jrnl_lanes_end(&l);
}

/* The same sum of what is there. */
static inline uint32_t jrnl_sum(const uint64_t *w, size_t n, uint64_t seed)
{
	struct jrnl_lanes l = jrnl_lanes(seed);
	size_t i = 0;

	for (; i + 3 <= n; i += 3) {
		l.a = jrnl_crc(l.a, w[i]);
		l.b = jrnl_crc(l.b, w[i + 1]);
		l.c = jrnl_crc(l.c, w[i + 2]);
	}
	if (i < n)
		l.a = jrnl_crc(l.a, w[i]);
	if (i + 1 < n)
		l.b = jrnl_crc(l.b, w[i + 1]);
	return jrnl_lanes_end(&l);
}

#endif
