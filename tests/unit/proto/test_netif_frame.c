/* Frames: Microsoft's vectors of the Toeplitz hash, checksums, lengths by the frame's own headers, and any bytes at all. */
#include "ring/proto/netif_frame.h"

#include "ring/proto/netif_abi.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
				0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
				0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static uint8_t f[1600];

static uint32_t make(const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t proto, uint32_t payload)
{
	bool v6 = strchr(src, ':');
	uint32_t l4 = v6 ? 54 : 34, len = l4 + (proto == NETIF_TCP ? 20 : 8) + payload;

	for (uint32_t i = 0; i < len; i++)
		f[i] = (uint8_t)(i * 37 + 11);
	f[12] = v6 ? 0x86 : 0x08;
	f[13] = v6 ? 0xdd : 0x00;
	if (v6) {
		f[14] = 0x60;
		f[18] = (uint8_t)((len - 54) >> 8);
		f[19] = (uint8_t)(len - 54);
		f[20] = proto;
		inet_pton(AF_INET6, src, f + 22);
		inet_pton(AF_INET6, dst, f + 38);
	} else {
		memset(f + 14, 0, 12);
		f[14] = 0x45;
		f[16] = (uint8_t)((len - 14) >> 8);
		f[17] = (uint8_t)(len - 14);
		f[23] = proto;
		inet_pton(AF_INET, src, f + 26);
		inet_pton(AF_INET, dst, f + 30);
	}
	f[l4] = (uint8_t)(sport >> 8);
	f[l4 + 1] = (uint8_t)sport;
	f[l4 + 2] = (uint8_t)(dport >> 8);
	f[l4 + 3] = (uint8_t)dport;
	if (proto == NETIF_TCP)
		f[l4 + 12] = 0x50;
	return len;
}

static void test_vectors(void **state)
{
	static const struct {
		const char *dst;
		uint16_t dport;
		const char *src;
		uint16_t sport;
		uint32_t alone, tcp;
	} v[] = {
		{"161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178},
		{"65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea},
		{"12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a},
		{"209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f},
		{"202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2},
		{"3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5, 0x40207d3d},
		{"ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c, 0xdde51bbf},
		{"fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x4b61e985, 0x02d1feef},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		bool v6 = strchr(v[i].src, ':');
		uint32_t len = make(v[i].src, v[i].sport, v[i].dst, v[i].dport, NETIF_TCP, 10), h = 0;
		uint8_t type = 99;

		assert_true(netif_frame_hash(f, len, 15, key, sizeof(key), &h, &type));
		assert_int_equal(h, v[i].tcp);
		assert_int_equal(type, v6 ? 3 : 1);
		assert_true(netif_frame_hash(f, len, 5, key, sizeof(key), &h, &type));
		assert_int_equal(h, v[i].alone);
		assert_int_equal(type, v6 ? 2 : 0);
		assert_false(netif_frame_hash(f, len, v6 ? 3 : 12, key, sizeof(key), &h, &type));
	}
	assert_int_equal(netif_toeplitz(key, 0, f, 12), 0); /* no key: all zeroes */
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
		netif_frame_hash(m, len, 15, key, sizeof(key), &h, &type);
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
