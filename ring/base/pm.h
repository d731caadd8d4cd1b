/* pm.h - every store to a journal or to a ring.
 *
 * A SIGKILL is precise: every instruction before it has happened, none after it. So what a successor finds is the
 * program order of these stores, provided that the compiler neither merges, splits nor reorders them: each is one
 * aligned volatile store, and volatile accesses keep their order among themselves. Nothing here orders stores against
 * another CPU: before a word that publishes to the guest, use smp_wmb() (barrier.h).
 *
 * Built with -DPM_HOOK (the crash tests), pm_hook() runs before each store, a copy counting as one store for each
 * 8-byte word; it may longjmp away, which is the death of the process at that very point. pm_hook is defined by the
 * test (tests/sim).
 */
#ifndef BULKHEAD_RING_BASE_PM_H
#define BULKHEAD_RING_BASE_PM_H

#include <stddef.h>
#include <stdint.h>

#ifdef PM_HOOK
void pm_hook(const void *where, size_t len);
#define PM_POINT(where, len) pm_hook((where), (len))
#else
#define PM_POINT(where, len) ((void)0)
#endif

/* Two words side by side, as one register. */
typedef uint64_t pm_pair __attribute__((vector_size(16), may_alias));

static inline void pm_store16(uint16_t *p, uint16_t v)
{
	PM_POINT(p, sizeof(v));
	*(volatile uint16_t *)p = v;
}

static inline void pm_store32(uint32_t *p, uint32_t v)
{
	PM_POINT(p, sizeof(v));
	*(volatile uint32_t *)p = v;
}

static inline void pm_store64(uint64_t *p, uint64_t v)
{
	PM_POINT(p, sizeof(v));
	*(volatile uint64_t *)p = v;
}

/* To a place that is aligned to 16. May be torn by a death between the two words. */
static inline void pm_store_pair(void *p, pm_pair v)
{
#ifdef PM_HOOK
	pm_store64((uint64_t *)p, v[0]);
	pm_store64((uint64_t *)p + 1, v[1]);
#else
	*(volatile pm_pair *)p = v;
#endif
}

/* A word that recovery never reads: turn counters, times, statistics. Not a point of death of its own. */
static inline void pm_stat64(uint64_t *p, uint64_t v) { *(volatile uint64_t *)p = v; }

/* Copies len bytes into shared memory. May be torn by a death at any word: only a check word or a later state store
 * makes the copy valid. In production it is one memcpy between compiler barriers, so that the copy of a whole request
 * costs what the hardware allows. */
static inline void pm_copy(void *dst, const void *src, size_t len)
{
#ifdef PM_HOOK
	const char *s = (const char *)src;
	char *d = (char *)dst;

	for (size_t i = 0; i < len; i += 8) {
		size_t n = len - i < 8 ? len - i : 8;
		PM_POINT(d + i, n);
		__builtin_memcpy(d + i, s + i, n);
	}
#else
	__asm__ volatile("" ::: "memory");
	__builtin_memcpy(dst, src, len);
	__asm__ volatile("" ::: "memory");
#endif
}

#endif
