/* base.h - the few macros every file may use. Pure; no system calls. */
#ifndef BULKHEAD_RING_BASE_BASE_H
#define BULKHEAD_RING_BASE_BASE_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define IS_POW2(x) ((x) != 0 && ((x) & ((x)-1)) == 0)

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
/* Of the loop that follows; clang decides for itself, and warns where it was told and could not. */
#if defined(__clang__)
#define UNROLL(n)
#else
#define UNROLL_TEXT(x) _Pragma(#x)
#define UNROLL(n) UNROLL_TEXT(GCC unroll n)
#endif

/* The unit of grants and ring pages in every Xen ABI that Bulkhead serves. */
#define BH_PAGE_SHIFT 12
#define BH_PAGE_SIZE ((size_t)1 << BH_PAGE_SHIFT)

#endif
