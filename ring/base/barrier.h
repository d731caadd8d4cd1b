/* barrier.h - the only atomics and fences of the project.
 *
 * Words shared with another domain or thread are read once, into a local, and the local is judged.
 * Every smp_store_release has a comment that names the smp_load_acquire it pairs with.
 * A death of the process needs none of these (a kill is precise, DESIGN.md section 6): they are for the other domain
 * and for other threads; what only a kill must see in order goes through pm.h.
 */
#ifndef BULKHEAD_RING_BASE_BARRIER_H
#define BULKHEAD_RING_BASE_BARRIER_H

#include <stdint.h>

#define READ_ONCE_U8(p) (*(const volatile uint8_t *)(p))
#define READ_ONCE_U32(p) (*(const volatile uint32_t *)(p))
#define READ_ONCE_U64(p) (*(const volatile uint64_t *)(p))

/* Two words side by side, aligned to 4. */
typedef uint64_t once_pair __attribute__((vector_size(16), aligned(4), may_alias));
#define READ_ONCE_PAIR(p) (*(const volatile once_pair *)(const void *)(p))

#define smp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)

/* Full: orders an earlier store against a later load (arm, then re-check). */
static inline void smp_mb(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
/* Earlier stores before later stores / earlier loads before later loads. */
static inline void smp_wmb(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
static inline void smp_rmb(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
/* The compiler only. */
static inline void barrier(void) { __asm__ volatile("" ::: "memory"); }

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	barrier();
#endif
}

#endif
