/* Frames: Microsoft's vectors of the Toeplitz hash, checksums, lengths by the frame's own headers, and any bytes at all. */
#include "tests/unit/proto/rss.h"

#include "ring/proto/netif_abi.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t f[1600];

static uint32_t make(const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t proto, uint32_t payload)
{
	return rss_frame(f, src, sport, dst, dport, proto, payload);
}

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rss_vectors); i++) {
		const struct rss_vector *v = &rss_vectors[i];
		bool v6 = strchr(v->src, ':');
		uint32_t len = make(v->src, v->sport, v->dst, v->dport, NETIF_TCP, 10), h = 0;
		uint8_t type = 99;

		assert_true(netif_frame_hash(f, len, 15, rss_key, sizeof(rss_key), &h, &type));
		assert_int_equal(h, v->tcp);
		assert_int_equal(type, v6 ? 3 : 1);
		assert_true(netif_frame_hash(f, len, 5, rss_key, sizeof(rss_key), &h, &type));
		assert_int_equal(h, v->alone);
		assert_int_equal(type, v6 ? 2 : 0);
		assert_false(netif_frame_hash(f, len, v6 ? 3 : 12, rss_key, sizeof(rss_key), &h, &type));
	}
	assert_int_equal(netif_toeplitz(rss_key, 0, f, 12), 0); /* no key: all zeroes */
}

static uint32_t folded(const uint8_t *p, uint32_t len, uint32_t s)
{
	for (uint32_t i = 0; i < len; i++)
		s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void test_sums(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 70; n++)
		for (unsigned k = 0; k < 4; k++) {
			bool v6 = k & 1;
			uint8_t proto = k & 2 ? NETIF_TCP : NETIF_UDP, copy[1600];
			uint32_t len = v6 ? make("fe80::1", 1, "fe80::2", 2, proto, n) : make("10.0.0.1", 1, "10.0.0.2", 2, proto, n);
			uint32_t l4 = v6 ? 54 : 34;

			assert_int_equal(netif_frame_sum_anew(f, len), 0);
			assert_int_equal(folded(f + l4, len - l4, folded(v6 ? f + 22 : f + 26, v6 ? 32 : 8, proto + len - l4)), 0xffff);
			memcpy(copy, f, len);
			assert_int_equal(netif_frame_sum_anew(f, len), 0); /* again: nothing changes */
			assert_memory_equal(copy, f, len);
		}
}

static void test_offloads(void **state)
{
	struct netif_offload o = {.blank = true, .valid = true, .gso_type = XEN_NETIF_GSO_TYPE_TCPV4, .gso_size = 500}, back;
	uint32_t len = make("10.0.0.1", 1, "10.0.0.2", 2, NETIF_TCP, 1200);
	struct virtio_net_hdr h;
	bool fixed;

	(void)state;
	assert_int_equal(netif_to_vnet(f, len, &o, &h, &fixed), 0);
	assert_true(!fixed && h.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM && h.csum_start == 34 && h.csum_offset == 16);
	assert_true(h.gso_type == VIRTIO_NET_HDR_GSO_TCPV4 && h.gso_size == 500 && h.hdr_len == 54);
	assert_int_equal(netif_from_vnet(&h, &back), 0);
	assert_true(back.blank && back.valid && back.gso_type == XEN_NETIF_GSO_TYPE_TCPV4 && back.gso_size == 500);
	o.blank = false; /* segments must be blank: some guests forget */
	assert_int_equal(netif_to_vnet(f, len, &o, &h, &fixed), 0);
	assert_true(fixed && h.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
	o.gso_type = XEN_NETIF_GSO_TYPE_TCPV6; /* which it is not */
	assert_int_equal(netif_to_vnet(f, len, &o, &h, &fixed), -EINVAL);
	o.gso_type = XEN_NETIF_GSO_TYPE_TCPV4;
	o.gso_size = 7;
	assert_int_equal(netif_to_vnet(f, len, &o, &h, &fixed), -EINVAL);
	o.gso_size = (uint16_t)(len + 1);
	assert_int_equal(netif_to_vnet(f, len, &o, &h, &fixed), -EINVAL);
	o.gso_size = 1200; /* one segment */
	assert_int_equal(netif_to_vnet(f, len, &o, &h, &fixed), 0);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	len = make("10.0.0.1", 1, "10.0.0.2", 2, NETIF_UDP, 600);
	assert_int_equal(netif_to_vnet(f, len, &o, &h, &fixed), -EINVAL);
	o = (struct netif_offload){.blank = true};
	f[12] = 0x88; /* no IP */
	assert_int_equal(netif_to_vnet(f, len, &o, &h, &fixed), -EINVAL);
}

static void test_lengths(void **state)
{
	struct netif_frame look;
	uint32_t len = make("10.0.0.1", 1, "10.0.0.2", 2, NETIF_UDP, 5);

	(void)state;
	netif_frame_look(f, sizeof(f), &look); /* padded */
	assert_true(look.len == len && look.l3 == 14 && look.l4 == 34 && look.l4_proto == NETIF_UDP && look.l4_hdr == 8);
	len = make("fe80::1", 1, "fe80::2", 2, NETIF_TCP, 50);
	netif_frame_look(f, 70, &look); /* of the first bytes alone */
	assert_true(look.len == len && look.l4 == 54 && look.l4_hdr == 0);
	f[12] = 0x08;
	f[13] = 0x06;
	netif_frame_look(f, sizeof(f), &look);
	assert_int_equal(look.len, 42);
	memmove(f + 16, f + 12, 100); /* behind a VLAN tag */
	f[12] = 0x81;
	f[13] = 0x00;
	netif_frame_look(f, sizeof(f), &look);
	assert_int_equal(look.len, 46);
	f[16] = 0x12;
	netif_frame_look(f, sizeof(f), &look);
	assert_int_equal(look.len, 0);
}

/* XSA-423 and its kind: whatever the bytes are, no look behind their end, and what is said is inside. */
static void test_any_bytes(void **state)
{
	uint64_t rng = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : 1;

	(void)state;
	print_message("SEED=%llu\n", (unsigned long long)rng);
	for (unsigned n = 0; n < 200000; n++) {
		uint32_t len, h;
		uint8_t *m, type;
		struct netif_frame look;
		struct netif_offload o = {.blank = n & 1, .gso_type = (uint8_t)(n % 3), .gso_size = (uint16_t)(n % 90)};
		struct virtio_net_hdr vh;
		bool fixed;

		rng = rng * 6364136223846793005u + 1442695040888963407u;
		len = 14 + (uint32_t)(rng >> 33) % 90;
		m = malloc(len);
		for (uint32_t i = 0; i < len; i++)
			m[i] = (uint8_t)((rng >> (i % 48)) * (i + 3));
		m[12] = n & 2 ? 0x86 : 0x08;
		m[13] = n & 2 ? 0xdd : 0x00;
		if (len > 23)
			m[14] = n & 2 ? 0x60 : (uint8_t)(0x40 | (n >> 3 & 7));
		if (len > 23 && n & 4)
			m[n & 2 ? 20 : 23] = n & 8 ? 6 : 17;
		netif_frame_look(m, len, &look);
		assert_true(!look.l4_hdr || look.l4 + look.l4_hdr <= len);
		if (netif_to_vnet(m, len, &o, &vh, &fixed) == 0 && vh.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			assert_true(vh.csum_start + vh.csum_offset + 2u <= len && vh.hdr_len <= len);
		netif_frame_sum_anew(m, len);
		netif_frame_hash(m, len, 15, rss_key, sizeof(rss_key), &h, &type);
		free(m);
	}
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_offloads),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
