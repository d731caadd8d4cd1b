/* steer.bpf.c - which queue a packet comes to that the host sends into a tap: attached by TUNSETSTEERINGEBPF, run by the kernel for each
 * packet; the kernel takes what it returns modulo the queues. For clang -target bpf; tools/steer-prog makes steer_prog.h of it, which is
 * what is built in.
 *
 * What is hashed is what netif_frame_hash() (ring/proto) hashes of the same packet, whose words on it the guest gets in its extra info. */
#include "ring/os/steer.h"

#include <linux/bpf.h>
#include <stdbool.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define VLAN_TAGS_MAX 2
#define IPV6_EXTENSIONS_MAX 7
#define TCP 6
#define UDP 17

static long (*const load_bytes)(const void *skb, uint32_t off, void *to, uint32_t len) = (void *)BPF_FUNC_skb_load_bytes;

struct tuple {
	uint8_t b[STEER_TUPLE]; /* addresses, ports */
	uint32_t types;		/* those that it has (enum steer_type) */
	uint32_t spread;	/* by this it is spread where the guest has no say */
};

/* In its place who loads the program puts the map's memory. */
ALWAYS_INLINE volatile const struct steer_map *the_map(void)
{
	volatile const struct steer_map *m;

	__asm__("%0 = %1 ll" : "=r"(m) : "i"(STEER_PLACE));
	return m;
}

ALWAYS_INLINE bool load(const struct __sk_buff *skb, uint32_t off, void *to, uint32_t len) { return load_bytes(skb, off, to, len) == 0; }
ALWAYS_INLINE uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

/* ports: a first and only fragment begins at `at`. */
ALWAYS_INLINE void look_l4(const struct __sk_buff *skb, uint32_t at, uint32_t proto, uint32_t tcp_type, struct tuple *t)
{
	uint8_t ports[4], off;

	if ((proto != TCP && proto != UDP) || !load(skb, at, ports, sizeof(ports)))
		return;
	if (proto == TCP) {
		if (at + 20 > skb->len || !load(skb, at + 12, &off, 1) || off >> 4 < 5 || at + (off >> 4) * 4 > skb->len)
			return;
		t->types |= tcp_type;
	}
	if (tcp_type == STEER_IPV4_TCP)
		__builtin_memcpy(t->b + 8, ports, 4);
	else
		__builtin_memcpy(t->b + 32, ports, 4);
	t->spread = be16(ports) * 31 + be16(ports + 2);
}

ALWAYS_INLINE void look_ipv4(const struct __sk_buff *skb, uint32_t at, struct tuple *t)
{
	uint8_t ip[20];
	uint32_t hdr;

	if (!load(skb, at, ip, sizeof(ip)) || ip[0] >> 4 != 4)
		return;
	hdr = (ip[0] & 15) * 4;
	if (hdr < 20 || be16(ip + 2) < hdr)
		return;
	__builtin_memcpy(t->b, ip + 12, 8);
	t->types = STEER_IPV4;
	if (!(be16(ip + 6) & 0x3fff))
		look_l4(skb, at + hdr, ip[9], STEER_IPV4_TCP, t);
}

/* Past what may stand between; a fragment has no ports. */
ALWAYS_INLINE void look_ipv6(const struct __sk_buff *skb, uint32_t at, struct tuple *t)
{
	uint8_t ip[40], option[2];
	uint32_t next;

	if (!load(skb, at, ip, sizeof(ip)) || ip[0] >> 4 != 6 || !be16(ip + 4))
		return;
	__builtin_memcpy(t->b, ip + 8, 32);
	t->types = STEER_IPV6;
	next = ip[6];
	at += sizeof(ip);
	for (int i = 0; i < IPV6_EXTENSIONS_MAX && (next == 0 || next == 43 || next == 60); i++) {
		if (at + 8 > skb->len || !load(skb, at, option, sizeof(option)))
			return;
		next = option[0];
		at += 8 + 8 * (uint32_t)option[1];
	}
	look_l4(skb, at, next, STEER_IPV6_TCP, t);
}

ALWAYS_INLINE void look(const struct __sk_buff *skb, struct tuple *t)
{
	uint32_t at = 12, proto = 0;
	uint8_t type[2];

	for (int tags = 0; tags <= VLAN_TAGS_MAX; tags++, at += 4) {
		if (!load(skb, at, type, sizeof(type)))
			return;
		proto = be16(type);
		if (proto != 0x8100 && proto != 0x88a8)
			break;
	}
	if (proto == 0x0800)
		look_ipv4(skb, at + 2, t);
	else if (proto == 0x86dd)
		look_ipv6(skb, at + 2, t);
	for (uint32_t i = 0; i < STEER_TUPLE - 4; i += 4)
		t->spread = (t->spread ^ *(uint32_t *)(void *)(t->b + i)) * 0x9e3779b1u;
	t->spread = (t->spread >> 16) ^ t->spread;
}

/* By constant bounds: the kernel looks at each way through the program before it takes it. */
ALWAYS_INLINE uint32_t hash_of(volatile const struct steer_state *s, const struct tuple *t, uint32_t from, uint32_t end)
{
	uint32_t hash = 0;

#pragma nounroll
	for (uint32_t i = from; i < end; i++)
		hash ^= s->part[2 * i][t->b[i] >> 4] ^ s->part[2 * i + 1][t->b[i] & 15];
	return hash;
}

ALWAYS_INLINE uint32_t queue_by(volatile const struct steer_state *s, const struct tuple *t)
{
	uint32_t types = s->types & t->types, size = s->size, hash;

	if (!types)
		return t->spread;
	if (types & (STEER_IPV4 | STEER_IPV4_TCP)) {
		hash = hash_of(s, t, 0, 8);
		if (types & STEER_IPV4_TCP)
			hash ^= hash_of(s, t, 8, 12);
	} else {
		hash = hash_of(s, t, 0, 32);
		if (types & STEER_IPV6_TCP)
			hash ^= hash_of(s, t, 32, 36);
	}
	return size ? s->mapping[hash % size % STEER_MAPPING] : hash;
}

__attribute__((section("program"))) uint32_t steer(struct __sk_buff *skb)
{
	volatile const struct steer_map *m = the_map();
	uint32_t now, queue;
	struct tuple t = {0};

	look(skb, &t);
	now = m->now;
	queue = queue_by(&m->state[now % STEER_STATES], &t);
	return m->now - now < STEER_STATES - 1 ? queue : t.spread;
}
