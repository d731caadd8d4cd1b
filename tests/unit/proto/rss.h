/* rss.h - Microsoft's vectors of the Toeplitz hash ("Verifying the RSS hash calculation"), and frames of them. */
#ifndef BULKHEAD_TESTS_UNIT_PROTO_RSS_H
#define BULKHEAD_TESTS_UNIT_PROTO_RSS_H

#include "ring/proto/netif_frame.h"

#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>

static const uint8_t rss_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
				    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
				    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static const struct rss_vector {
	const char *dst;
	uint16_t dport;
	const char *src;
	uint16_t sport;
	uint32_t alone, tcp; /* of the addresses; of them and the ports */
} rss_vectors[] = {
	{"161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178},
	{"65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea},
	{"12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a},
	{"209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f},
	{"202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2},
	{"3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5, 0x40207d3d},
	{"ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c, 0xdde51bbf},
	{"fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x4b61e985, 0x02d1feef},
};

/* A frame of TCP or UDP with so many bytes behind its header, from f on. Its length. */
static inline uint32_t rss_frame(uint8_t *f, const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t proto, uint32_t payload)
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

#endif
