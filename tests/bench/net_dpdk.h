/* net_dpdk.h - DPDK's testpmd on both ends of a vhost-user socket: what polling without a kernel reaches. Threads: one. */
#ifndef BULKHEAD_TESTS_BENCH_NET_DPDK_H
#define BULKHEAD_TESTS_BENCH_NET_DPDK_H

#include <stddef.h>
#include <stdint.h>

/* Packets a second from virtio-user (the guest's end) to vhost-user (the backend's), each on a processor of its own. -ENOSYS with a line in
 * err: it is not installed, or does not run here. */
int net_dpdk_rate(uint32_t frame, double *rate, char *err, size_t size);

#endif
