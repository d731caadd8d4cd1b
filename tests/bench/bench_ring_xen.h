/* bench_ring_xen.h - the macros of <xen/io/ring.h>, with the barriers that all of Bulkhead uses. */
#ifndef BULKHEAD_TESTS_BENCH_BENCH_RING_XEN_H
#define BULKHEAD_TESTS_BENCH_BENCH_RING_XEN_H

#include "ring/base/barrier.h"
#include "ring/proto/blkif_abi.h"
#include "tests/bench/bench_ring_rig.h"

#include <string.h> /* the macros want it */

#define mb() smp_mb()
#define rmb() smp_rmb()
#define wmb() smp_wmb()

#endif
