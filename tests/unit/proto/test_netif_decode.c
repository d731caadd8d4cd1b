/* A vif's entries, judged: every row of bad input, by the private copy alone; advisories of Xen by their numbers. */
#include "ring/proto/netif_decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct netif_pkt p;

static enum netif_fed req(uint32_t gref, uint16_t off, uint16_t flags, uint16_t size)
{
	struct netif_tx_request r = {.gref = gref, .offset = off, .flags = flags, .id = 7, .size = size};
	uint64_t raw;
	uint32_t raw2;

	memcpy(&raw, &r, 8);
	memcpy(&raw2, (char *)&r + 8, 4);
	return netif_pkt_feed(&p, raw, raw2);
}

static enum netif_fed extra(uint8_t type, bool more, uint16_t size, uint8_t gso)
{
	struct netif_extra_info e = {.type = type, .flags = more ? XEN_NETIF_EXTRA_FLAG_MORE : 0, .u.gso = {.size = size, .type = gso}};
	uint64_t raw;

	memcpy(&raw, &e, 8);
	return netif_pkt_feed(&p, raw, 0xdeadbeef);
}

#define MORE NETTXF_more_data
#define EXTRA NETTXF_extra_info

static void test_one_part(void **state)
{
	(void)state;
	netif_pkt_begin(&p);
	assert_int_equal(req(33, 100, NETTXF_csum_blank, 60), NETIF_END);
	assert_true(p.verdict == NETIF_SEND && p.len == 60 && p.nfrags == 1 && p.nslots == 1 && p.nextras == 0);
	assert_true(p.frag[0].gref == 33 && p.frag[0].off == 100 && p.frag[0].len == 60 && p.flags == NETTXF_csum_blank);
}

static void test_the_first_part_is_what_the_others_leave(void **state)
{
	(void)state;
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 96, MORE | EXTRA, 9000), NETIF_MORE);
	assert_int_equal(extra(XEN_NETIF_EXTRA_TYPE_GSO, false, 1448, XEN_NETIF_GSO_TYPE_TCPV4), NETIF_MORE);
	assert_int_equal(req(2, 0, MORE, 4096), NETIF_MORE);
	assert_int_equal(req(3, 0, 0, 904), NETIF_END);
	assert_true(p.verdict == NETIF_SEND && p.nslots == 4 && p.nextras == 1 && p.nfrags == 3);
	assert_true(p.frag[0].len == 4000 && p.frag[1].len == 4096 && p.frag[2].len == 904);
	assert_true(p.gso && p.gso_size == 1448 && p.gso_type == XEN_NETIF_GSO_TYPE_TCPV4);
}

/* XSA-432, XSA-423: all numbers of parts with all small totals: never more than what is there. */
static void test_xsa_432_parts_and_totals(void **state)
{
	(void)state;
	for (unsigned behind = 0; behind <= 22; behind++)
		for (unsigned total = 0; total <= 200; total++) {
			enum netif_fed fed;

			netif_pkt_begin(&p);
			fed = req(1, 0, behind ? MORE : 0, (uint16_t)total);
			for (unsigned i = 0; i < behind && fed == NETIF_MORE; i++)
				fed = req(2 + i, 0, i + 1 < behind ? MORE : 0, (uint16_t)(total / (behind + 1)));
			if (behind > NETIF_BEHIND_FATAL) {
				assert_int_equal(fed, NETIF_FATAL);
				continue;
			}
			assert_int_equal(fed, NETIF_END);
			assert_int_equal(p.nslots, 1 + behind);
			if (total < 14 || behind > NETIF_BEHIND_MAX) {
				assert_int_equal(p.verdict, NETIF_DROP);
				continue;
			}
			assert_int_equal(p.verdict, NETIF_SEND);
			for (unsigned i = 0, sum = 0; i < p.nfrags; i++) {
				sum += p.frag[i].len;
				assert_true(i + 1 < p.nfrags || sum == total);
			}
		}
}

/* XSA-448: parts without data are parts all the same. */
static void test_xsa_448_empty_parts(void **state)
{
	(void)state;
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 0, MORE, 100), NETIF_MORE);
	assert_int_equal(req(2, 4096, MORE, 0), NETIF_MORE);
	assert_int_equal(req(3, 0, 0, 100), NETIF_END);
	assert_true(p.verdict == NETIF_SEND && p.frag[0].len == 0 && p.frag[1].len == 0 && p.frag[2].len == 100);
}

static void test_parts_longer_than_the_whole(void **state)
{
	(void)state;
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 0, MORE, 60), NETIF_MORE);
	assert_int_equal(req(2, 0, MORE, 61), NETIF_MORE);
	assert_int_equal(req(3, 0, 0, 10), NETIF_END);
	assert_true(p.verdict == NETIF_DROP && p.nslots == 3);
}

static void test_beyond_a_page(void **state)
{
	(void)state;
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 4000, 0, 97), NETIF_FATAL);
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 65535, 0, 65535), NETIF_FATAL);
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 0, MORE, 60000), NETIF_MORE);
	assert_int_equal(req(1, 65535, 0, 2), NETIF_FATAL);
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 0, MORE, 5000), NETIF_MORE); /* what is left for the first does not fit */
	assert_int_equal(req(1, 0, 0, 100), NETIF_FATAL);
}

static void test_extra_info(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		netif_pkt_begin(&p);
		assert_int_equal(req(1, 0, EXTRA, 60), NETIF_MORE);
		if (type == 0 || type >= NETIF_EXTRA_TYPES)
			assert_int_equal(extra((uint8_t)type, false, 8, 1), NETIF_FATAL);
		else
			assert_int_equal(extra((uint8_t)type, false, 8, 1), NETIF_END);
	}
	/* The last of a type counts, and a chain of them ends with the ring, which the caller knows. */
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 0, EXTRA, 60), NETIF_MORE);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(extra(XEN_NETIF_EXTRA_TYPE_GSO, true, (uint16_t)i, 1), NETIF_MORE);
	assert_int_equal(extra(XEN_NETIF_EXTRA_TYPE_GSO, false, 99, 2), NETIF_END);
	assert_true(p.nslots == 302 && p.nextras == 301 && p.gso_size == 99 && p.gso_type == 2);
}

static void test_segments(void **state)
{
	(void)state;
	netif_pkt_begin(&p);
	req(1, 0, EXTRA, 1000);
	assert_int_equal(extra(XEN_NETIF_EXTRA_TYPE_GSO, false, 0, 1), NETIF_FATAL);
	for (unsigned type = 0; type < 256; type++) {
		netif_pkt_begin(&p);
		req(1, 0, EXTRA, 1000);
		assert_int_equal(extra(XEN_NETIF_EXTRA_TYPE_GSO, false, 100, (uint8_t)type), type == 1 || type == 2 ? NETIF_END : NETIF_FATAL);
	}
}

static void test_multicast(void **state)
{
	struct netif_extra_info e = {.type = XEN_NETIF_EXTRA_TYPE_MCAST_DEL, .u.mcast.addr = {1, 2, 3, 4, 5, 6}};
	uint64_t raw;

	(void)state;
	memcpy(&raw, &e, 8);
	netif_pkt_begin(&p);
	assert_int_equal(req(1, 0, EXTRA, 0), NETIF_MORE); /* nothing else of it is looked at */
	assert_int_equal(netif_pkt_feed(&p, raw, 0), NETIF_END);
	assert_true(p.verdict == NETIF_MCAST && !p.mcast_add);
	assert_memory_equal(p.mcast, e.u.mcast.addr, 6);
}

static void test_control(void **state)
{
	struct xen_netif_ctrl_request r = {.id = 0x1234, .type = 6, .data = {1, 0xfffffff0, 0x20}};
	struct netif_ctrl c;
	uint64_t raw[2];

	(void)state;
	memcpy(raw, &r, sizeof(raw));
	c = netif_ctrl_of(raw);
	assert_true(c.id == 0x1234 && c.type == 6 && c.data[0] == 1 && c.data[1] == 0xfffffff0 && c.data[2] == 0x20);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(test_one_part),
		cmocka_unit_test(test_the_first_part_is_what_the_others_leave),
		cmocka_unit_test(test_xsa_432_parts_and_totals),
		cmocka_unit_test(test_xsa_448_empty_parts),
		cmocka_unit_test(test_parts_longer_than_the_whole),
		cmocka_unit_test(test_beyond_a_page),
		cmocka_unit_test(test_extra_info),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_multicast),
		cmocka_unit_test(test_control),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
