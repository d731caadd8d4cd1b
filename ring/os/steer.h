/* steer.h - the memory by which the packets that come to a tap find their queue: who writes it (backend/net/netback_steer.c, in the stub),
 * and who reads it (recovery/net/steer.bpf.c, in the kernel). recovery/net/steer.h makes it.
 *
 * It is the one entry of a BPF map that can be mapped into memory: a write to it is a store, not a system call. There are several states
 * by turns: whoever writes fills the next one and then counts `now` up; who reads looks at `now` again afterwards, and does not believe
 * what it has read if that state's turn to be written may have come. So it is whole at any instant, also when who writes has died.
 * Trust: the guest's stub may write anything; at worst packets of its own tap go to another of its own queues.
 */
#ifndef BULKHEAD_RING_OS_STEER_H
#define BULKHEAD_RING_OS_STEER_H

#include <stdint.h>

#define STEER_TUPLE 36u /* the most that is hashed: two IPv6 addresses, two ports */
#define STEER_KEY 40u
#define STEER_MAPPING 128u

/* What is hashed: bits of <xen/io/netif.h>, XEN_NETIF_CTRL_HASH_TYPE_*. */
enum steer_type { STEER_IPV4 = 1u << 0, STEER_IPV4_TCP = 1u << 1, STEER_IPV6 = 1u << 2, STEER_IPV6_TCP = 1u << 3 };

struct steer_state {
	uint32_t types;	/* enum steer_type; 0: the guest has no say */
	uint32_t size;	/* of the mapping; 0: the hash modulo the queues */
	/* Toeplitz's hash is linear: what each half byte of the tuple, by its place and its value, adds to it (exclusive or). */
	uint32_t part[2 * STEER_TUPLE][16];
	uint8_t mapping[STEER_MAPPING]; /* queues */
};

#define STEER_STATES 4u /* a power of two */
struct steer_map {
	uint32_t now; /* counts the changes: state[now % STEER_STATES] holds */
	uint32_t pad;
	struct steer_state state[STEER_STATES];
};

#define STEER_PLACE 0x5354454552ull /* in the program, where the map belongs */

#endif
